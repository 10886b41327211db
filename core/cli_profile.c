/* cli_profile.c - goprofd heap|allocs PID [-o FILE]: one profile, once, then exit. */
#include "core/cli.h"

#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/cli_output.h"
#include "core/goproc/go_process.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

/* A read that met a GC every time is worth trying again for a person who waits. */
enum { READ_ATTEMPTS = 10 };

static const struct profile *read_profile(const struct procfs *procfs, pid_t pid,
                                          struct error *err)
{
    struct go_process *process = go_process_open(procfs, pid, err);
    if (process == NULL)
        return NULL;
    const struct profile *profile = NULL;
    bool ok = false;
    for (int attempt = 0; !ok && attempt < READ_ATTEMPTS; attempt++) {
        struct snapshot *snapshot = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());
        if (snapshot == NULL) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for a snapshot");
            break;
        }
        ok = go_process_read(process, snapshot, &profile, err);
        const bool off = ok && SNAPSHOT_HAS(&snapshot->values, mem_profile_rate) &&
                         snapshot->values.mem_profile_rate == 0;
        snapshot_discard(snapshot);
        if (off)
            fprintf(stderr,
                    "goprofd: process %d has heap profiling switched off (MemProfileRate is 0: "
                    "nothing in the program refers to it); the profile is empty\n",
                    (int)pid);
        if (!ok && err->code != ERROR_BUSY)
            break;
    }
    go_process_close(process);
    return ok ? profile : NULL;
}

static int usage(const char *command)
{
    fprintf(stderr, "usage: goprofd %s PID [-o FILE]\n", command);
    return EXIT_USAGE;
}

int cli_profile(int argc, char **argv)
{
    const char *command = argv[0];
    const char *pid_text = NULL;
    const char *path = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            path = argv[++i];
        else if (argv[i][0] != '-' && pid_text == NULL)
            pid_text = argv[i];
        else
            return usage(command);
    }
    pid_t pid = 0;
    if (pid_text == NULL)
        return usage(command);
    if (!cli_parse_pid(pid_text, &pid)) {
        fprintf(stderr, "goprofd %s: '%s' is not a process id\n", command, pid_text);
        return EXIT_USAGE;
    }
    if (path == NULL && isatty(STDOUT_FILENO)) {
        fprintf(stderr,
                "goprofd %s: the profile is binary; name a file with -o FILE or redirect stdout\n",
                command);
        return EXIT_USAGE;
    }

    const struct procfs procfs = {.root = ""};
    struct error err = {.code = ERROR_NONE};
    const struct profile *profile = read_profile(&procfs, pid, &err);
    struct buffer body;
    buffer_init(&body, PROFILE_WRITER_MAX_BYTES);
    const enum profile_default_type type = strcmp(command, "allocs") == 0
                                               ? PROFILE_DEFAULT_ALLOC_SPACE
                                               : PROFILE_DEFAULT_INUSE_SPACE;
    bool ok = profile != NULL && profile_write_gzip(profile, type, NULL, 0, &body, &err);
    if (ok)
        ok = path != NULL ? cli_write_file(path, &body, &err)
                          : cli_write_all(STDOUT_FILENO, body.data, body.length, &err);
    if (!ok)
        fprintf(stderr, "goprofd %s %d: %s\n", command, (int)pid, err.message);
    else if (path != NULL)
        fprintf(stderr, "%s: %zu sites, %.1f MiB in use\n", path, profile->entry_count,
                (double)profile->totals.inuse_bytes / (1 << 20));
    profile_unref(profile);
    buffer_release(&body);
    return ok ? EXIT_FINE : EXIT_FAILED;
}
