/* sampler_schedule.c - the schedule is absolute: late beats are counted, never caught up. */
#include "core/sampler.h"

#include <criterion/criterion.h>

enum { INTERVAL = 1000 };

Test(sampler_schedule, keeps_its_phase_when_beats_are_quick)
{
    uint64_t missed = 99;
    cr_assert_eq(sampler_next_due_ns(5000, INTERVAL, 5001, &missed), 6000);
    cr_assert_eq(missed, 0);
    cr_assert_eq(sampler_next_due_ns(5000, INTERVAL, 5999, &missed), 6000);
    cr_assert_eq(missed, 0);
}

Test(sampler_schedule, runs_a_beat_that_is_late_by_less_than_an_interval_at_once)
{
    uint64_t missed = 99;
    cr_assert_eq(sampler_next_due_ns(5000, INTERVAL, 6400, &missed), 6000,
                 "a due time in the past means: now");
    cr_assert_eq(missed, 0);
}

Test(sampler_schedule, skips_and_counts_whole_beats_that_were_missed)
{
    uint64_t missed = 0;
    const uint64_t due = sampler_next_due_ns(5000, INTERVAL, 9500, &missed);
    cr_assert_eq(due, 9000);
    cr_assert_eq(missed, 3, "the beats of 6000, 7000 and 8000 never ran");
}

Test(sampler_schedule, does_not_drift_over_many_uneven_beats)
{
    uint64_t due = 0;
    uint64_t missed_total = 0;
    for (uint64_t k = 1; k <= 1000; k++) {
        uint64_t missed = 0;
        due = sampler_next_due_ns(due, INTERVAL, due + (k * 37) % 999, &missed);
        missed_total += missed;
    }
    cr_assert_eq(due, 1000 * INTERVAL);
    cr_assert_eq(missed_total, 0);
}
