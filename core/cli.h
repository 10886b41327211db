/* cli.h - the subcommands that run once and exit: ps, memory, heap, allocs, goroutine, block,
 * mutex, threadcreate.
 *
 * Called by main.c on the only thread; print to stdout, errors to stderr, and return the exit
 * code: 0 fine, 1 the thing asked for failed, 2 wrong usage. */
#ifndef GOPROFD_CLI_H
#define GOPROFD_CLI_H

enum { EXIT_FINE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

/* goprofd ps */
int cli_ps(int argc, char **argv);

/* goprofd heap|allocs PID [-o FILE], goprofd heap|allocs --core FILE [EXE] [-o FILE]; argv[0] is the
 * subcommand. */
int cli_profile(int argc, char **argv);

/* goprofd goroutine|block|mutex|threadcreate PID [-o FILE] [-debug N]; argv[0] is the subcommand. */
int cli_stacks(int argc, char **argv);

/* goprofd decode FILE|FOLDER */
int cli_decode(int argc, char **argv);

/* goprofd memory PID */
int cli_memory(int argc, char **argv);

#endif
