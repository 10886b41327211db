/* buckets_read.c - heap profile records: values, the protocol against GCs, and hostile lists.
 *
 * The target is an image in our memory that may change between two reads of it. */
#include "core/goproc/buckets.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/bucket_list.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/symbols.h"
#include "core/store/profile.h"
#include "tests/unit/goproc/pclntab_image.h"

enum { TARGET_WORDS = 1 << 19, STACK_PCS = 2 };
#define VARIABLES UINT64_C(0x700000)
#define BUCKETS UINT64_C(0x800000)

/* runtime variables, 8 bytes apart */
enum { VARIABLE_HEAD, VARIABLE_CYCLE, VARIABLE_LOCK, VARIABLE_RATE, VARIABLE_FORCED, VARIABLE_SWEEP,
       VARIABLE_COUNT };
enum { ACTIVE, FUTURE_0, FUTURE_1, FUTURE_2 };

struct target {
    uint64_t variables[VARIABLE_COUNT];
    uint64_t words[TARGET_WORDS];
    size_t used;
    size_t cycle_words;
    uint64_t reads;
    void (*before_read)(struct target *target, const struct memory_part *parts, size_t count);
    /* what a test counts with */
    uint64_t steps;
};

static struct target target;
static struct pclntab_image image;
static const struct go_layout *layout;
static struct elf_file *elf;
static struct pclntab *functions;
static struct memory memory;
static struct symbols symbols;
static struct site_table *sites;
static struct call_stacks *stacks;
static struct buckets *buckets;

static size_t target_read(void *context, const struct memory_part *parts, size_t count,
                          struct error *err)
{
    const struct target *from = context;
    const struct memory_segment segments[] = {
        {VARIABLES, from->variables, sizeof(from->variables)},
        {BUCKETS, from->words, from->used * 8},
    };
    const struct memory_image all = {segments, 2};
    struct memory inner;
    size_t done = 0;

    target.reads++;
    /* Part by part, so that the target can change between two of them. */
    for (size_t i = 0; i < count; i++) {
        if (target.before_read != NULL)
            target.before_read(&target, parts + i, 1);
        memory_open_image(&inner, &all);
        size_t got = memory_read_some(&inner, parts[i].address, parts[i].into, parts[i].length, err);
        done += got;
        if (got < parts[i].length)
            break;
    }
    return done;
}

static void open_target(const char *version, const struct buckets_limits *limits)
{
    struct error err = {0};

    layout = go_layout_find(version, &err);
    pclntab_image_make(&image, layout);
    elf = pclntab_image_file(&image);
    functions = pclntab_load(elf, 0, &image.module, layout, &err);
    sites = site_table_new();
    stacks = call_stacks_new(functions, sites, layout);
    memset(&target, 0, sizeof(target));
    target.cycle_words = layout->record_cycle_bytes / 8;
    target.variables[VARIABLE_RATE] = 524288;
    memory_open_source(&memory, target_read, &target, NULL);
    symbols.address[SYMBOL_MBUCKETS] = VARIABLES;
    symbols.address[SYMBOL_MPROF_CYCLE] = VARIABLES + 8;
    symbols.address[SYMBOL_MPROF_ACTIVE_LOCK] = VARIABLES + 16;
    symbols.address[SYMBOL_MEM_PROFILE_RATE] = VARIABLES + 24;
    symbols.address[SYMBOL_MEMSTATS] = VARIABLES + 32 - layout->stats_numforcedgc;
    symbols.address[SYMBOL_SWEEP] = VARIABLES + 40 - layout->sweep_state;
    const struct buckets_source source = {.memory = &memory,
                                          .layout = layout,
                                          .symbols = &symbols,
                                          .stacks = stacks,
                                          .sites = sites};
    buckets = buckets_new(&source, limits);
    cr_assert_not_null(buckets);
}

static void close_target(void)
{
    buckets_free(buckets);
    call_stacks_free(stacks);
    site_table_unref(sites);
    pclntab_free(functions);
    elf_file_close(elf);
    memory_close(&memory);
}

