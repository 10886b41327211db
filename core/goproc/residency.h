/* residency.h - looks at the pages of a Go process: which of them are resident, and what is in them.
 *
 *   heap_spans (what lies where in the heap) + smaps (what each mapping holds) + /proc/PID/pagemap of
 *   the heap's arenas (which pages are there)  ->  struct rss_measure, size classes
 *
 * Costs about as much as the kernel takes to walk the process's page tables twice.  The target is not
 * stopped, so the numbers are not of one instant: rss_parts.h makes them add up.  One thread. */
#ifndef GOPROFD_GOPROC_RESIDENCY_H
#define GOPROFD_GOPROC_RESIDENCY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/goproc/go_layout.h"
#include "core/store/heap_classes.h"
#include "core/store/rss_parts.h"

struct memory;
struct procfs;
struct symbols;

struct residency_source {
    const struct procfs *fs;
    pid_t pid;
    struct memory *memory;
    const struct go_layout *layout;
    const struct symbols *symbols;
};

struct residency {
    struct rss_measure measure;
    uint64_t pss_bytes;
    uint64_t huge_bytes;
    struct heap_class classes[GO_SIZE_CLASSES];
};

bool residency_read(const struct residency_source *source, struct residency *residency,
                    struct error *err) GOPROFD_MUST_CHECK;

#endif
