/* site_view.c - allocation sites for rules: the newest profile beside the growth table.
 *
 * Called from Lua within budget_call(), on the rule thread.
 *
 *   profile entries --filter, measure--> largest [limit] --> list of tables
 *                            \--> sums over all that passed: members of the list itself */
#include "lua/site_view.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/base/config_parts.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/trend.h"
#include "lua/budget.h"
#include "lua/history.h"
#include "lua/matcher.h"
#include "lua/site_growth.h"
#include "lua/snapshot_view.h"

enum { LIMIT_DEFAULT = 10, LIMIT_MAX = 100, PRIMITIVES_MAX = 8, GROWTH_STEPS = 200 };
static const double DEFAULT_WINDOW_S = 600;

/* ---- what is asked for ---- */

enum sort_by { SORT_INUSE, SORT_ALLOC, SORT_GROWTH, SORT_CHURN };
static const char *const sort_names[] = {
    [SORT_INUSE] = "inuse", [SORT_ALLOC] = "alloc", [SORT_GROWTH] = "growth", [SORT_CHURN] = "churn"};
enum { SORT_COUNT = sizeof(sort_names) / sizeof(sort_names[0]) };

struct query {
    const char *primitives[PRIMITIVES_MAX];
    size_t primitive_count;
    const struct matcher_pattern *function;
    enum sort_by sort;
    double window_s;
    size_t limit;
};

static void read_primitives(lua_State *L, int index, struct query *query)
{
    if (lua_type(L, index) == LUA_TSTRING) {
        query->primitives[0] = lua_tostring(L, index);
        query->primitive_count = 1;
        return;
    }
    luaL_argexpected(L, lua_type(L, index) == LUA_TTABLE, 2, "primitive: a name or a list of names");
    const lua_Unsigned count = lua_rawlen(L, index);
    if (count > PRIMITIVES_MAX)
        luaL_error(L, "more than %d primitives", PRIMITIVES_MAX);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "primitive: a list of names, not of a %s", luaL_typename(L, -1));
        query->primitives[i] = lua_tostring(L, -1); /* the caller's table keeps it */
        lua_pop(L, 1);
    }
    query->primitive_count = (size_t)count;
}

/* The compiled pattern stays on the stack below the caller's place, so that it is not collected. */
static void read_function(lua_State *L, int index, struct query *query)
{
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);
    void *memory = lua_newuserdatauv(L, matcher_pattern_bytes(length), 0);
    struct error err;
    query->function = matcher_compile(memory, text, length, true, &err);
    if (query->function == NULL)
        luaL_error(L, "func: %s", err.message);
    lua_replace(L, 3);
}

static void read_sort(lua_State *L, int index, struct query *query)
{
    const char *text = luaL_checkstring(L, index);
    for (size_t i = 0; i < SORT_COUNT; i++) {
        if (strcmp(sort_names[i], text) == 0) {
            query->sort = (enum sort_by)i;
            return;
        }
    }
    luaL_error(L, "sort is \"inuse\", \"alloc\", \"growth\" or \"churn\", not \"%s\"", text);
}

static size_t check_limit(lua_State *L, int index)
{
    const lua_Integer limit = luaL_optinteger(L, index, LIMIT_DEFAULT);
    if (limit < 1 || limit > LIMIT_MAX)
        luaL_error(L, "limit is 1 to %d", LIMIT_MAX);
    return (size_t)limit;
}

static struct query read_query(lua_State *L)
{
    static const char *const names[] = {"primitive", "func", "sort", "window", "limit"};
    struct query query = {.window_s = DEFAULT_WINDOW_S, .limit = LIMIT_DEFAULT};
    if (lua_isnoneornil(L, 2))
        return query;
    luaL_checktype(L, 2, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 2) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        const int value = lua_gettop(L);
        if (strcmp(name, "primitive") == 0)
            read_primitives(L, value, &query);
        else if (strcmp(name, "func") == 0)
            read_function(L, value, &query);
        else if (strcmp(name, "sort") == 0)
            read_sort(L, value, &query);
        else if (strcmp(name, "window") == 0)
            query.window_s = snapshot_view_check_seconds(L, value, DEFAULT_WINDOW_S);
        else if (strcmp(name, "limit") == 0)
            query.limit = check_limit(L, value);
        else if (config_near_miss(name, names, 5) != NULL)
            luaL_error(L, "sites{}: unknown member '%s'; did you mean '%s'?", name,
                       config_near_miss(name, names, 5));
        else
            luaL_error(L, "sites{}: unknown member '%s'", name);
    }
    return query;
}

