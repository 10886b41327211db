/* msgpack_bytes.c - msgpack, written and read in place. */
#include "core/store/msgpack_bytes.h"

#include <string.h>

#include "core/base/buffer.h"

enum { DEPTH_MAX = 8 };

/* ---- writing ---- */

static void put_head(struct buffer *out, unsigned char type, uint64_t value, size_t width)
{
    char *room = buffer_reserve(out, width + 1);
    if (room == NULL)
        return;
    room[0] = (char)type;
    for (size_t i = 0; i < width; i++)
        room[i + 1] = (char)(value >> 8 * (width - 1 - i));
    out->length += width + 1;
}

void msgpack_put_u64(struct buffer *out, uint64_t value)
{
    if (value < 0x80)
        put_head(out, (unsigned char)value, 0, 0);
    else if (value <= UINT8_MAX)
        put_head(out, 0xcc, value, 1);
    else if (value <= UINT16_MAX)
        put_head(out, 0xcd, value, 2);
    else if (value <= UINT32_MAX)
        put_head(out, 0xce, value, 4);
    else
        put_head(out, 0xcf, value, 8);
}

void msgpack_put_i64(struct buffer *out, int64_t value)
{
    if (value >= 0)
        msgpack_put_u64(out, (uint64_t)value);
    else if (value >= -32)
        put_head(out, (unsigned char)(value & 0xff), 0, 0);
    else if (value >= INT8_MIN)
        put_head(out, 0xd0, (uint64_t)value, 1);
    else if (value >= INT16_MIN)
        put_head(out, 0xd1, (uint64_t)value, 2);
    else if (value >= INT32_MIN)
        put_head(out, 0xd2, (uint64_t)value, 4);
    else
        put_head(out, 0xd3, (uint64_t)value, 8);
}

void msgpack_put_f64(struct buffer *out, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof(bits));
    put_head(out, 0xcb, bits, 8);
}

void msgpack_put_nil(struct buffer *out)
{
    put_head(out, 0xc0, 0, 0);
}

void msgpack_put_text(struct buffer *out, const char *text, size_t length)
{
    if (length < 32)
        put_head(out, (unsigned char)(0xa0 | length), 0, 0);
    else if (length <= UINT8_MAX)
        put_head(out, 0xd9, length, 1);
    else if (length <= UINT16_MAX)
        put_head(out, 0xda, length, 2);
    else
        put_head(out, 0xdb, length, 4);
    buffer_append(out, text, length);
}

void msgpack_put_string(struct buffer *out, const char *text)
{
    msgpack_put_text(out, text, strlen(text));
}

void msgpack_put_array(struct buffer *out, size_t count)
{
    if (count < 16)
        put_head(out, (unsigned char)(0x90 | count), 0, 0);
    else if (count <= UINT16_MAX)
        put_head(out, 0xdc, count, 2);
    else
        put_head(out, 0xdd, count, 4);
}

void msgpack_put_map(struct buffer *out, size_t count)
{
    if (count < 16)
        put_head(out, (unsigned char)(0x80 | count), 0, 0);
    else
        put_head(out, 0xde, count, 2);
}

/* ---- reading ---- */

static bool take(struct msgpack_cursor *cursor, size_t width, uint64_t *value)
{
    if ((size_t)(cursor->end - cursor->at) < width)
        return false;
    *value = 0;
    for (size_t i = 0; i < width; i++)
        *value = *value << 8 | *cursor->at++;
    return true;
}

static void set_signed(struct msgpack_item *item, uint64_t bits, size_t width)
{
    const unsigned shift = (unsigned)(64 - 8 * width);
    const uint64_t sign = UINT64_C(1) << (8 * width - 1);
    item->kind = MSGPACK_INT;
    item->negative = (bits & sign) != 0;
    item->word = item->negative && shift > 0 ? bits | UINT64_MAX << (64 - shift) : bits;
}

