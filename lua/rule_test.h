/* rule_test.h - runs the `tests` that a rule carries, without thread, clock or target.
 *
 *   tests = { { name =, beats =, fields =, sites =, expect = }, ... }     see docs/rules.md
 *
 *   rule file --> tests (plain data) --> for each: a fresh rule in a test_world, beat by beat
 *                                        --> what was expected against what was seen
 *
 * Used at a reload, by `goprofd -t` and by `goprofd test`; any thread. */
#ifndef GOPROFD_LUA_RULE_TEST_H
#define GOPROFD_LUA_RULE_TEST_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct buffer;
struct config;
struct config_node;

enum { RULE_TEST_BEATS_MAX = 100000 };

struct rule_test_result {
    size_t run;
    size_t failed;
};

/* Runs all tests of the rule in [text]; [file] is what messages call it.  [config]: thresholds that
 * rules see; its overrides of rules do not count, a test brings its own.  Each failure is a line or
 * several in [report] (may be NULL): "FILE: test NAME: expected ..., ..." and what was seen instead; the
 * first also is [err].  False if one failed, or the rule or a test cannot be read. */
bool rule_test_run(const char *file, const char *text, size_t length, const struct config *config,
                   struct buffer *report, struct rule_test_result *result,
                   struct error *err) GOPROFD_MUST_CHECK;

/* The same with [tests], a list as in `tests`, instead of those that the rule carries; [tests_file] is
 * what messages call the file they stand in. */
bool rule_test_run_list(const char *file, const char *text, size_t length,
                        const char *tests_file, const struct config_node *tests,
                        const struct config *config, struct buffer *report,
                        struct rule_test_result *result, struct error *err) GOPROFD_MUST_CHECK;

#endif
