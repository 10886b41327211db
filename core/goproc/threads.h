/* threads.h - the threadcreate profile: what created each thread of the runtime.
 *
 *   allm -> m -> m -> ... -> 0      by alllink; m.createstack holds up to 32 pcs, most are 0
 *
 * (type m, src/runtime/runtime2.go; ThreadCreateProfile, mprof.go: Go 1.19 to 1.27.)  Newer
 * versions rarely record a stack: the number of threads is what there is. */
#ifndef GOPROFD_GOPROC_THREADS_H
#define GOPROFD_GOPROC_THREADS_H

#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/stack_source.h"

struct stack_profile;

enum { THREADS_MAX = 100000 };

/* NULL: ERROR_UNSUPPORTED if runtime.allm is not known, or the failure to read. */
const struct stack_profile *threads_read(const struct stack_source *source,
                                         uint64_t taken_realtime_ns, struct error *err);

#endif
