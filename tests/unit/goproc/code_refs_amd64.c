/* Which data the instructions of an amd64 function refer to.  Bytes as an assembler makes them; the
 * code lies at 0x1000 and the only range is 0x2000 to 0x3000 unless a test says otherwise. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/code_refs.h"

enum { CODE_ADDRESS = 0x1000 };

static const struct code_range range = {0x2000, 0x3000};

static struct code_refs collect(const unsigned char *code, size_t length)
{
    struct code_refs refs;
    struct error err = {0};
    cr_assert(
        code_refs_collect(CODE_ARCH_AMD64, code, length, CODE_ADDRESS, &range, 1, &refs, &err),
        "%s", err.message);
    return refs;
}

#define COLLECT(...)                                                                               \
    collect((const unsigned char[]){__VA_ARGS__}, sizeof((const unsigned char[]){__VA_ARGS__}))

Test(code_refs_amd64, counts_the_displacement_from_the_end_of_the_instruction)
{
    struct code_refs refs = COLLECT(0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0); /* MOVQ 0xff9(RIP), AX */
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, 0x1000 + 7 + 0xff9);
    cr_assert_eq(refs.refs[0].address_taken, 0);
}

Test(code_refs_amd64, counts_an_immediate_operand_as_part_of_the_instruction)
{
    struct code_refs refs = COLLECT(0x83, 0x3d, 0xf9, 0x0f, 0, 0, 0x05); /* CMPL 0xff9(RIP), $5 */
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, 0x2000);
}

Test(code_refs_amd64, knows_an_address_that_is_only_taken)
{
    struct code_refs refs = COLLECT(0x48, 0x8d, 0x0d, 0x00, 0x10, 0, 0,  /* LEAQ 0x1000(RIP), CX */
                                    0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0); /* MOVQ the same, AX */
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].count, 2);
    cr_assert_eq(refs.refs[0].address_taken, 1);
}

Test(code_refs_amd64, lists_each_target_once_in_the_order_of_the_first_occurrence)
{
    struct code_refs refs = COLLECT(0x8b, 0x05, 0x20, 0x10, 0, 0,  /* 0x2026 */
                                    0x8b, 0x05, 0x0a, 0x10, 0, 0,  /* 0x2016 */
                                    0x8b, 0x05, 0x14, 0x10, 0, 0); /* 0x2026 */
    cr_assert_eq(refs.count, 2);
    cr_assert_eq(refs.refs[0].target, 0x2026);
    cr_assert_eq(refs.refs[0].count, 2);
    cr_assert_eq(refs.refs[1].target, 0x2016);
    cr_assert_eq(refs.refs[1].count, 1);
}

Test(code_refs_amd64, decodes_locked_vector_and_evex_instructions)
{
    struct code_refs refs = COLLECT(0xf0, 0x0f, 0xc1, 0x05, 0x00, 0x10, 0, 0, /* LOCK XADDL */
                                    0xc5, 0xfe, 0x6f, 0x05, 0x00, 0x10, 0, 0, /* VMOVDQU, YMM */
                                    0x62, 0xf1, 0xfd, 0x48, 0x6f, 0x05, 0x00, 0x10, 0, 0, /* ZMM */
                                    0x90);
    cr_assert_eq(refs.count, 3);
    cr_assert_eq(refs.refs[0].target, 0x2008);
    cr_assert_eq(refs.refs[1].target, 0x2010);
    cr_assert_eq(refs.refs[2].target, 0x201a);
}

Test(code_refs_amd64, does_not_take_calls_and_jumps_through_memory_for_references)
{
    struct code_refs refs = COLLECT(0xff, 0x15, 0x00, 0x10, 0, 0,  /* CALL *0x1000(RIP) */
                                    0xff, 0x25, 0x00, 0x10, 0, 0); /* JMP  *0x1000(RIP) */
    cr_assert_eq(refs.count, 0);
}

