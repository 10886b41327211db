/* gunzip.c - a gzip member in, its bytes out, at most so many of them. */
#include "core/pprof/gunzip.h"

#include <limits.h>
#define ZLIB_CONST
#include <zlib.h>

#include "core/base/buffer.h"

enum {
    GZIP_WINDOW_BITS = 15 + 16, /* 16 asks for a gzip header */
    GUNZIP_STEP_BYTES = 256 << 10,
};

bool gunzip_is_gzip(const void *bytes, size_t length)
{
    const unsigned char *magic = bytes;
    return length >= 2 && magic[0] == 0x1F && magic[1] == 0x8B;
}

static bool corrupt(const z_stream *zlib, const char *what, struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "gzip: %s", zlib->msg != NULL ? zlib->msg : what);
}

static bool inflate_all(z_stream *zlib, struct buffer *out, struct error *err)
{
    for (;;) {
        const size_t left = out->max_bytes - out->length;
        const size_t step = left < GUNZIP_STEP_BYTES ? left : GUNZIP_STEP_BYTES;
        char *room = step == 0 ? NULL : buffer_reserve(out, step);
        if (room == NULL)
            return error_set(err, step == 0 ? ERROR_LIMIT : ERROR_NO_MEMORY,
                             "gzip: holds more than the %zu MiB that are read, or no memory",
                             out->max_bytes >> 20);
        zlib->next_out = (unsigned char *)room;
        zlib->avail_out = (uInt)step;
        const int status = inflate(zlib, Z_NO_FLUSH);
        out->length += step - zlib->avail_out;
        if (status == Z_STREAM_END)
            return zlib->avail_in == 0 || corrupt(zlib, "bytes after its end", err);
        if (status == Z_MEM_ERROR)
            return error_set(err, ERROR_NO_MEMORY, "no memory to decompress a profile");
        if (status != Z_OK)
            return corrupt(zlib, status == Z_BUF_ERROR ? "ends too early" : "is damaged", err);
    }
}

bool gunzip(const void *bytes, size_t length, struct buffer *out, struct error *err)
{
    z_stream zlib = {.next_in = bytes, .avail_in = (uInt)length};
    if (length > UINT_MAX)
        return error_set(err, ERROR_LIMIT, "gzip: %zu bytes are too many", length);
    if (inflateInit2(&zlib, GZIP_WINDOW_BITS) != Z_OK)
        return error_set(err, ERROR_NO_MEMORY, "no memory to decompress a profile");
    const bool ok = inflate_all(&zlib, out, err);
    (void)inflateEnd(&zlib);
    return ok;
}
