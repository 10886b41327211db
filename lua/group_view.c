/* group_view.c - the sites that pass a query, added up by type, tag or package.
 *
 * Called from Lua within budget_call(), on the rule thread.  Names are compared by address: a site table
 * keeps each text once. */
#include "lua/group_view.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/store/profile.h"
#include "lua/budget.h"
#include "lua/history.h"
#include "lua/site_query.h"
#include "lua/snapshot_view.h"
#include "lua/trace.h"

enum { GROUPS_MAX = 512, SLOTS = 1024, GROUP_STEPS = 300 };
_Static_assert((SLOTS & (SLOTS - 1)) == 0 && SLOTS >= 2 * GROUPS_MAX, "open addressing");

enum group_kind { BY_TYPE, BY_TAG, BY_PACKAGE };

struct group {
    const char *name;
    const struct site *largest; /* by the sort value */
    double largest_key;
    size_t sites;
    int64_t inuse_bytes;
    int64_t inuse_objects;
    int64_t alloc_bytes;
    int64_t alloc_objects;
    double growth_bytes;
    double churn_bytes;
    double key;
};

struct groups {
    size_t count;
    size_t left_out; /* sites of groups beyond GROUPS_MAX */
    uint16_t slots[SLOTS]; /* group + 1 */
    struct group list[GROUPS_MAX];
};

static const char *name_of(enum group_kind kind, const struct site *site)
{
    switch (kind) {
    case BY_TYPE:
        return site->type_name;
    case BY_TAG:
        return site->tag;
    case BY_PACKAGE:
        return site->package;
    }
    return "";
}

/* The group called [name]; NULL if there are too many. */
static struct group *find_group(struct groups *groups, const char *name)
{
    size_t at = (size_t)(((uint64_t)(uintptr_t)name * UINT64_C(0x9e3779b97f4a7c15)) >> 54);
    while (groups->slots[at] != 0) {
        struct group *group = &groups->list[groups->slots[at] - 1];
        if (group->name == name)
            return group;
        at = (at + 1) & (SLOTS - 1);
    }
    if (groups->count == GROUPS_MAX)
        return NULL;
    struct group *group = &groups->list[groups->count++];
    *group = (struct group){.name = name};
    groups->slots[at] = (uint16_t)groups->count;
    return group;
}

static double or_nothing(double value)
{
    return isnan(value) ? 0 : value;
}

static void add_site(struct groups *groups, enum group_kind kind, const struct site_measured *site)
{
    const struct profile_entry *entry = site->entry;
    struct group *group = find_group(groups, name_of(kind, entry->site));
    if (group == NULL) {
        groups->left_out++;
        return;
    }
    const double key = or_nothing(site->key);
    if (group->largest == NULL || key > group->largest_key) {
        group->largest = entry->site;
        group->largest_key = key;
    }
    group->sites++;
    group->inuse_bytes += entry->inuse_bytes;
    group->inuse_objects += entry->inuse_objects;
    group->alloc_bytes += entry->alloc_bytes;
    group->alloc_objects += entry->alloc_objects;
    group->growth_bytes += or_nothing(site->growth_bytes);
    group->churn_bytes += or_nothing(site->churn_bytes);
    group->key += key;
}

/* Largest first; equal ones by name, so that a replay gives the same list. */
static int compare_groups(const void *left, const void *right)
{
    const struct group *a = left;
    const struct group *b = right;
    if (a->key > b->key || a->key < b->key)
        return a->key > b->key ? -1 : 1;
    return strcmp(a->name, b->name);
}

static void push_group(lua_State *L, const struct site_query *query, enum group_kind kind,
                       const struct group *group, double total, double seconds)
{
    static const char *const member[] = {
        [BY_TYPE] = "type_name", [BY_TAG] = "tag", [BY_PACKAGE] = "package"};
    const bool by_inuse = query->sort == SITE_SORT_INUSE || query->sort == SITE_SORT_GROWTH;
    lua_createtable(L, 0, 20);
    site_query_set_string(L, "name", group->name);
    site_query_set_string(L, member[kind], group->name);
    site_query_set_string(L, "func", group->largest->blame->function);
    site_query_set_string(L, "file", group->largest->blame->file);
    site_query_set_integer(L, "line", group->largest->blame->line);
    site_query_set_string(L, "primitive", group->largest->primitive);
    site_query_set_integer(L, "site_id", group->largest->id);
    site_query_set_integer(L, "sites", (int64_t)group->sites);
    site_query_set_integer(L, "inuse_bytes", group->inuse_bytes);
    site_query_set_integer(L, "inuse_objects", group->inuse_objects);
    site_query_set_integer(L, "alloc_bytes", group->alloc_bytes);
    site_query_set_integer(L, "alloc_objects", group->alloc_objects);
    if (seconds > 0) {
        site_query_set_number(L, "growth_bytes", group->growth_bytes);
        site_query_set_number(L, "churn_bytes", group->churn_bytes);
        site_query_set_number(L, "growth_per_second", group->growth_bytes / seconds);
        site_query_set_number(L, "churn_per_second", group->churn_bytes / seconds);
    }
    site_query_set_number(L, "bytes", group->key);
    site_query_set_integer(L, "objects", by_inuse ? group->inuse_objects : group->alloc_objects);
    site_query_set_number(L, "percent", site_query_percent(group->key, total));
}

static int push_groups(lua_State *L, const char *function, enum group_kind kind)
{
    const struct observation *seen = snapshot_view_check(L, function);
    struct site_query query;
    site_query_read(L, function, lua_touserdata(L, lua_upvalueindex(1)), &query);
    if (seen->profile == NULL) {
        lua_pushnil(L);
        return 1;
    }
    const struct profile *profile = seen->profile;
    budget_charge(L, profile->entry_count / 8 + GROUP_STEPS);
    struct groups groups;
    memset(&groups, 0, offsetof(struct groups, list));
    for (size_t i = 0; i < profile->entry_count; i++) {
        if (!site_query_matches(L, &query, profile->entries[i].site))
            continue;
        const struct site_measured site =
            site_query_measure(seen, &query, &profile->entries[i]);
        add_site(&groups, kind, &site);
    }
    snapshot_view_note(L, &(struct trace_read){.what = TRACE_GROUPS, .value = (double)groups.count});
    qsort(groups.list, groups.count, sizeof(groups.list[0]), compare_groups);
    double seconds;
    (void)site_query_total_churn(seen, &query, &seconds);
    const double total = site_query_total(seen, &query);
    lua_newtable(L);
    for (size_t i = 0; i < groups.count && i < query.limit; i++) {
        const struct group *group = &groups.list[i];
        if (!(group->key > 0) || group->key < query.min_bytes)
            break;
        push_group(L, &query, kind, group, total, seconds);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    site_query_set_integer(L, "groups", (int64_t)groups.count);
    return 1;
}

static int target_types(lua_State *L)
{
    return push_groups(L, "types", BY_TYPE);
}

static int target_tags(lua_State *L)
{
    return push_groups(L, "tags", BY_TAG);
}

static int target_packages(lua_State *L)
{
    return push_groups(L, "packages", BY_PACKAGE);
}

void group_view_register(lua_State *L, struct snapshot_view *view)
{
    static const luaL_Reg methods[] = {
        {"types", target_types}, {"tags", target_tags}, {"packages", target_packages}};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        lua_pushlightuserdata(L, view);
        lua_pushcclosure(L, methods[i].func, 1);
        lua_setfield(L, -2, methods[i].name);
    }
}
