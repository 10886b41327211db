/* string_library.c - string.* for the sandbox.
 *
 * Called from Lua code within budget_call().  Any function here may be left by a long jump, so
 * memory is Lua's (userdata, luaL_Buffer) throughout. */
#include "lua/string_library.h"

#include <lauxlib.h>
#include <lua.h>

#include "lua/budget.h"
#include "lua/matcher.h"

enum { BYTES_PER_STEP = 16 }; /* what memcpy-like work is charged */

/* ---- patterns ---- */

static struct matcher_pattern *push_pattern(lua_State *L, int index, bool anchors)
{
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);
    budget_charge(L, length / 4 + 1);
    void *memory = lua_newuserdatauv(L, matcher_pattern_bytes(length), 0);
    struct error err = {.code = ERROR_NONE};
    struct matcher_pattern *pattern = matcher_compile(memory, text, length, anchors, &err);
    if (pattern == NULL)
        luaL_error(L, "%s", err.message);
    return pattern;
}

/* Searches within the budget; true if there is a match. */
static bool search(lua_State *L, const struct matcher_pattern *pattern, const char *subject,
                   size_t length, size_t start, struct matcher_match *match)
{
    const uint64_t granted = budget_steps_left(budget_of(L));
    uint64_t left = granted;
    const enum matcher_result result =
        matcher_find(pattern, subject, length, start, &left, match);
    if (result == MATCHER_OUT_OF_STEPS)
        budget_raise(L, BUDGET_INSTRUCTIONS);
    budget_charge(L, granted - left);
    return result == MATCHER_MATCH;
}

static void push_capture(lua_State *L, const struct matcher_pattern *pattern, const char *subject,
                         const struct matcher_match *match, int index)
{
    if (pattern->capture_count == 0 && index == 0) {
        lua_pushlstring(L, subject + match->start, match->end - match->start);
        return;
    }
    const struct matcher_capture *capture = &match->captures[index];
    if (capture->is_position)
        lua_pushinteger(L, (lua_Integer)capture->start + 1);
    else
        lua_pushlstring(L, subject + capture->start, capture->length);
}

/* Pushes all captures, or the whole match if there are none and [whole] is set. */
static int push_captures(lua_State *L, const struct matcher_pattern *pattern, const char *subject,
                         const struct matcher_match *match, bool whole)
{
    const int count = pattern->capture_count == 0 && whole ? 1 : pattern->capture_count;
    luaL_checkstack(L, count + 4, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(L, pattern, subject, match, i);
    return count;
}

/* Lua's optional 1-based start, negative from the end, as an offset; SIZE_MAX if past the end. */
static size_t start_offset(lua_State *L, int index, size_t length)
{
    const lua_Integer init = luaL_optinteger(L, index, 1);
    if (init > 0)
        return (lua_Unsigned)init - 1 <= length ? (size_t)init - 1 : SIZE_MAX;
    if (init == 0 || init < -(lua_Integer)length)
        return 0;
    return length - (size_t)-init;
}

static int find_plain(lua_State *L, const char *subject, size_t length, const char *wanted,
                      size_t wanted_length, size_t start)
{
    budget_charge(L, (length + wanted_length) / BYTES_PER_STEP + 1);
    const char *found = wanted_length == 0
                            ? subject + start
                            : memmem(subject + start, length - start, wanted, wanted_length);
    if (found == NULL) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, found - subject + (lua_Integer)wanted_length);
    return 2;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t length;
    size_t wanted_length;
    const char *subject = luaL_checklstring(L, 1, &length);
    const char *wanted = luaL_checklstring(L, 2, &wanted_length);
    const size_t start = start_offset(L, 3, length);
    if (start == SIZE_MAX) {
        lua_pushnil(L);
        return 1;
    }
    if (find && lua_toboolean(L, 4))
        return find_plain(L, subject, length, wanted, wanted_length, start);
    const struct matcher_pattern *pattern = push_pattern(L, 2, true);
    struct matcher_match match;
    if (!search(L, pattern, subject, length, start, &match)) {
        lua_pushnil(L);
        return 1;
    }
    if (!find)
        return push_captures(L, pattern, subject, &match, true);
    lua_pushinteger(L, (lua_Integer)match.start + 1);
    lua_pushinteger(L, (lua_Integer)match.end);
    return 2 + push_captures(L, pattern, subject, &match, false);
}

static int string_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int string_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Finds the next match from [*next] on that does not end where the one before did: an empty match
 * right behind another match is none. */
