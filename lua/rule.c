/* rule.c - loads a rule file and shows targets to it.
 *
 * Loaded on the main thread at start and on the rule thread at a reload; evaluated on the rule
 * thread.  All of Lua runs inside budget_call(). */
#include "lua/rule.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "core/base/log.h"
#include "lua/budget.h"
#include "lua/finding_api.h"
#include "lua/format_api.h"
#include "lua/quantity.h"
#include "lua/rule_params.h"
#include "lua/sandbox.h"
#include "lua/snapshot_view.h"
#include "lua/source_file.h"
#include "lua/trace.h"
#include "lua/tree.h"

enum { DOC_MAX_BYTES = 256, STATE_TREE_MAX_BYTES = 1 << 20, STATE_TREE_CHUNK_BYTES = 16 * 1024 };
static const double CLEAR_DEFAULT_S = 15;
static const double HOLD_MAX_S = 86400;

struct rule {
    struct budget budget;
    lua_State *L;
    struct snapshot_view view;
    struct trace trace;
    struct evaluation said;
    const struct config *config;
    const struct config_rule *overrides; /* or NULL */
    char *file;
    char *text; /* kept for rule_restart */
    size_t length;
    char name[RULE_NAME_MAX_BYTES + 1];
    char doc[DOC_MAX_BYTES + 1];
    uint64_t pending_ns;
    uint64_t clear_ns;
    int evaluate_ref;
    int params_ref;
};

const char *rule_name(const struct rule *rule)
{
    return rule->name;
}

const char *rule_file(const struct rule *rule)
{
    return rule->file;
}

const char *rule_doc(const struct rule *rule)
{
    return rule->doc;
}

bool rule_enabled(const struct rule *rule)
{
    return rule->overrides == NULL || rule->overrides->enabled;
}

uint64_t rule_pending_ns(const struct rule *rule)
{
    return rule->pending_ns;
}

uint64_t rule_clear_ns(const struct rule *rule)
{
    return rule->clear_ns;
}

size_t rule_memory_bytes(const struct rule *rule)
{
    return rule->L != NULL ? rule->budget.memory_bytes : 0;
}

/* ---- loading ---- */

/* What rules may know of the config, as the global `config`. */
static void push_config(lua_State *L, const struct config *config)
{
    lua_createtable(L, 0, 4);
    lua_pushnumber(L, (double)config->sampling_interval_ms / 1e3);
    lua_setfield(L, -2, "sampling_interval");
    lua_pushnumber(L, (double)config->retention_window_sec);
    lua_setfield(L, -2, "retention_window");
    lua_pushnumber(L, config->high_retention_threshold_percent);
    lua_setfield(L, -2, "high_retention_threshold_percent");
    lua_pushnumber(L, config->memory_spike_threshold_percent);
    lua_setfield(L, -2, "memory_spike_threshold_percent");
    sandbox_freeze(L, "config");
}

/* Only names that need no quoting anywhere: they stand in ids, labels and URLs. */
static void read_name(lua_State *L, int table, struct rule *rule)
{
    size_t length = 0;
    const char *name = "";
    if (lua_getfield(L, table, "name") == LUA_TSTRING)
        name = lua_tolstring(L, -1, &length);
    bool valid = length > 0 && length <= RULE_NAME_MAX_BYTES && islower((unsigned char)name[0]);
    for (size_t i = 0; valid && i < length; i++)
        valid = islower((unsigned char)name[i]) || isdigit((unsigned char)name[i]) ||
                name[i] == '_';
    if (!valid)
        luaL_error(L, "`name` must be a text of up to %d characters a-z, 0-9 and _",
                   RULE_NAME_MAX_BYTES);
    memcpy(rule->name, name, length + 1);
    lua_pop(L, 1);
}

static void read_doc(lua_State *L, int table, struct rule *rule)
{
    size_t length = 0;
    const char *doc = "";
    const int kind = lua_getfield(L, table, "doc");
    if (kind == LUA_TSTRING)
        doc = lua_tolstring(L, -1, &length);
    if ((kind != LUA_TNIL && kind != LUA_TSTRING) || length > DOC_MAX_BYTES)
        luaL_error(L, "`doc` must be a text of at most %d bytes", DOC_MAX_BYTES);
    memcpy(rule->doc, doc, length + 1);
    lua_pop(L, 1);
}

