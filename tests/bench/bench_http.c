/* bench_http.c GOPROFD RULES_DIR PID ROUNDS SECONDS - what answering costs, against a bare libh2o handler.
 *
 * Starts GOPROFD on the Go process PID and lets it take a history, then, for each path, asks it and a bare
 * h2o server that replies the very same bytes, in turns, with wrk -t1 -c32 for SECONDS, ROUNDS times.  The
 * steadiest figure on a shared machine is the server's CPU time for a request; requests a second and p99
 * are shown beside it.  Then 10,000 connections are kept alive and idle, and the daemon's memory looked at. */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <h2o.h>

#include "core/base/clock.h"
#include "tests/bench/bench.h"

enum {
    READY_TIMEOUT_S = 30,
    HISTORY_S = 12, /* at ten snapshots a second: more than 100 of them */
    BODY_MAX_BYTES = 8 << 20,
    IDLE_CONNECTIONS = 10000,
};

/* ---- the peer ---- */

static h2o_iovec_t bare_body; /* set before the server's own process is forked */
static const char *bare_type;

static int reply_bare(h2o_handler_t *self, h2o_req_t *req)
{
    static h2o_generator_t generator = {NULL, NULL};
    (void)self;
    req->res.status = 200;
    req->res.reason = "OK";
    req->res.content_length = bare_body.len;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, bare_type,
                   strlen(bare_type));
    h2o_start_response(req, &generator);
    h2o_send(req, &bare_body, 1, H2O_SEND_STATE_FINAL);
    return 0;
}

static h2o_accept_ctx_t bare_accept;

static void on_accept(h2o_socket_t *listener, const char *problem)
{
    h2o_socket_t *client = problem == NULL ? h2o_evloop_socket_accept(listener) : NULL;
    if (client != NULL)
        h2o_accept(&bare_accept, client);
}

static _Noreturn void serve_bare(int fd)
{
    static h2o_globalconf_t conf;
    static h2o_context_t context;
    h2o_config_init(&conf);
    h2o_hostconf_t *host =
        h2o_config_register_host(&conf, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    h2o_pathconf_t *path = h2o_config_register_path(host, "/", 0);
    h2o_create_handler(path, sizeof(h2o_handler_t))->on_req = reply_bare;
    h2o_context_init(&context, h2o_evloop_create(), &conf);
    bare_accept = (h2o_accept_ctx_t){.ctx = &context, .hosts = conf.hosts};
    h2o_socket_t *listener =
        h2o_evloop_socket_create(context.loop, fd, H2O_SOCKET_FLAG_DONT_READ);
    h2o_socket_read_start(listener, on_accept);
    for (;;)
        h2o_evloop_run(context.loop, INT32_MAX);
}

static pid_t start_bare(uint16_t *port)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    if (fd == -1 || bind(fd, (struct sockaddr *)&address, sizeof(address)) == -1 ||
        listen(fd, 1024) == -1 || getsockname(fd, (struct sockaddr *)&address, &length) == -1)
        bench_fail("listen: %s", error_errno_text(errno));
    *port = ntohs(address.sin_port);
    const pid_t pid = fork();
    if (pid == -1)
        bench_fail("fork: %s", error_errno_text(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve_bare(fd);
    }
    close(fd);
    return pid;
}

/* ---- goprofd ---- */

static pid_t start_daemon(const char *goprofd, const char *rules_dir, pid_t target, uint16_t port,
                          const char *config, unsigned interval_ms)
{
    FILE *file = fopen(config, "w");
    if (file == NULL)
        bench_fail("%s: %s", config, error_errno_text(errno));
    fprintf(file,
            "return {\n  metrics_listen_addr = \"127.0.0.1:%u\",\n  rules_dir = [[%s]],\n"
            "  sampling_interval_ms = %u,\n  log_level = \"warn\",\n"
            "  targets = { { name = \"bench\", pid = %ld } },\n}\n",
            port, rules_dir, interval_ms, (long)target);
    if (fclose(file) != 0)
        bench_fail("%s: %s", config, error_errno_text(errno));
    const pid_t pid = fork();
    if (pid == -1)
        bench_fail("fork: %s", error_errno_text(errno));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(goprofd, goprofd, "-c", config, (char *)NULL);
        _exit(127);
    }
    const uint64_t start_ns = clock_monotonic_ns();
    while (bench_http_get(port, "/health/ready") < 0) {
        if (clock_monotonic_ns() - start_ns > READY_TIMEOUT_S * CLOCK_NS_PER_S)
            bench_fail("the daemon is not ready after %d s", READY_TIMEOUT_S);
        usleep(20000);
    }
    return pid;
}

