/* archive.c - the packed part of a target's history.
 *
 * Filled by the sampler's thread, read through the board.  Its slots are made at the start, so that
 * nothing is allocated under the board's lock. */
#include "core/store/archive.h"

#include <stdlib.h>

#include "core/store/profile.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"

struct archive {
    size_t capacity; /* snapshots, with those of the ring */
    size_t slot_count;
    size_t oldest;
    size_t block_count;
    size_t count; /* snapshots */
    size_t bytes;
    const struct columns *slots[];
};

size_t archive_blocks_max(size_t capacity_snapshots)
{
    return capacity_snapshots / COLUMNS_SNAPSHOTS_MAX + 2;
}

struct archive *archive_new(size_t capacity_snapshots)
{
    const size_t slots = archive_blocks_max(capacity_snapshots);
    struct archive *archive = calloc(1, sizeof(*archive) + slots * sizeof(archive->slots[0]));
    if (archive == NULL)
        return NULL;
    archive->capacity = capacity_snapshots;
    archive->slot_count = slots;
    return archive;
}

static const struct columns *block_at(const struct archive *archive, size_t index)
{
    return archive->slots[(archive->oldest + index) % archive->slot_count];
}

void archive_free(struct archive *archive)
{
    if (archive == NULL)
        return;
    for (size_t i = 0; i < archive->block_count; i++)
        columns_unref(block_at(archive, i));
    free(archive);
}

struct packed *archive_pack(const struct ring *ring)
{
    if (ring_count(ring) <= COLUMNS_SNAPSHOTS_MAX)
        return NULL;
    struct packed *packed = calloc(1, sizeof(*packed));
    if (packed == NULL)
        return NULL;
    const struct snapshot *oldest[COLUMNS_SNAPSHOTS_MAX];
    for (size_t i = 0; i < COLUMNS_SNAPSHOTS_MAX; i++)
        oldest[i] = ring_at(ring, i);
    packed->block = columns_new(oldest, COLUMNS_SNAPSHOTS_MAX);
    if (packed->block == NULL) {
        free(packed);
        return NULL;
    }
    return packed;
}

void archive_packed_free(struct packed *packed)
{
    if (packed == NULL)
        return;
    columns_unref(packed->block);
    for (size_t i = 0; i < packed->count; i++)
        snapshot_unref(packed->moved[i]);
    free(packed);
}

/* A block's site tables count unless the present process still uses them or the block before has them. */
static size_t tables_bytes(const struct columns *block, const struct columns *before,
                           const struct site_table *present)
{
    size_t count = 0;
    size_t before_count = 0;
    struct site_table *const *tables = columns_site_tables(block, &count);
    struct site_table *const *known = before != NULL ? columns_site_tables(before, &before_count) : NULL;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bool counted = tables[i] == present;
        for (size_t j = 0; j < before_count; j++)
            counted = counted || known[j] == tables[i];
        if (!counted)
            bytes += site_table_bytes(tables[i]);
    }
    return bytes;
}

static void recount(struct archive *archive, const struct ring *ring)
{
    const struct snapshot *newest = ring_newest(ring);
    const struct site_table *present =
        newest != NULL && newest->tops != NULL ? newest->tops->sites : NULL;
    const struct columns *before = NULL;
    archive->bytes = 0;
    for (size_t i = 0; i < archive->block_count; i++) {
        const struct columns *block = block_at(archive, i);
        archive->bytes += columns_bytes(block) + tables_bytes(block, before, present);
        before = block;
    }
}

static const struct columns *remove_oldest(struct archive *archive)
{
    const struct columns *oldest = block_at(archive, 0);
    archive->slots[archive->oldest] = NULL;
    archive->oldest = (archive->oldest + 1) % archive->slot_count;
    archive->block_count--;
    archive->count -= columns_count(oldest);
    return oldest;
}

const struct columns *archive_take(struct archive *archive, struct packed *packed,
                                   struct ring *ring)
{
    for (size_t i = 0; i < COLUMNS_SNAPSHOTS_MAX; i++)
        packed->moved[packed->count++] = ring_drop_oldest(ring);
    /* The oldest block goes once the rest alone fills the capacity. */
    const size_t others = archive->count + ring_count(ring);
    const struct columns *pushed_out = NULL;
    if (archive->block_count == archive->slot_count ||
        (archive->block_count > 0 && others >= archive->capacity))
        pushed_out = remove_oldest(archive);
    archive->slots[(archive->oldest + archive->block_count) % archive->slot_count] = packed->block;
    archive->block_count++;
    archive->count += columns_count(packed->block);
    packed->block = NULL;
    recount(archive, ring);
    return pushed_out;
}

const struct columns *archive_drop_oldest(struct archive *archive, const struct ring *ring)
{
    if (archive->block_count == 0)
        return NULL;
    const struct columns *oldest = remove_oldest(archive);
    recount(archive, ring);
    return oldest;
}

const struct columns *archive_oldest(const struct archive *archive)
{
    return archive->block_count > 0 ? block_at(archive, 0) : NULL;
}

size_t archive_block_count(const struct archive *archive)
{
    return archive->block_count;
}

size_t archive_count(const struct archive *archive)
{
    return archive->count;
}

size_t archive_bytes(const struct archive *archive)
{
    return archive->bytes;
}

size_t archive_find(const struct archive *archive, uint64_t since_realtime_ns,
                    uint64_t until_realtime_ns, const struct columns **out)
{
    size_t count = 0;
    for (size_t i = archive->block_count; i > 0; i--) {
        const struct columns *block = block_at(archive, i - 1);
        if (columns_overlap(block, since_realtime_ns, until_realtime_ns))
            out[count++] = columns_ref(block);
    }
    return count;
}
