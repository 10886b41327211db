/* format_api.c - called from rules within budget_call(). */
#include "lua/format_api.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

/* Three digits are enough to act upon. */
static void push_scaled(lua_State *L, double number, const char *unit)
{
    char text[64];
    const double tenths = round(number * 10);
    const int precision = fabs(tenths) >= 1000 || fmod(tenths, 10) == 0 ? 0 : 1;
    if (snprintf(text, sizeof(text), "%.*f %s", precision, number, unit) < 0)
        text[0] = '\0';
    lua_pushstring(L, text);
}

/* format_bytes(1536) -> "1.5 KiB" */
static int format_bytes(lua_State *L)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double number = luaL_checknumber(L, 1);
    size_t unit = 0;
    while (unit + 1 < sizeof(units) / sizeof(units[0]) && fabs(number) >= 1023.95) {
        number /= 1024;
        unit++;
    }
    push_scaled(L, number, units[unit]);
    return 1;
}

/* format_seconds(90) -> "1.5 min" */
static int format_seconds(lua_State *L)
{
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"d", 86400}, {"h", 3600}, {"min", 60}, {"s", 1}};
    const double number = luaL_checknumber(L, 1);
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (fabs(number) >= units[i].seconds) {
            push_scaled(L, number / units[i].seconds, units[i].name);
            return 1;
        }
    }
    push_scaled(L, number * 1000, "ms");
    return 1;
}

void format_api_register(lua_State *L)
{
    lua_pushcfunction(L, format_bytes);
    lua_setfield(L, -2, "format_bytes");
    lua_pushcfunction(L, format_seconds);
    lua_setfield(L, -2, "format_seconds");
}
