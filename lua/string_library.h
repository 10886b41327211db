/* string_library.h - the string functions that code in a sandbox may call, all of them bounded.
 *
 * find, match, gmatch and gsub run on our own matcher; rep and format are guarded; the others are
 * Lua's, charged by the length of their arguments. */
#ifndef GOPROFD_LUA_STRING_LIBRARY_H
#define GOPROFD_LUA_STRING_LIBRARY_H

struct lua_State;

/* Pushes a new table with the functions; [standard_index] is the stack index of Lua's own string
 * library.  May raise an error. */
void string_library_push(struct lua_State *L, int standard_index);

/* Wraps the C function (without upvalues) on top of the stack in one that first pays for the length of
 * its string arguments. */
void string_library_charge_top(struct lua_State *L);

/* As luaL_tolstring, without addresses: they differ from run to run and tell about our memory.
 * Pushes the text. */
const char *string_library_text(struct lua_State *L, int index);

#endif
