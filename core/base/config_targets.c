/* config_targets.c - the `targets` list: which programs are watched, and under which names.
 *
 *   { name = "api", pid = 4711 }          one process
 *   { name = "api", exe = "/srv/api*" }   every process of that executable
 *   { discover = true, exclude = {...} }  every readable Go process
 *   { name = "far", url = "http://far:6060" }   a program elsewhere, scraped: config_scrape.c */
#include <math.h>

#include "core/base/arena.h"
#include "core/base/config_parts.h"
#include "core/base/config_scrape.h"

enum { TARGETS_MAX = 1024, EXCLUDES_MAX = 256, GLOB_MAX_BYTES = 4095, PID_LARGEST = 4194304 };

static const char *const target_keys[] = {"name", "pid", "exe", "url", "discover", "exclude",
                                          "enable_heap_profiling", CONFIG_SCRAPE_KEYS};
enum { TARGET_KEY_COUNT = sizeof(target_keys) / sizeof(target_keys[0]) };
enum { KEY_NAME, KEY_PID, KEY_EXE, KEY_URL, KEY_DISCOVER, KEY_EXCLUDE, KEY_ENABLE, KEY_SCRAPE };

/* The members of one entry, by key; NULL where absent. */
struct entry {
    char key[32]; /* "targets[3]" */
    const struct config_node *values[TARGET_KEY_COUNT];
};

static void member_key(const struct entry *entry, unsigned member, char out[64])
{
    (void)snprintf(out, 64, "%s.%s", entry->key, target_keys[member]);
}

static void report(struct config_load *load, const struct entry *entry, unsigned member,
                   const char *allowed)
{
    char key[64];
    member_key(entry, member, key);
    config_problem_node(load, key, entry->values[member], allowed);
}

/* Sorts the members of [node] into [entry]; reports unknown ones. */
static bool split_entry(struct config_load *load, const struct config_node *node,
                        struct entry *entry)
{
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++) {
        const struct config_node *child = &node->children[i];
        size_t member = TARGET_KEY_COUNT;
        for (size_t k = 0; child->key != NULL && k < TARGET_KEY_COUNT; k++) {
            if (strcmp(child->key, target_keys[k]) == 0)
                member = k;
        }
        if (member < TARGET_KEY_COUNT) {
            entry->values[member] = child->kind == NODE_NIL ? NULL : child;
        } else if (child->key == NULL) {
            config_problem_node(load, entry->key, child,
                                "named members, such as name = \"api\"");
            ok = false;
        } else {
            char key[128];
            (void)snprintf(key, sizeof(key), "%s.%.80s", entry->key, child->key);
            config_problem_unknown(load, key,
                                   "unknown key; known: name, pid, exe, url, discover, exclude, "
                                   "enable_heap_profiling, interval, timeout, bearer_token_file, "
                                   "basic_auth_file, ca_file, cert_file, key_file",
                                   child->key, target_keys, TARGET_KEY_COUNT);
            ok = false;
        }
    }
    return ok;
}

static const char *copy_text(struct config_load *load, const char *key, const char *text)
{
    const char *copy = arena_copy_string(load->config->arena_, text, strlen(text));
    if (copy == NULL)
        config_problem_memory(load, key);
    return copy;
}

static bool is_glob(const struct config_node *node)
{
    return node->kind == NODE_STRING && node->string[0] != '\0' &&
           strlen(node->string) <= GLOB_MAX_BYTES;
}

static bool set_name(struct config_load *load, const struct entry *entry,
                     struct config_target *target)
{
    const struct config_node *name = entry->values[KEY_NAME];
    if (name == NULL)
        return true;
    if (target->kind == CONFIG_TARGET_DISCOVER) {
        report(load, entry, KEY_NAME, "no name: a discovered process is named after its executable");
        return false;
    }
    if (name->kind != NODE_STRING || !config_target_name_valid(name->string)) {
        report(load, entry, KEY_NAME, CONFIG_TARGET_NAME_ALLOWED);
        return false;
    }
    target->name = copy_text(load, entry->key, name->string);
    return target->name != NULL;
}

