/* bench_impact.c GOPROFD RULES_DIR PID PORT ROUNDS SECONDS - what a service under load notices of being watched.
 *
 * wrk loads the service PID at PORT in short runs of SECONDS.  Each watched run stands between two in which the
 * service is left alone, and is compared with their mean: what the machine does besides, and how it drifts,
 * hits all three alike.
 *
 *   alone goprofd alone scraped | alone goprofd alone scraped | ... alone       ROUNDS times
 *     \______^______/ \____^____ ... /
 *
 * One goprofd runs all the time, stopped by a signal wherever it is not wanted: neither its start nor its first
 * read are part of any run.  Scrapes are half a second off the ends, so that each run has as many as seconds.
 *
 * How much of a ratio is noise is measured in the same way: a run left alone against the mean of the one before
 * and the one after.  Of each series the median is printed with the 95 % interval of the median (by rank, which
 * assumes nothing of the distribution); `within noise` means that the interval holds 1, or that the median is no
 * farther from 1 than the ends of the interval of runs left alone.
 *
 * The CPU time that the service takes for a request (its own, by its process's clock) is the sharpest of the
 * three measures: the two rates also depend on what else runs on the machine. */
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/bench/bench.h"

enum { READY_TIMEOUT_S = 30, WRK_LINE_BYTES = 512, SETTLE_MS = 2500 };

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
    struct bench_series ratios[MODE_COUNT][MEASURE_COUNT]; /* to the runs left alone around it */
};

struct setting {
    const char *goprofd;
    char config[32];
    uint16_t daemon_port;
    pid_t target;
    uint16_t port;
    size_t seconds;
    pid_t daemon;
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
    uint64_t due_ns = clock_monotonic_ns() + CLOCK_NS_PER_S / 2;
    for (clock_sleep_until_ns(due_ns); !atomic_load(&scraper->stop);
         clock_sleep_until_ns(due_ns += CLOCK_NS_PER_S)) {
        if (bench_http_get(scraper->port, "/debug/pprof/heap") < 0)
            bench_fail("GET /debug/pprof/heap failed");
        scraper->scrapes++;
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
    uint64_t requests = 0;
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
        else if (strstr(text, " requests in ") != NULL)
            requests = strtoull(text, NULL, 10);
        else if (strncmp(text, "Requests/sec:", 13) == 0)
            measure->per_s = strtod(text + 13, NULL);
        else if (strncmp(text, "Non-2xx", 7) == 0 || strncmp(text, "Socket errors", 13) == 0)
            bench_fail("wrk: %s", text);
    }
    if (pclose(output) != 0 || measure->per_s <= 0 || measure->p99_ms <= 0 || requests == 0)
        bench_fail("wrk failed: %s", command);
    measure->cpu_us = (double)(bench_process_cpu_ns(setting->target) - cpu_before_ns) / 1000 /
                      (double)requests;
}

static void tell_daemon(const struct setting *setting, int signal_number)
{
    if (waitpid(setting->daemon, NULL, WNOHANG) != 0 || kill(setting->daemon, signal_number) == -1)
        bench_fail("the daemon ended early");
}

static void run(const struct setting *setting, enum mode mode, struct measure *measure)
{
    struct scraper scraper = {.port = setting->port};
    if (mode == GOPROFD)
        tell_daemon(setting, SIGCONT);
    if (mode == SCRAPED && pthread_create(&scraper.thread, NULL, scrape, &scraper) != 0)
        bench_fail("no thread to scrape with");
    run_wrk(setting, measure);
    if (mode == GOPROFD)
        tell_daemon(setting, SIGSTOP);
    if (mode == SCRAPED) {
        atomic_store(&scraper.stop, true);
        (void)pthread_join(scraper.thread, NULL);
        if (scraper.scrapes < setting->seconds)
            bench_fail("only %zu scrapes in %zu s", scraper.scrapes, setting->seconds);
    }
}

