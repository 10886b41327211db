/* rule_set.c - reads the folder of rules.
 *
 * Called on the main thread at start and for -t, on the rule thread at a reload. */
#include "lua/rule_set.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "lua/rule.h"
#include "lua/rule_test.h"
#include "lua/source_file.h"
#include "lua/test_file.h"

enum { REPORT_MAX_BYTES = 64 * 1024 };

struct loader {
    const struct config *config;
    bool run_tests;
    struct rule_set *set;
    struct buffer *problems;
    size_t problem_count;
    struct error *first;
};

/* [lines]: the same at length, or NULL. */
static void add_problem(struct loader *loader, const struct error *err, const char *lines)
{
    if (loader->problem_count++ == 0 && loader->first != NULL)
        *loader->first = *err;
    if (loader->problems != NULL && lines != NULL) {
        buffer_append_string(loader->problems, lines);
    } else if (loader->problems != NULL) {
        buffer_append_string(loader->problems, err->message);
        buffer_append_byte(loader->problems, '\n');
    }
}

/* ---- files ---- */

/* Only *.lua that are not hidden, for editors leave other things beside, and not the tests. */
static int is_rule_file(const struct dirent *entry)
{
    const size_t length = strlen(entry->d_name);
    return entry->d_name[0] != '.' && length > 4 &&
           strcmp(entry->d_name + length - 4, ".lua") == 0 && !test_file_is(entry->d_name);
}

static int compare_names(const struct dirent **left, const struct dirent **right)
{
    return strcmp((*left)->d_name, (*right)->d_name); /* not alphasort: no locale */
}

static void load_file(struct loader *loader, const char *path)
{
    struct error err;
    size_t length = 0;
    char *text = source_file_read(path, RULE_SOURCE_MAX_BYTES, &length, &err);
    struct rule *rule = text != NULL ? rule_new(path, text, length, loader->config, 0, &err) : NULL;
    struct rule_test_result tests;
    struct buffer report;
    buffer_init(&report, REPORT_MAX_BYTES);
    if (rule != NULL && loader->run_tests && rule_enabled(rule) &&
        !rule_test_run(path, text, length, loader->config, &report, &tests, &err)) {
        rule_free(rule);
        rule = NULL;
    }
    free(text);
    const char *lines = buffer_text(&report);
    if (rule == NULL)
        add_problem(loader, &err, lines != NULL && *lines != '\0' ? lines : NULL);
    buffer_release(&report);
    if (rule == NULL)
        return;
    const struct rule *twin = rule_set_find(loader->set, rule_name(rule));
    if (twin != NULL) {
        (void)error_set(&err, ERROR_USAGE, "%s: there is already a rule `%s`, in %s", path,
                        rule_name(rule), rule_file(twin));
        add_problem(loader, &err, NULL);
        rule_free(rule);
        return;
    }
    loader->set->rules[loader->set->count++] = rule;
}

static void load_folder(struct loader *loader)
{
    const char *dir = loader->config->rules_dir;
    struct error err;
    struct dirent **entries = NULL;
    const int count = scandir(dir, &entries, is_rule_file, compare_names);
    if (count == -1) {
        (void)error_set(&err, ERROR_NOT_FOUND, "rules_dir: %s: %s", dir, error_errno_text(errno));
        add_problem(loader, &err, NULL);
        return;
    }
    if (count > RULE_SET_MAX) {
        (void)error_set(&err, ERROR_LIMIT, "rules_dir: %s: %d rules; %d are allowed", dir, count,
                        RULE_SET_MAX);
        add_problem(loader, &err, NULL);
    }
    const size_t dir_length = strlen(dir);
    const char *separator = dir_length > 0 && dir[dir_length - 1] == '/' ? "" : "/";
    for (int i = 0; i < count; i++) {
        char *path = NULL;
        if (i < RULE_SET_MAX) {
            if (asprintf(&path, "%s%s%s", dir, separator, entries[i]->d_name) == -1) {
                path = NULL;
                (void)error_set(&err, ERROR_NO_MEMORY, "%s: no memory", dir);
                add_problem(loader, &err, NULL);
            } else {
                load_file(loader, path);
            }
        }
        free(path);
        free(entries[i]);
    }
    free(entries);
}

/* ---- the config's side ---- */

/* An override for a rule that does not exist would silently do nothing. */
static void check_overrides(struct loader *loader)
{
    const char *names[RULE_SET_MAX];
    for (size_t i = 0; i < loader->set->count; i++)
        names[i] = rule_name(loader->set->rules[i]);
    for (size_t i = 0; i < loader->config->rule_count; i++) {
        const char *name = loader->config->rules[i].name;
        struct error err;
        if (rule_set_find(loader->set, name) != NULL)
            continue;
        const char *nearest = config_near_miss(name, names, loader->set->count);
        (void)error_set(&err, ERROR_USAGE, "config: rules.%s: there is no such rule in %s%s%s%s",
                        name, loader->config->rules_dir, nearest != NULL ? "; did you mean " : "",
                        nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
        add_problem(loader, &err, NULL);
    }
}

struct rule_set *rule_set_load(const struct config *config, bool run_tests,
                               struct buffer *problems, size_t *problem_count, struct error *err)
{
    struct rule_set *set = calloc(1, sizeof(*set));
    if (set != NULL)
        set->rules = calloc(RULE_SET_MAX, sizeof(struct rule *));
    if (set == NULL || set->rules == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for the rules");
        *problem_count = 1;
        rule_set_free(set);
        return NULL;
    }
    struct loader loader = {.config = config,
                            .run_tests = run_tests,
                            .set = set,
                            .problems = problems,
                            .first = err};
    load_folder(&loader);
    if (loader.problem_count == 0) /* a broken rule's overrides are no problem of their own */
        check_overrides(&loader);
    *problem_count = loader.problem_count;
    if (loader.problem_count == 0)
        return set;
    rule_set_free(set);
    return NULL;
}

struct rule_set *rule_set_of(struct rule *rule)
{
    struct rule_set *set = calloc(1, sizeof(*set));
    if (set != NULL)
        set->rules = calloc(1, sizeof(struct rule *));
    if (set == NULL || set->rules == NULL) {
        rule_free(rule);
        free(set);
        return NULL;
    }
    set->rules[set->count++] = rule;
    return set;
}

void rule_set_free(struct rule_set *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0; i < set->count; i++)
        rule_free(set->rules[i]);
    free(set->rules);
    free(set);
}

size_t rule_set_keep(struct rule_set *set, const char *glob)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (fnmatch(glob, rule_name(set->rules[i]), 0) == 0)
            set->rules[kept++] = set->rules[i];
        else
            rule_free(set->rules[i]);
    }
    set->count = kept;
    return kept;
}

struct rule *rule_set_find(const struct rule_set *set, const char *name)
{
    for (size_t i = 0; i < set->count; i++) {
        if (strcmp(rule_name(set->rules[i]), name) == 0)
            return set->rules[i];
    }
    return NULL;
}
