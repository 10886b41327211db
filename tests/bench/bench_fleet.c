/* bench_fleet.c GOPROFD RULES_DIR IDLE_TARGET COUNT SECONDS - what a host full of idle Go processes costs.
 *
 * Starts IDLE_TARGET COUNT times and a GOPROFD with its default settings and the rules in RULES_DIR, which
 * has to discover them; waits until all are up, then takes the daemon's CPU time (also of each thread),
 * its memory and how late its beats were over SECONDS. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/bench/bench.h"

enum { TARGETS_MAX = 1000, UP_TIMEOUT_S = 120, UP_POLL_MS = 250, SETTLE_S = 3, PAGE_BYTES = 4 << 20 };

struct fleet {
    pid_t pids[TARGETS_MAX];
    size_t count;
    int input; /* all of them read it, and end when it is closed */
};

static pid_t start(const char *const *arguments, int input)
{
    const pid_t pid = fork();
    if (pid == -1)
        bench_fail("fork: %s", error_errno_text(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (input != -1 && dup2(input, STDIN_FILENO) == -1)
            _exit(127);
        execv(arguments[0], (char *const *)(uintptr_t)arguments);
        fprintf(stderr, "bench: %s: %s\n", arguments[0], error_errno_text(errno));
        _exit(127);
    }
    return pid;
}

static void start_fleet(struct fleet *fleet, const char *program, size_t count)
{
    int ends[2];
    const char *const arguments[] = {program, NULL};
    if (pipe2(ends, O_CLOEXEC) == -1)
        bench_fail("pipe: %s", error_errno_text(errno));
    for (fleet->count = 0; fleet->count < count; fleet->count++)
        fleet->pids[fleet->count] = start(arguments, ends[0]);
    close(ends[0]);
    fleet->input = ends[1];
}

static void stop_fleet(struct fleet *fleet)
{
    close(fleet->input);
    for (size_t i = 0; i < fleet->count; i++)
        (void)waitpid(fleet->pids[i], NULL, 0);
}

static void write_config(const char *path, uint16_t port, const char *rules_dir)
{
    FILE *file = fopen(path, "w");
    if (file == NULL)
        bench_fail("%s: %s", path, error_errno_text(errno));
    fprintf(file,
            "return {\n  metrics_listen_addr = \"127.0.0.1:%u\",\n  rules_dir = [[%s]],\n"
            "  log_level = \"error\",\n}\n",
            port, rules_dir);
    if (fclose(file) != 0)
        bench_fail("%s: %s", path, error_errno_text(errno));
}

static void check_runs(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, WNOHANG) == pid)
        bench_fail("the daemon ended early, with wait status %d", status);
}

/* One value of /metrics without labels. */
static double metric(uint16_t port, const char *name)
{
    static char page[PAGE_BYTES];
    const size_t name_length = strlen(name);
    if (bench_http_body(port, "/metrics", page, sizeof(page)) < 0)
        bench_fail("GET /metrics failed");
    for (const char *line = page; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, name_length) == 0 && line[name_length] == ' ')
            return strtod(line + name_length, NULL);
    }
    bench_fail("/metrics has no %s", name);
}

/* How often [needle] is in the list of targets. */
static size_t count_targets(uint16_t port, const char *needle)
{
    static char page[PAGE_BYTES];
    size_t count = 0;
    if (bench_http_body(port, "/v1/targets", page, sizeof(page)) < 0)
        return 0;
    for (const char *at = page; (at = strstr(at, needle)) != NULL; at++)
        count++;
    return count;
}

static void wait_up(pid_t daemon, uint16_t port, size_t count)
{
    const uint64_t start_ns = clock_monotonic_ns();
    size_t up;
    while ((up = count_targets(port, "\"state\":\"up\"")) < count) {
        check_runs(daemon);
        if (clock_monotonic_ns() - start_ns > UP_TIMEOUT_S * CLOCK_NS_PER_S)
            bench_fail("after %d s only %zu of %zu targets are up", UP_TIMEOUT_S, up, count);
        usleep(UP_POLL_MS * 1000);
    }
    printf("  %-58s %.2f s\n", "all of them up, from the daemon's start",
           (double)(clock_monotonic_ns() - start_ns) / (double)CLOCK_NS_PER_S);
}

