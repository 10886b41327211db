/* goroutine_record.h - goroutines that were read become entries of a goroutine profile.
 *
 *   view, pcs --> state, frames, creator --> stack_profile
 *
 * What is the same for many (stacks, wait reasons) is worked out once.  For goroutines.c only; one
 * thread. */
#ifndef GOPROFD_GOPROC_GOROUTINE_RECORD_H
#define GOPROFD_GOPROC_GOROUTINE_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/stack_source.h"

struct goroutine_view;
struct stack;
struct stack_labels;
struct stack_profile;

enum { GOROUTINE_WAIT_REASONS_MAX = 128 };

struct goroutine_record {
    struct stack_source from;
    struct stack_profile *profile; /* borrowed */
    size_t stack_limit;            /* pcs that the process's own profile shows */
    const struct stack *no_stack;
    const char *wait_reasons[GOROUTINE_WAIT_REASONS_MAX];
};

void goroutine_record_begin(struct goroutine_record *record, const struct stack_source *source,
                            struct stack_profile *profile);

/* Adds one that stood still, with the stack [pcs], leaf first, [cut] if there were more. */
bool goroutine_record_add(struct goroutine_record *record, const struct goroutine_view *view,
                          const uint64_t *pcs, size_t count, bool cut,
                          const struct stack_labels *labels, struct error *err) GOPROFD_MUST_CHECK;

/* Adds one whose stack nobody can read: it runs. */
bool goroutine_record_add_running(struct goroutine_record *record,
                                  const struct goroutine_view *view,
                                  struct error *err) GOPROFD_MUST_CHECK;

#endif
