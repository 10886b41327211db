/* track_batch.h - what a program pushes: allocations that it tracked itself, in msgpack (docs/track.md).
 *
 *   { "target": NAME, "instance": N, "sequence": N, "totals": false,
 *     "records": [ [TYPE, TAG, ALLOCS, BYTES, FREES, BYTES], ... ] }
 *
 * A batch is hostile: every text and count is bounded, and it is looked over as a whole before any of it counts.
 * Texts point into the body.  Any thread. */
#ifndef GOPROFD_TRACK_TRACK_BATCH_H
#define GOPROFD_TRACK_TRACK_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum {
    TRACK_RECORDS_MAX = 4096, /* of one batch */
    TRACK_TEXT_MAX_BYTES = 256,
    TRACK_TARGET_MAX_BYTES = 100, /* as names in the config */
};
/* Of one number of a record: so that sums over years cannot overflow. */
#define TRACK_NUMBER_MAX (UINT64_C(1) << 48)

struct track_text {
    const char *text; /* not terminated */
    size_t length;
};

/* Since the batch before, or, if the batch says so, since the start of the program. */
struct track_record {
    struct track_text type;
    struct track_text tag;
    uint64_t alloc_objects;
    uint64_t alloc_bytes;
    uint64_t free_objects;
    uint64_t free_bytes;
};

struct track_batch {
    char target[TRACK_TARGET_MAX_BYTES + 1];
    uint64_t instance; /* another number for each start of the program; 0: not told */
    uint64_t sequence; /* of the instance: 1, 2, ...; 0: not numbered */
    bool totals;       /* the records are sums since the start of the program, not since the batch before */
    size_t record_count;
    struct track_record *records; /* owned */
};

/* False with ERROR_USAGE, which names what is wrong and where ("records[3][1]: ..."), or ERROR_LIMIT, or
 * ERROR_NO_MEMORY. */
bool track_batch_read(const void *body, size_t length, struct track_batch *batch,
                      struct error *err) GOPROFD_MUST_CHECK;
void track_batch_release(struct track_batch *batch);

#endif
