/* json_msgpack.c - a JSON text as msgpack.
 *
 *   text --scan--> counts of each container, in the order they open
 *   text + counts --emit--> msgpack (a container's header names its length first)
 *
 * Formats: RFC 8259; msgpack's spec.md, through msgpack-c's packer. */
#include "core/store/json_msgpack.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <msgpack.h>

#include "core/base/buffer.h"
#include "core/base/json.h"

enum { NUMBER_MAX_BYTES = 64 };

struct reader {
    const char *text;
    size_t length;
    size_t at;
    uint32_t *counts; /* of containers, in the order they open */
    size_t count_used;
    size_t count_capacity;
    msgpack_packer *packer; /* NULL while scanning */
    size_t next_count;      /* while emitting */
    struct buffer string;   /* a text without its escapes */
    struct error *err;
};

static bool fail(struct reader *reader, const char *what)
{
    return error_set(reader->err, ERROR_CORRUPT, "JSON: %s at byte %zu", what, reader->at);
}

static bool fail_memory(struct reader *reader)
{
    return error_set(reader->err, ERROR_NO_MEMORY, "JSON: no memory, or too large");
}

static void skip_blanks(struct reader *reader)
{
    while (reader->at < reader->length) {
        const char c = reader->text[reader->at];
        if (c != ' ' && c != '\t' && c != '\n' && c != '\r')
            break;
        reader->at++;
    }
}

static bool take(struct reader *reader, char wanted)
{
    if (reader->at >= reader->length || reader->text[reader->at] != wanted)
        return false;
    reader->at++;
    return true;
}

/* ---- strings ---- */

static bool read_hex(struct reader *reader, unsigned *code)
{
    *code = 0;
    if (reader->length - reader->at < 4)
        return fail(reader, "a cut escape");
    for (int i = 0; i < 4; i++) {
        const char c = reader->text[reader->at++];
        unsigned digit = 0;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return fail(reader, "an escape without four digits");
        *code = *code * 16 + digit;
    }
    return true;
}

static void append_utf8(struct buffer *out, unsigned code)
{
    char bytes[4];
    size_t length = 0;
    if (code < 0x80) {
        bytes[length++] = (char)code;
    } else if (code < 0x800) {
        bytes[length++] = (char)(0xC0 | (code >> 6));
        bytes[length++] = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        bytes[length++] = (char)(0xE0 | (code >> 12));
        bytes[length++] = (char)(0x80 | ((code >> 6) & 0x3F));
        bytes[length++] = (char)(0x80 | (code & 0x3F));
    } else {
        bytes[length++] = (char)(0xF0 | (code >> 18));
        bytes[length++] = (char)(0x80 | ((code >> 12) & 0x3F));
        bytes[length++] = (char)(0x80 | ((code >> 6) & 0x3F));
        bytes[length++] = (char)(0x80 | (code & 0x3F));
    }
    buffer_append(out, bytes, length);
}

/* Behind "\u".  A pair of surrogates is one character; one alone is none. */
static bool read_unicode(struct reader *reader)
{
    unsigned code = 0;
    unsigned low = 0;
    if (!read_hex(reader, &code))
        return false;
    if (code >= 0xD800 && code < 0xDC00) {
        if (!take(reader, '\\') || !take(reader, 'u'))
            return fail(reader, "half a surrogate pair");
        if (!read_hex(reader, &low))
            return false;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail(reader, "half a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    } else if (code >= 0xDC00 && code < 0xE000) {
        return fail(reader, "half a surrogate pair");
    }
    append_utf8(&reader->string, code);
    return true;
}

static bool read_escape(struct reader *reader)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->length)
        return fail(reader, "a cut escape");
    const char c = reader->text[reader->at++];
    if (c == 'u')
        return read_unicode(reader);
    const char *found = c == '\0' ? NULL : strchr(from, c);
    if (found == NULL)
        return fail(reader, "an unknown escape");
    buffer_append_byte(&reader->string, to[found - from]);
    return true;
}

