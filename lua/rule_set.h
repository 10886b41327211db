/* rule_set.h - all rules of a folder, loaded together or not at all. */
#ifndef GOPROFD_LUA_RULE_SET_H
#define GOPROFD_LUA_RULE_SET_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct buffer;
struct config;
struct rule;

enum { RULE_SET_MAX = 2048 };

struct rule_set {
    size_t count;
    struct rule **rules; /* in the order of their file names */
};

/* Loads each *.lua of config->rules_dir; with [run_tests] it must pass the tests it carries.  All are
 * tried; [problems] (may be NULL) gets lines for each that is wrong, [err] the first.  NULL unless every one
 * is fine.  Touches nothing that runs: any thread. */
struct rule_set *rule_set_load(const struct config *config, bool run_tests,
                               struct buffer *problems, size_t *problem_count, struct error *err);
/* A set of this rule alone, which is taken over; NULL without memory. */
struct rule_set *rule_set_of(struct rule *rule);
void rule_set_free(struct rule_set *set); /* NULL is allowed */

/* Frees the rules whose name [glob] does not match; returns how many are left. */
size_t rule_set_keep(struct rule_set *set, const char *glob);

struct rule *rule_set_find(const struct rule_set *set, const char *name); /* or NULL */

#endif
