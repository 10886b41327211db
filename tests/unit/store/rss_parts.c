/* rss_parts.c - the parts of RSS always add up to it, and each is what the pages say. */
#include "core/store/rss_parts.h"

#include <criterion/criterion.h>
#include <string.h>

enum { RANDOM_ROUNDS = 20000 };
#define MIB (UINT64_C(1) << 20)

/* Counts of a runtime with 100 MiB of heap in use, as the kernel and the runtime would tell them. */
static struct snapshot_values values;
static struct rss_measure measure;
static struct rss_anchor anchor;

static void set_rss(uint64_t anonymous, uint64_t files, uint64_t shared)
{
    SNAPSHOT_SET(&values, rss_anon_bytes, anonymous);
    SNAPSHOT_SET(&values, rss_file_bytes, files);
    SNAPSHOT_SET(&values, rss_shmem_bytes, shared);
    SNAPSHOT_SET(&values, rss_bytes, anonymous + files + shared);
}

static void set_up(void)
{
    values = (struct snapshot_values){0};
    SNAPSHOT_SET(&values, heap_alloc_bytes, 80 * MIB);
    SNAPSHOT_SET(&values, heap_live_bytes, 50 * MIB);
    SNAPSHOT_SET(&values, heap_inuse_bytes, 100 * MIB);
    SNAPSHOT_SET(&values, heap_idle_bytes, 30 * MIB);
    SNAPSHOT_SET(&values, heap_released_bytes, 10 * MIB);
    SNAPSHOT_SET(&values, num_gc, 7);
    SNAPSHOT_SET(&values, stack_inuse_bytes, 8 * MIB);
    SNAPSHOT_SET(&values, stack_sys_bytes, 8 * MIB);
    SNAPSHOT_SET(&values, mspan_sys_bytes, 2 * MIB);
    SNAPSHOT_SET(&values, mcache_sys_bytes, 1 * MIB);
    SNAPSHOT_SET(&values, buck_hash_sys_bytes, 1 * MIB);
    SNAPSHOT_SET(&values, gc_sys_bytes, 3 * MIB);
    SNAPSHOT_SET(&values, other_sys_bytes, 1 * MIB);
    /* All of it resident; 2 MiB of work buffers lie among the stacks. */
    measure = (struct rss_measure){
        .small_span_bytes = 70 * MIB,
        .small_resident_bytes = 70 * MIB,
        .large_span_bytes = 30 * MIB,
        .large_resident_bytes = 30 * MIB,
        .manual_span_bytes = 10 * MIB,
        .manual_resident_bytes = 10 * MIB,
        .free_resident_bytes = 20 * MIB,
        .other_anonymous_bytes = 6 * MIB,
        .foreign_bytes = 5 * MIB,
        .globals_bytes = 1 * MIB,
    };
    set_rss(142 * MIB, 9 * MIB, 4 * MIB);
}

TestSuite(rss_parts, .init = set_up);

static uint64_t part(enum rss_part index)
{
    union field_value value = {.u64 = 0};
    cr_assert(snapshot_field_get(&values, &snapshot_fields[rss_parts[index].field], &value));
    return value.u64;
}

static uint64_t sum_of_parts(void)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < RSS_PART_COUNT; i++)
        sum += part((enum rss_part)i);
    return sum;
}

static void fill(void)
{
    int64_t drift_bytes = 0;
    cr_assert(rss_parts_fill(&anchor, &values, &drift_bytes));
    cr_assert_eq(sum_of_parts(), values.rss_bytes);
}

static void look_and_fill(void)
{
    cr_assert(rss_anchor_set(&anchor, &measure, &values));
    fill();
}

Test(rss_parts, are_the_runtimes_counts_where_all_of_it_is_resident)
{
    look_and_fill();
    cr_assert_eq(part(RSS_PART_heap_live), 50 * MIB);
    cr_assert_eq(part(RSS_PART_heap_garbage), 30 * MIB);
    cr_assert_eq(part(RSS_PART_heap_fragmentation), 20 * MIB);
    cr_assert_eq(part(RSS_PART_heap_idle), 20 * MIB);
    cr_assert_eq(part(RSS_PART_stacks), 8 * MIB);
    cr_assert_eq(part(RSS_PART_runtime), 8 * MIB);
    cr_assert_eq(part(RSS_PART_globals), 1 * MIB);
    cr_assert_eq(part(RSS_PART_non_go), 5 * MIB);
    cr_assert_eq(part(RSS_PART_unexplained), 0);
    cr_assert_eq(part(RSS_PART_files), 9 * MIB);
    cr_assert_eq(part(RSS_PART_shared), 4 * MIB);
}

Test(rss_parts, a_large_object_that_was_never_touched_is_in_no_part)
{
    measure.large_resident_bytes = 0;
    set_rss(112 * MIB, 9 * MIB, 4 * MIB);
    look_and_fill();
    cr_assert_eq(part(RSS_PART_heap_live) + part(RSS_PART_heap_garbage), 50 * MIB);
    cr_assert_eq(part(RSS_PART_heap_fragmentation), 20 * MIB);
    cr_assert_eq(part(RSS_PART_unexplained), 0);
}

Test(rss_parts, untouched_pages_of_small_spans_are_free_places_first)
{
    measure.small_resident_bytes -= 15 * MIB;
    set_rss(127 * MIB, 9 * MIB, 4 * MIB);
    look_and_fill();
    cr_assert_eq(part(RSS_PART_heap_fragmentation), 5 * MIB);
    cr_assert_eq(part(RSS_PART_heap_live), 50 * MIB);
}

