/* ring.c - the last N snapshots of one target.
 *
 * Filled by the sampler thread, read through the board.  While the ring still grows, the
 * larger slots are prepared outside the board's lock (`spare`) and moved into by the push;
 * the smaller ones left behind (`retired`) are freed by the next preparation. */
#include "core/store/ring.h"

#include "core/store/heap_classes.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

enum { SLOTS_FIRST = 16 };

struct ring {
    const struct snapshot **slots;
    size_t slot_count;
    size_t capacity;
    size_t oldest; /* index of the oldest in slots */
    size_t count;
    size_t bytes;
    const struct snapshot **spare; /* what the next push moves to; NULL: nothing prepared */
    size_t spare_count;
    const struct snapshot **retired;
};

struct ring *ring_new(size_t capacity_snapshots)
{
    struct ring *ring = calloc(1, sizeof(*ring));
    if (ring == NULL)
        return NULL;
    ring->capacity = capacity_snapshots > 0 ? capacity_snapshots : 1;
    return ring;
}

void ring_free(struct ring *ring)
{
    if (ring == NULL)
        return;
    for (size_t i = 0; i < ring->count; i++)
        snapshot_unref(ring_at(ring, i));
    free(ring->slots);
    free(ring->spare);
    free(ring->retired);
    free(ring);
}

bool ring_make_room(struct ring *ring)
{
    free(ring->retired);
    ring->retired = NULL;
    if (ring->count < ring->slot_count || ring->slot_count == ring->capacity || ring->spare != NULL)
        return true;
    size_t wanted = ring->slot_count == 0 ? SLOTS_FIRST : ring->slot_count;
    if (ring->slot_count != 0 && __builtin_mul_overflow(wanted, 2, &wanted))
        wanted = ring->capacity;
    if (wanted > ring->capacity)
        wanted = ring->capacity;
    ring->spare = calloc(wanted, sizeof(*ring->spare));
    if (ring->spare == NULL)
        return false;
    ring->spare_count = wanted;
    return true;
}

/* Takes the prepared slots into use, oldest first. */
static void move_to_spare(struct ring *ring)
{
    for (size_t i = 0; i < ring->count; i++)
        ring->spare[i] = ring_at(ring, i);
    ring->retired = ring->slots;
    ring->slots = ring->spare;
    ring->slot_count = ring->spare_count;
    ring->oldest = 0;
    ring->spare = NULL;
}

/* The tops and size classes of [snapshot] count unless its neighbour [other] holds the same ones. */
static size_t bytes_beside(const struct snapshot *snapshot, const struct snapshot *other)
{
    const bool shared = snapshot->tops == NULL || (other != NULL && other->tops == snapshot->tops);
    const bool classes_shared = snapshot->heap_classes == NULL ||
                                (other != NULL && other->heap_classes == snapshot->heap_classes);
    return sizeof(*snapshot) + (shared ? 0 : tops_bytes(snapshot->tops)) +
           (classes_shared ? 0 : sizeof(*snapshot->heap_classes));
}

const struct snapshot *ring_drop_oldest(struct ring *ring)
{
    if (ring->count <= 1)
        return NULL;
    const struct snapshot *oldest = ring->slots[ring->oldest];
    ring->bytes -= bytes_beside(oldest, ring_at(ring, 1));
    ring->slots[ring->oldest] = NULL;
    ring->oldest = (ring->oldest + 1) % ring->slot_count;
    ring->count--;
    return oldest;
}

const struct snapshot *ring_push(struct ring *ring, const struct snapshot *snapshot)
{
    if (ring->count == ring->slot_count && ring->spare != NULL)
        move_to_spare(ring);
    if (ring->slot_count == 0)
        return snapshot;

    const struct snapshot *pushed_out = NULL;
    if (ring->slot_count == 1 && ring->count == 1) {
        pushed_out = ring->slots[0];
        ring->count = 0;
        ring->bytes = 0;
    } else if (ring->count == ring->slot_count) {
        pushed_out = ring_drop_oldest(ring);
    }
    ring->bytes += bytes_beside(snapshot, ring_newest(ring));
    ring->slots[(ring->oldest + ring->count) % ring->slot_count] = snapshot;
    ring->count++;
    return pushed_out;
}

size_t ring_bytes(const struct ring *ring)
{
    return ring->bytes;
}

size_t ring_count(const struct ring *ring)
{
    return ring->count;
}

size_t ring_capacity(const struct ring *ring)
{
    return ring->capacity;
}

const struct snapshot *ring_at(const struct ring *ring, size_t index)
{
    if (index >= ring->count)
        return NULL;
    return ring->slots[(ring->oldest + index) % ring->slot_count];
}

const struct snapshot *ring_newest(const struct ring *ring)
{
    return ring->count == 0 ? NULL : ring_at(ring, ring->count - 1);
}

size_t ring_find_time(const struct ring *ring, uint64_t realtime_ns)
{
    size_t index = 0;
    while (index < ring->count && ring_at(ring, index)->realtime_ns < realtime_ns)
        index++;
    return index;
}