static bool search_next(lua_State *L, const struct matcher_pattern *pattern, const char *subject,
                        size_t length, size_t *next, size_t *last_end, struct matcher_match *match)
{
    while (*next <= length && search(L, pattern, subject, length, *next, match)) {
        if (match->end != *last_end) {
            *next = *last_end = match->end;
            return true;
        }
        *next = match->start + 1;
        if (pattern->anchored)
            return false;
    }
    return false;
}

/* upvalues: subject, pattern, next, last end */
static int gmatch_next(lua_State *L)
{
    size_t length;
    const char *subject = lua_tolstring(L, lua_upvalueindex(1), &length);
    const struct matcher_pattern *pattern = lua_touserdata(L, lua_upvalueindex(2));
    size_t next = (size_t)lua_tointeger(L, lua_upvalueindex(3));
    size_t last_end = (size_t)lua_tointeger(L, lua_upvalueindex(4));
    struct matcher_match match;
    const bool found = search_next(L, pattern, subject, length, &next, &last_end, &match);
    lua_pushinteger(L, (lua_Integer)(found ? next : length + 1));
    lua_replace(L, lua_upvalueindex(3));
    lua_pushinteger(L, (lua_Integer)last_end);
    lua_replace(L, lua_upvalueindex(4));
    return found ? push_captures(L, pattern, subject, &match, true) : 0;
}

static int string_gmatch(lua_State *L)
{
    size_t length;
    (void)luaL_checklstring(L, 1, &length);
    (void)luaL_checkstring(L, 2);
    const size_t start = start_offset(L, 3, length);
    lua_settop(L, 2);
    (void)push_pattern(L, 2, false);
    lua_replace(L, 2);
    lua_pushinteger(L, (lua_Integer)(start == SIZE_MAX ? length + 1 : start));
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_next, 4);
    return 1;
}

/* ---- gsub ---- */

struct substitution {
    const struct matcher_pattern *pattern;
    const char *subject;
    const struct matcher_match *match;
    luaL_Buffer *out;
};

/* Index of the capture that "%[digit]" in a replacement names: -1 for %0. */
static int replacement_capture(lua_State *L, const struct substitution *sub, char digit)
{
    const int index = digit - '1';
    const int count = sub->pattern->capture_count > 0 ? sub->pattern->capture_count : 1;
    if (index >= count)
        luaL_error(L, "invalid capture index %%%d in replacement string", index + 1);
    return index;
}

