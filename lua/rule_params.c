/* rule_params.c - turns { min_growth = "256KiB/s" } into numbers and applies the config's overrides.
 *
 * Called inside budget_call() while a rule is loaded. */
#include "lua/rule_params.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "lua/quantity.h"
#include "lua/rule_header.h"

enum { PARAMS_MAX = 64 };

/* The value on top of the stack, a default, replaced by what the rule will see. */
static void normalize_default(lua_State *L, const char *name, bool *is_quantity,
                              struct quantity *quantity)
{
    *is_quantity = false;
    switch (lua_type(L, -1)) {
    case LUA_TNUMBER:
        *is_quantity = true;
        *quantity = (struct quantity){.value = lua_tonumber(L, -1)};
        return;
    case LUA_TSTRING:
        if (quantity_parse(lua_tostring(L, -1), quantity)) {
            *is_quantity = true;
            lua_pop(L, 1);
            lua_pushnumber(L, quantity->value);
        }
        return;
    case LUA_TBOOLEAN:
        return;
    default:
        luaL_error(L, "params.%s must be a number, a text or a boolean, not a %s", name,
                   luaL_typename(L, -1));
    }
}

static _Noreturn void raise_wrong_override(lua_State *L, const char *label, const char *name,
                                           const char *allowed)
{
    luaL_error(L, "config: %s.%s must be %s", label, name, allowed);
    abort(); /* not reached */
}

/* Pushes the override of a quantity. */
static void push_quantity(lua_State *L, const char *label, const struct config_node *node,
                          const struct quantity *wanted)
{
    struct quantity given = {.value = node->number};
    const bool readable = node->kind == NODE_NUMBER ||
                          (node->kind == NODE_STRING && quantity_parse(node->string, &given));
    if (!readable || !isfinite(given.value) || !quantity_fits(&given, wanted))
        raise_wrong_override(L, label, node->key, quantity_example(wanted));
    lua_pushnumber(L, given.value);
}

/* With the default on top of the stack: replaces it by the override. */
static void apply_override(lua_State *L, const char *label, const struct config_node *node,
                           bool is_quantity, const struct quantity *wanted)
{
    if (is_quantity) {
        push_quantity(L, label, node, wanted);
    } else if (lua_type(L, -1) == LUA_TBOOLEAN) {
        if (node->kind != NODE_BOOL)
            raise_wrong_override(L, label, node->key, "true or false");
        lua_pushboolean(L, node->boolean);
    } else {
        if (node->kind != NODE_STRING)
            raise_wrong_override(L, label, node->key, "a text");
        lua_pushstring(L, node->string);
    }
    lua_replace(L, -2);
}

const struct config_node *rule_params_find(const struct config_node *node, const char *key)
{
    for (size_t i = 0; node != NULL && i < node->child_count; i++) {
        if (node->children[i].key != NULL && strcmp(node->children[i].key, key) == 0)
            return &node->children[i];
    }
    return NULL;
}

static bool is_among(const char *key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], key) == 0)
            return true;
    }
    return false;
}

/* [names] are those of the rule; every override must be one of them, or of the timing. */
static void check_overrides_known(lua_State *L, const struct rule_layer *layer,
                                  const char *const *names, size_t count,
                                  struct rule_timing *timing)
{
    for (size_t i = 0; layer->node != NULL && i < layer->node->child_count; i++) {
        const struct config_node *node = &layer->node->children[i];
        if (node->key == NULL)
            luaL_error(L, "config: %s: params have names", layer->label);
        if (strcmp(node->key, "enabled") == 0 || strcmp(node->key, "targets") == 0 ||
            is_among(node->key, names, count))
            continue;
        if (rule_timing_has(node->key)) {
            rule_timing_override(L, layer->label, node, timing);
            continue;
        }
        const char *nearest = config_near_miss(node->key, names, count);
        if (nearest != NULL)
            luaL_error(L, "config: %s.%s: the rule has no such param; did you mean %s?",
                       layer->label, node->key, nearest);
        luaL_error(L, "config: %s.%s: the rule has no such param", layer->label, node->key);
    }
}

/* Sets the param whose default is on top of the stack. */
static void set_param(lua_State *L, int result, const char *name, const struct rule_layer *layers,
                      size_t count)
{
    bool is_quantity;
    struct quantity quantity = {.value = 0};
    normalize_default(L, name, &is_quantity, &quantity);
    for (size_t i = 0; i < count; i++) {
        const struct config_node *node = rule_params_find(layers[i].node, name);
        if (node != NULL)
            apply_override(L, layers[i].label, node, is_quantity, &quantity);
    }
    lua_setfield(L, result, name);
}

void rule_params_push(lua_State *L, int index, const struct rule_layer *layers, size_t layer_count,
                      struct rule_timing *timing)
{
    const char *names[PARAMS_MAX];
    size_t count = 0;
    index = lua_absindex(L, index);
    lua_newtable(L);
    const int result = lua_gettop(L);
    if (lua_type(L, index) == LUA_TTABLE) {
        for (lua_pushnil(L); lua_next(L, index) != 0; lua_settop(L, result + 1)) {
            if (lua_type(L, -2) != LUA_TSTRING)
                luaL_error(L, "params have names; found a %s", luaL_typename(L, -2));
            if (count == PARAMS_MAX)
                luaL_error(L, "more than %d params", PARAMS_MAX);
            const char *name = lua_tostring(L, -2); /* the rule's table keeps it */
            names[count++] = name;
            set_param(L, result, name, layers, layer_count);
        }
    } else if (lua_type(L, index) != LUA_TNIL) {
        luaL_error(L, "params must be a table, not a %s", luaL_typename(L, index));
    }
    for (size_t i = 0; i < layer_count; i++)
        check_overrides_known(L, &layers[i], names, count, timing);
    lua_settop(L, result);
}
