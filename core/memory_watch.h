/* memory_watch.h - keeps account of what a target's resident memory is, and of how far its limits are.
 *
 *   each beat   counts of runtime and kernel + anchor -> parts of RSS, limits, time to limit
 *   at times    residency_read                        -> a new anchor, size classes, PSS
 *
 * Looking at pages takes the kernel milliseconds for a large process.  All targets share a budget: they
 * are looked at in turn, each after a pause so long that all looks together take at most one hundredth
 * of the time.  A target whose memory has changed by much is looked at again earlier, within
 * the same budget.  Owned by the sampler's thread. */
#ifndef GOPROFD_MEMORY_WATCH_H
#define GOPROFD_MEMORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct go_process;
struct memory_watch;
struct procfs;
struct snapshot;

struct memory_budget {
    uint64_t round_cost_ns; /* what looking at each target once costs */
    uint64_t free_at_ns;    /* nobody is looked at before */
};

struct memory_watch *memory_watch_new(struct memory_budget *budget); /* borrowed; NULL: no memory */
void memory_watch_free(struct memory_watch *watch);                  /* NULL is allowed */

/* The process is another one, or was opened anew: what is known of its pages is void. */
void memory_watch_reset(struct memory_watch *watch);

/* Completes [building], into which kernel and runtime were read just now.  [process] NULL: its pages
 * cannot be looked at, and only limits are filled. */
void memory_watch_fill(struct memory_watch *watch, const struct procfs *fs, pid_t pid,
                       struct go_process *process, struct snapshot *building);

/* The same once, without anything kept: for a person who waits. */
bool memory_watch_look_once(const struct procfs *fs, pid_t pid, struct go_process *process,
                            struct snapshot *building, struct error *err) GOPROFD_MUST_CHECK;

#endif
