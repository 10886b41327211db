/* history.h - what the rule engine remembers of one target: snapshots, site growth, cached trends.
 *
 * Holds the snapshots of the last [horizon] so that a beat costs one new snapshot and not a copy of
 * the whole ring.  Owned by the rule thread. */
#ifndef GOPROFD_LUA_HISTORY_H
#define GOPROFD_LUA_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/trend.h"

struct board;
struct field;
struct history;
struct site_growth;
struct snapshot;
struct target_view;

enum { HISTORY_TREND_POINTS = 128 }; /* more are thinned: a robust slope takes n^2 time */

/* A trend, and the deepest fall from a high to a later low: what tells a leak from a sawtooth that just
 * happens to be rising. */
struct series {
    struct trend trend;
    double drawdown;
};

/* False with too few points. */
bool series_compute(const struct trend_point *points, size_t count, struct series *series);

/* NULL without memory. */
struct history *history_new(size_t capacity_snapshots, uint64_t horizon_ns);
void history_free(struct history *history); /* NULL is allowed */

/* Takes in what is new in [view]; beats that were missed come from [board].  *[fresh] tells whether
 * there is a snapshot that was not seen before. */
bool history_advance(struct history *history, struct board *board, const struct target_view *view,
                     bool *fresh, struct error *err) GOPROFD_MUST_CHECK;

/* Oldest first; valid until the next history_advance. */
const struct snapshot *const *history_snapshots(const struct history *history, size_t *count);
const struct site_growth *history_growth(const struct history *history);

/* The moment [seconds] before the newest snapshot, on the monotonic clock. */
uint64_t history_since_ns(const struct history *history, double seconds);

/* The points of [field] over the last [seconds]; returns their number. */
size_t history_points(const struct history *history, const struct field *field, double seconds,
                      bool per_gc, struct trend_point points[HISTORY_TREND_POINTS]);

/* The trend of these points, computed once a beat however many rules ask; false if there are too
 * few. */
bool history_trend(struct history *history, const struct field *field, double seconds, bool per_gc,
                   struct series *series);

#endif