static void stop(pid_t daemon)
{
    (void)kill(daemon, SIGTERM);
    (void)waitpid(daemon, NULL, 0);
}

/* A number of the daemon's own, from /metrics. */
static double own_number(uint16_t port, const char *name)
{
    static char text[BODY_MAX_BYTES];
    char needle[128];
    if (bench_http_body(port, "/metrics", text, sizeof(text)) < 0)
        bench_fail("GET /metrics failed");
    (void)snprintf(needle, sizeof(needle), "\n%s ", name);
    const char *line = strstr(text, needle);
    if (line == NULL)
        bench_fail("no %s in /metrics", name);
    return strtod(line + strlen(needle), NULL);
}

/* ---- wrk ---- */

struct load {
    double requests_per_s;
    double p99_ms;
    double cpu_us; /* of the server, for a request */
};

static double parse_ms(const char *text)
{
    char *unit = NULL;
    const double value = strtod(text, &unit);
    if (strncmp(unit, "us", 2) == 0)
        return value / 1000;
    return strncmp(unit, "ms", 2) == 0 ? value : value * 1000;
}

static struct load run_wrk(pid_t server, uint16_t port, const char *path, size_t seconds)
{
    char command[512];
    char line[256];
    struct load load = {.p99_ms = 0};
    double requests = 0;
    (void)snprintf(command, sizeof(command),
                   "wrk -t1 -c32 -d%zus --latency 'http://127.0.0.1:%u%s' 2>&1", seconds, port, path);
    const uint64_t before_ns = bench_process_cpu_ns(server);
    FILE *wrk = popen(command, "r");
    if (wrk == NULL)
        bench_fail("wrk: %s", error_errno_text(errno));
    while (fgets(line, sizeof(line), wrk) != NULL) {
        const char *at = line + strspn(line, " ");
        if (strncmp(at, "99%", 3) == 0)
            load.p99_ms = parse_ms(at + 3);
        else if (strstr(line, " requests in ") != NULL)
            requests = strtod(at, NULL);
        else if (strncmp(at, "Requests/sec:", 13) == 0)
            load.requests_per_s = strtod(at + 13, NULL);
        else if (strstr(line, "Non-2xx") != NULL)
            bench_fail("%s: %s", path, at);
    }
    if (pclose(wrk) != 0 || requests < 1)
        bench_fail("wrk failed on %s (is it installed?)", path);
    load.cpu_us = (double)(bench_process_cpu_ns(server) - before_ns) / 1000 / requests;
    return load;
}

struct compared {
    struct bench_series cpu_us;
    struct bench_series requests_per_s;
    struct bench_series p99_ms;
};

static void add_load(struct compared *compared, const struct load *load)
{
    bench_add(&compared->cpu_us, load->cpu_us);
    bench_add(&compared->requests_per_s, load->requests_per_s);
    bench_add(&compared->p99_ms, load->p99_ms);
}

static void compare(pid_t daemon, uint16_t port, const char *path, const char *type, size_t rounds,
                    size_t seconds)
{
    static struct compared ours;
    static struct compared bare;
    static char body[BODY_MAX_BYTES];
    uint16_t bare_port = 0;
    const int64_t length = bench_http_body(port, path, body, sizeof(body));
    if (length < 0)
        bench_fail("GET %s failed", path);
    bare_body = h2o_iovec_init(body, (size_t)length);
    bare_type = type;
    ours = (struct compared){.cpu_us.count = 0};
    bare = (struct compared){.cpu_us.count = 0};
    const pid_t peer = start_bare(&bare_port);
    (void)run_wrk(peer, bare_port, path, 1); /* both warm */
    (void)run_wrk(daemon, port, path, 1);
    for (size_t i = 0; i < rounds; i++) {
        const struct load peer_load = run_wrk(peer, bare_port, path, seconds);
        const struct load our_load = run_wrk(daemon, port, path, seconds);
        add_load(&bare, &peer_load);
        add_load(&ours, &our_load);
    }
    (void)kill(peer, SIGKILL);
    (void)waitpid(peer, NULL, 0);
    printf("  %s, %" PRId64 " bytes\n", path, length);
    bench_print("bare h2o: CPU a request", "us", &bare.cpu_us);
    bench_print("goprofd: CPU a request", "us", &ours.cpu_us);
    printf("  %-58s %.0f %%\n", "of the bare handler, by CPU",
           100 * bench_percentile(&bare.cpu_us, 50) / bench_percentile(&ours.cpu_us, 50));
    bench_print("bare h2o: requests a second", "/s", &bare.requests_per_s);
    bench_print("goprofd: requests a second", "/s", &ours.requests_per_s);
    bench_print("bare h2o: p99", "ms", &bare.p99_ms);
    bench_print("goprofd: p99", "ms", &ours.p99_ms);
}

