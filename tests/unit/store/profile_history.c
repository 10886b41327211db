/* profile_history.c - what was served then can be served again. */
#include "core/store/profile_history.h"

#include <criterion/criterion.h>

#include "core/store/board.h"
#include "tests/unit/store/samples.h"

#define S UINT64_C(1000000000)

enum { SITES = 200, PROFILES = 150 };

struct process {
    struct site_table *table;
    const struct site *sites[SITES];
    size_t count;
    struct profile_entry entries[SITES];
    uint64_t random;
};

static void process_start(struct process *process)
{
    *process = (struct process){.table = site_table_new(), .random = 4711};
}

/* A GC later: some numbers have changed, sometimes there are more sites. */
static const struct profile *process_profile(struct process *process, uint64_t taken_ns)
{
    const size_t more = sample_random(&process->random) % 4;
    for (size_t i = 0; i < more && process->count < SITES; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "main.f%zu", process->count);
        process->sites[process->count++] = sample_site(process->table, name, 0, 16);
    }
    struct profile *building = profile_begin(process->table, process->count);
    for (size_t i = 0; i < process->count; i++) {
        struct profile_entry *entry = &process->entries[i];
        entry->site = process->sites[i];
        if (sample_random(&process->random) % 3 == 0) {
            entry->allocs += sample_random(&process->random) % 100;
            entry->alloc_bytes += (int64_t)(sample_random(&process->random) % 100000);
            entry->inuse_bytes = (int64_t)(sample_random(&process->random) % 50000) - 20000;
        }
        if (sample_random(&process->random) % 50 == 0)
            entry->inuse_objects = INT64_MIN + (int64_t)(sample_random(&process->random) % 3);
        building->entries[i] = *entry;
    }
    building->entry_count = process->count;
    building->taken_realtime_ns = taken_ns;
    building->cycle = taken_ns / S;
    building->rate = 524288;
    building->partial = sample_random(&process->random) % 5 == 0;
    return profile_seal(building);
}

static void add(struct profile_history *history, const struct profile *profile)
{
    struct profile_push *push = profile_history_prepare(history, profile);
    cr_assert_not_null(push);
    profile_history_push(history, push);
    profile_push_free(push);
}

static const struct profile *at(const struct profile_history *history, uint64_t realtime_ns)
{
    struct profile_run *run = profile_run_new();
    const struct profile *profile = NULL;
    if (profile_history_find(history, realtime_ns, run))
        profile = profile_run_build(run);
    profile_run_free(run);
    return profile;
}

static void assert_equal(const struct profile *a, const struct profile *b)
{
    cr_assert_eq(a->entry_count, b->entry_count);
    cr_assert_eq(a->sites, b->sites);
    cr_assert_eq(a->taken_realtime_ns, b->taken_realtime_ns);
    cr_assert_eq(a->cycle, b->cycle);
    cr_assert_eq(a->rate, b->rate);
    cr_assert_eq(a->partial, b->partial);
    cr_assert_eq(memcmp(&a->totals, &b->totals, sizeof(a->totals)), 0);
    for (size_t i = 0; i < a->entry_count; i++)
        cr_assert_eq(memcmp(&a->entries[i], &b->entries[i], sizeof(a->entries[i])), 0, "entry %zu", i);
}

static void assert_at(const struct profile_history *history, uint64_t realtime_ns,
                      const struct profile *expected)
{
    const struct profile *found = at(history, realtime_ns);
    cr_assert_not_null(found);
    assert_equal(found, expected);
    profile_unref(found);
}

Test(profile_history, gives_back_every_profile_as_it_was)
{
    static const struct profile *kept[PROFILES];
    static struct process process;
    struct profile_history *history = profile_history_new();
    process_start(&process);
    for (uint64_t i = 0; i < PROFILES; i++) {
        kept[i] = process_profile(&process, (i + 1) * S);
        add(history, kept[i]);
    }
    cr_assert_eq(profile_history_count(history), PROFILES);
    cr_assert_null(at(history, S - 1), "before the first there is none");
    for (uint64_t i = 0; i < PROFILES; i++) {
        assert_at(history, (i + 1) * S, kept[i]);
        assert_at(history, (i + 2) * S - 1, kept[i]);
    }
    cr_assert_null(profile_history_prepare(history, kept[PROFILES - 1]), "it is the newest already");
    for (size_t i = 0; i < PROFILES; i++)
        profile_unref(kept[i]);
    profile_history_free(history);
    site_table_unref(process.table);
}

Test(profile_history, costs_little_where_little_changes)
{
    static struct process process;
    struct profile_history *history = profile_history_new();
    process_start(&process);
    while (process.count < SITES)
        profile_unref(process_profile(&process, S));
    size_t before = 0;
    for (uint64_t i = 0; i < 10 * PROFILE_HISTORY_RUN; i++) {
        struct profile *building = profile_begin(process.table, SITES);
        process.entries[7].allocs++;
        memcpy(building->entries, process.entries, sizeof(process.entries));
        building->entry_count = SITES;
        building->taken_realtime_ns = (i + 2) * S;
        const struct profile *profile = profile_seal(building);
        add(history, profile);
        profile_unref(profile);
        if (i == PROFILE_HISTORY_RUN)
            before = profile_history_bytes(history);
    }
    const size_t grown = profile_history_bytes(history) - before;
    cr_assert_lt(grown / (9 * PROFILE_HISTORY_RUN), SITES * sizeof(struct profile_entry) / 20);
    profile_history_free(history);
    site_table_unref(process.table);
}

