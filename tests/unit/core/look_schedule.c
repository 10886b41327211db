/* look_schedule.c - whose pages are looked at when, in a time that the tests tell. */
#include "core/look_schedule.h"

#include <criterion/criterion.h>

#include "core/base/clock.h"

enum { TARGETS = 200, BEATS = 1200 };

static struct look_budget budget;
static struct look_schedule schedules[TARGETS];
static unsigned looks[TARGETS];

static void set_up(void)
{
    for (size_t i = 0; i < TARGETS; i++)
        schedules[i].budget = &budget;
}

TestSuite(look_schedule, .init = set_up);

/* A beat each second over all targets, of which each look costs [cost_ns].  Returns what all cost. */
static uint64_t run(size_t targets, unsigned beats, uint64_t cost_ns, const bool *drifts)
{
    uint64_t spent_ns = 0;
    for (unsigned beat = 1; beat <= beats; beat++) {
        for (size_t i = 0; i < targets; i++) {
            const bool has_drifted = drifts != NULL && drifts[i];
            const uint64_t now_ns = beat * CLOCK_NS_PER_S + i;
            if (!look_schedule_is_due(&schedules[i], has_drifted, now_ns))
                continue;
            look_schedule_book(&schedules[i], has_drifted, now_ns, cost_ns);
            spent_ns += cost_ns;
            looks[i]++;
        }
    }
    return spent_ns;
}

Test(look_schedule, everyone_is_looked_at_within_a_hundredth_of_the_time)
{
    static const uint64_t costs_ns[] = {100000, 1 * CLOCK_NS_PER_MS, 20 * CLOCK_NS_PER_MS};
    for (size_t c = 0; c < sizeof(costs_ns) / sizeof(costs_ns[0]); c++) {
        budget = (struct look_budget){0};
        for (size_t i = 0; i < TARGETS; i++) {
            schedules[i] = (struct look_schedule){.budget = &budget};
            looks[i] = 0;
        }
        const uint64_t spent_ns = run(TARGETS, BEATS, costs_ns[c], NULL);
        cr_assert_leq(spent_ns, (BEATS + LOOK_BURST_S) * CLOCK_NS_PER_S / LOOK_TIME_SHARE + costs_ns[c]);
        for (size_t i = 0; i < TARGETS; i++)
            cr_assert_geq(looks[i], 1, "target %zu was never looked at, at %llu ns each", i,
                          (unsigned long long)costs_ns[c]);
    }
}

Test(look_schedule, a_calm_process_is_looked_at_less_and_less_often)
{
    run(1, 1 + 30, CLOCK_NS_PER_MS, NULL);
    cr_assert_eq(looks[0], 2); /* at once, and after 30 seconds */
    cr_assert_eq(schedules[0].pause_ns, 60 * CLOCK_NS_PER_S);
    looks[0] = 0;
    run(1, BEATS, CLOCK_NS_PER_MS, NULL);
    cr_assert_leq(looks[0], BEATS / LOOK_PAUSE_LAST_S + 1);
}

Test(look_schedule, one_that_has_changed_is_looked_at_soon)
{
    static const bool drifts[] = {true};
    run(1, 10, CLOCK_NS_PER_MS, drifts); /* in seconds 1, 3, 5, 7 and 9 */
    cr_assert_eq(looks[0], 5);
}

Test(look_schedule, one_that_changes_without_end_leaves_time_for_the_others)
{
    static bool drifts[TARGETS];
    drifts[0] = true;
    run(TARGETS, BEATS, CLOCK_NS_PER_MS, drifts);
    for (size_t i = 1; i < TARGETS; i++)
        cr_assert_geq(looks[i], 1, "target %zu", i);
}

Test(look_schedule, one_that_waited_and_is_gone_does_not_hold_up_the_others)
{
    run(TARGETS, 60, 20 * CLOCK_NS_PER_MS, NULL);
    cr_assert_eq(looks[TARGETS - 1], 0);
    const unsigned before = looks[0];
    for (unsigned beat = 100; beat < 300; beat++) { /* only the first is left */
        const uint64_t now_ns = beat * CLOCK_NS_PER_S;
        if (look_schedule_is_due(&schedules[0], false, now_ns)) {
            look_schedule_book(&schedules[0], false, now_ns, CLOCK_NS_PER_MS);
            looks[0]++;
        }
    }
    cr_assert_gt(looks[0], before);
}