Test(code_refs_amd64, is_not_misled_by_bytes_that_only_look_like_an_instruction)
{
    /* MOVQ $0x0010000f058b48, AX carries the bytes of a MOVQ 0x1000f(RIP) in its immediate. */
    struct code_refs refs =
        COLLECT(0x48, 0xb8, 0x48, 0x8b, 0x05, 0x0f, 0x10, 0x00, 0x00, 0x00, 0xc3);
    cr_assert_eq(refs.count, 0);
}

Test(code_refs_amd64, keeps_to_the_ranges)
{
    struct code_refs refs = COLLECT(0x8b, 0x05, 0xf9, 0x0f, 0, 0,  /* 0x1fff: before */
                                    0x8b, 0x05, 0xf4, 0x1f, 0, 0); /* 0x3000: the first after */
    cr_assert_eq(refs.count, 0);
}

Test(code_refs_amd64, follows_a_negative_displacement)
{
    const unsigned char code[] = {0x8b, 0x05, 0xfa, 0xff, 0xff, 0xff}; /* its own first byte */
    const struct code_range around = {CODE_ADDRESS, CODE_ADDRESS + 1};
    struct code_refs refs;
    cr_assert(code_refs_collect(CODE_ARCH_AMD64, code, sizeof(code), CODE_ADDRESS, &around, 1,
                                &refs, NULL));
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, CODE_ADDRESS);
}

Test(code_refs_amd64, steps_over_the_padding_behind_a_function)
{
    struct code_refs refs = COLLECT(0xc3, 0xcc, 0xcc, 0xcc, 0x8b, 0x05, 0x00, 0x10, 0, 0, 0xcc);
    cr_assert_eq(refs.count, 1);
}

Test(code_refs_amd64, refuses_what_is_no_instruction_and_says_where)
{
    const unsigned char code[] = {0x90, 0x06}; /* PUSH ES went away with 64 bits */
    struct code_refs refs;
    struct error err = {0};
    cr_assert_not(code_refs_collect(CODE_ARCH_AMD64, code, sizeof(code), CODE_ADDRESS, &range, 1,
                                    &refs, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not_null(strstr(err.message, "0x1001"), "%s", err.message);
}

Test(code_refs_amd64, refuses_an_instruction_that_is_cut_off_at_every_length)
{
    const unsigned char code[] = {0x48, 0x8b, 0x05, 0xf9, 0x0f, 0, 0};
    struct code_refs refs;
    for (size_t length = 1; length < sizeof(code); length++)
        cr_assert_not(
            code_refs_collect(CODE_ARCH_AMD64, code, length, CODE_ADDRESS, &range, 1, &refs, NULL));
}

Test(code_refs_amd64, says_when_there_are_more_targets_than_it_keeps)
{
    unsigned char code[(CODE_REFS_MAX + 1) * 6];
    for (unsigned char i = 0; i < CODE_REFS_MAX + 1; i++)
        memcpy(code + i * 6, (const unsigned char[]){0x8b, 0x05, i, 0x10, 0, 0}, 6);
    struct code_refs refs = collect(code, sizeof(code));
    cr_assert_eq(refs.count, CODE_REFS_MAX);
    cr_assert(refs.cut);
}

/* Both decoders: any bytes end in a list or a named error, and nothing out of range is listed. */
Test(code_refs, survives_bytes_that_are_no_code)
{
    unsigned char code[256];
    uint64_t state = 88172645463325252;
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(code); i++) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            code[i] = (unsigned char)state;
        }
        for (unsigned arch = CODE_ARCH_AMD64; arch <= CODE_ARCH_ARM64; arch++) {
            struct code_refs refs;
            struct error err = {0};
            if (!code_refs_collect((enum code_arch)arch, code, sizeof(code), CODE_ADDRESS, &range,
                                   1, &refs, &err))
                cr_assert_neq(err.message[0], '\0');
            for (size_t i = 0; i < refs.count; i++)
                cr_assert(refs.refs[i].target >= range.start && refs.refs[i].target < range.end);
        }
    }
}
