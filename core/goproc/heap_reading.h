/* heap_reading.h - the words that memory statistics are made of, copied in one go; for heap_stats.c only.
 *
 * Lives for one read: two hundred idle targets keep none of it between the beats. */
#ifndef GOPROFD_GOPROC_HEAP_READING_H
#define GOPROFD_GOPROC_HEAP_READING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/error.h"
#include "core/goproc/go_layout.h"

struct memory;
struct memory_part;
struct symbols;

enum {
    STATS_MAX_BYTES = 9496,
    GC_MAX_BYTES = 352,
    SCHED_MAX_BYTES = 224,
    MCACHE_MAX_BYTES = 8 + 48 + 8 * GO_SPAN_CLASSES,
};

/* What one P contributes. */
struct processor {
    uint64_t mcache;
    int32_t free_goroutines;
    unsigned char cache[MCACHE_MAX_BYTES]; /* from tinyAllocs to the end of alloc[] */
};

struct heap_reading {
    struct memory *memory;
    const struct go_layout *layout;
    const struct symbols *symbols;
    uint64_t empty_span; /* &runtime.emptymspan, or 0: it is in most slots */
    size_t processor_capacity;
    uint64_t *allp; /* these four for as many processors */
    struct processor *processors;
    struct memory_part *parts;
    unsigned char *spans;
    unsigned char stats[STATS_MAX_BYTES];
    unsigned char gc[GC_MAX_BYTES];
    unsigned char sched[SCHED_MAX_BYTES];
    uint64_t allp_slice[3];
    uint64_t allglen;
    uint64_t mspan_inuse_bytes;
    uint64_t mcache_inuse_bytes;
    int32_t gomaxprocs;
};

/* The heap by what becomes of it: together MemStats.HeapSys. */
struct heap_totals {
    uint64_t in_use, free, released;
};

/* Sums over the three heapStatsDelta; as signed numbers, since one alone may be negative. */
struct heap_sums {
    int64_t committed, released, in_heap, in_stacks, in_work_bufs, in_ptr_scalar_bits;
    uint64_t tiny_allocs;
    uint64_t large_alloc_bytes, large_allocs, large_free_bytes, large_frees;
    uint64_t small_allocs[GO_SIZE_CLASSES];
    uint64_t small_frees[GO_SIZE_CLASSES];
};

static inline uint64_t u64_at(const unsigned char *bytes, size_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static inline int64_t i64_at(const unsigned char *bytes, size_t offset)
{
    int64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static inline uint32_t u32_at(const unsigned char *bytes, size_t offset)
{
    uint32_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static inline uint16_t u16_at(const unsigned char *bytes, size_t offset)
{
    uint16_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

struct heap_reading *heap_reading_new(struct memory *memory, const struct go_layout *layout,
                                      const struct symbols *symbols, uint64_t empty_span);
void heap_reading_free(struct heap_reading *reading); /* NULL is allowed */

/* The central numbers, in one call so that they are close in time. */
bool heap_reading_centre(struct heap_reading *reading, struct error *err) GOPROFD_MUST_CHECK;
/* Everything, with [sums] over it; ERROR_BUSY if the number of Ps is just changing. */
bool heap_reading_all(struct heap_reading *reading, struct heap_sums *sums, uint64_t *retries,
                      struct error *err) GOPROFD_MUST_CHECK;
void heap_reading_totals(const struct heap_reading *reading, struct heap_totals *totals);
void heap_reading_sum(const struct heap_reading *reading, struct heap_sums *sums);

#endif
