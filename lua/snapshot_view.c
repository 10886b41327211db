/* snapshot_view.c - the target object of rules, on top of snapshot, field table and history.
 *
 * Called from Lua within budget_call(), on the rule thread. */
#include "lua/snapshot_view.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/base/config_near_miss.h"
#include "core/store/fields.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/budget.h"
#include "lua/go_version.h"
#include "lua/group_view.h"
#include "lua/history.h"
#include "lua/quantity.h"
#include "lua/rising_view.h"
#include "lua/site_view.h"
#include "lua/string_library.h"
#include "lua/trace.h"
#include "lua/trend_view.h"

#define TARGET_TYPE "goprofd.target"
#define SNAPSHOT_TYPE "goprofd.snapshot"

enum { SETTING_STEPS = 50 };

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
    double number = (double)NAN;
    const bool known = snapshot_field_get(&snapshot->values, field, &value) &&
                       snapshot_field_get_f64(&snapshot->values, field, &number);
    snapshot_view_note(
        L, &(struct trace_read){.what = TRACE_FIELD, .field = trace_field(field), .value = number});
    if (!known) {
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

/* What is no number of the snapshot.  Texts come straight from the facts. */
enum attribute {
    ATTRIBUTE_AGE,
    ATTRIBUTE_BUILD_GENERATION,
    ATTRIBUTE_DEPLOYED_AT,
    ATTRIBUTE_GENERATION,
    ATTRIBUTE_NOW,
    ATTRIBUTE_PARTIAL,
    ATTRIBUTE_SOURCE,
    ATTRIBUTE_STATE,
    ATTRIBUTE_TEXT, /* all from here on */
};
static const struct {
    const char *name;
    enum attribute attribute;
    size_t offset; /* of a text in struct target_facts */
} attributes[] = {
    {"age", ATTRIBUTE_AGE, 0},
    {"build_generation", ATTRIBUTE_BUILD_GENERATION, 0},
    {"deployed_at", ATTRIBUTE_DEPLOYED_AT, 0},
    {"generation", ATTRIBUTE_GENERATION, 0},
    {"now", ATTRIBUTE_NOW, 0},
    {"partial", ATTRIBUTE_PARTIAL, 0},
    {"source", ATTRIBUTE_SOURCE, 0},
    {"state", ATTRIBUTE_STATE, 0},
    {"build_id", ATTRIBUTE_TEXT, offsetof(struct target_facts, build_id)},
    {"command", ATTRIBUTE_TEXT, offsetof(struct target_facts, command)},
    {"container_id", ATTRIBUTE_TEXT, offsetof(struct target_facts, container_id)},
    {"exe", ATTRIBUTE_TEXT, offsetof(struct target_facts, exe)},
    {"go_version", ATTRIBUTE_TEXT, offsetof(struct target_facts, go_version)},
    {"id", ATTRIBUTE_TEXT, offsetof(struct target_facts, id)},
    {"module_path", ATTRIBUTE_TEXT, offsetof(struct target_facts, module_path)},
    {"module_version", ATTRIBUTE_TEXT, offsetof(struct target_facts, module_version)},
    {"name", ATTRIBUTE_TEXT, offsetof(struct target_facts, name)},
    {"pod", ATTRIBUTE_TEXT, offsetof(struct target_facts, pod)},
    {"pod_namespace", ATTRIBUTE_TEXT, offsetof(struct target_facts, pod_namespace)},
    {"previous_build_id", ATTRIBUTE_TEXT, offsetof(struct target_facts, previous_build_id)},
    {"vcs_modified", ATTRIBUTE_TEXT, offsetof(struct target_facts, vcs_modified)},
    {"vcs_revision", ATTRIBUTE_TEXT, offsetof(struct target_facts, vcs_revision)},
    {"vcs_time", ATTRIBUTE_TEXT, offsetof(struct target_facts, vcs_time)},
};
enum { ATTRIBUTE_COUNT = sizeof(attributes) / sizeof(attributes[0]) };

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

double snapshot_view_age_s(const struct observation *seen)
{
    const uint64_t start_ns = seen->info->facts.start_realtime_ns;
    const uint64_t now_ns = seen->snapshot->realtime_ns;
    return start_ns == 0 || now_ns < start_ns ? (double)NAN : seconds_of(now_ns - start_ns);
}

/* Zero stands for not known: nil. */
static void push_known(lua_State *L, double number)
{
    if (number > 0)
        lua_pushnumber(L, number);
    else
        lua_pushnil(L);
}

static void push_age(lua_State *L, const struct observation *seen)
{
    const double age_s = snapshot_view_age_s(seen);
    snapshot_view_note(L, &(struct trace_read){.what = TRACE_AGE, .value = age_s});
    if (isnan(age_s))
        lua_pushnil(L);
    else
        lua_pushnumber(L, age_s);
}

static void push_attribute(lua_State *L, const struct observation *seen, size_t index)
{
    const struct target_facts *facts = &seen->info->facts;
    const char *text;
    switch (attributes[index].attribute) {
    case ATTRIBUTE_AGE:
        push_age(L, seen);
        break;
    case ATTRIBUTE_BUILD_GENERATION: /* rises with each deploy; generation with each restart */
        snapshot_view_push_u64(L, facts->build_generation);
        break;
    case ATTRIBUTE_DEPLOYED_AT:
        push_known(L, seconds_of(facts->deployed_realtime_ns));
        break;
    case ATTRIBUTE_GENERATION:
        snapshot_view_push_u64(L, seen->snapshot->generation);
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
    case ATTRIBUTE_TEXT:
        memcpy(&text, (const char *)facts + attributes[index].offset, sizeof(text));
        push_text(L, text);
        break;
    }
}

_Noreturn void snapshot_view_raise_unknown(lua_State *L, const char *what, const char *name)
{
    const char *words[SNAPSHOT_FIELD_COUNT + ATTRIBUTE_COUNT];
    size_t count = 0;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        words[count++] = snapshot_fields[i].name;
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++)
        words[count++] = attributes[i].name;
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

void snapshot_view_note(lua_State *L, const struct trace_read *read)
{
    const struct snapshot_view *view = lua_touserdata(L, lua_upvalueindex(1));
    trace_note(view->trace, read);
}

/* What the warm-up goes by: where nobody tells the start, the first snapshot stands for it (judge_pair.c). */
static double warming_age_s(const struct observation *seen)
{
    const uint64_t now_ns = seen->snapshot->realtime_ns;
    if (seen->info->facts.start_realtime_ns != 0 || seen->first_seen_ns == 0 || now_ns < seen->first_seen_ns)
        return snapshot_view_age_s(seen);
    return seconds_of(now_ns - seen->first_seen_ns);
}

double snapshot_view_window_s(const struct snapshot_view *view, double seconds)
{
    const double age_s = warming_age_s(view->seen);
    if (!(view->warmup_s > 0) || isnan(age_s) || age_s - view->warmup_s >= seconds)
        return seconds;
    return age_s > view->warmup_s ? age_s - view->warmup_s : 0;
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
        snapshot_view_raise_unknown(L, "target", string_library_text(L, 2));
    const lua_Integer index = lua_tointeger(L, -1);
    if (index >= 0)
        push_field(L, seen->snapshot, &snapshot_fields[index]);
    else
        push_attribute(L, seen, (size_t)(-1 - index));
    return 1;
}

static int refuse_writing(lua_State *L)
{
    return luaL_error(L, "a target is read-only; keep notes in target.state");
}

/* ---- earlier snapshots ---- */

struct snapshot_handle {
    uint64_t back;
    size_t place; /* in the history */
    uint64_t evaluation;
};

/* target:prev([n]): the snapshot n beats before (1: the one before), or nil. */
static int target_prev(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "prev");
    const struct snapshot_view *view = lua_touserdata(L, lua_upvalueindex(1));
    const lua_Integer back = luaL_optinteger(L, 2, 1);
    luaL_argcheck(L, back >= 1, 2, "how many snapshots back: 1, 2, ...");
    size_t place;
    if (!history_place(seen->history, (uint64_t)back, &place)) {
        lua_pushnil(L);
        return 1;
    }
    struct snapshot_handle *handle = lua_newuserdatauv(L, sizeof(*handle), 0);
    *handle = (struct snapshot_handle){
        .back = (uint64_t)back, .place = place, .evaluation = view->evaluation};
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
        lua_pushnumber(L, seconds_of(history_realtime_ns(view->seen->history, handle->place)));
        return 1;
    }
    const struct field *field = snapshot_field_find(name);
    if (field == NULL)
        snapshot_view_raise_unknown(L, "snapshot", name);
    const double value = history_value(view->seen->history, field, handle->place);
    snapshot_view_note(L, &(struct trace_read){.what = TRACE_PREVIOUS,
                                               .field = trace_field(field),
                                               .argument = (double)handle->back,
                                               .value = value});
    if (isnan(value))
        lua_pushnil(L);
    else if (field->type != FIELD_F64 && fabs(value) < 9e15)
        lua_pushinteger(L, (lua_Integer)value);
    else
        lua_pushnumber(L, value);
    return 1;
}

