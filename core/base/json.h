/* json.h - writes JSON into a buffer, with commas and nesting kept right.
 *
 * Used by the http views, the capture sidecars and the log.  Strings that are not UTF-8 get
 * U+FFFD for each bad byte; NaN and infinities become null.  Failure is the buffer's. */
#ifndef GOPROFD_BASE_JSON_H
#define GOPROFD_BASE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

enum { JSON_DEPTH_MAX = 63 };

struct json {
    struct buffer *out;
    uint64_t has_members_; /* one bit a level: something was written, a comma is due */
    unsigned depth_;
    bool after_key_;
};

void json_init(struct json *json, struct buffer *out);

void json_begin_object(struct json *json);
void json_end_object(struct json *json);
void json_begin_array(struct json *json);
void json_end_array(struct json *json);

void json_key(struct json *json, const char *key);
void json_string(struct json *json, const char *text); /* NULL becomes null */
void json_string_n(struct json *json, const char *text, size_t length);
void json_u64(struct json *json, uint64_t value);
void json_i64(struct json *json, int64_t value);
void json_f64(struct json *json, double value); /* shortest text that reads back the same */
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_time(struct json *json, uint64_t realtime_ns); /* RFC 3339 */
void json_raw(struct json *json, const char *text, size_t length); /* already JSON: one value */

/* key and value in one call */
void json_member_string(struct json *json, const char *key, const char *text);
void json_member_u64(struct json *json, const char *key, uint64_t value);
void json_member_i64(struct json *json, const char *key, int64_t value);
void json_member_f64(struct json *json, const char *key, double value);
void json_member_bool(struct json *json, const char *key, bool value);
void json_member_time(struct json *json, const char *key, uint64_t realtime_ns);

/* Appends [text] quoted and escaped, with no regard to nesting. */
void json_append_quoted(struct buffer *out, const char *text, size_t length);

/* Length in bytes of the UTF-8 sequence at [text] (1 to 4), or 0 if it is not one. */
size_t json_utf8_length(const char *text, size_t length);

#endif
