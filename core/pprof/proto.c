/* proto.c - the protobuf wire format, as much of it as profile.proto needs. */
#include "core/pprof/proto.h"

#include "core/base/buffer.h"
#include "core/base/json.h"

enum wire_type { WIRE_VARINT = 0, WIRE_LENGTH = 2 };

static const char REPLACEMENT[] = "\xEF\xBF\xBD"; /* U+FFFD */

static size_t varint_bytes(uint64_t value)
{
    const unsigned bits = 64 - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

static char *varint_store(char *at, uint64_t value)
{
    while (value >= 0x80) {
        *at++ = (char)(value | 0x80);
        value >>= 7;
    }
    *at++ = (char)value;
    return at;
}

void proto_varint(struct buffer *out, uint64_t value)
{
    char *at = buffer_reserve(out, varint_bytes(value));
    if (at != NULL)
        out->length += (size_t)(varint_store(at, value) - at);
}

static void put_key(struct buffer *out, uint32_t field, enum wire_type type)
{
    proto_varint(out, (uint64_t)field << 3 | type);
}

void proto_put_u64(struct buffer *out, uint32_t field, uint64_t value)
{
    put_key(out, field, WIRE_VARINT);
    proto_varint(out, value);
}

void proto_put_nonzero(struct buffer *out, uint32_t field, uint64_t value)
{
    if (value != 0)
        proto_put_u64(out, field, value);
}

void proto_put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t length)
{
    put_key(out, field, WIRE_LENGTH);
    proto_varint(out, length);
    buffer_append(out, bytes, length);
}

/* Length of the longest prefix of [text] that is UTF-8. */
static size_t clean_prefix(const char *text, size_t length)
{
    size_t at = 0;
    while (at < length) {
        if ((unsigned char)text[at] < 0x80) {
            at++;
            continue;
        }
        const size_t step = json_utf8_length(text + at, length - at);
        if (step == 0)
            break;
        at += step;
    }
    return at;
}

void proto_put_text(struct buffer *out, uint32_t field, const char *text, size_t length)
{
    size_t clean = clean_prefix(text, length);
    if (clean == length) {
        proto_put_bytes(out, field, text, length);
        return;
    }
    struct buffer cured;
    buffer_init(&cured, out->max_bytes);
    for (size_t at = 0; at < length; at += clean + 1) {
        clean = clean_prefix(text + at, length - at);
        buffer_append(&cured, text + at, clean);
        if (at + clean == length)
            break;
        buffer_append(&cured, REPLACEMENT, sizeof(REPLACEMENT) - 1);
    }
    proto_put_message(out, field, &cured);
    buffer_release(&cured);
}

void proto_put_packed(struct buffer *out, uint32_t field, const uint64_t *values, size_t count)
{
    if (count == 0)
        return;
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += varint_bytes(values[i]);
    put_key(out, field, WIRE_LENGTH);
    proto_varint(out, bytes);
    char *at = buffer_reserve(out, bytes);
    if (at == NULL)
        return;
    for (size_t i = 0; i < count; i++)
        at = varint_store(at, values[i]);
    out->length += bytes;
}

void proto_put_message(struct buffer *out, uint32_t field, const struct buffer *message)
{
    if (message->failed) {
        out->failed = true;
        return;
    }
    proto_put_bytes(out, field, message->data, message->length);
}
