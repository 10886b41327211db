/* bucket_list.h - which heap profile records exist, and how to copy all of them in few calls.
 *
 * Private to buckets.c.  Walks runtime.mbuckets once; later only what was put in front since.  For
 * each record it keeps where it is, its site and its object size, and a plan of reads:
 *
 *   address order:  [rec]  [rec][rec]   ......  [rec][rec]  [rec]
 *   ranges:         |---- gap <= 1 KiB ----|    |---------------|
 *   batches:        as many ranges as fit one call and one buffer */
#ifndef GOPROFD_GOPROC_BUCKET_LIST_H
#define GOPROFD_GOPROC_BUCKET_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct bucket_list;
struct call_stacks;
struct memory;
struct site;

enum { BUCKET_BATCH_BYTES = 256 << 10 };

enum bucket_walk {
    BUCKET_WALK_FAILED,
    BUCKET_WALK_DONE,
    BUCKET_WALK_PAUSED, /* there are more: they come with the next calls */
    BUCKET_WALK_FULL,   /* there are more than may be kept */
};

/* Where a record lies in the buffer that a batch was read into; and its object size, so that going through
 * a batch touches nothing but the batch. */
struct bucket_place {
    uint32_t index;
    uint32_t offset;
    uint64_t object_bytes;
};

/* [record_bytes]: size of the record behind header and stack.  Borrows [memory] and [stacks]. */
struct bucket_list *bucket_list_new(struct memory *memory, struct call_stacks *stacks,
                                    size_t record_bytes);
void bucket_list_free(struct bucket_list *list); /* NULL is allowed */

/* Learns the buckets from [head] on that are not known yet, at most [max_new] of them now and
 * [max_total] ever.  FAILED with ERROR_CORRUPT if the list cannot be one of memory buckets. */
enum bucket_walk bucket_list_extend(struct bucket_list *list, uint64_t head, size_t max_new,
                                    size_t max_total, struct error *err);

size_t bucket_list_count(const struct bucket_list *list);
uint64_t bucket_list_record_address(const struct bucket_list *list, size_t index);
uint64_t bucket_list_object_bytes(const struct bucket_list *list, size_t index);
const struct site *bucket_list_site(const struct bucket_list *list, size_t index);

size_t bucket_list_batch_count(const struct bucket_list *list);
/* Copies the records of one batch into [buffer] (BUCKET_BATCH_BYTES) and says where each lies. */
bool bucket_list_read_batch(struct bucket_list *list, size_t batch, unsigned char *buffer,
                            const struct bucket_place **places, size_t *count, struct error *err)
    GOPROFD_MUST_CHECK;

#endif
