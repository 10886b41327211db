/* rss_parts.h - what the resident memory of a Go process consists of, in parts that add up to it.
 *
 *   RSS = anonymous [ heap live | garbage | fragmentation | idle | stacks | runtime | globals | not Go ]
 *         + what of it nothing explains + file pages + shared memory
 *
 * The runtime counts what it holds, each beat, but not what of it is resident: memory may never have been
 * touched, or be swapped out.  That is measured now and then, page by page (goproc/residency.h), and
 * kept as an anchor: by how much each part differed from the runtime's own count.  Between two
 * measurements the counts of the beat and the anchor together give the parts; what the process gained
 * since and neither explains is shown as such.  Pure; any thread.  docs/rss.md has the formulas. */
#ifndef GOPROFD_STORE_RSS_PARTS_H
#define GOPROFD_STORE_RSS_PARTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/fields.h"

/* One row for each part: the field rss_part_NAME_bytes, what it means, and what to do about it. */
#define RSS_PARTS(X)                                                                               \
    X(heap_live, "Go objects that the last GC found in use",                                       \
      "see which sites retain them: /v1/metrics/retentions/top")                                   \
    X(heap_garbage, "Go objects allocated since the last GC, or dead and not swept yet",           \
      "allocate less, or lower GOGC: the next GC frees what of it is dead")                        \
    X(heap_fragmentation, "Free places between objects in spans that are in use",                  \
      "few survivors keep whole spans: see size_classes; pool objects, or give them one size")     \
    X(heap_idle, "Free heap that the runtime keeps for later and has not returned",                \
      "normal after a peak, returned within minutes; a GOMEMLIMIT returns it sooner")              \
    X(stacks, "Stacks of goroutines",                                                              \
      "fewer goroutines, or less deep: /debug/pprof/goroutine")                                    \
    X(runtime, "The runtime's own: spans, caches, GC metadata, profiling buckets",                 \
      "grows with the heap and with the number of distinct stacks in the heap profile")            \
    X(globals, "Global variables of the program and its libraries (.data, .bss)",                  \
      "large arrays or tables declared at package level")                                          \
    X(non_go, "Memory that Go did not allocate: malloc, mmap, threads' stacks of C",               \
      "look at the C side (cgo, plugins, syscall.Mmap): Go's heap profile cannot see it")          \
    X(unexplained, "Gained since the pages were last looked at, and not counted by the runtime",   \
      "the next look attributes it; see rss_parts_age_ns")                                         \
    X(files, "Pages of files: the executable, libraries, mapped files",                            \
      "shared with the page cache; the kernel takes clean ones back when memory is short")         \
    X(shared, "Shared memory: shm, memfd, tmpfs, MAP_SHARED",                                      \
      "counted in full here and in every process that maps it; compare pss_bytes")

enum rss_part {
#define RSS_PART_DECLARE(name, meaning, advice) RSS_PART_##name,
    RSS_PARTS(RSS_PART_DECLARE)
#undef RSS_PART_DECLARE
        RSS_PART_COUNT
};

struct rss_part_info {
    const char *name; /* "heap_live" */
    enum snapshot_field_index field;
    const char *meaning;
    const char *advice;
};
extern const struct rss_part_info rss_parts[RSS_PART_COUNT];

/* What the pages of a process were found to be.  Spans are what the Go heap consists of. */
struct rss_measure {
    uint64_t small_span_bytes; /* in use, with objects of one size class each */
    uint64_t small_resident_bytes;
    uint64_t large_span_bytes; /* in use by one large object each */
    uint64_t large_resident_bytes;
    uint64_t manual_span_bytes; /* stacks, and work buffers of the GC */
    uint64_t manual_resident_bytes;
    uint64_t free_resident_bytes;      /* in the heap's arenas, in no span */
    uint64_t named_runtime_bytes;      /* mappings that say they are the runtime's (Go 1.25) */
    uint64_t other_anonymous_bytes;    /* outside the heap, nothing tells whose */
    uint64_t foreign_bytes;            /* C's heap, the first stack, mappings named by others */
    uint64_t globals_bytes;
    bool runtime_is_named; /* then [other_anonymous_bytes] are not the runtime's */
};

/* By how much parts differ from the runtime's counts, as of a measurement. */
struct rss_anchor {
    uint64_t objects_missing_bytes; /* counted and not resident */
    uint64_t fragmentation_missing_bytes;
    uint64_t stacks_missing_bytes;
    int64_t idle_more_bytes; /* resident beyond what is counted */
    int64_t runtime_more_bytes;
    uint64_t globals_bytes;
    uint64_t non_go_bytes;
};

/* [values]: the runtime's counts of the same instant.  False if they are not all there. */
bool rss_anchor_set(struct rss_anchor *anchor, const struct rss_measure *measure,
                    const struct snapshot_values *values);

/* Sets the rss_part_* fields of [values] so that they add up to rss_bytes.  False, and no part is
 * set, unless the kernel's and the runtime's numbers are all there.  [*drift_bytes]: by how much the
 * process has more anonymous memory than anchor and counts say; negative: less. */
bool rss_parts_fill(const struct rss_anchor *anchor, struct snapshot_values *values,
                    int64_t *drift_bytes);

#endif
