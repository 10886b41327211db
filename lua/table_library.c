/* table_library.c - table.* for the sandbox: Lua's functions behind a check and a charge.
 *
 * Called from Lua code within budget_call(). */
#include "lua/table_library.h"

#include <lauxlib.h>
#include <lua.h>

#include "lua/budget.h"

enum { BYTES_PER_STEP = 16 };

static lua_Integer check_plain_table(lua_State *L, int index)
{
    luaL_checktype(L, index, LUA_TTABLE);
    if (lua_getmetatable(L, index))
        luaL_argerror(L, index, "table without a metatable expected");
    return (lua_Integer)lua_rawlen(L, index);
}

/* Length of the range [first, last], or an error if it is more than the state could hold. */
static uint64_t check_range(lua_State *L, lua_Integer first, lua_Integer last)
{
    if (last < first)
        return 0;
    const lua_Unsigned count = (lua_Unsigned)last - (lua_Unsigned)first;
    if (count >= budget_of(L)->limits.memory_bytes)
        luaL_error(L, "range of elements too large");
    return (uint64_t)count + 1;
}

static int run_standard(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

static int table_insert_or_remove(lua_State *L)
{
    budget_charge(L, (uint64_t)check_plain_table(L, 1) / 4 + 1);
    return run_standard(L);
}

static int table_concat(lua_State *L)
{
    const lua_Integer length = check_plain_table(L, 1);
    const lua_Integer first = luaL_optinteger(L, 3, 1);
    const uint64_t count = check_range(L, first, luaL_optinteger(L, 4, length));
    size_t separator_bytes;
    (void)luaL_optlstring(L, 2, "", &separator_bytes);
    uint64_t cost = count + count * separator_bytes / BYTES_PER_STEP;
    budget_charge(L, count);
    for (uint64_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, 1, first + (lua_Integer)i) == LUA_TSTRING)
            cost += lua_rawlen(L, -1) / BYTES_PER_STEP;
        lua_pop(L, 1);
    }
    budget_charge(L, cost);
    return run_standard(L);
}

static int table_unpack(lua_State *L)
{
    const lua_Integer length = check_plain_table(L, 1);
    budget_charge(L, check_range(L, luaL_optinteger(L, 2, 1), luaL_optinteger(L, 3, length)));
    return run_standard(L);
}

static int table_move(lua_State *L)
{
    (void)check_plain_table(L, 1);
    if (!lua_isnoneornil(L, 5))
        (void)check_plain_table(L, 5);
    budget_charge(L, check_range(L, luaL_checkinteger(L, 2), luaL_checkinteger(L, 3)) + 1);
    return run_standard(L);
}

/* Lua's sort compares n log n times, and n^2 times with bad luck; strings cost their length. */
static int table_sort(lua_State *L)
{
    const lua_Integer length = check_plain_table(L, 1);
    uint64_t cost = (uint64_t)length;
    budget_charge(L, cost);
    for (lua_Integer i = 1; i <= length; i++) {
        const int kind = lua_rawgeti(L, 1, i);
        if (kind == LUA_TSTRING)
            cost += lua_rawlen(L, -1) / BYTES_PER_STEP;
        else if (kind == LUA_TTABLE || kind == LUA_TUSERDATA)
            cost += 1; /* compared by a function, whose instructions count by themselves */
        lua_pop(L, 1);
    }
    uint64_t log2_length = 1;
    while ((length >> log2_length) > 0)
        log2_length++;
    budget_charge(L, cost * log2_length);
    return run_standard(L);
}

static int table_pack(lua_State *L)
{
    budget_charge(L, (uint64_t)lua_gettop(L) + 1);
    return run_standard(L);
}

static const luaL_Reg functions[] = {
    {"concat", table_concat}, {"insert", table_insert_or_remove}, {"move", table_move},
    {"pack", table_pack},     {"remove", table_insert_or_remove}, {"sort", table_sort},
    {"unpack", table_unpack},
};

void table_library_push(lua_State *L, int standard_index)
{
    standard_index = lua_absindex(L, standard_index);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        lua_getfield(L, standard_index, functions[i].name);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -2, functions[i].name);
    }
}
