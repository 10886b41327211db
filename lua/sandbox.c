/* sandbox.c - opens libraries by name from a list and closes the doors between them.
 *
 * Called inside budget_call() when a rule or the config file is loaded. */
#include "lua/sandbox.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lua/budget.h"
#include "lua/string_library.h"
#include "lua/table_library.h"

static const char *const base_names[] = {"error",    "getmetatable", "ipairs", "next",
                                         "pairs",    "pcall",        "select", "rawequal",
                                         "rawget",   "rawlen",       "type"};
static const char *const charged_base_names[] = {"tonumber"};
/* No random, no randomseed: the same history must give the same findings. */
static const char *const math_names[] = {"abs",  "acos",  "asin", "atan",       "ceil",
                                         "cos",  "deg",   "exp",  "floor",      "fmod",
                                         "huge", "log",   "max",  "maxinteger", "min",
                                         "modf", "mininteger", "pi", "rad",     "sin",
                                         "sqrt", "tan",   "tointeger", "type",  "ult"};
static const char *const utf8_names[] = {"char", "charpattern", "codepoint", "len", "offset", "codes"};

/* What people reach for first, and what to write instead. */
static const struct {
    const char *name;
    const char *hint;
} hints[] = {
    {"print", "use log(text)"},
    {"io", "rules and config have no files"},
    {"os", "rules and config have no system; target.now is the time"},
    {"require", "one file is one rule; there are no modules"},
    {"package", "one file is one rule; there are no modules"},
    {"debug", "there is no debug library"},
    {"load", "code is not made from text"},
    {"loadstring", "code is not made from text"},
    {"loadfile", "code is not made from text"},
    {"dofile", "code is not made from text"},
    {"coroutine", "there are no coroutines"},
    {"xpcall", "use pcall"},
    {"_G", "there is no table of globals"},
    {"collectgarbage", "memory is collected by itself"},
    {"rawset", "assign as usual"},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Copies [names] from the table at [from] into the one at [to]; with [charged], functions pay for
 * the length of the strings they are given. */
static void copy_names(lua_State *L, int from, int to, const char *const *names, size_t count,
                       bool charged)
{
    from = lua_absindex(L, from);
    to = lua_absindex(L, to);
    for (size_t i = 0; i < count; i++) {
        if (lua_getfield(L, from, names[i]) == LUA_TFUNCTION && charged)
            string_library_charge_top(L);
        lua_setfield(L, to, names[i]);
    }
}

/* upvalue 1: what is indexed, "" for globals */
static int refuse_missing(lua_State *L)
{
    const char *what = lua_tostring(L, lua_upvalueindex(1));
    const char *name = string_library_text(L, 2);
    if (*what != '\0')
        return luaL_error(L, "%s has no '%s'", what, name);
    for (size_t i = 0; i < COUNT_OF(hints); i++) {
        if (strcmp(hints[i].name, name) == 0)
            return luaL_error(L, "undefined global '%s' (%s)", name, hints[i].hint);
    }
    return luaL_error(L, "undefined global '%s'", name);
}

static int refuse_writing(lua_State *L)
{
    const char *what = lua_tostring(L, lua_upvalueindex(1));
    const char *name = string_library_text(L, 2);
    if (*what != '\0')
        return luaL_error(L, "%s is read-only (assignment to '%s')", what, name);
    return luaL_error(L, "assignment to global '%s' (write: local %s)", name, name);
}

/* Gives the table on top a metatable with [index_function] for missing keys. */
static void refuse_missing_names(lua_State *L, const char *what)
{
    lua_createtable(L, 0, 2);
    lua_pushstring(L, what);
    lua_pushcclosure(L, refuse_missing, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
}

void sandbox_freeze(lua_State *L, const char *what)
{
    refuse_missing_names(L, what);
    lua_newtable(L);
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, what);
    lua_pushcclosure(L, refuse_writing, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_remove(L, -2);
}

/* Finalizers run with the hook switched off, so nothing here may have one. */
static int set_metatable(lua_State *L)
{
    const int kind = lua_type(L, 2);
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, kind == LUA_TNIL || kind == LUA_TTABLE, 2, "nil or table");
    if (kind == LUA_TTABLE) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable with __gc is not allowed");
        lua_pop(L, 1);
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int to_string(lua_State *L)
{
    luaL_checkany(L, 1);
    (void)string_library_text(L, 1);
    return 1;
}

/* As Lua's, but a message that is a string gets its line in front, as error() does it. */
static int assert_true(lua_State *L)
{
    luaL_checkany(L, 1);
    if (lua_toboolean(L, 1))
        return lua_gettop(L);
    if (lua_gettop(L) > 1 && lua_type(L, 2) != LUA_TSTRING) {
        lua_settop(L, 2);
        return lua_error(L);
    }
    return luaL_error(L, "%s", luaL_optstring(L, 2, "assertion failed"));
}

/* Strings find their methods through a metatable of their own.  Arithmetic on strings goes: it would
 * convert a string of any length in one instruction. */
static void close_string_metatable(lua_State *L, int string_index)
{
    string_index = lua_absindex(L, string_index);
    lua_pushliteral(L, "");
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, string_index);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

static void make_environment(lua_State *L)
{
    sandbox_freeze(L, "");
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS); /* every chunk gets it as _ENV */
}

void sandbox_open(lua_State *L)
{
    luaL_checkstack(L, 12, "sandbox");
    lua_newtable(L);
    const int names = lua_gettop(L);

    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    copy_names(L, -1, names, base_names, COUNT_OF(base_names), false);
    copy_names(L, -1, names, charged_base_names, COUNT_OF(charged_base_names), true);
    lua_pop(L, 1);
    lua_pushcfunction(L, assert_true);
    lua_setfield(L, names, "assert");
    lua_pushcfunction(L, set_metatable);
    lua_setfield(L, names, "setmetatable");
    lua_pushcfunction(L, to_string);
    lua_setfield(L, names, "tostring");

    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    string_library_push(L, -1);
    sandbox_freeze(L, "string");
    close_string_metatable(L, -1);
    lua_setfield(L, names, "string");

    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    table_library_push(L, -1);
    sandbox_freeze(L, "table");
    lua_setfield(L, names, "table");

    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    lua_newtable(L);
    copy_names(L, -2, -1, utf8_names, COUNT_OF(utf8_names), true);
    sandbox_freeze(L, "utf8");
    lua_setfield(L, names, "utf8");

    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    lua_newtable(L);
    copy_names(L, -2, -1, math_names, COUNT_OF(math_names), true);
    sandbox_freeze(L, "math");
    lua_setfield(L, names, "math");

    /* The full libraries must not be found again, not even by us. */
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    lua_pushvalue(L, names);
    make_environment(L);
    lua_settop(L, names);
}

static bool is_word(unsigned char byte)
{
    return isalnum(byte) || byte == '_';
}

/* Lua 5.4.4 makes wrong code for `local _ENV <const>`, and whoever replaces _ENV would get around
 * the check for undefined names: the word is refused wherever it stands. */
static void refuse_env(lua_State *L, const char *source, size_t length, const char *name)
{
    int line = 1;
    for (size_t i = 0; i < length; i++) {
        if (source[i] == '\n')
            line++;
        if (source[i] == '_' && length - i >= 4 && memcmp(source + i, "_ENV", 4) == 0 &&
            (i == 0 || !is_word((unsigned char)source[i - 1])) &&
            (length - i == 4 || !is_word((unsigned char)source[i + 4])))
            luaL_error(L, "%s:%d: _ENV may not be used", name, line);
    }
}

void sandbox_load(lua_State *L, const char *source, size_t length, const char *name)
{
    refuse_env(L, source, length, name);
    const char *chunk_name = lua_pushfstring(L, "@%s", name);
    if (length > 0 && source[0] == LUA_SIGNATURE[0])
        luaL_error(L, "%s:1: this is bytecode; only source text is loaded", name);
    if (luaL_loadbufferx(L, source, length, chunk_name, "t") != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
}
