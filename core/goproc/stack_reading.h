/* stack_reading.h - one profile on demand, whatever its kind, read in slices of time.
 *
 * Begun by the sampler or a one-shot command for a process that is open; stepped until it is done,
 * on the thread that owns the process, which checks that it is alive in between. */
#ifndef GOPROFD_GOPROC_STACK_READING_H
#define GOPROFD_GOPROC_STACK_READING_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/stack_source.h"
#include "core/store/stack_profile.h"

struct stack_reading;

/* NULL: ERROR_UNSUPPORTED, with what is missing, or the failure to read. */
struct stack_reading *stack_reading_begin(const struct stack_source *source, enum stack_kind kind,
                                          uint64_t taken_realtime_ns, struct error *err);
/* Reads on until [deadline_ns] (monotonic).  Done: [*profile] gets one hold. */
enum reading_step stack_reading_step(struct stack_reading *reading, uint64_t deadline_ns,
                                     const struct stack_profile **profile, struct error *err);
/* NULL is allowed.  Touches nothing of the source, which may be gone. */
void stack_reading_free(struct stack_reading *reading);

#endif
