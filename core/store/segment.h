/* segment.h - a file of the history on disk: one deflated stream, cut into frames.
 *
 *   "goprofd-segment\n" | length, crc32, bytes | length, crc32, bytes | ...
 *
 * Lengths and sums are 32 bits, little-endian, of the compressed bytes.  The frames' bytes one after the other are one
 * zlib stream, flushed at the end of each, so that each frame can be inflated as soon as it is there and yet costs
 * little; what it inflates to is a history stream (pack.h) that ends with a whole record.  A write that was cut off
 * leaves a torn frame at the end, which its sum tells. */
#ifndef GOPROFD_STORE_SEGMENT_H
#define GOPROFD_STORE_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

#define SEGMENT_MAGIC "goprofd-segment\n"
enum {
    SEGMENT_MAGIC_BYTES = 16,
    SEGMENT_FRAME_HEAD_BYTES = 8,
    SEGMENT_FRAME_MAX_BYTES = 32 << 20,
    SEGMENT_PLAIN_MAX_BYTES = 64 << 20, /* what a frame may inflate to */
    SEGMENT_PATH_MAX_BYTES = 4200,
};

struct buffer;
struct segment_writer;
struct segment_reader;

/* Creates [path], which must not exist.  NULL with the reason. */
struct segment_writer *segment_create(const char *path, struct error *err);
/* Appends [length] bytes as one frame and asks the disk to keep them.  After a failure the file ends with what was
 * whole before, and nothing more can be appended. */
bool segment_append(struct segment_writer *writer, const void *bytes, size_t length,
                    struct error *err) GOPROFD_MUST_CHECK;
uint64_t segment_bytes(const struct segment_writer *writer);
/* NULL is allowed.  A segment without a frame is deleted. */
void segment_close(struct segment_writer *writer);

/* NULL with the reason; ERROR_CORRUPT if it is not a segment. */
struct segment_reader *segment_open(const char *path, struct error *err);
/* From memory, for tests and the fuzz harness; [bytes] are borrowed. */
struct segment_reader *segment_open_bytes(const void *bytes, size_t length, struct error *err);

enum segment_result { SEGMENT_FRAME, SEGMENT_END, SEGMENT_BROKEN };
/* Appends what the next frame inflates to.  SEGMENT_BROKEN: torn, corrupt or unreadable, see [err]; nothing more comes. */
enum segment_result segment_next(struct segment_reader *reader, struct buffer *out,
                                 struct error *err);
void segment_reader_close(struct segment_reader *reader); /* NULL is allowed */

#endif
