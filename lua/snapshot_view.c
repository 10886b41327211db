/* snapshot_view.c - the target object of rules, on top of snapshot, field table and history.
 *
 * Called from Lua within budget_call(), on the rule thread. */
#include "lua/snapshot_view.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/base/config_parts.h"
#include "core/store/fields.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "core/store/trend.h"
#include "lua/budget.h"
#include "lua/history.h"
#include "lua/quantity.h"
#include "lua/site_view.h"
#include "lua/string_library.h"

#define TARGET_TYPE "goprofd.target"
#define SNAPSHOT_TYPE "goprofd.snapshot"

static const double DEFAULT_WINDOW_S = 600;
enum { TREND_STEPS = 500 }; /* charged for a trend; most are in the cache */

void snapshot_view_push_u64(lua_State *L, uint64_t value)
{
    if (value <= (uint64_t)LUA_MAXINTEGER)
        lua_pushinteger(L, (lua_Integer)value);
    else
        lua_pushnumber(L, (lua_Number)value);
}

/* ---- fields and attributes ---- */

static void push_field(lua_State *L, const struct snapshot *snapshot, const struct field *field)
{
    union field_value value;
    if (!snapshot_field_get(&snapshot->values, field, &value)) {
        lua_pushnil(L);
        return;
    }
    switch (field->type) {
    case FIELD_U64:
        snapshot_view_push_u64(L, value.u64);
        break;
    case FIELD_I64:
        lua_pushinteger(L, value.i64);
        break;
    case FIELD_F64:
        lua_pushnumber(L, value.f64);
        break;
    }
}

static double seconds_of(uint64_t ns)
{
    return (double)ns / 1e9;
}

enum attribute {
    ATTRIBUTE_AGE,
    ATTRIBUTE_EXE,
    ATTRIBUTE_GENERATION,
    ATTRIBUTE_GO_VERSION,
    ATTRIBUTE_ID,
    ATTRIBUTE_MODULE_PATH,
    ATTRIBUTE_MODULE_VERSION,
    ATTRIBUTE_NAME,
    ATTRIBUTE_NOW,
    ATTRIBUTE_PARTIAL,
    ATTRIBUTE_SOURCE,
    ATTRIBUTE_STATE,
    ATTRIBUTE_VCS_REVISION,
};
static const char *const attribute_names[] = {
    [ATTRIBUTE_AGE] = "age",
    [ATTRIBUTE_EXE] = "exe",
    [ATTRIBUTE_GENERATION] = "generation",
    [ATTRIBUTE_GO_VERSION] = "go_version",
    [ATTRIBUTE_ID] = "id",
    [ATTRIBUTE_MODULE_PATH] = "module_path",
    [ATTRIBUTE_MODULE_VERSION] = "module_version",
    [ATTRIBUTE_NAME] = "name",
    [ATTRIBUTE_NOW] = "now",
    [ATTRIBUTE_PARTIAL] = "partial",
    [ATTRIBUTE_SOURCE] = "source",
    [ATTRIBUTE_STATE] = "state",
    [ATTRIBUTE_VCS_REVISION] = "vcs_revision",
};
enum { ATTRIBUTE_COUNT = sizeof(attribute_names) / sizeof(attribute_names[0]) };

/* Pushes the state table of the current target: registry[view][target id]. */
static void push_state(lua_State *L, const struct observation *seen)
{
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, lua_touserdata(L, lua_upvalueindex(1)));
    if (lua_getfield(L, -1, seen->info->facts.id) == LUA_TNIL) {
        lua_newtable(L);
        lua_copy(L, -1, -2);
        lua_setfield(L, -3, seen->info->facts.id);
    }
    lua_remove(L, -2);
}

/* A text that is not known is nil, as a number would be. */
static void push_text(lua_State *L, const char *text)
{
    if (text[0] == '\0')
        lua_pushnil(L);
    else
        lua_pushstring(L, text);
}

