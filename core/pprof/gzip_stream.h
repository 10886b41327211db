/* gzip_stream.h - bytes go in, a gzip member grows in a struct buffer.
 *
 *   gzip_stream_new -> gzip_stream_write ... -> gzip_stream_finish
 *                                            \-> gzip_stream_free (also after finish)
 *
 * Compresses at zlib's fastest level, as runtime/pprof does.  Not shared between threads. */
#ifndef GOPROFD_PPROF_GZIP_STREAM_H
#define GOPROFD_PPROF_GZIP_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct buffer;
struct gzip_stream;

/* Appends to [out], which must outlive the stream.  NULL with ERROR_NO_MEMORY. */
struct gzip_stream *gzip_stream_new(struct buffer *out, struct error *err);
void gzip_stream_free(struct gzip_stream *stream); /* NULL is allowed */

/* False with ERROR_LIMIT when [out] refused to grow; the stream is then only to be freed. */
bool gzip_stream_write(struct gzip_stream *stream, const void *bytes, size_t length,
                       struct error *err) GOPROFD_MUST_CHECK;

/* Writes what is still held back and the trailer. */
bool gzip_stream_finish(struct gzip_stream *stream, struct error *err) GOPROFD_MUST_CHECK;

#endif
