/* allocation_failure.c - each allocation of each builder fails once, and nothing else breaks.
 *
 * A leak or a wild pointer on the way out is what AddressSanitizer looks for here. */
#include <criterion/criterion.h>
#include <math.h>

#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/profile.h"
#include "core/store/ring.h"
#include "core/store/snapshot.h"
#include "core/store/trend.h"
#include "tests/support/failing_allocator.h"
#include "tests/unit/store/samples.h"

/* Runs [build] with its first, second, ... allocation failing until all succeed; returns how many
 * there were.  [build] says whether it succeeded. */
static uint64_t fail_each(bool (*build)(void))
{
    for (uint64_t n = 0; n < 10000; n++) {
        failing_allocator_arm(n);
        const bool succeeded = build();
        const bool failed = failing_allocator_disarm();
        if (!failed) {
            cr_assert(succeeded, "fails although no allocation did");
            return n;
        }
        cr_assert_not(succeeded, "allocation %d failed unnoticed", (int)n);
    }
    cr_assert_fail("never succeeds");
    return 0;
}

static bool build_profile_and_tops(void)
{
    const struct tops *tops = NULL;
    struct profile *profile = NULL;
    struct site_table *table = site_table_new();
    if (table == NULL)
        return false;
    const struct site *site = sample_site(table, "runtime.growslice main.leak main.main", 1, 16);
    if (site != NULL)
        profile = profile_begin(table, 4);
    if (profile != NULL) {
        sample_entry(profile, site, 160, 160);
        tops = tops_new(profile, GROUP_TYPE_TAG, 10);
    }
    const bool succeeded = tops != NULL;
    tops_unref(tops);
    profile_discard(profile);
    site_table_unref(table);
    return succeeded;
}

Test(allocation_failure, in_a_profile_or_its_tops_is_reported_and_leaks_nothing)
{
    cr_assert_geq(fail_each(build_profile_and_tops), 8);
}

/* One more beat of a site that grows; [*last] is replaced. */
static bool add_beat(struct site_table *table, uint64_t second, const struct profile **last)
{
    const uint64_t now_ns = second * 1000000000;
    site_table_begin_read(table, now_ns, UINT64_C(600) * 1000000000);
    const struct site *site =
        *last != NULL ? (*last)->entries[0].site : sample_site(table, "main.leak", 0, 16);
    struct profile *profile = site == NULL ? NULL : profile_begin(table, 1);
    if (profile == NULL)
        return false;
    profile->taken_realtime_ns = now_ns;
    sample_entry(profile, site, 160 * (int64_t)second, 160 * (int64_t)second);
    profile_unref(*last);
    *last = profile_seal(profile);
    return true;
}

static bool build_history(void)
{
    const struct profile *profile = NULL;
    const struct tops *tops = NULL;
    struct site_table *table = site_table_new();
    if (table == NULL)
        return false;
    if (add_beat(table, 1, &profile) && add_beat(table, 2, &profile))
        tops = tops_new(profile, GROUP_TAG, 10);
    /* Without memory for it the history is left out: the growth is not known then. */
    const bool succeeded =
        tops != NULL && tops->retentions[0].retention.growth_bytes_per_second == 160;
    cr_assert(tops == NULL || succeeded ||
              isnan(tops->retentions[0].retention.growth_bytes_per_second));
    tops_unref(tops);
    profile_unref(profile);
    site_table_unref(table);
    return succeeded;
}

Test(allocation_failure, in_the_history_of_sites_leaves_the_growth_unknown)
{
    cr_assert_geq(fail_each(build_history), 12);
}

static bool grow_strings(void)
{
    struct site_table *table = site_table_new();
    if (table == NULL)
        return false;
    bool succeeded = true;
    for (int i = 0; i < 3000 && succeeded; i++) {
        char text[16];
        const int length = snprintf(text, sizeof(text), "f%d", i);
        succeeded = site_table_string(table, text, (size_t)length) != NULL;
    }
    site_table_unref(table);
    return succeeded;
}

Test(allocation_failure, while_the_string_set_grows_leaves_it_usable)
{
    cr_assert_geq(fail_each(grow_strings), 5);
}

static bool build_snapshot(void)
{
    const struct snapshot *snapshot = sample_snapshot(1);
    snapshot_unref(snapshot);
    return snapshot != NULL;
}

Test(allocation_failure, of_a_snapshot_is_reported)
{
    cr_assert_eq(fail_each(build_snapshot), 1);
}

