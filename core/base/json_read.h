/* json_read.h - JSON text as a tree of struct config_node.
 *
 * For files that goprofd wrote itself and may find damaged: everything is bounded and checked, and an
 * error names the byte.  Numbers are doubles.  null members are NODE_NIL. */
#ifndef GOPROFD_BASE_JSON_READ_H
#define GOPROFD_BASE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/config.h"

struct arena;

enum { JSON_READ_DEPTH_MAX = 32 };

/* Reads the one value that [text] is; strings and nodes are in [arena].  Names of members appear once
 * each in what goprofd writes; of two equal ones both are there. */
bool json_read(const char *text, size_t length, struct arena *arena, struct config_node *node,
               struct error *err) GOPROFD_MUST_CHECK;

/* The member of [node] called [key], or NULL; [node] may be NULL or no table. */
const struct config_node *json_read_member(const struct config_node *node, const char *key);

#endif
