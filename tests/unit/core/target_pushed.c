/* target_pushed.c - a program that pushes falls silent, comes back, is forgotten, and comes back after that. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/goproc/process_usage.h"
#include "core/goproc/procfs.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/target.h"
#include "core/target_set.h"
#include "core/track/track_batch.h"
#include "core/track/tracker.h"

enum { WINDOW_S = 600 };

static struct board *board;
static struct config *config;
static struct procfs procfs;
static struct usage_context usage;
static struct target_context context;
static struct target_set *targets;
static uint64_t now_s;

static void set_up(void)
{
    struct error err;
    board = board_new(4);
    config = config_new();
    /* Nothing but what is pushed is a target here. */
    procfs = (struct procfs){.root = "/nowhere"};
    usage_context_init(&usage, &procfs);
    context.procfs = &procfs;
    context.usage = &usage;
    context.counters = board_counters(board);
    context.tracker = tracker_new();
    context.retention_window_ns = WINDOW_S * CLOCK_NS_PER_S;
    cr_assert_eq(config->retention_window_sec, WINDOW_S);
    targets = target_set_new(config, &context, &err);
    cr_assert_not_null(targets, "%s", err.message);
    now_s = 100000;
}

static void tear_down(void)
{
    target_set_free(targets);
    tracker_free(context.tracker);
    usage_context_release(&usage);
    config_free(config);
    board_free(board);
}

TestSuite(target_pushed, .init = set_up, .fini = tear_down);

static enum track_outcome push(uint64_t sequence, bool totals, uint64_t bytes)
{
    struct error err;
    enum track_outcome outcome = TRACK_UNKNOWN;
    struct track_record record = {.type = {.text = "tile", .length = 4},
                                  .tag = {.text = "render", .length = 6},
                                  .alloc_objects = 1,
                                  .alloc_bytes = bytes};
    const struct track_batch batch = {
        .target = "shop", .instance = 7, .sequence = sequence, .totals = totals, .record_count = 1, .records = &record};
    cr_assert(tracker_take(context.tracker, &batch, clock_realtime_ns(), now_s * CLOCK_NS_PER_S, &outcome, &err),
              "%s", err.message);
    return outcome;
}

/* A beat, [after_s] later. */
static void beat(uint64_t after_s)
{
    now_s += after_s;
    target_set_refresh(targets, now_s * CLOCK_NS_PER_S);
    for (size_t i = 0; i < target_set_count(targets); i++)
        target_read(target_set_at(targets, i), now_s * CLOCK_NS_PER_S);
}

struct seen {
    enum target_state state;
    char reason[256];
    uint64_t sequence;
    uint64_t generation;
    int64_t held_bytes;
};

/* The one target there is. */
static struct seen see(void)
{
    struct target_view view;
    cr_assert_eq(target_set_count(targets), 1);
    cr_assert(target_view(target_set_at(targets, 0), &view));
    cr_assert_not_null(view.snapshot);
    cr_assert_not_null(view.profile);
    struct seen seen = {.state = view.info->facts.state,
                        .sequence = view.snapshot->sequence,
                        .generation = view.snapshot->generation,
                        .held_bytes = view.profile->totals.inuse_bytes};
    (void)snprintf(seen.reason, sizeof(seen.reason), "%s", view.info->facts.reason);
    target_info_unref(view.info);
    snapshot_unref(view.snapshot);
    profile_unref(view.profile);
    return seen;
}

static struct seen open_with_one_batch(void)
{
    cr_assert_eq(push(1, false, 1000), TRACK_TAKEN);
    beat(0);
    const struct seen seen = see();
    cr_assert_eq(seen.state, TARGET_UP, "%s", seen.reason);
    cr_assert_eq(seen.held_bytes, 1000);
    return seen;
}

