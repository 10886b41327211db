/* stack_walk.c - unwinding of good stacks, cut ones, and such as no program has. */
#include "core/goproc/stack_walk.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/pclntab.h"
#include "tests/unit/goproc/pclntab_image.h"

enum { WORDS = 64, PCS = 32 };
#define STACK UINT64_C(0xc000010000)

static struct pclntab_image image;
static struct elf_file *elf;
static struct pclntab *functions;
static uint64_t words[WORDS];
static uint64_t pcs[PCS];
static size_t count;

static void open_functions(void)
{
    struct error err = {0};
    const struct go_layout *layout = go_layout_find("go1.26.8", &err);
    pclntab_image_make(&image, layout);
    elf = pclntab_image_file(&image);
    functions = pclntab_load(elf, 0, &image.module, layout, &err);
    cr_assert_not_null(functions, "%s", err.message);
    memset(words, 0, sizeof(words));
}

static void close_functions(void)
{
    pclntab_free(functions);
    elf_file_close(elf);
}

TestSuite(stack_walk, .init = open_functions, .fini = close_functions);

static enum stack_walk_end walk(uint64_t pc, size_t word_count, size_t capacity)
{
    const struct stack_copy stack = {
        .sp = STACK, .pc = pc, .bytes = (const unsigned char *)words, .length = word_count * 8};
    return stack_walk(functions, &stack, pcs, capacity, &count);
}

/* mallocgc called by what is inlined into leak, called by goexit. */
static void make_stack(void)
{
    words[PCSP_MALLOCGC / 8] = PC_LEAK + 0x4a;
    words[PCSP_MALLOCGC / 8 + 1 + PCSP_LEAK / 8] = PC_GOEXIT + 1;
}

Test(stack_walk, gives_one_pc_for_each_logical_frame)
{
    make_stack();
    cr_assert_eq(walk(PC_MALLOCGC + 0x20, WORDS, PCS), STACK_WALK_COMPLETE);
    const uint64_t expected[] = {PC_MALLOCGC + 0x20, PC_LEAK + 0x4a, PC_LEAK + 0x45, PC_LEAK + 0x11,
                                 PC_GOEXIT + 1};
    cr_assert_eq(count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < count; i++)
        cr_expect_eq(pcs[i], expected[i], "%zu: 0x%llx", i, (unsigned long long)pcs[i]);
}

Test(stack_walk, of_a_function_not_begun_looks_up_its_entry)
{
    words[0] = 0; /* not used: at the entry the frame is as large as everywhere in this image */
    words[PCSP_LEAK / 8] = PC_GOEXIT + 1;
    cr_assert_eq(walk(PC_LEAK, WORDS, PCS), STACK_WALK_COMPLETE);
    cr_assert_eq(count, 2);
    cr_expect_eq(pcs[0], PC_LEAK + 1);
}

Test(stack_walk, begins_in_the_caller_of_a_nil_function)
{
    words[0] = PC_LEAK + 0x70;
    words[1 + PCSP_LEAK / 8] = PC_GOEXIT + 1;
    cr_assert_eq(walk(0, WORDS, PCS), STACK_WALK_COMPLETE);
    cr_expect_eq(pcs[0], PC_LEAK + 0x70);
}

Test(stack_walk, says_when_there_were_more_frames_than_fit)
{
    make_stack();
    cr_assert_eq(walk(PC_MALLOCGC + 0x20, WORDS, 3), STACK_WALK_FULL);
    cr_expect_eq(count, 3);
    /* Just as many as there are. */
    cr_expect_eq(walk(PC_MALLOCGC + 0x20, WORDS, 5), STACK_WALK_COMPLETE);
}

Test(stack_walk, says_when_the_copy_is_too_short)
{
    make_stack();
    cr_expect_eq(walk(PC_MALLOCGC + 0x20, PCSP_MALLOCGC / 8, PCS), STACK_WALK_SHORT);
    cr_expect_eq(count, 1);
    cr_expect_eq(walk(PC_MALLOCGC + 0x20, 0, PCS), STACK_WALK_SHORT);
}

Test(stack_walk, ends_at_a_return_address_that_is_none)
{
    words[PCSP_MALLOCGC / 8] = 0x1234;
    cr_expect_eq(walk(PC_MALLOCGC + 0x20, WORDS, PCS), STACK_WALK_BROKEN);
    cr_expect_eq(count, 1);
    cr_expect_eq(walk(0x1234, WORDS, PCS), STACK_WALK_BROKEN);
    cr_expect_eq(count, 0);
}

Test(stack_walk, ends_in_a_stack_that_calls_itself_without_end)
{
    enum { MANY = 1 << 18 };
    uint64_t *many = malloc(MANY * sizeof(*many));
    uint64_t *all = malloc(MANY * sizeof(*all));
    cr_assert(many != NULL && all != NULL);
    for (size_t i = 0; i < MANY; i++)
        many[i] = PC_LEAK + 0x70;
    const struct stack_copy stack = {.sp = STACK,
                                     .pc = PC_LEAK + 0x70,
                                     .bytes = (const unsigned char *)many,
                                     .length = MANY * sizeof(*many)};
    cr_expect_eq(stack_walk(functions, &stack, all, MANY, &count), STACK_WALK_FULL);
    cr_expect_leq(count, STACK_WALK_PHYSICAL_MAX * 4);
    free(all);
    free(many);
}

Test(stack_walk, of_rubbish_stays_within_the_copy)
{
    uint64_t seed = 88172645463325252u;
    for (int round = 0; round < 20000; round++) {
        for (size_t i = 0; i < WORDS; i++) {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            words[i] = seed % 3 == 0 ? seed : PC_MALLOCGC + seed % (PC_END + 16 - PC_MALLOCGC);
        }
        (void)walk(words[0], seed % WORDS, PCS);
        cr_assert_leq(count, PCS);
        (void)stack_walk_expand(functions, words, WORDS, pcs, PCS);
    }
}

Test(stack_walk, expands_a_plain_return_address_but_not_what_was_expanded_before)
{
    const uint64_t plain[] = {PC_LEAK + 0x4a, PC_GOEXIT + 1};
    const uint64_t logical[] = {PC_LEAK + 0x4a, PC_LEAK + 0x45, PC_LEAK + 0x11, PC_GOEXIT + 1};

    cr_assert_eq(stack_walk_expand(functions, plain, 2, pcs, PCS), 4);
    cr_expect_arr_eq(pcs, logical, sizeof(logical));
    cr_assert_eq(stack_walk_expand(functions, logical, 4, pcs, PCS), 4);
    cr_expect_arr_eq(pcs, logical, sizeof(logical));
    /* The last one is left to pprof. */
    cr_expect_eq(stack_walk_expand(functions, plain, 1, pcs, PCS), 1);
    const uint64_t marked[] = {UINT64_MAX, PC_LEAK + 0x70, 0x1234};
    cr_assert_eq(stack_walk_expand(functions, marked, 3, pcs, PCS), 1);
    cr_expect_eq(pcs[0], PC_LEAK + 0x70);
    cr_expect_eq(stack_walk_expand(functions, plain, 2, pcs, 3), 3);
}
