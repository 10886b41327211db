/* unpack.h - a history stream (docs/history.md) back to snapshots.
 *
 *   bytes --unpacker_next--> row: who, snapshot with its top lists, and now and then the largest sites
 *
 * Bytes are hostile: everything is bounded, and a record is looked over as a whole before any of it counts.  One
 * thread; what it hands out is sealed and may go anywhere. */
#ifndef GOPROFD_STORE_UNPACK_H
#define GOPROFD_STORE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct profile;
struct snapshot;
struct target_info;
struct unpacker;

/* One snapshot as it was recorded.  What it lacks: heap_classes, `allocs` and `frees` and the history of the
 * profile's entries, all sites but the largest, retention figures of the profile (those of the top lists are there),
 * and of the target the command line's raw form, build settings and dependencies. */
struct history_row {
    const struct target_info *info; /* these three: the unpacker's holds, good until the next call */
    const struct snapshot *snapshot;
    const struct profile *profile; /* the PACK_PROFILE_SITES_MAX largest sites in use, as of `taken_realtime_ns`, which
                                    * may lie up to a minute back; NULL: none recorded yet for this process.  Its
                                    * totals are those of its entries; the snapshot has the true ones */
    bool profile_is_new;           /* it was not in the row before of this target */
};

enum unpack_result {
    UNPACK_ROW,
    UNPACK_MORE,    /* the bytes end within a record, or were all used: *at is where the next one begins */
    UNPACK_CORRUPT, /* [err] says why; nothing more can be read */
};

struct unpacker *unpacker_new(void); /* NULL without memory */
void unpacker_free(struct unpacker *unpacker); /* NULL is allowed */

/* Forgets what belongs to one stream (dictionaries, the rows before), keeps the site tables of targets, so that a site
 * that appears in the next stream, too, is the same. */
void unpacker_restart(struct unpacker *unpacker);

enum unpack_result unpacker_next(struct unpacker *unpacker, const unsigned char **at,
                                 const unsigned char *end, struct history_row *row,
                                 struct error *err);

/* Of the newest header: the version that wrote it and the boot ("" before one was read). */
const char *unpacker_writer_version(const struct unpacker *unpacker);
const char *unpacker_boot_id(const struct unpacker *unpacker);

#endif