static double value_of(const struct measure *measure, size_t which)
{
    double value;
    memcpy(&value, (const char *)measure + measures[which].offset, sizeof(value));
    return value;
}

static void keep(struct results *results, enum mode mode, const struct measure *measure,
                 const struct measure *before, const struct measure *after)
{
    for (size_t i = 0; i < MEASURE_COUNT; i++) {
        bench_add(&results->values[mode][i], value_of(measure, i));
        bench_add(&results->ratios[mode][i],
                  2 * value_of(measure, i) / (value_of(before, i) + value_of(after, i)));
    }
}

/* The two watched runs of a round take turns in coming first. */
static void run_rounds(const struct setting *setting, size_t rounds, struct results *results)
{
    struct measure alone[3]; /* the newest last */
    run(setting, ALONE, &alone[2]); /* warms up */
    run(setting, ALONE, &alone[2]);
    for (size_t i = 0; i < 2 * rounds; i++) {
        const enum mode mode = (i + i / 2) % 2 == 0 ? GOPROFD : SCRAPED;
        struct measure watched;
        alone[0] = alone[1];
        alone[1] = alone[2];
        run(setting, mode, &watched);
        run(setting, ALONE, &alone[2]);
        keep(results, mode, &watched, &alone[1], &alone[2]);
        if (i > 0)
            keep(results, ALONE, &alone[1], &alone[0], &alone[2]);
    }
}

struct interval {
    double low;
    double median;
    double high;
};

/* The median and the ranks between which it lies with 95 %: half the count, and 0.98 of its root to each side. */
static struct interval median_of(struct bench_series *series)
{
    const double last = (double)(series->count - 1);
    const double half_width = 0.98 * sqrt((double)series->count);
    const double low = (last / 2 - half_width) / last * 100, high = (last / 2 + half_width) / last * 100;
    return (struct interval){bench_percentile(series, low < 0 ? 0 : low),
                             bench_percentile(series, 50),
                             bench_percentile(series, high > 100 ? 100 : high)};
}

static void print_ratio(struct results *results, enum mode mode, size_t measure)
{
    const struct interval noise = median_of(&results->ratios[ALONE][measure]);
    const struct interval ratio = median_of(&results->ratios[mode][measure]);
    const double slack = fmax(1 - noise.low, noise.high - 1);
    const bool within = (ratio.low <= 1 && ratio.high >= 1) || fabs(ratio.median - 1) <= slack;
    printf("      over left alone: median %.4f (95 %%: %.4f to %.4f)%s\n", ratio.median, ratio.low,
           ratio.high, mode == ALONE ? " - this is the noise" : within ? " - within noise" : " - MORE THAN NOISE");
}

static void print_mode(struct results *results, enum mode mode)
{
    printf("  %s\n", mode_names[mode]);
    for (size_t i = 0; i < MEASURE_COUNT; i++) {
        bench_print(measures[i].name, measures[i].unit, &results->values[mode][i]);
        print_ratio(results, mode, i);
    }
}

int main(int argc, char **argv)
{
    static struct results results;
    struct setting setting = {.config = "/tmp/goprofd-bench-XXXXXX"};
    if (argc != 7)
        bench_fail("usage: bench_impact GOPROFD RULES_DIR PID PORT ROUNDS SECONDS");
    const size_t rounds = (size_t)bench_number(argv[5], "ROUNDS", 2, BENCH_RUNS_MAX / 2);
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

    setting.daemon = start_daemon(&setting);
    usleep(SETTLE_MS * 1000);
    tell_daemon(&setting, SIGSTOP);
    run_rounds(&setting, rounds, &results);
    for (size_t mode = 0; mode < MODE_COUNT; mode++)
        print_mode(&results, (enum mode)mode);
    tell_daemon(&setting, SIGCONT);
    tell_daemon(&setting, SIGTERM);
    (void)waitpid(setting.daemon, NULL, 0);
    (void)unlink(setting.config);
    return 0;
}