/* ---- shared by the other views ---- */

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

/* ---- build ---- */

/* target:setting("CGO_ENABLED"): a build setting, or nil. */
static int target_setting(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "setting");
    const char *key = luaL_checkstring(L, 2);
    const struct target_facts *facts = &seen->info->facts;
    budget_charge(L, SETTING_STEPS);
    for (size_t i = 0; i < facts->build_setting_count; i++) {
        if (strcmp(facts->build_settings[i].key, key) == 0) {
            lua_pushstring(L, facts->build_settings[i].value);
            return 1;
        }
    }
    lua_pushnil(L);
    return 1;
}

static bool check_version(lua_State *L, const struct observation *seen, struct go_version *version)
{
    if (go_version_read(seen->info->facts.go_version, version))
        return true;
    lua_pushnil(L);
    return false;
}

/* target:go_before("1.23"): true or false, or nil if the target's version is not known. */
static int target_go_before(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "go_before");
    struct go_version wanted;
    struct go_version have;
    luaL_argcheck(L, go_version_read(luaL_checkstring(L, 2), &wanted), 2,
                  "a Go version like \"1.23\"");
    if (check_version(L, seen, &have))
        lua_pushboolean(L, go_version_compare(&have, &wanted) < 0);
    return 1;
}

/* target:go_is(">=1.19 <1.23"): likewise. */
static int target_go_is(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "go_is");
    struct go_range wanted;
    struct go_version have;
    luaL_argcheck(L, go_range_parse(luaL_checkstring(L, 2), &wanted), 2,
                  "Go versions like \"<1.23\" or \">=1.19 <1.23\"");
    if (check_version(L, seen, &have))
        lua_pushboolean(L, go_range_allows(&wanted, &have));
    return 1;
}

/* ---- set-up ---- */

static void push_names(lua_State *L, struct snapshot_view *view)
{
    static const luaL_Reg methods[] = {
        {"prev", target_prev},
        {"setting", target_setting},
        {"go_before", target_go_before},
        {"go_is", target_go_is},
    };
    lua_createtable(L, 0, SNAPSHOT_FIELD_COUNT + ATTRIBUTE_COUNT + 32);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        lua_pushinteger(L, (lua_Integer)i);
        lua_setfield(L, -2, snapshot_fields[i].name);
    }
    for (size_t i = 0; i < ATTRIBUTE_COUNT; i++) {
        lua_pushinteger(L, -1 - (lua_Integer)i);
        lua_setfield(L, -2, attributes[i].name);
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        lua_pushlightuserdata(L, view);
        lua_pushcclosure(L, methods[i].func, 1);
        lua_setfield(L, -2, methods[i].name);
    }
    trend_view_register(L, view);
    site_view_register(L, view);
    group_view_register(L, view);
    rising_view_register(L, view);
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
