/* site_view.h - target:sites{}, :retentions(), :allocations() and :growth(): who holds the memory. */
#ifndef GOPROFD_LUA_SITE_VIEW_H
#define GOPROFD_LUA_SITE_VIEW_H

struct lua_State;
struct snapshot_view;

/* Adds the methods to the table on top of the stack. */
void site_view_register(struct lua_State *L, struct snapshot_view *view);

#endif
