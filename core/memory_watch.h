/* memory_watch.h - keeps account of what a target's resident memory is, and of how far its limits are.
 *
 *   each beat   counts of runtime and kernel + anchor -> parts of RSS, limits, time to limit
 *   at times    residency_read (see look_schedule.h)  -> a new anchor, size classes, PSS
 *
 * Owned by a target, on the sampler's thread. */
#ifndef GOPROFD_MEMORY_WATCH_H
#define GOPROFD_MEMORY_WATCH_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct go_process;
struct look_budget;
struct memory_watch;
struct procfs;
struct snapshot;

struct memory_watch *memory_watch_new(struct look_budget *budget); /* borrowed; NULL: no memory */
void memory_watch_free(struct memory_watch *watch);                  /* NULL is allowed */

/* Completes [building], into which kernel and runtime were read just now.  [process] NULL: its pages
 * cannot be looked at, and only limits are filled. */
void memory_watch_fill(struct memory_watch *watch, const struct procfs *fs, pid_t pid,
                       struct go_process *process, struct snapshot *building);

/* The same once, without anything kept: for a person who waits. */
bool memory_watch_look_once(const struct procfs *fs, pid_t pid, struct go_process *process,
                            struct snapshot *building, struct error *err) GOPROFD_MUST_CHECK;

#endif
