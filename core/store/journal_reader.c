/* journal_reader.c - segments and exported streams, read back row by row. */
#include "core/store/journal_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/store/journal_files.h"
#include "core/store/segment.h"

enum { CHUNK_BYTES = 64 << 10, PLAIN_MAX_BYTES = 96 << 20, PROBLEM_BYTES = 512 };

struct journal_reader {
    char *dir; /* NULL: one file */
    struct journal_file *files;
    size_t file_count;
    size_t next_file;
    char name[PROBLEM_BYTES / 2]; /* of the file that is read */
    struct segment_reader *segment;
    int stream; /* an exported stream; or -1 */
    struct unpacker *unpacker;
    struct buffer plain;
    size_t used; /* of [plain] */
    char problem[JOURNAL_PROBLEMS_KEPT][PROBLEM_BYTES];
    size_t problems;
};

static void note_problem(struct journal_reader *reader, const struct error *err)
{
    (void)snprintf(reader->problem[reader->problems % JOURNAL_PROBLEMS_KEPT], PROBLEM_BYTES,
                   "%.200s: %.250s", reader->name, err->message);
    reader->problems++;
}

/* A file is over, for better or worse. */
static void end_file(struct journal_reader *reader)
{
    segment_reader_close(reader->segment);
    reader->segment = NULL;
    if (reader->stream != -1)
        close(reader->stream);
    reader->stream = -1;
    buffer_clear(&reader->plain);
    reader->used = 0;
    unpacker_restart(reader->unpacker);
}

/* ---- opening ---- */

/* A segment, or else a stream as GET /v1/export sends it. */
static bool open_file(struct journal_reader *reader, const char *path, struct error *err)
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(reader->name, sizeof(reader->name), "%.250s", slash != NULL ? slash + 1 : path);
    reader->segment = segment_open(path, err);
    if (reader->segment != NULL)
        return true;
    if (err->code != ERROR_CORRUPT || reader->dir != NULL)
        return false;
    reader->stream = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (reader->stream == -1)
        return error_set(err, ERROR_SYSTEM, "open: %s", error_errno_text(errno));
    unsigned char head[32];
    const ssize_t got = pread(reader->stream, head, sizeof(head), 0);
    static const char magic[] = "goprofd-history";
    if (got >= 2 + (ssize_t)sizeof(magic) - 1 && memcmp(head + 2, magic, sizeof(magic) - 1) == 0)
        return true;
    return error_set(err, ERROR_CORRUPT, "neither a segment nor an exported stream of goprofd");
}

