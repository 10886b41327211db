/* cli_test.c - goprofd test PATH...
 *
 *   files and folders --> test_file_run() for each --> a line for each file, what differed, a sum
 *
 * The main thread, before there is any other.  Findings go to stdout, wrong usage to stderr. */
#include "lua/cli_test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/error.h"
#include "core/cli.h"
#include "lua/rule_test.h"
#include "lua/test_file.h"

enum { REPORT_MAX_BYTES = 1 << 20, PATH_MAX_BYTES = 4096 };

static const char usage[] =
    "usage: goprofd test PATH...\n"
    "\n"
    "Runs the tests of rules: those that a rule carries, and those in NAME_test.lua beside it or\n"
    "elsewhere. A folder stands for its files that end in .lua. Ends with 0 if all passed, 1 if not.\n";

struct sum {
    const struct config *config;
    size_t files;
    size_t run;
    size_t failed;
    size_t unusable; /* files */
};

static void print_report(struct buffer *report)
{
    const char *lines = buffer_text(report);
    if (lines == NULL)
        puts("  (the report is too long to show)");
    else
        fputs(lines, stdout);
}

static void run_file(const char *path, struct sum *sum)
{
    struct rule_test_result result;
    struct error err = {.code = ERROR_NONE};
    struct buffer report;
    buffer_init(&report, REPORT_MAX_BYTES);
    const bool ok = test_file_run(path, sum->config, &report, &result, &err);
    sum->files++;
    sum->run += result.run;
    sum->failed += result.failed;
    if (ok && result.run == 0) {
        printf("none  %s has no tests\n", path);
    } else if (ok) {
        printf("ok    %s: %zu tests\n", path, result.run);
    } else if (result.failed > 0) {
        printf("FAIL  %s: %zu of %zu tests\n", path, result.failed, result.run);
        print_report(&report);
    } else {
        printf("FAIL  %s\n", err.message);
        sum->unusable++;
    }
    buffer_release(&report);
}

static int is_lua_file(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 && strcmp(entry->d_name + length - 4, ".lua") == 0;
}

static int compare_names(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name);
}

static void run_folder(const char *folder, struct sum *sum)
{
    struct dirent **entries = NULL;
    const int count = scandir(folder, &entries, is_lua_file, compare_names);
    if (count == -1) {
        printf("FAIL  %s: cannot be read\n", folder);
        sum->unusable++;
        return;
    }
    const size_t length = strlen(folder);
    for (int i = 0; i < count; i++) {
        char path[PATH_MAX_BYTES];
        const int written = snprintf(path, sizeof(path), "%s%s%s", folder,
                                     length > 0 && folder[length - 1] == '/' ? "" : "/",
                                     entries[i]->d_name);
        if (written > 0 && (size_t)written < sizeof(path)) {
            run_file(path, sum);
        } else {
            printf("FAIL  %s: the path is too long\n", folder);
            sum->unusable++;
        }
        free(entries[i]);
    }
    free(entries);
}

static int run_paths(int count, char **paths, struct sum *sum)
{
    for (int i = 0; i < count; i++) {
        struct stat info;
        if (stat(paths[i], &info) == -1) {
            fprintf(stderr, "goprofd test: %s: no such file or folder\n", paths[i]);
            return EXIT_USAGE;
        }
        if (S_ISDIR(info.st_mode))
            run_folder(paths[i], sum);
        else
            run_file(paths[i], sum);
    }
    printf("%zu tests in %zu files: %zu passed, %zu failed", sum->run, sum->files,
           sum->run - sum->failed, sum->failed);
    if (sum->unusable > 0)
        printf("; %zu files could not be used", sum->unusable);
    puts("");
    if (sum->run == 0 && sum->unusable == 0)
        fputs("goprofd test: there are no tests there\n", stderr);
    return sum->failed == 0 && sum->unusable == 0 && sum->run > 0 ? EXIT_FINE : EXIT_FAILED;
}

int cli_test(int argc, char **argv)
{
    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        fputs(usage, stdout);
        return EXIT_FINE;
    }
    if (argc < 2 || argv[1][0] == '-') {
        fputs(usage, stderr);
        return EXIT_USAGE;
    }
    struct config *config = config_new();
    if (config == NULL) {
        fputs("goprofd test: no memory\n", stderr);
        return EXIT_FAILED;
    }
    struct sum sum = {.config = config};
    const int code = run_paths(argc - 1, argv + 1, &sum);
    config_free(config);
    return code;
}
