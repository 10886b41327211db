/* target.h - one watched program, as the sampler sees it: its source, state and newest facts.
 *
 * A target outlives the process behind it: when the process exits the target is "gone" and
 * keeps its last snapshot; when another one appears under the same name it is attached and the
 * generation rises.  Owned by the sampler thread; only what target_view() hands out is shared.
 *
 *   new -> waiting --attach--> up <-> failing --exit--> gone --attach--> up (generation + 1)
 *                        \-> denied, unsupported: what the kernel tells, retried with backoff */
#ifndef GOPROFD_TARGET_H
#define GOPROFD_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/store/board.h"
#include "core/store/target_info.h"

struct board;
struct board_counters;
struct config_target;
struct look_budget;
struct procfs;
struct scrape;
struct scraper;
struct site_tagger;
struct stack_source;
struct target;
struct tracker;
struct usage_context;

/* What a target needs of its surroundings; outlives every target. */
struct target_context {
    const struct procfs *procfs;
    struct usage_context *usage;
    struct look_budget *look_budget; /* for pages: memory_watch.h */
    struct board_counters *counters;
    const struct board *board; /* what earlier runs knew of targets; NULL: nothing */
    struct scraper *scraper; /* of targets with a URL; NULL: there are none */
    uint64_t scrape_interval_ns; /* of those whose config does not say another */
    struct tracker *tracker; /* of targets that push; NULL: nobody can */
    const struct site_tagger *tagger; /* NULL: sites get their default tags */
    _Atomic uint64_t retention_window_ns; /* horizon of the retention estimates; may change */
};

struct target *target_new(const struct target_context *context, const char *id, const char *name,
                          bool configured); /* NULL without memory */
void target_free(struct target *target);    /* NULL is allowed */

/* Goes on with the numbers of a target of that id that was forgotten: no number is given twice. */
struct target_numbers {
    uint64_t sequence;
    uint64_t generation;
};
struct target_numbers target_numbers(const struct target *target);
void target_go_on(struct target *target, struct target_numbers numbers);

const char *target_id(const struct target *target);
const char *target_name(const struct target *target);
bool target_is_configured(const struct target *target); /* named in the config: never forgotten */
enum target_state target_get_state(const struct target *target);
bool target_is_scraped(const struct target *target);
bool target_is_pushed(const struct target *target);
pid_t target_pid(const struct target *target); /* 0 while no process is attached */
uint64_t target_state_since_ns(const struct target *target); /* monotonic */

/* Connects [target] to a process.  Success or not, the target then has that pid and a state with a
 * reason; a refused or unsupported process is tried again with growing pauses. */
void target_attach(struct target *target, pid_t pid, uint64_t now_monotonic_ns);

/* Instead of attaching: the target is a program elsewhere, which [scrape] fetches; borrowed, outlives the
 * target.  False without memory. */
bool target_use_scrape(struct target *target, struct scrape *scrape) GOPROFD_MUST_CHECK;

/* The same for a program that pushes: its counts are in the tracker, under the target's id.  False without memory. */
bool target_use_push(struct target *target) GOPROFD_MUST_CHECK;

/* From the next attach on: switch heap profiling on in a process that has it off, and off again when it
 * is let go of.  The one thing that is ever written into a target. */
void target_enable_profiling(struct target *target, bool enable);

/* Says why nothing is attached ("no process matches ..."); for configured targets. */
void target_set_waiting(struct target *target, const char *reason, uint64_t now_monotonic_ns);

/* One beat: reads the process, or takes what was scraped since the last one; seals a snapshot, updates the
 * state. */
void target_read(struct target *target, uint64_t now_monotonic_ns);
/* Whether a memory cgroup around its process was nearly full when it was read last: it is worth reading
 * more often, while it can be read. */
bool target_is_short_of_memory(const struct target *target);

/* A descriptor that polls readable once the attached process has ended; -1 if there is none, or on a
 * kernel without pidfds (before Linux 5.3), where the next beat finds out.  Stays the target's. */
int target_exit_fd(const struct target *target);
/* It has: the target is gone from now on and keeps its last snapshot and profile. */
void target_note_exit(struct target *target, uint64_t now_monotonic_ns);

/* The last words of a process that had a profile: each pointer of [view] a hold.  The state and its
 * reason, in view.info, say how it ended. */
struct target_loss {
    struct target_view view;
    bool by_oom; /* the OOM killer ended it */
};
/* Hands over what is known of the process that was lost since the last call; false if none was. */
bool target_take_loss(struct target *target, struct target_loss *loss);
void target_loss_release(struct target_loss *loss);

/* What a profile on demand is read from, borrowed until the process is let go; [*opening] is another
 * number each time one is opened.  False with the state's reason while none can be read. */
bool target_stack_source(struct target *target, struct stack_source *source, uint64_t *opening,
                         struct error *err) GOPROFD_MUST_CHECK;

/* Fills [view] with one hold on each; false without memory for a new info. */
bool target_view(struct target *target, struct target_view *view);

#endif
