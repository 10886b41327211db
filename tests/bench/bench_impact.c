/* bench_impact.c GOPROFD RULES_DIR PID PORT ROUNDS SECONDS - what a service under load notices of being watched.
 *
 * In each round wrk loads the service PID at PORT for SECONDS three times: left alone, read by GOPROFD
 * once a second, and asked for its own /debug/pprof/heap once a second.  The order turns from round to
 * round, and each watched run is compared with the one left alone of its round: what the machine does
 * besides hits all three alike.  On a machine with other work the CPU time that the service takes for a
 * request says more than the two rates.
 *
 *   round 1: alone goprofd scraped    round 2: goprofd scraped alone    round 3: ... */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/bench/bench.h"

enum { READY_TIMEOUT_S = 30, WRK_LINE_BYTES = 512 };

enum mode { ALONE, GOPROFD, SCRAPED, MODE_COUNT };
static const char *const mode_names[MODE_COUNT] = {"left alone", "read by goprofd each second",
                                                   "its /debug/pprof/heap scraped each second"};

/* What one run is measured by. */
struct measure {
    double per_s;
    double p99_ms;
    double cpu_us; /* of the service, for a request */
};

enum { MEASURE_COUNT = 3 };
static const struct {
    const char *name;
    const char *unit;
    size_t offset;
} measures[MEASURE_COUNT] = {
    {"  requests", "/s", offsetof(struct measure, per_s)},
    {"  latency, 99th percentile", "ms", offsetof(struct measure, p99_ms)},
    {"  CPU time of the service for a request", "us", offsetof(struct measure, cpu_us)},
};

struct results {
    struct bench_series values[MODE_COUNT][MEASURE_COUNT];
    struct bench_series ratios[MODE_COUNT][MEASURE_COUNT]; /* to the run left alone of the round */
};

struct setting {
    const char *goprofd;
    char config[32];
    uint16_t daemon_port;
    pid_t target;
    uint16_t port;
    size_t seconds;
};

static void write_config(const struct setting *setting, const char *rules_dir)
{
    FILE *file = fopen(setting->config, "w");
    if (file == NULL)
        bench_fail("%s: %s", setting->config, error_errno_text(errno));
    fprintf(file,
            "return {\n  metrics_listen_addr = \"127.0.0.1:%u\",\n  rules_dir = [[%s]],\n"
            "  log_level = \"error\",\n  targets = { { name = \"bench\", pid = %ld } },\n}\n",
            setting->daemon_port, rules_dir, (long)setting->target);
    if (fclose(file) != 0)
        bench_fail("%s: %s", setting->config, error_errno_text(errno));
}

