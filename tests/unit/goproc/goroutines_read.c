/* goroutines_read.c - goroutines of a made-up process: still ones, moving ones, and hostile lists.
 */
#include "core/goproc/goroutines.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/call_stacks.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/profile_depth.h"
#include "core/goproc/symbols.h"
#include "core/goproc/tick_clock.h"
#include "core/store/stack_profile.h"
#include "tests/unit/goproc/pclntab_image.h"

enum {
    GS_MAX = 300,
    G_BYTES = 512,
    STACK_BYTES = 256,
    HEAP_BYTES = 4096,
    WAITING = 4,
    RUNNING = 2
};
#define VARIABLES UINT64_C(0x700000)
#define TABLE UINT64_C(0x710000)
#define GS UINT64_C(0x800000)
#define STACKS UINT64_C(0x900000)
#define HEAP UINT64_C(0xa00000)

static struct {
    uint64_t variables[4]; /* allglen, allgptr */
    uint64_t reasons[4];   /* waitReasonStrings: "", "chan receive" */
    uint64_t table[GS_MAX];
    unsigned char gs[GS_MAX * G_BYTES];
    unsigned char stacks[GS_MAX * STACK_BYTES];
    unsigned char heap[HEAP_BYTES];
    size_t moving; /* this goroutine is elsewhere at each look */
    uint64_t looks;
} target;

static struct pclntab_image image;
static const struct go_layout *layout;
static struct elf_file *elf;
static struct pclntab *functions;
static struct memory memory;
static struct symbols symbols;
static struct site_table *sites;
static struct call_stacks *stacks;
static struct tick_clock ticks;

static void put(unsigned char *bytes, uint32_t offset, uint64_t value)
{
    memcpy(bytes + offset, &value, sizeof(value));
}

static size_t target_read(void *context, const struct memory_part *parts, size_t count,
                          struct error *err)
{
    (void)context;
    const struct memory_segment segments[] = {
        {VARIABLES, target.variables, sizeof(target.variables)},
        {VARIABLES + 64, target.reasons, sizeof(target.reasons)},
        {TABLE, target.table, sizeof(target.table)},
        {GS, target.gs, sizeof(target.gs)},
        {STACKS, target.stacks, sizeof(target.stacks)},
        {HEAP, target.heap, sizeof(target.heap)},
    };
    const struct memory_image all = {segments, sizeof(segments) / sizeof(segments[0])};
    struct memory inner;
    size_t done = 0;
    for (size_t i = 0; i < count; i++) {
        if (target.moving < GS_MAX)
            put(target.gs + target.moving * G_BYTES, GO_G_SCHED_PC,
                PC_LEAK + target.looks++ % 0x40);
        memory_open_image(&inner, &all);
        const size_t got =
            memory_read_some(&inner, parts[i].address, parts[i].into, parts[i].length, err);
        done += got;
        if (got < parts[i].length)
            break;
    }
    return done;
}

static void open_target(void)
{
    struct error err = {0};
    layout = go_layout_find("go1.26.8", &err);
    pclntab_image_make(&image, layout);
    elf = pclntab_image_file(&image);
    functions = pclntab_load(elf, 0, &image.module, layout, &err);
    sites = site_table_new();
    stacks = call_stacks_new(functions, sites, layout);
    memset(&target, 0, sizeof(target));
    target.moving = GS_MAX;
    target.variables[1] = TABLE;
    target.reasons[2] = HEAP;
    target.reasons[3] = strlen("chan receive");
    memcpy(target.heap, "chan receive", strlen("chan receive"));
    memory_open_source(&memory, target_read, NULL, NULL);
    symbols = (struct symbols){0};
    symbols.address[SYMBOL_ALLGLEN] = VARIABLES;
    symbols.address[SYMBOL_ALLGPTR] = VARIABLES + 8;
    symbols.address[SYMBOL_WAIT_REASON_STRINGS] = VARIABLES + 64;
}

static void close_target(void)
{
    call_stacks_free(stacks);
    site_table_unref(sites);
    pclntab_free(functions);
    elf_file_close(elf);
    memory_close(&memory);
}

TestSuite(goroutines, .init = open_target, .fini = close_target);

/* One more, in main.leak called by goexit. */
static unsigned char *add_goroutine(uint32_t status)
{
    const size_t i = target.variables[0]++;
    unsigned char *g = target.gs + i * G_BYTES;
    const uint64_t stack = STACKS + i * STACK_BYTES;
    target.table[i] = GS + i * G_BYTES;
    put(g, GO_G_STACK_LO, stack);
    put(g, GO_G_STACK_HI, stack + STACK_BYTES);
    put(g, GO_G_SCHED_SP, stack + 64);
    put(g, GO_G_SCHED_PC, PC_LEAK + 0x70);
    put(target.stacks + i * STACK_BYTES, 64 + PCSP_LEAK, PC_GOEXIT + 1);
    put(g, layout->g_status, status);
    put(g, layout->g_id, i + 1);
    put(g, layout->g_waitreason, 1);
    put(g, layout->g_startpc, PC_LEAK);
    put(g, layout->g_gopc, PC_MAP + 4);
    return g;
}

