/* history_test.c - what the engine remembers of a target: missed beats, limits, restarts. */
#include <criterion/criterion.h>

#include "core/store/board.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/history.h"

#define SECOND UINT64_C(1000000000)
#define START (UINT64_C(1800000000) * SECOND)

/* Publishes beat [sequence] of target "demo"; the clock is one second a beat. */
static void publish(struct board *board, uint64_t sequence, uint64_t generation)
{
    struct error err;
    struct snapshot *snapshot = snapshot_begin(START + sequence * SECOND, (100 + sequence) * SECOND);
    snapshot->sequence = sequence;
    snapshot->generation = generation;
    SNAPSHOT_SET(&snapshot->values, goroutines, sequence);
    const struct target_facts facts = {.id = "demo", .name = "demo", .state = TARGET_UP};
    const struct target_view view = {.info = target_info_new(&facts, "", 0),
                                     .snapshot = snapshot_seal(snapshot)};
    cr_assert(board_publish(board, &view, 1, START + sequence * SECOND, &err));
}

static bool advance(struct history *history, struct board *board)
{
    struct error err;
    bool fresh;
    const struct board_page *page = board_page(board);
    cr_assert(history_advance(history, board, &page->targets[0], &fresh, &err), "%s", err.message);
    board_page_unref(page);
    return fresh;
}

/* The history holds these [count] beats: `goroutines` is the beat's number. */
static void expect_sequences(struct history *history, uint64_t first, size_t count)
{
    static struct trend_point points[HISTORY_SNAPSHOTS_MAX];
    const struct history_window all = {.seconds = 1e9};
    const size_t have = history_points(history, snapshot_field_find("goroutines"), &all, points,
                                       HISTORY_SNAPSHOTS_MAX);
    cr_assert_eq(have, count, "%zu snapshots instead of %zu", have, count);
    cr_assert_eq(history_count(history), count);
    for (size_t i = 0; i < have; i++)
        cr_assert_float_eq(points[i].value, (double)(first + i), 0);
}

Test(history, takes_each_beat_once)
{
    struct board *board = board_new(100);
    struct history *history = history_new(100, 600 * SECOND);
    publish(board, 1, 1);
    cr_assert(advance(history, board));
    cr_assert_not(advance(history, board));
    publish(board, 2, 1);
    cr_assert(advance(history, board));
    expect_sequences(history, 1, 2);
    history_free(history);
    board_free(board);
}

Test(history, fetches_beats_that_were_missed_from_the_ring)
{
    struct board *board = board_new(100);
    struct history *history = history_new(100, 600 * SECOND);
    for (uint64_t i = 1; i <= 20; i++)
        publish(board, i, 1);
    cr_assert(advance(history, board));
    expect_sequences(history, 1, 20);
    for (uint64_t i = 21; i <= 30; i++)
        publish(board, i, 1);
    cr_assert(advance(history, board));
    expect_sequences(history, 1, 30);
    history_free(history);
    board_free(board);
}

Test(history, forgets_by_count_and_by_age)
{
    struct board *board = board_new(2000);
    struct history *few = history_new(10, 600 * SECOND);
    struct history *recent = history_new(2000, 30 * SECOND);
    for (uint64_t i = 1; i <= 1000; i++) {
        publish(board, i, 1);
        (void)advance(few, board);
        (void)advance(recent, board);
    }
    expect_sequences(few, 991, 10);
    expect_sequences(recent, 970, 31);
    history_free(few);
    history_free(recent);
    board_free(board);
}

