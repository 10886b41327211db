/* bench_daemon.c GOPROFD RULES_DIR PID SECONDS GC_PORT - what the daemon costs while it runs.
 *
 * Starts GOPROFD, which watches the Go process PID once a second with the rules in RULES_DIR; takes
 * the time to the first snapshot (/health/ready), then CPU and memory over SECONDS.  With a GC_PORT
 * the target is asked for a GC every second, so that each read finds a new profile; 0: it is left
 * idle. */
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/bench/bench.h"

enum { READY_TIMEOUT_S = 30, READY_POLL_MS = 2, SETTLE_S = 3 };

static void write_config(const char *path, uint16_t port, const char *rules_dir, pid_t target)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        bench_fail("%s: %s", path, error_errno_text(errno));
    fprintf(file,
            "return {\n  metrics_listen_addr = \"127.0.0.1:%u\",\n  rules_dir = [[%s]],\n"
            "  log_level = \"warn\",\n  targets = { { name = \"bench\", pid = %ld } },\n}\n",
            port, rules_dir, (long)target);
    if (fclose(file) != 0)
        bench_fail("%s: %s", path, error_errno_text(errno));
}

static pid_t start(const char *goprofd, const char *config)
{
    const pid_t pid = fork();
    if (pid == -1)
        bench_fail("fork: %s", error_errno_text(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* leaves no daemon behind when a step fails */
        execl(goprofd, goprofd, "-c", config, (char *)NULL);
        fprintf(stderr, "bench: %s: %s\n", goprofd, error_errno_text(errno));
        _exit(127);
    }
    return pid;
}

static void check_runs(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid)
        bench_fail("the daemon ended early, with wait status %d", status);
}

static double wait_ready(pid_t pid, uint16_t port, uint64_t start_ns)
{
    while (bench_http_get(port, "/health/ready") < 0) {
        check_runs(pid);
        if (clock_monotonic_ns() - start_ns > READY_TIMEOUT_S * CLOCK_NS_PER_S)
            bench_fail("the daemon is not ready after %d s", READY_TIMEOUT_S);
        usleep(READY_POLL_MS * 1000);
    }
    return (double)(clock_monotonic_ns() - start_ns) / (double)CLOCK_NS_PER_MS;
}

struct cost {
    struct bench_series daemon_ms; /* CPU in each second */
    struct bench_series target_ms;
    double daemon_total_ms;
    double target_total_ms;
    double gc_total_ms; /* of the target's, spent on the GCs we asked for */
    double wall_s;
};

static double ms_since(pid_t pid, uint64_t before_ns)
{
    return (double)(bench_process_cpu_ns(pid) - before_ns) / (double)CLOCK_NS_PER_MS;
}

static void measure(struct cost *cost, pid_t daemon, pid_t target, uint16_t gc_port, size_t seconds)
{
    const uint64_t start_ns = clock_monotonic_ns();
    const uint64_t daemon_before_ns = bench_process_cpu_ns(daemon);
    const uint64_t target_before_ns = bench_process_cpu_ns(target);
    for (size_t i = 0; i < seconds; i++) {
        const uint64_t second_ns = bench_process_cpu_ns(daemon);
        const uint64_t target_second_ns = bench_process_cpu_ns(target);
        double gc_ms = 0;
        if (gc_port != 0) {
            if (bench_http_get(gc_port, "/gc") < 0)
                bench_fail("GET /gc failed");
            gc_ms = ms_since(target, target_second_ns);
        }
        clock_sleep_until_ns(start_ns + (i + 1) * CLOCK_NS_PER_S);
        check_runs(daemon);
        bench_add(&cost->daemon_ms, ms_since(daemon, second_ns));
        bench_add(&cost->target_ms, ms_since(target, target_second_ns) - gc_ms);
        cost->gc_total_ms += gc_ms;
    }
    cost->daemon_total_ms = ms_since(daemon, daemon_before_ns);
    cost->target_total_ms = ms_since(target, target_before_ns) - cost->gc_total_ms;
    cost->wall_s = (double)(clock_monotonic_ns() - start_ns) / (double)CLOCK_NS_PER_S;
}

int main(int argc, char **argv)
{
    static struct cost cost;
    char config[] = "/tmp/goprofd-bench-XXXXXX";
    if (argc != 6)
        bench_fail("usage: bench_daemon GOPROFD RULES_DIR PID SECONDS GC_PORT");
    const pid_t target = (pid_t)bench_number(argv[3], "PID", 1, 1 << 22);
    const size_t seconds = (size_t)bench_number(argv[4], "SECONDS", 1, BENCH_RUNS_MAX);
    const uint16_t gc_port = (uint16_t)bench_number(argv[5], "GC_PORT", 0, 65535);
    const uint16_t port = bench_free_port();
    const int config_fd = mkstemp(config);
    if (config_fd == -1)
        bench_fail("%s: %s", config, error_errno_text(errno));
    close(config_fd);
    write_config(config, port, argv[2], target);

    const uint64_t start_ns = clock_monotonic_ns();
    const pid_t daemon = start(argv[1], config);
    const double ready_ms = wait_ready(daemon, port, start_ns);
    clock_sleep_until_ns(clock_monotonic_ns() + SETTLE_S * CLOCK_NS_PER_S);
    measure(&cost, daemon, target, gc_port, seconds);

    printf("  %-58s %.1f ms\n", "start to first snapshot", ready_ms);
    bench_print("daemon: CPU in each second", "ms", &cost.daemon_ms);
    printf("  %-58s %.3f %% of a core over %.0f s\n", "daemon: CPU",
           cost.daemon_total_ms / cost.wall_s / 10, cost.wall_s);
    printf("  %-58s %.2f MiB, of which anonymous %.2f MiB\n", "daemon: resident memory",
           (double)bench_status_kib(daemon, "VmRSS:") / 1024,
           (double)bench_status_kib(daemon, "RssAnon:") / 1024);
    bench_print("target: CPU in each second, without the GC asked for", "ms", &cost.target_ms);
    (void)unlink(config);
    (void)kill(daemon, SIGTERM);
    (void)waitpid(daemon, NULL, 0);
    return 0;
}