static bool open_path(struct journal_reader *reader, const char *path, struct error *err)
{
    struct stat status;
    if (stat(path, &status) == -1)
        return error_set(err, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_SYSTEM, "%.150s: %s", path,
                         error_errno_text(errno));
    if (!S_ISDIR(status.st_mode)) {
        if (!open_file(reader, path, err))
            return error_wrap(err, "%.150s", path);
        return true;
    }
    reader->dir = strdup(path);
    if (reader->dir == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to read %.150s", path);
    if (!journal_files_list(path, &reader->files, &reader->file_count, err))
        return false;
    return reader->file_count > 0
               ? true
               : error_set(err, ERROR_NOT_FOUND, "%.150s: no segment of goprofd in this folder", path);
}

struct journal_reader *journal_reader_open(const char *path, struct error *err)
{
    struct journal_reader *reader = calloc(1, sizeof(*reader));
    if (reader != NULL) {
        reader->stream = -1;
        buffer_init(&reader->plain, PLAIN_MAX_BYTES);
        reader->unpacker = unpacker_new();
    }
    if (reader == NULL || reader->unpacker == NULL)
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to read history");
    else if (open_path(reader, path, err))
        return reader;
    journal_reader_close(reader);
    return NULL;
}

struct journal_reader *journal_reader_open_newest(const char *dir, uint64_t max_bytes,
                                                  struct error *err)
{
    struct journal_reader *reader = journal_reader_open(dir, err);
    if (reader == NULL || reader->file_count == 0)
        return reader;
    uint64_t bytes = 0;
    reader->next_file = reader->file_count - 1;
    bytes += reader->files[reader->next_file].bytes;
    while (reader->next_file > 0 && bytes + reader->files[reader->next_file - 1].bytes <= max_bytes)
        bytes += reader->files[--reader->next_file].bytes;
    return reader;
}

void journal_reader_close(struct journal_reader *reader)
{
    if (reader == NULL)
        return;
    if (reader->unpacker != NULL)
        end_file(reader);
    unpacker_free(reader->unpacker);
    buffer_release(&reader->plain);
    free(reader->files);
    free(reader->dir);
    free(reader);
}

/* ---- reading ---- */

/* The next file of the folder that can be opened; false: there is none. */
static bool open_next(struct journal_reader *reader)
{
    while (reader->next_file < reader->file_count) {
        char path[SEGMENT_PATH_MAX_BYTES];
        char name[JOURNAL_NAME_BYTES];
        struct error err;
        journal_file_name(reader->files[reader->next_file++].number, name);
        (void)snprintf(path, sizeof(path), "%.4100s/%s", reader->dir, name);
        if (open_file(reader, path, &err))
            return true;
        note_problem(reader, &err);
    }
    return false;
}

static bool read_stream(struct journal_reader *reader, bool *more, struct error *err)
{
    char *room = buffer_reserve(&reader->plain, CHUNK_BYTES);
    if (room == NULL)
        return error_set(err, ERROR_LIMIT, "a record without an end");
    const ssize_t got = read(reader->stream, room, CHUNK_BYTES);
    if (got == -1)
        return error_set(err, ERROR_SYSTEM, "read: %s", error_errno_text(errno));
    reader->plain.length += (size_t)got;
    *more = got > 0;
    return true;
}

/* Appends more bytes of the file; *more false at its end. */
static bool read_on(struct journal_reader *reader, bool *more, struct error *err)
{
    const size_t left = reader->plain.length - reader->used;
    if (left > 0)
        memmove(reader->plain.data, reader->plain.data + reader->used, left);
    reader->plain.length = left;
    reader->used = 0;
    if (reader->stream != -1)
        return read_stream(reader, more, err);
    const enum segment_result result = segment_next(reader->segment, &reader->plain, err);
    *more = result == SEGMENT_FRAME;
    return result != SEGMENT_BROKEN;
}

/* The next row of the file; false at its end, which a problem may have brought. */
static bool next_row(struct journal_reader *reader, struct history_row *row)
{
    for (;;) {
        struct error err;
        bool more = false;
        if (reader->plain.length > reader->used) {
            const unsigned char *begin = (const unsigned char *)reader->plain.data;
            const unsigned char *at = begin + reader->used;
            const enum unpack_result result =
                unpacker_next(reader->unpacker, &at, begin + reader->plain.length, row, &err);
            reader->used = (size_t)(at - begin);
            if (result == UNPACK_ROW)
                return true;
            if (result == UNPACK_CORRUPT) {
                note_problem(reader, &err);
                return false;
            }
        }
        const bool ok = read_on(reader, &more, &err);
        if (ok && !more && reader->plain.length > 0) {
            (void)error_set(&err, ERROR_CORRUPT, "ends within a record");
            note_problem(reader, &err);
        }
        if (!ok)
            note_problem(reader, &err);
        if (!ok || !more)
            return false;
    }
}

bool journal_reader_next(struct journal_reader *reader, struct history_row *row)
{
    *row = (struct history_row){.info = NULL};
    for (;;) {
        if ((reader->segment != NULL || reader->stream != -1) && next_row(reader, row))
            return true;
        end_file(reader);
        if (!open_next(reader))
            return false;
    }
}

const char *journal_reader_problem(const struct journal_reader *reader)
{
    return reader->problems > 0 ? journal_reader_problem_at(reader, reader->problems - 1) : NULL;
}

const char *journal_reader_problem_at(const struct journal_reader *reader, size_t number)
{
    if (number >= reader->problems || reader->problems - number > JOURNAL_PROBLEMS_KEPT)
        return "";
    return reader->problem[number % JOURNAL_PROBLEMS_KEPT];
}

size_t journal_reader_problems(const struct journal_reader *reader)
{
    return reader->problems;
}

const char *journal_reader_boot_id(const struct journal_reader *reader)
{
    return unpacker_boot_id(reader->unpacker);
}