static void push_attribute(lua_State *L, const struct observation *seen, enum attribute attribute)
{
    const struct target_facts *facts = &seen->info->facts;
    switch (attribute) {
    case ATTRIBUTE_AGE:
        if (facts->start_realtime_ns == 0 ||
            seen->snapshot->realtime_ns < facts->start_realtime_ns)
            lua_pushnil(L);
        else
            lua_pushnumber(L, seconds_of(seen->snapshot->realtime_ns - facts->start_realtime_ns));
        break;
    case ATTRIBUTE_EXE:
        push_text(L, facts->exe);
        break;
    case ATTRIBUTE_GENERATION:
        snapshot_view_push_u64(L, seen->snapshot->generation);
        break;
    case ATTRIBUTE_GO_VERSION:
        push_text(L, facts->go_version);
        break;
    case ATTRIBUTE_ID:
        push_text(L, facts->id);
        break;
    case ATTRIBUTE_MODULE_PATH:
        push_text(L, facts->module_path);
        break;
    case ATTRIBUTE_MODULE_VERSION:
        push_text(L, facts->module_version);
        break;
    case ATTRIBUTE_NAME:
        push_text(L, facts->name);
        break;
    case ATTRIBUTE_NOW:
        lua_pushnumber(L, seconds_of(seen->snapshot->realtime_ns));
        break;
    case ATTRIBUTE_PARTIAL:
        lua_pushboolean(L, seen->snapshot->partial);
        break;
    case ATTRIBUTE_SOURCE:
        lua_pushstring(L, source_kind_name(facts->source));
        break;
    case ATTRIBUTE_STATE:
        push_state(L, seen);
        break;
    case ATTRIBUTE_VCS_REVISION:
        push_text(L, facts->vcs_revision);
        break;
    }
}

static _Noreturn void raise_unknown_name(lua_State *L, const char *what, const char *name)
{
    const char *words[SNAPSHOT_FIELD_COUNT + ATTRIBUTE_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        words[count++] = snapshot_fields[i].name;
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
        words[count++] = attribute_names[i];
    const char *nearest = config_near_miss(name, words, count);
    if (nearest != NULL)
        luaL_error(L, "%s has no '%s'; did you mean '%s'?", what, name, nearest);
    luaL_error(L, "%s has no '%s'", what, name);
    abort(); /* not reached */
}

/* ---- the current observation ---- */

static const struct observation *current(lua_State *L, const char *what)
{
    const struct snapshot_view *view = lua_touserdata(L, lua_upvalueindex(1));
    if (view->seen == NULL)
        luaL_error(L, "%s may only be used inside evaluate()", what);
    return view->seen;
}

const struct observation *snapshot_view_check(lua_State *L, const char *function)
{
    const struct observation *seen = current(L, "target");
    if (luaL_testudata(L, 1, TARGET_TYPE) == NULL)
        luaL_error(L, "call it as target:%s(...), with a colon", function);
    return seen;
}

/* upvalues: view, names -> index (fields) or function (methods) or -1 - index (attributes) */
static int target_index(lua_State *L)
{
    const struct observation *seen = current(L, "target");
    lua_pushvalue(L, 2);
    const int kind = lua_rawget(L, lua_upvalueindex(2));
    if (kind == LUA_TFUNCTION)
        return 1;
    if (kind == LUA_TNIL)
        raise_unknown_name(L, "target", string_library_text(L, 2));
    const lua_Integer index = lua_tointeger(L, -1);
    if (index >= 0)
        push_field(L, seen->snapshot, &snapshot_fields[index]);
    else
        push_attribute(L, seen, (enum attribute)(-1 - index));
    return 1;
}

static int refuse_writing(lua_State *L)
{
    return luaL_error(L, "a target is read-only; keep notes in target.state");
}

/* ---- earlier snapshots ---- */

struct snapshot_handle {
    const struct snapshot *snapshot;
    uint64_t evaluation;
};

/* target:prev([n]): the snapshot n beats before (1: the one before), or nil. */
static int target_prev(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "prev");
    const struct snapshot_view *view = lua_touserdata(L, lua_upvalueindex(1));
    const lua_Integer back = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, back >= 1, 2, "how many snapshots back: 1, 2, ...");
    size_t count;
    const struct snapshot *const *snapshots = history_snapshots(seen->history, &count);
    if ((lua_Unsigned)back >= count ||
        snapshots[count - 1 - (size_t)back]->generation != seen->snapshot->generation) {
        lua_pushnil(L);
        return 1;
    }
    struct snapshot_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
    *handle = (struct snapshot_handle){.snapshot = snapshots[count - 1 - (size_t)back],
                                       .evaluation = view->evaluation};
    luaL_setmetatable(L, SNAPSHOT_TYPE);
    return 1;
}

