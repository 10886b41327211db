/* board.c - what is published, kept and dropped. */
#include "core/store/board.h"

#include <criterion/criterion.h>

#include "core/store/finding.h"
#include "core/store/snapshot.h"
#include "tests/unit/store/samples.h"

static struct board *board;

static void set_up(void)
{
    board = board_new(5);
}

static void tear_down(void)
{
    board_free(board);
}

TestSuite(board, .init = set_up, .fini = tear_down);

static struct target_view view(const char *id, uint64_t second)
{
    return (struct target_view){
        .info = sample_info(id, "app"),
        .snapshot = second > 0 ? sample_snapshot(second) : NULL,
    };
}

static void publish(const struct target_view *views, size_t count)
{
    struct error err = {0};
    cr_assert(board_publish(board, views, count, 77, &err), "%s", err.message);
}

static void publish_one(const char *id, uint64_t second)
{
    const struct target_view one = view(id, second);
    publish(&one, 1);
}

/* The sequences of the history of [id], as "1 2 3". */
static const char *history(const char *id, uint64_t since_s, uint64_t until_s, size_t max)
{
    static char text[256];
    const uint64_t epoch_s = 1700000000;
    const struct snapshot *found[16];
    bool exists = false;
    const size_t count = board_history(board, id, (epoch_s + since_s) * 1000000000,
                                       (epoch_s + until_s) * 1000000000, found, max, &exists);
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        length += (size_t)snprintf(text + length, sizeof(text) - length, i == 0 ? "%llu" : " %llu",
                                   (unsigned long long)found[i]->sequence);
        snapshot_unref(found[i]);
    }
    return exists ? text : "none";
}

Test(board, has_an_empty_page_and_no_findings_before_the_first_beat)
{
    const struct board_page *page = board_page(board);
    cr_assert_eq(page->target_count, 0);
    cr_assert_null(board_page_find(page, "demo"));
    board_page_unref(page);
    const struct finding_set *set = board_findings(board);
    cr_assert_eq(set->count, 0);
    finding_set_unref(set);
    cr_assert_null(board_rules(board));
    cr_assert_str_eq(history("demo", 0, 99, 9), "none");
}

Test(board, shows_each_beat_and_leaves_older_pages_to_their_readers)
{
    publish_one("demo", 1);
    const struct board_page *first = board_page(board);
    const struct target_view two[] = {view("demo", 2), view("other", 2)};
    publish(two, 2);
    const struct board_page *second = board_page(board);
    cr_assert_eq(second->sequence, first->sequence + 1);
    cr_assert_eq(second->published_realtime_ns, 77);
    cr_assert_eq(first->target_count, 1);
    cr_assert_eq(second->target_count, 2);
    cr_assert_eq(board_page_find(first, "demo")->snapshot->sequence, 1);
    cr_assert_eq(board_page_find(second, "demo")->snapshot->sequence, 2);
    cr_assert_null(board_page_find(first, "other"));
    board_page_unref(board_page_ref(first));
    board_page_unref(first);
    board_page_unref(second);
    board_page_unref(NULL);
}

Test(board, finds_a_target_by_id_before_any_by_name)
{
    const struct target_view views[] = {
        {.info = sample_info("one", "two")},
        {.info = sample_info("two", "three")},
    };
    publish(views, 2);
    const struct board_page *page = board_page(board);
    cr_assert_eq(board_page_find(page, "two"), &page->targets[1]);
    cr_assert_eq(board_page_find(page, "three"), &page->targets[1]);
    cr_assert_eq(board_page_find(page, "one"), &page->targets[0]);
    cr_assert_null(board_page_find(page, ""));
    board_page_unref(page);
}

Test(board, keeps_the_newest_snapshots_of_each_target)
{
    for (uint64_t s = 1; s <= 8; s++) {
        const struct target_view views[] = {view("a", s), view("b", s * 10)};
        publish(views, 2);
    }
    cr_assert_str_eq(history("a", 0, 99, 16), "4 5 6 7 8");
    cr_assert_str_eq(history("b", 0, 99, 16), "40 50 60 70 80");
}

Test(board, answers_history_by_time_and_gives_the_newest_when_asked_for_few)
{
    for (uint64_t s = 1; s <= 5; s++)
        publish_one("a", s);
    cr_assert_str_eq(history("a", 2, 4, 16), "2 3 4");
    cr_assert_str_eq(history("a", 2, 4, 2), "3 4");
    cr_assert_str_eq(history("a", 0, 99, 1), "5");
    cr_assert_str_eq(history("a", 0, 99, 0), "");
    cr_assert_str_eq(history("a", 6, 99, 16), "");
    cr_assert_str_eq(history("b", 0, 99, 16), "none");
}

Test(board, pushes_a_snapshot_once_and_none_that_is_older)
{
    publish_one("a", 3);
    const struct board_page *page = board_page(board);
    const struct target_view again = {
        .info = target_info_ref(page->targets[0].info),
        .snapshot = snapshot_ref(page->targets[0].snapshot),
    };
    board_page_unref(page);
    publish(&again, 1);
    publish_one("a", 2);
    publish_one("a", 0); /* a beat without a snapshot: the target could not be read */
    cr_assert_str_eq(history("a", 0, 99, 16), "3");
    publish_one("a", 4);
    cr_assert_str_eq(history("a", 0, 99, 16), "3 4");
}

