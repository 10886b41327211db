/* view_steps.h - a history as one object for each step of time.  Pure; any thread.
 *
 *   {"timestamp": start of the step, "samples": 10, "heap_alloc_bytes": {"min":, "max":, "avg":}, ...}
 *
 * Steps begin at whole multiples since the epoch, so that two answers fit together; a step without a snapshot
 * is left out, and so is a number that no snapshot of the step knew. */
#ifndef GOPROFD_HTTP_VIEW_STEPS_H
#define GOPROFD_HTTP_VIEW_STEPS_H

#include <stddef.h>
#include <stdint.h>

struct json;
struct snapshot;

/* [snapshots]: oldest first.  The newest [limit] steps.  [fields]: bit i lets field i through; NULL: all. */
void view_steps(struct json *json, const struct snapshot *const *snapshots, size_t count,
                uint64_t step_ns, size_t limit, const uint64_t *fields);

#endif
