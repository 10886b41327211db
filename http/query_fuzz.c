/* query_fuzz.c - libFuzzer on what a client puts into a request line and three headers.
 *
 * First byte: which parameters are allowed.  Its corpus is replayed by an ordinary unit test. */
#include "core/base/config.h"
#include "http/query.h"
#include "http/reply.h"
#include "http/routes.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct config *config;
    if (config == NULL)
        config = config_new();
    if (size == 0 || config == NULL)
        return 0;
    const char *text = (const char *)data + 1;
    const size_t length = size - 1;
    const struct query_rules rules = {
        .allowed = data[0] == 'a' ? (1U << PARAM_COUNT) - 1 : data[0],
        .limit_default = 10,
        .limit_max = 1000,
    };
    struct query query;
    struct error err = {0};
    if (!query_parse(&query, &rules, text, length, &err)) {
        if (err.message[0] == '\0')
            __builtin_trap(); /* a failure without a message is a bug too */
    } else if (query.limit > rules.limit_max) {
        __builtin_trap();
    }

    struct route_match match;
    routes_find(config, false, "GET", 3, text, length, &match);
    if (match.route != NULL && strlen(match.id) >= ROUTE_ID_MAX_BYTES)
        __builtin_trap();

    (void)accept_allows(text, length, "application", "json");
    (void)accept_encoding_allows_gzip(text, length);
    return 0;
}
