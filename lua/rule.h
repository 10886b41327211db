/* rule.h - one rule: a Lua file, its params, and a Lua state of its own.
 *
 *   file --compile, run once--> { name, doc, params, evaluate } --per target and beat--> evaluation
 *
 * Each rule has its own state: a rule that breaks its own tables, or fills its memory, cannot touch
 * another.  Used by one thread at a time. */
#ifndef GOPROFD_LUA_RULE_H
#define GOPROFD_LUA_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "lua/rule_header.h"

struct buffer;
struct config;
struct config_node;
struct evaluation;
struct observation;
struct rule;
struct trace;

enum { RULE_SOURCE_MAX_BYTES = 256 * 1024 };

enum rule_option {
    RULE_KEEP_TESTS = 1, /* for rule_tests() */
    RULE_MUTED = 2,      /* log() writes nothing */
    RULE_UNHURRIED = 4,  /* a test or a replay: instructions and memory are what limits it, not time */
};

/* Loads the rule from [text].  [file] is what messages call it.  Overrides come from [config], which
 * must outlive the rule.  [options]: of enum rule_option.  NULL with "FILE:LINE: text". */
struct rule *rule_new(const char *file, const char *text, size_t length,
                      const struct config *config, unsigned options, struct error *err);
void rule_free(struct rule *rule); /* NULL is allowed */
void rule_unhurry(struct rule *rule); /* RULE_UNHURRIED from now on */

/* The file's `tests` as plain data; NULL if it has none or they were not kept. */
const struct config_node *rule_tests(const struct rule *rule);

const char *rule_name(const struct rule *rule);
const char *rule_file(const struct rule *rule);
const char *rule_doc(const struct rule *rule);
const struct rule_header *rule_header(const struct rule *rule);
bool rule_enabled(const struct rule *rule);

/* What the config says of this rule on this target: whether it runs, and its timing. */
bool rule_enabled_for(const struct rule *rule, const char *target_id);
struct rule_timing rule_timing_for(const struct rule *rule, const char *target_id);
size_t rule_memory_bytes(const struct rule *rule);

/* Shows [seen] to the rule.  What it says is in *[said], owned by the rule, until the next call.
 * On failure [err] has "FILE:LINE: text" (ERROR_LIMIT: budget exceeded) and nothing was said.  A rule
 * that has filled its memory for good starts anew in a fresh Lua state. */
bool rule_evaluate(struct rule *rule, const struct observation *seen,
                   const struct evaluation **said, struct error *err) GOPROFD_MUST_CHECK;

/* What the last rule_evaluate() looked at; valid until the next. */
const struct trace *rule_trace(const struct rule *rule);

/* A fresh Lua state, as after rule_new(): whatever the rule has done since is forgotten. */
bool rule_restart(struct rule *rule, struct error *err) GOPROFD_MUST_CHECK;

/* Drops what the rule keeps in target.state for this target. */
void rule_forget_target(struct rule *rule, const char *target_id);

/* Copies all target.state tables of [old] into [rule], as far as they are plain data. */
void rule_adopt_state(struct rule *rule, struct rule *old);

#endif