/* Behind the opening quote; reader->string gets the text. */
static bool read_string(struct reader *reader)
{
    buffer_clear(&reader->string);
    while (reader->at < reader->length) {
        const unsigned char c = (unsigned char)reader->text[reader->at];
        if (c == '"') {
            reader->at++;
            return !reader->string.failed || fail_memory(reader);
        }
        if (c < ' ')
            return fail(reader, "a control character in a string");
        if (c == '\\') {
            reader->at++;
            if (!read_escape(reader))
                return false;
            continue;
        }
        const size_t step = c < 0x80 ? 1
                                     : json_utf8_length(reader->text + reader->at,
                                                        reader->length - reader->at);
        if (step == 0)
            return fail(reader, "a string that is not UTF-8");
        buffer_append(&reader->string, reader->text + reader->at, step);
        reader->at += step;
    }
    return fail(reader, "a string without an end");
}

static bool emit_string(struct reader *reader)
{
    if (!read_string(reader))
        return false;
    if (reader->packer == NULL)
        return true;
    if (reader->string.length > UINT32_MAX)
        return fail_memory(reader);
    return (msgpack_pack_str(reader->packer, reader->string.length) == 0 &&
            msgpack_pack_str_body(reader->packer, reader->string.data, reader->string.length) ==
                0) ||
           fail_memory(reader);
}

/* ---- numbers ---- */

static size_t digits_at(const struct reader *reader, size_t at)
{
    size_t count = 0;
    while (at + count < reader->length && reader->text[at + count] >= '0' &&
           reader->text[at + count] <= '9')
        count++;
    return count;
}

/* Checks RFC 8259's grammar, which strtod() is too generous for. */
static bool number_length(struct reader *reader, size_t *length, bool *whole)
{
    size_t at = reader->at;
    *whole = true;
    if (reader->text[at] == '-')
        at++;
    size_t digits = digits_at(reader, at);
    if (digits == 0 || (digits > 1 && reader->text[at] == '0'))
        return fail(reader, "a number that is none");
    at += digits;
    if (at < reader->length && reader->text[at] == '.') {
        digits = digits_at(reader, ++at);
        if (digits == 0)
            return fail(reader, "a number that is none");
        at += digits;
        *whole = false;
    }
    if (at < reader->length && (reader->text[at] == 'e' || reader->text[at] == 'E')) {
        at++;
        if (at < reader->length && (reader->text[at] == '+' || reader->text[at] == '-'))
            at++;
        digits = digits_at(reader, at);
        if (digits == 0)
            return fail(reader, "a number that is none");
        at += digits;
        *whole = false;
    }
    *length = at - reader->at;
    return *length < NUMBER_MAX_BYTES || fail(reader, "a number that is too long");
}

static bool pack_number(struct reader *reader, const char *text, bool whole)
{
    msgpack_packer *packer = reader->packer;
    if (whole) {
        errno = 0;
        const long long value = strtoll(text, NULL, 10);
        if (errno == 0)
            return msgpack_pack_int64(packer, value) == 0;
        errno = 0;
        const unsigned long long large = text[0] == '-' ? 0 : strtoull(text, NULL, 10);
        if (errno == 0 && text[0] != '-')
            return msgpack_pack_uint64(packer, large) == 0;
    }
    return msgpack_pack_double(packer, strtod(text, NULL)) == 0;
}

static bool emit_number(struct reader *reader)
{
    char text[NUMBER_MAX_BYTES];
    size_t length = 0;
    bool whole = false;
    if (!number_length(reader, &length, &whole))
        return false;
    memcpy(text, reader->text + reader->at, length);
    text[length] = '\0';
    reader->at += length;
    return reader->packer == NULL || pack_number(reader, text, whole) || fail_memory(reader);
}

/* ---- containers ---- */

/* Scanning: a place for the count of the container that opens here. */
static bool add_count(struct reader *reader, size_t *place)
{
    if (reader->count_used == reader->count_capacity) {
        const size_t larger = reader->count_capacity == 0 ? 64 : reader->count_capacity * 2;
        uint32_t *counts = reallocarray(reader->counts, larger, sizeof(counts[0]));
        if (counts == NULL)
            return fail_memory(reader);
        reader->counts = counts;
        reader->count_capacity = larger;
    }
    *place = reader->count_used;
    reader->counts[reader->count_used++] = 0;
    return true;
}

