/* tree.h - plain Lua data (nil, booleans, numbers, strings, tables of these) as C data, and back.
 *
 * Used for config.lua's result, for overrides of rule params, and to carry a rule's `state` from the
 * old Lua state to the new one at a reload. */
#ifndef GOPROFD_LUA_TREE_H
#define GOPROFD_LUA_TREE_H

#include "core/base/config.h"

struct arena;
struct lua_State;

enum { TREE_DEPTH_MAX = 16, TREE_NODES_MAX = 20000, TREE_STRING_MAX_BYTES = 64 * 1024 };

/* Copies the value at [index] into [arena].  Functions and userdata become NODE_OTHER; a table that
 * contains itself, or is too deep or too large, is an error.  Children come sorted: list items by
 * index, then members by name.  Raises no Lua error. */
bool tree_read(struct lua_State *L, int index, struct arena *arena, struct config_node *node,
               struct error *err) GOPROFD_MUST_CHECK;

/* Pushes [node]; NODE_OTHER becomes nil.  May raise an error (memory). */
void tree_push(struct lua_State *L, const struct config_node *node);

#endif
