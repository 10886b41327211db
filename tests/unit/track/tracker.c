/* tracker.c - programs that push: what their batches add up to. */
#include "core/track/tracker.h"

#include <criterion/criterion.h>

#include "core/store/profile.h"
#include "core/track/track_batch.h"

#define SECOND UINT64_C(1000000000)

static struct tracker *tracker;

static void set_up(void)
{
    tracker = tracker_new();
    cr_assert_not_null(tracker);
}

static void tear_down(void)
{
    tracker_free(tracker);
}

TestSuite(tracker, .init = set_up, .fini = tear_down);

static struct track_text text(const char *t)
{
    return (struct track_text){.text = t, .length = strlen(t)};
}

static struct track_record record(const char *type, const char *tag, uint64_t allocs, uint64_t bytes,
                                  uint64_t frees, uint64_t freed)
{
    return (struct track_record){.type = text(type),
                                 .tag = text(tag),
                                 .alloc_objects = allocs,
                                 .alloc_bytes = bytes,
                                 .free_objects = frees,
                                 .free_bytes = freed};
}

static enum track_outcome push(const char *target, uint64_t instance, uint64_t sequence, bool totals,
                               struct track_record one)
{
    struct error err;
    struct track_batch batch = {
        .instance = instance, .sequence = sequence, .totals = totals, .record_count = 1, .records = &one};
    enum track_outcome outcome = TRACK_UNKNOWN;
    (void)snprintf(batch.target, sizeof(batch.target), "%s", target);
    cr_assert(tracker_take(tracker, &batch, 5 * SECOND, SECOND, &outcome, &err), "%s", err.message);
    return outcome;
}

/* The newest profile; it must have changed. */
static const struct profile *profile_of(const char *target, struct track_reading *reading)
{
    struct error err;
    const struct profile *profile = NULL;
    cr_assert(tracker_read(tracker, target, 6 * SECOND, SECOND, reading, &profile, &err), "%s",
              err.message);
    cr_assert_not_null(profile);
    return profile;
}

Test(tracker, adds_up_by_type_and_tag)
{
    struct track_reading reading;
    cr_assert_eq(push("shop", 1, 1, false, record("tile", "render", 10, 1000, 0, 0)), TRACK_TAKEN);
    cr_assert_eq(push("shop", 1, 2, false, record("tile", "render", 5, 500, 8, 800)), TRACK_TAKEN);
    cr_assert_eq(push("shop", 1, 3, false, record("tile", "print", 1, 10, 0, 0)), TRACK_TAKEN);
    const struct profile *profile = profile_of("shop", &reading);
    cr_assert_eq(profile->entry_count, 2);
    cr_expect_str_eq(profile->entries[0].site->type_name, "tile");
    cr_expect_str_eq(profile->entries[0].site->tag, "render");
    cr_expect_eq(profile->entries[0].alloc_bytes, 1500);
    cr_expect_eq(profile->entries[0].inuse_bytes, 700);
    cr_expect_eq(profile->entries[0].inuse_objects, 7);
    cr_expect_eq(profile->totals.inuse_bytes, 710);
    cr_expect_eq(reading.batches, 3);
    profile_unref(profile);

    struct error err;
    cr_assert(tracker_read(tracker, "shop", 7 * SECOND, SECOND, &reading, &profile, &err));
    cr_expect_null(profile, "nothing new");
}

Test(tracker, counts_a_repeated_batch_once)
{
    struct track_reading reading;
    (void)push("shop", 1, 1, false, record("a", "b", 1, 100, 0, 0));
    cr_assert_eq(push("shop", 1, 1, false, record("a", "b", 1, 100, 0, 0)), TRACK_REPEATED);
    const struct profile *profile = profile_of("shop", &reading);
    cr_expect_eq(profile->totals.alloc_bytes, 100);
    profile_unref(profile);
}

Test(tracker, a_program_that_was_started_again_begins_at_nothing)
{
    struct track_reading reading;
    (void)push("shop", 1, 1, false, record("a", "b", 1, 100, 0, 0));
    const struct profile *before = profile_of("shop", &reading);
    cr_expect_eq(reading.instances, 1);
    (void)push("shop", 2, 1, false, record("a", "b", 1, 7, 0, 0));
    const struct profile *after = profile_of("shop", &reading);
    cr_expect_eq(reading.instances, 2);
    cr_expect_eq(after->totals.alloc_bytes, 7);
    cr_expect_neq(before->sites, after->sites);
    profile_unref(before);
    profile_unref(after);
}

