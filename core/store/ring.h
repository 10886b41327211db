/* ring.h - the last N snapshots of one target.
 *
 *   slots:  [ s7 | s8 | s9 | s4 | s5 | s6 ]      capacity 6
 *                        next ^ (overwrites s4, the oldest)
 *
 * A ring owns one hold on each snapshot in it.  It has no lock of its own: the board guards
 * it.  Slots grow by doubling up to the capacity, so a young target costs little. */
#ifndef GOPROFD_STORE_RING_H
#define GOPROFD_STORE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot;
struct ring;

struct ring *ring_new(size_t capacity_snapshots); /* NULL without memory */
void ring_free(struct ring *ring);                /* drops all holds; NULL is allowed */

/* Makes sure that the next push needs no memory.  Called by the pushing thread outside the board's
 * lock, while others may read: what they see does not change before the push.  False without
 * memory. */
bool ring_make_room(struct ring *ring);

/* Takes over the caller's hold on [snapshot].  Returns the one it pushed out, or NULL; drop that
 * after unlocking.  If room for it was never made the oldest goes early (with no slot at all, that
 * is [snapshot] itself). */
const struct snapshot *ring_push(struct ring *ring, const struct snapshot *snapshot);

/* Takes the oldest out and hands its hold to the caller; NULL when only the newest is left, which
 * is never given up. */
const struct snapshot *ring_drop_oldest(struct ring *ring);

/* What the ring's snapshots occupy; top lists that neighbours share are counted once. */
size_t ring_bytes(const struct ring *ring);

size_t ring_count(const struct ring *ring);
size_t ring_capacity(const struct ring *ring);

/* [index] 0 is the oldest, ring_count() - 1 the newest; NULL past the end.  The hold stays
 * with the ring. */
const struct snapshot *ring_at(const struct ring *ring, size_t index);
const struct snapshot *ring_newest(const struct ring *ring);

/* First index whose realtime_ns is >= [realtime_ns]; ring_count() if none.  Looks at each: the
 * system's clock may have been set back between two snapshots. */
size_t ring_find_time(const struct ring *ring, uint64_t realtime_ns);

#endif
