/* fuzz_replay.c - runs a fuzz harness on its corpus, in builds without a fuzzer.
 *
 *   X_replay FOLDER
 *
 * Linked with X_fuzz.c.  Each file of FOLDER is given whole and cut short at up to CUTS_MAX lengths, in copies
 * without a byte to spare, so that a sanitizer sees each byte read too many.  What the harness traps on
 * (above all a failure without a message) ends it with a signal; so does taking longer than CASE_MAX_S.
 *
 * What is said of a whole file that was made up (not "found-...") must be what FOLDER.errors expects:
 *
 *   cut-in-header: corrupt: file ends inside the ELF header        each line: NAME: WHAT: MESSAGE
 *   whole: accepted                                                or nothing was refused
 *
 * With several refusals a file has several lines.  A harness that never refuses anything has no such file.
 * GOPROFD_UPDATE=1 writes what is said now. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/fuzz_case.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CASE_MAX_BYTES = 1 << 20,
    CASE_MAX_S = 10,
    CASES_MAX = 1000,
    CASES_MIN = 5,
    CUTS_MAX = 32,
    SAID_MAX = 64, /* of one case */
};

/* A program of one file and one thread: what it works on may lie open. */
static unsigned char bytes[CASE_MAX_BYTES];
static char *said[SAID_MAX];
static size_t said_count;

void fuzz_case_said(const char *what, const char *message)
{
    char *line = NULL;
    if (asprintf(&line, "%s: %s", what, message) < 0)
        abort();
    for (size_t i = 0; i < said_count; i++)
        if (strcmp(said[i], line) == 0) {
            free(line);
            return; /* again */
        }
    if (said_count == SAID_MAX)
        abort();
    said[said_count++] = line;
}

static void forget_said(void)
{
    while (said_count > 0)
        free(said[--said_count]);
}

static int replay(size_t length)
{
    unsigned char *exact = malloc(length > 0 ? length : 1);

    if (exact == NULL)
        return 0;
    memcpy(exact, bytes, length);
    forget_said(); /* it is the whole file, the last one, that counts */
    (void)alarm(CASE_MAX_S);
    LLVMFuzzerTestOneInput(exact, length);
    (void)alarm(0);
    free(exact);
    return 1;
}

static int replay_file(const char *folder, const char *name)
{
    char path[4096];

    (void)snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *file = fopen(path, "rbe");
    if (file == NULL) {
        perror(path);
        return 0;
    }
    size_t length = fread(bytes, 1, sizeof(bytes), file);
    int ok = ferror(file) == 0 && length < sizeof(bytes);
    (void)fclose(file);
    if (!ok) {
        fprintf(stderr, "%s: cannot be read, or is too large\n", path);
        return 0;
    }
    printf("%s, %zu bytes\n", name, length);
    (void)fflush(stdout); /* it is the last line if the harness traps */
    size_t step = length / CUTS_MAX + 1;
    for (size_t cut = 0; cut < length; cut += step)
        ok = replay(cut) && ok;
    return replay(length) && ok;
}

/* ---- the errors that are expected ---- */

/* Appends the lines of the case that was just replayed whole; returns how many refusals there were. */
static size_t note_said(FILE *lines, const char *name)
{
    if (strncmp(name, "found-", 6) == 0)
        return 0;
    if (said_count == 0)
        fprintf(lines, "%s: accepted\n", name);
    for (size_t i = 0; i < said_count; i++)
        fprintf(lines, "%s: %s\n", name, said[i]);
    return said_count;
}

/* The first line in which the two texts differ, on standard error. */
static void show_difference(const char *expected, const char *got)
{
    while (*expected != '\0' || *got != '\0') {
        const size_t expected_length = strcspn(expected, "\n");
        const size_t got_length = strcspn(got, "\n");
        if (expected_length != got_length || memcmp(expected, got, got_length) != 0) {
            fprintf(stderr, "expected  %.*s\ngot       %.*s\n", (int)expected_length, expected,
                    (int)got_length, got);
            return;
        }
        expected += expected_length + (expected[expected_length] != '\0');
        got += got_length + (got[got_length] != '\0');
    }
}

static int compare_errors(const char *folder, const char *got)
{
    char path[4096];
    (void)snprintf(path, sizeof(path), "%s.errors", folder);
    const int update = getenv("GOPROFD_UPDATE") != NULL;
    FILE *file = fopen(path, update ? "we" : "re");
    if (file == NULL) {
        perror(path);
        return 0;
    }
    int ok = 1;
    if (update) {
        ok = fputs(got, file) >= 0;
    } else {
        const size_t length = fread(bytes, 1, sizeof(bytes) - 1, file);
        bytes[length] = '\0';
        ok = strcmp((const char *)bytes, got) == 0;
        if (!ok) {
            fprintf(stderr, "%s: something else is said of a hostile file\n", path);
            show_difference((const char *)bytes, got);
        }
    }
    return fclose(file) == 0 && ok;
}

static int is_case(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* In the order of names, whatever the locale: that of the lines that are expected. */
static int compare_names(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

int main(int argc, char **argv)
{
    unsigned failed = 0;
    size_t refusals = 0;
    struct dirent **entries = NULL;
    const int cases = argc == 2 ? scandir(argv[1], &entries, is_case, compare_names) : -1;
    char *got = NULL;
    size_t got_length = 0;
    FILE *lines = open_memstream(&got, &got_length);

    if (cases < 0 || cases > CASES_MAX || lines == NULL) {
        fprintf(stderr, "fuzz_replay: %s\n", argc == 2 ? argv[1] : "usage: X_replay FOLDER");
        return 2;
    }
    for (int i = 0; i < cases; i++) {
        failed += !replay_file(argv[1], entries[i]->d_name);
        refusals += note_said(lines, entries[i]->d_name);
        forget_said();
        free(entries[i]);
    }
    free(entries);
    (void)fclose(lines);
    failed += refusals > 0 && !compare_errors(argv[1], got);
    free(got);
    printf("%d cases replayed, %u failed\n", cases, failed);
    return failed == 0 && cases >= CASES_MIN ? 0 : 1;
}