static bool build_finding_set(void)
{
    char long_message[9000];
    memset(long_message, 'm', sizeof(long_message) - 1);
    long_message[sizeof(long_message) - 1] = '\0';
    const struct evidence evidence = {.function = "main.leak"};
    const struct key_value label = {.key = "k", .value = "v"};
    const struct finding findings[] = {
        {.id = "a", .message = long_message, .evidence = &evidence, .evidence_count = 1},
        {.id = "b", .advice = long_message, .labels = &label, .label_count = 1},
    };
    const struct finding_set *set = finding_set_new(findings, 2, 1);
    finding_set_unref(set);
    return set != NULL;
}

Test(allocation_failure, in_a_finding_set_is_reported)
{
    cr_assert_geq(fail_each(build_finding_set), 4);
}

static bool build_rules_report(void)
{
    const struct rule_status rules[] = {{.name = "a"}, {.name = "b"}};
    const struct rules_report report = {.count = 2, .rules = rules};
    const struct rules_report *copy = rules_report_new(&report);
    rules_report_unref(copy);
    return copy != NULL;
}

Test(allocation_failure, in_a_rules_report_is_reported)
{
    cr_assert_geq(fail_each(build_rules_report), 2);
}

static bool build_target_info(void)
{
    const struct target_info *info = sample_info("a", "b");
    target_info_unref(info);
    return info != NULL;
}

Test(allocation_failure, in_a_target_info_is_reported)
{
    cr_assert_geq(fail_each(build_target_info), 2);
}

static bool build_board(void)
{
    struct board *board = board_new(10);
    board_free(board);
    return board != NULL;
}

Test(allocation_failure, in_a_new_board_is_reported)
{
    cr_assert_geq(fail_each(build_board), 3);
}

Test(allocation_failure, in_a_publication_leaves_the_board_as_it_was_or_only_its_history_shorter)
{
    for (uint64_t n = 0;; n++) {
        struct board *board = board_new(10);
        struct error err = {0};
        const struct target_view before = {.info = sample_info("a", "a"),
                                           .snapshot = sample_snapshot(1)};
        cr_assert(board_publish(board, &before, 1, 1, &err));
        const struct target_view views[] = {
            {.info = sample_info("a", "a"), .snapshot = sample_snapshot(2)},
            {.info = sample_info("b", "b"), .snapshot = sample_snapshot(2)},
        };
        failing_allocator_arm(n);
        const bool published = board_publish(board, views, 2, 2, &err);
        const bool failed = failing_allocator_disarm();

        const struct board_page *page = board_page(board);
        cr_assert_eq(page->target_count, published ? 2 : 1);
        board_page_unref(page);
        if (!published) {
            cr_assert_eq(err.code, ERROR_NO_MEMORY);
            cr_assert_gt(strlen(err.message), 10);
        }
        bool found = false;
        const struct snapshot *history[4];
        const size_t count = board_history(board, "a", 0, UINT64_MAX, history, 4, &found);
        cr_assert(found);
        cr_assert_eq(count, published ? 2 : 1);
        for (size_t i = 0; i < count; i++)
            snapshot_unref(history[i]);

        /* And the next beat is as if nothing had happened. */
        const struct target_view after[] = {
            {.info = sample_info("a", "a"), .snapshot = sample_snapshot(3)},
            {.info = sample_info("b", "b"), .snapshot = sample_snapshot(3)},
        };
        cr_assert(board_publish(board, after, 2, 3, &err));
        board_free(board);
        if (!failed) {
            cr_assert_geq(n, 7);
            break;
        }
    }
}

static bool push_many(void)
{
    struct ring *ring = ring_new(40);
    bool succeeded = ring != NULL;
    for (uint64_t i = 1; i <= 40 && succeeded; i++) {
        succeeded = ring_make_room(ring);
        const struct snapshot *snapshot = succeeded ? sample_snapshot(i) : NULL;
        if (snapshot == NULL)
            succeeded = false;
        else
            snapshot_unref(ring_push(ring, snapshot));
    }
    ring_free(ring);
    return succeeded;
}

Test(allocation_failure, while_a_ring_grows_is_reported)
{
    cr_assert_geq(fail_each(push_many), 43);
}

static bool compute_trend(void)
{
    const struct trend_point points[] = {{0, 1}, {1, 2}, {2, 5}};
    struct trend trend;
    double median = 0;
    return trend_compute(points, 3, &trend) && trend_percentile(points, 3, 50, &median);
}

Test(allocation_failure, in_a_trend_gives_no_answer_rather_than_a_wrong_one)
{
    cr_assert_eq(fail_each(compute_trend), 2);
}

Test(allocation_failure, while_a_capture_is_counted_counts_known_targets_all_the_same)
{
    struct board *board = board_new(1);
    board_count_capture(board, "a");
    failing_allocator_arm(0);
    board_count_capture(board, "a");
    cr_assert(failing_allocator_disarm());
    cr_assert_eq(board_capture_count(board, "a"), 2);
    board_free(board);
}
