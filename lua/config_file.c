/* config_file.c - runs config.lua in a sandbox and hands its table to config_apply().
 *
 * Main thread, at start, for -t and at SIGHUP. */
#include "lua/config_file.h"

#include <lauxlib.h>
#include <lua.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/base/config.h"
#include "lua/budget.h"
#include "lua/sandbox.h"
#include "lua/source_file.h"
#include "lua/tree.h"

enum {
    CONFIG_SOURCE_MAX_BYTES = 1 << 20,
    CONFIG_TREE_MAX_BYTES = 8 << 20,
    CONFIG_TREE_CHUNK_BYTES = 16 * 1024,
};

struct config_call {
    const char *name;
    const char *text;
    size_t length;
    struct arena *arena;
    struct config_node root;
};

static int run_protected(lua_State *L)
{
    struct config_call *call = lua_touserdata(L, 1);
    struct error err;
    sandbox_open(L);
    lua_settop(L, 0);
    sandbox_load(L, call->text, call->length, call->name);
    lua_call(L, 0, 1);
    if (lua_type(L, 1) != LUA_TTABLE)
        luaL_error(L, "the file must return one table, not a %s; write: return { ... }",
                   luaL_typename(L, 1));
    if (!tree_read(L, 1, call->arena, &call->root, &err))
        luaL_error(L, "%s", err.message);
    return 0;
}

static bool evaluate(struct config_call *call, struct error *err)
{
    const struct budget_limits limits = BUDGET_CONFIG;
    struct budget budget;
    lua_State *L = budget_new_state(&budget, &limits);
    if (L == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a Lua state");
    const bool ok = budget_call(L, run_protected, call, err);
    lua_close(L);
    return ok;
}

size_t config_file_load(const char *path, struct config *config, struct buffer *problems)
{
    struct error err;
    struct config_call call = {.name = source_file_base(path)};
    size_t count = 1;
    char *text = source_file_read(path, CONFIG_SOURCE_MAX_BYTES, &call.length, &err);
    call.text = text;
    call.arena = arena_new(CONFIG_TREE_MAX_BYTES, CONFIG_TREE_CHUNK_BYTES);
    if (text != NULL && call.arena == NULL)
        (void)error_set(&err, ERROR_NO_MEMORY, "%s: no memory", path);
    if (text != NULL && call.arena != NULL) {
        if (evaluate(&call, &err)) {
            count = config_apply(config, &call.root, path, problems);
            goto done;
        }
        source_file_name_error(path, &err);
    }
    buffer_append_string(problems, err.message);
    buffer_append_byte(problems, '\n');

done:
    free(text);
    arena_free(call.arena);
    return count;
}
