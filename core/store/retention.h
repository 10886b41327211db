/* retention.h - how long what is retained has been growing, and how sure that is.
 *
 * Each profile of a process leaves one column in its retention book: the live bytes of every site.
 *
 *               t0      t1      t2    ...   newest     at most RETENTION_COLUMNS, thinned when full
 *   site 1   [  4 Mi |  5 Mi |  7 Mi | ...        ]
 *   site 2   [  1 Mi |  1 Mi |  1 Mi | ...        ]
 *   site 3   [   -   |   -   |  2 Mi | ...        ]    -: not yet seen: nothing was sampled there
 *
 * Columns never change and are shared by all histories that hold them; a history is sealed together with its
 * profile, which holds it.  So any grouping of sites has a series, and it is computed only for groups that
 * someone looks at.
 *
 * The book belongs to a site table and its thread; a history to anyone. */
#ifndef GOPROFD_STORE_RETENTION_H
#define GOPROFD_STORE_RETENTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/fields.h"
#include "core/store/profile.h"
#include "core/store/retention_figures.h"

struct retention_book;
struct retention_history;

enum { RETENTION_COLUMNS = 24 };

struct retention_book *retention_book_new(void); /* NULL without memory */
void retention_book_free(struct retention_book *book); /* NULL is allowed */

/* Adds [profile], which has just been built, and returns the history up to it: one hold, or NULL where none
 * is kept.  Columns older than [window_ns] before it are dropped; a partial profile adds none. */
const struct retention_history *retention_book_add(struct retention_book *book,
                                                   const struct profile *profile,
                                                   uint64_t window_ns);

const struct retention_history *retention_history_ref(const struct retention_history *history);
void retention_history_unref(const struct retention_history *history); /* NULL is allowed */

/* Fills the `retention` of each of [entries], groups of [profile] by [by].  False without memory: they are
 * then as they were. */
bool retention_measure(const struct profile *profile, enum group_by by, struct top_entry *entries,
                       size_t count) GOPROFD_MUST_CHECK;

/* What can be said of one entry of [profile] by itself: its growth, which takes a search, is NAN. */
struct retention_figures retention_certainty(const struct profile *profile,
                                             const struct profile_entry *entry);

/* Growth of a series in units per second, [seconds] rising; false with fewer than two points in time.
 *
 * The median of the slopes between all pairs of points (Theil and Sen), which no few outliers move.  A series
 * that falls back (by more than half of its range, as a cache does that fills and is flushed) counts by its
 * low points only: what grows is what remains after a fall. */
bool retention_growth(const double *seconds, const double *values, size_t count,
                      double *per_second);

#endif