/* CPU time of the daemon's threads since they began, by name. */
static void print_threads(pid_t daemon, double wall_s)
{
    char path[300];
    (void)snprintf(path, sizeof(path), "/proc/%ld/task", (long)daemon);
    DIR *dir = opendir(path);
    if (dir == NULL)
        bench_fail("%s: %s", path, error_errno_text(errno));
    const struct dirent *entry;
    while ((entry = readdir(dir)) != NULL) {
        char name[32] = "";
        unsigned long long ran_ns = 0;
        if (entry->d_name[0] == '.')
            continue;
        (void)snprintf(path, sizeof(path), "/proc/%ld/task/%.16s/comm", (long)daemon, entry->d_name);
        FILE *file = fopen(path, "r");
        if (file != NULL && fgets(name, sizeof(name), file) != NULL)
            name[strcspn(name, "\n")] = '\0';
        if (file != NULL)
            fclose(file);
        (void)snprintf(path, sizeof(path), "/proc/%ld/task/%.16s/schedstat", (long)daemon,
                       entry->d_name);
        file = fopen(path, "r");
        if (file != NULL && fscanf(file, "%llu", &ran_ns) != 1)
            ran_ns = 0;
        if (file != NULL)
            fclose(file);
        printf("    thread %-49s %.3f %% of a core since its start\n", name,
               (double)ran_ns / 1e7 / wall_s);
    }
    closedir(dir);
}

static void measure(pid_t daemon, uint16_t port, size_t seconds)
{
    static struct bench_series cpu_ms;
    const double beats = metric(port, "goprofd_sampler_beats_total");
    const double busy_s = metric(port, "goprofd_sampler_busy_seconds_total");
    const double late_s = metric(port, "goprofd_sampler_late_seconds_total");
    const uint64_t start_ns = clock_monotonic_ns(), before_ns = bench_process_cpu_ns(daemon);
    for (size_t i = 0; i < seconds; i++) {
        const uint64_t second_ns = bench_process_cpu_ns(daemon);
        clock_sleep_until_ns(start_ns + (i + 1) * CLOCK_NS_PER_S);
        check_runs(daemon);
        bench_add(&cpu_ms, (double)(bench_process_cpu_ns(daemon) - second_ns) / 1e6);
    }
    const double wall_s = (double)(clock_monotonic_ns() - start_ns) / 1e9;
    const double total_s = (double)(bench_process_cpu_ns(daemon) - before_ns) / 1e9;
    const double done = metric(port, "goprofd_sampler_beats_total") - beats;

    bench_print("daemon: CPU in each second", "ms", &cpu_ms);
    printf("  %-58s %.3f %% of a core over %.0f s\n", "daemon: CPU", total_s / wall_s * 100, wall_s);
    printf("  %-58s %.3f %% of a core\n", "of that, the sampler",
           (metric(port, "goprofd_sampler_busy_seconds_total") - busy_s) / wall_s * 100);
    printf("  %-58s %.3f ms, in %.0f beats\n", "a beat begins late by",
           (metric(port, "goprofd_sampler_late_seconds_total") - late_s) / done * 1000, done);
    printf("  %-58s %.2f MiB, of which anonymous %.2f MiB\n", "daemon: resident memory",
           (double)bench_status_kib(daemon, "VmRSS:") / 1024,
           (double)bench_status_kib(daemon, "RssAnon:") / 1024);
}

int main(int argc, char **argv)
{
    static struct fleet fleet;
    char config[] = "/tmp/goprofd-bench-XXXXXX";
    if (argc != 6)
        bench_fail("usage: bench_fleet GOPROFD RULES_DIR IDLE_TARGET COUNT SECONDS");
    const size_t count = (size_t)bench_number(argv[4], "COUNT", 1, TARGETS_MAX);
    const size_t seconds = (size_t)bench_number(argv[5], "SECONDS", 1, BENCH_RUNS_MAX);
    const int config_fd = mkstemp(config);
    if (config_fd == -1)
        bench_fail("%s: %s", config, error_errno_text(errno));
    close(config_fd);

    start_fleet(&fleet, argv[3], count);
    const uint16_t port = bench_free_port(); /* after the targets, who take ports too */
    write_config(config, port, argv[2]);
    const char *const arguments[] = {argv[1], "-c", config, NULL};
    const uint64_t start_ns = clock_monotonic_ns();
    const pid_t daemon = start(arguments, -1);
    wait_up(daemon, port, count);
    clock_sleep_until_ns(clock_monotonic_ns() + SETTLE_S * CLOCK_NS_PER_S);
    measure(daemon, port, seconds);
    print_threads(daemon, (double)(clock_monotonic_ns() - start_ns) / 1e9);

    (void)unlink(config);
    (void)kill(daemon, SIGTERM);
    (void)waitpid(daemon, NULL, 0);
    stop_fleet(&fleet);
    return 0;
}
