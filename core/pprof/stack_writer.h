/* stack_writer.h - a struct stack_profile as pprof, or as the texts of net/http/pprof.
 *
 * Sample types as src/runtime/pprof/pprof.go has them: goroutine count, threadcreate count,
 * contentions count with delay nanoseconds.  Where the clock's rate is not known the delay is left
 * out; what the profile could not hold is said in a comment.  Any thread. */
#ifndef GOPROFD_PPROF_STACK_WRITER_H
#define GOPROFD_PPROF_STACK_WRITER_H

#include <stdbool.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/pprof/profile_writer.h"

struct stack_profile;

/* Appends the gzipped protobuf to [out].  On failure [out] is as long as before, here and below. */
bool stack_write_gzip(const struct stack_profile *profile, struct buffer *out,
                      struct error *err) GOPROFD_MUST_CHECK;
bool stack_write_proto(const struct stack_profile *profile, struct buffer *out,
                       struct error *err) GOPROFD_MUST_CHECK;

/* The text of ?debug=1. */
bool stack_write_text(const struct stack_profile *profile, struct buffer *out,
                      struct error *err) GOPROFD_MUST_CHECK;

/* One goroutine after the other, as runtime.Stack prints them and ?debug=2 serves them, but for the
 * arguments, which are "...".  Of the other kinds the same as stack_write_text(). */
bool stack_write_goroutines(const struct stack_profile *profile, struct buffer *out,
                            struct error *err) GOPROFD_MUST_CHECK;

#endif
