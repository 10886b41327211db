/* rss_parts.c - the arithmetic of the parts of RSS.
 *
 * Called by target_memory.c on the sampler's thread, and by `goprofd memory`. */
#include "core/store/rss_parts.h"

#include <string.h>

const struct rss_part_info rss_parts[RSS_PART_COUNT] = {
#define RSS_PART_ROW(name, meaning, advice)                                                        \
    {#name, SNAPSHOT_FIELD_rss_part_##name##_bytes, meaning, advice},
    RSS_PARTS(RSS_PART_ROW)
#undef RSS_PART_ROW
};

/* What the runtime says it holds. */
struct claims {
    uint64_t live, garbage, fragmentation, idle, stacks, runtime;
};

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* [value] plus [more], which may be negative; never below zero. */
static uint64_t plus_signed(uint64_t value, int64_t more)
{
    return more >= 0 ? value + (uint64_t)more : minus(value, (uint64_t)-more);
}

/* a * b / c without overflow; c is not 0. */
static uint64_t scaled(uint64_t a, uint64_t b, uint64_t c)
{
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)((wide)a * b / c);
}

static bool read_claims(const struct snapshot_values *values, struct claims *claims)
{
    if (!SNAPSHOT_HAS(values, heap_alloc_bytes) || !SNAPSHOT_HAS(values, heap_inuse_bytes) ||
        !SNAPSHOT_HAS(values, heap_idle_bytes) || !SNAPSHOT_HAS(values, heap_released_bytes) ||
        !SNAPSHOT_HAS(values, heap_live_bytes) || !SNAPSHOT_HAS(values, num_gc) ||
        !SNAPSHOT_HAS(values, stack_inuse_bytes) || !SNAPSHOT_HAS(values, stack_sys_bytes) ||
        !SNAPSHOT_HAS(values, mspan_sys_bytes) || !SNAPSHOT_HAS(values, mcache_sys_bytes) ||
        !SNAPSHOT_HAS(values, buck_hash_sys_bytes) || !SNAPSHOT_HAS(values, gc_sys_bytes) ||
        !SNAPSHOT_HAS(values, other_sys_bytes))
        return false;
    /* Before the first GC the runtime holds an invented number of marked bytes: then nothing has been
     * found dead yet, and all objects count as live. */
    claims->live = values->num_gc == 0 ? values->heap_alloc_bytes
                                       : least(values->heap_live_bytes, values->heap_alloc_bytes);
    claims->garbage = values->heap_alloc_bytes - claims->live;
    claims->fragmentation = minus(values->heap_inuse_bytes, values->heap_alloc_bytes);
    claims->idle = minus(values->heap_idle_bytes, values->heap_released_bytes);
    claims->stacks = values->stack_inuse_bytes;
    claims->runtime = values->mspan_sys_bytes + values->mcache_sys_bytes +
                      values->buck_hash_sys_bytes + values->gc_sys_bytes +
                      values->other_sys_bytes +
                      minus(values->stack_sys_bytes, values->stack_inuse_bytes);
    return true;
}

bool rss_anchor_set(struct rss_anchor *anchor, const struct rss_measure *measure,
                    const struct snapshot_values *values)
{
    struct claims claims;
    if (!read_claims(values, &claims))
        return false;
    *anchor = (struct rss_anchor){.globals_bytes = measure->globals_bytes};

    /* The free places of a fresh span are what is most likely never to have been touched. */
    const uint64_t small_missing = minus(measure->small_span_bytes, measure->small_resident_bytes);
    anchor->fragmentation_missing_bytes = least(small_missing, claims.fragmentation);
    anchor->objects_missing_bytes =
        minus(measure->large_span_bytes, measure->large_resident_bytes) + small_missing -
        anchor->fragmentation_missing_bytes;
    anchor->idle_more_bytes = (int64_t)measure->free_resident_bytes - (int64_t)claims.idle;

    /* Stacks and the GC's work buffers look the same: each has its share of what is not resident. */
    const uint64_t manual_missing =
        minus(measure->manual_span_bytes, measure->manual_resident_bytes);
    const uint64_t stacks = least(claims.stacks, measure->manual_span_bytes);
    if (measure->manual_span_bytes > 0)
        anchor->stacks_missing_bytes = scaled(manual_missing, stacks, measure->manual_span_bytes);
    const uint64_t work_bytes = measure->manual_span_bytes - stacks;
    const uint64_t work_resident = minus(measure->manual_resident_bytes,
                                         minus(stacks, anchor->stacks_missing_bytes));

    /* Where nothing tells the runtime's mappings from others, it has at most what it counts. */
    const uint64_t outside = measure->runtime_is_named
                                 ? measure->named_runtime_bytes
                                 : least(minus(claims.runtime, work_bytes),
                                         measure->other_anonymous_bytes);
    anchor->runtime_more_bytes = (int64_t)(work_resident + outside) - (int64_t)claims.runtime;
    anchor->non_go_bytes = measure->foreign_bytes + measure->other_anonymous_bytes -
                           (measure->runtime_is_named ? 0 : outside);
    return true;
}

