/* trend_view.c - what a field did over a window of time, for rules.
 *
 * Called from Lua within budget_call(), on the rule thread.  Each function takes a field and a window
 * (seconds, a text, or { window =, per_gc = }) and gives nil where there is too little to say. */
#include "lua/trend_view.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/store/fields.h"
#include "core/store/snapshot.h"
#include "lua/budget.h"
#include "lua/history.h"
#include "lua/snapshot_view.h"
#include "lua/trace.h"

static const double DEFAULT_WINDOW_S = 600;
static const double EWMA_WINDOW_HALF_LIVES = 8; /* what is older weighs less than half a percent */
enum { TREND_STEPS = 500 };                     /* charged for a trend; most are in the cache */

/* ---- arguments ---- */

/* What every function here was asked for. */
struct asked {
    struct snapshot_view *view;
    struct history *history;
    const struct field *field;
    struct history_window window;
};

static const struct field *check_field(lua_State *L, int index)
{
    const char *name = luaL_checkstring(L, index);
    const struct field *field = snapshot_field_find(name);
    if (field == NULL)
        snapshot_view_raise_unknown(L, "target", name);
    return field;
}

/* A window alone, or { window = ..., per_gc = true }. */
static struct history_window check_window(lua_State *L, int index)
{
    struct history_window window = {.seconds = DEFAULT_WINDOW_S};
    if (lua_type(L, index) != LUA_TTABLE) {
        window.seconds = snapshot_view_check_seconds(L, index, DEFAULT_WINDOW_S);
        return window;
    }
    for (lua_pushnil(L); lua_next(L, index) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        if (strcmp(name, "window") == 0)
            window.seconds = snapshot_view_check_seconds(L, lua_gettop(L), DEFAULT_WINDOW_S);
        else if (strcmp(name, "per_gc") == 0)
            window.per_gc = lua_toboolean(L, -1) != 0;
        else
            luaL_error(L, "unknown option '%s'; there are 'window' and 'per_gc'", name);
    }
    return window;
}

static struct asked read_asked(lua_State *L, const char *function, int field, int window)
{
    const struct observation *seen = snapshot_view_check(L, function);
    struct asked asked = {.view = lua_touserdata(L, lua_upvalueindex(1)),
                          .history = seen->history,
                          .field = check_field(L, field),
                          .window = check_window(L, window)};
    asked.window.seconds = snapshot_view_window_s(asked.view, asked.window.seconds);
    budget_charge(L, TREND_STEPS);
    return asked;
}

/* Notes and pushes the answer; NAN is nil. */
static int answer(lua_State *L, const struct asked *asked, enum trace_what what, double argument,
                  double value)
{
    snapshot_view_note(L, &(struct trace_read){.what = (uint8_t)what,
                                               .field = trace_field(asked->field),
                                               .per_gc = asked->window.per_gc,
                                               .window_s = (float)asked->window.seconds,
                                               .argument = argument,
                                               .value = value});
    if (isnan(value))
        lua_pushnil(L);
    else
        lua_pushnumber(L, value);
    return 1;
}

/* ---- trends ---- */

static bool trend_of(const struct asked *asked, struct series *series)
{
    return history_trend(asked->history, asked->field, &asked->window, series);
}

/* target:trend(field [, window]) */
static int target_trend(lua_State *L)
{
    const struct asked asked = read_asked(L, "trend", 2, 3);
    struct series series;
    const bool known = trend_of(&asked, &series);
    (void)answer(L, &asked, TRACE_TREND, 0, known ? series.trend.per_second : (double)NAN);
    if (known)
        snapshot_view_push_trend(L, &series);
    return 1;
}

/* target:slope(field [, window]): the trend's per_second alone. */
static int target_slope(lua_State *L)
{
    const struct asked asked = read_asked(L, "slope", 2, 3);
    struct series series;
    return answer(L, &asked, TRACE_SLOPE, 0,
                  trend_of(&asked, &series) ? series.trend.per_second : (double)NAN);
}

/* target:rate(field [, window]): change per second from the first to the last point. */
static int target_rate(lua_State *L)
{
    const struct asked asked = read_asked(L, "rate", 2, 3);
    struct series series;
    const bool known = trend_of(&asked, &series);
    return answer(L, &asked, TRACE_RATE, 0,
                  known ? (series.trend.last - series.trend.first) / series.trend.seconds
                        : (double)NAN);
}

/* target:delta(field [, window]): last minus first. */
static int target_delta(lua_State *L)
{
    const struct asked asked = read_asked(L, "delta", 2, 3);
    struct series series;
    return answer(L, &asked, TRACE_DELTA, 0,
                  trend_of(&asked, &series) ? series.trend.last - series.trend.first : (double)NAN);
}

/* target:time_to(limit, field [, window]): seconds until the field reaches the limit (a number, or
 * another field) at its present slope; 0 if it has; nil if it does not rise, or is not known. */
