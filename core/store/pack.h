/* pack.h - snapshots as a history stream: msgpack that describes itself (docs/history.md).
 *
 *   header: version, who wrote it, table of fields | strings | targets | sites | top lists | rows ...
 *
 * A row holds differences against the row before of its target, in the columns that its layout names; strings, sites
 * and groups are written once, before the first row that needs them.  The same bytes go to /v1/export as they are and
 * to segments on disk deflated.  One thread. */
#ifndef GOPROFD_STORE_PACK_H
#define GOPROFD_STORE_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buffer;
struct packer;
struct profile;
struct snapshot;
struct target_info;

enum {
    PACK_VERSION = 1,
    /* The largest sites of a target: so many in use, then, up to the maximum, by what they ever allocated. */
    PACK_PROFILE_SITES_INUSE = 40,
    PACK_PROFILE_SITES_MAX = 64,
    /* They are written with each profile as long as that costs no more than so many bytes a row; what a quiet time
     * saves may be spent later, and so much is given at the start.  Whatever it costs, once in so many seconds. */
    PACK_PROFILE_BYTES_PER_ROW = 24,
    PACK_PROFILE_BYTES_SAVED_MAX = 8 << 10,
    PACK_PROFILE_EVERY_S = 60,
    PACK_FRAMES_MAX = 64,      /* of a stack, leaf first; the rest is left out */
};

/* [boot_id]: of the running kernel, which monotonic times belong to; "" if unknown.  NULL without memory. */
struct packer *packer_new(const char *boot_id);
void packer_free(struct packer *packer); /* NULL is allowed */

/* Everything starts over: the next snapshot comes after a header. */
void packer_restart(struct packer *packer);

/* Appends [snapshot] to [out], with whatever has to come before it.  [profile]: the newest of its target, or NULL.  False
 * with ERROR_NO_MEMORY (also when [out] is full): what was appended is then to be cut off and the packer starts over. */
bool packer_add(struct packer *packer, const struct target_info *info,
                const struct snapshot *snapshot, const struct profile *profile, struct buffer *out,
                struct error *err) GOPROFD_MUST_CHECK;

/* Whether its dictionaries have grown so large that a new stream should begin. */
bool packer_is_full(const struct packer *packer);

#endif