static void add_template(lua_State *L, const struct substitution *sub)
{
    size_t length;
    const char *text = lua_tolstring(L, 3, &length);
    budget_charge(L, length / BYTES_PER_STEP + 1);
    for (size_t i = 0; i < length; i++) {
        if (text[i] != '%') {
            luaL_addchar(sub->out, text[i]);
            continue;
        }
        const char next = ++i < length ? text[i] : '\0';
        if (next == '%') {
            luaL_addchar(sub->out, '%');
        } else if (next >= '0' && next <= '9') {
            const int index = replacement_capture(L, sub, next);
            if (index < 0)
                lua_pushlstring(L, sub->subject + sub->match->start,
                                sub->match->end - sub->match->start);
            else
                push_capture(L, sub->pattern, sub->subject, sub->match, index);
            (void)lua_tostring(L, -1); /* a position becomes text */
            luaL_addvalue(sub->out);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Adds what replaces one match, by the template, table or function at index 3. */
static void add_replacement(lua_State *L, const struct substitution *sub)
{
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION: {
        lua_pushvalue(L, 3);
        const int count = push_captures(L, sub->pattern, sub->subject, sub->match, true);
        lua_call(L, count, 1);
        break;
    }
    case LUA_TTABLE:
        push_capture(L, sub->pattern, sub->subject, sub->match, 0);
        lua_gettable(L, 3);
        break;
    default:
        add_template(L, sub);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(sub->out, sub->subject + sub->match->start,
                        sub->match->end - sub->match->start);
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(sub->out);
}

static int string_gsub(lua_State *L)
{
    size_t length;
    const char *subject = luaL_checklstring(L, 1, &length);
    (void)luaL_checkstring(L, 2);
    const int kind = lua_type(L, 3);
    luaL_argexpected(L,
                     kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TTABLE ||
                         kind == LUA_TFUNCTION,
                     3, "string/function/table");
    const lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1);
    const struct matcher_pattern *pattern = push_pattern(L, 2, true);

    luaL_Buffer out;
    luaL_buffinit(L, &out);
    struct matcher_match match;
    const struct substitution sub = {
        .pattern = pattern, .subject = subject, .match = &match, .out = &out};
    size_t next = 0;
    size_t last_end = SIZE_MAX;
    size_t copied = 0;
    lua_Integer count = 0;
    while (count < most && search_next(L, pattern, subject, length, &next, &last_end, &match)) {
        luaL_addlstring(&out, subject + copied, match.start - copied);
        copied = match.end;
        add_replacement(L, &sub);
        count++;
        if (pattern->anchored)
            break;
    }
    luaL_addlstring(&out, subject + copied, length - copied);
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

/* ---- rep and format ---- */

static int string_rep(lua_State *L)
{
    size_t length;
    size_t separator_length = 0;
    const char *text = luaL_checklstring(L, 1, &length);
    const lua_Integer count = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_length);
    const size_t each = length + separator_length;
    if (count <= 0 || each == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    const size_t limit = budget_of(L)->limits.memory_bytes;
    if ((lua_Unsigned)count > limit / each + 1)
        luaL_error(L, "resulting string too large");
    const size_t total = each * (size_t)count - separator_length;
    budget_charge(L, total / BYTES_PER_STEP + (uint64_t)count / 4 + 1);
    luaL_Buffer out;
    char *to = luaL_buffinitsize(L, &out, total);
    for (lua_Integer i = 0; i < count; i++) {
        memcpy(to, text, length);
        to += length;
        if (i + 1 < count && separator_length > 0) {
            memcpy(to, separator, separator_length);
            to += separator_length;
        }
    }
    luaL_pushresultsize(&out, total);
    return 1;
}

const char *string_library_text(lua_State *L, int index)
{
    if (luaL_getmetafield(L, index, "__tostring") != LUA_TNIL) {
        lua_pop(L, 1);
        return luaL_tolstring(L, index, NULL);
    }
    const int kind = lua_type(L, index);
    if (kind == LUA_TTABLE || kind == LUA_TFUNCTION || kind == LUA_TUSERDATA ||
        kind == LUA_TLIGHTUSERDATA || kind == LUA_TTHREAD)
        return lua_pushstring(L, luaL_typename(L, index));
    return luaL_tolstring(L, index, NULL);
}

/* Upvalue: Lua's string.format, run in this very call, so that its errors name the rule's line. */
static int string_format(lua_State *L)
{
    size_t length;
    const char *format = luaL_checklstring(L, 1, &length);
    uint64_t cost = length / BYTES_PER_STEP + 1;
    for (size_t i = 0; i + 1 < length; i++) {
        if (format[i] != '%')
            continue;
        i++;
        while (i + 1 < length && strchr("-+ #0123456789.", format[i]) != NULL && format[i] != '\0')
            i++;
        if (format[i] == 'p')
            luaL_error(L, "invalid conversion '%%p' to 'format': addresses are not for rules");
        cost += 8;
    }
    const int top = lua_gettop(L);
    for (int i = 2; i <= top; i++) {
        if (lua_type(L, i) > LUA_TSTRING) { /* tables, functions, userdata */
            (void)string_library_text(L, i);
            lua_replace(L, i);
        }
        if (lua_type(L, i) == LUA_TSTRING)
            cost += 2 * lua_rawlen(L, i) / BYTES_PER_STEP;
    }
    budget_charge(L, cost);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* ---- the rest: Lua's own, charged ---- */

/* Upvalue: the function of Lua's library. */
static int call_charged(lua_State *L)
{
    uint64_t cost = 1;
    const int top = lua_gettop(L);
    for (int i = 1; i <= top; i++) {
        if (lua_type(L, i) == LUA_TSTRING)
            cost += lua_rawlen(L, i) / BYTES_PER_STEP;
    }
    budget_charge(L, cost);
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

void string_library_charge_top(lua_State *L)
{
    lua_pushcclosure(L, call_charged, 1);
}

static const luaL_Reg own_functions[] = {
    {"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch},
    {"gsub", string_gsub}, {"rep", string_rep},     {NULL, NULL},
};

static const char *const charged_functions[] = {"byte", "char",    "len",  "lower",
                                                "sub",  "reverse", "upper"};

void string_library_push(lua_State *L, int standard_index)
{
    standard_index = lua_absindex(L, standard_index);
    luaL_newlib(L, own_functions);
    lua_getfield(L, standard_index, "format");
    lua_pushcclosure(L, string_format, 1);
    lua_setfield(L, -2, "format");
    for (size_t i = 0; i < sizeof(charged_functions) / sizeof(charged_functions[0]); i++) {
        lua_getfield(L, standard_index, charged_functions[i]);
        string_library_charge_top(L);
        lua_setfield(L, -2, charged_functions[i]);
    }
}
