/* labels.h - pprof labels of a goroutine: what pprof.Do and SetGoroutineLabels put there.
 *
 *   up to 1.23: g.labels -> map[string]string -> hmap -> buckets of 8   (src/runtime/map.go)
 *   from 1.24:  g.labels -> slice of {key, value string}, sorted       (src/runtime/pprof/label.go)
 *
 * Heap objects that may change under us: everything is bounded, and whoever calls looks at the
 * goroutine again afterwards.  Called by goroutines.c; one thread. */
#ifndef GOPROFD_GOPROC_LABELS_H
#define GOPROFD_GOPROC_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/stack_profile.h"

struct memory;

enum { LABEL_TEXT_MAX_BYTES = 1024, LABELS_TEXT_BYTES = 16 << 10 };

/* Labels as they were read; texts in `texts`. */
struct labels {
    struct stack_label list[STACK_LABELS_MAX];
    size_t count;
    char texts[LABELS_TEXT_BYTES];
    size_t text_bytes;
};

/* [is_slice]: from Go 1.24 on.  False: they cannot be what they should be, or are too many or too
 * long. */
bool labels_read(struct memory *memory, uint64_t address, bool is_slice, struct labels *labels);

#endif
