/* memory_gather.c - neighbours come in one piece, and each part gets its own bytes. */
#include "core/goproc/memory_gather.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

#include "core/goproc/memory.h"

enum { BASE = 0x10000, MEMORY_BYTES = 0x8000, HOLE_AT = 0x14000, HOLE_BYTES = 0x1000 };

/* Byte i is i*7 mod 251; a hole cannot be read. */
struct source {
    size_t calls;
    size_t pieces;
};

static unsigned char byte_at(uint64_t address)
{
    return (unsigned char)(address * 7 % 251);
}

static size_t read_source(void *context, const struct memory_part *parts, size_t count,
                          struct error *err)
{
    struct source *source = context;
    size_t done = 0;
    source->calls++;
    source->pieces += count;
    for (size_t i = 0; i < count; i++) {
        for (size_t b = 0; b < parts[i].length; b++, done++) {
            const uint64_t address = parts[i].address + b;
            if (address < BASE || address >= BASE + MEMORY_BYTES ||
                (address >= HOLE_AT && address < HOLE_AT + HOLE_BYTES)) {
                error_set(err, ERROR_CORRUPT, "nothing at 0x%llx", (unsigned long long)address);
                return done;
            }
            ((unsigned char *)parts[i].into)[b] = byte_at(address);
        }
    }
    return done;
}

static void assert_bytes(const unsigned char *bytes, uint64_t address, size_t length)
{
    for (size_t i = 0; i < length; i++)
        cr_assert_eq(bytes[i], byte_at(address + i), "byte %zu of 0x%llx", i,
                     (unsigned long long)address);
}

Test(memory_gather, takes_neighbours_as_one_piece_whatever_their_order)
{
    struct source source = {0};
    struct memory memory;
    struct error err;
    unsigned char bytes[5][64];
    const uint64_t addresses[5] = {BASE + 700, BASE + 0x6000, BASE + 100, BASE + 130, BASE + 2000};
    struct memory_part parts[5];
    memory_open_source(&memory, read_source, &source, NULL);
    for (size_t i = 0; i < 5; i++)
        parts[i] = (struct memory_part){addresses[i], bytes[i], 64};
    cr_assert(memory_gather(&memory, parts, 5, &err), "%s", err.message);
    for (size_t i = 0; i < 5; i++)
        assert_bytes(bytes[i], addresses[i], 64);
    cr_assert_eq(source.calls, 1);
    cr_assert_eq(source.pieces, 2);
}

Test(memory_gather, takes_the_same_piece_twice_and_pieces_within_pieces)
{
    struct source source = {0};
    struct memory memory;
    struct error err;
    unsigned char outer[300], inner[8], again[8];
    struct memory_part parts[] = {{BASE + 50, inner, 8}, {BASE + 10, outer, 300}, {BASE + 50, again, 8}};
    memory_open_source(&memory, read_source, &source, NULL);
    cr_assert(memory_gather(&memory, parts, 3, &err), "%s", err.message);
    assert_bytes(outer, BASE + 10, 300);
    assert_bytes(inner, BASE + 50, 8);
    assert_bytes(again, BASE + 50, 8);
    cr_assert_eq(source.pieces, 1);
}

Test(memory_gather, touches_no_page_that_no_piece_lies_in)
{
    struct source source = {0};
    struct memory memory;
    struct error err;
    unsigned char before[16], after[16];
    struct memory_part parts[] = {{HOLE_AT + HOLE_BYTES, after, 16}, {HOLE_AT - 16, before, 16}};
    memory_open_source(&memory, read_source, &source, NULL);
    cr_assert(memory_gather(&memory, parts, 2, &err), "%s", err.message);
    assert_bytes(before, HOLE_AT - 16, 16);
    assert_bytes(after, HOLE_AT + HOLE_BYTES, 16);
}

Test(memory_gather, fails_with_the_reason_where_a_piece_cannot_be_read)
{
    struct source source = {0};
    struct memory memory;
    struct error err = {0};
    unsigned char one[16], other[16];
    struct memory_part hole[] = {{BASE, one, 16}, {HOLE_AT + 8, other, 16}};
    struct memory_part wrapping[] = {{BASE, one, 16}, {UINT64_MAX - 4, other, 16}};
    memory_open_source(&memory, read_source, &source, NULL);
    cr_assert_not(memory_gather(&memory, hole, 2, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    err = (struct error){0};
    cr_assert_not(memory_gather(&memory, wrapping, 2, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert(memory_gather(&memory, hole, 0, &err), "nothing is asked for");
}
