/* contention_read.c - block and mutex records of a made-up process: values, and hostile lists. */
#include "core/goproc/contention.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "core/goproc/call_stacks.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/profile_depth.h"
#include "core/goproc/symbols.h"
#include "core/goproc/tick_clock.h"
#include "tests/unit/goproc/pclntab_image.h"

enum { BUCKET_WORDS = 16, BUCKETS_MAX = 1000, TICKS_PER_SECOND = 2000000000, BLOCK = 2, MUTEX = 3 };
#define VARIABLES UINT64_C(0x700000)
#define BUCKETS UINT64_C(0x800000)

/* runtime variables, 8 bytes apart */
enum { VARIABLE_BLOCK, VARIABLE_MUTEX, VARIABLE_RATE, VARIABLE_TICKS, VARIABLE_COUNT = 8 };

static struct {
    uint64_t variables[VARIABLE_COUNT];
    uint64_t words[BUCKETS_MAX * BUCKET_WORDS];
    size_t buckets;
} target;

static struct memory_segment segments[2];
static const struct memory_image target_image = {segments, 2};
static struct pclntab_image image;
static const struct go_layout *layout;
static struct elf_file *elf;
static struct pclntab *functions;
static struct memory memory;
static struct symbols symbols;
static struct site_table *sites;
static struct call_stacks *stacks;
static struct tick_clock ticks;

static void open_target(const char *version)
{
    struct error err = {0};
    layout = go_layout_find(version, &err);
    pclntab_image_make(&image, layout);
    elf = pclntab_image_file(&image);
    functions = pclntab_load(elf, 0, &image.module, layout, &err);
    sites = site_table_new();
    stacks = call_stacks_new(functions, sites, layout);
    memset(&target, 0, sizeof(target));
    target.variables[VARIABLE_TICKS] = TICKS_PER_SECOND;
    segments[0] = (struct memory_segment){VARIABLES, target.variables, sizeof(target.variables)};
    segments[1] = (struct memory_segment){BUCKETS, target.words, sizeof(target.words)};
    memory_open_image(&memory, &target_image);
    symbols = (struct symbols){0};
    symbols.address[SYMBOL_BBUCKETS] = VARIABLES + 8 * VARIABLE_BLOCK;
    symbols.address[SYMBOL_XBUCKETS] = VARIABLES + 8 * VARIABLE_MUTEX;
    symbols.address[SYMBOL_MUTEX_PROFILE_RATE] = VARIABLES + 8 * VARIABLE_RATE;
    symbols.address[SYMBOL_TICKS] = VARIABLES + 8 * VARIABLE_TICKS - layout->ticks_val;
    ticks = (struct tick_clock){0};
}

static void close_target(void)
{
    call_stacks_free(stacks);
    site_table_unref(sites);
    pclntab_free(functions);
    elf_file_close(elf);
    memory_close(&memory);
}

/* Puts a bucket in front of the list of [type]: main.leak called by goexit. */
static uint64_t *add_bucket(uint64_t type, double count, int64_t cycles)
{
    uint64_t *head = &target.variables[type == BLOCK ? VARIABLE_BLOCK : VARIABLE_MUTEX];
    uint64_t *bucket = target.words + target.buckets * BUCKET_WORDS;
    bucket[1] = *head; /* allnext */
    bucket[2] = type;
    bucket[5] = 2; /* nstk */
    bucket[6] = PC_LEAK + 0x70;
    bucket[7] = PC_GOEXIT + 1;
    memcpy(&bucket[8], &count, 8);
    memcpy(&bucket[9], &cycles, 8);
    *head = BUCKETS + target.buckets++ * BUCKET_WORDS * 8;
    return bucket;
}

static const struct stack_profile *read_kind(enum stack_kind kind, size_t max, struct error *err)
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
    *err = (struct error){0};
    struct contention *contention = contention_begin(&source, kind, max, 1, err);
    if (contention == NULL)
        return NULL;
    const enum reading_step step = contention_step(contention, UINT64_MAX, &profile, err);
    cr_assert_neq(step, READING_MORE);
    cr_assert_eq(step == READING_DONE, profile != NULL);
    contention_free(contention);
    return profile;
}

Test(contention, counts_and_delays_are_as_pprof_has_them)
{
    struct error err;
    open_target("go1.26.8");
    add_bucket(BLOCK, 2.75, 3000);
    add_bucket(BLOCK, 0.5, 1); /* pprof says one at least */
    const struct stack_profile *profile = read_kind(STACK_BLOCK, 100, &err);
    cr_assert_not_null(profile, "%s", err.message);
    cr_assert_eq(profile->entry_count, 2);
    cr_expect(profile->has_delay);
    cr_expect_eq(profile->entries[0].values[0], 2);
    cr_expect_eq(profile->entries[0].values[1], 1500);
    cr_expect_eq(profile->entries[1].values[0], 1);
    cr_expect_str_eq(profile->entries[0].stack->frames[0].function, "main.leak");
    stack_profile_unref(profile);
    close_target();
}

