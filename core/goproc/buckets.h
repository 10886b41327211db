/* buckets.h - the runtime's heap profile records, read in bulk and consistently.
 *
 *   mbuckets -> bucket -> bucket -> ... -> 0        newest first; never freed, never changed
 *               | header 48 | stack 8 x nstk | record |
 *
 *   record <= 1.26: active, future[3] of {allocs, frees, alloc_bytes, free_bytes}
 *   record  = 1.27: active, future[3] of {allocs, frees}; bytes are counts x object size
 *
 * (type bucket, memRecord, memRecordCycle in src/runtime/mprof.go, Go 1.18 to 1.27.)  With cycle C
 * the published value of a bucket is active + future[C%3]; while no bucket at all has one (no
 * GC yet) it is the sum of all four.  Headers and stacks are read once; each later read takes the
 * records only.  One thread. */
#ifndef GOPROFD_GOPROC_BUCKETS_H
#define GOPROFD_GOPROC_BUCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buckets;
struct call_stacks;
struct go_layout;
struct mapping;
struct memory;
struct profile;
struct site_table;
struct symbols;

/* Our caps: what is past them is left out and the profile marked partial. */
struct buckets_limits {
    size_t records;         /* that are known at all */
    size_t records_a_read;  /* new ones walked in one read; the walk goes on in the next */
    size_t retries;         /* of one read, while the target keeps moving */
};
#define BUCKETS_LIMITS_DEFAULT                                                                     \
    ((struct buckets_limits){.records = 1000000, .records_a_read = 250000, .retries = 20})

/* All borrowed. */
struct buckets_source {
    struct memory *memory;
    const struct go_layout *layout;
    const struct symbols *symbols;
    struct call_stacks *stacks;
    struct site_table *sites;
    const struct mapping *mappings; /* in [sites] */
    size_t mapping_count;
    uint64_t start_realtime_ns;
};

struct buckets *buckets_new(const struct buckets_source *source,
                            const struct buckets_limits *limits);
void buckets_free(struct buckets *buckets); /* NULL is allowed */

/* Reads the profile as of the last GC; [*profile] gets one hold: the same object as last time when
 * nothing published has changed.  While an explicit GC sweeps, values are read twice and must agree.
 * [*retries] grows by the repetitions.  [*rate] gets MemProfileRate; with rate 0 the profile is
 * empty.  ERROR_BUSY when no consistent reading came about, ERROR_CORRUPT for a list or record that
 * cannot be. */
bool buckets_read(struct buckets *buckets, uint64_t taken_realtime_ns,
                  const struct profile **profile, int64_t *rate, uint64_t *retries,
                  struct error *err) GOPROFD_MUST_CHECK;

size_t buckets_count(const struct buckets *buckets);
/* Of profiles made from now on; [mappings] are in the sites, like the first ones. */
void buckets_set_mappings(struct buckets *buckets, const struct mapping *mappings, size_t count);

#endif
