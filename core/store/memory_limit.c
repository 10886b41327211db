/* memory_limit.c - limits of memory, the distance to them, and the time that is left. */
#include "core/store/memory_limit.h"

#include "core/store/fields.h"
#include "core/store/trend.h"

#define SPACING_NS ((uint64_t)FORECAST_SPACING_S * 1000000000U)
/* What grows slower than this in the time that is looked at does not grow: the runtime's own tables
 * and buffers come and go by as much. */
#define GROWTH_LEAST_BYTES (1024.0 * 1024.0)
#define GROWTH_LEAST_SHARE 0.01
/* Beyond a month no five minutes can tell. */
#define FORECAST_FARTHEST_S (30.0 * 86400.0)

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* The runtime holds sys - released against GOMEMLIMIT; free heap it would return, and garbage it would
 * collect, before that became a problem. */
static bool required_bytes(const struct snapshot_values *values, uint64_t *bytes)
{
    if (!SNAPSHOT_HAS(values, sys_bytes) || !SNAPSHOT_HAS(values, heap_idle_bytes) ||
        !SNAPSHOT_HAS(values, heap_alloc_bytes) || !SNAPSHOT_HAS(values, heap_live_bytes) ||
        !SNAPSHOT_HAS(values, num_gc))
        return false;
    const uint64_t garbage =
        values->num_gc == 0 ? 0 : minus(values->heap_alloc_bytes, values->heap_live_bytes);
    *bytes = minus(values->sys_bytes, values->heap_idle_bytes + garbage);
    return true;
}

/* The limit may be that of an ancestor, which others use up too. */
static uint64_t charged_to_max(const struct snapshot_values *values)
{
    return SNAPSHOT_HAS(values, cgroup_memory_max_used_bytes) ? values->cgroup_memory_max_used_bytes
                                                              : values->cgroup_memory_current_bytes;
}

static void add_limit(struct memory_limit limits[LIMIT_KINDS], size_t *count,
                      struct memory_limit limit)
{
    limit.headroom_bytes = minus(limit.limit_bytes, limit.used_bytes);
    limits[(*count)++] = limit;
}

size_t memory_limits_list(const struct snapshot_values *values,
                          struct memory_limit limits[LIMIT_KINDS])
{
    size_t count = 0;
    uint64_t required = 0;
    if (SNAPSHOT_HAS(values, cgroup_memory_current_bytes)) {
        const uint64_t current = values->cgroup_memory_current_bytes;
        if (SNAPSHOT_HAS(values, cgroup_memory_max_bytes))
            add_limit(limits, &count,
                      (struct memory_limit){.kind = LIMIT_CGROUP_MAX,
                                            .name = "cgroup_max",
                                            .meaning = "the OOM killer ends a process there",
                                            .limit_bytes = values->cgroup_memory_max_bytes,
                                            .used_bytes = charged_to_max(values)});
        if (SNAPSHOT_HAS(values, cgroup_memory_high_bytes))
            add_limit(limits, &count,
                      (struct memory_limit){.kind = LIMIT_CGROUP_HIGH,
                                            .name = "cgroup_high",
                                            .meaning = "the kernel slows allocations down there",
                                            .limit_bytes = values->cgroup_memory_high_bytes,
                                            .used_bytes = current});
    }
    if (SNAPSHOT_HAS(values, gomemlimit_bytes) && required_bytes(values, &required))
        add_limit(limits, &count,
                  (struct memory_limit){.kind = LIMIT_GOMEMLIMIT,
                                        .name = "gomemlimit",
                                        .meaning = "GC runs all the time there; used is what a GC "
                                                   "cannot give back",
                                        .limit_bytes = values->gomemlimit_bytes,
                                        .used_bytes = required});
    return count;
}

/* ---- growth ---- */

void memory_forecast_reset(struct memory_forecast *forecast)
{
    *forecast = (struct memory_forecast){0};
}