static void set_cycle(uint32_t cycle, bool flushed)
{
    target.variables[VARIABLE_CYCLE] = layout->mprof_flushed == GO_LAYOUT_ABSENT
                                           ? (uint64_t)cycle << 1 | (flushed ? 1 : 0)
                                           : cycle | (uint64_t)flushed << (8 * layout->mprof_flushed);
}

/* Puts a bucket in front of the list; returns its first word. */
static size_t add_bucket(uint64_t object_bytes)
{
    size_t at = target.used;
    size_t words = 6 + STACK_PCS + 4 * target.cycle_words;
    cr_assert_lt(at + words, TARGET_WORDS);
    target.words[at + 1] = target.variables[VARIABLE_HEAD];
    target.words[at + 2] = 1;
    target.words[at + 3] = 0x1234;
    target.words[at + 4] = object_bytes;
    target.words[at + 5] = STACK_PCS;
    target.words[at + 6] = PC_MALLOCGC + 0x20;
    target.words[at + 7] = PC_LEAK + 0x10;
    target.variables[VARIABLE_HEAD] = BUCKETS + at * 8;
    target.used += words;
    return at;
}

static void set_counts(size_t bucket, size_t which, uint64_t allocs, uint64_t frees)
{
    uint64_t *cycle = &target.words[bucket + 6 + STACK_PCS + which * target.cycle_words];
    cycle[0] = allocs;
    cycle[1] = frees;
    if (target.cycle_words == 4) {
        cycle[2] = allocs * target.words[bucket + 4];
        cycle[3] = frees * target.words[bucket + 4];
    }
}

/* Adds future[which] to active and empties it, as mProf_FlushLocked does. */
static void flush_one(struct target *changing, size_t bucket, size_t which)
{
    uint64_t *record = &changing->words[bucket + 6 + STACK_PCS];
    for (size_t i = 0; i < changing->cycle_words; i++) {
        record[i] += record[(1 + which) * changing->cycle_words + i];
        record[(1 + which) * changing->cycle_words + i] = 0;
    }
}

static const struct profile *read_profile(uint64_t forced_gcs)
{
    const struct profile *profile = NULL;
    struct error err = {0};
    int64_t rate;
    uint64_t retries = 0;
    target.variables[VARIABLE_FORCED] = forced_gcs;
    cr_assert(buckets_read(buckets, 1, &profile, &rate, &retries, &err), "%s",
              err.message);
    return profile;
}

static void check_entry(const struct profile *profile, size_t index, uint64_t allocs, uint64_t frees)
{
    cr_assert_lt(index, profile->entry_count);
    cr_assert_eq(profile->entries[index].allocs, allocs, "entry %zu: %llu allocs", index,
                 (unsigned long long)profile->entries[index].allocs);
    cr_assert_eq(profile->entries[index].frees, frees);
}

static bool read_fails(enum error_code code, const char *says)
{
    const struct profile *profile = NULL;
    struct error err = {0};
    int64_t rate;
    uint64_t retries = 0;
    if (buckets_read(buckets, 1, &profile, &rate, &retries, &err))
        return false;
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, says), "%s", err.message);
    return true;
}

/* Values. */

static void check_published(const char *version)
{
    open_target(version, &BUCKETS_LIMITS_DEFAULT);
    size_t old = add_bucket(64), young = add_bucket(4096);
    set_cycle(7, true); /* 7 % 3 == 1 */
    set_counts(old, ACTIVE, 10, 4);
    set_counts(old, FUTURE_0, 1000, 0); /* C+2: still being counted */
    set_counts(old, FUTURE_1, 3, 2);    /* C: published */
    set_counts(old, FUTURE_2, 200, 50); /* C+1 */
    set_counts(young, FUTURE_0, 5, 0);
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->entry_count, 2);
    cr_assert_eq(profile->cycle, 7);
    cr_assert_not(profile->partial);
    check_entry(profile, 0, 0, 0); /* newest first; without a count, and yet in it */
    check_entry(profile, 1, 13, 6);
    cr_assert_eq(profile->entries[1].site->object_bytes, 64);
    cr_assert_str_eq(profile->entries[1].site->frames[0]->function, "main.leak");
    profile_unref(profile);
    close_target();
}

Test(buckets, publish_active_plus_the_current_cycle)
{
    check_published("go1.26.8");
}