/* The types behind 0xc0 to 0xdf. */
static enum msgpack_result get_wide(struct msgpack_cursor *cursor, unsigned char type,
                                    struct msgpack_item *item)
{
    static const struct {
        unsigned char kind;
        unsigned char width; /* of the number behind the type */
        unsigned char extra; /* bytes that an ext has besides its length */
    } types[32] = {
        [0x00] = {MSGPACK_NIL, 0, 0},    [0x02] = {MSGPACK_BOOL, 0, 0},
        [0x03] = {MSGPACK_BOOL, 0, 0},   [0x04] = {MSGPACK_OTHER, 1, 0},
        [0x05] = {MSGPACK_OTHER, 2, 0},  [0x06] = {MSGPACK_OTHER, 4, 0},
        [0x07] = {MSGPACK_OTHER, 1, 1},  [0x08] = {MSGPACK_OTHER, 2, 1},
        [0x09] = {MSGPACK_OTHER, 4, 1},  [0x0a] = {MSGPACK_FLOAT, 4, 0},
        [0x0b] = {MSGPACK_FLOAT, 8, 0},  [0x0c] = {MSGPACK_INT, 1, 0},
        [0x0d] = {MSGPACK_INT, 2, 0},    [0x0e] = {MSGPACK_INT, 4, 0},
        [0x0f] = {MSGPACK_INT, 8, 0},    [0x10] = {MSGPACK_INT, 1, 0},
        [0x11] = {MSGPACK_INT, 2, 0},    [0x12] = {MSGPACK_INT, 4, 0},
        [0x13] = {MSGPACK_INT, 8, 0},    [0x14] = {MSGPACK_OTHER, 0, 2},
        [0x15] = {MSGPACK_OTHER, 0, 3},  [0x16] = {MSGPACK_OTHER, 0, 5},
        [0x17] = {MSGPACK_OTHER, 0, 9},  [0x18] = {MSGPACK_OTHER, 0, 17},
        [0x19] = {MSGPACK_TEXT, 1, 0},   [0x1a] = {MSGPACK_TEXT, 2, 0},
        [0x1b] = {MSGPACK_TEXT, 4, 0},   [0x1c] = {MSGPACK_ARRAY, 2, 0},
        [0x1d] = {MSGPACK_ARRAY, 4, 0},  [0x1e] = {MSGPACK_MAP, 2, 0},
        [0x1f] = {MSGPACK_MAP, 4, 0},
    };
    uint64_t value = 0;
    if (type == 0xc1)
        return MSGPACK_BAD;
    const size_t width = types[type - 0xc0].width;
    item->kind = (enum msgpack_kind)types[type - 0xc0].kind;
    if (!take(cursor, width, &value))
        return MSGPACK_MORE;
    item->word = value;
    item->count = (size_t)value;
    if (item->kind == MSGPACK_BOOL)
        item->word = type == 0xc3;
    if (type >= 0xd0 && type <= 0xd3)
        set_signed(item, value, width);
    if (type == 0xca) {
        const uint32_t bits = (uint32_t)value;
        float narrow = 0;
        memcpy(&narrow, &bits, sizeof(narrow));
        const double wide = (double)narrow;
        memcpy(&item->word, &wide, sizeof(wide));
    }
    if (item->kind == MSGPACK_OTHER || item->kind == MSGPACK_TEXT) {
        const size_t skipped = (size_t)value + types[type - 0xc0].extra;
        if ((size_t)(cursor->end - cursor->at) < skipped)
            return MSGPACK_MORE;
        item->text = (const char *)cursor->at;
        cursor->at += skipped;
    }
    return MSGPACK_DONE;
}

enum msgpack_result msgpack_get(struct msgpack_cursor *cursor, struct msgpack_item *item)
{
    if (cursor->at == cursor->end)
        return MSGPACK_MORE;
    const unsigned char type = *cursor->at++;
    *item = (struct msgpack_item){.kind = MSGPACK_INT};
    if (type < 0x80) {
        item->word = type;
    } else if (type >= 0xe0) {
        set_signed(item, type, 1);
    } else if (type < 0xa0) {
        item->kind = type < 0x90 ? MSGPACK_MAP : MSGPACK_ARRAY;
        item->count = type & 0x0f;
    } else if (type < 0xc0) {
        item->kind = MSGPACK_TEXT;
        item->count = type & 0x1f;
        if ((size_t)(cursor->end - cursor->at) < item->count)
            return MSGPACK_MORE;
        item->text = (const char *)cursor->at;
        cursor->at += item->count;
    } else {
        return get_wide(cursor, type, item);
    }
    return MSGPACK_DONE;
}

enum msgpack_result msgpack_skip(struct msgpack_cursor *cursor)
{
    size_t left[DEPTH_MAX] = {1}; /* items still to come, at each depth */
    size_t depth = 0;
    for (;;) {
        while (left[depth] == 0) {
            if (depth == 0)
                return MSGPACK_DONE;
            depth--;
        }
        struct msgpack_item item;
        const enum msgpack_result result = msgpack_get(cursor, &item);
        if (result != MSGPACK_DONE)
            return result;
        left[depth]--;
        if (item.kind != MSGPACK_ARRAY && item.kind != MSGPACK_MAP)
            continue;
        if (depth + 1 == DEPTH_MAX)
            return MSGPACK_BAD;
        left[++depth] = item.kind == MSGPACK_MAP ? 2 * item.count : item.count;
    }
}

static bool expect(struct msgpack_cursor *cursor, enum msgpack_kind kind, struct msgpack_item *item)
{
    if (!cursor->failed && msgpack_get(cursor, item) == MSGPACK_DONE && item->kind == kind)
        return true;
    cursor->failed = true;
    *item = (struct msgpack_item){.text = ""};
    return false;
}

uint64_t msgpack_word(struct msgpack_cursor *cursor)
{
    struct msgpack_item item;
    (void)expect(cursor, MSGPACK_INT, &item);
    return item.word;
}

size_t msgpack_array(struct msgpack_cursor *cursor)
{
    struct msgpack_item item;
    (void)expect(cursor, MSGPACK_ARRAY, &item);
    return item.count;
}

size_t msgpack_map(struct msgpack_cursor *cursor)
{
    struct msgpack_item item;
    (void)expect(cursor, MSGPACK_MAP, &item);
    return item.count;
}

const char *msgpack_text(struct msgpack_cursor *cursor, size_t *length)
{
    struct msgpack_item item;
    (void)expect(cursor, MSGPACK_TEXT, &item);
    *length = item.count;
    return item.text;
}
