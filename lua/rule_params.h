/* rule_params.h - the params of a rule: defaults with units, overridden by the config. */
#ifndef GOPROFD_LUA_RULE_PARAMS_H
#define GOPROFD_LUA_RULE_PARAMS_H

struct config_node;
struct lua_State;

/* Expects a rule's `params` table (or nil) at [index] and pushes a new table in which quantities are
 * numbers and [overrides] (NODE_TABLE, or NULL) are applied.  Raises an error that names the param. */
void rule_params_push(struct lua_State *L, int index, const char *rule_name,
                      const struct config_node *overrides);

#endif
