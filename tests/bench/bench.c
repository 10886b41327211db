/* bench.c - what the benchmarks share. */
#include "tests/bench/bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "tests/support/free_port.h"

_Noreturn void bench_fail(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    fputs("bench: ", stderr);
    vfprintf(stderr, fmt, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

void bench_add(struct bench_series *series, double value)
{
    if (series->count == BENCH_RUNS_MAX)
        bench_fail("more than %d runs", BENCH_RUNS_MAX);
    series->values[series->count++] = value;
}

static int compare_doubles(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

double bench_percentile(struct bench_series *series, double percent)
{
    if (series->count == 0)
        bench_fail("no run");
    qsort(series->values, series->count, sizeof(series->values[0]), compare_doubles);
    const double at = percent / 100 * (double)(series->count - 1);
    const size_t below = (size_t)at;
    const size_t above = below + 1 < series->count ? below + 1 : below;
    return series->values[below] +
           (at - (double)below) * (series->values[above] - series->values[below]);
}

void bench_print(const char *name, const char *unit, struct bench_series *series)
{
    printf("  %-58s %5zu runs  median %9.3f %-3s p95 %9.3f  min %9.3f  max %9.3f\n", name,
           series->count, bench_percentile(series, 50), unit, bench_percentile(series, 95),
           bench_percentile(series, 0), bench_percentile(series, 100));
}

void bench_print_ratio(const char *name, struct bench_series *peer, struct bench_series *ours)
{
    printf("  %-58s %.1f times\n", name, bench_percentile(peer, 50) / bench_percentile(ours, 50));
}

uint64_t bench_process_cpu_ns(pid_t pid)
{
    clockid_t clock;
    struct timespec time;
    const int status = clock_getcpuclockid(pid, &clock);
    if (status != 0 || clock_gettime(clock, &time) == -1)
        bench_fail("no CPU clock of process %ld: %s", (long)pid,
                   error_errno_text(status != 0 ? status : errno));
    return (uint64_t)time.tv_sec * CLOCK_NS_PER_S + (uint64_t)time.tv_nsec;
}

uint64_t bench_status_kib(pid_t pid, const char *key)
{
    char path[64];
    char line[256];
    unsigned long long kib = 0;
    bool found = false;
    (void)snprintf(path, sizeof(path), "/proc/%ld/status", (long)pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        bench_fail("%s: %s", path, error_errno_text(errno));
    while (!found && fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, key, strlen(key)) == 0) {
            kib = strtoull(line + strlen(key), NULL, 10);
            found = true;
        }
    }
    fclose(file);
    if (!found)
        bench_fail("%s has no %s", path, key);
    return kib;
}

static struct sockaddr_in loopback(uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* Keeps what fits into [answer], if there is one, and returns the answer's length or -1. */
static int64_t http_get(uint16_t port, const char *path, char *answer, size_t room)
{
    static const char ok[] = "HTTP/1.0 200";
    const struct sockaddr_in address = loopback(port);
    char chunk[65536];
    char head[sizeof(ok)] = "";
    size_t total = 0;
    ssize_t got = -1;

    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        bench_fail("socket: %s", error_errno_text(errno));
    const int length =
        snprintf(chunk, sizeof(chunk), "GET %s HTTP/1.0\r\nHost: localhost\r\n\r\n", path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        write(fd, chunk, (size_t)length) == length) {
        while ((got = read(fd, chunk, sizeof(chunk))) > 0) {
            for (size_t i = 0; i < (size_t)got && total + i < sizeof(ok) - 1; i++)
                head[total + i] = chunk[i];
            if (total < room)
                memcpy(answer + total, chunk,
                       room - total < (size_t)got ? room - total : (size_t)got);
            total += (size_t)got;
        }
    }
    close(fd);
    /* The version is the server's choice: compare around its last digit. */
    const bool answered = got == 0 && total >= sizeof(ok) - 1 && strncmp(head, ok, 7) == 0 &&
                          strcmp(head + 8, ok + 8) == 0;
    return answered ? (int64_t)total : -1;
}

int64_t bench_http_get(uint16_t port, const char *path)
{
    return http_get(port, path, NULL, 0);
}

int64_t bench_http_body(uint16_t port, const char *path, char *text, size_t text_bytes)
{
    const int64_t length = http_get(port, path, text, text_bytes - 1);
    if (length < 0)
        return -1;
    if ((uint64_t)length >= text_bytes)
        bench_fail("GET %s: the answer is longer than %zu bytes", path, text_bytes);
    text[length] = '\0';
    char *body = strstr(text, "\r\n\r\n");
    if (body == NULL)
        bench_fail("GET %s: no end of the headers", path);
    const size_t body_length = (size_t)(text + length - (body + 4));
    memmove(text, body + 4, body_length + 1);
    return (int64_t)body_length;
}

uint16_t bench_free_port(void)
{
    const uint16_t port = free_port();
    if (port == 0)
        bench_fail("no free port");
    return port;
}

long bench_number(const char *text, const char *what, long min, long max)
{
    char *end;
    const long value = strtol(text, &end, 10);
    if (*text == '\0' || *end != '\0' || value < min || value > max)
        bench_fail("%s: \"%s\" is not a number from %ld to %ld", what, text, min, max);
    return value;
}