Test(buckets, publish_them_where_the_flag_lies_beside_the_cycle_up_to_1_18)
{
    check_published("go1.18.10");
}

Test(buckets, publish_the_counts_only_records_of_1_27)
{
    check_published("go1.27.3");
}

Test(buckets, sum_all_cycles_while_no_gc_has_published_any)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    size_t first = add_bucket(64), second = add_bucket(32);
    set_counts(first, FUTURE_2, 8, 0);
    set_counts(second, FUTURE_2, 3, 0);
    const struct profile *profile = read_profile(0);
    check_entry(profile, 0, 3, 0);
    check_entry(profile, 1, 8, 0);
    profile_unref(profile);

    /* It goes on counting: each read is a new one. */
    set_counts(second, FUTURE_2, 5, 0);
    profile = read_profile(0);
    check_entry(profile, 0, 5, 0);
    profile_unref(profile);

    /* One published count anywhere, and sums are out for all. */
    set_counts(first, ACTIVE, 8, 0);
    set_counts(first, FUTURE_2, 1, 0);
    profile = read_profile(0);
    check_entry(profile, 0, 0, 0);
    check_entry(profile, 1, 8, 0);
    profile_unref(profile);
    close_target();
}

Test(buckets, give_an_empty_profile_when_profiling_is_switched_off)
{
    const struct profile *profile;
    struct error err = {0};
    int64_t rate = 1;
    uint64_t retries = 0;

    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    set_counts(add_bucket(64), ACTIVE, 3, 0);
    target.variables[VARIABLE_RATE] = 0;
    cr_assert(buckets_read(buckets, 1, &profile, &rate, &retries, &err), "%s", err.message);
    cr_assert_eq(rate, 0);
    cr_assert_eq(profile->rate, 0);
    cr_assert_eq(profile->entry_count, 0);
    profile_unref(profile);
    target.variables[VARIABLE_RATE] = (uint64_t)-5; /* for the runtime, that is off too */
    cr_assert(buckets_read(buckets, 1, &profile, &rate, &retries, &err), "%s", err.message);
    cr_assert_eq(rate, 0);
    cr_assert_eq(profile->entry_count, 0);
    profile_unref(profile);
    close_target();
}

Test(buckets, scale_anew_when_the_rate_changes)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    set_cycle(3, true);
    set_counts(add_bucket(64), ACTIVE, 3, 0);
    const struct profile *sampled = read_profile(0);
    target.variables[VARIABLE_RATE] = 1;
    const struct profile *full = read_profile(0);
    cr_assert_gt(sampled->entries[0].alloc_objects, 3);
    cr_assert_eq(full->entries[0].alloc_objects, 3);
    profile_unref(sampled);
    profile_unref(full);
    close_target();
}

/* What costs nothing. */

Test(buckets, hand_out_the_same_profile_in_one_read_while_a_canary_lives)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    size_t bucket = add_bucket(64);
    set_cycle(3, true);
    set_counts(bucket, ACTIVE, 3, 0);
    set_counts(bucket, FUTURE_1, 2, 0); /* C+1: not flushed by any explicit GC yet */
    const struct profile *first = read_profile(0);
    uint64_t reads = target.reads;
    set_counts(bucket, FUTURE_2, 9, 0); /* allocations that are not published */
    const struct profile *second = read_profile(0);
    cr_assert_eq(first, second);
    cr_assert_eq(target.reads, reads + 1);

    flush_one(&target, bucket, 1); /* an explicit GC ended its sweep; C stays */
    const struct profile *third = read_profile(0);
    cr_assert_neq(first, third);
    check_entry(third, 0, 5, 0);
    profile_unref(first);
    profile_unref(second);
    profile_unref(third);
    close_target();
}

