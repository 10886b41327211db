/* bench_read.c PID PORT RUNS - what one external read costs, and whom.
 *
 * The peer is the same process serving its own GET /debug/pprof/heap: it is asked in turn with our
 * reads, after each the same forced GC, so both meet the same heap.  CPU is taken from the kernel's
 * clocks: this thread's for goprofd, the whole process's for the target. */
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/goproc/go_process.h"
#include "core/goproc/procfs.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "tests/bench/bench.h"

enum { SETTLE_MS = 30, QUIET_READS_PER_RUN = 10 };

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

static void run_open(struct go_process **process, pid_t pid, const struct profile **profile)
{
    static const struct procfs fs = {.root = "/"};
    struct error err = {0};
    const uint64_t before_ns = clock_thread_cpu_ns();
    *process = go_process_open(&fs, pid, &err);
    if (*process == NULL)
        bench_fail("open: %s", err.message);
    const uint64_t open_ns = clock_thread_cpu_ns() - before_ns;
    const uint64_t first_ns = read_once(*process, profile);
    printf("  %zu sites; open %.1f ms CPU, first read (learns every stack) %.1f ms CPU, once\n",
           (*profile)->entry_count, to_ms(open_ns), to_ms(first_ns));
}

/* Reads after a GC of the target, in turn with the target's own endpoint. */
static void run_against_peer(struct go_process *process, pid_t pid, uint16_t port, size_t runs)
{
    static struct bench_series ours;
    static struct bench_series theirs;
    static struct bench_series in_target;
    size_t fresh = 0;
    const struct profile *last = NULL;

    for (size_t i = 0; i < runs; i++) {
        const struct profile *profile = NULL;
        get(port, "/gc");
        settle();
        const uint64_t target_before_ns = bench_process_cpu_ns(pid);
        bench_add(&ours, to_ms(read_once(process, &profile)));
        bench_add(&in_target, to_ms(bench_process_cpu_ns(pid) - target_before_ns));
        fresh += profile != last;
        profile_unref(last);
        last = profile;

        get(port, "/gc");
        settle();
        const uint64_t before_ns = bench_process_cpu_ns(pid);
        get(port, "/debug/pprof/heap");
        settle();
        bench_add(&theirs, to_ms(bench_process_cpu_ns(pid) - before_ns));
    }
    profile_unref(last);
    bench_print("goprofd: CPU of one read after a GC", "ms", &ours);
    bench_print("target: CPU meanwhile", "ms", &in_target);
    bench_print("target: CPU of its own GET /debug/pprof/heap", "ms", &theirs);
    bench_print_ratio("the target's own way costs the target, over our read", &theirs, &ours);
    printf("  %-58s %zu of %zu\n", "reads that found a new profile", fresh, runs);
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
    if (argc != 4)
        bench_fail("usage: bench_read PID PORT RUNS");
    const pid_t pid = (pid_t)bench_number(argv[1], "PID", 1, 1 << 22);
    const uint16_t port = (uint16_t)bench_number(argv[2], "PORT", 1, 65535);
    const size_t runs =
        (size_t)bench_number(argv[3], "RUNS", 1, BENCH_RUNS_MAX / QUIET_READS_PER_RUN);
    struct go_process *process = NULL;
    const struct profile *profile = NULL;

    get(port, "/gc"); /* publishes what the start allocated */
    settle();
    run_open(&process, pid, &profile);
    run_against_peer(process, pid, port, runs);
    run_quiet(process, pid, runs);
    run_attribution(process, port, runs);
    run_encode(profile, runs);
    profile_unref(profile);
    go_process_close(process);
    return 0;
}
