/* heap_stats.h - runtime.MemStats of a live process, computed from outside.
 *
 *   memstats.heapStats[3] --sum--> D      what was flushed to the centre
 *   allp[] -> mcache -> spans  --------> + what each P allocated since (mcache correction)
 *   gcController, mheap_, sched ------->  sizes, goal, goroutines
 *
 * One thread; keeps no scratch memory between reads.  Borrows what it is given. */
#ifndef GOPROFD_GOPROC_HEAP_STATS_H
#define GOPROFD_GOPROC_HEAP_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct go_layout;
struct heap_stats;
struct memory;
struct snapshot_values;
struct symbols;

enum { HEAP_STATS_PROCESSORS_MAX = 16384 };

struct heap_stats *heap_stats_new(struct memory *memory, const struct go_layout *layout,
                                  const struct symbols *symbols);
void heap_stats_free(struct heap_stats *stats); /* NULL is allowed */

/* Fills the fields of [values] that the Go runtime knows.  [*retries] grows by the times a part
 * was read again because a GC or another reader moved it meanwhile. */
bool heap_stats_read(struct heap_stats *stats, struct snapshot_values *values, uint64_t *retries,
                     struct error *err) GOPROFD_MUST_CHECK;

/* Proves the layout on the live process: sums that the runtime keeps twice must agree
 * (readmemstats_m's own double check).  They may differ for an instant while it runs, so each is
 * tried for a while.  ERROR_UNSUPPORTED names the first that never held. */
bool heap_stats_check(struct heap_stats *stats, struct error *err) GOPROFD_MUST_CHECK;

#endif