/* As in the program's own profile, which lists what it has not counted yet, too. */
Test(buckets, show_a_new_site_at_once)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    size_t bucket = add_bucket(64);
    set_cycle(3, true);
    set_counts(bucket, ACTIVE, 3, 0);
    set_counts(bucket, FUTURE_1, 2, 0); /* a canary */
    profile_unref(read_profile(0));
    set_counts(add_bucket(128), FUTURE_2, 1, 0);
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->entry_count, 2);
    check_entry(profile, 1, 0, 0);
    profile_unref(profile);

    set_counts(bucket, FUTURE_1, 0, 0); /* no canary, but all is swept */
    set_cycle(4, true);
    target.variables[VARIABLE_SWEEP] = UINT64_C(1) << 31;
    profile_unref(read_profile(0));
    (void)add_bucket(256);
    profile = read_profile(0);
    cr_assert_eq(profile->entry_count, 3);
    profile_unref(profile);
    close_target();
}

/* An idle program: nothing was allocated since its last GC but one, all is swept. */
Test(buckets, hand_out_the_same_profile_in_one_read_when_nothing_is_left_to_flush)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    size_t bucket = add_bucket(64);
    set_cycle(3, true);
    set_counts(bucket, ACTIVE, 3, 0);
    target.variables[VARIABLE_SWEEP] = 1; /* one sweeper at work: it may free something */
    const struct profile *first = read_profile(0);
    set_counts(bucket, FUTURE_1, 0, 1);
    flush_one(&target, bucket, 1);
    const struct profile *second = read_profile(0);
    check_entry(second, 0, 3, 1);

    target.variables[VARIABLE_SWEEP] = UINT64_C(1) << 31;
    const struct profile *third = read_profile(0);
    cr_assert_eq(second, third);
    uint64_t reads = target.reads;
    set_counts(bucket, FUTURE_2, 9, 0); /* allocations that are not published */
    const struct profile *fourth = read_profile(0);
    cr_assert_eq(third, fourth);
    cr_assert_eq(target.reads, reads + 1);

    set_cycle(4, true); /* the next GC */
    set_counts(bucket, ACTIVE, 4, 1);
    const struct profile *fifth = read_profile(0);
    check_entry(fifth, 0, 4, 1);
    profile_unref(first);
    profile_unref(second);
    profile_unref(third);
    profile_unref(fourth);
    profile_unref(fifth);
    close_target();
}

Test(buckets, hand_out_the_same_profile_when_a_new_reading_says_the_same)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    set_cycle(3, true);
    set_counts(add_bucket(64), ACTIVE, 3, 0);
    const struct profile *first = read_profile(0), *second = read_profile(0);
    cr_assert_eq(first, second);
    set_cycle(4, true);
    const struct profile *third = read_profile(0);
    cr_assert_neq(first, third);
    profile_unref(first);
    profile_unref(second);
    profile_unref(third);
    close_target();
}

Test(buckets, read_only_what_is_new_of_the_list)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    for (int i = 0; i < 2000; i++)
        set_counts(add_bucket(64), ACTIVE, 1, 0);
    set_cycle(3, true);
    profile_unref(read_profile(0));
    uint64_t bytes = memory.read_bytes;
    for (int i = 0; i < 3; i++)
        add_bucket(64);
    set_cycle(4, true);
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->entry_count, 2003);
    /* all records with the stacks between them, and one or two windows for the new ones */
    cr_assert_lt(memory.read_bytes - bytes, 2003 * 192 + 3 * 65536);
    profile_unref(profile);
    close_target();
}

/* A GC in between. */

static const struct buckets_limits few_retries = {
    .records = 1000, .records_a_read = 1000, .retries = 3};

/* At the first look at a record, C goes on: what was published is that of two cycles. */
static void next_cycle_once(struct target *changing, const struct memory_part *parts, size_t count)
{
    (void)count;
    if (parts[0].address >= BUCKETS && parts[0].length < 4096 && changing->steps++ == 0) {
        changing->variables[VARIABLE_CYCLE] = 8u << 1 | 1;
        flush_one(changing, 0, 7 % 3);
        flush_one(changing, 0, 8 % 3);
    }
}

Test(buckets, read_again_when_the_cycle_went_on_meanwhile)
{
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(7, true);
    set_counts(bucket, ACTIVE, 1, 0);
    set_counts(bucket, FUTURE_2, 10, 0);
    profile_unref(read_profile(0)); /* learns the list */
    set_counts(bucket, FUTURE_0, 100, 0);
    set_counts(bucket, FUTURE_2, 0, 0); /* no canary: the next read looks at the records */
    set_counts(bucket, FUTURE_1, 20, 0);
    target.before_read = next_cycle_once;
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->cycle, 8);
    check_entry(profile, 0, 21, 0);
    profile_unref(profile);
    close_target();
}

