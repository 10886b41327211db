/* snapshot.c - sharing, size, and the share of the heap. */
#include "core/store/snapshot.h"

#include <criterion/criterion.h>

#include "core/store/profile.h"
#include "tests/unit/store/samples.h"

static const struct snapshot *with_heap(uint64_t heap_alloc_bytes, uint64_t profile_inuse_bytes)
{
    struct snapshot *snapshot = snapshot_begin(1, 1);
    if (heap_alloc_bytes > 0)
        SNAPSHOT_SET(&snapshot->values, heap_alloc_bytes, heap_alloc_bytes);
    if (profile_inuse_bytes > 0)
        SNAPSHOT_SET(&snapshot->values, profile_inuse_bytes, profile_inuse_bytes);
    return snapshot_seal(snapshot);
}

static double percent_of(uint64_t heap_alloc_bytes, uint64_t profile_inuse_bytes, int64_t live)
{
    const struct snapshot *snapshot = with_heap(heap_alloc_bytes, profile_inuse_bytes);
    const struct top_entry entry = {.inuse_bytes = live};
    const double percent = snapshot_retained_percent(snapshot, &entry);
    snapshot_unref(snapshot);
    return percent;
}

Test(retained_percent, is_live_bytes_over_the_heap)
{
    cr_assert_eq(percent_of(1000, 500, 250), 25);
}

Test(retained_percent, is_over_the_profile_when_sampling_says_more_than_the_heap_holds)
{
    cr_assert_eq(percent_of(1000, 2000, 1500), 75);
}

Test(retained_percent, stays_between_0_and_100_whatever_the_numbers)
{
    cr_assert_eq(percent_of(1000, 0, 5000), 100);
    cr_assert_eq(percent_of(1000, 0, -5), 0);
    cr_assert_eq(percent_of(0, 0, 5), 0); /* nothing known of the heap */
    cr_assert_eq(percent_of(UINT64_MAX, 0, INT64_MIN), 0);
}

static const struct tops *small_tops(void)
{
    struct site_table *table = site_table_new();
    struct profile *building = profile_begin(table, 1);
    sample_entry(building, sample_site(table, "main.a", 0, 16), 10, 10);
    const struct tops *tops = tops_new(building, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    profile_discard(building);
    site_table_unref(table);
    return tops;
}

Test(snapshot, counts_its_tops_only_while_it_is_their_only_holder)
{
    struct snapshot *first = snapshot_begin(1, 1);
    struct snapshot *second = snapshot_begin(2, 2);
    const struct tops *tops = small_tops();
    first->tops = tops;
    second->tops = tops_ref(tops);
    const struct snapshot *older = snapshot_seal(first);
    const struct snapshot *newer = snapshot_seal(second);
    cr_assert_eq(snapshot_bytes(older), sizeof(struct snapshot));
    cr_assert_eq(snapshot_bytes(newer), sizeof(struct snapshot));
    snapshot_unref(older);
    cr_assert_eq(snapshot_bytes(newer), sizeof(struct snapshot) + tops_bytes(newer->tops));
    snapshot_unref(newer);
}

Test(snapshot, lives_until_its_last_hold_is_dropped)
{
    const struct snapshot *snapshot = with_heap(77, 0);
    snapshot_ref(snapshot);
    snapshot_unref(snapshot);
    cr_assert_eq(snapshot->values.heap_alloc_bytes, 77);
    snapshot_unref(snapshot);
    snapshot_unref(NULL);
    snapshot_discard(snapshot_begin(1, 1));
    snapshot_discard(NULL);
}

Test(snapshot, begins_with_its_times_and_nothing_known)
{
    struct snapshot *building = snapshot_begin(5, 6);
    cr_assert_eq(building->realtime_ns, 5);
    cr_assert_eq(building->monotonic_ns, 6);
    cr_assert_null(building->tops);
    cr_assert_not(SNAPSHOT_HAS(&building->values, heap_alloc_bytes));
    snapshot_discard(building);
}
