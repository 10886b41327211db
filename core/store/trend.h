/* trend.h - slopes, rates and ranges computed from a series of numbers.
 *
 * Pure functions over (time, value) points; the rule engine feeds them from the columns of its
 * history.  A field that was absent leaves no point.  Counters that fall (a restart) break the
 * series: only points after the last break count. */
#ifndef GOPROFD_STORE_TREND_H
#define GOPROFD_STORE_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct trend_point {
    double seconds; /* since the first point */
    double value;
};

struct trend {
    size_t points;
    double seconds; /* from first to last point */
    double first;
    double last;
    double min;
    double max;
    double mean;
    double per_second; /* robust slope: Theil-Sen, the median over pairs of points */
    uint32_t rises;    /* steps between neighbours that go up, down, or stay */
    uint32_t falls;
    uint32_t flats;
};

enum { TREND_POINTS_MAX = 64 }; /* more are thinned evenly before the slope is taken: n^2 pairs */

/* One number over time, in columns of equal length, oldest first. */
struct trend_series {
    size_t count;
    const uint64_t *monotonic_ns;
    const double *values; /* NAN where not known */
    const double *gc;     /* num_gc, NAN where not known: one point for each of its values (the first
                           * seen), so that a sawtooth between collections does not count; or NULL */
    bool is_counter;
};

/* Collects the points of [series]; more than [points_max] are thinned evenly, keeping first and last.
 * Returns the count. */
size_t trend_collect(const struct trend_series *series, struct trend_point *points,
                     size_t points_max);

/* False with fewer than two points, if no time passes between first and last, or without memory. */
bool trend_compute(const struct trend_point *points, size_t count, struct trend *trend);

/* The [percent]th percentile (0 to 100, linear between points); false without points. */
bool trend_percentile(const struct trend_point *points, size_t count, double percent,
                      double *value);

#endif
