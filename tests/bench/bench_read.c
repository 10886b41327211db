/* bench_read.c PID PORT RUNS [SECONDS] - what one external read costs, and whom.
 *
 * The peer is the same process serving its own GET /debug/pprof/heap: it is asked in turn with our
 * reads, after each the same kind of GC, so both meet the same heap.  CPU is taken from the kernel's
 * clocks: this thread's for goprofd, the whole process's for the target.
 *
 *   first      each in a process of its own, which has opened nothing before
 *   steady     back to back, but each after a collection: the counters of all sites are read again.  After one
 *              of the runtime's own one pass suffices, after runtime.GC() two must agree
 *   quiet      back to back with no collection between: that nothing was published is enough to know
 *   SECONDS    only this: once a second for so long, while the target works */
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/goproc/go_process.h"
#include "core/goproc/procfs.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "tests/bench/bench.h"

enum { SETTLE_MS = 30, QUIET_READS_PER_RUN = 10, FIRST_READS_MAX = 21 };

static double to_ms(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_MS;
}

/* Lets the target finish what a request or GC left it to do. */
static void settle(void)
{
    usleep(SETTLE_MS * 1000);
}

/* CPU of this thread for one read; [*profile] gets a hold. */
static uint64_t read_once(struct go_process *process, const struct profile **profile)
{
    struct error err = {0};
    const uint64_t before_ns = clock_thread_cpu_ns();
    struct snapshot *building = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());
    if (building == NULL || !go_process_read(process, building, profile, &err))
        bench_fail("read: %s", err.message);
    snapshot_discard(building);
    return clock_thread_cpu_ns() - before_ns;
}

static void get(uint16_t port, const char *path)
{
    if (bench_http_get(port, path) < 0)
        bench_fail("GET %s from port %u failed", path, port);
}

static struct go_process *open_process(pid_t pid)
{
    static const struct procfs fs = {.root = "/"};
    struct error err = {0};
    struct go_process *process = go_process_open(&fs, pid, &err);
    if (process == NULL)
        bench_fail("open: %s", err.message);
    return process;
}

struct first_read {
    double open_ms;
    double read_ms;
    size_t sites;
    size_t table_bytes;
};

/* In a child, whose heap has not grown yet. */
static struct first_read first_read(pid_t pid)
{
    struct first_read first;
    int ends[2];
    if (pipe(ends) == -1)
        bench_fail("pipe");
    const pid_t child = fork();
    if (child == -1)
        bench_fail("fork");
    if (child == 0) {
        const struct profile *profile = NULL;
        const uint64_t before_ns = clock_thread_cpu_ns();
        struct go_process *process = open_process(pid);
        first.open_ms = to_ms(clock_thread_cpu_ns() - before_ns);
        first.read_ms = to_ms(read_once(process, &profile));
        first.sites = profile->entry_count;
        first.table_bytes = site_table_bytes(go_process_sites(process));
        _exit(write(ends[1], &first, sizeof(first)) == (ssize_t)sizeof(first) ? 0 : 1);
    }
    close(ends[1]);
    const ssize_t got = read(ends[0], &first, sizeof(first));
    close(ends[0]);
    (void)waitpid(child, NULL, 0);
    if (got != (ssize_t)sizeof(first))
        bench_fail("the child that reads for the first time failed");
    return first;
}

static void run_first(pid_t pid, size_t runs)
{
    static struct bench_series opens;
    static struct bench_series reads;
    struct first_read first = {0};
    for (size_t i = 0; i < runs && i < FIRST_READS_MAX; i++) {
        first = first_read(pid);
        bench_add(&opens, first.open_ms);
        bench_add(&reads, first.read_ms);
    }
    printf("  %zu sites, whose stacks take %.1f MiB\n", first.sites,
           (double)first.table_bytes / (1 << 20));
    bench_print("goprofd: CPU to open the process", "ms", &opens);
    bench_print("goprofd: CPU of the first read (learns every stack)", "ms", &reads);
}

