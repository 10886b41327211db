/* heap_classes.c - the size classes of one heap, sealed and shared. */
#include "core/store/heap_classes.h"

#include <stdlib.h>

static int by_waste(const void *a, const void *b)
{
    const struct heap_class *left = a;
    const struct heap_class *right = b;
    if (left->wasted_bytes != right->wasted_bytes)
        return left->wasted_bytes < right->wasted_bytes ? 1 : -1;
    return (left->object_bytes > right->object_bytes) - (left->object_bytes < right->object_bytes);
}

const struct heap_classes *heap_classes_new(const struct heap_class *classes, size_t count,
                                            uint64_t taken_realtime_ns)
{
    struct heap_classes *made = calloc(1, sizeof(*made));
    if (made == NULL)
        return NULL;
    atomic_init(&made->refs_, 1);
    made->taken_realtime_ns = taken_realtime_ns;
    for (size_t i = 0; i < count && made->count < HEAP_CLASSES_MAX; i++) {
        if (classes[i].spans > 0)
            made->classes[made->count++] = classes[i];
    }
    qsort(made->classes, made->count, sizeof(made->classes[0]), by_waste);
    return made;
}

/* The count is the one part that changes: hence the cast. */
static struct heap_classes *counted(const struct heap_classes *classes)
{
    return (struct heap_classes *)(uintptr_t)classes;
}

const struct heap_classes *heap_classes_ref(const struct heap_classes *classes)
{
    atomic_fetch_add_explicit(&counted(classes)->refs_, 1, memory_order_relaxed);
    return classes;
}

void heap_classes_unref(const struct heap_classes *classes)
{
    if (classes == NULL ||
        atomic_fetch_sub_explicit(&counted(classes)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    free(counted(classes));
}
