/* config_tags.c - the `tags` option: on whose behalf an allocation is made.
 *
 *   tags = { { tag = "checkout", match = "main.(*shop).checkout" },
 *            { tag = "db", package = "database/sql" } }
 *   tags = function(frames) ... end
 *
 * Called while a config is loaded.  A function stays where it is: that there is one is noted here, and who
 * knows Lua runs it. */
#include "core/base/arena.h"
#include "core/base/config_parts.h"

enum { TAGS_RULES_MAX = 256, PATTERN_MAX_BYTES = 256, TAG_TEXT_MAX_BYTES = 120 };

#define TAG_RULES_ALLOWED                                                                          \
    "a list of at most 256 rules such as { tag = \"checkout\", match = \"main.(*shop).checkout\" }, or a "  \
    "function(frames) that returns a tag or nil"

static const struct member {
    const char *name;
    size_t offset; /* into struct config_tag */
    size_t max_bytes;
    const char *allowed;
} members[] = {
    {"tag", offsetof(struct config_tag, tag), TAG_TEXT_MAX_BYTES, "1 to 120 bytes without control characters"},
    {"match", offsetof(struct config_tag, match), PATTERN_MAX_BYTES,
     "a glob over function names, of 1 to 256 bytes"},
    {"package", offsetof(struct config_tag, package), PATTERN_MAX_BYTES,
     "a glob over package paths, of 1 to 256 bytes"},
    {"file", offsetof(struct config_tag, file), PATTERN_MAX_BYTES,
     "a glob over source files, of 1 to 256 bytes"},
};
enum { MEMBER_COUNT = sizeof(members) / sizeof(members[0]) };

static bool is_text(const struct config_node *node, size_t max_bytes)
{
    if (node->kind != NODE_STRING || node->string[0] == '\0' || strlen(node->string) > max_bytes)
        return false;
    for (const char *at = node->string; *at != '\0'; at++) {
        if ((unsigned char)*at < 0x20 || *at == 0x7F)
            return false;
    }
    return true;
}

static bool set_member(struct config_load *load, const char *key, const struct config_node *node,
                       struct config_tag *rule)
{
    const char *names[MEMBER_COUNT];
    char name[160];
    (void)snprintf(name, sizeof(name), "%.40s.%.100s", key, node->key != NULL ? node->key : "?");
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        names[i] = members[i].name;
        if (node->key == NULL || strcmp(node->key, members[i].name) != 0)
            continue;
        if (!is_text(node, members[i].max_bytes)) {
            config_problem_node(load, name, node, members[i].allowed);
            return false;
        }
        const char *copy =
            arena_copy_string(load->config->arena_, node->string, strlen(node->string));
        if (copy == NULL) {
            config_problem_memory(load, name);
            return false;
        }
        memcpy((char *)rule + members[i].offset, &copy, sizeof(copy));
        return true;
    }
    if (node->key == NULL)
        config_problem_node(load, key, node, "named members: tag, match, package, file");
    else
        config_problem_unknown(load, name, "unknown member", node->key, names, MEMBER_COUNT);
    return false;
}

static bool set_rule(struct config_load *load, const struct config_node *node,
                     struct config_tag *rule)
{
    char key[40];
    (void)snprintf(key, sizeof(key), "tags[%lld]", (long long)node->index);
    *rule = (struct config_tag){.tag = NULL};
    if (node->key != NULL || node->kind != NODE_TABLE) {
        config_problem_node(load, node->key != NULL ? "tags" : key, node, TAG_RULES_ALLOWED);
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++)
        ok = set_member(load, key, &node->children[i], rule) && ok;
    if (ok && (rule->tag == NULL ||
               (rule->match == NULL && rule->package == NULL && rule->file == NULL))) {
        config_problem(load, key, "%s",
                       rule->tag == NULL ? "has no tag; allowed { tag = \"...\", match = \"...\" }"
                                         : "has no pattern; allowed match, package and file");
        ok = false;
    }
    return ok;
}

static int compare_positions(const void *a, const void *b)
{
    const int64_t left = (*(const struct config_node *const *)a)->index;
    const int64_t right = (*(const struct config_node *const *)b)->index;
    return (left > right) - (left < right);
}

static void set_rules(struct config_load *load, const struct config_node *node)
{
    struct arena *arena = load->config->arena_;
    struct config_tag *rules = arena_alloc_array(arena, node->child_count, sizeof(rules[0]));
    const struct config_node **ordered =
        arena_alloc_array(arena, node->child_count, sizeof(ordered[0]));
    if (rules == NULL || ordered == NULL) {
        config_problem_memory(load, "tags");
        return;
    }
    for (size_t i = 0; i < node->child_count; i++)
        ordered[i] = &node->children[i];
    qsort(ordered, node->child_count, sizeof(ordered[0]), compare_positions);
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++)
        ok = set_rule(load, ordered[i], &rules[i]) && ok;
    if (!ok)
        return;
    load->config->tags = rules;
    load->config->tag_count = node->child_count;
    load->config->tags_by_function = false;
}

void config_set_tags(struct config_load *load, const struct config_node *node)
{
    if (node->kind == NODE_NIL)
        return;
    if (node->kind == NODE_OTHER && strcmp(node->string, "function") == 0) {
        load->config->tags_by_function = true;
        load->config->tag_count = 0;
        return;
    }
    if (node->kind != NODE_TABLE || node->child_count > TAGS_RULES_MAX) {
        config_problem_node(load, "tags", node, TAG_RULES_ALLOWED);
        return;
    }
    if (node->child_count > 0)
        set_rules(load, node);
}
