/* heap_spans.h - the spans that the Go heap consists of, and how full they are.
 *
 *   mheap_.allspans -> pointers -> the mspans, in few large reads -> spans by address, size classes
 *
 * All of them are read: 160 bytes for each, 16 MiB or so for a heap of a gigabyte of small objects.  So
 * this is done now and then only.  The target runs on meanwhile: a span may be counted before and
 * its neighbour after a change. */
#ifndef GOPROFD_GOPROC_HEAP_SPANS_H
#define GOPROFD_GOPROC_HEAP_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/go_layout.h"
#include "core/store/heap_classes.h"

struct memory;
struct symbols;

enum { HEAP_SPANS_MAX = 1 << 20, GO_PAGE_BYTES = 8192 };

enum heap_span_kind { HEAP_SPAN_SMALL, HEAP_SPAN_LARGE, HEAP_SPAN_MANUAL, HEAP_SPAN_KINDS };

struct heap_span {
    uint64_t start;
    uint32_t pages;
    enum heap_span_kind kind;
};

struct heap_spans {
    struct heap_span *spans; /* ascending, not overlapping; dead ones left out */
    size_t count;
    struct heap_class classes[GO_SIZE_CLASSES]; /* by size class; 0: large objects */
};

/* ERROR_LIMIT with more than HEAP_SPANS_MAX, ERROR_CORRUPT when they cannot be what they claim. */
bool heap_spans_read(struct memory *memory, const struct go_layout *layout,
                     const struct symbols *symbols, struct heap_spans *spans,
                     struct error *err) GOPROFD_MUST_CHECK;
void heap_spans_release(struct heap_spans *spans);

#endif
