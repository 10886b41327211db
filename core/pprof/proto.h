/* proto.h - the protobuf wire format, as much of it as profile.proto needs.
 *
 * Appends to a struct buffer; failure is the buffer's.  A nested message is written into a
 * buffer of its own and then put into its parent, so no length has to be known in advance. */
#ifndef GOPROFD_PPROF_PROTO_H
#define GOPROFD_PPROF_PROTO_H

#include <stddef.h>
#include <stdint.h>

struct buffer;

enum { PROTO_VARINT_MAX_BYTES = 10 };

void proto_varint(struct buffer *out, uint64_t value);

/* Number field.  proto_put_* leaves out nothing; proto_put_nonzero leaves out a zero, which is
 * what a reader assumes of an absent field. */
void proto_put_u64(struct buffer *out, uint32_t field, uint64_t value);
void proto_put_nonzero(struct buffer *out, uint32_t field, uint64_t value);

void proto_put_bytes(struct buffer *out, uint32_t field, const void *bytes, size_t length);

/* As a proto string, which has to be UTF-8: each byte of [text] that is not becomes U+FFFD. */
void proto_put_text(struct buffer *out, uint32_t field, const char *text, size_t length);

/* Packed repeated numbers; nothing for [count] 0. */
void proto_put_packed(struct buffer *out, uint32_t field, const uint64_t *values, size_t count);

/* A finished nested message.  A failed one fails [out]. */
void proto_put_message(struct buffer *out, uint32_t field, const struct buffer *message);

#endif
