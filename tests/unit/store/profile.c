/* profile.c - building, totals, sharing. */
#include "core/store/profile.h"

#include <criterion/criterion.h>

#include "tests/unit/store/samples.h"

Test(profile, sums_all_entries_when_it_is_sealed)
{
    struct site_table *table = site_table_new();
    struct profile *building = profile_begin(table, 2);
    sample_entry(building, sample_site(table, "main.a", 0, 16), 160, 32);
    sample_entry(building, sample_site(table, "main.b", 0, 16), 320, 64);
    const struct profile *profile = profile_seal(building);
    cr_assert_eq(profile->totals.alloc_bytes, 480);
    cr_assert_eq(profile->totals.alloc_objects, 30);
    cr_assert_eq(profile->totals.inuse_bytes, 96);
    cr_assert_eq(profile->totals.inuse_objects, 6);
    profile_unref(profile);
    site_table_unref(table);
}

Test(profile, stays_at_the_end_of_the_range_when_a_target_lies)
{
    struct site_table *table = site_table_new();
    struct profile *building = profile_begin(table, 4);
    const struct site *site = sample_site(table, "main.a", 0, 16);
    sample_entry(building, site, INT64_MAX, INT64_MIN);
    sample_entry(building, site, INT64_MAX, INT64_MIN);
    const struct profile *profile = profile_seal(building);
    cr_assert_eq(profile->totals.alloc_bytes, INT64_MAX);
    cr_assert_eq(profile->totals.inuse_bytes, INT64_MIN);
    profile_unref(profile);
    site_table_unref(table);
}

Test(profile, holds_its_sites_until_its_last_hold_is_dropped)
{
    struct site_table *table = site_table_new();
    struct profile *building = profile_begin(table, 1);
    sample_entry(building, sample_site(table, "main.a", 0, 16), 1, 1);
    site_table_unref(table);
    const struct profile *profile = profile_seal(building);
    profile_ref(profile);
    profile_unref(profile);
    cr_assert_str_eq(profile->entries[0].site->tag, "main.a");
    profile_unref(profile);
    profile_unref(NULL);
}

Test(profile, can_be_discarded_instead_of_sealed)
{
    struct site_table *table = site_table_new();
    profile_discard(profile_begin(table, 100));
    profile_discard(NULL);
    site_table_unref(table);
}

Test(profile, refuses_a_capacity_that_no_memory_holds)
{
    struct site_table *table = site_table_new();
    cr_assert_null(profile_begin(table, SIZE_MAX / 2));
    cr_assert_null(profile_begin(table, SIZE_MAX));
    site_table_unref(table);
}

Test(profile, begins_with_the_entries_of_another_as_far_as_there_is_room)
{
    struct site_table *table = site_table_new();
    struct profile *first = profile_begin(table, 2);
    first->entries[0] = (struct profile_entry){.allocs = 1, .inuse_bytes = 10};
    first->entries[1] = (struct profile_entry){.allocs = 2, .inuse_bytes = 20};
    first->entry_count = 2;
    const struct profile *sealed = profile_seal(first);
    size_t kept = 0;
    struct profile *longer = profile_begin_from(table, 3, sealed, &kept);
    cr_assert_eq(kept, 2);
    cr_assert_eq(longer->entries[1].inuse_bytes, 20);
    cr_assert_eq(longer->entries[2].inuse_bytes, 0);
    cr_assert_eq(longer->entry_count, 0); /* what is kept is for the builder to say */
    cr_assert_eq(longer->totals.inuse_bytes, 0);
    struct profile *shorter = profile_begin_from(table, 1, sealed, &kept);
    cr_assert_eq(kept, 1);
    cr_assert_eq(shorter->entries[0].allocs, 1);
    profile_discard(shorter);
    profile_discard(longer);
    profile_unref(sealed);
    site_table_unref(table);
}
