/* trend.h - slopes, rates and ranges computed from a series of snapshots.
 *
 * Pure functions over (time, value) points; the rule engine feeds them from a ring.  A field
 * that is absent in a snapshot leaves no point.  Counters that fall (a restart) break the
 * series: only points after the last break count. */
#ifndef GOPROFD_STORE_TREND_H
#define GOPROFD_STORE_TREND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot;
struct field;

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

enum { TREND_POINTS_MAX = 256 }; /* more are thinned evenly before the slope is taken */

/* Collects [field] over snapshots whose monotonic_ns >= [since_monotonic_ns] and which are of the
 * same generation as the newest.  With [per_gc], one point for each value of num_gc (the
 * first seen), so that a sawtooth between collections does not count.  More than [points_max] are
 * thinned evenly, keeping first and last.  Returns the count. */
size_t trend_collect(const struct snapshot *const *snapshots, size_t count,
                     const struct field *field, uint64_t since_monotonic_ns, bool per_gc,
                     struct trend_point *points, size_t points_max);

/* False with fewer than two points, if no time passes between first and last, or without memory. */
bool trend_compute(const struct trend_point *points, size_t count, struct trend *trend);

/* The [percent]th percentile (0 to 100, linear between points); false without points. */
bool trend_percentile(const struct trend_point *points, size_t count, double percent,
                      double *value);

#endif