Test(board, drops_the_history_of_targets_that_left_and_keeps_the_others)
{
    struct target_view views[] = {view("a", 1), view("b", 1), view("c", 1)};
    publish(views, 3);
    const struct target_view rest[] = {view("c", 2), view("a", 2)}; /* in another order, too */
    publish(rest, 2);
    cr_assert_str_eq(history("a", 0, 99, 16), "1 2");
    cr_assert_str_eq(history("b", 0, 99, 16), "none");
    cr_assert_str_eq(history("c", 0, 99, 16), "1 2");
    publish_one("b", 3); /* comes back, with a new history */
    cr_assert_str_eq(history("b", 0, 99, 16), "3");
    cr_assert_str_eq(history("a", 0, 99, 16), "none");
}

Test(board, refuses_two_targets_of_one_id_and_stays_as_it_was)
{
    publish_one("a", 1);
    struct error err = {0};
    const struct target_view known[] = {view("a", 2), view("a", 3)};
    cr_assert_not(board_publish(board, known, 2, 1, &err));
    cr_assert_eq(err.code, ERROR_USAGE);
    cr_assert_not_null(strstr(err.message, "'a'"));
    const struct target_view fresh[] = {view("a", 2), view("n", 2), view("n", 3)};
    cr_assert_not(board_publish(board, fresh, 3, 1, &err));
    const struct target_view nameless = {.snapshot = sample_snapshot(9)};
    cr_assert_not(board_publish(board, &nameless, 1, 1, &err));
    cr_assert_str_eq(history("a", 0, 99, 16), "1");
    cr_assert_str_eq(history("n", 0, 99, 16), "none");
    publish_one("a", 2);
    cr_assert_str_eq(history("a", 0, 99, 16), "1 2");
}

Test(board, publishes_findings_and_rules_and_keeps_what_readers_hold)
{
    const struct finding finding = {.id = "x", .message = "first"};
    board_publish_findings(board, finding_set_new(&finding, 1, 1));
    const struct finding_set *held = board_findings(board);
    board_publish_findings(board, finding_set_new(NULL, 0, 2));
    cr_assert_str_eq(held->findings[0].message, "first");
    finding_set_unref(held);
    board_publish_findings(board, NULL); /* no memory for a set: the last stays */
    held = board_findings(board);
    cr_assert_eq(held->sequence, 2);
    finding_set_unref(held);

    const struct rules_report report = {.generation = 3};
    board_publish_rules(board, rules_report_new(&report));
    const struct rules_report *rules = board_rules(board);
    board_publish_rules(board, rules_report_new(&report));
    cr_assert_eq(rules->generation, 3);
    rules_report_unref(rules);
}

Test(board, counts_captures_of_each_target_also_after_it_left)
{
    cr_assert_eq(board_capture_count(board, "a"), 0);
    board_count_capture(board, "a");
    board_count_capture(board, "a");
    board_count_capture(board, "b");
    publish_one("c", 1);
    cr_assert_eq(board_capture_count(board, "a"), 2);
    cr_assert_eq(board_capture_count(board, "b"), 1);
    cr_assert_eq(board_capture_count(board, "c"), 0);
}

Test(board, forgets_the_captures_of_the_least_recent_when_too_many_targets_came)
{
    char id[32];
    board_count_capture(board, "first");
    for (int i = 0; i < 1023; i++) {
        snprintf(id, sizeof(id), "t%d", i);
        board_count_capture(board, id);
    }
    board_count_capture(board, "first"); /* used again: now t0 is the least recent */
    board_count_capture(board, "one more");
    cr_assert_eq(board_capture_count(board, "first"), 2);
    cr_assert_eq(board_capture_count(board, "one more"), 1);
    cr_assert_eq(board_capture_count(board, "t0"), 0);
    cr_assert_eq(board_capture_count(board, "t1"), 1);
}

Test(board, reads_every_counter_through_the_table)
{
    struct board_counters *counters = board_counters(board);
    atomic_fetch_add(&counters->http_errors, 7);
    atomic_fetch_add(&counters->sampler_beats, 3);
    for (size_t i = 0; i < BOARD_COUNTER_COUNT; i++) {
        const struct board_counter_field *field = &board_counter_fields[i];
        const uint64_t expected = strcmp(field->name, "http_errors") == 0     ? 7
                                  : strcmp(field->name, "sampler_beats") == 0 ? 3
                                                                              : 0;
        cr_assert_eq(board_counter_get(counters, field), expected, "%s", field->name);
    }
}

Test(board, drops_the_oldest_of_all_targets_when_the_history_is_over_its_bound)
{
    board_limit_history(board, 3 * sizeof(struct snapshot));
    const struct target_view first[] = {view("demo", 1)};
    publish(first, 1);
    const struct target_view second[] = {view("demo", 2), view("other", 3)};
    publish(second, 2);
    const struct target_view third[] = {view("demo", 4), view("other", 5)};
    publish(third, 2);
    cr_assert_str_eq(history("demo", 0, 99, 9), "4");
    cr_assert_str_eq(history("other", 0, 99, 9), "3 5");
    cr_assert_eq(atomic_load(&board_counters(board)->history_dropped), 2);
    cr_assert_eq(atomic_load(&board_counters(board)->history_bytes), 3 * sizeof(struct snapshot));
}

Test(board, keeps_the_newest_of_each_target_even_over_the_bound)
{
    board_limit_history(board, 1);
    const struct target_view views[] = {view("demo", 1), view("other", 2)};
    publish(views, 2);
    cr_assert_str_eq(history("demo", 0, 99, 9), "1");
    cr_assert_str_eq(history("other", 0, 99, 9), "2");
}
