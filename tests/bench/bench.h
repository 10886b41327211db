/* bench.h - what the benchmarks share: series of measurements, clocks of other processes, HTTP.
 *
 * They print and assert nothing; a measurement that cannot be taken ends the program with the
 * reason, since a number made up in its place would be worse. */
#ifndef GOPROFD_TESTS_BENCH_H
#define GOPROFD_TESTS_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

enum { BENCH_RUNS_MAX = 10000 };

struct bench_series {
    double values[BENCH_RUNS_MAX];
    size_t count;
};

void bench_add(struct bench_series *series, double value);

/* The [percent]th percentile; sorts the series. */
double bench_percentile(struct bench_series *series, double percent);

/* "name   runs N   median M unit   p95 P unit   min .. max" */
void bench_print(const char *name, const char *unit, struct bench_series *series);

/* "name   X times" from two medians, peer over ours. */
void bench_print_ratio(const char *name, struct bench_series *peer, struct bench_series *ours);

_Noreturn void bench_fail(const char *fmt, ...) GOPROFD_PRINTF(1, 2);

/* CPU time that all threads of [pid] have used. */
uint64_t bench_process_cpu_ns(pid_t pid);

/* A line of /proc/PID/status in KiB, such as "VmRSS:". */
uint64_t bench_status_kib(pid_t pid, const char *key);

/* GET of [path] from 127.0.0.1:[port]; the body's length, or -1 if there is no answer or one other
 * than 200. */
int64_t bench_http_get(uint16_t port, const char *path);
/* The same, with the body in [text], terminated. */
int64_t bench_http_body(uint16_t port, const char *path, char *text, size_t text_bytes);

/* A free_port() (tests/support/free_port.h) that there is. */
uint16_t bench_free_port(void);

long bench_number(const char *text, const char *what, long min, long max);

#endif