/* The same, and what was published is of a site, too, that came after the list was looked at. */
static void next_cycle_with_a_new_site(struct target *changing, const struct memory_part *parts,
                                       size_t count)
{
    const uint64_t steps_before = changing->steps;
    next_cycle_once(changing, parts, count);
    if (steps_before == 0 && changing->steps != 0)
        set_counts(add_bucket(128), ACTIVE, 5, 1);
}

Test(buckets, have_the_sites_that_a_gc_published_while_they_were_read)
{
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(7, true);
    set_counts(bucket, ACTIVE, 1, 0);
    profile_unref(read_profile(0));
    set_counts(bucket, FUTURE_0, 100, 0);
    (void)add_bucket(256); /* the next read looks at the records */
    target.before_read = next_cycle_with_a_new_site;
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->cycle, 8);
    cr_assert_eq(profile->entry_count, 3);
    check_entry(profile, 2, 5, 1);
    cr_assert_not(profile->partial);
    profile_unref(profile);
    close_target();
}

static void always_next_cycle(struct target *changing, const struct memory_part *parts, size_t count)
{
    (void)count;
    if (parts[0].address >= BUCKETS)
        changing->variables[VARIABLE_CYCLE] += 2;
}

Test(buckets, say_that_the_target_is_busy_when_gcs_never_end)
{
    open_target("go1.26.8", &few_retries);
    set_cycle(7, true);
    set_counts(add_bucket(64), ACTIVE, 1, 0);
    target.before_read = always_next_cycle;
    cr_assert(read_fails(ERROR_BUSY, "4 attempts"));
    target.before_read = NULL;
    profile_unref(read_profile(0));
    close_target();
}

/* An explicit GC flushes C+1 bucket by bucket while the records are read: the first is flushed before,
 * the second after it was read. */
static void explicit_flush_in_between(struct target *changing, const struct memory_part *parts,
                                      size_t count)
{
    (void)count;
    bool is_record = parts[0].address >= BUCKETS && parts[0].length > 100;
    if (!is_record && changing->steps == 1) {
        flush_one(changing, 0, 8 % 3); /* behind the pass */
        changing->steps = 2;
    } else if (is_record && changing->steps == 0) {
        flush_one(changing, 6 + STACK_PCS + 16, 8 % 3); /* ahead of it */
        changing->steps = 1;
    }
}

Test(buckets, read_again_when_an_explicit_gc_flushed_meanwhile)
{
    open_target("go1.26.8", &few_retries);
    size_t old = add_bucket(64), young = add_bucket(64);
    cr_assert_eq(young, 6 + STACK_PCS + 16);
    set_cycle(7, true);
    set_counts(old, ACTIVE, 1, 0);
    profile_unref(read_profile(0));
    set_counts(old, FUTURE_2, 10, 0);
    set_counts(young, FUTURE_2, 10, 0);
    target.before_read = explicit_flush_in_between;
    const struct profile *profile = read_profile(0);
    cr_assert_eq(target.steps, 2);
    check_entry(profile, 0, 10, 0); /* both before, or both after; here after */
    check_entry(profile, 1, 11, 0);
    profile_unref(profile);
    close_target();
}

/* As above but with nothing left that could tell: both flushed within the first pass, the first bucket
 * after it was read.  Only the number of explicit GCs gives it away. */
static void flush_behind_the_first_pass(struct target *changing, const struct memory_part *parts,
                                        size_t count)
{
    (void)count;
    if (parts[0].address == VARIABLES && changing->steps++ == 1)
        set_counts(0, ACTIVE, 11, 0);
}

Test(buckets, read_twice_while_explicit_gcs_happen)
{
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(7, true);
    set_counts(bucket, ACTIVE, 1, 0);
    profile_unref(read_profile(3));
    target.before_read = flush_behind_the_first_pass;
    const struct profile *profile = read_profile(4);
    check_entry(profile, 0, 11, 0);
    profile_unref(profile);
    close_target();
}