static bool begin_container(struct reader *reader, bool is_map, size_t *place)
{
    if (reader->packer == NULL)
        return add_count(reader, place);
    const uint32_t count = reader->counts[reader->next_count++];
    const int status = is_map ? msgpack_pack_map(reader->packer, count)
                              : msgpack_pack_array(reader->packer, count);
    return status == 0 || fail_memory(reader);
}

static bool emit_value(struct reader *reader, unsigned depth);

/* One member of an object or item of an array. */
static bool emit_member(struct reader *reader, bool is_map, unsigned depth)
{
    if (is_map) {
        skip_blanks(reader);
        if (!take(reader, '"'))
            return fail(reader, "a member without a name");
        if (!emit_string(reader))
            return false;
        skip_blanks(reader);
        if (!take(reader, ':'))
            return fail(reader, "a member without ':'");
    }
    return emit_value(reader, depth);
}

/* Behind the opening bracket. */
static bool emit_container(struct reader *reader, bool is_map, unsigned depth)
{
    const char end = is_map ? '}' : ']';
    size_t place = 0;
    if (depth == JSON_MSGPACK_DEPTH_MAX)
        return error_set(reader->err, ERROR_LIMIT, "JSON: nested deeper than %d",
                         JSON_MSGPACK_DEPTH_MAX);
    if (!begin_container(reader, is_map, &place))
        return false;
    skip_blanks(reader);
    if (take(reader, end))
        return true;
    for (;;) {
        if (!emit_member(reader, is_map, depth + 1))
            return false;
        if (reader->packer == NULL)
            reader->counts[place]++;
        skip_blanks(reader);
        if (take(reader, end))
            return true;
        if (!take(reader, ','))
            return fail(reader, is_map ? "neither ',' nor '}'" : "neither ',' nor ']'");
    }
}

static bool emit_word(struct reader *reader)
{
    static const struct {
        const char *text;
        int (*pack)(msgpack_packer *packer);
    } words[] = {
        {"true", msgpack_pack_true}, {"false", msgpack_pack_false}, {"null", msgpack_pack_nil}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        const size_t length = strlen(words[i].text);
        if (reader->length - reader->at < length ||
            memcmp(reader->text + reader->at, words[i].text, length) != 0)
            continue;
        reader->at += length;
        return reader->packer == NULL || words[i].pack(reader->packer) == 0 || fail_memory(reader);
    }
    return fail(reader, "no value");
}

static bool emit_value(struct reader *reader, unsigned depth)
{
    skip_blanks(reader);
    if (take(reader, '{'))
        return emit_container(reader, true, depth);
    if (take(reader, '['))
        return emit_container(reader, false, depth);
    if (take(reader, '"'))
        return emit_string(reader);
    if (reader->at < reader->length &&
        (reader->text[reader->at] == '-' || digits_at(reader, reader->at) > 0))
        return emit_number(reader);
    return emit_word(reader);
}

/* ---- the two passes ---- */

static bool scan(struct reader *reader)
{
    if (!emit_value(reader, 0))
        return false;
    skip_blanks(reader);
    return reader->at == reader->length || fail(reader, "something behind the value");
}

static int append_to_buffer(void *out, const char *bytes, size_t length)
{
    struct buffer *buffer = out;
    buffer_append(buffer, bytes, length);
    return buffer->failed ? -1 : 0;
}

bool json_to_msgpack(const char *text, size_t length, struct buffer *out, struct error *err)
{
    struct reader reader = {.text = text, .length = length, .err = err};
    msgpack_packer packer;
    buffer_init(&reader.string, length + 1);
    bool ok = scan(&reader);
    if (ok) {
        msgpack_packer_init(&packer, out, append_to_buffer);
        reader.packer = &packer;
        reader.at = 0;
        ok = emit_value(&reader, 0);
    }
    buffer_release(&reader.string);
    free(reader.counts);
    return ok;
}

bool json_is_valid(const char *text, size_t length)
{
    struct reader reader = {.text = text, .length = length};
    buffer_init(&reader.string, length + 1);
    const bool ok = scan(&reader);
    buffer_release(&reader.string);
    free(reader.counts);
    return ok;
}
