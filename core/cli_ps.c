/* cli_ps.c - goprofd ps: the Go processes of this host, and whether each can be read. */
#include "core/cli.h"

#include "core/base/clock.h"
#include "core/goproc/go_finder.h"
#include "core/goproc/go_process.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

struct ps_row {
    const struct procfs *procfs;
    struct go_finder *finder;
    size_t shown;
    size_t unreadable_programs; /* whose executable we may not even open */
    struct error unreadable;    /* why not, of the first of them */
};

static void format_mib(char *out, size_t size, bool known, uint64_t bytes)
{
    if (!known)
        (void)snprintf(out, size, "-");
    else
        (void)snprintf(out, size, "%.1f", (double)bytes / (1 << 20));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static void print_header(void)
{
    printf("%-8s %-20s %-12s %9s %9s %10s  %s\n", "PID", "COMMAND", "GO", "RSS MiB", "HEAP MiB",
           "GOROUTINES", "READABLE");
}

static void print_row(const struct ps_row *row, pid_t pid, const struct go_found *found)
{
    const char *go_version = found->go_version[0] == '\0' ? "?" : found->go_version;
    struct error err = {.code = ERROR_NONE};
    struct target_facts facts = {0};
    char rss[16] = "-";
    char heap[16] = "-";
    char goroutines[24] = "-";
    char verdict[ERROR_MESSAGE_MAX_BYTES + 16] = "yes";
    struct procfs_identity identity = {0};
    struct error ignored;
    const bool known = procfs_identity_read(row->procfs, pid, &identity, &ignored);
    const char *command = known ? identity.comm : "?";

    struct go_process *process = go_process_open(row->procfs, pid, &err);
    struct snapshot *snapshot = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());
    const struct profile *profile = NULL;
    if (snapshot != NULL) {
        bool ok = process != NULL && go_process_read(process, snapshot, &profile, &err);
        const struct snapshot_values *values = &snapshot->values;
        if (!procfs_usage_read(row->procfs, pid, &snapshot->values, &ignored) && !ok)
            err = ignored; /* not even the kernel tells: it is gone, which says more */
        format_mib(rss, sizeof(rss), SNAPSHOT_HAS(values, rss_bytes), values->rss_bytes);
        format_mib(heap, sizeof(heap), SNAPSHOT_HAS(values, heap_alloc_bytes),
                   values->heap_alloc_bytes);
        if (SNAPSHOT_HAS(values, goroutines))
            (void)snprintf(goroutines, sizeof(goroutines), "%llu",
                           (unsigned long long)values->goroutines);
        if (!ok)
            (void)snprintf(verdict, sizeof(verdict), "no: %s", err.message);
        else if (SNAPSHOT_HAS(values, mem_profile_rate) && values->mem_profile_rate == 0)
            (void)snprintf(verdict, sizeof(verdict),
                           "yes, but the program switched heap profiling off");
        else if (go_process_restriction(process, &err))
            (void)snprintf(verdict, sizeof(verdict), "yes, but %s", err.message);
    }
    if (process != NULL) {
        go_process_facts(process, &facts);
        if (facts.exe != NULL && facts.exe[0] != '\0')
            command = base_name(found->through_loader ? found->image : facts.exe);
        if (facts.go_version != NULL && facts.go_version[0] != '\0')
            go_version = facts.go_version; /* also where only the process itself tells it */
    }
    char line[sizeof(verdict) + 256];
    (void)snprintf(line, sizeof(line), "%-8d %-20.20s %-12.40s %9s %9s %10s  %s", (int)pid, command,
                   go_version, rss, heap, goroutines, verdict);
    error_clean_text(line); /* names are the process's own choice */
    puts(line);
    profile_unref(profile);
    snapshot_discard(snapshot);
    go_process_close(process);
}

static bool visit_pid(pid_t pid, void *context)
{
    struct ps_row *row = context;
    struct go_found found;
    struct error err;
    if (!go_finder_look(row->finder, pid, clock_monotonic_ns(), &found, &err)) {
        if (err.code == ERROR_DENIED && row->unreadable_programs++ == 0)
            row->unreadable = err;
        const pid_t thread = procfs_living_thread(row->procfs, pid);
        if (thread == 0 ||
            !go_finder_look(row->finder, thread, clock_monotonic_ns(), &found, &err))
            return true;
    }
    if (row->shown++ == 0)
        print_header();
    print_row(row, pid, &found);
    return true;
}

/* What is not listed, and why: an empty list is no proof that there is no Go process. */
static void tell_what_is_missing(const struct ps_row *row)
{
    if (row->unreadable_programs > 0)
        fprintf(stderr, "%zu other %s could not be looked at%s: %s\n", row->unreadable_programs,
                row->unreadable_programs > 1 ? "processes" : "process",
                row->unreadable_programs > 1 ? ", for example" : "", row->unreadable.message);
    if (procfs_hides_processes(row->procfs))
        fprintf(stderr, "/proc is mounted with hidepid: processes of other users are not listed: remount it "
                        "without, or run goprofd with CAP_SYS_PTRACE\n");
}

int cli_ps(int argc, char **argv)
{
    if (argc > 1) {
        fprintf(stderr, "goprofd ps: unexpected argument '%s'; usage: goprofd ps\n", argv[1]);
        return EXIT_USAGE;
    }
    const struct procfs procfs = {.root = ""};
    struct ps_row row = {.procfs = &procfs, .finder = go_finder_new(&procfs)};
    struct error err;
    if (row.finder == NULL) {
        fprintf(stderr, "goprofd ps: no memory\n");
        return EXIT_FAILED;
    }
    const bool listed = procfs_each_pid(&procfs, visit_pid, &row, &err);
    go_finder_free(row.finder);
    if (!listed) {
        fprintf(stderr, "goprofd ps: %s\n", err.message);
        return EXIT_FAILED;
    }
    if (row.shown == 0)
        printf("no Go process found\n");
    tell_what_is_missing(&row);
    return EXIT_FINE;
}
