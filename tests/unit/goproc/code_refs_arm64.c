/* Which data the instructions of an arm64 function refer to.  Code at 0x10000, data from 0x20000.
 */
#include <criterion/criterion.h>

#include "core/goproc/code_refs.h"

enum { CODE_ADDRESS = 0x10000, DATA_ADDRESS = 0x20000, DATA_BYTES = 0x10000, TMP = 27 };

static uint32_t adrp(uint32_t reg, uint32_t pages)
{
    return UINT32_C(0x90000000) | (pages & 3) << 29 | (pages >> 2 & 0x7ffff) << 5 | reg;
}
static uint32_t add(uint32_t to, uint32_t base, uint32_t offset)
{
    return UINT32_C(0x91000000) | offset << 10 | base << 5 | to;
}
static uint32_t ldr64(uint32_t to, uint32_t base, uint32_t offset)
{
    return UINT32_C(0xf9400000) | (offset / 8) << 10 | base << 5 | to;
}
static uint32_t str32(uint32_t from, uint32_t base, uint32_t offset)
{
    return UINT32_C(0xb9000000) | (offset / 4) << 10 | base << 5 | from;
}
static uint32_t ldrb(uint32_t to, uint32_t base, uint32_t offset)
{
    return UINT32_C(0x39400000) | offset << 10 | base << 5 | to;
}
static uint32_t ldr128(uint32_t to, uint32_t base, uint32_t offset)
{
    return UINT32_C(0x3dc00000) | (offset / 16) << 10 | base << 5 | to;
}
static uint32_t mov(uint32_t to, uint32_t from)
{
    return UINT32_C(0xaa0003e0) | from << 16 | to;
}
static uint32_t ldp(uint32_t first, uint32_t second, uint32_t base)
{
    return UINT32_C(0xa9400000) | second << 10 | base << 5 | first;
}

static const uint32_t BL = 0x94000004, CBZ_R1 = 0xb4000041;
enum { PAGES_TO_DATA = 0x10 };

static struct code_refs collect(const uint32_t *code, size_t words)
{
    const struct code_range range = {DATA_ADDRESS, DATA_ADDRESS + DATA_BYTES};
    struct code_refs refs;
    struct error err = {0};
    cr_assert(code_refs_collect(CODE_ARCH_ARM64, (const unsigned char *)code, words * 4,
                                CODE_ADDRESS, &range, 1, &refs, &err),
              "%s", err.message);
    return refs;
}

#define COLLECT(...)                                                                               \
    collect((const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

Test(code_refs_arm64, joins_a_page_with_the_offset_of_a_load)
{
    struct code_refs refs = COLLECT(adrp(TMP, PAGES_TO_DATA), ldr64(0, TMP, 0x128));
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, 0x20128);
    cr_assert_eq(refs.refs[0].address_taken, 0);
}

Test(code_refs_arm64, scales_the_offset_by_the_size_of_the_access)
{
    struct code_refs refs =
        COLLECT(adrp(TMP, PAGES_TO_DATA), str32(0, TMP, 0x124), adrp(TMP, PAGES_TO_DATA),
                ldrb(0, TMP, 0x7), adrp(TMP, PAGES_TO_DATA), ldr128(0, TMP, 0x50));
    cr_assert_eq(refs.count, 3);
    cr_assert_eq(refs.refs[0].target, 0x20124);
    cr_assert_eq(refs.refs[1].target, 0x20007);
    cr_assert_eq(refs.refs[2].target, 0x20050);
}

Test(code_refs_arm64, knows_an_address_that_is_only_taken)
{
    struct code_refs refs = COLLECT(adrp(0, PAGES_TO_DATA), add(0, 0, 0x18));
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, 0x20018);
    cr_assert_eq(refs.refs[0].address_taken, 1);
}

Test(code_refs_arm64, counts_pages_from_the_page_of_the_instruction_and_backwards_too)
{
    uint32_t code[1026] = {0};
    const struct code_range range = {0xf000, 0x10000};
    struct code_refs refs;
    code[1024] = adrp(1, 0x1ffffe); /* at 0x11000, two pages back */
    code[1025] = ldr64(0, 1, 8);
    cr_assert(code_refs_collect(CODE_ARCH_ARM64, (const unsigned char *)code, sizeof(code),
                                CODE_ADDRESS, &range, 1, &refs, NULL));
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, 0xf008);
}

Test(code_refs_arm64, forgets_a_page_when_its_register_gets_another_value)
{
    cr_assert_eq(COLLECT(adrp(1, PAGES_TO_DATA), mov(1, 2), ldr64(0, 1, 8)).count, 0);
    cr_assert_eq(COLLECT(adrp(1, PAGES_TO_DATA), ldp(3, 1, 31), ldr64(0, 1, 8)).count, 0);
    cr_assert_eq(COLLECT(adrp(1, PAGES_TO_DATA), ldr64(1, 1, 8), ldr64(0, 1, 16)).count, 1);
    cr_assert_eq(COLLECT(adrp(1, PAGES_TO_DATA), BL, ldr64(0, 1, 8)).count, 0);
}

Test(code_refs_arm64, remembers_a_page_across_instructions_that_leave_its_register_alone)
{
    struct code_refs refs =
        COLLECT(adrp(1, PAGES_TO_DATA), mov(2, 3), str32(1, 4, 0), CBZ_R1, ldr64(0, 1, 8));
    cr_assert_eq(refs.count, 1);
    cr_assert_eq(refs.refs[0].target, 0x20008);
}

Test(code_refs_arm64, does_not_mistake_other_bases_for_the_page)
{
    cr_assert_eq(COLLECT(adrp(1, PAGES_TO_DATA), ldr64(0, 2, 8), add(3, 2, 8)).count, 0);
}

Test(code_refs_arm64, refuses_code_that_is_not_aligned)
{
    const uint32_t code[2] = {0, 0};
    struct code_refs refs;
    struct error err = {0};
    cr_assert_not(code_refs_collect(CODE_ARCH_ARM64, (const unsigned char *)code, 6, CODE_ADDRESS,
                                    NULL, 0, &refs, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not(code_refs_collect(CODE_ARCH_ARM64, (const unsigned char *)code, 8,
                                    CODE_ADDRESS + 2, NULL, 0, &refs, &err));
}
