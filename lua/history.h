/* history.h - what the rule engine remembers of one target: columns of numbers, site growth, trends.
 *
 *   time      [ t0 | t1 | t2 | ...  newest ]      one place for each snapshot of this process
 *   num_gc    [  3 |  3 |  4 | ...         ]
 *   rss_bytes [ 5M | 5M |  ? | ...         ]      a column for each field that a rule asked for
 *
 * A field that is asked for the first time is filled in from the board's own history.  So memory
 * goes by what rules look at, not by what a snapshot holds.  Owned by the rule thread. */
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
struct site_match;
struct snapshot;
struct target_view;

enum {
    HISTORY_TREND_POINTS = 128, /* more are thinned */
    HISTORY_SNAPSHOTS_MAX = 4096, /* of a target; then the older half is thinned to every second */
};

/* A trend, and the deepest fall from a high to a later low: what tells a leak from a sawtooth that just
 * happens to be rising. */
struct series {
    struct trend trend;
    double drawdown;
};

/* False with too few points. */
bool series_compute(const struct trend_point *points, size_t count, struct series *series);

/* Which points of a field. */
struct history_window {
    double seconds;
    bool per_gc;
};

/* NULL without memory. */
struct history *history_new(size_t capacity_snapshots, uint64_t horizon_ns);
void history_free(struct history *history); /* NULL is allowed */

/* For recorded history, before the first advance: growth of groups goes by the top lists of snapshots, since profiles
 * are few there.  False without memory. */
bool history_follow_tops(struct history *history) GOPROFD_MUST_CHECK;

/* Takes in what is new in [view]; beats that were missed come from [board], which must outlive the
 * history.  *[fresh] tells whether there is a snapshot that was not seen before.  A new generation
 * of the target forgets the one before. */
bool history_advance(struct history *history, struct board *board, const struct target_view *view,
                     bool *fresh, struct error *err) GOPROFD_MUST_CHECK;

size_t history_count(const struct history *history); /* snapshots */
const struct site_growth *history_growth(const struct history *history);
/* What site_growth_of_group() is to be asked of. */
const struct site_growth *history_group_growth(const struct history *history);
struct site_match *history_match(struct history *history);
size_t history_bytes(const struct history *history);

/* The place of the snapshot [back] beats before the newest, or the next older one that is still
 * there; false if there is none.  A place is valid until the next history_advance. */
bool history_place(const struct history *history, uint64_t back, size_t *place);
uint64_t history_realtime_ns(const struct history *history, size_t place);
/* The value of [field] there; NAN if not known. */
double history_value(struct history *history, const struct field *field, size_t place);

/* The moment [seconds] before the newest snapshot, on the monotonic clock. */
uint64_t history_since_ns(const struct history *history, double seconds);

/* The points of [field] in [window], thinned to at most [max]; returns their number. */
size_t history_points(struct history *history, const struct field *field,
                      const struct history_window *window, struct trend_point *points, size_t max);

/* The trend of these points, computed once a beat however many rules ask; false if there are too
 * few. */
bool history_trend(struct history *history, const struct field *field,
                   const struct history_window *window, struct series *series);

#endif
