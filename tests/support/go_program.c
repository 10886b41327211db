/* go_program.c - see go_program.h. */
#include "tests/support/go_program.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ARGUMENTS_MAX = 16, START_TIMEOUT_MS = 30000 };

static const char versions_file[] = GOPROFD_GO_PROGRAMS "/versions";

/* Runs also where parameters are collected: there no test exists yet that could fail, so that a
 * missing list ends the whole program. */
size_t go_versions_read(struct go_version versions[GO_VERSIONS_MAX])
{
    FILE *file = fopen(versions_file, "r");
    if (file == NULL) {
        fprintf(stderr, "%s is missing: run tests/support/go_programs.sh %s\n", versions_file,
                GOPROFD_GO_PROGRAMS);
        abort();
    }
    size_t count = 0;
    while (count < GO_VERSIONS_MAX &&
           fscanf(file, "%31s %511s", versions[count].name, versions[count].go) == 2)
        count++;
    fclose(file);
    if (count == 0) {
        fprintf(stderr, "%s names no Go version\n", versions_file);
        abort();
    }
    return count;
}

struct go_version *go_versions(size_t *count)
{
    struct go_version *versions = cr_calloc(GO_VERSIONS_MAX, sizeof(*versions));
    if (versions == NULL)
        abort();
    *count = go_versions_read(versions);
    return versions;
}

struct go_version go_version_newest(void)
{
    struct go_version versions[GO_VERSIONS_MAX];
    return versions[go_versions_read(versions) - 1];
}

char *go_program_path(const struct go_version *version, const char *program)
{
    char *path = NULL;
    cr_assert(asprintf(&path, GOPROFD_GO_PROGRAMS "/%s/%s", version->name, program) > 0);
    return path;
}

struct go_program go_program_start(const struct go_version *version, const char *program,
                                   const char *const *arguments, const char *folder,
                                   const char *log_name, const struct process_options *options)
{
    char *path = go_program_path(version, program);
    const char *argv[ARGUMENTS_MAX + 2] = {path};
    for (size_t i = 0; arguments != NULL && arguments[i] != NULL; i++) {
        cr_assert(i < ARGUMENTS_MAX);
        argv[i + 1] = arguments[i];
    }
    char *log_path = path_join(folder, log_name);
    struct go_program started = {.process = process_start(argv, log_path, options)};
    char *address = process_wait_for(&started.process, "listening", START_TIMEOUT_MS);
    const char *colon = strrchr(address, ':');
    cr_assert_not_null(colon, "no port in '%s'", address);
    started.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    cr_assert_neq(started.port, 0, "no port in '%s'", address);
    free(address);
    free(log_path);
    free(path);
    return started;
}

void go_program_release(struct go_program *program)
{
    process_release(&program->process);
    program->port = 0;
}
