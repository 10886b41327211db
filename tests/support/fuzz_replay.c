/* fuzz_replay.c - runs a fuzz harness on its corpus, in builds without a fuzzer.
 *
 *   X_replay FOLDER
 *
 * Linked with X_fuzz.c.  Each file of FOLDER is given whole and cut short at up to CUTS_MAX lengths, in copies
 * without a byte to spare, so that a sanitizer sees each byte read too many.  What the harness traps on
 * (above all a failure without a message) ends it with a signal; hanging, with ctest's time-out. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CASE_MAX_BYTES = 1 << 20, CUTS_MAX = 32, CASES_MIN = 5 };

static unsigned char bytes[CASE_MAX_BYTES];

static int replay(size_t length)
{
    unsigned char *exact = malloc(length > 0 ? length : 1);

    if (exact == NULL)
        return 0;
    memcpy(exact, bytes, length);
    LLVMFuzzerTestOneInput(exact, length);
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

int main(int argc, char **argv)
{
    unsigned cases = 0, failed = 0;
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;

    if (dir == NULL) {
        fprintf(stderr, "fuzz_replay: %s\n", argc == 2 ? argv[1] : "usage: X_replay FOLDER");
        return 2;
    }
    for (const struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (entry->d_name[0] == '.')
            continue;
        cases++;
        failed += !replay_file(argv[1], entry->d_name);
    }
    (void)closedir(dir);
    printf("%u cases replayed, %u failed\n", cases, failed);
    return failed == 0 && cases >= CASES_MIN ? 0 : 1;
}
