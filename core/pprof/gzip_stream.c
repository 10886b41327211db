/* gzip_stream.c - bytes go in, a gzip member grows in a struct buffer. */
#include "core/pprof/gzip_stream.h"

#include <limits.h>
#include <stdint.h>
#define ZLIB_CONST
#include <zlib.h>

#include "core/base/buffer.h"

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* the largest window; 16 asks for a gzip header */
    GZIP_MEMORY_LEVEL = 8,      /* zlib's default */
    GZIP_STEP_BYTES = 32 << 10,
};

struct gzip_stream {
    z_stream zlib;
    struct buffer *out;
};

struct gzip_stream *gzip_stream_new(struct buffer *out, struct error *err)
{
    struct gzip_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory to compress a profile");
        return NULL;
    }
    stream->out = out;
    const int status = deflateInit2(&stream->zlib, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS,
                                    GZIP_MEMORY_LEVEL, Z_DEFAULT_STRATEGY);
    if (status != Z_OK) {
        error_set(err, status == Z_MEM_ERROR ? ERROR_NO_MEMORY : ERROR_SYSTEM,
                  "zlib cannot start to compress a profile: %s", zError(status));
        free(stream);
        return NULL;
    }
    return stream;
}

void gzip_stream_free(struct gzip_stream *stream)
{
    if (stream == NULL)
        return;
    (void)deflateEnd(&stream->zlib); /* reports unfinished data, which is then meant */
    free(stream);
}

/* Runs zlib until it has taken all input and, with Z_FINISH, given all output. */
static bool pump(struct gzip_stream *stream, int flush, struct error *err)
{
    struct buffer *out = stream->out;
    int status = Z_OK;
    do {
        const size_t left = out->max_bytes - out->length;
        const size_t step = left < GZIP_STEP_BYTES ? left : GZIP_STEP_BYTES;
        char *room = step == 0 ? NULL : buffer_reserve(out, step);
        if (room == NULL)
            return error_set(err, ERROR_LIMIT,
                             "compressed profile does not fit into %zu bytes, or no memory",
                             out->max_bytes);
        stream->zlib.next_out = (unsigned char *)room;
        stream->zlib.avail_out = (uInt)step;
        status = deflate(&stream->zlib, flush);
        if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
            return error_set(err, ERROR_SYSTEM, "zlib failed to compress a profile: %s",
                             zError(status));
        out->length += step - stream->zlib.avail_out;
    } while (flush == Z_FINISH ? status != Z_STREAM_END : stream->zlib.avail_out == 0);
    return true;
}

bool gzip_stream_write(struct gzip_stream *stream, const void *bytes, size_t length,
                       struct error *err)
{
    if (length == 0)
        return true; /* zlib calls a step without progress an error */
    if (length > UINT_MAX)
        return error_set(err, ERROR_LIMIT, "%zu bytes are too many for one step of zlib", length);
    stream->zlib.next_in = bytes;
    stream->zlib.avail_in = (uInt)length;
    return pump(stream, Z_NO_FLUSH, err);
}

bool gzip_stream_finish(struct gzip_stream *stream, struct error *err)
{
    stream->zlib.next_in = NULL;
    stream->zlib.avail_in = 0;
    return pump(stream, Z_FINISH, err);
}
