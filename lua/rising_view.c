/* rising_view.c - target:rising(): does what this entry holds grow like a leak?
 *
 *   series of the entry, one point a profile -> windows from min_time up, each twice the one before
 *     -> the first in which it rose all the time, to the last, and gave nothing back
 *
 * A cache that filled and stays flat, a sawtooth and a batch that comes and goes all fail one of the
 * shares below.  Called from Lua within budget_call(), on the rule thread. */
#include "lua/rising_view.h"

#include <lauxlib.h>
#include <lua.h>

#include "lua/budget.h"
#include "lua/history.h"
#include "lua/site_growth.h"
#include "lua/site_query.h"
#include "lua/snapshot_view.h"
#include "lua/trace.h"

static const double HEAD_SHARE = 0.1;     /* of the gain, in the first third of the time, */
static const double TAIL_SHARE = 0.2;     /* and in the last: it has not stopped */
static const double DRAWDOWN_SHARE = 0.2; /* it never gave back more of what it took */
static const double FALLS_SHARE = 0.15;   /* of the steps; sampling makes a steady rise stumble */
static const double WINDOW_DEFAULT_S = 600;
static const double MIN_TIME_DEFAULT_S = 30;
static const double MIN_BYTES_DEFAULT = 4 << 20;
enum { MIN_GCS_DEFAULT = 4, RISING_STEPS = 400, MIN_TIME_STRETCH_PERCENT = 120 };

struct rising_query {
    double window_s;
    double min_time_s;
    double min_bytes;
    lua_Integer min_gcs;
};

static void read_query(lua_State *L, const struct snapshot_view *view, struct rising_query *query)
{
    *query = (struct rising_query){.window_s = WINDOW_DEFAULT_S,
                                   .min_time_s = MIN_TIME_DEFAULT_S,
                                   .min_bytes = MIN_BYTES_DEFAULT,
                                   .min_gcs = MIN_GCS_DEFAULT};
    luaL_checktype(L, 3, LUA_TTABLE);
    for (lua_pushnil(L); lua_next(L, 3) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        const int value = lua_gettop(L);
        if (strcmp(name, "window") == 0)
            query->window_s = snapshot_view_check_seconds(L, value, WINDOW_DEFAULT_S);
        else if (strcmp(name, "min_time") == 0)
            query->min_time_s = snapshot_view_check_seconds(L, value, MIN_TIME_DEFAULT_S);
        else if (strcmp(name, "min_bytes") == 0)
            query->min_bytes = luaL_checknumber(L, value);
        else if (strcmp(name, "min_gcs") == 0)
            query->min_gcs = luaL_checkinteger(L, value);
        else
            luaL_error(L, "rising: unknown member '%s'; it has window, min_time, min_bytes, min_gcs",
                       name);
    }
    query->window_s = snapshot_view_window_s(view, query->window_s);
}

/* The newest points of [points] that lie within [seconds]. */
static const struct trend_point *newest(const struct trend_point *points, size_t *count,
                                        double seconds)
{
    const double since = points[*count - 1].seconds - seconds;
    while (*count > 0 && points->seconds < since) {
        points++;
        (*count)--;
    }
    return points;
}

static bool series_of(const struct trend_point *points, size_t count, double seconds,
                      struct series *series)
{
    const struct trend_point *first = newest(points, &count, seconds);
    return series_compute(first, count, series);
}

static bool rises_throughout(const struct trend_point *points, size_t count, double window_s,
                             const struct rising_query *query, struct series *series)
{
    struct series later;
    struct series tail;
    if (!series_of(points, count, window_s, series))
        return false;
    const struct trend *trend = &series->trend;
    const double gained = trend->last - trend->first;
    return trend->rises >= (uint64_t)query->min_gcs && trend->seconds >= query->min_time_s &&
           gained > 0 && gained >= query->min_bytes &&
           (double)trend->falls <= FALLS_SHARE * (double)trend->points &&
           series_of(points, count, trend->seconds * 2 / 3, &later) &&
           later.trend.first - trend->first >= HEAD_SHARE * gained &&
           series_of(points, count, trend->seconds / 3, &tail) &&
           tail.trend.last - tail.trend.first >= TAIL_SHARE * gained;
}

/* A short window finds a leak early, a long one finds a slow leak, or one in a program that rarely
 * collects: the shortest that shows it is the answer. */
static bool find_rise(const struct trend_point *points, size_t count,
                      const struct rising_query *query, struct series *series)
{
    if (!series_compute(points, count, series) ||
        series->drawdown > DRAWDOWN_SHARE * (series->trend.last - series->trend.min))
        return false;
    double window_s = query->min_time_s * MIN_TIME_STRETCH_PERCENT / 100;
    for (; window_s > 0 && window_s < query->window_s; window_s *= 2) {
        if (rises_throughout(points, count, window_s, query, series))
            return true;
    }
    return rises_throughout(points, count, query->window_s, query, series);
}

/* target:rising(entry, { window =, min_time =, min_bytes =, min_gcs = }) */
static int target_rising(lua_State *L)
{
    const struct observation *seen = snapshot_view_check(L, "rising");
    luaL_checktype(L, 2, LUA_TTABLE);
    if (lua_isnoneornil(L, 3)) {
        lua_settop(L, 2);
        lua_newtable(L);
    }
    struct rising_query query;
    read_query(L, lua_touserdata(L, lua_upvalueindex(1)), &query);
    const uint64_t since_ns = history_since_ns(seen->history, query.window_s);
    budget_charge(L, RISING_STEPS);
    struct trend_point points[SITE_GROWTH_COLUMNS];
    const struct site_growth *growth = history_growth(seen->history);
    if (lua_getfield(L, 2, "site_id") != LUA_TNUMBER)
        return luaL_argerror(L, 2, "an entry of sites{}");
    const size_t count = site_growth_of_site(growth, (uint32_t)lua_tointeger(L, -1),
                                             SITE_INUSE_BYTES, since_ns, points);
    struct series series;
    const bool rising = find_rise(points, count, &query, &series);
    snapshot_view_note(L, &(struct trace_read){.what = TRACE_GROWTH,
                                               .window_s = (float)query.window_s,
                                               .value = rising ? series.trend.per_second : 0});
    if (rising)
        snapshot_view_push_trend(L, &series);
    else
        lua_pushnil(L);
    return 1;
}

void rising_view_register(lua_State *L, struct snapshot_view *view)
{
    lua_pushlightuserdata(L, view);
    lua_pushcclosure(L, target_rising, 1);
    lua_setfield(L, -2, "rising");
}
