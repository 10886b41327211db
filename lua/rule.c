/* rule.c - loads a rule file and shows targets to it.
 *
 * Loaded on the main thread at start and on the rule thread at a reload; evaluated on the rule
 * thread.  All of Lua runs inside budget_call(). */
#include "lua/rule.h"

#include <fnmatch.h>
#include <lauxlib.h>
#include <lua.h>

#include "core/base/arena.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "lua/budget.h"
#include "lua/finding_api.h"
#include "lua/format_api.h"
#include "lua/rule_params.h"
#include "lua/sandbox.h"
#include "lua/snapshot_view.h"
#include "lua/source_file.h"
#include "lua/state_copy.h"
#include "lua/trace.h"
#include "lua/tree.h"

enum { LABEL_MAX_BYTES = 320, TESTS_MAX_BYTES = 4 << 20, TESTS_CHUNK_BYTES = 16 * 1024 };

/* What the config says of one target, or of all that match a glob. */
struct target_setting {
    const char *target; /* the config's */
    bool enabled;
    struct rule_timing timing;
    int params_ref;
};

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
    struct rule_header header;
    size_t setting_count;
    struct target_setting *settings;
    unsigned options;
    struct arena *tests_arena; /* NULL: none kept */
    struct config_node tests;
    int evaluate_ref;
    int params_ref;
};

const char *rule_name(const struct rule *rule)
{
    return rule->header.name;
}

const char *rule_file(const struct rule *rule)
{
    return rule->file;
}

const char *rule_doc(const struct rule *rule)
{
    return rule->header.doc;
}

bool rule_enabled(const struct rule *rule)
{
    return rule->overrides == NULL || rule->overrides->enabled;
}

const struct rule_header *rule_header(const struct rule *rule)
{
    return &rule->header;
}

const struct config_node *rule_tests(const struct rule *rule)
{
    return rule->tests_arena != NULL ? &rule->tests : NULL;
}

const struct trace *rule_trace(const struct rule *rule)
{
    return &rule->trace;
}

/* What the config says of this target by name, else by the first glob that fits; or NULL. */
static const struct target_setting *setting_for(const struct rule *rule, const char *target_id)
{
    for (size_t i = 0; i < rule->setting_count; i++) {
        if (strcmp(rule->settings[i].target, target_id) == 0)
            return &rule->settings[i];
    }
    for (size_t i = 0; i < rule->setting_count; i++) {
        if (fnmatch(rule->settings[i].target, target_id, 0) == 0)
            return &rule->settings[i];
    }
    return NULL;
}

bool rule_enabled_for(const struct rule *rule, const char *target_id)
{
    const struct target_setting *setting = setting_for(rule, target_id);
    return rule_enabled(rule) && (setting == NULL || setting->enabled);
}