static int snapshot_index(lua_State *L)
{
    const struct snapshot_view *view = lua_touserdata(L, lua_upvalueindex(1));
    const struct snapshot_handle *handle = luaL_checkudata(L, 1, SNAPSHOT_TYPE);
    if (view->seen == NULL || handle->evaluation != view->evaluation)
        return luaL_error(L, "an earlier snapshot is only good within the evaluation that got it");
    const char *name = string_library_text(L, 2);
    if (strcmp(name, "now") == 0) {
        lua_pushnumber(L, seconds_of(handle->snapshot->realtime_ns));
        return 1;
    }
    const struct field *field = snapshot_field_find(name);
    if (field == NULL)
        raise_unknown_name(L, "snapshot", name);
    push_field(L, handle->snapshot, field);
    return 1;
}

/* ---- trends ---- */

double snapshot_view_check_seconds(lua_State *L, int index, double default_seconds)
{
    double seconds = default_seconds;
    if (lua_type(L, index) == LUA_TSTRING) {
        struct quantity quantity;
        if (!quantity_parse(lua_tostring(L, index), &quantity) || quantity.per_second ||
            (quantity.unit != QUANTITY_SECONDS && quantity.unit != QUANTITY_PLAIN))
            luaL_error(L, "a window is a number of seconds or a text like \"10m\", not \"%s\"",
                       lua_tostring(L, index));
        seconds = quantity.value;
    } else if (!lua_isnoneornil(L, index)) {
        seconds = luaL_checknumber(L, index);
    }
    if (!(seconds > 0) || !isfinite(seconds))
        luaL_error(L, "a window must be longer than nothing");
    return seconds;
}

static const struct field *check_field(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);
    const struct field *field = snapshot_field_find(name);
    if (field == NULL)
        raise_unknown_name(L, "target", name);
    return field;
}

struct trend_options {
    double seconds;
    bool per_gc;
};

/* A window alone, or { window = ..., per_gc = true }. */
static struct trend_options check_trend_options(lua_State *L, int index)
{
    struct trend_options options = {.seconds = DEFAULT_WINDOW_S};
    if (lua_type(L, index) != LUA_TTABLE) {
        options.seconds = snapshot_view_check_seconds(L, index, DEFAULT_WINDOW_S);
        return options;
    }
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(name, "window") == 0)
            options.seconds = snapshot_view_check_seconds(L, lua_gettop(L), DEFAULT_WINDOW_S);
        else if (strcmp(name, "per_gc") == 0)
            options.per_gc = lua_toboolean(L, -1) != 0;
        else
            luaL_error(L, "unknown option '%s'; there are 'window' and 'per_gc'", name);
    }
    return options;
}

void snapshot_view_push_trend(lua_State *L, const struct series *series)
{
    const struct trend *trend = &series->trend;
    const struct {
        const char *name;
        double value;
    } numbers[] = {{"per_second", trend->per_second}, {"seconds", trend->seconds},
                   {"first", trend->first},           {"last", trend->last},
                   {"min", trend->min},               {"max", trend->max},
                   {"mean", trend->mean},             {"drawdown", series->drawdown}};
    lua_createtable(L, 0, 12);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        lua_pushnumber(L, numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    const struct {
        const char *name;
        size_t value;
    } counts[] = {{"points", trend->points},
                  {"rises", trend->rises},
                  {"falls", trend->falls},
                  {"flats", trend->flats}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        lua_pushinteger(L, (lua_Integer)counts[i].value);
        lua_setfield(L, -2, counts[i].name);
    }
}

/* target:trend(field [, window | options]) */
static int target_trend(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "trend");
    const struct field *field = check_field(L, 2);
    const struct trend_options options = check_trend_options(L, 3);
    budget_charge(L, TREND_STEPS);
    struct series series;
    if (history_trend(seen->history, field, options.seconds, options.per_gc, &series))
        snapshot_view_push_trend(L, &series);
    else
        lua_pushnil(L);
    return 1;
}

