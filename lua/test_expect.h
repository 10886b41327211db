/* test_expect.h - what a test of a rule expects, held against each beat.
 *
 *   { alert = "ID", severity =, by =, after =, message =, advice =, evidence =, value =, group = }
 *   { suggestion = "ID", ... }    firing (open) at some beat up to `by`, and at none before `after`
 *   { pending = "ID", by = }      an alert that waits
 *   { quiet = true }  { quiet_until = 30 }    nothing is open, ever or until that beat
 *   { closed_by = 90 }            from that beat on nothing is open
 *   { captures = 1 }              so many were asked for, at the end
 *
 * ID: the finding's id without the target, or the part before a '*'. */
#ifndef GOPROFD_LUA_TEST_EXPECT_H
#define GOPROFD_LUA_TEST_EXPECT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct buffer;
struct config_node;
struct finding_set;
struct test_expect;

/* Reads the list [node]; NULL with what is wrong.  The node must outlive it. */
struct test_expect *test_expect_new(const struct config_node *node, size_t beats,
                                    struct error *err);
void test_expect_free(struct test_expect *expect); /* NULL is allowed */

/* Looks at what is published after [beat] (1, 2, ...). */
void test_expect_beat(struct test_expect *expect, size_t beat, const struct finding_set *findings);

/* After the last beat: true if all was as expected; else [report] gets a line for each difference, and
 * what was seen. */
bool test_expect_judge(const struct test_expect *expect, size_t captures, struct buffer *report);

#endif