Test(contention, of_mutexes_up_to_1_19_is_scaled_by_the_rate_of_now)
{
    struct error err;
    open_target("go1.19.8");
    target.variables[VARIABLE_RATE] = 5;
    add_bucket(MUTEX, 3, 2000);
    const struct stack_profile *profile = read_kind(STACK_MUTEX, 100, &err);
    cr_assert_not_null(profile, "%s", err.message);
    cr_expect_eq(profile->entries[0].values[0], 15);
    cr_expect_eq(profile->entries[0].values[1], 5000);
    stack_profile_unref(profile);
    symbols.address[SYMBOL_MUTEX_PROFILE_RATE] = 0;
    cr_expect_null(read_kind(STACK_MUTEX, 100, &err));
    cr_expect_eq(err.code, ERROR_UNSUPPORTED, "%s", err.message);
    close_target();
}

Test(contention, has_no_delays_where_the_rate_of_the_clock_is_not_known)
{
    struct error err;
    open_target("go1.21.13");
    target.variables[VARIABLE_TICKS] = 0;
    add_bucket(BLOCK, 1, 3000);
    const struct stack_profile *profile = read_kind(STACK_BLOCK, 100, &err);
    cr_assert_not_null(profile, "%s", err.message);
    cr_expect_not(profile->has_delay);
    cr_expect_eq(profile->totals[1], 0);
    stack_profile_unref(profile);
    close_target();
}

Test(contention, in_a_circular_list_ends_at_the_cap_and_says_so)
{
    struct error err;
    open_target("go1.26.8");
    uint64_t *first = add_bucket(BLOCK, 1, 1);
    add_bucket(BLOCK, 1, 1);
    first[1] = target.variables[VARIABLE_BLOCK];
    const struct stack_profile *profile = read_kind(STACK_BLOCK, 500, &err);
    cr_assert_not_null(profile, "%s", err.message);
    cr_expect_eq(profile->entry_count, 500);
    cr_expect(profile->partial);
    stack_profile_unref(profile);
    close_target();
}

static void expect_corrupt(size_t word, uint64_t value)
{
    struct error err;
    open_target("go1.26.8");
    add_bucket(BLOCK, 1, 1)[word] = value;
    cr_expect_null(read_kind(STACK_BLOCK, 100, &err), "word %zu", word);
    cr_expect_eq(err.code, ERROR_CORRUPT, "word %zu: %s", word, err.message);
    close_target();
}

Test(contention, of_records_that_cannot_be_is_an_error)
{
    uint64_t not_a_number, too_many;
    memcpy(&not_a_number, &(double){NAN}, 8);
    memcpy(&too_many, &(double){1e30}, 8);
    expect_corrupt(1, 0x1235); /* next: no address of a bucket */
    expect_corrupt(1, UINT64_MAX - 7);
    expect_corrupt(1, 0x10000); /* nothing there */
    expect_corrupt(2, MUTEX);   /* type */
    expect_corrupt(5, 1027);    /* pcs */
    expect_corrupt(5, UINT64_MAX);
    expect_corrupt(8, not_a_number);
    expect_corrupt(8, too_many);
    expect_corrupt(9, UINT64_C(1) << 63); /* a negative delay */
}

Test(contention, goes_on_where_its_time_ran_out)
{
    struct error err = {0};
    const struct stack_profile *profile = NULL;
    size_t slices = 0;
    open_target("go1.26.8");
    for (int i = 0; i < BUCKETS_MAX; i++)
        add_bucket(BLOCK, 1, 1);
    const struct stack_source source = {.memory = &memory,
                                        .layout = layout,
                                        .symbols = &symbols,
                                        .functions = functions,
                                        .stacks = stacks,
                                        .sites = sites,
                                        .clock = &ticks,
                                        .profile_depth = profile_depth_default(layout)};
    struct contention *contention = contention_begin(&source, STACK_BLOCK, 5000, 1, &err);
    while (contention_step(contention, 0, &profile, &err) == READING_MORE)
        slices++;
    cr_expect_geq(slices, 2);
    cr_assert_not_null(profile, "%s", err.message);
    cr_expect_eq(profile->totals[0], BUCKETS_MAX);
    stack_profile_unref(profile);
    contention_free(contention);
    close_target();
}
