/* look_schedule.h - when the pages of which target are looked at.
 *
 * A look costs the kernel milliseconds for a large process.  All targets share a budget: all looks
 * together take at most one hundredth of the time, whoever has waited longest is next, and one whose
 * memory has changed by much is due earlier, within the same budget.  No clock of its own; owned by
 * the sampler's thread through memory_watch.h. */
#ifndef GOPROFD_LOOK_SCHEDULE_H
#define GOPROFD_LOOK_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct look_budget {
    uint64_t free_at_ns;      /* nobody is looked at before */
    uint64_t longest_wait_ns; /* of those that had to be refused since the last look */
    uint64_t refused_at_ns;   /* when the one was that had waited so long */
};

/* Of one target; all zero but the budget: not looked at yet. */
struct look_schedule {
    struct look_budget *budget;
    uint64_t cost_ns;  /* of the last look */
    uint64_t pause_ns; /* since then; 0: not looked at yet */
    uint64_t since_ns; /* the last look, or when one was first asked for; 0: never */
};

enum {
    LOOK_PAUSE_FIRST_S = 30,
    LOOK_PAUSE_LAST_S = 120,
    LOOK_PAUSE_EARLY_S = 2,
    LOOK_TIME_SHARE = 100,
    LOOK_BURST_S = 2, /* so long a time's share may be used at once */
};

/* Whether it is this target's turn.  [has_drifted]: what is known of the target's pages does not fit its memory any more. */
bool look_schedule_is_due(struct look_schedule *schedule, bool has_drifted, uint64_t now_ns);

/* A look was taken, or tried. */
void look_schedule_book(struct look_schedule *schedule, bool has_drifted, uint64_t now_ns,
                        uint64_t cost_ns);

#endif
