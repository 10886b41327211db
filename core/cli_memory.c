/* cli_memory.c - goprofd memory PID: why the resident memory of a Go process is what it is.
 *
 * One look, no history: for the time until a limit is reached the daemon has to watch. */
#include "core/cli.h"

#include "core/base/clock.h"
#include "core/cli_output.h"
#include "core/goproc/go_process.h"
#include "core/memory_watch.h"
#include "core/store/heap_classes.h"
#include "core/store/memory_limit.h"
#include "core/store/profile.h"
#include "core/store/rss_parts.h"
#include "core/store/snapshot.h"

enum { READ_ATTEMPTS = 10, CLASSES_SHOWN = 5 };
/* A class that wastes less is not what makes anything large. */
#define CLASS_WASTE_LEAST_BYTES ((uint64_t)64 << 10)

static double mib(uint64_t bytes)
{
    return (double)bytes / (1 << 20);
}

/* ---- reading ---- */

static bool read_once(const struct procfs *procfs, pid_t pid, struct go_process *process,
                      struct snapshot *snapshot, struct error *err)
{
    const struct profile *profile = NULL;
    const bool ok = procfs_usage_read(procfs, pid, &snapshot->values, err) &&
                    go_process_read(process, snapshot, &profile, err) &&
                    memory_watch_look_once(procfs, pid, process, snapshot, err);
    profile_unref(profile);
    return ok;
}

/* The caller discards it; NULL with the reason. */
static struct snapshot *read_memory(pid_t pid, struct error *err)
{
    const struct procfs procfs = {.root = ""};
    struct go_process *process = go_process_open(&procfs, pid, err);
    if (process == NULL)
        return NULL;
    struct snapshot *snapshot = NULL;
    bool ok = false;
    for (int attempt = 0; !ok && attempt < READ_ATTEMPTS; attempt++) {
        snapshot_discard(snapshot);
        snapshot = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());
        if (snapshot == NULL) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for a snapshot");
            break;
        }
        ok = read_once(&procfs, pid, process, snapshot, err);
        if (!ok && err->code != ERROR_BUSY)
            break;
    }
    go_process_close(process);
    if (ok)
        return snapshot;
    snapshot_discard(snapshot);
    return NULL;
}

/* ---- printing ---- */

static void print_parts(const struct snapshot_values *values)
{
    printf("%-20s %10s %6s  %s\n", "PART", "MiB", "%", "");
    for (size_t i = 0; i < RSS_PART_COUNT; i++) {
        union field_value value;
        if (!snapshot_field_get(values, &snapshot_fields[rss_parts[i].field], &value))
            continue;
        const double percent =
            values->rss_bytes == 0 ? 0 : 100.0 * (double)value.u64 / (double)values->rss_bytes;
        printf("%-20s %10.1f %6.1f  %s\n", rss_parts[i].name, mib(value.u64), percent,
               rss_parts[i].meaning);
    }
    printf("%-20s %10.1f %6.1f  %s\n", "RSS", mib(values->rss_bytes), 100.0,
           "Resident memory: the sum of the parts");
}

static void print_beside(const struct snapshot_values *values)
{
    printf("\n");
    if (SNAPSHOT_HAS(values, pss_bytes))
        printf("%-20s %10.1f         RSS with shared pages divided among those who share them\n",
               "PSS", mib(values->pss_bytes));
    if (SNAPSHOT_HAS(values, swap_bytes) && values->swap_bytes > 0)
        printf("%-20s %10.1f         Swapped out: beside RSS\n", "swap", mib(values->swap_bytes));
    if (SNAPSHOT_HAS(values, rss_huge_bytes) && values->rss_huge_bytes > 0)
        printf("%-20s %10.1f         In transparent huge pages\n", "huge pages",
               mib(values->rss_huge_bytes));
    struct memory_limit limits[LIMIT_KINDS];
    const size_t count = memory_limits_list(values, limits);
    for (size_t i = 0; i < count; i++)
        printf("%-20s %10.1f         Limit, %.1f MiB of it used: %s\n", limits[i].name,
               mib(limits[i].limit_bytes), mib(limits[i].used_bytes), limits[i].meaning);
}

static void print_advice(const struct snapshot_values *values)
{
    size_t largest = 0;
    uint64_t most = 0;
    for (size_t i = 0; i < RSS_PART_COUNT; i++) {
        union field_value value;
        if (snapshot_field_get(values, &snapshot_fields[rss_parts[i].field], &value) &&
            value.u64 > most) {
            most = value.u64;
            largest = i;
        }
    }
    printf("\nThe largest part is %s: %s.\n", rss_parts[largest].name, rss_parts[largest].advice);
}

static void print_classes(const struct heap_classes *classes)
{
    bool begun = false;
    for (size_t i = 0; classes != NULL && i < classes->count && i < CLASSES_SHOWN; i++) {
        const struct heap_class *class = &classes->classes[i];
        if (class->wasted_bytes < CLASS_WASTE_LEAST_BYTES)
            break;
        if (!begun)
            printf("\nFree places in spans in use, by size of object:\n%-12s %10s %12s %10s\n",
                   "OBJECT", "SPANS", "OBJECTS", "FREE MiB");
        begun = true;
        printf("%10llu B %10llu %12llu %10.1f\n", (unsigned long long)class->object_bytes,
               (unsigned long long)class->spans, (unsigned long long)class->objects,
               mib(class->wasted_bytes));
    }
}

int cli_memory(int argc, char **argv)
{
    pid_t pid = 0;
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: goprofd memory PID\n");
        return EXIT_USAGE;
    }
    if (!cli_parse_pid(argv[1], &pid)) {
        fprintf(stderr, "goprofd memory: '%s' is not a process id\n", argv[1]);
        return EXIT_USAGE;
    }
    struct error err = {.code = ERROR_NONE};
    struct snapshot *snapshot = read_memory(pid, &err);
    if (snapshot == NULL) {
        fprintf(stderr, "goprofd memory %d: %s\n", (int)pid, err.message);
        return EXIT_FAILED;
    }
    print_parts(&snapshot->values);
    print_beside(&snapshot->values);
    print_classes(snapshot->heap_classes);
    print_advice(&snapshot->values);
    snapshot_discard(snapshot);
    return EXIT_FINE;
}