/* Bytes per second, or 0 for what does not grow. */
static double growth_of(const struct memory_forecast *forecast, const double *values)
{
    struct trend_point points[FORECAST_POINTS];
    struct trend trend;
    if (forecast->count < FORECAST_POINTS_MIN)
        return 0;
    const size_t oldest = (forecast->next + FORECAST_POINTS - forecast->count) % FORECAST_POINTS;
    for (size_t i = 0; i < forecast->count; i++) {
        const size_t at = (oldest + i) % FORECAST_POINTS;
        points[i] = (struct trend_point){
            .seconds = (double)(forecast->at_ns[at] - forecast->at_ns[oldest]) / 1e9,
            .value = values[at]};
    }
    if (!trend_compute(points, forecast->count, &trend))
        return 0;
    const double gained = trend.per_second * trend.seconds;
    const double least = trend.last * GROWTH_LEAST_SHARE > GROWTH_LEAST_BYTES
                             ? trend.last * GROWTH_LEAST_SHARE
                             : GROWTH_LEAST_BYTES;
    return gained >= least ? trend.per_second : 0;
}

static void take_point(struct memory_forecast *forecast, uint64_t now_ns,
                       const struct snapshot_values *values)
{
    uint64_t required = 0;
    if (!SNAPSHOT_HAS(values, rss_anon_bytes) || !SNAPSHOT_HAS(values, rss_shmem_bytes))
        return;
    /* Where a beat could not tell, the old points would not be comparable any more. */
    const bool has_required = required_bytes(values, &required);
    if (has_required != forecast->has_required)
        memory_forecast_reset(forecast);
    forecast->has_required = has_required;
    forecast->at_ns[forecast->next] = now_ns;
    forecast->unreclaimable[forecast->next] =
        (double)values->rss_anon_bytes + (double)values->rss_shmem_bytes;
    forecast->required[forecast->next] = (double)required;
    forecast->next = (forecast->next + 1) % FORECAST_POINTS;
    if (forecast->count < FORECAST_POINTS)
        forecast->count++;
    forecast->newest_ns = now_ns;
    const double growth = growth_of(forecast, forecast->unreclaimable);
    forecast->growth_per_s[LIMIT_CGROUP_MAX] = growth;
    forecast->growth_per_s[LIMIT_CGROUP_HIGH] = growth;
    forecast->growth_per_s[LIMIT_GOMEMLIMIT] =
        has_required ? growth_of(forecast, forecast->required) : 0;
}

void memory_forecast_fill(struct memory_forecast *forecast, uint64_t now_monotonic_ns,
                          struct snapshot_values *values)
{
    if (forecast->count == 0 || now_monotonic_ns >= forecast->newest_ns + SPACING_NS)
        take_point(forecast, now_monotonic_ns, values);
    if (forecast->count >= FORECAST_POINTS_MIN)
        SNAPSHOT_SET(values, memory_growth_bytes_per_second,
                     forecast->growth_per_s[LIMIT_CGROUP_MAX]);

    struct memory_limit limits[LIMIT_KINDS];
    const size_t count = memory_limits_list(values, limits);
    double seconds = FORECAST_FARTHEST_S;
    size_t nearest = 0;
    for (size_t i = 0; i < count; i++) {
        const double growth = forecast->growth_per_s[limits[i].kind];
        if (growth > 0 && (double)limits[i].headroom_bytes / growth < seconds)
            seconds = (double)limits[i].headroom_bytes / growth;
        if (limits[i].headroom_bytes < limits[nearest].headroom_bytes)
            nearest = i;
    }
    if (seconds < FORECAST_FARTHEST_S)
        SNAPSHOT_SET(values, time_to_limit_seconds, seconds);
    if (count == 0)
        return;
    SNAPSHOT_SET(values, memory_limit_bytes, limits[nearest].limit_bytes);
    SNAPSHOT_SET(values, memory_limit_used_bytes, limits[nearest].used_bytes);
    SNAPSHOT_SET(values, memory_limit_headroom_bytes, limits[nearest].headroom_bytes);
}