Test(profile_history, goes_on_over_a_restart_and_lets_go_of_what_is_over)
{
    static struct process first;
    static struct process second;
    struct profile_history *history = profile_history_new();
    process_start(&first);
    process_start(&second);
    for (uint64_t i = 1; i <= 40; i++) {
        const struct profile *profile = process_profile(&first, i * S);
        add(history, profile);
        profile_unref(profile);
    }
    const struct profile *last = process_profile(&first, 41 * S);
    add(history, last);
    for (uint64_t i = 42; i <= 120; i++) {
        const struct profile *profile = process_profile(&second, i * S);
        add(history, profile);
        profile_unref(profile);
    }
    assert_at(history, 41 * S, last);
    profile_unref(last);
    site_table_unref(first.table); /* the history alone keeps it now */
    const struct profile *old = at(history, 20 * S);
    cr_assert_str_eq(old->entries[0].site->tag, "main.f0");
    profile_unref(old);
    size_t runs = 0;
    for (;; runs++) {
        struct profile_run *run = profile_run_new();
        const bool dropped = profile_history_drop_oldest(history, run);
        profile_run_free(run); /* the sanitizer sees whether anything is kept or freed twice */
        if (!dropped)
            break;
    }
    cr_assert_geq(runs, 3);
    cr_assert_null(at(history, 41 * S));
    cr_assert_eq(profile_history_oldest_ns(history) / S >= 42, true);
    const struct profile *newest = at(history, 1000 * S);
    cr_assert_eq(newest->taken_realtime_ns, 120 * S);
    profile_unref(newest);
    profile_history_free(history);
    site_table_unref(second.table);
}

/* Scraped profiles may list their sites in another order each time, and a process that switches profiling off
 * lists none. */
Test(profile_history, keeps_profiles_that_do_not_follow_on)
{
    static struct process process;
    struct profile_history *history = profile_history_new();
    const struct profile *kept[6];
    process_start(&process);
    while (process.count < 50)
        profile_unref(process_profile(&process, S));
    for (uint64_t i = 0; i < 6; i++) {
        struct profile *building = profile_begin(process.table, 50);
        building->taken_realtime_ns = (i + 1) * S;
        building->entry_count = i == 3 ? 0 : 50;
        for (size_t k = 0; k < building->entry_count; k++) {
            process.entries[k].frees++;
            building->entries[k] = process.entries[i % 2 == 0 ? k : 49 - k];
        }
        kept[i] = profile_seal(building);
        add(history, kept[i]);
    }
    for (uint64_t i = 0; i < 6; i++) {
        assert_at(history, (i + 1) * S, kept[i]);
        profile_unref(kept[i]);
    }
    profile_history_free(history);
    site_table_unref(process.table);
}

/* ---- on the board ---- */

Test(profile_history, is_asked_for_by_target_and_time)
{
    static struct process process;
    struct board *board = board_new(10);
    struct error err;
    const struct profile *kept[5];
    process_start(&process);
    for (uint64_t i = 0; i < 5; i++) {
        kept[i] = process_profile(&process, (i + 1) * S);
        const struct target_view view = {.info = sample_info("demo", "demo"),
                                         .snapshot = sample_snapshot(i + 1),
                                         .profile = profile_ref(kept[i])};
        cr_assert(board_publish(board, &view, 1, (i + 1) * S, &err));
    }
    const struct profile *found = board_profile_at(board, "demo", 3 * S, &err);
    cr_assert_not_null(found);
    assert_equal(found, kept[2]);
    profile_unref(found);
    cr_assert_null(board_profile_at(board, "demo", 0, &err));
    cr_assert_eq(err.code, ERROR_NOT_FOUND);
    cr_assert_not_null(strstr(err.message, "oldest kept: 1970-01-01T00:00:01Z"), "%s", err.message);
    cr_assert_null(board_profile_at(board, "other", 3 * S, &err));
    cr_assert_eq(err.code, ERROR_NOT_FOUND);
    for (size_t i = 0; i < 5; i++)
        profile_unref(kept[i]);
    board_free(board);
    site_table_unref(process.table);
}

Test(profile_history, stays_within_half_of_the_bound_of_the_history)
{
    enum { MAX_BYTES = 400000 };
    static struct process process;
    struct board *board = board_new(1000);
    struct error err;
    process_start(&process);
    uint64_t newest_ns = 0;
    board_limit_history(board, MAX_BYTES);
    for (uint64_t i = 1; i <= 600; i++) {
        const struct snapshot *snapshot = sample_snapshot(i);
        const struct target_view view = {.info = sample_info("demo", "demo"),
                                         .snapshot = snapshot,
                                         .profile = process_profile(&process, snapshot->realtime_ns)};
        newest_ns = snapshot->realtime_ns;
        cr_assert(board_publish(board, &view, 1, newest_ns, &err));
    }
    cr_assert_gt(atomic_load(&board_counters(board)->profiles_dropped), 0);
    cr_assert_leq(atomic_load(&board_counters(board)->history_bytes), MAX_BYTES + MAX_BYTES / 4);
    const struct profile *newest = board_profile_at(board, "demo", newest_ns, &err);
    cr_assert_eq(newest->taken_realtime_ns, newest_ns);
    profile_unref(newest);
    board_free(board);
    site_table_unref(process.table);
}