static pid_t start_daemon(const struct setting *setting)
{
    const uint64_t start_ns = clock_monotonic_ns();
    const pid_t pid = fork();
    if (pid == -1)
        bench_fail("fork: %s", error_errno_text(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(setting->goprofd, setting->goprofd, "-c", setting->config, (char *)NULL);
        fprintf(stderr, "bench: %s: %s\n", setting->goprofd, error_errno_text(errno));
        _exit(127);
    }
    while (bench_http_get(setting->daemon_port, "/health/ready") < 0) {
        if (waitpid(pid, NULL, WNOHANG) == pid ||
            clock_monotonic_ns() - start_ns > READY_TIMEOUT_S * CLOCK_NS_PER_S)
            bench_fail("the daemon is not ready");
        usleep(10000);
    }
    return pid;
}

/* Asks for the profile each second, as an agent does. */
struct scraper {
    pthread_t thread;
    uint16_t port;
    atomic_bool stop;
    size_t scrapes;
};

static void *scrape(void *argument)
{
    struct scraper *scraper = argument;
    uint64_t due_ns = clock_monotonic_ns();
    while (!atomic_load(&scraper->stop)) {
        if (bench_http_get(scraper->port, "/debug/pprof/heap") < 0)
            bench_fail("GET /debug/pprof/heap failed");
        scraper->scrapes++;
        due_ns += CLOCK_NS_PER_S;
        clock_sleep_until_ns(due_ns);
    }
    return NULL;
}

/* "99%    3.21ms" as milliseconds. */
static double parse_latency_ms(const char *text)
{
    char *unit;
    const double value = strtod(text, &unit);
    if (strncmp(unit, "us", 2) == 0)
        return value / 1000;
    if (strncmp(unit, "ms", 2) == 0)
        return value;
    if (*unit == 's')
        return value * 1000;
    bench_fail("wrk: a latency in no known unit: %s", text);
}

static void run_wrk(const struct setting *setting, struct measure *measure)
{
    char command[256];
    char line[WRK_LINE_BYTES];
    const uint64_t cpu_before_ns = bench_process_cpu_ns(setting->target);
    *measure = (struct measure){0};
    (void)snprintf(command, sizeof(command),
                   "wrk --latency -t1 -c8 -d%zus 'http://127.0.0.1:%u/order?id=4711'",
                   setting->seconds, setting->port);
    FILE *output = popen(command, "r");
    if (output == NULL)
        bench_fail("wrk: %s", error_errno_text(errno));
    while (fgets(line, sizeof(line), output) != NULL) {
        const char *text = line + strspn(line, " ");
        if (strncmp(text, "99%", 3) == 0)
            measure->p99_ms = parse_latency_ms(text + 3);
        else if (strncmp(text, "Requests/sec:", 13) == 0)
            measure->per_s = strtod(text + 13, NULL);
        else if (strncmp(text, "Non-2xx", 7) == 0 || strncmp(text, "Socket errors", 13) == 0)
            bench_fail("wrk: %s", text);
    }
    if (pclose(output) != 0 || measure->per_s <= 0 || measure->p99_ms <= 0)
        bench_fail("wrk failed: %s", command);
    measure->cpu_us = (double)(bench_process_cpu_ns(setting->target) - cpu_before_ns) / 1000 /
                      (measure->per_s * (double)setting->seconds);
}

static void run(const struct setting *setting, enum mode mode, struct measure *measure)
{
    pid_t daemon = 0;
    struct scraper scraper = {.port = setting->port};
    if (mode == GOPROFD)
        daemon = start_daemon(setting);
    if (mode == SCRAPED && pthread_create(&scraper.thread, NULL, scrape, &scraper) != 0)
        bench_fail("no thread to scrape with");
    run_wrk(setting, measure);
    if (mode == GOPROFD) {
        (void)kill(daemon, SIGTERM);
        (void)waitpid(daemon, NULL, 0);
    }
    if (mode == SCRAPED) {
        atomic_store(&scraper.stop, true);
        (void)pthread_join(scraper.thread, NULL);
        if (scraper.scrapes < setting->seconds / 2)
            bench_fail("only %zu scrapes in %zu s", scraper.scrapes, setting->seconds);
    }
}

static double value_of(const struct measure *measure, size_t which)
{
    double value;
    memcpy(&value, (const char *)measure + measures[which].offset, sizeof(value));
    return value;
}

static void run_round(const struct setting *setting, size_t round, struct results *results)
{
    struct measure runs[MODE_COUNT];
    for (size_t i = 0; i < MODE_COUNT; i++) {
        const enum mode mode = (enum mode)((i + round) % MODE_COUNT);
        run(setting, mode, &runs[mode]);
    }
    for (size_t mode = 0; mode < MODE_COUNT; mode++) {
        for (size_t i = 0; i < MEASURE_COUNT; i++) {
            const double value = value_of(&runs[mode], i);
            bench_add(&results->values[mode][i], value);
            bench_add(&results->ratios[mode][i], value / value_of(&runs[ALONE], i));
        }
    }
}

static void print_mode(struct results *results, enum mode mode)
{
    printf("  %s\n", mode_names[mode]);
    for (size_t i = 0; i < MEASURE_COUNT; i++) {
        struct bench_series *ratio = &results->ratios[mode][i];
        bench_print(measures[i].name, measures[i].unit, &results->values[mode][i]);
        if (mode != ALONE)
            printf("      of that left alone in the same round: %.4f times (median), %.4f to %.4f\n",
                   bench_percentile(ratio, 50), bench_percentile(ratio, 0),
                   bench_percentile(ratio, 100));
    }
}

int main(int argc, char **argv)
{
    static struct results results;
    struct setting setting = {.config = "/tmp/goprofd-bench-XXXXXX"};
    if (argc != 7)
        bench_fail("usage: bench_impact GOPROFD RULES_DIR PID PORT ROUNDS SECONDS");
    const size_t rounds = (size_t)bench_number(argv[5], "ROUNDS", 1, BENCH_RUNS_MAX);
    const int config_fd = mkstemp(setting.config);
    if (config_fd == -1)
        bench_fail("%s: %s", setting.config, error_errno_text(errno));
    close(config_fd);
    setting.goprofd = argv[1];
    setting.target = (pid_t)bench_number(argv[3], "PID", 1, 1 << 22);
    setting.port = (uint16_t)bench_number(argv[4], "PORT", 1, 65535);
    setting.seconds = (size_t)bench_number(argv[6], "SECONDS", 1, 3600);
    setting.daemon_port = bench_free_port();
    write_config(&setting, argv[2]);

    struct measure warm_up;
    run(&setting, ALONE, &warm_up);
    for (size_t round = 0; round < rounds; round++)
        run_round(&setting, round, &results);
    for (size_t mode = 0; mode < MODE_COUNT; mode++)
        print_mode(&results, (enum mode)mode);
    (void)unlink(setting.config);
    return 0;
}