/* Once sweeping is over no free is added to what an explicit GC will flush: what it flushes was seen, and
 * one pass is enough. */
Test(buckets, read_once_after_an_explicit_gc_that_has_swept_all)
{
    const uint64_t done = UINT64_C(1) << 31, one_sweeper_left = done + 1;
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(7, true);
    set_counts(bucket, ACTIVE, 1, 0);
    profile_unref(read_profile(3));

    uint64_t reads = target.reads;
    target.variables[VARIABLE_SWEEP] = one_sweeper_left;
    set_counts(bucket, ACTIVE, 2, 0);
    profile_unref(read_profile(4));
    const uint64_t of_two_passes = target.reads - reads;

    reads = target.reads;
    target.variables[VARIABLE_SWEEP] = done;
    set_counts(bucket, ACTIVE, 3, 0);
    const struct profile *profile = read_profile(5);
    check_entry(profile, 0, 3, 0);
    profile_unref(profile);
    cr_assert_lt(target.reads - reads, of_two_passes);
    close_target();
}

/* Also then what is flushed while it is read shows: the record that was not yet flushed is empty afterwards. */
Test(buckets, read_again_when_a_flush_came_in_between_though_all_was_swept)
{
    open_target("go1.26.8", &few_retries);
    size_t old = add_bucket(64), young = add_bucket(64);
    target.variables[VARIABLE_SWEEP] = UINT64_C(1) << 31;
    set_cycle(6, true);
    set_counts(old, ACTIVE, 1, 0);
    profile_unref(read_profile(3));
    set_cycle(7, true);
    set_counts(old, FUTURE_2, 10, 0);
    set_counts(young, FUTURE_2, 10, 0);
    target.before_read = explicit_flush_in_between;
    const struct profile *profile = read_profile(4);
    cr_assert_eq(target.steps, 2);
    check_entry(profile, 0, 10, 0);
    check_entry(profile, 1, 11, 0);
    profile_unref(profile);
    close_target();
}

/* The flush after a GC is due; whoever reads the records now may see one that was added to `active` and
 * not yet emptied. */
static void flush_late(struct target *changing, const struct memory_part *parts, size_t count)
{
    (void)count;
    bool is_due = (changing->variables[VARIABLE_CYCLE] & 1) == 0;
    if (parts[0].address == VARIABLES && is_due && ++changing->steps == 2) {
        set_counts(0, ACTIVE, 13, 0);
        set_counts(0, FUTURE_1, 0, 0);
        set_cycle(7, true);
    } else if (parts[0].address >= BUCKETS && parts[0].length > 100 && is_due)
        set_counts(0, ACTIVE, 13, 0);
}

Test(buckets, wait_for_the_flush_that_is_due_after_a_gc)
{
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(6, true);
    set_counts(bucket, ACTIVE, 10, 0);
    profile_unref(read_profile(0));
    set_counts(bucket, FUTURE_1, 3, 0);
    set_cycle(7, false);
    target.before_read = flush_late;
    const struct profile *profile = read_profile(0);
    check_entry(profile, 0, 13, 0);
    profile_unref(profile);
    close_target();
}

/* Go 1.18 ends a cycle between two looks at it: the number is new, the flag still the old one's, the lock held
 * by then.  Whoever believes the flag meets the flush half done. */
static void end_cycle_behind_the_lock(struct target *changing, const struct memory_part *parts,
                                      size_t count)
{
    (void)count;
    if (parts[0].address == symbols.address[SYMBOL_MPROF_CYCLE]) {
        changing->steps++;
        if (changing->steps == 2) {
            set_cycle(7, true);
            changing->variables[VARIABLE_LOCK] = 1;
        } else if (changing->steps == 3) {
            set_cycle(7, false);
            changing->variables[VARIABLE_LOCK] = 0;
        } else if (changing->steps == 5) {
            set_counts(0, ACTIVE, 13, 0);
            set_counts(0, FUTURE_1, 0, 0);
            set_cycle(7, true);
        }
    } else if (parts[0].address >= BUCKETS && changing->steps == 2) {
        set_counts(0, ACTIVE, 13, 0);
        changing->variables[VARIABLE_LOCK] = 0;
    }
}

