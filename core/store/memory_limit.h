/* memory_limit.h - the limits a process runs into, how far they are, and when they would be reached.
 *
 *   limit              what counts against it             what happens there
 *   cgroup memory.max  all that the cgroup is charged     the OOM killer
 *   cgroup memory.high the same                           every allocation is slowed down
 *   GOMEMLIMIT         what a GC cannot give back         GC runs all the time
 *
 * A forecast keeps one point each ten seconds, five minutes of them; the slope is the median over pairs
 * of points (trend.h), so that a sawtooth between GCs does not count as growth.  Owned by a target, on
 * the sampler's thread; the list is pure. */
#ifndef GOPROFD_STORE_MEMORY_LIMIT_H
#define GOPROFD_STORE_MEMORY_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_values;

enum memory_limit_kind { LIMIT_CGROUP_MAX, LIMIT_CGROUP_HIGH, LIMIT_GOMEMLIMIT, LIMIT_KINDS };

struct memory_limit {
    enum memory_limit_kind kind;
    const char *name; /* "cgroup_max", "cgroup_high", "gomemlimit" */
    const char *meaning;
    uint64_t limit_bytes;
    uint64_t used_bytes;
    uint64_t headroom_bytes; /* 0 when reached */
};

/* The limits that [values] know of; returns how many. */
size_t memory_limits_list(const struct snapshot_values *values,
                          struct memory_limit limits[LIMIT_KINDS]);

enum {
    FORECAST_SPACING_S = 10,
    FORECAST_POINTS = 30,
    FORECAST_POINTS_MIN = 7, /* a minute of them before anything is said */
};

struct memory_forecast {
    size_t count;
    size_t next;
    uint64_t newest_ns;
    uint64_t at_ns[FORECAST_POINTS];
    double unreclaimable[FORECAST_POINTS]; /* anonymous and shared memory of the process */
    double required[FORECAST_POINTS];      /* what a GC cannot give back */
    bool has_required;
    double growth_per_s[LIMIT_KINDS]; /* 0: does not grow */
};

void memory_forecast_reset(struct memory_forecast *forecast); /* another process */

/* Takes the numbers of one beat and sets memory_limit_*_bytes (of the limit with the least headroom),
 * memory_growth_bytes_per_second and time_to_limit_seconds in [values]. */
void memory_forecast_fill(struct memory_forecast *forecast, uint64_t now_monotonic_ns,
                          struct snapshot_values *values);

#endif
