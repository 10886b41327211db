/* config_rules.c - the `rules` table: which rules run, and with which parameters of their own.
 *
 *   rules = { heap_growth = { enabled = true, window = "30m" }, goroutine_growth = false }
 *
 * Parameters are a rule's business: they are copied as they are, and judged where the rule is loaded. */
#include "core/base/arena.h"
#include "core/base/config_parts.h"

enum { RULES_MAX = 1024, PARAMS_DEPTH_MAX = 8 };

/* Deep copy of [from] into the config's arena; reports what cannot be a parameter. */
static bool copy_node(struct config_load *load, const char *key, const struct config_node *from,
                      unsigned depth, struct config_node *to)
{
    struct arena *arena = load->config->arena_;
    *to = *from;
    to->children = NULL;
    to->child_count = 0;
    if (from->kind == NODE_OTHER || depth > PARAMS_DEPTH_MAX) {
        config_problem_node(load, key, from,
                            depth > PARAMS_DEPTH_MAX ? "tables nested at most 8 deep"
                                                     : "numbers, strings, booleans and tables");
        return false;
    }
    if (from->key != NULL)
        to->key = arena_copy_string(arena, from->key, strlen(from->key));
    if (from->string != NULL)
        to->string = arena_copy_string(arena, from->string, strlen(from->string));
    if ((from->key != NULL && to->key == NULL) || (from->string != NULL && to->string == NULL)) {
        config_problem_memory(load, key);
        return false;
    }
    if (from->kind != NODE_TABLE)
        return true;
    struct config_node *children =
        arena_alloc_array(arena, from->child_count, sizeof(children[0]));
    if (children == NULL) {
        config_problem_memory(load, key);
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < from->child_count; i++)
        ok = copy_node(load, key, &from->children[i], depth + 1, &children[i]) && ok;
    to->children = children;
    to->child_count = from->child_count;
    return ok;
}

/* Takes `enabled` out of the members of [node]; everything else becomes the rule's parameters. */
static bool split_members(struct config_load *load, const char *key, const struct config_node *node,
                          struct config_rule *rule)
{
    struct arena *arena = load->config->arena_;
    struct config_node *params = arena_alloc(arena, sizeof(*params));
    struct config_node *children = arena_alloc_array(arena, node->child_count, sizeof(children[0]));
    if (params == NULL || children == NULL) {
        config_problem_memory(load, key);
        return false;
    }
    bool ok = true;
    size_t count = 0;
    for (size_t i = 0; i < node->child_count; i++) {
        const struct config_node *child = &node->children[i];
        if (child->key == NULL) {
            config_problem_node(load, key, child, "named members: enabled, and parameters of the rule");
            ok = false;
        } else if (strcmp(child->key, "enabled") == 0) {
            if (child->kind == NODE_BOOL) {
                rule->enabled = child->boolean;
            } else if (child->kind != NODE_NIL) {
                char member[160];
                (void)snprintf(member, sizeof(member), "%s.enabled", key);
                config_problem_node(load, member, child, "true or false");
                ok = false;
            }
        } else {
            char member[256];
            (void)snprintf(member, sizeof(member), "%s.%.90s", key, child->key);
            ok = copy_node(load, member, child, 1, &children[count]) && ok;
            count++;
        }
    }
    if (ok && count > 0) {
        *params = (struct config_node){
            .kind = NODE_TABLE, .key = rule->name, .children = children, .child_count = count};
        rule->params = params;
    }
    return ok;
}

static bool set_rule(struct config_load *load, const struct config_node *node,
                     struct config_rule *rule)
{
    char key[128];
    *rule = (struct config_rule){.enabled = true};
    if (node->key == NULL) {
        config_problem_node(load, "rules", node, "rules by name, such as { heap_growth = { enabled = false } }");
        return false;
    }
    (void)snprintf(key, sizeof(key), "rules.%.100s", node->key);
    rule->name = arena_copy_string(load->config->arena_, node->key, strlen(node->key));
    if (rule->name == NULL) {
        config_problem_memory(load, key);
        return false;
    }
    if (node->kind == NODE_TABLE)
        return split_members(load, key, node, rule);
    if (node->kind == NODE_BOOL) { /* rules = { heap_growth = false } */
        rule->enabled = node->boolean;
        return true;
    }
    config_problem_node(load, key, node,
                        "a table such as { enabled = false }, or just true or false");
    return false;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct config_rule *)a)->name, ((const struct config_rule *)b)->name);
}

void config_set_rules(struct config_load *load, const struct config_node *node)
{
    if (node->kind == NODE_NIL)
        return;
    if (node->kind != NODE_TABLE || node->child_count > RULES_MAX) {
        config_problem_node(load, "rules", node,
                            "a table of at most 1024 rules by name, such as { heap_growth = { "
                            "enabled = false } }");
        return;
    }
    struct config_rule *rules =
        arena_alloc_array(load->config->arena_, node->child_count, sizeof(rules[0]));
    if (rules == NULL) {
        config_problem_memory(load, "rules");
        return;
    }
    bool ok = true;
    size_t count = 0;
    for (size_t i = 0; i < node->child_count; i++) {
        if (node->children[i].kind == NODE_NIL)
            continue;
        ok = set_rule(load, &node->children[i], &rules[count]) && ok;
        count++;
    }
    if (!ok)
        return;
    qsort(rules, count, sizeof(rules[0]), compare_names); /* Lua's tables have no order */
    load->config->rules = rules;
    load->config->rule_count = count;
}
