/* goroutines.h - the goroutines of a process with their stacks, read while it runs on.
 *
 *   allgptr -> [g0 g1 g2 ...]   allglen of them; only grows, a g is never freed
 *   g: status, wait reason, stack bounds, sched.sp, sched.pc --> stack --pcsp--> pcs --> frames
 *
 * Each goroutine is one seqlock: g, stack, stack, g; whatever differs between the first and the
 * second look has moved, and is looked at again.  One that runs has its registers in a thread,
 * where only ptrace could see them: it is counted, without a stack.  There is no moment that all of
 * them share.
 *
 * (type g, gobuf, src/runtime/runtime2.go; goroutineProfileWithLabels, mprof.go; isSystemGoroutine,
 * traceback.go: Go 1.19 to 1.27.)  Called between the beats of the sampler; one thread. */
#ifndef GOPROFD_GOPROC_GOROUTINES_H
#define GOPROFD_GOPROC_GOROUTINES_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/stack_source.h"

struct goroutines;
struct stack_profile;

/* Our caps: what is past them is left out and the profile marked partial. */
struct goroutines_limits {
    uint64_t goroutines; /* elements of allgs that are looked at */
    uint64_t read_bytes; /* of the target's memory */
    uint64_t busy_ns;    /* spent in all steps together */
};
#define GOROUTINES_LIMITS_DEFAULT                                                                  \
    ((struct goroutines_limits){                                                                   \
        .goroutines = 1 << 20, .read_bytes = UINT64_C(8) << 30, .busy_ns = UINT64_C(20000000000)})

/* NULL: ERROR_UNSUPPORTED if a variable that it takes is not known, or the failure to read. */
struct goroutines *goroutines_begin(const struct stack_source *source,
                                    const struct goroutines_limits *limits,
                                    uint64_t taken_realtime_ns, struct error *err);
/* Reads on until [deadline_ns] (monotonic).  Done: [*profile] gets one hold. */
enum reading_step goroutines_step(struct goroutines *goroutines, uint64_t deadline_ns,
                                  const struct stack_profile **profile, struct error *err);
void goroutines_free(struct goroutines *goroutines); /* touches nothing of the source */

#endif