static const struct stack_profile *read_with(const struct goroutines_limits *limits,
                                             struct error *err)
{
    const struct stack_source source = {.memory = &memory,
                                        .layout = layout,
                                        .symbols = &symbols,
                                        .functions = functions,
                                        .stacks = stacks,
                                        .sites = sites,
                                        .clock = &ticks,
                                        .profile_depth = profile_depth_default(layout)};
    const struct stack_profile *profile = NULL;
    struct goroutines *goroutines = goroutines_begin(&source, limits, 1, err);
    if (goroutines == NULL)
        return NULL;
    enum reading_step step = goroutines_step(goroutines, UINT64_MAX, &profile, err);
    cr_assert_neq(step, READING_MORE);
    goroutines_free(goroutines);
    return profile;
}

static const struct stack_profile *read_all(void)
{
    struct error err = {0};
    const struct stack_profile *profile = read_with(&GOROUTINES_LIMITS_DEFAULT, &err);
    cr_assert_not_null(profile, "%s", err.message);
    return profile;
}

Test(goroutines, with_the_same_stack_are_counted_together)
{
    for (int i = 0; i < GS_MAX; i++)
        add_goroutine(WAITING);
    const struct stack_profile *profile = read_all();
    cr_assert_eq(profile->entry_count, 1);
    cr_expect_eq(profile->entries[0].values[0], GS_MAX);
    cr_expect_str_eq(profile->entries[0].stack->frames[0].function, "main.leak");
    cr_expect_eq(profile->entries[0].stack->frame_count, 1);
    cr_assert_eq(profile->goroutine_count, GS_MAX);
    cr_expect_str_eq(profile->goroutines[7].state, "chan receive");
    cr_expect_str_eq(profile->goroutines[7].creator.function, "main.Map[go.shape.int]");
    cr_expect_not(profile->partial);
    stack_profile_unref(profile);
}

Test(goroutines, that_are_dead_or_the_runtimes_own_are_left_out)
{
    add_goroutine(WAITING);
    add_goroutine(6);
    add_goroutine(0);
    put(add_goroutine(WAITING), layout->g_startpc, PC_MALLOCGC); /* runtime.mallocgc */
    const struct stack_profile *profile = read_all();
    cr_expect_eq(profile->totals[0], 1);
    stack_profile_unref(profile);
}

Test(goroutines, that_run_are_counted_without_a_stack)
{
    add_goroutine(WAITING);
    add_goroutine(RUNNING);
    add_goroutine(8); /* its stack is being copied */
    const struct stack_profile *profile = read_all();
    cr_expect_eq(profile->totals[0], 3);
    cr_expect_eq(profile->without_stack, 2);
    cr_assert_eq(profile->entry_count, 2);
    cr_expect_eq(profile->entries[0].stack->frame_count, 0);
    cr_expect_str_eq(profile->entries[0].labels->list[0].value, "running");
    cr_expect_str_eq(profile->goroutines[1].state, "running");
    stack_profile_unref(profile);
}

Test(goroutines, that_move_at_each_look_are_never_shown_with_a_stack)
{
    add_goroutine(WAITING);
    add_goroutine(WAITING);
    target.moving = 1;
    const struct stack_profile *profile = read_all();
    cr_expect_eq(profile->totals[0], 2);
    cr_expect_eq(profile->without_stack, 1);
    stack_profile_unref(profile);
}

Test(goroutines, keep_their_labels)
{
    unsigned char *g = add_goroutine(WAITING);
    add_goroutine(WAITING);
    put(g, layout->g_labels, HEAP + 64);
    put(target.heap, 64, HEAP + 128); /* slice: pointer, length, capacity */
    put(target.heap, 72, 1);
    put(target.heap, 80, 1);
    put(target.heap, 128, HEAP + 256); /* key and value */
    put(target.heap, 136, 3);
    put(target.heap, 144, HEAP + 259);
    put(target.heap, 152, 5);
    memcpy(target.heap + 256, "keyvalue", 8);
    const struct stack_profile *profile = read_all();
    cr_assert_eq(profile->entry_count, 2);
    const struct stack_entry *labelled =
        &profile->entries[profile->entries[0].labels != NULL ? 0 : 1];
    cr_assert_eq(labelled->labels->count, 1);
    cr_expect_str_eq(labelled->labels->list[0].key, "key");
    cr_expect_str_eq(labelled->labels->list[0].value, "value");
    stack_profile_unref(profile);
}

