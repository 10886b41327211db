/* trend_view.h - the target's functions over history: trend, slope, percentile, time_to, ... */
#ifndef GOPROFD_LUA_TREND_VIEW_H
#define GOPROFD_LUA_TREND_VIEW_H

struct lua_State;
struct snapshot_view;

/* Adds the functions to the table on top of the stack. */
void trend_view_register(struct lua_State *L, struct snapshot_view *view);

#endif