static uint64_t read_duration(lua_State *L, int table, const char *key, double default_s)
{
    struct quantity quantity = {.value = default_s, .unit = QUANTITY_SECONDS};
    const int kind = lua_getfield(L, table, key);
    bool valid = true;
    if (kind == LUA_TNUMBER)
        quantity.value = lua_tonumber(L, -1);
    else if (kind == LUA_TSTRING)
        valid = quantity_parse(lua_tostring(L, -1), &quantity) &&
                quantity.unit == QUANTITY_SECONDS && !quantity.per_second;
    else
        valid = kind == LUA_TNIL;
    if (!valid || !(quantity.value >= 0 && quantity.value <= HOLD_MAX_S))
        luaL_error(L, "`%s` must be a duration like \"30s\", at most a day", key);
    lua_pop(L, 1);
    return (uint64_t)(quantity.value * 1e9);
}

static void check_members(lua_State *L, int table)
{
    static const char *const members[] = {"name", "doc", "params", "evaluate", "for_", "clear_for"};
    enum { COUNT = sizeof(members) / sizeof(members[0]) };
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        size_t at = 0;
        while (at < COUNT && strcmp(members[at], name) != 0)
            at++;
        if (at < COUNT)
            continue;
        const char *nearest = config_near_miss(name, members, COUNT);
        if (nearest != NULL)
            luaL_error(L, "a rule has no `%s`; did you mean `%s`?", name, nearest);
        luaL_error(L, "a rule has no `%s`", name);
    }
}

static const struct config_rule *find_overrides(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        if (strcmp(config->rules[i].name, name) == 0)
            return &config->rules[i];
    }
    return NULL;
}

/* Runs the chunk and takes the rule's table apart.  Argument: the rule. */
static int load_protected(lua_State *L)
{
    struct rule *rule = lua_touserdata(L, 1);
    sandbox_open(L);
    finding_api_register(L, &rule->said);
    format_api_register(L);
    push_config(L, rule->config);
    lua_setfield(L, -2, "config");
    snapshot_view_register(L, &rule->view);
    lua_settop(L, 0);

    sandbox_load(L, rule->text, rule->length, source_file_base(rule->file));
    lua_call(L, 0, 1);
    if (lua_type(L, 1) != LUA_TTABLE)
        luaL_error(L, "a rule file returns one table, not a %s", luaL_typename(L, 1));
    check_members(L, 1);
    read_name(L, 1, rule);
    read_doc(L, 1, rule);
    rule->pending_ns = read_duration(L, 1, "for_", 0);
    rule->clear_ns = read_duration(L, 1, "clear_for", CLEAR_DEFAULT_S);

    rule->overrides = find_overrides(rule->config, rule->name);
    (void)lua_getfield(L, 1, "params");
    rule_params_push(L, 2, rule->name, rule->overrides != NULL ? rule->overrides->params : NULL);
    sandbox_freeze(L, "params");
    rule->params_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    if (lua_getfield(L, 1, "evaluate") != LUA_TFUNCTION)
        luaL_error(L, "`evaluate` must be a function, not a %s", luaL_typename(L, -1));
    rule->evaluate_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

static bool start(struct rule *rule, struct error *err)
{
    const struct budget_limits limits = BUDGET_RULE;
    rule->L = budget_new_state(&rule->budget, &limits);
    if (rule->L == NULL)
        return error_set(err, ERROR_NO_MEMORY, "%s: no memory for a Lua state", rule->file);
    if (budget_call(rule->L, load_protected, rule, err))
        return true;
    source_file_name_error(rule->file, err);
    lua_close(rule->L);
    rule->L = NULL;
    return false;
}

struct rule *rule_new(const char *file, const char *text, size_t length,
                      const struct config *config, struct error *err)
{
    struct rule *rule = calloc(1, sizeof(*rule));
    if (rule == NULL)
        goto no_memory;
    rule->config = config;
    rule->file = strdup(file);
    rule->text = malloc(length + 1);
    if (rule->file == NULL || rule->text == NULL)
        goto no_memory;
    memcpy(rule->text, text, length);
    rule->text[length] = '\0';
    rule->length = length;
    if (!start(rule, err))
        goto fail;
    return rule;

no_memory:
    (void)error_set(err, ERROR_NO_MEMORY, "%s: no memory for the rule", file);
fail:
    rule_free(rule);
    return NULL;
}

void rule_free(struct rule *rule)
{
    if (rule == NULL)
        return;
    if (rule->L != NULL)
        lua_close(rule->L);
    evaluation_release(&rule->said);
    free(rule->file);
    free(rule->text);
    free(rule);
}

/* ---- evaluating ---- */

static int evaluate_protected(lua_State *L)
{
    const struct rule *rule = lua_touserdata(L, 1);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, rule->evaluate_ref);
    snapshot_view_push(L);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, rule->params_ref);
    lua_call(L, 2, 0);
    return 0;
}

