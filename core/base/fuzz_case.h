/* fuzz_case.h - what a fuzz harness was told about its input.  For *_fuzz.c only.
 *
 * tests/support/fuzz_replay.c defines the hook and compares what is said of each made-up file with what is
 * expected; under libFuzzer nobody listens. */
#ifndef GOPROFD_BASE_FUZZ_CASE_H
#define GOPROFD_BASE_FUZZ_CASE_H

#include <stddef.h>

#include "core/base/error.h"

void fuzz_case_said(const char *what, const char *message) __attribute__((weak));

/* Something was read, but only in part, and [reason] says why. */
static inline void fuzz_case_partial(const char *reason)
{
    if (fuzz_case_said != NULL)
        fuzz_case_said("partial", reason);
}

/* The input, or a part of it, was refused.  Without a message that is a bug. */
static inline void fuzz_case_refused(const struct error *err)
{
    if (err->message[0] == '\0' || err->code == ERROR_NONE)
        __builtin_trap();
    if (fuzz_case_said != NULL)
        fuzz_case_said(error_code_name(err->code), err->message);
}

#endif
