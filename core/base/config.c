/* config.c - defaults, then config.lua, then GOPROF_* environment, then validation.
 *
 *   config_table.c     the options            config_problem.c  messages, near misses
 *   config_values.c    one value              config_units.c    "64MiB", "1h30m"
 *   config_targets.c, config_rules.c, ...     the tables that are more than a value */
#include "core/base/config.h"

#include "core/base/arena.h"
#include "core/base/config_parts.h"
#include "core/base/config_table.h"

#define CONFIG_MAX_BYTES ((size_t)16 << 20)

/* The keys that are more than a value. */
static const struct config_part {
    const char *key;
    void (*set)(struct config_load *load, const struct config_node *node);
} parts[] = {
    {"targets", config_set_targets},
    {"rules", config_set_rules},
    {"notify", config_set_notify},
    {"tags", config_set_tags},
    {"silences", config_set_silences},
};

enum {
    CONFIG_CHUNK_BYTES = 4096,
    PART_COUNT = sizeof(parts) / sizeof(parts[0]),
    KEYS_MAX = CONFIG_OPTION_COUNT + PART_COUNT,
};

static const struct config_part *find_part(const char *key)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (strcmp(parts[i].key, key) == 0)
            return &parts[i];
    }
    return NULL;
}

static const struct config_target discover_all[] = {{.kind = CONFIG_TARGET_DISCOVER}};

/* ---- defaults ---- */

struct config *config_new(void)
{
    struct config *config = calloc(1, sizeof(*config));
    if (config == NULL)
        return NULL;
    config->arena_ = arena_new(CONFIG_MAX_BYTES, CONFIG_CHUNK_BYTES);
    config->targets = discover_all;
    config->target_count = 1;

    struct buffer problems;
    buffer_init(&problems, 4096);
    struct config_load load = {.config = config, .source = "defaults", .problems = &problems};
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; config->arena_ != NULL && i < count; i++)
        config_set_text(&load, i, options[i].key, options[i].default_text);
    buffer_release(&problems);
    if (config->arena_ == NULL || load.problem_count > 0) {
        config_free(config);
        return NULL;
    }
    return config;
}

void config_free(struct config *config)
{
    if (config == NULL)
        return;
    arena_free(config->arena_);
    free(config);
}

/* ---- unknown keys ---- */

/* Every key people may have meant. */
static size_t all_keys(const char *keys[KEYS_MAX])
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++)
        keys[i] = options[i].key;
    for (size_t i = 0; i < PART_COUNT; i++)
        keys[count++] = parts[i].key;
    return count;
}

static void report_unknown(struct config_load *load, const char *key)
{
    const char *keys[KEYS_MAX];
    const char *later = config_not_yet(key);
    if (later != NULL)
        config_problem(load, key, "%s", later);
    else
        config_problem_unknown(load, key, "unknown key", key, keys, all_keys(keys));
}

static int compare_keys(const void *a, const void *b)
{
    const struct config_node *left = *(const struct config_node *const *)a;
    const struct config_node *right = *(const struct config_node *const *)b;
    if (left->key == NULL || right->key == NULL)
        return (right->key == NULL) - (left->key == NULL);
    return strcmp(left->key, right->key);
}

static bool is_known_key(const char *key)
{
    return config_option_find(key) >= 0 || find_part(key) != NULL;
}

/* In order of name: Lua's tables have none, and messages should not change from run to run. */
static void report_unknown_keys(struct config_load *load, const struct config_node *root)
{
    const struct config_node **unknown = calloc(root->child_count + 1, sizeof(unknown[0]));
    if (unknown == NULL) {
        config_problem_memory(load, "config");
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < root->child_count; i++) {
        const struct config_node *child = &root->children[i];
        if (child->key == NULL || !is_known_key(child->key))
            unknown[count++] = child;
    }
    qsort(unknown, count, sizeof(unknown[0]), compare_keys);
    for (size_t i = 0; i < count; i++) {
        if (unknown[i]->key != NULL) {
            report_unknown(load, unknown[i]->key);
        } else {
            char key[32];
            (void)snprintf(key, sizeof(key), "[%lld]", (long long)unknown[i]->index);
            config_problem_node(load, key, unknown[i], "named members only: key = value");
        }
    }
    free(unknown);
}

/* ---- the file ---- */

static const struct config_node *find_member(const struct config_node *root, const char *key)
{
    for (size_t i = 0; i < root->child_count; i++) {
        if (root->children[i].key != NULL && strcmp(root->children[i].key, key) == 0)
            return &root->children[i];
    }
    return NULL;
}

size_t config_apply(struct config *config, const struct config_node *root, const char *source,
                    struct buffer *problems)
{
    struct config_load load = {.config = config, .source = source, .problems = problems};
    if (root->kind != NODE_TABLE) {
        config_problem_node(&load, "config", root, "a table: the file must return { key = value }");
        return load.problem_count;
    }
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        const struct config_node *value = find_member(root, options[i].key);
        if (value != NULL)
            config_set_node(&load, i, options[i].key, value);
    }
    for (size_t i = 0; i < PART_COUNT; i++) {
        const struct config_node *part = find_member(root, parts[i].key);
        if (part != NULL)
            parts[i].set(&load, part);
    }
    report_unknown_keys(&load, root);
    return load.problem_count;
}

/* ---- the environment ---- */

static const char env_prefix[] = "GOPROF_";

