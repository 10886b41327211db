/* test_file.h - a file with tests of a rule: the rule itself, or one that stands beside it.
 *
 *   rules/big.lua             return { name = "big", evaluate = ..., tests = { ... } }
 *   rules/big_test.lua        return { tests = { ... } }                        of big.lua in the same folder
 *   elsewhere/any_test.lua    return { rule = "../rules/big.lua", tests = { ... } } */
#ifndef GOPROFD_LUA_TEST_FILE_H
#define GOPROFD_LUA_TEST_FILE_H

#include <stdbool.h>

#include "core/base/error.h"

struct buffer;
struct config;
struct rule_test_result;

/* Whether a file of that name has tests and is no rule. */
bool test_file_is(const char *name);

/* Runs the tests of the file at [path]; as rule_test_run. */
bool test_file_run(const char *path, const struct config *config, struct buffer *report,
                   struct rule_test_result *result, struct error *err) GOPROFD_MUST_CHECK;

#endif
