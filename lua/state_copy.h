/* state_copy.h - carries what a rule remembers from one Lua state into another, at a reload.
 *
 * Exact: integers stay integers, texts may hold any bytes, keys are whatever Lua allows among plain data.
 * Read with raw access only, so that no metamethod of the old rule runs. */
#ifndef GOPROFD_LUA_STATE_COPY_H
#define GOPROFD_LUA_STATE_COPY_H

struct lua_State;

/* Of the state of one target. */
enum { STATE_COPY_DEPTH_MAX = 16, STATE_COPY_ENTRIES_MAX = 20000, STATE_COPY_STRING_MAX_BYTES = 64 * 1024 };

/* Pushes on [to] a copy of what is on top of [from], which stays there.  Functions, userdata and threads are left
 * out, as keys and as values, and so are metatables; a table that is met twice becomes two.  Raises an error in
 * [to], with something on the stack of [from] perhaps, if the data is too large or too deep, which a table
 * that contains itself always is. */
void state_copy(struct lua_State *from, struct lua_State *to);

#endif