enum { ENV_NAME_MAX_BYTES = 96 };

/* Kubernetes gives every container of a namespace with a Service called "goprof" the variables
 * GOPROF_SERVICE_HOST, GOPROF_SERVICE_PORT[_NAME], GOPROF_PORT=tcp://... and GOPROF_PORT_8080_TCP[_...].
 * They are nobody's typing error. */
static bool is_service_link(const char *rest, const char *value)
{
    static const char port[] = "PORT_";
    if (strncmp(rest, "SERVICE_HOST=", 13) == 0 || strncmp(rest, "SERVICE_PORT", 12) == 0)
        return true;
    if (strncmp(rest, "PORT=", 5) == 0)
        return strstr(value, "://") != NULL;
    return strncmp(rest, port, sizeof(port) - 1) == 0 && rest[sizeof(port) - 1] >= '0' &&
           rest[sizeof(port) - 1] <= '9';
}

static void to_case(char *out, const char *text, size_t length, char first, char last, int shift)
{
    for (size_t i = 0; i < length; i++)
        out[i] = text[i] >= first && text[i] <= last ? (char)(text[i] + shift) : text[i];
    out[length] = '\0';
}

static void report_unknown_variable(struct config_load *load, const char *name, const char *key)
{
    const char *keys[KEYS_MAX];
    const char *later = config_not_yet(key);
    if (later != NULL) {
        config_problem(load, name, "%s", later);
        return;
    }
    if (find_part(key) != NULL) {
        config_problem(load, name, "%s has no form in the environment; set it in config.lua", key);
        return;
    }
    size_t count = 0;
    (void)config_options(&count);
    (void)all_keys(keys);
    const char *nearest = config_near_miss(key, keys, count); /* without the parts */
    char meant[ENV_NAME_MAX_BYTES] = "";
    if (nearest != NULL)
        to_case(meant, nearest, strlen(nearest), 'a', 'z', 'A' - 'a');
    config_problem(load, name, "unknown variable%s%s%s%s", nearest != NULL ? "; did you mean " : "",
                   nearest != NULL ? env_prefix : "", meant, nearest != NULL ? "?" : "");
}

static void apply_variable(struct config_load *load, const char *variable)
{
    const char *rest = variable + sizeof(env_prefix) - 1;
    const char *equals = strchr(rest, '=');
    if (equals == NULL || is_service_link(rest, equals + 1))
        return;
    const size_t length = (size_t)(equals - rest);
    char name[ENV_NAME_MAX_BYTES];
    char key[ENV_NAME_MAX_BYTES];
    if (length + sizeof(env_prefix) > sizeof(name)) {
        config_problem(load, env_prefix, "found a name of %zu bytes; no option has one", length);
        return;
    }
    memcpy(name, variable, length + sizeof(env_prefix) - 1);
    name[length + sizeof(env_prefix) - 1] = '\0';
    to_case(key, rest, length, 'A', 'Z', 'a' - 'A');
    const bool upper = strpbrk(rest, "abcdefghijklmnopqrstuvwxyz") == NULL ||
                       strpbrk(rest, "abcdefghijklmnopqrstuvwxyz") >= equals;
    const int index = config_option_find(key);
    if (index >= 0 && upper)
        config_set_text(load, (size_t)index, name, equals + 1);
    else
        report_unknown_variable(load, name, key);
}

size_t config_apply_environment(struct config *config, char *const *environ_list,
                                struct buffer *problems)
{
    struct config_load load = {.config = config, .problems = problems};
    for (size_t i = 0; environ_list != NULL && environ_list[i] != NULL; i++) {
        if (strncmp(environ_list[i], env_prefix, sizeof(env_prefix) - 1) == 0)
            apply_variable(&load, environ_list[i]);
    }
    return load.problem_count;
}

/* ---- what spans several keys ---- */

/* "127.0.0.1:0" twice is two ports. */
static bool has_free_port(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL && strcmp(colon, ":0") == 0;
}

size_t config_validate(const struct config *config, struct buffer *problems)
{
    struct config_load load = {.problems = problems};
    if (config->memory_spike_threshold_percent > config->high_retention_threshold_percent)
        config_problem(&load, "memory_spike_threshold_percent",
                       "found %g; allowed: at most high_retention_threshold_percent (%g), since a "
                       "warning comes before a critical alert",
                       config->memory_spike_threshold_percent,
                       config->high_retention_threshold_percent);
    if (config->retention_window_sec * 1000 < config->sampling_interval_ms * 2)
        config_problem(&load, "retention_window_sec",
                       "found %llu s; allowed: at least two sampling intervals (sampling_interval_ms "
                       "is %llu), since a trend needs two points",
                       (unsigned long long)config->retention_window_sec,
                       (unsigned long long)config->sampling_interval_ms);
    if (config->pprof_listen_addr[0] != '\0' && !has_free_port(config->pprof_listen_addr) &&
        strcmp(config->pprof_listen_addr, config->metrics_listen_addr) == 0)
        config_problem(&load, "pprof_listen_addr",
                       "found the address of metrics_listen_addr (%s); allowed: another address, or "
                       "\"\" to serve both there",
                       config->metrics_listen_addr);
    if (config->profile_capture_enabled && config->profile_capture_on_severities == 0)
        config_problem(&load, "profile_capture_on_severities",
                       "found none, with profile_capture_enabled = true; allowed: at least one of "
                       "info, warning, critical");
    return load.problem_count;
}