/* ---- choosing ---- */

/* What is known of one site: counts now, and changes over the window (NAN where not known). */
struct measured {
    const struct profile_entry *entry;
    double growth_bytes;
    double churn_bytes;
    double seconds;
    double key;
};

static bool primitive_matches(const struct query *query, const char *primitive)
{
    for (size_t i = 0; i < query->primitive_count; i++) {
        const char *wanted = query->primitives[i];
        const size_t length = strlen(wanted);
        if (length > 0 && wanted[length - 1] == '*' ? strncmp(wanted, primitive, length - 1) == 0
                                                    : strcmp(wanted, primitive) == 0)
            return true;
    }
    return query->primitive_count == 0;
}

static bool site_matches(lua_State *L, const struct query *query, const struct site *site)
{
    if (!primitive_matches(query, site->primitive))
        return false;
    if (query->function == NULL)
        return true;
    struct matcher_match match;
    const uint64_t granted = budget_steps_left(budget_of(L));
    uint64_t left = granted;
    const char *function = site->blame->function;
    const enum matcher_result result =
        matcher_find(query->function, function, strlen(function), 0, &left, &match);
    if (result == MATCHER_OUT_OF_STEPS)
        budget_raise(L, BUDGET_INSTRUCTIONS);
    budget_charge(L, granted - left);
    return result == MATCHER_MATCH;
}

static struct measured measure(const struct observation *seen, const struct query *query,
                               const struct profile_entry *entry)
{
    struct measured site = {
        .entry = entry, .growth_bytes = NAN, .churn_bytes = NAN, .seconds = NAN};
    const struct site_growth *growth = history_growth(seen->history);
    const uint64_t since_ns = history_since_ns(seen->history, query->window_s);
    struct trend_point points[SITE_GROWTH_COLUMNS];
    const size_t inuse =
        site_growth_of_site(growth, entry->site->id, SITE_INUSE_BYTES, since_ns, points);
    if (inuse >= 2) {
        site.growth_bytes = points[inuse - 1].value - points[0].value;
        site.seconds = points[inuse - 1].seconds;
        const size_t alloc =
            site_growth_of_site(growth, entry->site->id, SITE_ALLOC_BYTES, since_ns, points);
        if (alloc >= 2)
            site.churn_bytes = points[alloc - 1].value - points[0].value;
    }
    switch (query->sort) {
    case SORT_INUSE:
        site.key = (double)entry->inuse_bytes;
        break;
    case SORT_ALLOC:
        site.key = (double)entry->alloc_bytes;
        break;
    case SORT_GROWTH:
        site.key = site.growth_bytes;
        break;
    case SORT_CHURN:
        site.key = site.churn_bytes;
        break;
    }
    return site;
}

struct chosen {
    size_t count;
    size_t matched;
    double inuse_bytes; /* sums over all that matched */
    double alloc_bytes;
    double growth_bytes;
    double churn_bytes;
    struct measured largest[LIMIT_MAX]; /* descending by key */
};

/* Insertion into a short sorted list: most entries of a large profile fail the first comparison. */
static void keep_largest(struct chosen *chosen, size_t limit, const struct measured *site)
{
    if (!(site->key > 0) ||
        (chosen->count == limit && site->key <= chosen->largest[limit - 1].key))
        return;
    size_t at = chosen->count < limit ? chosen->count++ : limit - 1;
    for (; at > 0 && chosen->largest[at - 1].key < site->key; at--)
        chosen->largest[at] = chosen->largest[at - 1];
    chosen->largest[at] = *site;
}

static void choose(lua_State *L, const struct observation *seen, const struct query *query,
                   struct chosen *chosen)
{
    const struct profile *profile = seen->profile;
    budget_charge(L, profile->entry_count / 8 + GROWTH_STEPS);
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        if (!site_matches(L, query, entry->site))
            continue;
        const struct measured site = measure(seen, query, entry);
        chosen->matched++;
        chosen->inuse_bytes += (double)entry->inuse_bytes;
        chosen->alloc_bytes += (double)entry->alloc_bytes;
        chosen->growth_bytes += isnan(site.growth_bytes) ? 0 : site.growth_bytes;
        chosen->churn_bytes += isnan(site.churn_bytes) ? 0 : site.churn_bytes;
        keep_largest(chosen, query->limit, &site);
    }
}

