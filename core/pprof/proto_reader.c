/* proto_reader.c - takes the protobuf wire format apart. */
#include "core/pprof/proto_reader.h"

#include "core/pprof/proto.h"

enum { WIRE_BITS = 3, FIELD_NUMBER_MAX = (1 << 29) - 1 };

void proto_reader_init(struct proto_reader *reader, const void *bytes, size_t length)
{
    static const unsigned char nothing[1];
    reader->at = bytes == NULL ? nothing : bytes;
    reader->end = reader->at + (bytes == NULL ? 0 : length);
    reader->failed = false;
}

static bool fail(struct proto_reader *reader)
{
    reader->failed = true;
    reader->at = reader->end;
    return false;
}

static bool take_varint(struct proto_reader *reader, uint64_t *value)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < PROTO_VARINT_MAX_BYTES && reader->at < reader->end; i++) {
        const unsigned char byte = *reader->at++;
        if (i == PROTO_VARINT_MAX_BYTES - 1 && byte > 1)
            return fail(reader); /* more than 64 bits */
        sum |= (uint64_t)(byte & 0x7F) << (7 * i);
        if ((byte & 0x80) == 0) {
            *value = sum;
            return true;
        }
    }
    return fail(reader);
}

/* Little-endian, of 4 or 8 bytes. */
static bool take_fixed(struct proto_reader *reader, size_t length, uint64_t *value)
{
    uint64_t sum = 0;
    if ((size_t)(reader->end - reader->at) < length)
        return fail(reader);
    for (size_t i = 0; i < length; i++)
        sum |= (uint64_t)reader->at[i] << (8 * i);
    reader->at += length;
    *value = sum;
    return true;
}

static bool take_bytes(struct proto_reader *reader, struct proto_field *field)
{
    uint64_t length = 0;
    if (!take_varint(reader, &length))
        return false;
    if (length > (uint64_t)(reader->end - reader->at))
        return fail(reader);
    field->bytes = reader->at;
    field->length = (size_t)length;
    reader->at += length;
    return true;
}

bool proto_reader_next(struct proto_reader *reader, struct proto_field *field)
{
    uint64_t tag = 0;
    if (reader->failed || reader->at == reader->end || !take_varint(reader, &tag))
        return false;
    const uint64_t number = tag >> WIRE_BITS;
    if (number == 0 || number > FIELD_NUMBER_MAX)
        return fail(reader);
    *field = (struct proto_field){.number = (uint32_t)number,
                                  .wire = (enum proto_wire)(tag & ((1U << WIRE_BITS) - 1))};
    switch (field->wire) {
    case PROTO_VARINT:
        return take_varint(reader, &field->value);
    case PROTO_FIXED64:
        return take_fixed(reader, 8, &field->value);
    case PROTO_FIXED32:
        return take_fixed(reader, 4, &field->value);
    case PROTO_BYTES:
        return take_bytes(reader, field);
    }
    return fail(reader); /* groups, which profile.proto does not have */
}

void proto_numbers_begin(struct proto_numbers *numbers, const struct proto_field *field)
{
    const bool packed = field->wire == PROTO_BYTES;
    proto_reader_init(&numbers->packed, field->bytes, field->length);
    numbers->has_single = field->wire == PROTO_VARINT;
    numbers->single = field->value;
    numbers->packed.failed = !packed && !numbers->has_single;
}

bool proto_numbers_next(struct proto_numbers *numbers, uint64_t *value)
{
    if (numbers->has_single) {
        numbers->has_single = false;
        *value = numbers->single;
        return true;
    }
    return !numbers->packed.failed && numbers->packed.at < numbers->packed.end &&
           take_varint(&numbers->packed, value);
}
