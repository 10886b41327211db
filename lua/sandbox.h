/* sandbox.h - the world that a rule or config.lua lives in.
 *
 *   chunk's _ENV: {}  --__index--> names { math, string, pairs, alert, ... }  --__index--> error
 *                     --__newindex--> error
 *
 * Libraries come from a list, by name; io, os, debug, package, coroutine, load and whatever runs
 * code without a hook (__gc, xpcall) are not there.  Library tables are read-only.  An undefined
 * name is an error at its line, and so is an assignment to a global. */
#ifndef GOPROFD_LUA_SANDBOX_H
#define GOPROFD_LUA_SANDBOX_H

#include <stddef.h>

struct lua_State;

/* Opens the libraries and pushes the table of names, to which the caller may add its own before it
 * pops it.  Called inside budget_call(), once per state. */
void sandbox_open(struct lua_State *L);

/* Compiles [source] and pushes the chunk; text only, no bytecode.  [name] is what errors call the
 * file.  Raises "NAME:LINE: text". */
void sandbox_load(struct lua_State *L, const char *source, size_t length, const char *name);

/* Replaces the table on top of the stack by a read-only view of it.  [what] names it in errors and
 * must be a constant. */
void sandbox_freeze(struct lua_State *L, const char *what);

#endif
