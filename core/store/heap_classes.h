/* heap_classes.h - how full the spans of each size class are: where heap fragmentation comes from.
 *
 * Counted with each measurement of residency and then shared, by reference count, by the snapshots up to
 * the next one.  Any thread once made. */
#ifndef GOPROFD_STORE_HEAP_CLASSES_H
#define GOPROFD_STORE_HEAP_CLASSES_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct heap_class {
    uint64_t object_bytes; /* size of each object's place; 0: large objects, one to a span */
    uint64_t spans;
    uint64_t span_bytes;
    uint64_t objects;      /* places taken, live or not swept yet */
    uint64_t wasted_bytes; /* free places, and tails too short for one */
};

enum { HEAP_CLASSES_MAX = 68 };

struct heap_classes {
    _Atomic uint32_t refs_;
    uint64_t taken_realtime_ns;
    size_t count;
    struct heap_class classes[HEAP_CLASSES_MAX]; /* descending by wasted_bytes; those in use only */
};

/* A copy of those of [classes] that have a span, sorted.  NULL without memory. */
const struct heap_classes *heap_classes_new(const struct heap_class *classes, size_t count,
                                            uint64_t taken_realtime_ns);
const struct heap_classes *heap_classes_ref(const struct heap_classes *classes);
void heap_classes_unref(const struct heap_classes *classes); /* NULL is allowed */

#endif
