/* profile_history.h - the heap profiles of one target over time, one for each GC, as differences.
 *
 *   [ K d d d ... d ] [ K d d ... ]      K: every site of a profile; d: what changed since the one before
 *                        ^ newest: kept whole, since it also knows the sites that the numbers belong to
 *
 * A profile of the past is put together from the K before it and the d up to it: at most
 * PROFILE_HISTORY_RUN records, however long the history.  A site, once in a profile of a process, is in all
 * later ones (the runtime never forgets one), so the last profile of each process names the sites of all.
 *
 * The sampler's thread prepares (outside any lock) and pushes (under the board's); readers take holds under
 * the board's lock and put together outside it. */
#ifndef GOPROFD_STORE_PROFILE_HISTORY_H
#define GOPROFD_STORE_PROFILE_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct profile;
struct profile_history;

enum { PROFILE_HISTORY_RUN = 32, PROFILE_HISTORY_MAX = 65536 };

struct profile_history *profile_history_new(void); /* NULL without memory */
void profile_history_free(struct profile_history *history); /* NULL is allowed */

/* What a push needs, made beforehand; and afterwards what it replaced. */
struct profile_push;

/* NULL: nothing to do ([profile] is the newest already, or not newer), or no memory: the history then has a
 * gap, nothing worse. */
struct profile_push *profile_history_prepare(const struct profile_history *history,
                                             const struct profile *profile);
/* Under the lock; allocates and frees nothing. */
void profile_history_push(struct profile_history *history, struct profile_push *push);
void profile_push_free(struct profile_push *push); /* after unlocking; NULL is allowed */

/* Records that belong together, with holds. */
struct profile_run;
struct profile_run *profile_run_new(void);      /* an empty one; NULL without memory */
void profile_run_free(struct profile_run *run); /* NULL is allowed */

/* Under the lock: moves the oldest run of records into [run], which is empty, but never the newest record's;
 * false if there is none to take. */
bool profile_history_drop_oldest(struct profile_history *history, struct profile_run *run);

size_t profile_history_count(const struct profile_history *history);
size_t profile_history_bytes(const struct profile_history *history);
/* When the oldest record was taken, and when the first behind the oldest run was; 0 if there is none. */
uint64_t profile_history_oldest_ns(const struct profile_history *history);
uint64_t profile_history_second_run_ns(const struct profile_history *history);

/* Under the lock: holds, in the empty [run], on what makes up the newest profile taken at or before
 * [realtime_ns].  False if there is none so old. */
bool profile_history_find(const struct profile_history *history, uint64_t realtime_ns,
                          struct profile_run *run);
/* Puts it together: one hold for the caller; NULL without memory. */
const struct profile *profile_run_build(const struct profile_run *run);

#endif
