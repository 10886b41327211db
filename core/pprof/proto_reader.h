/* proto_reader.h - takes the protobuf wire format apart, field by field; the other side of proto.h.
 *
 * Whoever sent the bytes is not trusted: every length is checked against what is there, groups and unknown
 * wire types are refused.  Nothing is copied or allocated; fields point into the message. */
#ifndef GOPROFD_PPROF_PROTO_READER_H
#define GOPROFD_PPROF_PROTO_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct proto_reader {
    const unsigned char *at;
    const unsigned char *end;
    bool failed; /* the bytes are no message; nothing after this point is to be used */
};

enum proto_wire { PROTO_VARINT = 0, PROTO_FIXED64 = 1, PROTO_BYTES = 2, PROTO_FIXED32 = 5 };

struct proto_field {
    uint32_t number;
    enum proto_wire wire;
    uint64_t value;             /* of all but PROTO_BYTES */
    const unsigned char *bytes; /* of PROTO_BYTES */
    size_t length;
};

void proto_reader_init(struct proto_reader *reader, const void *bytes, size_t length);

/* The next field; false at the end of the message, or if it `failed`. */
bool proto_reader_next(struct proto_reader *reader, struct proto_field *field);

/* The numbers of one occurrence of a repeated field, packed or not: begin, then take until false. */
struct proto_numbers {
    struct proto_reader packed; /* `failed`: they are none */
    bool has_single;
    uint64_t single;
};
void proto_numbers_begin(struct proto_numbers *numbers, const struct proto_field *field);
bool proto_numbers_next(struct proto_numbers *numbers, uint64_t *value);

#endif
