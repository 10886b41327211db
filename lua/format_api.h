/* format_api.h - format_bytes() and format_seconds(): numbers as people read them, for messages. */
#ifndef GOPROFD_LUA_FORMAT_API_H
#define GOPROFD_LUA_FORMAT_API_H

struct lua_State;

/* Adds the functions to the table on top of the stack. */
void format_api_register(struct lua_State *L);

#endif
