/* sandbox_support.h - runs a piece of Lua as a rule would run, for the tests of this room. */
#ifndef GOPROFD_TESTS_LUA_SANDBOX_SUPPORT_H
#define GOPROFD_TESTS_LUA_SANDBOX_SUPPORT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

enum { RESULT_MAX_BYTES = 4096 };

/* Runs [code] in a fresh sandbox with a rule's budget.  What it returns (a string) is copied to
 * [result]. */
bool sandbox_run(const char *code, char result[RESULT_MAX_BYTES], struct error *err);

/* Bytes still charged after the state of the last sandbox_run() was closed. */
size_t sandbox_leaked_bytes(void);

/* Asserts that [code] fails with a message that contains [wanted]. */
void sandbox_expect_error(const char *code, const char *wanted);
/* Asserts that [code] exceeds its budget within a second. */
void sandbox_expect_stopped(const char *code);
/* Asserts that [code] returns [wanted]. */
void sandbox_expect_result(const char *code, const char *wanted);

#endif
