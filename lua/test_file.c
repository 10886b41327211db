/* test_file.c - finds the rule that a file of tests is about, and runs them.  See test_file.h. */
#include "lua/test_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "lua/data_file.h"
#include "lua/rule.h"
#include "lua/rule_test.h"
#include "lua/source_file.h"

static const char ENDING[] = "_test.lua";
enum {
    ENDING_LENGTH = sizeof(ENDING) - 1,
    TREE_MAX_BYTES = 8 << 20,
    TREE_CHUNK_BYTES = 16 * 1024,
};

bool test_file_is(const char *name)
{
    const size_t length = strlen(name);
    return length > ENDING_LENGTH && strcmp(name + length - ENDING_LENGTH, ENDING) == 0;
}

/* The members of the file: `rule` (may be left out) and `tests`. */
static bool read_members(const char *path, const struct config_node *root, const char **rule,
                         const struct config_node **tests, struct error *err)
{
    static const char *const names[] = {"rule", "tests"};
    *rule = NULL;
    *tests = NULL;
    for (size_t i = 0; i < root->child_count; i++) {
        const struct config_node *child = &root->children[i];
        const char *key = child->key != NULL ? child->key : "?";
        if (strcmp(key, "rule") == 0 && child->kind == NODE_STRING) {
            *rule = child->string;
        } else if (strcmp(key, "rule") == 0) {
            return error_set(err, ERROR_USAGE, "%s: `rule` must be the path of a rule", path);
        } else if (strcmp(key, "tests") == 0 && child->kind == NODE_TABLE) {
            *tests = child;
        } else if (strcmp(key, "tests") == 0) {
            return error_set(err, ERROR_USAGE, "%s: `tests` must be a list of tables", path);
        } else {
            const char *nearest = config_near_miss(key, names, sizeof(names) / sizeof(names[0]));
            return error_set(err, ERROR_USAGE, "%s: unknown member `%s`%s%s%s; a file of tests has `rule` and `tests`",
                             path, key, nearest != NULL ? "; did you mean `" : "",
                             nearest != NULL ? nearest : "", nearest != NULL ? "`?" : "");
        }
    }
    return *tests != NULL || error_set(err, ERROR_USAGE, "%s: there is no `tests` in it", path);
}

/* [rule] as seen from the folder of [path]; without it, the file of the same name without "_test".  The
 * caller frees it. */
static char *rule_path(const char *path, const char *rule, struct error *err)
{
    char *found = NULL;
    const int folder = (int)(source_file_base(path) - path);
    const int written =
        rule == NULL ? asprintf(&found, "%.*s.lua", (int)(strlen(path) - ENDING_LENGTH), path)
        : rule[0] == '/' ? asprintf(&found, "%s", rule)
                         : asprintf(&found, "%.*s%s", folder, path, rule);
    if (written == -1) {
        (void)error_set(err, ERROR_NO_MEMORY, "%s: no memory", path);
        return NULL;
    }
    return found;
}

static bool run_beside(const char *path, const struct config *config, struct buffer *report,
                       struct rule_test_result *result, struct error *err)
{
    struct config_node root;
    const struct config_node *tests;
    const char *rule;
    char *file = NULL;
    char *text = NULL;
    size_t length = 0;
    bool ok = false;
    struct arena *arena = arena_new(TREE_MAX_BYTES, TREE_CHUNK_BYTES);
    if (arena == NULL)
        return error_set(err, ERROR_NO_MEMORY, "%s: no memory", path);
    if (data_file_read(path, arena, &root, err) && read_members(path, &root, &rule, &tests, err))
        file = rule_path(path, rule, err);
    if (file != NULL) {
        text = source_file_read(file, RULE_SOURCE_MAX_BYTES, &length, err);
        if (text == NULL)
            (void)error_wrap(err, "%s: its rule", path);
    }
    if (text != NULL)
        ok = rule_test_run_list(file, text, length, path, tests, config, report, result, err);
    free(text);
    free(file);
    arena_free(arena);
    return ok;
}

bool test_file_run(const char *path, const struct config *config, struct buffer *report,
                   struct rule_test_result *result, struct error *err)
{
    *result = (struct rule_test_result){.run = 0};
    if (test_file_is(source_file_base(path)))
        return run_beside(path, config, report, result, err);
    size_t length = 0;
    char *text = source_file_read(path, RULE_SOURCE_MAX_BYTES, &length, err);
    const bool ok =
        text != NULL && rule_test_run(path, text, length, config, report, result, err);
    free(text);
    return ok;
}