Test(history, computes_over_the_window_only)
{
    struct board *board = board_new(2000);
    struct history *history = history_new(2000, 600 * SECOND);
    struct series series;
    const struct history_window ten = {.seconds = 10};
    const struct history_window all = {.seconds = 1e9};
    for (uint64_t i = 1; i <= 400; i++) {
        publish(board, i, 1);
        (void)advance(history, board);
    }
    const struct field *field = snapshot_field_find("goroutines");
    cr_assert(history_trend(history, field, &ten, &series));
    cr_assert_float_eq(series.trend.first, 390, 0);
    cr_assert_float_eq(series.trend.last, 400, 0);
    cr_assert_float_eq(series.trend.per_second, 1, 1e-9);
    cr_assert_float_eq(series.drawdown, 0, 0);
    cr_assert(history_trend(history, field, &ten, &series), "from the cache");
    cr_assert_float_eq(series.trend.first, 390, 0);
    cr_assert(history_trend(history, field, &all, &series));
    cr_assert_float_eq(series.trend.first, 1, 0);
    cr_assert_eq(series.trend.points, (size_t)HISTORY_TREND_POINTS);
    cr_assert_not(history_trend(history, snapshot_field_find("threads"), &ten, &series));
    history_free(history);
    board_free(board);
}

Test(history, starts_again_with_a_target_that_counts_from_one_again)
{
    struct board *board = board_new(100);
    struct history *history = history_new(100, 600 * SECOND);
    for (uint64_t i = 1; i <= 5; i++) {
        publish(board, i, 1);
        (void)advance(history, board);
    }
    board_free(board);
    board = board_new(100);
    publish(board, 1, 1);
    cr_assert(advance(history, board));
    expect_sequences(history, 1, 1);
    history_free(history);
    board_free(board);
}

Test(history, forgets_the_process_before_a_restart)
{
    struct board *board = board_new(100);
    struct history *history = history_new(100, 600 * SECOND);
    for (uint64_t i = 1; i <= 5; i++) {
        publish(board, i, i < 4 ? 1 : 2);
        (void)advance(history, board);
    }
    expect_sequences(history, 4, 2);
    history_free(history);
    board_free(board);
}

Test(history, fills_in_the_past_of_a_field_that_is_asked_for_late)
{
    struct board *board = board_new(100);
    struct history *history = history_new(100, 600 * SECOND);
    for (uint64_t i = 1; i <= 20; i++) {
        publish(board, i, i < 4 ? 1 : 2);
        (void)advance(history, board);
    }
    const size_t before = history_bytes(history);
    expect_sequences(history, 4, 17);
    cr_assert_gt(history_bytes(history), before, "a column that nobody asked for was kept");
    publish(board, 21, 2);
    (void)advance(history, board);
    expect_sequences(history, 4, 18);
    history_free(history);
    board_free(board);
}

Test(history, thins_the_past_of_a_target_with_very_many_beats)
{
    struct board *board = board_new(16);
    struct history *history = history_new(100000, 1000000 * SECOND);
    const struct field *field = snapshot_field_find("goroutines");
    size_t place;
    publish(board, 1, 1);
    (void)advance(history, board);
    (void)history_value(history, field, 0);
    for (uint64_t i = 2; i <= 3 * HISTORY_SNAPSHOTS_MAX; i++) {
        publish(board, i, 1);
        (void)advance(history, board);
        cr_assert_leq(history_count(history), (size_t)HISTORY_SNAPSHOTS_MAX);
    }
    static struct trend_point points[HISTORY_SNAPSHOTS_MAX];
    const struct history_window all = {.seconds = 1e9};
    const size_t count = history_points(history, field, &all, points, HISTORY_SNAPSHOTS_MAX);
    cr_assert_eq(count, history_count(history));
    cr_assert_float_eq(points[0].value, 1, 0, "the oldest is %g", points[0].value);
    for (size_t i = 1; i < count; i++)
        cr_assert_float_eq(points[i].value - 1, points[i].seconds, 1e-6);
    cr_assert(history_place(history, 100, &place));
    cr_assert_float_eq(history_value(history, field, place), 3 * HISTORY_SNAPSHOTS_MAX - 100, 0);
    history_free(history);
    board_free(board);
}

Test(history, knows_the_deepest_fall_of_a_series)
{
    struct series series;
    const struct trend_point points[] = {{0, 5}, {1, 9}, {2, 7}, {3, 12}, {4, 4}, {5, 20}};
    cr_assert(series_compute(points, 6, &series));
    cr_assert_float_eq(series.drawdown, 8, 0);
    cr_assert_not(series_compute(points, 1, &series));
}