Test(buckets, do_not_take_the_flag_of_one_cycle_for_that_of_the_next)
{
    open_target("go1.18.10", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(6, true);
    set_counts(bucket, ACTIVE, 10, 0);
    profile_unref(read_profile(0));
    set_counts(bucket, FUTURE_1, 3, 0);
    target.before_read = end_cycle_behind_the_lock;
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->cycle, 7);
    cr_assert_not(profile->partial);
    check_entry(profile, 0, 13, 0);
    cr_assert_geq(target.steps, 5, "it was read before the flush was done");
    profile_unref(profile);
    close_target();
}

/* A target that stands still between the end of a GC and its flush. */
Test(buckets, say_so_when_the_flush_that_is_due_does_not_come)
{
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(6, true);
    set_counts(bucket, ACTIVE, 10, 0);
    profile_unref(read_profile(0));
    set_counts(bucket, FUTURE_1, 3, 0);
    set_cycle(7, false);
    const struct profile *profile = read_profile(0);
    check_entry(profile, 0, 13, 0);
    cr_assert(profile->partial);
    profile_unref(profile);
    set_cycle(7, true);
    profile = read_profile(0);
    cr_assert_not(profile->partial);
    profile_unref(profile);
    close_target();
}

static void release_the_lock(struct target *changing, const struct memory_part *parts, size_t count)
{
    (void)count;
    if (parts[0].address == VARIABLES && ++changing->steps == 3)
        changing->variables[VARIABLE_LOCK] = 0;
}

Test(buckets, wait_while_the_profile_lock_is_held)
{
    open_target("go1.26.8", &few_retries);
    set_cycle(7, true);
    set_counts(add_bucket(64), ACTIVE, 1, 0);
    target.variables[VARIABLE_LOCK] = 1;
    target.before_read = release_the_lock;
    const struct profile *profile = read_profile(0);
    cr_assert_not(profile->partial);
    cr_assert_eq(target.variables[VARIABLE_LOCK], 0, "it was read before the lock was free");
    profile_unref(profile);
    close_target();
}

Test(buckets, mark_the_profile_partial_when_the_lock_is_never_released)
{
    open_target("go1.26.8", &few_retries);
    set_cycle(7, true);
    set_counts(add_bucket(64), ACTIVE, 1, 0);
    target.variables[VARIABLE_LOCK] = 1;
    const struct profile *profile = read_profile(0);
    cr_assert(profile->partial);
    cr_assert_not_null(profile->partial_reason);
    check_entry(profile, 0, 1, 0);
    profile_unref(profile);
    target.variables[VARIABLE_LOCK] = 0;
    profile = read_profile(0);
    cr_assert_not(profile->partial);
    profile_unref(profile);
    close_target();
}

Test(buckets, test_one_bit_of_the_lock_since_1_24_and_all_of_it_before)
{
    open_target("go1.26.8", &few_retries);
    set_cycle(7, true);
    set_counts(add_bucket(64), ACTIVE, 1, 0);
    target.variables[VARIABLE_LOCK] = 0x100; /* waiters, not held */
    const struct profile *profile = read_profile(0);
    cr_assert_not(profile->partial);
    profile_unref(profile);
    close_target();

    open_target("go1.23.12", &few_retries);
    set_cycle(7, true);
    set_counts(add_bucket(64), ACTIVE, 1, 0);
    target.variables[VARIABLE_LOCK] = 2;
    profile = read_profile(0);
    cr_assert(profile->partial);
    profile_unref(profile);
    close_target();
}

/* Hostile lists. */

Test(buckets, refuse_a_circular_list)
{
    for (size_t length = 1; length < 40; length++) {
        open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
        size_t first = add_bucket(64);
        for (size_t i = 1; i < length; i++)
            add_bucket(64);
        target.words[first + 1] = target.variables[VARIABLE_HEAD];
        cr_assert(read_fails(ERROR_CORRUPT, "circular"));
        cr_assert_lt(site_table_count(sites), 4 * length + 4);
        close_target();
    }
}

