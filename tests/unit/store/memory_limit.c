/* memory_limit.c - which limits there are, and when a growing process reaches the first. */
#include "core/store/memory_limit.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/store/fields.h"

#define MIB (UINT64_C(1) << 20)
#define SECOND_NS UINT64_C(1000000000)

static struct snapshot_values values;
static struct memory_forecast forecast;
static uint64_t now_ns;

static void set_up(void)
{
    values = (struct snapshot_values){0};
    memory_forecast_reset(&forecast);
    now_ns = 1000 * SECOND_NS;
}

TestSuite(memory_limit, .init = set_up);

static void set_memory(uint64_t anonymous)
{
    values = (struct snapshot_values){0};
    SNAPSHOT_SET(&values, rss_anon_bytes, anonymous);
    SNAPSHOT_SET(&values, rss_shmem_bytes, 0);
    SNAPSHOT_SET(&values, cgroup_memory_current_bytes, anonymous + 100 * MIB);
    SNAPSHOT_SET(&values, cgroup_memory_max_bytes, 1000 * MIB);
}

/* A beat each second: the process grows from [from] by [step] a second, and saws by [tooth]. */
static void watch(unsigned seconds, uint64_t from, double step, uint64_t tooth)
{
    for (unsigned second = 0; second <= seconds; second++, now_ns += SECOND_NS) {
        set_memory(from + (uint64_t)(step * second) + tooth * (second / 10 % 3) / 2);
        memory_forecast_fill(&forecast, now_ns, &values);
    }
}

Test(memory_limit, is_absent_where_there_is_none)
{
    SNAPSHOT_SET(&values, rss_anon_bytes, 10 * MIB);
    SNAPSHOT_SET(&values, rss_shmem_bytes, 0);
    memory_forecast_fill(&forecast, now_ns, &values);
    cr_assert_not(SNAPSHOT_HAS(&values, memory_limit_bytes));
    cr_assert_not(SNAPSHOT_HAS(&values, time_to_limit_seconds));
}

Test(memory_limit, is_the_one_with_the_least_headroom)
{
    struct memory_limit limits[LIMIT_KINDS];
    set_memory(200 * MIB);
    SNAPSHOT_SET(&values, cgroup_memory_high_bytes, 400 * MIB);
    SNAPSHOT_SET(&values, gomemlimit_bytes, 900 * MIB);
    SNAPSHOT_SET(&values, sys_bytes, 300 * MIB);
    SNAPSHOT_SET(&values, heap_idle_bytes, 50 * MIB);
    SNAPSHOT_SET(&values, heap_alloc_bytes, 150 * MIB);
    SNAPSHOT_SET(&values, heap_live_bytes, 100 * MIB);
    SNAPSHOT_SET(&values, num_gc, 3);
    cr_assert_eq(memory_limits_list(&values, limits), 3);
    cr_assert_eq(limits[2].kind, LIMIT_GOMEMLIMIT);
    cr_assert_eq(limits[2].used_bytes, 200 * MIB); /* without free heap and garbage */
    memory_forecast_fill(&forecast, now_ns, &values);
    cr_assert_eq(values.memory_limit_bytes, 400 * MIB);
    cr_assert_eq(values.memory_limit_used_bytes, 300 * MIB);
    cr_assert_eq(values.memory_limit_headroom_bytes, 100 * MIB);
}

Test(memory_limit, of_an_ancestor_is_used_by_all_below_it)
{
    struct memory_limit limits[LIMIT_KINDS];
    set_memory(200 * MIB);
    SNAPSHOT_SET(&values, cgroup_memory_max_used_bytes, 900 * MIB);
    cr_assert_eq(memory_limits_list(&values, limits), 1);
    cr_assert_eq(limits[0].used_bytes, 900 * MIB);
    cr_assert_eq(limits[0].headroom_bytes, 100 * MIB);
}

Test(memory_limit, that_is_exceeded_has_no_headroom)
{
    set_memory(2000 * MIB);
    memory_forecast_fill(&forecast, now_ns, &values);
    cr_assert_eq(values.memory_limit_headroom_bytes, 0);
}

Test(memory_limit, time_left_is_headroom_over_growth)
{
    watch(300, 100 * MIB, 0.5 * (double)MIB, 0);
    /* 100 + 150 MiB of its own and 100 of others: 650 are left, at half a MiB a second. */
    cr_assert(SNAPSHOT_HAS(&values, time_to_limit_seconds));
    cr_assert_float_eq(values.memory_growth_bytes_per_second, 0.5 * (double)MIB, 1000);
    cr_assert_float_eq(values.time_to_limit_seconds, 1300, 5);
}

Test(memory_limit, nothing_is_foretold_in_the_first_minute)
{
    watch(50, 100 * MIB, (double)MIB, 0);
    cr_assert_not(SNAPSHOT_HAS(&values, time_to_limit_seconds));
    cr_assert_not(SNAPSHOT_HAS(&values, memory_growth_bytes_per_second));
    watch(30, 151 * MIB, (double)MIB, 0);
    cr_assert(SNAPSHOT_HAS(&values, time_to_limit_seconds));
}

Test(memory_limit, a_process_that_does_not_grow_has_all_the_time)
{
    watch(300, 100 * MIB, 0, 0);
    cr_assert(SNAPSHOT_HAS(&values, memory_growth_bytes_per_second));
    cr_assert_eq(values.memory_growth_bytes_per_second, 0);
    cr_assert_not(SNAPSHOT_HAS(&values, time_to_limit_seconds));
}

Test(memory_limit, a_sawtooth_between_collections_is_no_growth)
{
    watch(300, 100 * MIB, 0, 40 * MIB);
    cr_assert_not(SNAPSHOT_HAS(&values, time_to_limit_seconds));
}

Test(memory_limit, growth_under_a_sawtooth_is_seen)
{
    watch(300, 100 * MIB, (double)MIB, 10 * MIB);
    cr_assert(SNAPSHOT_HAS(&values, time_to_limit_seconds));
    cr_assert_float_eq(values.memory_growth_bytes_per_second, (double)MIB, 0.15 * (double)MIB);
}

Test(memory_limit, memory_that_falls_has_no_end_in_sight)
{
    watch(300, 600 * MIB, -(double)MIB, 0);
    cr_assert_not(SNAPSHOT_HAS(&values, time_to_limit_seconds));
}

Test(memory_limit, another_process_begins_anew)
{
    watch(300, 100 * MIB, (double)MIB, 0);
    memory_forecast_reset(&forecast);
    watch(20, 10 * MIB, (double)MIB, 0);
    cr_assert_not(SNAPSHOT_HAS(&values, time_to_limit_seconds));
}