static int collect_protected(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

/* What a failed run left behind must not be held against the next one; if it cannot be collected the
 * rule loses its state and starts anew at the next evaluation. */
static void clean_up(struct rule *rule)
{
    struct error err;
    if (budget_call(rule->L, collect_protected, rule, &err) &&
        rule->budget.memory_bytes < rule->budget.limits.memory_bytes / 2)
        return;
    log_warn(log_msg("rule has filled its memory and starts anew"), log_str("rule", rule->name),
             log_u64("bytes", rule->budget.memory_bytes));
    lua_close(rule->L);
    rule->L = NULL;
}

bool rule_evaluate(struct rule *rule, const struct observation *seen,
                   const struct evaluation **said, struct error *err)
{
    if (rule->L == NULL && !start(rule, err))
        return false;
    evaluation_begin(&rule->said, rule->name, rule->doc, seen->info->facts.id);
    rule->view.seen = seen;
    rule->view.evaluation++;
    rule->view.trace = &rule->trace;
    rule->trace.count = 0;
    rule->trace.left_out = 0;
    rule->said.open = true;
    const bool ok = budget_call(rule->L, evaluate_protected, rule, err);
    rule->said.open = false;
    rule->view.seen = NULL;
    *said = &rule->said;
    if (ok)
        return true;
    source_file_name_error(rule->file, err);
    evaluation_release(&rule->said);
    clean_up(rule);
    return false;
}

/* ---- state of targets ---- */

struct state_call {
    struct rule *rule;
    const char *target_id;
    struct config_node *tree;
    struct arena *arena;
};

static int forget_protected(lua_State *L)
{
    const struct state_call *call = lua_touserdata(L, 1);
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &call->rule->view);
    lua_pushnil(L);
    lua_setfield(L, -2, call->target_id);
    return 0;
}

void rule_forget_target(struct rule *rule, const char *target_id)
{
    struct error err;
    struct state_call call = {.rule = rule, .target_id = target_id};
    if (rule->L != NULL && !budget_call(rule->L, forget_protected, &call, &err))
        log_warn(log_msg("cannot drop a rule's state of a target"), log_str("rule", rule->name),
                 log_str("error", err.message));
}

static int save_protected(lua_State *L)
{
    const struct state_call *call = lua_touserdata(L, 1);
    struct error err;
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &call->rule->view);
    if (!tree_read(L, -1, call->arena, call->tree, &err))
        luaL_error(L, "%s", err.message);
    return 0;
}

static int restore_protected(lua_State *L)
{
    const struct state_call *call = lua_touserdata(L, 1);
    tree_push(L, call->tree);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &call->rule->view);
    return 0;
}

void rule_adopt_state(struct rule *rule, struct rule *old)
{
    if (old->L == NULL || rule->L == NULL)
        return;
    struct error err = {.code = ERROR_NO_MEMORY, .message = "no memory"};
    struct config_node tree;
    struct state_call call = {
        .rule = old, .tree = &tree, .arena = arena_new(STATE_TREE_MAX_BYTES, STATE_TREE_CHUNK_BYTES)};
    bool ok = call.arena != NULL && budget_call(old->L, save_protected, &call, &err);
    call.rule = rule;
    ok = ok && budget_call(rule->L, restore_protected, &call, &err);
    if (!ok)
        log_warn(log_msg("a rule's state is lost by the reload"), log_str("rule", rule->name),
                 log_str("error", err.message));
    arena_free(call.arena);
}
