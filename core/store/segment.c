/* segment.c - frames of one deflated stream in a file. */
#include "core/store/segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "core/base/buffer.h"

enum { DEFLATE_LEVEL = 9, MEMORY_LEVEL = 8, WINDOW_BITS = 15, CHUNK_BYTES = 64 << 10 };

static void put_u32(unsigned char *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get_u32(const unsigned char *in)
{
    return (uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 | (uint32_t)in[3] << 24;
}

/* ---- writing ---- */

struct segment_writer {
    int fd;
    char *path; /* NULL: nothing was made there */
    bool broken;
    uint64_t bytes; /* of whole frames */
    z_stream deflater;
    struct buffer frame;
};

static bool write_all(int fd, const char *bytes, size_t length, struct error *err)
{
    while (length > 0) {
        const ssize_t written = write(fd, bytes, length);
        if (written == -1 && errno == EINTR)
            continue;
        if (written == -1)
            return error_set(err, ERROR_SYSTEM, "write: %s", error_errno_text(errno));
        bytes += written;
        length -= (size_t)written;
    }
    return true;
}

struct segment_writer *segment_create(const char *path, struct error *err)
{
    struct segment_writer *writer = calloc(1, sizeof(*writer));
    if (writer == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a segment");
        return NULL;
    }
    buffer_init(&writer->frame, SEGMENT_FRAME_MAX_BYTES);
    writer->fd = -1;
    if (deflateInit2(&writer->deflater, DEFLATE_LEVEL, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to compress a segment");
        free(writer);
        return NULL;
    }
    writer->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer->fd == -1) {
        (void)error_set(err, ERROR_SYSTEM, "create: %s", error_errno_text(errno));
        segment_close(writer);
        return NULL;
    }
    writer->path = strdup(path);
    if (writer->path == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a segment");
        (void)unlink(path);
    } else if (write_all(writer->fd, SEGMENT_MAGIC, SEGMENT_MAGIC_BYTES, err)) {
        writer->bytes = SEGMENT_MAGIC_BYTES;
        return writer;
    }
    segment_close(writer);
    return NULL;
}

static bool deflate_frame(struct segment_writer *writer, const void *bytes, size_t length)
{
    z_stream *deflater = &writer->deflater;
    static const unsigned char head[SEGMENT_FRAME_HEAD_BYTES] = {0};
    buffer_clear(&writer->frame);
    buffer_append(&writer->frame, head, sizeof(head));
    deflater->next_in = (Bytef *)(uintptr_t)bytes;
    deflater->avail_in = (uInt)length;
    do {
        char *room = buffer_reserve(&writer->frame, CHUNK_BYTES);
        if (room == NULL)
            return false;
        deflater->next_out = (Bytef *)room;
        deflater->avail_out = CHUNK_BYTES;
        if (deflate(deflater, Z_SYNC_FLUSH) == Z_STREAM_ERROR)
            return false;
        writer->frame.length += CHUNK_BYTES - deflater->avail_out;
    } while (deflater->avail_out == 0);
    return true;
}

/* Ends the segment before the frame that failed.  Returns false. */
static bool cut_back(struct segment_writer *writer, struct error *err)
{
    writer->broken = true;
    if (ftruncate(writer->fd, (off_t)writer->bytes) == -1)
        return error_wrap(err, "left torn"); /* its sum will tell */
    return false;
}

bool segment_append(struct segment_writer *writer, const void *bytes, size_t length,
                    struct error *err)
{
    if (writer->broken || length > SEGMENT_PLAIN_MAX_BYTES || !deflate_frame(writer, bytes, length)) {
        writer->broken = true; /* what the deflater took is in no frame: the stream has a gap */
        return error_set(err, ERROR_LIMIT, "a frame of %zu bytes could not be made", length);
    }
    unsigned char *head = (unsigned char *)writer->frame.data;
    const size_t packed = writer->frame.length - SEGMENT_FRAME_HEAD_BYTES;
    put_u32(head, (uint32_t)packed);
    put_u32(head + 4, (uint32_t)crc32(0, head + SEGMENT_FRAME_HEAD_BYTES, (uInt)packed));
    if (!write_all(writer->fd, writer->frame.data, writer->frame.length, err))
        return cut_back(writer, err);
    if (fdatasync(writer->fd) == -1 && errno != EINVAL && errno != EROFS) {
        (void)error_set(err, ERROR_SYSTEM, "fdatasync: %s", error_errno_text(errno));
        return cut_back(writer, err); /* where space is found out late: what may be half there is written again */
    }
    writer->bytes += writer->frame.length;
    return true;
}

uint64_t segment_bytes(const struct segment_writer *writer)
{
    return writer->bytes;
}

void segment_close(struct segment_writer *writer)
{
    if (writer == NULL)
        return;
    /* A disk that is full for a day would be tried, and littered, thousands of times. */
    if (writer->path != NULL && writer->bytes <= SEGMENT_MAGIC_BYTES)
        (void)unlink(writer->path);
    free(writer->path);
    (void)deflateEnd(&writer->deflater);
    if (writer->fd != -1)
        close(writer->fd);
    buffer_release(&writer->frame);
    free(writer);
}

/* ---- reading ---- */

struct segment_reader {
    int fd;                     /* -1: from memory */
    const unsigned char *bytes; /* of memory */
    size_t length;
    uint64_t at;
    z_stream inflater;
    struct buffer frame;
};

/* Reads [length] bytes; *got is less only at the end of the file. */
static bool read_some(struct segment_reader *reader, char *out, size_t length, size_t *got,
                      struct error *err)
{
    *got = 0;
    if (reader->fd == -1) {
        const size_t left = reader->length - (size_t)reader->at;
        *got = length < left ? length : left;
        memcpy(out, reader->bytes + reader->at, *got);
    }
    while (reader->fd != -1 && *got < length) {
        const ssize_t count = read(reader->fd, out + *got, length - *got);
        if (count == -1 && errno == EINTR)
            continue;
        if (count == -1)
            return error_set(err, ERROR_SYSTEM, "read: %s", error_errno_text(errno));
        if (count == 0)
            break;
        *got += (size_t)count;
    }
    reader->at += *got;
    return true;
}

static struct segment_reader *begin(struct segment_reader *reader, struct error *err)
{
    char magic[SEGMENT_MAGIC_BYTES];
    size_t got = 0;
    buffer_init(&reader->frame, SEGMENT_FRAME_MAX_BYTES);
    if (inflateInit(&reader->inflater) != Z_OK) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to read a segment");
        if (reader->fd != -1)
            close(reader->fd);
        free(reader);
        return NULL;
    }
    const bool read_ok = read_some(reader, magic, sizeof(magic), &got, err);
    if (read_ok && got == sizeof(magic) && memcmp(magic, SEGMENT_MAGIC, sizeof(magic)) == 0)
        return reader;
    if (read_ok)
        (void)error_set(err, ERROR_CORRUPT, "not a segment of goprofd's history");
    segment_reader_close(reader);
    return NULL;
}

struct segment_reader *segment_open(const char *path, struct error *err)
{
    struct stat status;
    struct segment_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to read a segment");
        return NULL;
    }
    /* Not waiting: a pipe of that name must not stop the start. */
    reader->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (reader->fd == -1) {
        (void)error_set(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_SYSTEM, "open: %s",
                        error_errno_text(errno));
        free(reader);
        return NULL;
    }
    if (fstat(reader->fd, &status) == -1 || !S_ISREG(status.st_mode)) {
        (void)error_set(err, ERROR_CORRUPT, "not a regular file");
        close(reader->fd);
        free(reader);
        return NULL;
    }
    return begin(reader, err);
}

