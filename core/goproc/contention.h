/* contention.h - block and mutex profiles: where goroutines waited for each other.
 *
 *   bbuckets, xbuckets -> bucket -> bucket -> ... -> 0     newest first; never freed
 *                         | header 48 | stack 8 x nstk | count f64, cycles i64 |
 *
 * (type bucket, blockRecord in src/runtime/mprof.go, Go 1.19 to 1.27.)  Called between the beats of
 * the sampler; one thread. */
#ifndef GOPROFD_GOPROC_CONTENTION_H
#define GOPROFD_GOPROC_CONTENTION_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/stack_source.h"
#include "core/store/stack_profile.h"

struct contention;

enum { CONTENTION_RECORDS_MAX = 100000 };

/* [kind]: STACK_BLOCK or STACK_MUTEX.  NULL: ERROR_UNSUPPORTED if a variable that it takes is not
 * known, or the failure to read. */
struct contention *contention_begin(const struct stack_source *source, enum stack_kind kind,
                                    size_t records_max, uint64_t taken_realtime_ns,
                                    struct error *err);
/* Reads on until [deadline_ns] (monotonic).  Done: [*profile] gets one hold. */
enum reading_step contention_step(struct contention *contention, uint64_t deadline_ns,
                                  const struct stack_profile **profile, struct error *err);
void contention_free(struct contention *contention); /* touches nothing of the source */

#endif
