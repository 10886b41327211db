/* buffer.h - growable bytes that know their limit.
 *
 * Every buffer is created with the size at which it refuses to grow.  A refused or failed
 * append sets `failed`, which sticks; encoders append line after line and look once, at the
 * end.  `data` is NULL while nothing was appended; it is never NUL-terminated unless
 * buffer_text() was called.  Not shared between threads. */
#ifndef GOPROFD_BASE_BUFFER_H
#define GOPROFD_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buffer {
    char *data;
    size_t length; /* bytes */
    size_t capacity_;
    size_t max_bytes;
    bool failed; /* an append was refused; the content is not to be used */
};

void buffer_init(struct buffer *buffer, size_t max_bytes);
void buffer_release(struct buffer *buffer); /* leaves it as after buffer_init */
void buffer_clear(struct buffer *buffer);   /* keeps the storage; forgets `failed` */

void buffer_append(struct buffer *buffer, const void *bytes, size_t length);
void buffer_append_string(struct buffer *buffer, const char *text);
void buffer_append_byte(struct buffer *buffer, char byte);
void buffer_append_u64(struct buffer *buffer, uint64_t value); /* decimal */
void buffer_append_i64(struct buffer *buffer, int64_t value);
void buffer_printf(struct buffer *buffer, const char *fmt, ...) GOPROFD_PRINTF(2, 3);

/* Makes room for [length] more bytes and returns where to write them; the caller then adds
 * what it wrote to `length`.  NULL if refused. */
char *buffer_reserve(struct buffer *buffer, size_t length);

/* Terminates the content and returns it; "" for an empty buffer.  NULL if it failed. */
const char *buffer_text(struct buffer *buffer);

/* Hands the storage to the caller, who frees it with free(); [*length] gets its size.
 * NULL if it failed or is empty.  The buffer is afterwards as after buffer_init. */
char *buffer_detach(struct buffer *buffer, size_t *length);

#endif