static void estimate(const struct rss_anchor *anchor, const struct claims *claims,
                     uint64_t parts[RSS_PART_COUNT])
{
    const uint64_t objects = claims->live + claims->garbage;
    const uint64_t missing = least(anchor->objects_missing_bytes, objects);
    const uint64_t live_missing = objects == 0 ? 0 : scaled(missing, claims->live, objects);
    parts[RSS_PART_heap_live] = claims->live - live_missing;
    parts[RSS_PART_heap_garbage] = minus(claims->garbage, missing - live_missing);
    parts[RSS_PART_heap_fragmentation] =
        minus(claims->fragmentation, anchor->fragmentation_missing_bytes);
    parts[RSS_PART_heap_idle] = plus_signed(claims->idle, anchor->idle_more_bytes);
    parts[RSS_PART_stacks] = minus(claims->stacks, anchor->stacks_missing_bytes);
    parts[RSS_PART_runtime] = plus_signed(claims->runtime, anchor->runtime_more_bytes);
    parts[RSS_PART_globals] = anchor->globals_bytes;
    parts[RSS_PART_non_go] = anchor->non_go_bytes;
}

/* Makes the parts of anonymous memory add up to [anonymous]: what they lack is unexplained, what they
 * have too much, since memory was returned or swapped out after the measurement, each loses its share of.
 * Returns what they lacked. */
static int64_t balance(uint64_t parts[RSS_PART_COUNT], uint64_t anonymous)
{
    uint64_t sum = 0;
    size_t largest = 0;
    for (size_t i = 0; i < RSS_PART_unexplained; i++) {
        sum += parts[i];
        if (parts[i] > parts[largest])
            largest = i;
    }
    parts[RSS_PART_unexplained] = minus(anonymous, sum);
    if (sum <= anonymous)
        return (int64_t)(anonymous - sum);
    uint64_t given = 0;
    for (size_t i = 0; i < RSS_PART_unexplained; i++) {
        parts[i] = scaled(parts[i], anonymous, sum);
        given += parts[i];
    }
    parts[largest] += anonymous - given; /* what rounding left over: a few bytes */
    return -(int64_t)(sum - anonymous);
}

static void set_part(struct snapshot_values *values, enum rss_part part, uint64_t bytes)
{
    const size_t field = (size_t)rss_parts[part].field;
    memcpy((char *)values + snapshot_fields[field].offset, &bytes, sizeof(bytes));
    values->present[field / 64] |= UINT64_C(1) << (field % 64);
}

bool rss_parts_fill(const struct rss_anchor *anchor, struct snapshot_values *values,
                    int64_t *drift_bytes)
{
    struct claims claims;
    uint64_t parts[RSS_PART_COUNT] = {0};
    uint64_t kinds = 0;
    if (!SNAPSHOT_HAS(values, rss_bytes) || !SNAPSHOT_HAS(values, rss_anon_bytes) ||
        !SNAPSHOT_HAS(values, rss_file_bytes) || !SNAPSHOT_HAS(values, rss_shmem_bytes) ||
        !read_claims(values, &claims) ||
        __builtin_add_overflow(values->rss_anon_bytes, values->rss_file_bytes, &kinds) ||
        __builtin_add_overflow(kinds, values->rss_shmem_bytes, &kinds) || kinds > values->rss_bytes)
        return false;
    estimate(anchor, &claims, parts);
    *drift_bytes = balance(parts, values->rss_anon_bytes);
    parts[RSS_PART_files] = values->rss_file_bytes;
    parts[RSS_PART_shared] = values->rss_shmem_bytes;
    parts[RSS_PART_unexplained] += values->rss_bytes - kinds;
    for (size_t i = 0; i < RSS_PART_COUNT; i++)
        set_part(values, (enum rss_part)i, parts[i]);
    return true;
}
