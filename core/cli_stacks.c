/* cli_stacks.c - goprofd goroutine|block|mutex|threadcreate PID [-o FILE] [-debug N]: one profile,
 * once, then exit. */
#include "core/cli.h"

#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/cli_output.h"
#include "core/goproc/go_process.h"
#include "core/goproc/stack_reading.h"
#include "core/pprof/stack_writer.h"

struct stacks_arguments {
    enum stack_kind kind;
    pid_t pid;
    const char *path; /* NULL: standard output */
    char debug;       /* '0' binary, '1' and '2' text */
};

static int usage(const char *command)
{
    fprintf(stderr, "usage: goprofd %s PID [-o FILE] [-debug 0|1|2]\n", command);
    return EXIT_USAGE;
}

static int parse_arguments(int argc, char **argv, struct stacks_arguments *arguments)
{
    const char *pid_text = NULL;

    *arguments = (struct stacks_arguments){.debug = '0'};
    if (!stack_kind_parse(argv[0], &arguments->kind))
        return usage(argv[0]);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc) {
            arguments->path = argv[++i];
        } else if (strcmp(argv[i], "-debug") == 0 && i + 1 < argc && strlen(argv[i + 1]) == 1 &&
                   strchr("012", argv[i + 1][0]) != NULL) {
            arguments->debug = argv[++i][0];
        } else if (argv[i][0] != '-' && pid_text == NULL) {
            pid_text = argv[i];
        } else {
            return usage(argv[0]);
        }
    }
    if (pid_text == NULL)
        return usage(argv[0]);
    if (!cli_parse_pid(pid_text, &arguments->pid)) {
        fprintf(stderr, "goprofd %s: '%s' is not a process id\n", argv[0], pid_text);
        return EXIT_USAGE;
    }
    if (arguments->path == NULL && arguments->debug == '0' && isatty(STDOUT_FILENO)) {
        fprintf(stderr,
                "goprofd %s: the profile is binary; name a file with -o FILE, redirect stdout, or "
                "ask for text with -debug 1\n",
                argv[0]);
        return EXIT_USAGE;
    }
    return EXIT_FINE;
}

static const struct stack_profile *read_stacks(const struct stacks_arguments *arguments,
                                               struct error *err)
{
    const struct procfs procfs = {.root = ""};
    const struct stack_profile *profile = NULL;
    struct stack_source source;

    struct go_process *process = go_process_open(&procfs, arguments->pid, err);
    if (process == NULL)
        return NULL;
    go_process_stack_source(process, &source);
    struct stack_reading *reading =
        stack_reading_begin(&source, arguments->kind, clock_realtime_ns(), err);
    bool ok =
        reading != NULL && stack_reading_step(reading, UINT64_MAX, &profile, err) == READING_DONE;
    stack_reading_free(reading);
    /* Whatever was read counts only if it was read from this process. */
    if (ok)
        ok = go_process_is_alive(process, err);
    if (!ok) {
        stack_profile_unref(profile);
        profile = NULL;
    }
    go_process_close(process);
    return profile;
}

static bool write_stacks(const struct stacks_arguments *arguments,
                         const struct stack_profile *profile, struct error *err)
{
    struct buffer body;
    buffer_init(&body, PROFILE_WRITER_MAX_BYTES);
    bool ok = arguments->debug == '0'   ? stack_write_gzip(profile, &body, err)
              : arguments->debug == '1' ? stack_write_text(profile, &body, err)
                                        : stack_write_goroutines(profile, &body, err);
    if (ok)
        ok = arguments->path != NULL ? cli_write_file(arguments->path, &body, err)
                                     : cli_write_all(STDOUT_FILENO, body.data, body.length, err);
    buffer_release(&body);
    return ok;
}

static void report(const struct stacks_arguments *arguments, const struct stack_profile *profile)
{
    if (arguments->path != NULL)
        fprintf(stderr, "%s: %zu stacks, %lld %s\n", arguments->path, profile->entry_count,
                (long long)profile->totals[0],
                stack_kind_is_contention(profile->kind) ? "contentions"
                : profile->kind == STACK_GOROUTINE      ? "goroutines"
                                                        : "threads");
    if (profile->without_stack > 0)
        fprintf(stderr, "goprofd: %llu goroutines were running: counted, without a stack\n",
                (unsigned long long)profile->without_stack);
    if (profile->partial)
        fprintf(stderr, "goprofd: the profile is partial: %s\n", profile->partial_reason);
    if (stack_kind_is_contention(profile->kind) && !profile->has_delay)
        fprintf(stderr, "goprofd: no delays: the rate of the CPU's clock is not known\n");
}

int cli_stacks(int argc, char **argv)
{
    struct stacks_arguments arguments;
    const int status = parse_arguments(argc, argv, &arguments);
    if (status != EXIT_FINE)
        return status;

    struct error err = {.code = ERROR_NONE};
    const struct stack_profile *profile = read_stacks(&arguments, &err);
    const bool ok = profile != NULL && write_stacks(&arguments, profile, &err);
    if (ok)
        report(&arguments, profile);
    else
        fprintf(stderr, "goprofd %s %d: %s\n", argv[0], (int)arguments.pid, err.message);
    stack_profile_unref(profile);
    return ok ? EXIT_FINE : EXIT_FAILED;
}
