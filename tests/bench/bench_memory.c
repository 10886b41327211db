/* bench_memory.c HEAP_TARGET MIB OBJECT_BYTES RUNS - what it costs to say what resident memory consists of.
 *
 * Starts HEAP_TARGET with a heap of that size.  A look at its pages is taken apart into its three
 * readings; what each beat adds is the arithmetic between two looks.  CPU of this thread. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/goproc/go_process.h"
#include "core/goproc/heap_spans.h"
#include "core/goproc/procfs.h"
#include "core/goproc/smaps.h"
#include "core/goproc/stack_source.h"
#include "core/look_schedule.h"
#include "core/memory_watch.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "tests/bench/bench.h"

enum { BEATS = 10000 };

static const struct procfs fs = {.root = "/"};

struct heap {
    pid_t pid;
    int input; /* it ends when this is closed */
};

static struct heap start_heap(const char *program, const char *mib, const char *object_bytes)
{
    const char *const arguments[] = {program, "-mib", mib, "-object", object_bytes, NULL};
    int input[2], output[2];
    char line[16] = "";
    if (pipe2(input, O_CLOEXEC) == -1 || pipe2(output, O_CLOEXEC) == -1)
        bench_fail("pipe: %s", error_errno_text(errno));
    const pid_t pid = fork();
    if (pid == -1)
        bench_fail("fork: %s", error_errno_text(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (dup2(input[0], STDIN_FILENO) != -1 && dup2(output[1], STDOUT_FILENO) != -1)
            execv(program, (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    close(input[0]);
    close(output[1]);
    if (read(output[0], line, sizeof(line) - 1) < 5 || strncmp(line, "ready", 5) != 0)
        bench_fail("%s does not start", program);
    close(output[0]);
    return (struct heap){.pid = pid, .input = input[1]};
}

static double to_ms(uint64_t ns)
{
    return (double)ns / (double)CLOCK_NS_PER_MS;
}

static struct snapshot *read_once(struct go_process *process, pid_t pid)
{
    struct error err = {0};
    const struct profile *profile = NULL;
    struct snapshot *building = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());
    if (building == NULL || !procfs_usage_read(&fs, pid, &building->values, &err) ||
        !go_process_read(process, building, &profile, &err))
        bench_fail("read: %s", err.message);
    profile_unref(profile);
    return building;
}

static void run_looks(struct go_process *process, pid_t pid, size_t runs)
{
    static struct bench_series looks, spans_only, smaps_only;
    struct error err = {0};
    struct stack_source source;
    go_process_stack_source(process, &source);
    for (size_t i = 0; i < runs; i++) {
        struct heap_spans spans;
        struct smaps smaps;
        struct snapshot *building = read_once(process, pid);
        uint64_t before_ns = clock_thread_cpu_ns();
        if (!memory_watch_look_once(&fs, pid, process, building, &err))
            bench_fail("look: %s", err.message);
        bench_add(&looks, to_ms(clock_thread_cpu_ns() - before_ns));
        snapshot_discard(building);
        before_ns = clock_thread_cpu_ns();
        if (!heap_spans_read(source.memory, source.layout, source.symbols, &spans, &err))
            bench_fail("spans: %s", err.message);
        bench_add(&spans_only, to_ms(clock_thread_cpu_ns() - before_ns));
        if (i == 0)
            printf("  %zu spans\n", spans.count);
        heap_spans_release(&spans);
        before_ns = clock_thread_cpu_ns();
        if (!smaps_read(&fs, pid, &smaps, &err))
            bench_fail("smaps: %s", err.message);
        bench_add(&smaps_only, to_ms(clock_thread_cpu_ns() - before_ns));
        smaps_release(&smaps);
    }
    bench_print("one look", "ms", &looks);
    bench_print("  of it spans", "ms", &spans_only);
    bench_print("  of it smaps", "ms", &smaps_only);
    const double pause_s = bench_percentile(&looks, 50) * 100 / 1000;
    printf("  looked at each %.0f s: %.3f ms for each second\n", pause_s > 30 ? pause_s : 30,
           bench_percentile(&looks, 50) / (pause_s > 30 ? pause_s : 30));
}

/* Beats a second apart in the time that is told, none of which is due for a look but the first. */
static void run_beats(struct go_process *process, pid_t pid)
{
    struct look_budget budget = {0};
    struct memory_watch *watch = memory_watch_new(&budget);
    struct snapshot *building = read_once(process, pid);
    if (watch == NULL)
        bench_fail("no memory");
    memory_watch_fill(watch, &fs, pid, process, building);
    budget.free_at_ns = UINT64_MAX;
    const uint64_t before_ns = clock_thread_cpu_ns();
    for (uint64_t beat = 0; beat < BEATS; beat++) {
        struct snapshot *next = snapshot_begin(building->realtime_ns,
                                               building->monotonic_ns + beat * CLOCK_NS_PER_S);
        if (next == NULL)
            bench_fail("no memory");
        next->values = building->values;
        memory_watch_fill(watch, &fs, pid, process, next);
        snapshot_discard(next);
    }
    printf("  each beat adds %.2f us\n", (double)(clock_thread_cpu_ns() - before_ns) / BEATS / 1000);
    snapshot_discard(building);
    memory_watch_free(watch);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    if (argc != 5)
        bench_fail("usage: bench_memory HEAP_TARGET MIB OBJECT_BYTES RUNS");
    const size_t runs = (size_t)bench_number(argv[4], "RUNS", 1, BENCH_RUNS_MAX);
    const struct heap heap = start_heap(argv[1], argv[2], argv[3]);
    struct go_process *process = go_process_open(&fs, heap.pid, &err);
    if (process == NULL)
        bench_fail("open: %s", err.message);
    run_looks(process, heap.pid, runs);
    run_beats(process, heap.pid);
    go_process_close(process);
    close(heap.input);
    (void)waitpid(heap.pid, NULL, 0);
    return 0;
}
