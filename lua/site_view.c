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

#include "core/store/profile.h"
#include "core/store/retention.h"
#include "core/store/snapshot.h"
#include "core/store/trend.h"
#include "lua/budget.h"
#include "lua/history.h"
#include "lua/site_growth.h"
#include "lua/site_query.h"
#include "lua/snapshot_view.h"
#include "lua/trace.h"

enum { GROWTH_STEPS = 200 };
static const double DEFAULT_WINDOW_S = 600;

/* ---- choosing ---- */

struct chosen {
    size_t count;
    size_t matched;
    double inuse_bytes; /* sums over all that matched */
    double alloc_bytes;
    double growth_bytes;
    double churn_bytes;
    struct site_measured largest[SITE_QUERY_LIMIT_MAX]; /* descending by key */
};

/* Insertion into a short sorted list: most entries of a large profile fail the first comparison. */
static void keep_largest(struct chosen *chosen, const struct site_query *query,
                         const struct site_measured *site)
{
    const size_t limit = query->limit;
    if (!(site->key > 0) || site->key < query->min_bytes ||
        (chosen->count == limit && site->key <= chosen->largest[limit - 1].key))
        return;
    size_t at = chosen->count < limit ? chosen->count++ : limit - 1;
    for (; at > 0 && chosen->largest[at - 1].key < site->key; at--)
        chosen->largest[at] = chosen->largest[at - 1];
    chosen->largest[at] = *site;
}

static void choose(lua_State *L, const struct observation *seen, struct site_query *query,
                   struct chosen *chosen)
{
    const struct profile *profile = seen->profile;
    budget_charge(L, profile->entry_count / 8 + GROWTH_STEPS);
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        if (!site_query_matches(L, query, entry->site))
            continue;
        const struct site_measured site = site_query_measure(seen, query, entry);
        chosen->matched++;
        chosen->inuse_bytes += (double)entry->inuse_bytes;
        chosen->alloc_bytes += (double)entry->alloc_bytes;
        chosen->growth_bytes += isnan(site.growth_bytes) ? 0 : site.growth_bytes;
        chosen->churn_bytes += isnan(site.churn_bytes) ? 0 : site.churn_bytes;
        keep_largest(chosen, query, &site);
    }
}

/* ---- as Lua tables ---- */

static void set_site(lua_State *L, const struct site *site)
{
    site_query_set_string(L, "type_name", site->type_name);
    site_query_set_string(L, "tag", site->tag);
    site_query_set_string(L, "func", site->blame->function);
    site_query_set_string(L, "file", site->blame->file);
    site_query_set_integer(L, "line", site->blame->line);
    site_query_set_string(L, "primitive", site->primitive);
    site_query_set_string(L, "package", site->package);
}

/* Those of the figures that are known, by the names that the top lists have. */
static void set_figures(lua_State *L, const struct retention_figures *figures)
{
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        const struct retention_field *field = &retention_fields[i];
        const double value = retention_figure_get(figures, field);
        if (field->kind == RETENTION_NUMBER) {
            site_query_set_number(L, field->name, value); /* nil if not known */
        } else {
            lua_pushboolean(L, value != 0);
            lua_setfield(L, -2, field->name);
        }
    }
}

/* `bytes`, `objects` and `percent` follow the sort, so that an entry can be evidence as it is. */
static void push_site(lua_State *L, const struct profile *profile, const struct site_query *query,
                      const struct site_measured *site, double total)
{
    const struct profile_entry *entry = site->entry;
    const struct retention_figures figures = retention_certainty(profile, entry);
    lua_createtable(L, 0, 24);
    set_site(L, entry->site);
    set_figures(L, &figures);
    site_query_set_integer(L, "site_id", entry->site->id);
    site_query_set_integer(L, "object_bytes", (int64_t)entry->site->object_bytes);
    site_query_set_integer(L, "inuse_bytes", entry->inuse_bytes);
    site_query_set_integer(L, "inuse_objects", entry->inuse_objects);
    site_query_set_integer(L, "alloc_bytes", entry->alloc_bytes);
    site_query_set_integer(L, "alloc_objects", entry->alloc_objects);
    site_query_set_number(L, "growth_bytes", site->growth_bytes);
    site_query_set_number(L, "churn_bytes", site->churn_bytes);
    if (site->seconds > 0) {
        site_query_set_number(L, "growth_per_second", site->growth_bytes / site->seconds);
        site_query_set_number(L, "churn_per_second", site->churn_bytes / site->seconds);
    }
    const bool by_inuse = query->sort == SITE_SORT_INUSE || query->sort == SITE_SORT_GROWTH;
    site_query_set_number(L, "bytes", site->key);
    site_query_set_integer(L, "objects", by_inuse ? entry->inuse_objects : entry->alloc_objects);
    site_query_set_number(L, "percent", site_query_percent(site->key, total));
}

