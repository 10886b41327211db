/* buffer.c - growable bytes that know their limit. */
#include "core/base/buffer.h"

#include <stdarg.h>

enum { BUFFER_FIRST_BYTES = 256 };

void buffer_init(struct buffer *buffer, size_t max_bytes)
{
    *buffer = (struct buffer){.max_bytes = max_bytes};
}

void buffer_release(struct buffer *buffer)
{
    free(buffer->data);
    buffer_init(buffer, buffer->max_bytes);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->length = 0;
    buffer->failed = false;
}

/* One byte more than asked is always kept, for buffer_text()'s terminator. */
char *buffer_reserve(struct buffer *buffer, size_t length)
{
    if (buffer->failed || length > buffer->max_bytes || buffer->length > buffer->max_bytes - length) {
        buffer->failed = true;
        return NULL;
    }
    const size_t needed = buffer->length + length + 1;
    if (needed > buffer->capacity_) {
        size_t capacity = buffer->capacity_ == 0 ? BUFFER_FIRST_BYTES : buffer->capacity_;
        while (capacity < needed)
            capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;
        char *grown = realloc(buffer->data, capacity);
        if (grown == NULL) {
            buffer->failed = true;
            return NULL;
        }
        buffer->data = grown;
        buffer->capacity_ = capacity;
    }
    return buffer->data + buffer->length;
}

void buffer_append(struct buffer *buffer, const void *bytes, size_t length)
{
    if (length == 0)
        return;
    char *room = buffer_reserve(buffer, length);
    if (room == NULL)
        return;
    memcpy(room, bytes, length);
    buffer->length += length;
}

void buffer_append_string(struct buffer *buffer, const char *text)
{
    buffer_append(buffer, text, strlen(text));
}

void buffer_append_byte(struct buffer *buffer, char byte)
{
    buffer_append(buffer, &byte, 1);
}

void buffer_append_u64(struct buffer *buffer, uint64_t value)
{
    char digits[20];
    size_t start = sizeof(digits);
    do {
        digits[--start] = (char)('0' + value % 10);
        value /= 10;
    } while (value != 0);
    buffer_append(buffer, digits + start, sizeof(digits) - start);
}

void buffer_append_i64(struct buffer *buffer, int64_t value)
{
    if (value < 0)
        buffer_append_byte(buffer, '-');
    buffer_append_u64(buffer, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

void buffer_printf(struct buffer *buffer, const char *fmt, ...)
{
    va_list args;
    va_list again;
    va_start(args, fmt);
    va_copy(again, args);

    char small[256];
    const int length = vsnprintf(small, sizeof(small), fmt, args);
    if (length < 0) {
        buffer->failed = true;
    } else if ((size_t)length < sizeof(small)) {
        buffer_append(buffer, small, (size_t)length);
    } else {
        char *room = buffer_reserve(buffer, (size_t)length);
        if (room != NULL) { /* reserve keeps one byte more, for the terminator */
            (void)vsnprintf(room, (size_t)length + 1, fmt, again);
            buffer->length += (size_t)length;
        }
    }
    va_end(again);
    va_end(args);
}

const char *buffer_text(struct buffer *buffer)
{
    char *end = buffer_reserve(buffer, 0);
    if (end == NULL)
        return NULL;
    *end = '\0';
    return buffer->data;
}

char *buffer_detach(struct buffer *buffer, size_t *length)
{
    if (buffer->failed || buffer->length == 0)
        return NULL;
    char *data = buffer->data;
    *length = buffer->length;
    buffer_init(buffer, buffer->max_bytes);
    return data;
}
