/* msgpack_bytes.h - the few msgpack types that a history stream uses, written and read in place.
 *
 * Writing goes straight into a buffer, since a row is packed at every beat; reading is bounded by [end] and copies
 * nothing.  https://github.com/msgpack/msgpack/blob/master/spec.md */
#ifndef GOPROFD_STORE_MSGPACK_BYTES_H
#define GOPROFD_STORE_MSGPACK_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

void msgpack_put_u64(struct buffer *out, uint64_t value);
void msgpack_put_i64(struct buffer *out, int64_t value);
void msgpack_put_f64(struct buffer *out, double value);
void msgpack_put_nil(struct buffer *out);
void msgpack_put_text(struct buffer *out, const char *text, size_t length);
void msgpack_put_string(struct buffer *out, const char *text);
void msgpack_put_array(struct buffer *out, size_t count);
void msgpack_put_map(struct buffer *out, size_t count);

enum msgpack_kind {
    MSGPACK_INT, /* any whole number: `word` is its two's complement */
    MSGPACK_FLOAT,
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_TEXT,
    MSGPACK_ARRAY,
    MSGPACK_MAP,
    MSGPACK_OTHER, /* bin, ext: skipped */
};

struct msgpack_item {
    enum msgpack_kind kind;
    bool negative;
    uint64_t word;  /* MSGPACK_INT, MSGPACK_BOOL; the bits of MSGPACK_FLOAT */
    size_t count;   /* bytes of a text, members of an array or map (pairs) */
    const char *text;
};

enum msgpack_result { MSGPACK_DONE, MSGPACK_MORE, MSGPACK_BAD };

struct msgpack_cursor {
    const unsigned char *at;
    const unsigned char *end;
    bool failed; /* sticks */
};

/* The next item; of an array or map only its head. */
enum msgpack_result msgpack_get(struct msgpack_cursor *cursor, struct msgpack_item *item);

/* Over one whole item, however nested.  MSGPACK_BAD if it nests deeper than 8. */
enum msgpack_result msgpack_skip(struct msgpack_cursor *cursor);

/* These give 0 or "" and set `failed` if the next item is something else; for records that were looked over. */
uint64_t msgpack_word(struct msgpack_cursor *cursor);
size_t msgpack_array(struct msgpack_cursor *cursor);
size_t msgpack_map(struct msgpack_cursor *cursor);
const char *msgpack_text(struct msgpack_cursor *cursor, size_t *length); /* not terminated */

#endif
