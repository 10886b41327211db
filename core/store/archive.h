/* archive.h - the older history of one target: packed blocks, oldest first.
 *
 *   archive: [ block | block | ... | block ]  ring: [ up to ARCHIVE_TAIL_MAX snapshots ... newest ]
 *
 * The sampler packs the ring's oldest snapshots outside the board's lock (archive_pack) and moves them in
 * under it.  An archive has no lock of its own: the board guards it. */
#ifndef GOPROFD_STORE_ARCHIVE_H
#define GOPROFD_STORE_ARCHIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/columns.h"

struct archive;
struct ring;
struct site_table;

/* Snapshots that a ring holds as they are; more than a block, so that targets which started
 * together need not all be packed in one beat. */
enum { ARCHIVE_TAIL_MAX = 2 * COLUMNS_SNAPSHOTS_MAX };

struct archive *archive_new(size_t capacity_snapshots); /* NULL without memory */
void archive_free(struct archive *archive);             /* NULL is allowed */

/* A block that was packed, and then the snapshots that it replaces. */
struct packed {
    const struct columns *block;
    size_t count;
    const struct snapshot *moved[COLUMNS_SNAPSHOTS_MAX];
};

/* Packs the oldest of [ring] if it has more than a block; it stays as it is.  NULL: nothing to do, or no
 * memory: then the ring lets its oldest go when it is full. */
struct packed *archive_pack(const struct ring *ring);
void archive_packed_free(struct packed *packed); /* drops the holds; NULL is allowed */

/* Moves the block in and what it replaces out of [ring] into [packed].  Returns the block that was
 * pushed out, or NULL: drop that after unlocking. */
const struct columns *archive_take(struct archive *archive, struct packed *packed,
                                   struct ring *ring);

/* Takes the oldest block out and hands its hold to the caller; NULL if there is none. */
const struct columns *archive_drop_oldest(struct archive *archive, const struct ring *ring);

const struct columns *archive_oldest(const struct archive *archive); /* or NULL; no hold */
size_t archive_block_count(const struct archive *archive);
size_t archive_count(const struct archive *archive); /* snapshots */

/* Blocks, and site tables of processes before the present one, that only the blocks keep. */
size_t archive_bytes(const struct archive *archive);

/* Adds a hold to each block that may have snapshots of that time, newest first; [out] has room for
 * archive_blocks_max(). */
size_t archive_find(const struct archive *archive, uint64_t since_realtime_ns,
                    uint64_t until_realtime_ns, const struct columns **out);
size_t archive_blocks_max(size_t capacity_snapshots);

#endif
