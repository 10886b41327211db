/* call_argument.c - what a call passes is read off the code before it, or not at all. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/alloc_type.h"
#include "core/goproc/call_argument.h"

enum { ENTRY = 0x401000 };

static struct call_value trace(const unsigned char *code, size_t call_end, size_t length,
                               unsigned argument)
{
    struct call_tracer *tracer = call_tracer_new();
    const struct call_value value =
        call_argument_amd64(tracer, code, call_end, length, ENTRY, argument);
    call_tracer_free(tracer);
    return value;
}

static struct call_value trace_all(const unsigned char *code, size_t length, unsigned argument)
{
    return trace(code, length, length, argument);
}

/* LEAQ 0x100(IP), CX; MOVQ CX, AX; CALL */
Test(call_argument, follows_moves_to_an_address)
{
    const unsigned char code[] = {0x48, 0x8d, 0x0d, 0,    1, 0, 0, 0x48, 0x89,
                                  0xc8, 0xe8, 1,    0,    0, 0};
    const struct call_value value = trace_all(code, sizeof(code), 0);
    cr_assert_eq(value.kind, CALL_VALUE_ADDRESS);
    cr_assert_eq(value.address, ENTRY + 7 + 0x100);
    cr_assert_eq(value.load_count, 0);
}

/* MOVQ AX, 0x28(SP); CALL; MOVQ 0x28(SP), CX; MOVQ 0x18(CX), BX; CALL */
Test(call_argument, follows_spills_over_calls_to_a_parameter_and_what_it_points_to)
{
    const unsigned char code[] = {0x48, 0x89, 0x44, 0x24, 0x28, 0xe8, 1,    0,    0,    0,    0x48, 0x8b,
                                  0x4c, 0x24, 0x28, 0x48, 0x8b, 0x59, 0x18, 0xe8, 1,    0,    0,    0};
    const struct call_value value = trace_all(code, sizeof(code), 1);
    cr_assert_eq(value.kind, CALL_VALUE_PARAMETER);
    cr_assert_eq(value.parameter, 0);
    cr_assert_eq(value.load_count, 1);
    cr_assert_eq(value.loads[0], 0x18);
}

/* LEAQ 0x100(IP), AX; CALL; CALL */
Test(call_argument, is_unknown_where_another_call_came_between)
{
    const unsigned char code[] = {0x48, 0x8d, 0x05, 0, 1, 0, 0, 0xe8, 1, 0, 0, 0, 0xe8, 1, 0, 0, 0};
    cr_assert_eq(trace_all(code, sizeof(code), 0).kind, CALL_VALUE_UNKNOWN);
}

/* TESTQ BX, BX; JEQ other; LEAQ A, AX; JMP join; other: LEAQ B, AX; join: CALL */
Test(call_argument, is_unknown_where_two_ways_bring_different_values)
{
    unsigned char code[] = {0x48, 0x85, 0xdb, 0x74, 0x09, 0x48, 0x8d, 0x05, 0,    1, 0, 0, 0xeb,
                            0x07, 0x48, 0x8d, 0x05, 0,    2,    0,    0,    0xe8, 1, 0, 0, 0};
    cr_assert_eq(trace_all(code, sizeof(code), 0).kind, CALL_VALUE_UNKNOWN);
    /* The same address on both ways: 0x100 after offset 12, 0xf7 after offset 21. */
    code[17] = 0xf7;
    code[18] = 0;
    const struct call_value same = trace_all(code, sizeof(code), 0);
    cr_assert_eq(same.kind, CALL_VALUE_ADDRESS);
    cr_assert_eq(same.address, ENTRY + 12 + 0x100);
}

/* LEAQ 0x100(IP), AX; ADDQ $8, AX; CALL */
Test(call_argument, is_unknown_after_arithmetic)
{
    const unsigned char code[] = {0x48, 0x8d, 0x05, 0,    1, 0, 0, 0x48, 0x83,
                                  0xc0, 8,    0xe8, 1,    0, 0, 0};
    cr_assert_eq(trace_all(code, sizeof(code), 0).kind, CALL_VALUE_UNKNOWN);
}

/* TESTQ BX, BX; LEAQ 0x100(IP), AX; NOP; CALL; and what stands around it. */
static struct call_value trace_near(const unsigned char *before, size_t before_length,
                                    const unsigned char *after, size_t after_length)
{
    static const unsigned char near_call[] = {0x48, 0x85, 0xdb, 0x48, 0x8d, 0x05, 0, 1,
                                              0,    0,    0x90, 0xe8, 1,    0,    0, 0};
    unsigned char code[128] = {0};
    struct call_tracer *tracer = call_tracer_new();

    memcpy(code, before, before_length);
    memcpy(code + before_length, near_call, sizeof(near_call));
    const size_t call_end = before_length + sizeof(near_call);
    memcpy(code + call_end, after, after_length);
    const struct call_value value =
        call_argument_amd64_near(tracer, code, call_end, call_end + after_length, before_length,
                                 call_end, ENTRY, 0);
    call_tracer_free(tracer);
    return value;
}

Test(call_argument, near_the_call_needs_nothing_of_the_function_before)
{
    const unsigned char no_code[] = {0x06, 0x06, 0x06};
    const struct call_value value = trace_near(no_code, sizeof(no_code), no_code, sizeof(no_code));
    cr_assert_eq(value.kind, CALL_VALUE_ADDRESS);
    cr_assert_eq(value.address, ENTRY + 3 + 10 + 0x100);
}

