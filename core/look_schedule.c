/* look_schedule.c - the turns of targets whose pages are looked at. */
#include "core/look_schedule.h"

#include "core/base/clock.h"

/* One who waited and is not there any more does not hold up the others for longer than this. */
#define REFUSAL_VALID_NS (30 * CLOCK_NS_PER_S)

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t pause_of(const struct look_schedule *schedule, bool has_drifted)
{
    const uint64_t early_ns = most(LOOK_PAUSE_EARLY_S * CLOCK_NS_PER_S,
                                   schedule->cost_ns * 2 * LOOK_TIME_SHARE);
    return has_drifted && early_ns < schedule->pause_ns ? early_ns : schedule->pause_ns;
}

bool look_schedule_is_due(struct look_schedule *schedule, bool has_drifted, uint64_t now_ns)
{
    struct look_budget *budget = schedule->budget;
    if (schedule->since_ns == 0)
        schedule->since_ns = now_ns;
    const uint64_t due_ns = schedule->since_ns + pause_of(schedule, has_drifted);
    if (now_ns < due_ns)
        return false;
    const uint64_t wait_ns = now_ns - due_ns;
    if (now_ns >= budget->free_at_ns)
        return wait_ns >= budget->longest_wait_ns ||
               now_ns - budget->refused_at_ns > REFUSAL_VALID_NS;
    if (wait_ns >= budget->longest_wait_ns) {
        budget->longest_wait_ns = wait_ns;
        budget->refused_at_ns = now_ns;
    }
    return false;
}

void look_schedule_book(struct look_schedule *schedule, bool has_drifted, uint64_t now_ns,
                        uint64_t cost_ns)
{
    struct look_budget *budget = schedule->budget;
    const bool is_calm = schedule->pause_ns != 0 && !has_drifted;
    const uint64_t burst_ns = LOOK_BURST_S * CLOCK_NS_PER_S;
    const uint64_t unused_since_ns = now_ns > burst_ns ? now_ns - burst_ns : 0;
    budget->free_at_ns = most(budget->free_at_ns, unused_since_ns) + cost_ns * LOOK_TIME_SHARE;
    budget->longest_wait_ns = 0;
    schedule->cost_ns = cost_ns;
    schedule->since_ns = now_ns;
    schedule->pause_ns = is_calm ? schedule->pause_ns * 2 : LOOK_PAUSE_FIRST_S * CLOCK_NS_PER_S;
    if (schedule->pause_ns > LOOK_PAUSE_LAST_S * CLOCK_NS_PER_S)
        schedule->pause_ns = LOOK_PAUSE_LAST_S * CLOCK_NS_PER_S;
}
