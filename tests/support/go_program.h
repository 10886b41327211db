/* go_program.h - the Go programs that tests watch, as tests/support/go_programs.sh has built them. */
#ifndef GOPROFD_TESTS_GO_PROGRAM_H
#define GOPROFD_TESTS_GO_PROGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "tests/support/process.h"

/* One Go toolchain that programs were built with. */
struct go_version {
    char name[32]; /* "1.27.3" */
    char go[512];  /* path of its go command */
};

enum { GO_VERSIONS_MAX = 32 };

/* The versions of this run, oldest first; returns how many: at least one, or the program ends. */
size_t go_versions_read(struct go_version versions[GO_VERSIONS_MAX]);

/* The same where Criterion collects parameters, and only there: cr_malloc'ed, as these must be. */
struct go_version *go_versions(size_t *count);
struct go_version go_version_newest(void);

struct go_program {
    struct process process;
    uint16_t port;
};

/* Path of [program] built with [version]; the caller frees it. */
char *go_program_path(const struct go_version *version, const char *program);

/* Starts [program] with [arguments] (NULL-ended, without its name; NULL: none) and waits until it listens.
 * Its output goes to FOLDER/LOG_NAME.log. */
struct go_program go_program_start(const struct go_version *version, const char *program,
                                   const char *const *arguments, const char *folder,
                                   const char *log_name, const struct process_options *options);
void go_program_release(struct go_program *program);

#endif