/* A glob or a list of globs. */
static bool set_exclude(struct config_load *load, const struct entry *entry,
                        struct config_target *target)
{
    const struct config_node *exclude = entry->values[KEY_EXCLUDE];
    if (exclude == NULL)
        return true;
    const bool list = exclude->kind == NODE_TABLE;
    const struct config_node *globs = list ? exclude->children : exclude;
    const size_t count = list ? exclude->child_count : 1;
    if (target->kind != CONFIG_TARGET_DISCOVER) {
        report(load, entry, KEY_EXCLUDE, "only together with discover = true");
        return false;
    }
    if (count > EXCLUDES_MAX) {
        report(load, entry, KEY_EXCLUDE, "at most 256 globs");
        return false;
    }
    const char **copies = arena_alloc_array(load->config->arena_, count, sizeof(copies[0]));
    if (copies == NULL) {
        config_problem_memory(load, entry->key);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (globs[i].key != NULL && list) {
            report(load, entry, KEY_EXCLUDE, "a glob or a list of globs, without names");
            return false;
        }
        if (!is_glob(&globs[i])) {
            char key[64];
            member_key(entry, KEY_EXCLUDE, key);
            config_problem_node(load, key, &globs[i], "a glob or a list of globs");
            return false;
        }
        copies[i] = copy_text(load, entry->key, globs[i].string);
        if (copies[i] == NULL)
            return false;
    }
    target->exclude = copies;
    target->exclude_count = count;
    return true;
}

static bool set_enable(struct config_load *load, const struct entry *entry,
                       struct config_target *target)
{
    const struct config_node *enable = entry->values[KEY_ENABLE];
    if (enable == NULL)
        return true;
    if (enable->kind != NODE_BOOL) {
        report(load, entry, KEY_ENABLE, "true or false");
        return false;
    }
    if (target->kind == CONFIG_TARGET_URL) {
        report(load, entry, KEY_ENABLE, "only processes of this host; it has no effect over a URL");
        return false;
    }
    target->enable_heap_profiling = enable->boolean;
    return true;
}

static bool set_url(struct config_load *load, const struct entry *entry,
                    struct config_target *target)
{
    const struct config_node *url = entry->values[KEY_URL];
    target->kind = CONFIG_TARGET_URL;
    if (url->kind != NODE_STRING || !config_url_valid(url->string)) {
        report(load, entry, KEY_URL,
               "an http:// or https:// URL without user, query and fragment");
        return false;
    }
    target->url = copy_text(load, entry->key, url->string);
    return target->url != NULL;
}

/* What only a URL has. */
static bool set_scrape(struct config_load *load, const struct entry *entry,
                       struct config_target *target)
{
    bool ok = true;
    if (target->kind == CONFIG_TARGET_URL)
        return config_set_scrape(load, entry->key, &target_keys[KEY_SCRAPE],
                                 &entry->values[KEY_SCRAPE], &target->scrape);
    for (unsigned member = KEY_SCRAPE; member < TARGET_KEY_COUNT; member++) {
        if (entry->values[member] != NULL) {
            report(load, entry, member, "only together with url");
            ok = false;
        }
    }
    return ok;
}

static bool set_pid(struct config_load *load, const struct entry *entry,
                    struct config_target *target)
{
    const struct config_node *pid = entry->values[KEY_PID];
    target->kind = CONFIG_TARGET_PID;
    if (pid->kind != NODE_NUMBER || !(pid->number >= 1 && pid->number <= PID_LARGEST) ||
        pid->number - floor(pid->number) > 0) {
        report(load, entry, KEY_PID, "1 to 4194304");
        return false;
    }
    target->pid = (pid_t)pid->number;
    return true;
}

static bool set_exe(struct config_load *load, const struct entry *entry,
                    struct config_target *target)
{
    const struct config_node *exe = entry->values[KEY_EXE];
    target->kind = CONFIG_TARGET_EXE;
    if (!is_glob(exe)) {
        report(load, entry, KEY_EXE,
               "a glob over the path of an executable, or over its base name if without '/'");
        return false;
    }
    target->exe = copy_text(load, entry->key, exe->string);
    return target->exe != NULL;
}

static bool set_discover(struct config_load *load, const struct entry *entry,
                         struct config_target *target)
{
    const struct config_node *discover = entry->values[KEY_DISCOVER];
    target->kind = CONFIG_TARGET_DISCOVER;
    if (discover->kind == NODE_BOOL && discover->boolean)
        return true;
    report(load, entry, KEY_DISCOVER, "true; leave the entry out to watch only what is listed");
    return false;
}