/* ---- as Lua tables ---- */

static void set_number(lua_State *L, const char *name, double value)
{
    if (isnan(value))
        return; /* not known: nil */
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

static void set_integer(lua_State *L, const char *name, int64_t value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

static void set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}

static void set_site(lua_State *L, const struct site *site)
{
    set_string(L, "type_name", site->type_name);
    set_string(L, "tag", site->tag);
    set_string(L, "func", site->blame->function);
    set_string(L, "file", site->blame->file);
    set_integer(L, "line", site->blame->line);
    set_string(L, "primitive", site->primitive);
    set_string(L, "package", site->package);
}

static double percent_of(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : NAN;
}

/* Growth of the whole profile over the window, by [measure]; NAN if not known. */
static double total_change(const struct observation *seen, enum site_measure measure,
                           double window_s, double *seconds)
{
    struct trend_point points[SITE_GROWTH_COLUMNS];
    const size_t count =
        site_growth_of_all(history_growth(seen->history), measure,
                           history_since_ns(seen->history, window_s), points);
    *seconds = count >= 2 ? points[count - 1].seconds : NAN;
    return count >= 2 ? points[count - 1].value - points[0].value : NAN;
}

/* `bytes`, `objects` and `percent` follow the sort, so that an entry can be evidence as it is. */
static void push_site(lua_State *L, const struct query *query, const struct measured *site,
                      double total)
{
    const struct profile_entry *entry = site->entry;
    lua_createtable(L, 0, 20);
    set_site(L, entry->site);
    set_integer(L, "site_id", entry->site->id);
    set_integer(L, "object_bytes", (int64_t)entry->site->object_bytes);
    set_integer(L, "inuse_bytes", entry->inuse_bytes);
    set_integer(L, "inuse_objects", entry->inuse_objects);
    set_integer(L, "alloc_bytes", entry->alloc_bytes);
    set_integer(L, "alloc_objects", entry->alloc_objects);
    set_number(L, "growth_bytes", site->growth_bytes);
    set_number(L, "churn_bytes", site->churn_bytes);
    if (site->seconds > 0) {
        set_number(L, "growth_per_second", site->growth_bytes / site->seconds);
        set_number(L, "churn_per_second", site->churn_bytes / site->seconds);
    }
    const bool by_inuse = query->sort == SORT_INUSE || query->sort == SORT_GROWTH;
    set_number(L, "bytes", site->key);
    set_integer(L, "objects", by_inuse ? entry->inuse_objects : entry->alloc_objects);
    set_number(L, "percent", percent_of(site->key, total));
}

static double total_of(const struct observation *seen, const struct query *query)
{
    double seconds;
    switch (query->sort) {
    case SORT_INUSE:
        return (double)seen->profile->totals.inuse_bytes;
    case SORT_ALLOC:
        return (double)seen->profile->totals.alloc_bytes;
    case SORT_GROWTH:
        return total_change(seen, SITE_INUSE_BYTES, query->window_s, &seconds);
    case SORT_CHURN:
        return total_change(seen, SITE_ALLOC_BYTES, query->window_s, &seconds);
    }
    return NAN;
}

static void set_sums(lua_State *L, const struct observation *seen, const struct query *query,
                     const struct chosen *chosen)
{
    const struct profile_totals *totals = &seen->profile->totals;
    double seconds;
    const double churn = total_change(seen, SITE_ALLOC_BYTES, query->window_s, &seconds);
    set_integer(L, "matched", (int64_t)chosen->matched);
    set_number(L, "inuse_bytes", chosen->inuse_bytes);
    set_number(L, "alloc_bytes", chosen->alloc_bytes);
    set_number(L, "inuse_percent", percent_of(chosen->inuse_bytes, (double)totals->inuse_bytes));
    set_number(L, "alloc_percent", percent_of(chosen->alloc_bytes, (double)totals->alloc_bytes));
    if (!(seconds > 0))
        return;
    set_number(L, "seconds", seconds);
    set_number(L, "growth_bytes", chosen->growth_bytes);
    set_number(L, "growth_per_second", chosen->growth_bytes / seconds);
    set_number(L, "churn_bytes", chosen->churn_bytes);
    set_number(L, "churn_per_second", chosen->churn_bytes / seconds);
    set_number(L, "churn_percent", percent_of(chosen->churn_bytes, churn));
}

/* target:sites{ primitive=, func=, sort=, window=, limit= } */
static int target_sites(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "sites");
    lua_settop(L, 3); /* the third place keeps a compiled pattern */
    const struct query query = read_query(L);
    if (seen->profile == NULL) {
        lua_pushnil(L);
        return 1;
    }
    struct chosen chosen = {.count = 0};
    choose(L, seen, &query, &chosen);
    const double total = total_of(seen, &query);
    lua_createtable(L, (int)chosen.count, 12);
    for (size_t i = 0; i < chosen.count; i++) {
        push_site(L, &query, &chosen.largest[i], total);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    set_sums(L, seen, &query, &chosen);
    return 1;
}

/* ---- tops, as goprof-optimizer lists them ---- */

static int push_tops(lua_State *L, const char *function, bool retentions)
{
    const struct observation *seen = snapshot_view_check(L, function);
    const size_t limit = check_limit(L, 2);
    const struct tops *tops = seen->snapshot->tops;
    lua_newtable(L);
    const size_t count = tops == NULL ? 0
                         : retentions ? tops->retention_count
                                      : tops->allocation_count;
    for (size_t i = 0; i < count && i < limit; i++) {
        const struct top_entry *entry = retentions ? &tops->retentions[i] : &tops->allocations[i];
        lua_createtable(L, 0, 14);
        set_site(L, entry->site);
        set_string(L, "type_name", entry->type_name);
        set_string(L, "tag", entry->tag);
        set_integer(L, "sites", (int64_t)entry->site_count);
        set_integer(L, "bytes", retentions ? entry->inuse_bytes : entry->alloc_bytes);
        set_integer(L, "objects", retentions ? entry->inuse_objects : entry->alloc_objects);
        if (retentions)
            set_number(L, "percent", snapshot_retained_percent(seen->snapshot, entry));
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

static int target_retentions(lua_State *L)
{
    return push_tops(L, "retentions", true);
}

static int target_allocations(lua_State *L)
{
    return push_tops(L, "allocations", false);
}

/* ---- growth ---- */

/* target:growth(entry, window): the trend of an entry of sites{} (by its site_id) or of
 * retentions() (by its type and tag), one point a profile; nil if not known. */
static int target_growth(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "growth");
    luaL_checktype(L, 2, LUA_TTABLE);
    const double window_s = snapshot_view_check_seconds(L, 3, DEFAULT_WINDOW_S);
    const struct site_growth *growth = history_growth(seen->history);
    const uint64_t since_ns = history_since_ns(seen->history, window_s);
    budget_charge(L, GROWTH_STEPS);
    struct trend_point points[SITE_GROWTH_COLUMNS];
    struct series series;
    size_t count;
    if (lua_getfield(L, 2, "site_id") == LUA_TNUMBER) {
        count = site_growth_of_site(growth, (uint32_t)lua_tointeger(L, -1), SITE_INUSE_BYTES,
                                    since_ns, points);
    } else {
        (void)lua_getfield(L, 2, "type_name");
        (void)lua_getfield(L, 2, "tag");
        if (lua_type(L, -2) != LUA_TSTRING || lua_type(L, -1) != LUA_TSTRING)
            return luaL_argerror(L, 2, "an entry with site_id, or with type_name and tag");
        count = site_growth_of_group(growth, lua_tostring(L, -2), lua_tostring(L, -1), since_ns,
                                     points);
    }
    if (series_compute(points, count, &series))
        snapshot_view_push_trend(L, &series);
    else
        lua_pushnil(L);
    return 1;
}

void site_view_register(lua_State *L, struct snapshot_view *view)
{
    static const luaL_Reg methods[] = {{"sites", target_sites},
                                       {"retentions", target_retentions},
                                       {"allocations", target_allocations},
                                       {"growth", target_growth}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        lua_pushlightuserdata(L, view);
        lua_pushcclosure(L, methods[i].func, 1);
        lua_setfield(L, -2, methods[i].name);
    }
}