/* target:rate(field [, window]): change per second from the first to the last point. */
static int target_rate(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "rate");
    const struct field *field = check_field(L, 2);
    const struct trend_options options = check_trend_options(L, 3);
    budget_charge(L, TREND_STEPS);
    struct series series;
    if (history_trend(seen->history, field, options.seconds, options.per_gc, &series))
        lua_pushnumber(L, (series.trend.last - series.trend.first) / series.trend.seconds);
    else
        lua_pushnil(L);
    return 1;
}

/* target:percentile(field, window, percent) */
static int target_percentile(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "percentile");
    const struct field *field = check_field(L, 2);
    const struct trend_options options = check_trend_options(L, 3);
    const double percent = luaL_checknumber(L, 4);
    luaL_argcheck(L, percent >= 0 && percent <= 100, 4, "a percentage: 0 to 100");
    budget_charge(L, TREND_STEPS);
    struct trend_point points[HISTORY_TREND_POINTS];
    const size_t count =
        history_points(seen->history, field, options.seconds, options.per_gc, points);
    double value;
    if (trend_percentile(points, count, percent, &value))
        lua_pushnumber(L, value);
    else
        lua_pushnil(L);
    return 1;
}

/* ---- versions ---- */

/* Reads "go1.23.4" or "1.23" into numbers; false for "devel ..." and the like. */
static bool parse_go_version(const char *text, unsigned parts[3])
{
    parts[0] = parts[1] = parts[2] = 0;
    if (strncmp(text, "go", 2) == 0)
        text += 2;
    for (size_t i = 0; i < 3; i++) {
        if (!isdigit((unsigned char)*text))
            return i > 0;
        while (isdigit((unsigned char)*text) && parts[i] < 100000)
            parts[i] = parts[i] * 10 + (unsigned)(*text++ - '0');
        if (*text != '.')
            return true;
        text++;
    }
    return true;
}

/* target:go_before("1.23"): true or false, or nil if the target's version is not known. */
static int target_go_before(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "go_before");
    unsigned wanted[3];
    unsigned have[3];
    if (!parse_go_version(luaL_checkstring(L, 2), wanted))
        return luaL_argerror(L, 2, "a Go version like \"1.23\"");
    if (!parse_go_version(seen->info->facts.go_version, have)) {
        lua_pushnil(L);
        return 1;
    }
    size_t i = 0;
    while (i < 2 && have[i] == wanted[i])
        i++;
    lua_pushboolean(L, have[i] < wanted[i]);
    return 1;
}

/* ---- set-up ---- */

static void push_names(lua_State *L, struct snapshot_view *view)
{
    static const luaL_Reg methods[] = {
        {"prev", target_prev},
        {"trend", target_trend},
        {"rate", target_rate},
        {"percentile", target_percentile},
        {"go_before", target_go_before},
    };
    lua_createtable(L, 0, SNAPSHOT_FIELD_COUNT + ATTRIBUTE_COUNT + 16);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, snapshot_fields[i].name);
    }
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        lua_pushinteger(L, -1 - (lua_Integer)i);
        lua_setfield(L, -2, attribute_names[i]);
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        lua_pushlightuserdata(L, view);
        lua_pushcclosure(L, methods[i].func, 1);
        lua_setfield(L, -2, methods[i].name);
    }
    site_view_register(L, view);
}

static void close_metatable(lua_State *L, const char *name)
{
    lua_pushcfunction(L, refuse_writing);
    lua_setfield(L, -2, "__newindex");
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

static const char target_key; /* its address names the target object in the registry */

void snapshot_view_register(lua_State *L, struct snapshot_view *view)
{
    lua_newtable(L); /* target id -> state */
    lua_rawsetp(L, LUA_REGISTRYINDEX, view);

    luaL_newmetatable(L, TARGET_TYPE);
    lua_pushlightuserdata(L, view);
    push_names(L, view);
    lua_pushcclosure(L, target_index, 2);
    lua_setfield(L, -2, "__index");
    close_metatable(L, "target");

    luaL_newmetatable(L, SNAPSHOT_TYPE);
    lua_pushlightuserdata(L, view);
    lua_pushcclosure(L, snapshot_index, 1);
    lua_setfield(L, -2, "__index");
    close_metatable(L, "snapshot");

    (void)lua_newuserdatauv(L, 0, 0);
    luaL_setmetatable(L, TARGET_TYPE);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &target_key);
}

void snapshot_view_push(lua_State *L)
{
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &target_key);
}