static void set_sums(lua_State *L, const struct observation *seen, const struct site_query *query,
                     const struct chosen *chosen)
{
    const struct profile_totals *totals = &seen->profile->totals;
    double seconds;
    const double churn = site_query_total_churn(seen, query, &seconds);
    site_query_set_integer(L, "matched", (int64_t)chosen->matched);
    site_query_set_number(L, "inuse_bytes", chosen->inuse_bytes);
    site_query_set_number(L, "alloc_bytes", chosen->alloc_bytes);
    site_query_set_number(L, "inuse_percent",
                          site_query_percent(chosen->inuse_bytes, (double)totals->inuse_bytes));
    site_query_set_number(L, "alloc_percent",
                          site_query_percent(chosen->alloc_bytes, (double)totals->alloc_bytes));
    if (!(seconds > 0))
        return;
    site_query_set_number(L, "seconds", seconds);
    site_query_set_number(L, "growth_bytes", chosen->growth_bytes);
    site_query_set_number(L, "growth_per_second", chosen->growth_bytes / seconds);
    site_query_set_number(L, "churn_bytes", chosen->churn_bytes);
    site_query_set_number(L, "churn_per_second", chosen->churn_bytes / seconds);
    site_query_set_number(L, "churn_percent", site_query_percent(chosen->churn_bytes, churn));
}

static void note(lua_State *L, enum trace_what what, double window_s, double value)
{
    snapshot_view_note(L, &(struct trace_read){.what = (uint8_t)what,
                                               .window_s = (float)window_s,
                                               .value = value});
}

/* target:sites{ ... }: see site_query.h */
static int target_sites(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "sites");
    struct site_query query;
    site_query_read(L, "sites", lua_touserdata(L, lua_upvalueindex(1)), &query);
    if (seen->profile == NULL) {
        note(L, TRACE_SITES, query.window_s, (double)NAN);
        lua_pushnil(L);
        return 1;
    }
    struct chosen chosen;
    memset(&chosen, 0, offsetof(struct chosen, largest));
    choose(L, seen, &query, &chosen);
    note(L, TRACE_SITES, query.window_s, (double)chosen.matched);
    if (chosen.count > 0)
        note(L, TRACE_SITES_TOP, query.window_s, chosen.largest[0].key);
    const double total = site_query_total(seen, &query);
    lua_createtable(L, (int)chosen.count, 12);
    for (size_t i = 0; i < chosen.count; i++) {
        push_site(L, seen->profile, &query, &chosen.largest[i], total);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    set_sums(L, seen, &query, &chosen);
    return 1;
}

/* ---- tops, as goprof-optimizer lists them ---- */

static void set_retention(lua_State *L, const struct snapshot *snapshot,
                          const struct top_entry *entry)
{
    site_query_set_number(L, "percent", snapshot_retained_percent(snapshot, entry));
    set_figures(L, &entry->retention);
}

static int push_tops(lua_State *L, const char *function, bool retentions)
{
    const struct observation *seen = snapshot_view_check(L, function);
    const size_t limit = site_query_check_limit(L, 2);
    const struct tops *tops = seen->snapshot->tops;
    lua_newtable(L);
    const size_t count = tops == NULL ? 0
                         : retentions ? tops->retention_count
                                      : tops->allocation_count;
    const enum trace_what what = retentions ? TRACE_RETENTION : TRACE_ALLOCATION;
    note(L, what, 0,
         count == 0   ? (double)NAN
         : retentions ? (double)tops->retentions[0].inuse_bytes
                      : (double)tops->allocations[0].alloc_bytes);
    for (size_t i = 0; i < count && i < limit; i++) {
        const struct top_entry *entry = retentions ? &tops->retentions[i] : &tops->allocations[i];
        lua_createtable(L, 0, 22);
        set_site(L, entry->site);
        site_query_set_string(L, "type_name", entry->type_name);
        site_query_set_string(L, "tag", entry->tag);
        site_query_set_integer(L, "sites", (int64_t)entry->site_count);
        site_query_set_integer(L, "bytes", retentions ? entry->inuse_bytes : entry->alloc_bytes);
        site_query_set_integer(L, "objects", retentions ? entry->inuse_objects : entry->alloc_objects);
        if (retentions)
            set_retention(L, seen->snapshot, entry);
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
    const double window_s =
        snapshot_view_window_s(lua_touserdata(L, lua_upvalueindex(1)),
                               snapshot_view_check_seconds(L, 3, DEFAULT_WINDOW_S));
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
        count = site_growth_of_group(history_group_growth(seen->history), lua_tostring(L, -2),
                                     lua_tostring(L, -1), since_ns, points);
    }
    const bool known = series_compute(points, count, &series);
    note(L, TRACE_GROWTH, window_s, known ? series.trend.per_second : (double)NAN);
    if (known)
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