Test(target_pushed, that_is_silent_for_a_minute_is_failing_then_gone_and_keeps_what_it_said)
{
    const struct seen first = open_with_one_batch();
    beat(60);
    cr_assert_eq(see().state, TARGET_UP, "a minute is not too long");
    beat(1);
    struct seen silent = see();
    cr_assert_eq(silent.state, TARGET_FAILING);
    cr_assert_not_null(strstr(silent.reason, "nothing was pushed"), "%s", silent.reason);
    cr_assert_eq(silent.held_bytes, first.held_bytes);
    const uint64_t last_sequence = silent.sequence;
    beat(WINDOW_S - 1);
    cr_assert_eq(see().state, TARGET_FAILING);
    beat(1);
    silent = see();
    cr_assert_eq(silent.state, TARGET_GONE);
    cr_assert_eq(silent.sequence, last_sequence, "nothing is made up while it is silent");
}

Test(target_pushed, that_comes_back_before_it_is_forgotten_goes_on_as_if_nothing_had_been)
{
    const struct seen first = open_with_one_batch();
    beat(61);
    cr_assert_eq(see().state, TARGET_FAILING);
    cr_assert_eq(push(2, false, 500), TRACK_TAKEN);
    beat(1);
    struct seen back = see();
    cr_assert_eq(back.state, TARGET_UP);
    cr_assert_eq(back.held_bytes, 1500);
    cr_assert_eq(back.generation, first.generation);
    cr_assert_gt(back.sequence, first.sequence);

    beat(WINDOW_S + 100);
    cr_assert_eq(see().state, TARGET_GONE);
    cr_assert_eq(push(3, false, 50), TRACK_TAKEN, "gone is not forgotten");
    beat(1);
    back = see();
    cr_assert_eq(back.state, TARGET_UP);
    cr_assert_eq(back.held_bytes, 1550);
    cr_assert_eq(back.generation, first.generation);
}

static void expire(void)
{
    char name[TRACK_TARGET_MAX_BYTES + 1];
    beat(WINDOW_S + 61);
    cr_assert_eq(see().state, TARGET_GONE);
    beat(WINDOW_S);
    cr_assert_eq(see().state, TARGET_GONE, "kept, so that its last history can be looked at");
    beat(1);
    cr_assert_eq(target_set_count(targets), 0);
    cr_assert_not(tracker_name(context.tracker, 0, name, sizeof(name)), "its place is free for another program");
}

Test(target_pushed, that_comes_back_after_it_was_forgotten_is_asked_for_all_and_gets_no_number_twice)
{
    (void)open_with_one_batch();
    beat(1);
    const struct seen last = see();
    expire();

    /* It was only stopped, and goes on with its numbers: of what it said before nothing is known here. */
    cr_assert_eq(push(2, false, 500), TRACK_UNKNOWN);
    beat(1);
    cr_assert_eq(target_set_count(targets), 0, "half of the truth is no target");
    cr_assert_eq(push(3, true, 1500), TRACK_TAKEN);
    beat(1);
    struct seen back = see();
    cr_assert_eq(back.state, TARGET_UP);
    cr_assert_eq(back.held_bytes, 1500);
    cr_assert_eq(back.generation, last.generation + 1, "its sites are counted anew");
    cr_assert_eq(back.sequence, last.sequence + 1, "the history on disk and readers of /v1/stream go by it");
    cr_assert_eq(push(4, false, 5), TRACK_TAKEN);
    beat(1);
    back = see();
    cr_assert_eq(back.held_bytes, 1505);
    cr_assert_eq(back.sequence, last.sequence + 2);
}

Test(target_pushed, that_is_forgotten_again_and_again_goes_on_each_time)
{
    uint64_t sequence = open_with_one_batch().sequence;
    for (uint64_t round = 1; round <= 3; round++) {
        expire();
        cr_assert_eq(push(10 * round, true, 1000 * round), TRACK_TAKEN);
        beat(1);
        const struct seen back = see();
        cr_assert_gt(back.sequence, sequence);
        cr_assert_eq(back.generation, 1 + round);
        sequence = back.sequence;
    }
}
