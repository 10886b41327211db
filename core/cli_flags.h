/* cli_flags.h - the arguments of the daemon itself, when no subcommand is named. */
#ifndef GOPROFD_CLI_FLAGS_H
#define GOPROFD_CLI_FLAGS_H

#include <stdbool.h>
#include <stddef.h>

enum { CLI_FLAGS_OPTIONS_MAX = 64 };

struct cli_flags {
    const char *config_path; /* NULL: defaults */
    bool check_only;
    char *options[CLI_FLAGS_OPTIONS_MAX + 1]; /* "GOPROF_KEY=VALUE", NULL-ended; owned */
    size_t option_count;
};

/* Reads [argv] into [flags], which is zeroed; the caller releases it, whatever this returns.  [*done]: nothing is
 * left to do (help or the version was printed, or an argument was refused) but to end with what is returned. */
int cli_flags_parse(int argc, char **argv, struct cli_flags *flags, bool *done);
void cli_flags_release(struct cli_flags *flags);

#endif
