/* tree.c - walks Lua tables with raw access only: no metamethod of the code that made them runs. */
#include "lua/tree.h"

#include <lauxlib.h>
#include <lua.h>

#include "core/base/arena.h"

struct reader {
    lua_State *L;
    struct arena *arena;
    size_t nodes;
    struct error *err;
};

static bool no_room(struct reader *reader)
{
    return error_set(reader->err, ERROR_LIMIT, "the data is larger than goprofd accepts");
}

static bool copy_string(struct reader *reader, int index, const char **text)
{
    size_t length;
    const char *bytes = lua_tolstring(reader->L, index, &length);
    if (length > TREE_STRING_MAX_BYTES)
        return error_set(reader->err, ERROR_LIMIT, "a string of %zu bytes; %d are allowed", length,
                         TREE_STRING_MAX_BYTES);
    if (memchr(bytes, '\0', length) != NULL)
        return error_set(reader->err, ERROR_USAGE, "a string with a zero byte in it");
    *text = arena_copy_string(reader->arena, bytes, length);
    return *text != NULL || no_room(reader);
}

static bool read_key(struct reader *reader, int index, struct config_node *node)
{
    if (lua_type(reader->L, index) == LUA_TSTRING)
        return copy_string(reader, index, &node->key);
    if (lua_isinteger(reader->L, index) && lua_tointeger(reader->L, index) > 0) {
        node->index = lua_tointeger(reader->L, index);
        return true;
    }
    return error_set(reader->err, ERROR_USAGE,
                     "a table key that is neither a name nor a position (a %s)",
                     luaL_typename(reader->L, index));
}

static int compare_nodes(const void *left, const void *right)
{
    const struct config_node *a = left;
    const struct config_node *b = right;
    if (a->key == NULL || b->key == NULL)
        return a->key != NULL   ? 1
               : b->key != NULL ? -1
                                : (a->index > b->index) - (a->index < b->index);
    return strcmp(a->key, b->key);
}

static bool read_value(struct reader *reader, int index, unsigned depth, struct config_node *node);

static bool read_table(struct reader *reader, int index, unsigned depth, struct config_node *node)
{
    lua_State *L = reader->L;
    if (depth == TREE_DEPTH_MAX)
        return error_set(reader->err, ERROR_LIMIT,
                         "tables nested deeper than %d, or a table that contains itself",
                         TREE_DEPTH_MAX);
    if (!lua_checkstack(L, 4))
        return no_room(reader);
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1))
        count++;
    reader->nodes += count;
    if (reader->nodes > TREE_NODES_MAX)
        return no_room(reader);
    node->kind = NODE_TABLE;
    if (count == 0)
        return true;
    struct config_node *children =
        arena_alloc_array(reader->arena, count, sizeof(struct config_node));
    if (children == NULL)
        return no_room(reader);
    size_t at = 0;
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const int value = lua_gettop(L);
        if (!read_key(reader, value - 1, &children[at]) ||
            !read_value(reader, value, depth + 1, &children[at]))
            return false;
        at++;
    }
    qsort(children, count, sizeof(*children), compare_nodes);
    node->children = children;
    node->child_count = count;
    return true;
}

static bool read_value(struct reader *reader, int index, unsigned depth, struct config_node *node)
{
    lua_State *L = reader->L;
    switch (lua_type(L, index)) {
    case LUA_TNIL:
        node->kind = NODE_NIL;
        return true;
    case LUA_TBOOLEAN:
        node->kind = NODE_BOOL;
        node->boolean = lua_toboolean(L, index) != 0;
        return true;
    case LUA_TNUMBER:
        node->kind = NODE_NUMBER;
        node->number = lua_tonumber(L, index);
        return true;
    case LUA_TSTRING:
        node->kind = NODE_STRING;
        return copy_string(reader, index, &node->string);
    case LUA_TTABLE:
        return read_table(reader, index, depth, node);
    default:
        node->kind = NODE_OTHER;
        node->string = luaL_typename(L, index);
        return true;
    }
}

bool tree_read(lua_State *L, int index, struct arena *arena, struct config_node *node,
               struct error *err)
{
    struct reader reader = {.L = L, .arena = arena, .nodes = 1, .err = err};
    const int top = lua_gettop(L);
    *node = (struct config_node){.kind = NODE_NIL};
    const bool ok = read_value(&reader, lua_absindex(L, index), 0, node);
    lua_settop(L, top);
    return ok;
}