Test(rss_parts, free_heap_that_is_resident_though_released_is_idle)
{
    measure.free_resident_bytes = 28 * MIB;
    set_rss(150 * MIB, 9 * MIB, 4 * MIB);
    look_and_fill();
    cr_assert_eq(part(RSS_PART_heap_idle), 28 * MIB);
}

Test(rss_parts, before_the_first_gc_all_objects_count_as_live)
{
    SNAPSHOT_SET(&values, num_gc, 0);
    look_and_fill();
    cr_assert_eq(part(RSS_PART_heap_live), 80 * MIB);
    cr_assert_eq(part(RSS_PART_heap_garbage), 0);
}

Test(rss_parts, mappings_that_say_they_are_gos_tell_the_rest_from_it)
{
    measure.runtime_is_named = true;
    measure.named_runtime_bytes = 4 * MIB;
    measure.other_anonymous_bytes = 2 * MIB;
    look_and_fill();
    cr_assert_eq(part(RSS_PART_runtime), 6 * MIB); /* with the work buffers */
    cr_assert_eq(part(RSS_PART_non_go), 7 * MIB);
}

Test(rss_parts, anonymous_memory_beyond_the_runtimes_own_count_is_not_gos)
{
    measure.other_anonymous_bytes = 106 * MIB;
    set_rss(242 * MIB, 9 * MIB, 4 * MIB);
    look_and_fill();
    cr_assert_eq(part(RSS_PART_runtime), 8 * MIB);
    cr_assert_eq(part(RSS_PART_non_go), 105 * MIB);
}

Test(rss_parts, what_is_gained_after_a_look_is_unexplained_unless_the_runtime_counts_it)
{
    look_and_fill();
    set_rss(172 * MIB, 9 * MIB, 4 * MIB);
    SNAPSHOT_SET(&values, heap_inuse_bytes, 120 * MIB);
    SNAPSHOT_SET(&values, heap_alloc_bytes, 100 * MIB);
    int64_t drift_bytes = 0;
    cr_assert(rss_parts_fill(&anchor, &values, &drift_bytes));
    cr_assert_eq(part(RSS_PART_heap_garbage), 50 * MIB);
    cr_assert_eq(part(RSS_PART_unexplained), 10 * MIB);
    cr_assert_eq(drift_bytes, (int64_t)(10 * MIB));
    cr_assert_eq(sum_of_parts(), values.rss_bytes);
}

Test(rss_parts, what_is_swapped_out_after_a_look_is_taken_from_all_of_them)
{
    look_and_fill();
    set_rss(71 * MIB, 9 * MIB, 4 * MIB);
    int64_t drift_bytes = 0;
    cr_assert(rss_parts_fill(&anchor, &values, &drift_bytes));
    cr_assert_eq(drift_bytes, -(int64_t)(71 * MIB));
    cr_assert_eq(part(RSS_PART_heap_live), 25 * MIB);
    cr_assert_eq(part(RSS_PART_stacks), 4 * MIB);
    cr_assert_eq(part(RSS_PART_files), 9 * MIB);
    cr_assert_eq(sum_of_parts(), values.rss_bytes);
}

Test(rss_parts, are_absent_without_the_kernels_or_the_runtimes_numbers)
{
    int64_t drift_bytes = 0;
    look_and_fill();
    const struct snapshot_values all = values;
    static const enum snapshot_field_index needed[] = {
        SNAPSHOT_FIELD_rss_anon_bytes, SNAPSHOT_FIELD_heap_live_bytes, SNAPSHOT_FIELD_gc_sys_bytes};
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
        values = all;
        const size_t field = (size_t)needed[i];
        values.present[field / 64] &= ~(UINT64_C(1) << (field % 64));
        cr_assert_not(rss_parts_fill(&anchor, &values, &drift_bytes));
    }
}

/* Numbers of a process that changes while it is read, or lies, need not fit together at all. */
static uint64_t any_bytes(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % (UINT64_C(1) << (10 + (*state >> 28) % 38));
}

Test(rss_parts, add_up_whatever_the_numbers_are)
{
    uint64_t state = 1;
    for (int round = 0; round < RANDOM_ROUNDS; round++) {
        uint64_t *const members[] = {
            &values.heap_alloc_bytes,   &values.heap_live_bytes,     &values.heap_inuse_bytes,
            &values.heap_idle_bytes,    &values.heap_released_bytes, &values.stack_inuse_bytes,
            &values.stack_sys_bytes,    &values.mspan_sys_bytes,     &values.gc_sys_bytes,
            &measure.small_span_bytes,  &measure.small_resident_bytes, &measure.large_span_bytes,
            &measure.large_resident_bytes, &measure.manual_span_bytes,
            &measure.manual_resident_bytes, &measure.free_resident_bytes,
            &measure.other_anonymous_bytes, &measure.foreign_bytes, &measure.globals_bytes};
        for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++)
            *members[i] = any_bytes(&state);
        set_rss(any_bytes(&state), any_bytes(&state), any_bytes(&state));
        measure.runtime_is_named = state >> 63;
        look_and_fill();
        set_rss(any_bytes(&state), any_bytes(&state), any_bytes(&state));
        fill();
    }
}

Test(rss_parts, each_part_is_a_field_of_its_name)
{
    for (size_t i = 0; i < RSS_PART_COUNT; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), "rss_part_%s_bytes", rss_parts[i].name);
        cr_assert_eq(snapshot_field_find(name), &snapshot_fields[rss_parts[i].field], "%s", name);
    }
}