Test(buckets, refuse_a_bucket_that_cannot_be_one)
{
    static const struct {
        size_t word;
        uint64_t value;
    } lies[] = {{2, 2}, {2, 0}, {4, UINT64_MAX}, {5, 1027}, {5, UINT64_MAX}};
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
        size_t bucket = add_bucket(64);
        target.words[bucket + lies[i].word] = lies[i].value;
        cr_assert(read_fails(ERROR_CORRUPT, "0x800000"));
        close_target();
    }
}

Test(buckets, refuse_a_list_that_leaves_the_memory)
{
    static const uint64_t nowhere[] = {8, 0x800004, 0x900000, UINT64_MAX - 7, UINT64_MAX};
    for (size_t i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
        open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
        size_t bucket = add_bucket(64);
        target.words[bucket + 1] = nowhere[i];
        cr_assert(read_fails(ERROR_CORRUPT, ""), "0x%llx", (unsigned long long)nowhere[i]);
        close_target();
    }
}

Test(buckets, refuse_buckets_that_overlap)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    size_t first = add_bucket(64);
    add_bucket(64);
    /* A second "bucket" within the record of the first. */
    size_t inside = first + 6 + STACK_PCS;
    target.words[inside + 1] = 0;
    target.words[inside + 2] = 1;
    target.words[inside + 4] = 64;
    target.words[inside + 5] = 0;
    target.words[first + 1] = BUCKETS + inside * 8;
    cr_assert(read_fails(ERROR_CORRUPT, "share"));
    close_target();
}

Test(buckets, refuse_a_record_that_contradicts_itself)
{
    open_target("go1.26.8", &few_retries);
    size_t bucket = add_bucket(64);
    set_cycle(3, true);
    set_counts(bucket, ACTIVE, 3, 4);
    cr_assert(read_fails(ERROR_CORRUPT, "contradicts"));
    set_counts(bucket, ACTIVE, 4, 3);
    target.words[bucket + 6 + STACK_PCS + 2] += 1; /* alloc_bytes is not allocs x size */
    cr_assert(read_fails(ERROR_CORRUPT, "contradicts"));
    close_target();
}

Test(buckets, walk_a_long_list_in_steps_and_say_that_it_is_partial)
{
    static const struct buckets_limits limits = {.records = 1000, .records_a_read = 40, .retries = 3};
    const struct profile *profile;

    open_target("go1.26.8", &limits);
    for (int i = 0; i < 100; i++)
        set_counts(add_bucket(64), ACTIVE, 1, 0);
    set_cycle(3, true);
    for (size_t expected = 40; expected <= 80; expected += 40) {
        profile = read_profile(0);
        cr_assert(profile->partial);
        cr_assert_eq(profile->entry_count, expected);
        profile_unref(profile);
    }
    profile = read_profile(0);
    cr_assert_not(profile->partial);
    cr_assert_eq(profile->entry_count, 100);
    profile_unref(profile);
    close_target();
}

Test(buckets, keep_no_more_records_than_allowed)
{
    static const struct buckets_limits limits = {.records = 30, .records_a_read = 40, .retries = 3};

    open_target("go1.26.8", &limits);
    for (int i = 0; i < 100; i++)
        set_counts(add_bucket(64), ACTIVE, 1, 0);
    set_cycle(3, true);
    for (int i = 0; i < 3; i++) {
        const struct profile *profile = read_profile(0);
        cr_assert(profile->partial);
        cr_assert_eq(profile->entry_count, 30);
        profile_unref(profile);
    }
    close_target();
}

Test(buckets, find_every_record_wherever_it_lies)
{
    open_target("go1.26.8", &BUCKETS_LIMITS_DEFAULT);
    set_cycle(3, true);
    for (uint64_t i = 0; i < 1500; i++) {
        size_t bucket = add_bucket(8 + 8 * i);
        set_counts(bucket, ACTIVE, i + 1, i);
        target.used += (i * 37) % 300; /* gaps below and above what is read over */
    }
    const struct profile *profile = read_profile(0);
    cr_assert_eq(profile->entry_count, 1500);
    for (uint64_t i = 0; i < 1500; i++) {
        check_entry(profile, 1499 - i, i + 1, i);
        cr_assert_eq(profile->entries[1499 - i].site->object_bytes, 8 + 8 * i);
    }
    profile_unref(profile);
    close_target();
}
