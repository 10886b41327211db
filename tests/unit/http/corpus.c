/* corpus.c - what the fuzzer once found interesting, in every build. */
#include <criterion/criterion.h>
#include <dirent.h>

#include "core/base/config.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/routes.h"

#define CORPUS GOPROFD_SOURCE_DIR "/tests/corpus/query"

static size_t read_case(const char *name, char *text, size_t size)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/%s", CORPUS, name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s", path);
    const size_t length = fread(text, 1, size, file);
    (void)fclose(file);
    return length;
}

static void replay(const struct config *config, const char *text, size_t length)
{
    static const struct query_rules rules = {
        .allowed = (1U << PARAM_COUNT) - 1, .limit_default = 10, .limit_max = 1000};
    /* Copies without a byte to spare, so that a sanitizer sees each byte read too many. */
    char *exact = malloc(length > 0 ? length : 1);
    memcpy(exact, text, length);
    struct query query;
    struct route_match match;
    struct error err = {0};
    if (!query_parse(&query, &rules, exact, length, &err))
        cr_assert(err.message[0] != '\0');
    routes_find(config, false, "GET", 3, exact, length, &match);
    (void)accept_allows(exact, length, "application", "json");
    (void)accept_encoding_allows_gzip(exact, length);
    free(exact);
}

/* Each case whole and cut short at every length. */
Test(corpus, of_queries_is_survived_at_every_length)
{
    struct config *config = config_new();
    DIR *dir = opendir(CORPUS);
    cr_assert_not_null(dir);
    unsigned cases = 0;
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char text[4096];
        if (entry->d_name[0] == '.')
            continue;
        const size_t length = read_case(entry->d_name, text, sizeof(text));
        for (size_t cut = 1; cut <= length; cut++)
            replay(config, text + 1, cut - 1);
        cases++;
    }
    closedir(dir);
    config_free(config);
    cr_assert_geq(cases, 10);
}
