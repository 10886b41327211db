/* tag_rules.h - the `tags` list of the config: globs over the frames of a stack.
 *
 *   { tag = "checkout", match = "main.(*shop).checkout" }      by full function name
 *   { tag = "db", package = "database/sql" }                   by package
 *   { tag = "generated", file = "*_gen.go" }                   by source file
 *
 * In a glob '*' stands for any text (slashes and dots too) and '?' for one byte; nothing else is special.
 * What a rule names must all be true of one frame. */
#ifndef GOPROFD_STORE_TAG_RULES_H
#define GOPROFD_STORE_TAG_RULES_H

#include <stdbool.h>
#include <stddef.h>

struct config_tag;
struct frame;

/* Takes time in proportion to both lengths at worst. */
bool tag_glob_matches(const char *pattern, const char *text, size_t length);

bool tag_rule_matches(const struct config_tag *rule, const struct frame *frame);

/* The first of [rules] that matches [frame]; [count] if none does. */
size_t tag_rules_find(const struct config_tag *rules, size_t count, const struct frame *frame);

#endif