/* ---- idle connections ---- */

static int connect_idle(uint16_t port)
{
    static const char request[] = "GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";
    char answer[1024];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1 || connect(fd, (struct sockaddr *)&address, sizeof(address)) == -1 ||
        write(fd, request, sizeof(request) - 1) != (ssize_t)sizeof(request) - 1 ||
        read(fd, answer, sizeof(answer)) <= 0)
        bench_fail("an idle connection: %s", error_errno_text(errno));
    return fd;
}

static void measure_idle(pid_t daemon, uint16_t port)
{
    static int fds[IDLE_CONNECTIONS];
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    const uint64_t before_kib = bench_status_kib(daemon, "VmRSS:");
    for (size_t i = 0; i < IDLE_CONNECTIONS; i++)
        fds[i] = connect_idle(port);
    const uint64_t after_kib = bench_status_kib(daemon, "VmRSS:");
    for (size_t i = 0; i < IDLE_CONNECTIONS; i++)
        close(fds[i]);
    printf("  %-58s %.1f MiB, %.1f MiB before\n", "resident memory with 10,000 idle connections",
           (double)after_kib / 1024, (double)before_kib / 1024);
}

int main(int argc, char **argv)
{
    char config[] = "/tmp/goprofd-bench-XXXXXX";
    if (argc != 6)
        bench_fail("usage: bench_http GOPROFD RULES_DIR PID ROUNDS SECONDS");
    const pid_t target = (pid_t)bench_number(argv[3], "PID", 1, 1 << 22);
    const size_t rounds = (size_t)bench_number(argv[4], "ROUNDS", 1, 100);
    const size_t seconds = (size_t)bench_number(argv[5], "SECONDS", 1, 600);
    const uint16_t port = bench_free_port();
    const int config_fd = mkstemp(config);
    if (config_fd == -1)
        bench_fail("%s: %s", config, error_errno_text(errno));
    close(config_fd);
    pid_t daemon = start_daemon(argv[1], argv[2], target, port, config, 1000);
    compare(daemon, port, "/v1/metrics/latest", "application/json", rounds, seconds);
    compare(daemon, port, "/metrics", "text/plain; version=0.0.4; charset=utf-8", rounds, seconds);
    stop(daemon);

    /* Ten beats a second: a hundred snapshots are soon there, and lateness has many beats to show in. */
    daemon = start_daemon(argv[1], argv[2], target, port, config, 100);
    clock_sleep_until_ns(clock_monotonic_ns() + HISTORY_S * CLOCK_NS_PER_S);
    const double beats = own_number(port, "goprofd_sampler_beats_total");
    const double late_s = own_number(port, "goprofd_sampler_late_seconds_total");
    compare(daemon, port, "/v1/metrics/history?limit=100", "application/json", rounds, seconds);
    const double more_beats = own_number(port, "goprofd_sampler_beats_total") - beats;
    printf("  %-58s mean %.3f ms, worst %.3f ms of %.0f beats, %.0f skipped\n",
           "lateness of beats under that load",
           1000 * (own_number(port, "goprofd_sampler_late_seconds_total") - late_s) / more_beats,
           1000 * own_number(port, "goprofd_sampler_late_max_seconds"), more_beats,
           own_number(port, "goprofd_sampler_late_beats_total"));
    measure_idle(daemon, port);
    stop(daemon);
    (void)unlink(config);
    return 0;
}
