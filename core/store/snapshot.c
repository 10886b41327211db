/* snapshot.c - one instant of a target: built by the sampler, sealed, shared, dropped. */
#include "core/store/snapshot.h"

#include "core/store/heap_classes.h"
#include "core/store/profile.h"

struct snapshot *snapshot_begin(uint64_t realtime_ns, uint64_t monotonic_ns)
{
    struct snapshot *snapshot = calloc(1, sizeof(*snapshot));
    if (snapshot == NULL)
        return NULL;
    atomic_init(&snapshot->refs_, 1);
    snapshot->realtime_ns = realtime_ns;
    snapshot->monotonic_ns = monotonic_ns;
    return snapshot;
}

static void destroy(struct snapshot *snapshot)
{
    tops_unref(snapshot->tops);
    heap_classes_unref(snapshot->heap_classes);
    free(snapshot);
}

void snapshot_discard(struct snapshot *building)
{
    if (building != NULL)
        destroy(building);
}

const struct snapshot *snapshot_seal(struct snapshot *building)
{
    return building;
}

/* The count is the one part of a sealed snapshot that changes: hence the casts. */
static struct snapshot *counted(const struct snapshot *snapshot)
{
    return (struct snapshot *)(uintptr_t)snapshot;
}

const struct snapshot *snapshot_at(const struct snapshot *snapshot, uint64_t monotonic_ns)
{
    struct snapshot *copy = snapshot_begin(snapshot->realtime_ns, monotonic_ns);
    if (copy == NULL)
        return NULL;
    copy->sequence = snapshot->sequence;
    copy->generation = snapshot->generation;
    copy->partial = snapshot->partial;
    copy->partial_reason = snapshot->partial_reason;
    copy->tops = snapshot->tops != NULL ? tops_ref(snapshot->tops) : NULL;
    copy->values = snapshot->values;
    return snapshot_seal(copy);
}

const struct snapshot *snapshot_ref(const struct snapshot *snapshot)
{
    atomic_fetch_add_explicit(&counted(snapshot)->refs_, 1, memory_order_relaxed);
    return snapshot;
}

void snapshot_unref(const struct snapshot *snapshot)
{
    if (snapshot == NULL ||
        atomic_fetch_sub_explicit(&counted(snapshot)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    destroy(counted(snapshot));
}

size_t snapshot_bytes(const struct snapshot *snapshot)
{
    const struct tops *tops = snapshot->tops;
    size_t bytes = sizeof(*snapshot);
    if (tops != NULL && atomic_load_explicit(&tops->refs_, memory_order_relaxed) == 1)
        bytes += tops_bytes(tops);
    const struct heap_classes *classes = snapshot->heap_classes;
    if (classes != NULL &&
        atomic_load_explicit(&classes->refs_, memory_order_relaxed) == 1)
        bytes += sizeof(*classes);
    return bytes;
}

double snapshot_retained_percent(const struct snapshot *snapshot, const struct top_entry *entry)
{
    const struct snapshot_values *values = &snapshot->values;
    uint64_t whole = SNAPSHOT_HAS(values, heap_alloc_bytes) ? values->heap_alloc_bytes : 0;
    if (SNAPSHOT_HAS(values, profile_inuse_bytes) && values->profile_inuse_bytes > whole)
        whole = values->profile_inuse_bytes;
    if (whole == 0 || entry->inuse_bytes <= 0)
        return 0;
    const double percent = 100.0 * (double)entry->inuse_bytes / (double)whole;
    return percent > 100 ? 100 : percent;
}
