/* state_copy.c - walks a table of one Lua state and builds it again in another. */
#include "lua/state_copy.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdbool.h>

struct copying {
    lua_State *from;
    lua_State *to;
    unsigned entries;
};

static void copy_string(const struct copying *copying)
{
    size_t length;
    const char *bytes = lua_tolstring(copying->from, -1, &length);
    if (length > STATE_COPY_STRING_MAX_BYTES)
        luaL_error(copying->to, "a string of %d KiB; %d are allowed", (int)(length >> 10),
                   STATE_COPY_STRING_MAX_BYTES >> 10);
    lua_pushlstring(copying->to, bytes, length);
}

static bool is_plain(lua_State *L, int index)
{
    const int type = lua_type(L, index);
    return type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TTABLE;
}

static void copy_value(struct copying *copying, int depth);

static void copy_table(struct copying *copying, int depth)
{
    lua_State *from = copying->from;
    lua_State *to = copying->to;
    if (depth == STATE_COPY_DEPTH_MAX)
        luaL_error(to, "tables nested deeper than %d, or a table that contains itself",
                   STATE_COPY_DEPTH_MAX);
    if (!lua_checkstack(from, 4))
        luaL_error(to, "no memory");
    luaL_checkstack(to, 4, "no memory");
    lua_newtable(to);
    const int table = lua_gettop(from);
    for (lua_pushnil(from); lua_next(from, table) != 0; lua_pop(from, 1)) {
        if (++copying->entries > STATE_COPY_ENTRIES_MAX)
            luaL_error(to, "more than %d entries", STATE_COPY_ENTRIES_MAX);
        /* A table as a key would be another one in the copy, and found by nobody. */
        if (!is_plain(from, -1) || !is_plain(from, -2) || lua_type(from, -2) == LUA_TTABLE)
            continue;
        lua_pushvalue(from, -2);
        copy_value(copying, depth + 1);
        lua_pop(from, 1);
        copy_value(copying, depth + 1);
        lua_rawset(to, -3);
    }
}

/* What is on top of `from`, which is plain. */
static void copy_value(struct copying *copying, int depth)
{
    switch (lua_type(copying->from, -1)) {
    case LUA_TBOOLEAN:
        lua_pushboolean(copying->to, lua_toboolean(copying->from, -1));
        break;
    case LUA_TNUMBER:
        if (lua_isinteger(copying->from, -1))
            lua_pushinteger(copying->to, lua_tointeger(copying->from, -1));
        else
            lua_pushnumber(copying->to, lua_tonumber(copying->from, -1));
        break;
    case LUA_TSTRING:
        copy_string(copying);
        break;
    default:
        copy_table(copying, depth);
    }
}

void state_copy(lua_State *from, lua_State *to)
{
    struct copying copying = {.from = from, .to = to};
    if (is_plain(from, -1))
        copy_value(&copying, 0);
    else
        lua_pushnil(to);
}
