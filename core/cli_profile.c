/* cli_profile.c - goprofd heap|allocs PID or --core FILE: one profile, once, then exit. */
#include "core/cli.h"

#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/cli_output.h"
#include "core/goproc/core_file.h"
#include "core/goproc/go_process.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

/* A read that met a GC every time is worth trying again for a person who waits. */
enum { READ_ATTEMPTS = 10 };

struct request {
    const char *command; /* "heap", "allocs" */
    pid_t pid;
    const char *core; /* NULL: the live process [pid] */
    const char *exe;  /* that wrote the core; NULL: as the core says */
    const char *output; /* NULL: standard output */
};

/* How the process is called in messages. */
static const char *subject(const struct request *request, char text[64])
{
    if (request->core == NULL)
        (void)snprintf(text, 64, "%d", (int)request->pid);
    else
        (void)snprintf(text, 64, "--core");
    return text;
}

static struct go_process *open_process(const struct request *request, struct error *err)
{
    const struct procfs procfs = {.root = ""};
    return request->core == NULL ? go_process_open(&procfs, request->pid, err)
                                 : go_process_open_core(request->core, request->exe, err);
}

/* A core is as old as its file. */
static uint64_t time_of(const struct go_process *process)
{
    const struct core_file *core = go_process_core(process);
    return core != NULL ? core_file_written_realtime_ns(core) : clock_realtime_ns();
}

static void tell_profiling_is_off(const struct request *request)
{
    char text[64];
    fprintf(stderr,
            "goprofd %s %s: heap profiling is switched off there (MemProfileRate is 0 or less: the program set "
            "it, or nothing in it refers to heap profiles); the profile is empty: of what may have been sampled "
            "before nothing tells the rate\n",
            request->command, subject(request, text));
}

static const struct profile *read_profile(const struct request *request, struct error *err)
{
    struct go_process *process = open_process(request, err);
    if (process == NULL)
        return NULL;
    const struct profile *profile = NULL;
    bool ok = false;
    const int attempts = request->core == NULL ? READ_ATTEMPTS : 1;
    for (int attempt = 0; !ok && attempt < attempts; attempt++) {
        struct snapshot *snapshot = snapshot_begin(time_of(process), clock_monotonic_ns());
        if (snapshot == NULL) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for a snapshot");
            break;
        }
        ok = go_process_read(process, snapshot, &profile, err);
        if (ok && SNAPSHOT_HAS(&snapshot->values, mem_profile_rate) &&
            snapshot->values.mem_profile_rate == 0)
            tell_profiling_is_off(request);
        snapshot_discard(snapshot);
        if (!ok && err->code != ERROR_BUSY)
            break;
    }
    struct error note;
    if (ok && go_process_restriction(process, &note))
        fprintf(stderr, "goprofd %s: %s\n", request->command, note.message);
    if (!ok && request->core != NULL && err->code == ERROR_BUSY)
        (void)error_wrap(err, "the core was written while a GC was publishing its profile");
    go_process_close(process);
    return ok ? profile : NULL;
}

static bool write_profile(const struct request *request, const struct profile *profile,
                          struct error *err)
{
    struct buffer body;
    buffer_init(&body, PROFILE_WRITER_MAX_BYTES);
    const enum profile_default_type type = strcmp(request->command, "allocs") == 0
                                               ? PROFILE_DEFAULT_ALLOC_SPACE
                                               : PROFILE_DEFAULT_INUSE_SPACE;
    bool ok = profile_write_gzip(profile, type, NULL, 0, &body, err);
    if (ok)
        ok = request->output != NULL
                 ? cli_write_file(request->output, &body, err)
                 : cli_write_all(STDOUT_FILENO, body.data, body.length, err);
    buffer_release(&body);
    return ok;
}

static int usage(const char *command)
{
    fprintf(stderr,
            "usage: goprofd %s PID [-o FILE]\n"
            "       goprofd %s --core FILE [EXE] [-o FILE]\n",
            command, command);
    return EXIT_USAGE;
}

static bool parse_arguments(int argc, char **argv, struct request *request, const char **pid_text)
{
    const char *free_argument = NULL;
    *request = (struct request){.command = argv[0]};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            request->output = argv[++i];
        else if ((strcmp(argv[i], "--core") == 0 || strcmp(argv[i], "-core") == 0) &&
                 i + 1 < argc && request->core == NULL)
            request->core = argv[++i];
        else if (argv[i][0] != '-' && free_argument == NULL)
            free_argument = argv[i];
        else
            return false;
    }
    *pid_text = request->core == NULL ? free_argument : NULL;
    request->exe = request->core == NULL ? NULL : free_argument;
    return request->core != NULL || free_argument != NULL;
}

int cli_profile(int argc, char **argv)
{
    struct request request;
    const char *pid_text = NULL;
    char text[64];
    if (!parse_arguments(argc, argv, &request, &pid_text))
        return usage(argv[0]);
    if (pid_text != NULL && !cli_parse_pid(pid_text, &request.pid)) {
        fprintf(stderr, "goprofd %s: '%s' is not a process id\n", request.command, pid_text);
        return EXIT_USAGE;
    }
    if (request.output == NULL && isatty(STDOUT_FILENO)) {
        fprintf(stderr,
                "goprofd %s: the profile is binary; name a file with -o FILE or redirect stdout\n",
                request.command);
        return EXIT_USAGE;
    }

    struct error err = {.code = ERROR_NONE};
    const struct profile *profile = read_profile(&request, &err);
    const bool ok = profile != NULL && write_profile(&request, profile, &err);
    if (!ok)
        fprintf(stderr, "goprofd %s %s: %s\n", request.command, subject(&request, text),
                err.message);
    else if (request.output != NULL)
        fprintf(stderr, "%s: %zu sites, %.1f MiB in use\n", request.output, profile->entry_count,
                (double)profile->totals.inuse_bytes / (1 << 20));
    profile_unref(profile);
    return ok ? EXIT_FINE : EXIT_FAILED;
}