/* One entry of the list.  Every problem in it is reported. */
static bool set_target(struct config_load *load, const struct config_node *node,
                       struct config_target *target)
{
    struct entry entry = {.key = ""};
    (void)snprintf(entry.key, sizeof(entry.key), "targets[%lld]", (long long)node->index);
    *target = (struct config_target){0};
    if (node->kind != NODE_TABLE) {
        config_problem_node(load, entry.key, node,
                            "a table such as { name = \"api\", exe = \"/srv/api\" }");
        return false;
    }
    bool ok = split_entry(load, node, &entry);
    unsigned kinds = 0;
    for (unsigned member = KEY_PID; member <= KEY_DISCOVER; member++)
        kinds += entry.values[member] != NULL;
    if (kinds != 1) {
        config_problem(load, entry.key, "found %s; allowed: exactly one of pid, exe, url, discover",
                       kinds == 0 ? "none of pid, exe, url, discover" : "several of pid, exe, url, discover");
        return false;
    }
    if (entry.values[KEY_PID] != NULL)
        ok = set_pid(load, &entry, target) && ok;
    else if (entry.values[KEY_EXE] != NULL)
        ok = set_exe(load, &entry, target) && ok;
    else if (entry.values[KEY_URL] != NULL)
        ok = set_url(load, &entry, target) && ok;
    else
        ok = set_discover(load, &entry, target) && ok;
    ok = set_name(load, &entry, target) && ok;
    ok = set_enable(load, &entry, target) && ok;
    ok = set_scrape(load, &entry, target) && ok;
    return set_exclude(load, &entry, target) && ok;
}

/* ---- the list ---- */

static int compare_index(const void *a, const void *b)
{
    const struct config_node *left = *(const struct config_node *const *)a;
    const struct config_node *right = *(const struct config_node *const *)b;
    return (left->index > right->index) - (left->index < right->index);
}

static bool check_list(struct config_load *load, const struct config_node *node)
{
    static const char allowed[] = "a list of tables, such as { { discover = true } }";
    if (node->kind != NODE_TABLE || node->child_count == 0) {
        config_problem_node(load, "targets", node, allowed);
        return false;
    }
    for (size_t i = 0; i < node->child_count; i++) {
        if (node->children[i].key != NULL) {
            config_problem(load, "targets", "found the member '%.60s'; allowed: %s",
                           node->children[i].key, allowed);
            return false;
        }
    }
    if (node->child_count > TARGETS_MAX) {
        config_problem(load, "targets", "found %zu entries; allowed: at most %d", node->child_count,
                       TARGETS_MAX);
        return false;
    }
    return true;
}

static bool check_duplicates(struct config_load *load, const struct config_target *targets,
                             size_t count)
{
    bool ok = true;
    bool discovers = false;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i && targets[i].name != NULL; j++) {
            if (targets[j].name != NULL && strcmp(targets[i].name, targets[j].name) == 0) {
                config_problem(load, "targets", "the name '%s' is used twice; allowed: a name of "
                                                "its own for each target",
                               targets[i].name);
                ok = false;
                break;
            }
        }
        if (targets[i].kind == CONFIG_TARGET_DISCOVER && discovers) {
            config_problem(load, "targets", "several entries say discover; allowed: one, with all "
                                            "its globs in exclude");
            ok = false;
        }
        discovers = discovers || targets[i].kind == CONFIG_TARGET_DISCOVER;
    }
    return ok;
}

void config_set_targets(struct config_load *load, const struct config_node *node)
{
    if (node->kind == NODE_NIL || !check_list(load, node))
        return;
    const size_t count = node->child_count;
    const struct config_node **entries =
        arena_alloc_array(load->config->arena_, count, sizeof(entries[0]));
    struct config_target *targets =
        arena_alloc_array(load->config->arena_, count, sizeof(targets[0]));
    if (entries == NULL || targets == NULL) {
        config_problem_memory(load, "targets");
        return;
    }
    for (size_t i = 0; i < count; i++)
        entries[i] = &node->children[i];
    qsort(entries, count, sizeof(entries[0]), compare_index);

    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok = set_target(load, entries[i], &targets[i]) && ok;
    if (ok && check_duplicates(load, targets, count)) {
        load->config->targets = targets;
        load->config->target_count = count;
    }
}
