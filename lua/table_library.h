/* table_library.h - the table functions that code in a sandbox may call, all of them bounded.
 *
 * They take plain tables only: with __len or __index a table could claim 2^60 elements and keep
 * Lua's own loops, which run no hook, busy for years. */
#ifndef GOPROFD_LUA_TABLE_LIBRARY_H
#define GOPROFD_LUA_TABLE_LIBRARY_H

struct lua_State;

/* Pushes a new table with the functions; [standard_index] is the stack index of Lua's own table
 * library.  May raise an error. */
void table_library_push(struct lua_State *L, int standard_index);

#endif