/* [runs] reads, each right after a GET of [gc]. */
static void read_after(struct go_process *process, pid_t pid, uint16_t port, const char *gc,
                       size_t runs, struct bench_series *ours, struct bench_series *theirs)
{
    const struct profile *last = NULL;
    size_t fresh = 0;
    for (size_t i = 0; i < runs; i++) {
        const struct profile *profile = NULL;
        get(port, gc);
        bench_add(ours, to_ms(read_once(process, &profile)));
        fresh += profile != last;
        profile_unref(last);
        last = profile;
        if (theirs == NULL)
            continue;
        settle();
        const uint64_t before_ns = bench_process_cpu_ns(pid);
        get(port, "/debug/pprof/heap");
        settle();
        bench_add(theirs, to_ms(bench_process_cpu_ns(pid) - before_ns));
    }
    profile_unref(last);
    if (fresh != runs)
        printf("  only %zu of %zu reads found a new profile\n", fresh, runs);
}

static void run_against_peer(struct go_process *process, pid_t pid, uint16_t port, size_t runs)
{
    static struct bench_series own;
    static struct bench_series forced;
    static struct bench_series beside;
    static struct bench_series theirs;
    const struct profile *profile = NULL;

    (void)read_once(process, &profile);
    profile_unref(profile);
    read_after(process, pid, port, "/collect", runs, &own, NULL);
    read_after(process, pid, port, "/gc", runs, &forced, NULL);
    read_after(process, pid, port, "/gc", runs, &beside, &theirs);
    bench_print("goprofd: CPU of one read after a GC of the runtime's own", "ms", &own);
    bench_print("goprofd: CPU of one read after runtime.GC()", "ms", &forced);
    bench_print("the same, the target's own endpoint asked between", "ms", &beside);
    bench_print("target: CPU of its own GET /debug/pprof/heap", "ms", &theirs);
    bench_print_ratio("the target's own way over our read after a GC", &theirs, &own);
    bench_print_ratio("the target's own way over our read after runtime.GC()", &theirs, &beside);
}

/* As the daemon reads: once a second, everything else having gone through the caches meanwhile. */
static void run_each_second(struct go_process *process, pid_t pid, size_t seconds)
{
    static struct bench_series ours;
    static struct bench_series target;
    const struct profile *last = NULL;
    size_t fresh = 0;
    uint64_t due_ns = clock_monotonic_ns();
    for (size_t i = 0; i <= seconds; i++) {
        const struct profile *profile = NULL;
        const uint64_t before_ns = bench_process_cpu_ns(pid);
        due_ns += CLOCK_NS_PER_S;
        clock_sleep_until_ns(due_ns);
        const double read_ms = to_ms(read_once(process, &profile));
        if (i > 0) { /* the first learns the stacks */
            bench_add(&ours, read_ms);
            bench_add(&target, to_ms(bench_process_cpu_ns(pid) - before_ns));
            fresh += profile != last;
        }
        profile_unref(last);
        last = profile;
    }
    printf("  %zu sites; %zu of %zu reads found a new profile\n", last->entry_count, fresh, seconds);
    profile_unref(last);
    bench_print("goprofd: CPU of one read, once a second under load", "ms", &ours);
    bench_print("target: CPU in each second", "ms", &target);
}

/* Reads back to back while no GC passes, and the target's CPU over the same time without us. */
static void run_quiet(struct go_process *process, pid_t pid, size_t runs)
{
    static struct bench_series ours;
    settle();
    const uint64_t start_ns = clock_monotonic_ns();
    const uint64_t target_before_ns = bench_process_cpu_ns(pid);
    for (size_t i = 0; i < runs * QUIET_READS_PER_RUN; i++) {
        const struct profile *profile = NULL;
        bench_add(&ours, to_ms(read_once(process, &profile)));
        profile_unref(profile);
    }
    const uint64_t target_ns = bench_process_cpu_ns(pid) - target_before_ns;
    const uint64_t wall_ns = clock_monotonic_ns() - start_ns;

    const uint64_t alone_before_ns = bench_process_cpu_ns(pid);
    clock_sleep_until_ns(clock_monotonic_ns() + wall_ns);
    const uint64_t alone_ns = bench_process_cpu_ns(pid) - alone_before_ns;
    bench_print("goprofd: CPU of one read, no GC since the last", "ms", &ours);
    printf("  %-58s %.3f ms in %.2f s; left alone as long: %.3f ms\n",
           "target: CPU during all these reads", to_ms(target_ns), to_ms(wall_ns) / 1000,
           to_ms(alone_ns));
}