Test(tracker, asks_for_totals_of_a_program_whose_past_it_does_not_know)
{
    struct track_reading reading;
    char name[64];
    cr_assert_eq(push("shop", 1, 41, false, record("a", "b", 1, 100, 0, 0)), TRACK_UNKNOWN);
    cr_assert_not(tracker_name(tracker, 0, name, sizeof(name)), "nothing was taken");
    cr_assert_eq(push("shop", 1, 42, true, record("a", "b", 90, 9000, 10, 1000)), TRACK_TAKEN);
    cr_assert_eq(push("shop", 1, 43, false, record("a", "b", 0, 0, 10, 1000)), TRACK_TAKEN);
    const struct profile *profile = profile_of("shop", &reading);
    cr_expect_eq(profile->totals.inuse_bytes, 7000);
    profile_unref(profile);
    /* Totals that are not needed change nothing. */
    cr_assert_eq(push("shop", 1, 44, true, record("a", "b", 90, 9000, 20, 2000)), TRACK_TAKEN);
    profile = profile_of("shop", &reading);
    cr_expect_eq(profile->totals.inuse_bytes, 7000);
    cr_expect_eq(reading.instances, 1);
    profile_unref(profile);
}

Test(tracker, more_freed_than_allocated_is_nothing_held)
{
    struct track_reading reading;
    (void)push("shop", 1, 1, false, record("a", "b", 1, 10, 5, 500));
    const struct profile *profile = profile_of("shop", &reading);
    cr_expect_eq(profile->totals.inuse_bytes, 0);
    cr_expect_eq(profile->totals.alloc_bytes, 10);
    profile_unref(profile);
}

Test(tracker, counts_what_it_has_no_room_for_as_other)
{
    struct track_reading reading;
    for (uint64_t i = 0; i < TRACKER_GROUPS_MAX + 100; i++) {
        char type[32];
        (void)snprintf(type, sizeof(type), "type-%llu", (unsigned long long)i);
        (void)push("shop", 1, i + 1, false, record(type, "tag", 1, 10, 0, 0));
    }
    const struct profile *profile = profile_of("shop", &reading);
    cr_expect_eq(profile->entry_count, TRACKER_GROUPS_MAX);
    cr_expect_eq(profile->totals.alloc_bytes, (TRACKER_GROUPS_MAX + 100) * 10, "nothing is lost");
    cr_expect_eq(reading.groups_dropped, 101);
    cr_expect_str_eq(profile->entries[TRACKER_GROUPS_MAX - 1].site->type_name, "other");
    profile_unref(profile);
}

Test(tracker, takes_so_many_programs_and_forgets_them_when_told)
{
    struct error err;
    struct track_batch batch = {.sequence = 1};
    enum track_outcome outcome;
    char name[64];
    for (int i = 0; i < TRACKER_TARGETS_MAX; i++) {
        (void)snprintf(batch.target, sizeof(batch.target), "program-%d", i);
        cr_assert(tracker_take(tracker, &batch, 1, 1, &outcome, &err));
    }
    (void)snprintf(batch.target, sizeof(batch.target), "one-too-many");
    cr_assert_not(tracker_take(tracker, &batch, 1, 1, &outcome, &err));
    cr_expect_eq(err.code, ERROR_LIMIT);
    tracker_forget(tracker, "program-7");
    cr_assert(tracker_take(tracker, &batch, 1, 1, &outcome, &err));
    size_t found = 0;
    for (size_t i = 0; tracker_name(tracker, i, name, sizeof(name)); i++)
        found += strcmp(name, "program-7") != 0;
    cr_expect_eq(found, TRACKER_TARGETS_MAX);
}

Test(tracker, what_is_held_stays_right_when_the_sum_of_all_allocations_stands_still)
{
    struct track_reading reading;
    for (uint64_t i = 0; i < 6; i++)
        (void)push("shop", 1, i + 1, false,
                   record("a", "b", 1000, TRACK_NUMBER_MAX, 999, TRACK_NUMBER_MAX - 1000));
    const struct profile *profile = profile_of("shop", &reading);
    cr_expect_eq(profile->totals.inuse_bytes, 6000);
    cr_expect_eq(profile->totals.inuse_objects, 6);
    profile_unref(profile);
    /* Told in the wrong order it comes out right as well. */
    (void)push("shop", 2, 1, false, record("a", "b", 0, 0, 5, 500));
    (void)push("shop", 2, 2, false, record("a", "b", 7, 700, 0, 0));
    profile = profile_of("shop", &reading);
    cr_expect_eq(profile->totals.inuse_bytes, 200);
    profile_unref(profile);
}
