/* data_file.c - runs a Lua file that describes something, and keeps what it returns as plain data.
 *
 * Called for config.lua (main thread: start, -t, SIGHUP) and for tests of rules (goprofd test). */
#include "lua/data_file.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdlib.h>

#include "core/base/arena.h"
#include "core/base/config.h"
#include "lua/budget.h"
#include "lua/sandbox.h"
#include "lua/source_file.h"
#include "lua/tree.h"

enum { SOURCE_MAX_BYTES = 1 << 20 };

struct data_call {
    const char *name;
    const char *text;
    size_t length;
    struct arena *arena;
    struct config_node *root;
};

static int run_protected(lua_State *L)
{
    struct data_call *call = lua_touserdata(L, 1);
    struct error err;
    sandbox_open(L);
    lua_settop(L, 0);
    sandbox_load(L, call->text, call->length, call->name);
    lua_call(L, 0, 1);
    if (lua_type(L, 1) != LUA_TTABLE)
        luaL_error(L, "the file must return one table, not a %s; write: return { ... }",
                   luaL_typename(L, 1));
    if (!tree_read(L, 1, call->arena, call->root, &err))
        luaL_error(L, "%s", err.message);
    return 0;
}

bool data_file_read(const char *path, struct arena *arena, struct config_node *root,
                    struct error *err)
{
    struct data_call call = {.name = source_file_base(path), .arena = arena, .root = root};
    char *text = source_file_read(path, SOURCE_MAX_BYTES, &call.length, err);
    if (text == NULL)
        return false;
    call.text = text;
    const struct budget_limits limits = BUDGET_CONFIG;
    struct budget budget;
    lua_State *L = budget_new_state(&budget, &limits);
    bool ok = false;
    if (L == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "%s: no memory for a Lua state", path);
    } else {
        ok = budget_call(L, run_protected, &call, err);
        lua_close(L);
        if (!ok)
            source_file_name_error(path, err);
    }
    free(text);
    return ok;
}