struct segment_reader *segment_open_bytes(const void *bytes, size_t length, struct error *err)
{
    struct segment_reader *reader = calloc(1, sizeof(*reader));
    if (reader == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to read a segment");
        return NULL;
    }
    reader->fd = -1;
    reader->bytes = bytes;
    reader->length = length;
    return begin(reader, err);
}

static bool inflate_frame(struct segment_reader *reader, struct buffer *out, struct error *err)
{
    z_stream *inflater = &reader->inflater;
    size_t made = 0;
    inflater->next_in = (Bytef *)reader->frame.data;
    inflater->avail_in = (uInt)reader->frame.length;
    do {
        char *room = buffer_reserve(out, CHUNK_BYTES);
        if (room == NULL || made > SEGMENT_PLAIN_MAX_BYTES)
            return error_set(err, ERROR_LIMIT, "a frame that inflates to too much");
        inflater->next_out = (Bytef *)room;
        inflater->avail_out = CHUNK_BYTES;
        const int status = inflate(inflater, Z_SYNC_FLUSH);
        if (status != Z_OK && status != Z_BUF_ERROR && status != Z_STREAM_END)
            return error_set(err, ERROR_CORRUPT, "a frame that cannot be inflated");
        out->length += CHUNK_BYTES - inflater->avail_out;
        made += CHUNK_BYTES - inflater->avail_out;
        if (status == Z_STREAM_END)
            break;
    } while (inflater->avail_out == 0);
    return inflater->avail_in == 0 ? true
                                   : error_set(err, ERROR_CORRUPT, "a frame with bytes behind its end");
}

enum segment_result segment_next(struct segment_reader *reader, struct buffer *out,
                                 struct error *err)
{
    unsigned char head[SEGMENT_FRAME_HEAD_BYTES];
    size_t got = 0;
    const uint64_t at = reader->at;
    const unsigned long long shown = (unsigned long long)at;
    if (!read_some(reader, (char *)head, sizeof(head), &got, err))
        return SEGMENT_BROKEN;
    if (got == 0)
        return SEGMENT_END;
    const uint32_t length = get_u32(head);
    if (got < sizeof(head) || length == 0 || length > SEGMENT_FRAME_MAX_BYTES) {
        (void)error_set(err, ERROR_CORRUPT, "torn at byte %llu", shown);
        return SEGMENT_BROKEN;
    }
    buffer_clear(&reader->frame);
    while (reader->frame.length < length) {
        const size_t left = length - reader->frame.length;
        const size_t wanted = left < CHUNK_BYTES ? left : CHUNK_BYTES;
        char *room = buffer_reserve(&reader->frame, wanted);
        if (room == NULL) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory to read a segment");
            return SEGMENT_BROKEN;
        }
        if (!read_some(reader, room, wanted, &got, err))
            return SEGMENT_BROKEN;
        reader->frame.length += got;
        if (got < wanted) {
            (void)error_set(err, ERROR_CORRUPT, "torn at byte %llu", shown);
            return SEGMENT_BROKEN;
        }
    }
    if ((uint32_t)crc32(0, (const Bytef *)reader->frame.data, length) != get_u32(head + 4)) {
        (void)error_set(err, ERROR_CORRUPT, "corrupt at byte %llu: its checksum is wrong", shown);
        return SEGMENT_BROKEN;
    }
    if (!inflate_frame(reader, out, err)) {
        (void)error_wrap(err, "corrupt at byte %llu", shown);
        return SEGMENT_BROKEN;
    }
    return SEGMENT_FRAME;
}

void segment_reader_close(struct segment_reader *reader)
{
    if (reader == NULL)
        return;
    (void)inflateEnd(&reader->inflater);
    if (reader->fd != -1)
        close(reader->fd);
    buffer_release(&reader->frame);
    free(reader);
}
