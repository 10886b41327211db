/* rising_view.h - target:rising(entry, {...}): the trend of a site that grows like a leak, or nil. */
#ifndef GOPROFD_LUA_RISING_VIEW_H
#define GOPROFD_LUA_RISING_VIEW_H

struct lua_State;
struct snapshot_view;

/* Adds the method to the table on top of the stack. */
void rising_view_register(struct lua_State *L, struct snapshot_view *view);

#endif