/* JEQ, JMP and JNE with one and four bytes of distance, to the NOP between LEAQ and CALL, which is 10 bytes
 * behind what stands before and 6 before what stands after. */
Test(call_argument, near_the_call_is_unknown_if_a_jump_from_elsewhere_may_lead_in_between)
{
    const unsigned char short_before[] = {0x74, 10}, short_after[] = {0xeb, 0xf8};
    const unsigned char long_before[] = {0xe9, 10, 0, 0, 0};
    const unsigned char long_after[] = {0x0f, 0x85, 0xf4, 0xff, 0xff, 0xff};
    const unsigned char to_the_start[] = {0xe9, 0, 0, 0, 0};
    cr_assert_eq(trace_near(short_before, 2, short_after, 0).kind, CALL_VALUE_UNKNOWN);
    cr_assert_eq(trace_near(short_before, 0, short_after, 2).kind, CALL_VALUE_UNKNOWN);
    cr_assert_eq(trace_near(long_before, 5, short_after, 0).kind, CALL_VALUE_UNKNOWN);
    cr_assert_eq(trace_near(long_before, 0, long_after, 6).kind, CALL_VALUE_UNKNOWN);
    cr_assert_eq(trace_near(to_the_start, 5, long_after, 0).kind, CALL_VALUE_ADDRESS);
}

/* The jump lies anywhere in a longer function, whatever its place in what is looked at together. */
Test(call_argument, near_the_call_sees_far_jumps_at_every_distance)
{
    enum { CALL_AT = 100, LENGTH = 700 };
    struct call_tracer *tracer = call_tracer_new();
    for (uint32_t at = CALL_AT + 17; at + 5 <= LENGTH; at++) {
        unsigned char code[LENGTH] = {0};
        const unsigned char near_call[] = {0x48, 0x8d, 0x05, 0, 1, 0, 0, 0x90, 0xe8, 1, 0, 0, 0};
        const uint32_t distance = CALL_AT + 7 - (at + 5);
        memcpy(code + CALL_AT, near_call, sizeof(near_call));
        code[at] = 0xe9;
        memcpy(code + at + 1, &distance, sizeof(distance));
        cr_assert_eq(call_argument_amd64_near(tracer, code, CALL_AT + 13, LENGTH, CALL_AT,
                                              CALL_AT + 13, ENTRY, 0).kind, CALL_VALUE_UNKNOWN);
        code[at] = 0x90;
        cr_assert_eq(call_argument_amd64_near(tracer, code, CALL_AT + 13, LENGTH, CALL_AT,
                                              CALL_AT + 13, ENTRY, 0).kind, CALL_VALUE_ADDRESS);
    }
    call_tracer_free(tracer);
}

/* NOP; CALL: what the register holds was set before. */
Test(call_argument, near_the_call_does_not_take_its_start_for_the_function_s)
{
    const unsigned char code[] = {0x90, 0x90, 0xe8, 1, 0, 0, 0};
    struct call_tracer *tracer = call_tracer_new();
    cr_assert_eq(call_argument_amd64_near(tracer, code, 7, 7, 1, 7, ENTRY, 0).kind,
                 CALL_VALUE_UNKNOWN);
    cr_assert_eq(call_argument_amd64_near(tracer, code, 7, 7, 0, 7, ENTRY, 0).kind,
                 CALL_VALUE_PARAMETER);
    call_tracer_free(tracer);
}

/* Any bytes end in an answer; cut ones and ones without a call in "unknown". */
Test(call_argument, survives_code_that_is_none)
{
    unsigned char code[64];
    for (unsigned seed = 0; seed < 20000; seed++) {
        uint32_t state = seed * 2654435761U + 1;
        for (size_t i = 0; i < sizeof(code); i++) {
            state = state * 1664525U + 1013904223U;
            code[i] = (unsigned char)(state >> 24);
        }
        (void)trace(code, sizeof(code) / 2, sizeof(code), seed % 9);
        struct call_tracer *tracer = call_tracer_new();
        (void)call_argument_amd64_near(tracer, code, sizeof(code) / 2, sizeof(code), seed % 32,
                                       sizeof(code) / 2 + seed % 33, ENTRY, seed % 9);
        (void)call_argument_arm64(tracer, code, sizeof(code) / 2, sizeof(code), ENTRY, seed % 9);
        call_tracer_free(tracer);
    }
    cr_assert_eq(trace_all(code, 0, 0).kind, CALL_VALUE_UNKNOWN);
    cr_assert_eq(trace(code, 65, 64, 0).kind, CALL_VALUE_UNKNOWN);
}

/* ADRP 1, R0; ADD $0x20, R0; BL */
Test(call_argument, on_arm64_is_the_sum_of_page_and_offset)
{
    const unsigned char code[] = {0, 0, 0, 0xb0, 0, 0x80, 0, 0x91, 1, 0, 0, 0x94};
    struct call_tracer *tracer = call_tracer_new();
    const struct call_value value =
        call_argument_arm64(tracer, code, sizeof(code), sizeof(code), ENTRY, 0);
    cr_assert_eq(value.kind, CALL_VALUE_ADDRESS);
    cr_assert_eq(value.address, ENTRY + 0x1000 + 0x20);
    call_tracer_free(tracer);
}