Test(goroutines, with_absurd_labels_are_there_without_them_and_it_is_said)
{
    unsigned char *g = add_goroutine(WAITING);
    put(g, layout->g_labels, HEAP + 64);
    put(target.heap, 64, HEAP);
    put(target.heap, 72, UINT64_MAX);
    put(target.heap, 80, UINT64_MAX);
    const struct stack_profile *profile = read_all();
    cr_expect_eq(profile->totals[0], 1);
    cr_expect_null(profile->entries[0].labels);
    cr_expect(profile->partial);
    stack_profile_unref(profile);
}

Test(goroutines, with_absurd_stacks_do_no_harm)
{
    put(add_goroutine(WAITING), GO_G_SCHED_SP, 1);              /* no address of a word */
    put(add_goroutine(WAITING), GO_G_SCHED_SP, UINT64_MAX - 7); /* above its stack */
    put(add_goroutine(WAITING), GO_G_STACK_HI, UINT64_MAX);     /* without end */
    put(add_goroutine(WAITING), GO_G_STACK_HI, STACKS << 4);    /* beyond what is mapped */
    put(add_goroutine(WAITING), GO_G_SCHED_PC, 0x1234);         /* in no function */
    put(add_goroutine(WAITING), layout->g_waitreason, 0xff);
    put(add_goroutine(WAITING), layout->g_startpc, 0);
    put(add_goroutine(WAITING), layout->g_gopc, UINT64_MAX);
    const struct stack_profile *profile = read_all();
    cr_expect_eq(profile->totals[0], 8);
    stack_profile_unref(profile);
}

Test(goroutines, in_a_list_that_holds_rubbish_are_read_all_the_same)
{
    add_goroutine(WAITING);
    add_goroutine(WAITING);
    add_goroutine(WAITING);
    target.table[1] = 0x1235;            /* no address of a g */
    target.table[2] = UINT64_C(1) << 60; /* nothing there */
    const struct stack_profile *profile = read_all();
    cr_expect_eq(profile->totals[0], 1);
    cr_expect(profile->partial);
    stack_profile_unref(profile);
}

Test(goroutines, without_end_are_an_error_or_a_part)
{
    struct error err = {0};
    add_goroutine(WAITING);
    target.variables[0] = UINT64_MAX;
    cr_expect_null(read_with(&GOROUTINES_LIMITS_DEFAULT, &err));
    cr_expect_eq(err.code, ERROR_CORRUPT, "%s", err.message);
    target.variables[1] = UINT64_MAX - 64; /* and a table at the end of all addresses */
    cr_expect_null(read_with(&GOROUTINES_LIMITS_DEFAULT, &err));
    symbols.address[SYMBOL_ALLGPTR] = 0;
    cr_expect_null(read_with(&GOROUTINES_LIMITS_DEFAULT, &err));
    cr_expect_eq(err.code, ERROR_UNSUPPORTED, "%s", err.message);
}

Test(goroutines, beyond_the_cap_are_left_out_and_it_is_said)
{
    struct error err = {0};
    const struct goroutines_limits limits = {
        .goroutines = 128, .read_bytes = UINT64_MAX, .busy_ns = UINT64_MAX};
    for (int i = 0; i < GS_MAX; i++)
        add_goroutine(WAITING);
    const struct stack_profile *profile = read_with(&limits, &err);
    cr_assert_not_null(profile, "%s", err.message);
    cr_expect_eq(profile->totals[0], 128);
    cr_expect(profile->partial);
    stack_profile_unref(profile);
}

Test(goroutines, are_read_in_slices_of_time)
{
    struct error err = {0};
    const struct stack_profile *profile = NULL;
    const struct stack_source source = {.memory = &memory,
                                        .layout = layout,
                                        .symbols = &symbols,
                                        .functions = functions,
                                        .stacks = stacks,
                                        .sites = sites,
                                        .profile_depth = profile_depth_default(layout)};
    add_goroutine(WAITING);
    struct goroutines *goroutines = goroutines_begin(&source, &GOROUTINES_LIMITS_DEFAULT, 1, &err);
    cr_assert_eq(goroutines_step(goroutines, 0, &profile, &err), READING_MORE);
    cr_expect_null(profile);
    cr_assert_eq(goroutines_step(goroutines, UINT64_MAX, &profile, &err), READING_DONE);
    stack_profile_unref(profile);
    goroutines_free(goroutines);
    /* One that nobody finishes. */
    goroutines_free(goroutines_begin(&source, &GOROUTINES_LIMITS_DEFAULT, 1, &err));
}
