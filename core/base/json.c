/* json.c - writes JSON into a buffer. */
#include "core/base/json.h"

#include <math.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"

void json_init(struct json *json, struct buffer *out)
{
    *json = (struct json){.out = out};
}

static void before_value(struct json *json)
{
    if (json->after_key_) {
        json->after_key_ = false;
        return;
    }
    const uint64_t bit = UINT64_C(1) << json->depth_;
    if (json->has_members_ & bit)
        buffer_append_byte(json->out, ',');
    json->has_members_ |= bit;
}

static void open_level(struct json *json, char bracket)
{
    before_value(json);
    buffer_append_byte(json->out, bracket);
    if (json->depth_ >= JSON_DEPTH_MAX) {
        json->out->failed = true;
        return;
    }
    json->depth_++;
    json->has_members_ &= ~(UINT64_C(1) << json->depth_);
}

static void close_level(struct json *json, char bracket)
{
    buffer_append_byte(json->out, bracket);
    if (json->depth_ > 0)
        json->depth_--;
}

void json_begin_object(struct json *json)
{
    open_level(json, '{');
}

void json_end_object(struct json *json)
{
    close_level(json, '}');
}

void json_begin_array(struct json *json)
{
    open_level(json, '[');
}

void json_end_array(struct json *json)
{
    close_level(json, ']');
}

size_t json_utf8_length(const char *text, size_t length)
{
    const unsigned char *byte = (const unsigned char *)text;
    if (length == 0)
        return 0;
    if (byte[0] < 0x80)
        return 1;
    size_t need = 0;
    uint32_t point = 0;
    uint32_t least = 0;
    if ((byte[0] & 0xE0) == 0xC0) {
        need = 2, point = byte[0] & 0x1FU, least = 0x80;
    } else if ((byte[0] & 0xF0) == 0xE0) {
        need = 3, point = byte[0] & 0x0FU, least = 0x800;
    } else if ((byte[0] & 0xF8) == 0xF0) {
        need = 4, point = byte[0] & 0x07U, least = 0x10000;
    } else {
        return 0;
    }
    if (need > length)
        return 0;
    for (size_t i = 1; i < need; i++) {
        if ((byte[i] & 0xC0) != 0x80)
            return 0;
        point = (point << 6) | (byte[i] & 0x3FU);
    }
    const bool surrogate = point >= 0xD800 && point <= 0xDFFF;
    return point < least || point > 0x10FFFF || surrogate ? 0 : need;
}

void json_append_quoted(struct buffer *out, const char *text, size_t length)
{
    buffer_append_byte(out, '"');
    size_t plain_from = 0;
    for (size_t i = 0; i < length;) {
        const unsigned char byte = (unsigned char)text[i];
        const size_t sequence = json_utf8_length(text + i, length - i);
        if (sequence > 0 && byte >= 0x20 && byte != '"' && byte != '\\' && byte != 0x7F) {
            i += sequence;
            continue;
        }
        buffer_append(out, text + plain_from, i - plain_from);
        if (sequence == 0)
            buffer_append_string(out, "\xEF\xBF\xBD");
        else if (byte == '"' || byte == '\\')
            buffer_append(out, (const char[]){'\\', (char)byte}, 2);
        else if (byte == '\n')
            buffer_append_string(out, "\\n");
        else if (byte == '\t')
            buffer_append_string(out, "\\t");
        else if (byte == '\r')
            buffer_append_string(out, "\\r");
        else
            buffer_printf(out, "\\u%04x", byte);
        i++;
        plain_from = i;
    }
    buffer_append(out, text + plain_from, length - plain_from);
    buffer_append_byte(out, '"');
}

void json_key(struct json *json, const char *key)
{
    before_value(json);
    json_append_quoted(json->out, key, strlen(key));
    buffer_append_byte(json->out, ':');
    json->after_key_ = true;
}

void json_string_n(struct json *json, const char *text, size_t length)
{
    before_value(json);
    json_append_quoted(json->out, text, length);
}

void json_string(struct json *json, const char *text)
{
    if (text == NULL)
        json_null(json);
    else
        json_string_n(json, text, strlen(text));
}

void json_u64(struct json *json, uint64_t value)
{
    before_value(json);
    buffer_append_u64(json->out, value);
}

void json_i64(struct json *json, int64_t value)
{
    before_value(json);
    buffer_append_i64(json->out, value);
}

void json_f64(struct json *json, double value)
{
    if (!isfinite(value)) {
        json_null(json);
        return;
    }
    before_value(json);
    char text[40];
    int length = 0;
    for (int digits = 6; digits <= 17; digits++) {
        length = snprintf(text, sizeof(text), "%.*g", digits, value);
        const double back = strtod(text, NULL);
        if (back >= value && back <= value)
            break;
    }
    buffer_append(json->out, text, (size_t)length);
}

void json_bool(struct json *json, bool value)
{
    before_value(json);
    buffer_append_string(json->out, value ? "true" : "false");
}

void json_null(struct json *json)
{
    before_value(json);
    buffer_append_string(json->out, "null");
}

void json_time(struct json *json, uint64_t realtime_ns)
{
    char text[CLOCK_RFC3339_BYTES];
    json_string_n(json, text, clock_format_rfc3339(realtime_ns, text));
}

void json_raw(struct json *json, const char *text, size_t length)
{
    before_value(json);
    buffer_append(json->out, text, length);
}

void json_member_string(struct json *json, const char *key, const char *text)
{
    json_key(json, key);
    json_string(json, text);
}

void json_member_u64(struct json *json, const char *key, uint64_t value)
{
    json_key(json, key);
    json_u64(json, value);
}

void json_member_i64(struct json *json, const char *key, int64_t value)
{
    json_key(json, key);
    json_i64(json, value);
}

void json_member_f64(struct json *json, const char *key, double value)
{
    json_key(json, key);
    json_f64(json, value);
}

void json_member_bool(struct json *json, const char *key, bool value)
{
    json_key(json, key);
    json_bool(json, value);
}

void json_member_time(struct json *json, const char *key, uint64_t realtime_ns)
{
    json_key(json, key);
    json_time(json, realtime_ns);
}
