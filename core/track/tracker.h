/* tracker.h - programs that push what they track, and their counts.
 *
 *   http loops --tracker_take--> counts by target, type and tag <--tracker_read-- sampler, each beat
 *
 * Any thread; one lock, under which nothing waits. */
#ifndef GOPROFD_TRACK_TRACKER_H
#define GOPROFD_TRACK_TRACKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct profile;
struct track_batch;
struct tracker;

enum {
    TRACKER_TARGETS_MAX = 64,
    TRACKER_GROUPS_MAX = 4096, /* types and tags of one target; further ones are counted as "other" */
};

struct tracker *tracker_new(void); /* NULL without memory */
void tracker_free(struct tracker *tracker); /* NULL is allowed */

enum track_outcome {
    TRACK_TAKEN,
    TRACK_REPEATED, /* a batch of that number was taken before: nothing is counted twice */
    TRACK_UNKNOWN,  /* goprofd was started since the batches before this one: totals are needed.  Nothing was taken */
};

/* Adds [batch] to the counts of its target; a new instance starts them over.  False with ERROR_LIMIT (too many programs
 * push) or ERROR_NO_MEMORY. */
bool tracker_take(struct tracker *tracker, const struct track_batch *batch, uint64_t now_realtime_ns,
                  uint64_t now_monotonic_ns, enum track_outcome *outcome,
                  struct error *err) GOPROFD_MUST_CHECK;

/* The target of number [index] (they move when one is forgotten); false behind the last. */
bool tracker_name(struct tracker *tracker, size_t index, char name[], size_t size);

/* How a target is doing. */
struct track_reading {
    uint64_t instances;      /* counts starts of the program: 1, 2, ... */
    uint64_t heard_ns;       /* monotonic time of the last batch */
    uint64_t batches;        /* of this instance */
    uint64_t groups_dropped; /* records counted as "other" for want of room */
};

/* False: there is no such target any more.  *[profile] gets the counts as a profile, one hold, if they are others than at
 * the last call; else NULL.  Counts of the profile are exact: each allocation was tracked.  [window_ns]: see
 * site_table_begin_read(). */
bool tracker_read(struct tracker *tracker, const char *name, uint64_t now_realtime_ns,
                  uint64_t window_ns, struct track_reading *reading, const struct profile **profile,
                  struct error *err) GOPROFD_MUST_CHECK;

void tracker_forget(struct tracker *tracker, const char *name);

#endif
