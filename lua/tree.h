/* tree.h - plain Lua data (nil, booleans, numbers, strings, tables of these) as C data: config.lua's result, with
 * the overrides of rule params, and the tests that rules carry. */
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

#endif