/* CPU of a read after a GC and of the snapshot's top lists, as the sampler does both. */
static double read_and_rank_ms(struct go_process *process, uint16_t port, uint64_t window_ns)
{
    const struct profile *profile = NULL;
    get(port, "/gc");
    settle();
    const uint64_t before_ns = clock_thread_cpu_ns();
    site_table_begin_read(go_process_sites(process), clock_realtime_ns(), window_ns);
    (void)read_once(process, &profile);
    const struct tops *tops = tops_new(profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    const double spent_ms = to_ms(clock_thread_cpu_ns() - before_ns);
    if (tops == NULL)
        bench_fail("no memory for the top lists");
    tops_unref(tops);
    profile_unref(profile);
    return spent_ms;
}

/* What keeping the live bytes of each site from GC to GC costs. */
static void run_attribution(struct go_process *process, uint16_t port, size_t runs)
{
    static struct bench_series without;
    static struct bench_series with;
    enum { WINDOW_S = 600, COLUMNS = 24 };
    for (size_t i = 0; i < runs; i++)
        bench_add(&without, read_and_rank_ms(process, port, 0));
    for (size_t i = 0; i < COLUMNS; i++) /* until the history is full */
        (void)read_and_rank_ms(process, port, WINDOW_S * CLOCK_NS_PER_S);
    for (size_t i = 0; i < runs; i++)
        bench_add(&with, read_and_rank_ms(process, port, WINDOW_S * CLOCK_NS_PER_S));
    bench_print("goprofd: CPU of a read and its top lists, no history", "ms", &without);
    bench_print("goprofd: the same with the history of each site", "ms", &with);
    bench_print_ratio("with history over without", &with, &without);
}

static void run_encode(const struct profile *profile, size_t runs)
{
    static struct bench_series packed;
    size_t bytes = 0;
    for (size_t i = 0; i < runs; i++) {
        struct buffer out;
        struct error err = {0};
        buffer_init(&out, PROFILE_WRITER_MAX_BYTES);
        const uint64_t before_ns = clock_thread_cpu_ns();
        if (!profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &out, &err))
            bench_fail("encode: %s", err.message);
        bench_add(&packed, to_ms(clock_thread_cpu_ns() - before_ns));
        bytes = out.length;
        buffer_release(&out);
    }
    bench_print("goprofd: CPU to encode and gzip this profile", "ms", &packed);
    printf("  %-58s %zu bytes\n", "size", bytes);
}

int main(int argc, char **argv)
{
    if (argc != 4 && argc != 5)
        bench_fail("usage: bench_read PID PORT RUNS [SECONDS]");
    const pid_t pid = (pid_t)bench_number(argv[1], "PID", 1, 1 << 22);
    const uint16_t port = (uint16_t)bench_number(argv[2], "PORT", 1, 65535);
    const size_t runs =
        (size_t)bench_number(argv[3], "RUNS", 1, BENCH_RUNS_MAX / QUIET_READS_PER_RUN);
    const struct profile *profile = NULL;

    get(port, "/gc"); /* publishes what the start allocated */
    settle();
    if (argc == 5) {
        struct go_process *process = open_process(pid);
        run_each_second(process, pid, (size_t)bench_number(argv[4], "SECONDS", 1, BENCH_RUNS_MAX));
        go_process_close(process);
        return 0;
    }
    run_first(pid, runs);
    struct go_process *process = open_process(pid);
    run_against_peer(process, pid, port, runs);
    run_quiet(process, pid, runs);
    run_attribution(process, port, runs);
    (void)read_once(process, &profile);
    run_encode(profile, runs);
    profile_unref(profile);
    go_process_close(process);
    return 0;
}
