/* config_silences.c - the `silences` option: alerts that are shown but nobody is told of.
 *
 *   silences = { { rule = "heap_*", target = "shop", until = "2030-01-31T18:00:00Z", comment = "load test" } }
 *
 * Called while a config is loaded. */
#include <time.h>

#include "core/base/arena.h"
#include "core/base/config_parts.h"

enum { SILENCES_MAX = 256, TEXT_MAX_BYTES = 256 };
#define SILENCES_ALLOWED                                                                           \
    "a list of at most 256 silences such as { rule = \"heap_*\", until = \"2030-01-31T18:00:00Z\" }"
#define TIME_ALLOWED "a time like \"2030-01-31T18:00:00Z\" or \"2030-01-31T18:00:00+02:00\", or Unix seconds"

static const struct text_member {
    const char *name;
    size_t offset; /* into struct config_silence */
} texts[] = {
    {"rule", offsetof(struct config_silence, rule)},
    {"target", offsetof(struct config_silence, target)},
    {"id", offsetof(struct config_silence, id)},
    {"comment", offsetof(struct config_silence, comment)},
};
static const char *const names[] = {"rule", "target", "id", "comment", "severity", "from", "until"};
enum {
    TEXT_COUNT = sizeof(texts) / sizeof(texts[0]),
    NAME_COUNT = sizeof(names) / sizeof(names[0]),
};

/* "+02:00" as seconds; false if it is none. */
static bool read_offset(const char *text, long *seconds)
{
    int hours;
    int minutes;
    int end = 0;
    *seconds = 0;
    if (strcmp(text, "Z") == 0 || strcmp(text, "z") == 0)
        return true;
    if (sscanf(text, "%*1[+-]%2d:%2d%n", &hours, &minutes, &end) != 2 || text[end] != '\0' ||
        hours < 0 || hours > 14 || minutes < 0 || minutes > 59)
        return false;
    *seconds = (hours * 3600L + minutes * 60L) * (text[0] == '-' ? -1 : 1);
    return true;
}

bool config_parse_time(const char *text, uint64_t *realtime_ns)
{
    struct tm tm = {.tm_mday = 0};
    long offset_s;
    int end = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &end) != 6 ||
        !read_offset(text + end, &offset_s))
        return false;
    if (tm.tm_year < 1970 || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
        tm.tm_hour < 0 || tm.tm_hour > 23 || tm.tm_min < 0 || tm.tm_min > 59 || tm.tm_sec < 0 ||
        tm.tm_sec > 60)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    const struct tm given = tm;
    const time_t seconds = timegm(&tm);
    if (seconds == -1 || tm.tm_mday != given.tm_mday || seconds < offset_s)
        return false; /* timegm moves the 31st of a short month on */
    *realtime_ns = (uint64_t)(seconds - offset_s) * UINT64_C(1000000000);
    return true;
}

static bool set_text(struct config_load *load, const char *name, const struct config_node *node,
                     size_t offset, struct config_silence *silence)
{
    const size_t length = node->kind == NODE_STRING ? strlen(node->string) : 0;
    if (length == 0 || length > TEXT_MAX_BYTES) {
        config_problem_node(load, name, node, "a text of 1 to 256 bytes");
        return false;
    }
    const char *copy = arena_copy_string(load->config->arena_, node->string, length);
    if (copy == NULL) {
        config_problem_memory(load, name);
        return false;
    }
    memcpy((char *)silence + offset, &copy, sizeof(copy));
    return true;
}

static bool set_time(struct config_load *load, const char *name, const struct config_node *node,
                     uint64_t *time_ns)
{
    if (node->kind == NODE_STRING && config_parse_time(node->string, time_ns))
        return true;
    if (node->kind == NODE_NUMBER && node->number >= 0 && node->number < 1.8e10) {
        *time_ns = (uint64_t)(node->number * 1e9);
        return true;
    }
    config_problem_node(load, name, node, TIME_ALLOWED);
    return false;
}

static bool set_severity(struct config_load *load, const char *name, const struct config_node *node,
                         struct config_silence *silence)
{
    static const char *const words[] = {"info", "warning", "critical"};
    for (unsigned i = 0; node->kind == NODE_STRING && i < 3; i++) {
        if (strcmp(words[i], node->string) == 0) {
            silence->severities = 1U << i;
            return true;
        }
    }
    config_problem_node(load, name, node, "info, warning or critical");
    return false;
}

static bool set_member(struct config_load *load, const char *key, const struct config_node *node,
                       struct config_silence *silence)
{
    char name[160];
    (void)snprintf(name, sizeof(name), "%.40s.%.100s", key, node->key != NULL ? node->key : "?");
    if (node->key == NULL) {
        config_problem_node(load, key, node, "named members: rule, target, id, severity, from, until, comment");
        return false;
    }
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        if (strcmp(texts[i].name, node->key) == 0)
            return set_text(load, name, node, texts[i].offset, silence);
    }
    if (strcmp(node->key, "severity") == 0)
        return set_severity(load, name, node, silence);
    if (strcmp(node->key, "from") == 0)
        return set_time(load, name, node, &silence->from_realtime_ns);
    if (strcmp(node->key, "until") == 0)
        return set_time(load, name, node, &silence->until_realtime_ns);
    config_problem_unknown(load, name, "unknown member", node->key, names, NAME_COUNT);
    return false;
}

static bool set_silence(struct config_load *load, const struct config_node *node,
                        struct config_silence *silence)
{
    char key[40];
    (void)snprintf(key, sizeof(key), "silences[%lld]", (long long)node->index);
    *silence = (struct config_silence){.severities = ~0U, .until_realtime_ns = UINT64_MAX};
    if (node->key != NULL || node->kind != NODE_TABLE) {
        config_problem_node(load, node->key != NULL ? "silences" : key, node, SILENCES_ALLOWED);
        return false;
    }
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++)
        ok = set_member(load, key, &node->children[i], silence) && ok;
    if (ok && silence->rule == NULL && silence->target == NULL && silence->id == NULL) {
        config_problem(load, key, "%s", "which alerts? one of rule, target, id is needed (rule = \"*\" is all)");
        return false;
    }
    return ok;
}

void config_set_silences(struct config_load *load, const struct config_node *node)
{
    if (node->kind == NODE_NIL)
        return;
    if (node->kind != NODE_TABLE || node->child_count > SILENCES_MAX) {
        config_problem_node(load, "silences", node, SILENCES_ALLOWED);
        return;
    }
    struct config_silence *silences =
        arena_alloc_array(load->config->arena_, node->child_count, sizeof(silences[0]));
    if (silences == NULL) {
        config_problem_memory(load, "silences");
        return;
    }
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++)
        ok = set_silence(load, &node->children[i], &silences[i]) && ok;
    if (!ok)
        return;
    load->config->silences = silences;
    load->config->silence_count = node->child_count;
}