struct rule_timing rule_timing_for(const struct rule *rule, const char *target_id)
{
    const struct target_setting *setting = setting_for(rule, target_id);
    return setting != NULL ? setting->timing : rule->header.timing;
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

static const struct config_rule *find_overrides(const struct config *config, const char *name)
{
    for (size_t i = 0; i < config->rule_count; i++) {
        if (strcmp(config->rules[i].name, name) == 0)
            return &config->rules[i];
    }
    return NULL;
}

/* rules.NAME.targets: params once more for each target that has settings of its own.  The rule's `params`
 * are at [index]. */
static void read_settings(lua_State *L, int index, struct rule *rule, const struct rule_layer *all)
{
    const struct config_node *targets = rule_params_find(all->node, "targets");
    if (targets == NULL)
        return;
    if (targets->kind != NODE_TABLE)
        luaL_error(L, "config: %s.targets must be a table such as { shop = { ... } }", all->label);
    rule->setting_count = 0;
    rule->settings = calloc(targets->child_count + 1, sizeof(rule->settings[0]));
    if (rule->settings == NULL)
        luaL_error(L, "no memory");
    for (size_t i = 0; i < targets->child_count; i++) {
        const struct config_node *node = &targets->children[i];
        char label[LABEL_MAX_BYTES];
        if (node->kind != NODE_TABLE || node->key == NULL)
            luaL_error(L, "config: %s.targets must be tables by the name of a target", all->label);
        (void)snprintf(label, sizeof(label), "%.100s.targets.%.200s", all->label, node->key);
        struct target_setting *setting = &rule->settings[rule->setting_count];
        const struct config_node *enabled = rule_params_find(node, "enabled");
        if (enabled != NULL && enabled->kind != NODE_BOOL)
            luaL_error(L, "config: %s.enabled must be true or false", label);
        setting->target = node->key;
        setting->enabled = enabled == NULL || enabled->boolean;
        setting->timing = rule->header.timing;
        const struct rule_layer layers[] = {*all, {.label = label, .node = node}};
        rule_params_push(L, index, layers, 2, &setting->timing);
        sandbox_freeze(L, "params");
        setting->params_ref = luaL_ref(L, LUA_REGISTRYINDEX);
        rule->setting_count++;
    }
}

/* `tests`, as data that outlives the Lua state. */
static void read_tests(lua_State *L, int table, struct rule *rule)
{
    const int kind = lua_getfield(L, table, "tests");
    if (kind != LUA_TNIL && kind != LUA_TTABLE)
        luaL_error(L, "`tests` must be a list of tables, not a %s", luaL_typename(L, -1));
    if (kind == LUA_TTABLE && (rule->options & RULE_KEEP_TESTS) != 0 && rule->tests_arena == NULL) {
        struct error err;
        rule->tests_arena = arena_new(TESTS_MAX_BYTES, TESTS_CHUNK_BYTES);
        if (rule->tests_arena == NULL)
            luaL_error(L, "no memory for the tests");
        if (!tree_read(L, -1, rule->tests_arena, &rule->tests, &err))
            luaL_error(L, "`tests`: %s", err.message);
    }
    lua_pop(L, 1);
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
    rule_header_read(L, 1, &rule->header);
    read_tests(L, 1, rule);

    char label[LABEL_MAX_BYTES];
    (void)snprintf(label, sizeof(label), "rules.%s", rule->header.name);
    rule->overrides = find_overrides(rule->config, rule->header.name);
    const struct rule_layer all = {
        .label = label, .node = rule->overrides != NULL ? rule->overrides->params : NULL};
    (void)lua_getfield(L, 1, "params");
    rule_params_push(L, 2, &all, 1, &rule->header.timing);
    sandbox_freeze(L, "params");
    rule->params_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    read_settings(L, 2, rule, &all);
    if (lua_getfield(L, 1, "evaluate") != LUA_TFUNCTION)
        luaL_error(L, "`evaluate` must be a function, not a %s", luaL_typename(L, -1));
    rule->evaluate_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_gc(L, LUA_GCCOLLECT);
    return 0;
}

static bool start(struct rule *rule, struct error *err)
{
    struct budget_limits limits = BUDGET_RULE;
    if ((rule->options & RULE_UNHURRIED) != 0)
        limits.cpu_ns = BUDGET_RULE_UNHURRIED_CPU_NS;
    free(rule->settings);
    rule->settings = NULL;
    rule->setting_count = 0;
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
                      const struct config *config, unsigned options, struct error *err)
{
    struct rule *rule = calloc(1, sizeof(*rule));
    if (rule == NULL)
        goto no_memory;
    rule->config = config;
    rule->options = options;
    rule->said.muted = (options & RULE_MUTED) != 0;
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
    arena_free(rule->tests_arena);
    free(rule->settings);
    free(rule->file);
    free(rule->text);
    free(rule);
}

void rule_unhurry(struct rule *rule)
{
    rule->options |= RULE_UNHURRIED;
    rule->budget.limits.cpu_ns = BUDGET_RULE_UNHURRIED_CPU_NS;
}

/* ---- evaluating ---- */

static int evaluate_protected(lua_State *L)
{
    const struct rule *rule = lua_touserdata(L, 1);
    const struct target_setting *setting = setting_for(rule, rule->said.target);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX, rule->evaluate_ref);
    snapshot_view_push(L);
    (void)lua_rawgeti(L, LUA_REGISTRYINDEX,
                      setting != NULL ? setting->params_ref : rule->params_ref);
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
    log_warn(log_msg("rule has filled its memory and starts anew"), log_str("rule", rule->header.name),
             log_u64("bytes", rule->budget.memory_bytes));
    lua_close(rule->L);
    rule->L = NULL;
}

bool rule_evaluate(struct rule *rule, const struct observation *seen,
                   const struct evaluation **said, struct error *err)
{
    if (rule->L == NULL && !start(rule, err))
        return false;
    const struct rule_timing timing = rule_timing_for(rule, seen->info->facts.id);
    evaluation_begin(&rule->said, &rule->header, seen->info->facts.id);
    rule->view.warmup_s = (double)timing.warmup_ns / 1e9;
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

bool rule_restart(struct rule *rule, struct error *err)
{
    if (rule->L != NULL)
        lua_close(rule->L);
    rule->L = NULL;
    return start(rule, err);
}

/* ---- state of targets ---- */

struct state_call {
    struct rule *rule;
    const char *target_id;
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
        log_warn(log_msg("cannot drop a rule's state of a target"), log_str("rule", rule->header.name),
                 log_str("error", err.message));
}

struct adoption {
    lua_State *from; /* a target's id and its state are on top */
    const struct rule *rule;
};

static int adopt_protected(lua_State *L)
{
    const struct adoption *adoption = lua_touserdata(L, 1);
    (void)lua_rawgetp(L, LUA_REGISTRYINDEX, &adoption->rule->view);
    lua_pushstring(L, lua_tostring(adoption->from, -2));
    state_copy(adoption->from, L);
    lua_rawset(L, -3);
    return 0;
}

/* What one target made of its state costs no other target its own. */
void rule_adopt_state(struct rule *rule, struct rule *old)
{
    enum { STACK_SLOTS = 4 };
    if (old->L == NULL || rule->L == NULL)
        return;
    struct error err;
    struct adoption adoption = {.from = old->L, .rule = rule};
    const int top = lua_gettop(old->L);
    if (!lua_checkstack(old->L, STACK_SLOTS)) {
        log_warn(log_msg("a rule's state is lost by the reload"), log_str("rule", rule->header.name),
                 log_str("error", "no memory"));
        return;
    }
    (void)lua_rawgetp(old->L, LUA_REGISTRYINDEX, &old->view);
    for (lua_pushnil(old->L); lua_next(old->L, top + 1) != 0; lua_settop(old->L, top + 2)) {
        if (!budget_call(rule->L, adopt_protected, &adoption, &err))
            log_warn(log_msg("a rule's state of a target is lost by the reload"),
                     log_str("rule", rule->header.name),
                     log_str("target", lua_tostring(old->L, top + 2)), log_str("error", err.message));
    }
    lua_settop(old->L, top);
}
