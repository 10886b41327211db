/* config_support.h - trees of config.lua and their problems, in few words, for the config tests. */
#ifndef GOPROFD_TESTS_UNIT_BASE_CONFIG_SUPPORT_H
#define GOPROFD_TESTS_UNIT_BASE_CONFIG_SUPPORT_H

#include "core/base/buffer.h"
#include "core/base/config.h"

#define NUMBER(name, v) {.kind = NODE_NUMBER, .key = name, .number = v}
#define STRING(name, v) {.kind = NODE_STRING, .key = name, .string = v}
#define BOOLEAN(name, v) {.kind = NODE_BOOL, .key = name, .boolean = v}
#define FUNCTION(name) {.kind = NODE_OTHER, .key = name, .string = "function"}
#define TABLE(name, ...)                                                                           \
    {.kind = NODE_TABLE,                                                                           \
     .key = name,                                                                                  \
     .children = (const struct config_node[]){__VA_ARGS__},                                        \
     .child_count = sizeof((const struct config_node[]){__VA_ARGS__}) / sizeof(struct config_node)}
#define EMPTY_TABLE(name) {.kind = NODE_TABLE, .key = name}
#define ITEM_STRING(i, v) {.kind = NODE_STRING, .index = i, .string = v}
#define ITEM_TABLE(i, ...)                                                                         \
    {.kind = NODE_TABLE,                                                                           \
     .index = i,                                                                                   \
     .children = (const struct config_node[]){__VA_ARGS__},                                        \
     .child_count = sizeof((const struct config_node[]){__VA_ARGS__}) / sizeof(struct config_node)}
#define ROOT(...) &(const struct config_node) TABLE(NULL, __VA_ARGS__)

struct outcome {
    struct config *config;
    struct buffer problems_;
    size_t count;
    const char *problems; /* text, one line each */
};

/* A new config with [root] applied, or defaults if NULL. */
struct outcome outcome_of_tree(const struct config_node *root);
/* A new config with the variables [list] (NULL-ended) applied. */
struct outcome outcome_of_environment(char *const *list);
/* Adds what config_validate says. */
void outcome_validate(struct outcome *outcome);
void outcome_release(struct outcome *outcome);

#endif
