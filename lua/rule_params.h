/* rule_params.h - the params of a rule: defaults with units, overridden by the config.
 *
 *   params = { min = "1MiB" }            the rule's own
 *   rules.NAME = { min = "2MiB" }        the config's, for all targets
 *   rules.NAME.targets.shop = { ... }    the config's, for one */
#ifndef GOPROFD_LUA_RULE_PARAMS_H
#define GOPROFD_LUA_RULE_PARAMS_H

#include <stdbool.h>
#include <stddef.h>

struct config_node;
struct lua_State;
struct rule_timing;

enum { RULE_LAYERS_MAX = 2 };

/* One layer of overrides; later ones win. */
struct rule_layer {
    const char *label;              /* what it is called in the config: "rules.heap_high" */
    const struct config_node *node; /* NODE_TABLE, or NULL */
};

/* Expects a rule's `params` table (or nil) at [index] and pushes a new table in which quantities are
 * numbers and the layers are applied; what is a member of [timing], and no param, goes there.
 * Raises an error that names the param. */
void rule_params_push(struct lua_State *L, int index, const struct rule_layer *layers, size_t count,
                      struct rule_timing *timing);

/* The member of [node] called [key], or NULL; [node] may be NULL. */
const struct config_node *rule_params_find(const struct config_node *node, const char *key);

#endif