static int target_time_to(lua_State *L)
{
    const struct asked asked = read_asked(L, "time_to", 3, 4);
    const struct observation *seen = asked.view->seen;
    struct series series;
    double limit = (double)NAN;
    if (lua_type(L, 2) == LUA_TSTRING) {
        if (!snapshot_field_get_f64(&seen->snapshot->values, check_field(L, 2), &limit))
            limit = (double)NAN;
    } else if (!lua_isnil(L, 2)) {
        limit = luaL_checknumber(L, 2);
    }
    double seconds = (double)NAN;
    if (!isnan(limit) && trend_of(&asked, &series)) {
        const double room = limit - series.trend.last;
        if (room <= 0)
            seconds = 0;
        else if (series.trend.per_second > 0)
            seconds = room / series.trend.per_second;
    }
    return answer(L, &asked, TRACE_TIME_TO, limit, seconds);
}

/* ---- all points of a window ---- */

/* Every point; the memory is Lua's and goes with the call. */
static size_t all_points(lua_State *L, const struct asked *asked, struct trend_point **points)
{
    const size_t max = history_count(asked->history);
    *points = lua_newuserdatauv(L, (max + 1) * sizeof(**points), 0);
    return history_points(asked->history, asked->field, &asked->window, *points, max);
}

static int answer_mean(lua_State *L, const char *function, enum trace_what what,
                       double (*fold)(double so_far, double value, double count))
{
    const struct asked asked = read_asked(L, function, 2, 3);
    struct trend_point *points;
    const size_t count = all_points(L, &asked, &points);
    double result = count > 0 ? points[0].value : (double)NAN;
    for (size_t i = 1; i < count; i++)
        result = fold(result, points[i].value, (double)(i + 1));
    return answer(L, &asked, what, 0, result);
}

static double fold_min(double so_far, double value, double count)
{
    (void)count;
    return value < so_far ? value : so_far;
}

static double fold_max(double so_far, double value, double count)
{
    (void)count;
    return value > so_far ? value : so_far;
}

static double fold_mean(double so_far, double value, double count)
{
    return so_far + (value - so_far) / count;
}

static int target_min(lua_State *L)
{
    return answer_mean(L, "min", TRACE_MIN, fold_min);
}

static int target_max(lua_State *L)
{
    return answer_mean(L, "max", TRACE_MAX, fold_max);
}

static int target_mean(lua_State *L)
{
    return answer_mean(L, "mean", TRACE_MEAN, fold_mean);
}

/* target:percentile(field, window, percent) */
static int target_percentile(lua_State *L)
{
    const struct asked asked = read_asked(L, "percentile", 2, 3);
    const double percent = luaL_checknumber(L, 4);
    luaL_argcheck(L, percent >= 0 && percent <= 100, 4, "a percentage: 0 to 100");
    struct trend_point *points;
    const size_t count = all_points(L, &asked, &points);
    double value;
    if (!trend_percentile(points, count, percent, &value))
        value = (double)NAN;
    return answer(L, &asked, TRACE_PERCENTILE, percent, value);
}

/* target:ewma(field, half_life): the mean in which a point weighs half after half_life. */
static int target_ewma(lua_State *L)
{
    struct asked asked = read_asked(L, "ewma", 2, 3);
    const double half_life_s = asked.window.seconds;
    asked.window.seconds =
        snapshot_view_window_s(asked.view, half_life_s * EWMA_WINDOW_HALF_LIVES);
    struct trend_point *points;
    const size_t count = all_points(L, &asked, &points);
    double mean = count > 0 ? points[0].value : (double)NAN;
    for (size_t i = 1; i < count; i++) {
        const double passed_s = points[i].seconds - points[i - 1].seconds;
        mean += (points[i].value - mean) * (1 - exp2(-passed_s / half_life_s));
    }
    return answer(L, &asked, TRACE_EWMA, half_life_s, mean);
}

/* target:values(field [, window]): the numbers, oldest first, thinned to 128. */
static int target_values(lua_State *L)
{
    const struct asked asked = read_asked(L, "values", 2, 3);
    struct trend_point points[HISTORY_TREND_POINTS];
    const size_t count = history_points(asked.history, asked.field, &asked.window, points,
                                        HISTORY_TREND_POINTS);
    (void)answer(L, &asked, TRACE_VALUES, 0, (double)count);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        lua_pushnumber(L, points[i].value);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    return 1;
}

void trend_view_register(lua_State *L, struct snapshot_view *view)
{
    static const luaL_Reg methods[] = {
        {"trend", target_trend}, {"slope", target_slope},           {"rate", target_rate},
        {"delta", target_delta}, {"time_to", target_time_to},       {"min", target_min},
        {"max", target_max},     {"mean", target_mean},             {"percentile", target_percentile},
        {"ewma", target_ewma},   {"values", target_values},
    };
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        lua_pushlightuserdata(L, view);
        lua_pushcclosure(L, methods[i].func, 1);
        lua_setfield(L, -2, methods[i].name);
    }
}
