/* snapshot_view.h - the `target` that a rule is given: fields, facts, earlier snapshots.
 *
 *   target.heap_alloc_bytes   read through the field table when asked for; nil if not known
 *   target:trend(...)         trend_view.h: computed from the history, once a beat for all rules
 *   target:sites{...}         site_view.h, group_view.h
 *
 * Nothing is copied for a rule that reads three fields. */
#ifndef GOPROFD_LUA_SNAPSHOT_VIEW_H
#define GOPROFD_LUA_SNAPSHOT_VIEW_H

#include <stdint.h>

struct history;
struct lua_State;
struct profile;
struct series;
struct snapshot;
struct target_info;
struct trace;
struct trace_read;

/* What a rule is shown: one target at one instant.  Borrowed for one evaluation. */
struct observation {
    const struct target_info *info;
    const struct snapshot *snapshot;
    const struct profile *profile; /* or NULL */
    struct history *history;
    uint64_t first_seen_ns; /* realtime of the first snapshot of this process; 0: not known */
};

/* Where the functions of one state find the current observation; lives as long as the state. */
struct snapshot_view {
    const struct observation *seen; /* NULL outside evaluate() */
    uint64_t evaluation;            /* counts; a snapshot handed out is good for one */
    double warmup_s;                /* so much of the start of a process is no history */
    struct trace *trace;            /* notes what is read; never NULL */
};

/* Prepares the state for snapshot_view_push.  Called once, inside budget_call(). */
void snapshot_view_register(struct lua_State *L, struct snapshot_view *view);

/* Pushes the target object; always the same one of a state. */
void snapshot_view_push(struct lua_State *L);

/* For the functions of `target`: the current observation, from upvalue 1, with the check that
 * argument 1 is the target and that evaluate() is running. */
const struct observation *snapshot_view_check(struct lua_State *L, const char *function);

/* Seconds since the process started; NAN if not known. */
double snapshot_view_age_s(const struct observation *seen);

/* [seconds] without what lies in the warm-up of the process. */
double snapshot_view_window_s(const struct snapshot_view *view, double seconds);

/* Notes a read for those who ask why the rule did not fire. */
void snapshot_view_note(struct lua_State *L, const struct trace_read *read);

/* Raises the error for a [what] ("target") that has no [name], with the nearest name there is. */
_Noreturn void snapshot_view_raise_unknown(struct lua_State *L, const char *what, const char *name);

/* Argument [index] as seconds: a number, a text like "10m", or [default_seconds] if absent. */
double snapshot_view_check_seconds(struct lua_State *L, int index, double default_seconds);

/* Pushes [value]: as an integer if it fits, else as a float. */
void snapshot_view_push_u64(struct lua_State *L, uint64_t value);

/* Pushes the table that target:trend() and target:growth() return. */
void snapshot_view_push_trend(struct lua_State *L, const struct series *series);

#endif
