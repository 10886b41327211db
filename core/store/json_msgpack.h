/* json_msgpack.h - a JSON text as msgpack: the same members in the same order, and nothing else.
 *
 * Views are written once, as JSON; this gives the same answer to those who asked for msgpack, so the
 * two can never differ.  Whole numbers within 64 bits become integers, all others float 64; texts stay
 * texts (times are RFC 3339 in both).  Refuses what is not JSON, so it also serves as a check of
 * texts that others wrote.  Pure; any thread. */
#ifndef GOPROFD_STORE_JSON_MSGPACK_H
#define GOPROFD_STORE_JSON_MSGPACK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct buffer;

enum { JSON_MSGPACK_DEPTH_MAX = 64 };

/* Appends the one value that [text] holds to [out].  ERROR_CORRUPT with the offset if it is not one JSON
 * value, ERROR_LIMIT if it nests deeper than JSON_MSGPACK_DEPTH_MAX, ERROR_NO_MEMORY (also
 * when [out] is full). */
bool json_to_msgpack(const char *text, size_t length, struct buffer *out,
                     struct error *err) GOPROFD_MUST_CHECK;

/* Whether [text] is one JSON value, nothing before or behind it but blanks. */
bool json_is_valid(const char *text, size_t length);

#endif
