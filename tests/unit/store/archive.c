/* archive.c - a long history through the board: most of it packed, all of it there. */
#include "core/store/archive.h"

#include <criterion/criterion.h>

#include "core/store/board.h"
#include "core/store/ring.h"
#include "tests/unit/store/samples.h"

enum { CAPACITY = 1000, FOUND_MAX = 2 * CAPACITY };

static void publish_seconds(struct board *board, uint64_t first, uint64_t last)
{
    for (uint64_t second = first; second <= last; second++) {
        const struct target_view view = {.info = sample_info("a", "app"),
                                         .snapshot = sample_snapshot(second)};
        struct error err = {0};
        cr_assert(board_publish(board, &view, 1, 77, &err), "%s", err.message);
    }
}

/* The history of [since] to [until] is each second from [first] to [last]. */
static void expect_seconds(struct board *board, uint64_t since, uint64_t until, size_t max,
                           uint64_t first, uint64_t last)
{
    static const struct snapshot *found[FOUND_MAX];
    const uint64_t epoch_s = 1700000000;
    bool known = false;
    const size_t count = board_history(board, "a", (epoch_s + since) * 1000000000,
                                       (epoch_s + until) * 1000000000, found, max, &known);
    cr_assert(known);
    cr_assert_eq(count, last + 1 - first, "%zu snapshots instead of %zu", count,
                 (size_t)(last + 1 - first));
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(found[i]->sequence, first + i);
        cr_assert_eq(found[i]->values.heap_alloc_bytes, (first + i) * 1000);
        snapshot_unref(found[i]);
    }
}

static struct board *new_board(size_t capacity)
{
    struct board *board = board_new(capacity);
    cr_assert_not_null(board);
    return board;
}

Test(archive, gives_each_moment_of_a_long_history_back)
{
    struct board *board = new_board(CAPACITY);
    publish_seconds(board, 1, 900);
    expect_seconds(board, 0, 9999, FOUND_MAX, 1, 900);
    expect_seconds(board, 0, 9999, 100, 801, 900);
    expect_seconds(board, 0, 9999, 1, 900, 900);
    expect_seconds(board, 60, 70, FOUND_MAX, 60, 70);
    expect_seconds(board, 500, 899, 300, 600, 899);
    expect_seconds(board, 5000, 9999, FOUND_MAX, 1, 0);
    board_free(board);
}

Test(archive, lets_the_oldest_go_at_the_capacity)
{
    struct board *board = new_board(CAPACITY);
    publish_seconds(board, 1, 3000);
    expect_seconds(board, 0, 9999, FOUND_MAX, 3001 - CAPACITY, 3000);
    expect_seconds(board, 0, 1800, FOUND_MAX, 1, 0);
    cr_assert_eq(atomic_load(&board_counters(board)->history_dropped), 0);
    board_free(board);
}

Test(archive, takes_a_small_part_of_the_memory_of_the_snapshots)
{
    struct board *board = new_board(3600);
    publish_seconds(board, 1, 3600);
    const uint64_t bytes = atomic_load(&board_counters(board)->history_bytes);
    cr_assert_lt(bytes, 300 * 3600, "%llu bytes", (unsigned long long)bytes);
    board_free(board);
}

Test(archive, is_given_up_block_by_block_when_the_history_is_over_its_bound)
{
    struct board *board = new_board(CAPACITY);
    const uint64_t max_bytes = 150 * sizeof(struct snapshot);
    board_limit_history(board, max_bytes);
    publish_seconds(board, 1, 2 * CAPACITY);
    struct board_counters *counters = board_counters(board);
    cr_assert_leq(atomic_load(&counters->history_bytes), max_bytes);
    expect_seconds(board, 1950, 9999, FOUND_MAX, 1950, 2000);

    board_limit_history(board, 1);
    publish_seconds(board, 2 * CAPACITY + 1, 2 * CAPACITY + 100);
    expect_seconds(board, 0, 9999, FOUND_MAX, 2100, 2100);
    cr_assert_gt(atomic_load(&counters->history_dropped), 100);
    board_free(board);
}

Test(archive, counts_the_site_tables_of_processes_that_are_gone)
{
    struct archive *archive = archive_new(CAPACITY);
    struct ring *ring = ring_new(ARCHIVE_TAIL_MAX);
    struct site_table *tables[2] = {site_table_new(), site_table_new()};
    for (uint64_t i = 0; i <= COLUMNS_SNAPSHOTS_MAX; i++) {
        struct site_table *table = tables[i == COLUMNS_SNAPSHOTS_MAX];
        struct profile *profile = profile_begin(table, 1);
        sample_entry(profile, sample_site(table, "main.work main.main", 0, 16), 160, 160);
        const struct profile *sealed = profile_seal(profile);
        struct snapshot *snapshot = snapshot_begin(i + 1, i + 1);
        snapshot->tops = tops_new(sealed, GROUP_SITE, 1);
        cr_assert_not_null(snapshot->tops);
        profile_unref(sealed);
        cr_assert(ring_make_room(ring));
        cr_assert_null(ring_push(ring, snapshot_seal(snapshot)));
    }
    struct packed *packed = archive_pack(ring);
    cr_assert_not_null(packed);
    const size_t block_bytes = columns_bytes(packed->block);
    cr_assert_null(archive_take(archive, packed, ring));
    archive_packed_free(packed);
    cr_assert_eq(ring_count(ring), 1);
    cr_assert_eq(archive_count(archive), COLUMNS_SNAPSHOTS_MAX);
    cr_assert_eq(archive_bytes(archive), block_bytes + site_table_bytes(tables[0]));
    const struct columns *dropped = archive_drop_oldest(archive, ring);
    cr_assert_eq(archive_bytes(archive), 0);
    columns_unref(dropped);
    for (size_t i = 0; i < 2; i++)
        site_table_unref(tables[i]);
    ring_free(ring);
    archive_free(archive);
}
