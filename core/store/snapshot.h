/* snapshot.h - everything learned from a target at one instant, finished before shared.
 *
 *   snapshot_begin -> fill values -> snapshot_seal -> const, shared by reference count
 *                                 \-> snapshot_discard
 *
 * The sampler builds; from the seal on nobody writes.  The full profile is not part of it (it
 * changes only with each GC and is large): the board's page pairs the two. */
#ifndef GOPROFD_STORE_SNAPSHOT_H
#define GOPROFD_STORE_SNAPSHOT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/fields.h"

struct heap_classes;
struct tops;
struct top_entry;

enum { SNAPSHOT_TOP_MAX = 10 }; /* entries of each top list that a snapshot keeps */

struct snapshot {
    _Atomic uint32_t refs_;
    uint64_t sequence; /* 1, 2, ... per target, across restarts of the process */
    uint64_t realtime_ns;
    uint64_t monotonic_ns;
    uint64_t generation; /* which process or build of the target: changes when it restarts */
    bool partial;               /* something a source should know is missing this time */
    const char *partial_reason; /* constant text, or NULL */
    const struct tops *tops;    /* one hold, shared between snapshots of one GC; may be NULL */
    const struct heap_classes *heap_classes; /* one hold, shared until the next look; may be NULL */
    struct snapshot_values values;
};

struct snapshot *snapshot_begin(uint64_t realtime_ns, uint64_t monotonic_ns); /* NULL: memory */
void snapshot_discard(struct snapshot *building);                             /* NULL allowed */
const struct snapshot *snapshot_seal(struct snapshot *building); /* the caller owns one hold */

const struct snapshot *snapshot_ref(const struct snapshot *snapshot);
void snapshot_unref(const struct snapshot *snapshot); /* NULL is allowed */

/* A copy of [snapshot], for another clock: with this monotonic time.  Its heap_classes are left out.  One hold for the
 * caller; NULL without memory. */
const struct snapshot *snapshot_at(const struct snapshot *snapshot, uint64_t monotonic_ns);

/* Memory that dropping [snapshot] would give back: itself, and its tops if it is their only holder. */
size_t snapshot_bytes(const struct snapshot *snapshot);

/* Share of the heap that [entry] retains, 0 to 100: its live bytes over heap_alloc_bytes (as
 * goprof-optimizer defines retained_percent), or over the profile's total if that is larger, so
 * that sampling noise never yields more than 100. */
double snapshot_retained_percent(const struct snapshot *snapshot, const struct top_entry *entry);

#endif
