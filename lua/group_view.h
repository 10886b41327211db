/* group_view.h - target:types{}, target:tags{} and target:packages{}: sites added up. */
#ifndef GOPROFD_LUA_GROUP_VIEW_H
#define GOPROFD_LUA_GROUP_VIEW_H

struct lua_State;
struct snapshot_view;

/* Adds the functions to the table on top of the stack. */
void group_view_register(struct lua_State *L, struct snapshot_view *view);

#endif
