/* config_notify.c - the `notify` list: who is told when alerts open and close.
 *
 *   { alertmanager = "http://127.0.0.1:9093" }
 *   { webhook = "https://example.org/hook", severities = "critical", bearer_token_file = "/run/token" }
 *
 * One table describes the members; a problem with one does not hide those of the others. */
#include "core/base/arena.h"
#include "core/base/config_parts.h"

enum { RECEIVERS_MAX = 64, PATH_MAX_LENGTH = 4095 };

#define NS_PER_S UINT64_C(1000000000)

enum member_kind { MEMBER_URL, MEMBER_NAME, MEMBER_SEVERITIES, MEMBER_BOOL, MEMBER_DURATION, MEMBER_PATH };

/* clang-format off */
static const struct member {
    const char *key;
    enum member_kind kind;
    size_t offset; /* into struct config_notify */
    uint64_t min_s; /* durations */
    uint64_t max_s;
    const char *allowed;
} members[] = {
    {"alertmanager",      MEMBER_URL,        offsetof(struct config_notify, url),               0, 0,    "an http:// or https:// URL without user, query and fragment"},
    {"webhook",           MEMBER_URL,        offsetof(struct config_notify, url),               0, 0,    "an http:// or https:// URL without user, query and fragment"},
    {"name",              MEMBER_NAME,       offsetof(struct config_notify, name),              0, 0,    CONFIG_TARGET_NAME_ALLOWED},
    {"severities",        MEMBER_SEVERITIES, offsetof(struct config_notify, severities),        0, 0,    "one of info, warning, critical, or a list of them"},
    {"send_resolved",     MEMBER_BOOL,       offsetof(struct config_notify, send_resolved),     0, 0,    "true or false"},
    {"resend_interval",   MEMBER_DURATION,   offsetof(struct config_notify, resend_ns),         1, 3600, "1 to 3600 s, or a duration such as \"1m\""},
    {"timeout",           MEMBER_DURATION,   offsetof(struct config_notify, timeout_ns),        1, 300,  "1 to 300 s, or a duration such as \"10s\""},
    {"bearer_token_file", MEMBER_PATH,       offsetof(struct config_notify, bearer_token_file), 0, 0,    "the path of a file"},
    {"basic_auth_file",   MEMBER_PATH,       offsetof(struct config_notify, basic_auth_file),   0, 0,    "the path of a file that holds user:password"},
    {"ca_file",           MEMBER_PATH,       offsetof(struct config_notify, ca_file),           0, 0,    "the path of a PEM file"},
    {"cert_file",         MEMBER_PATH,       offsetof(struct config_notify, cert_file),         0, 0,    "the path of a PEM file"},
    {"key_file",          MEMBER_PATH,       offsetof(struct config_notify, key_file),          0, 0,    "the path of a PEM file"},
};
/* clang-format on */

enum { MEMBER_COUNT = sizeof(members) / sizeof(members[0]), KEY_MAX_BYTES = 128 };

/* ---- one value ---- */

static bool set_text(struct config_load *load, const char *key, const char *text, const char **at)
{
    *at = arena_copy_string(load->config->arena_, text, strlen(text));
    if (*at == NULL)
        config_problem_memory(load, key);
    return *at != NULL;
}

static bool text_allowed(enum member_kind kind, const struct config_node *node)
{
    if (node->kind != NODE_STRING)
        return false;
    switch (kind) {
    case MEMBER_URL:
        return config_url_valid(node->string);
    case MEMBER_NAME:
        return config_target_name_valid(node->string);
    default:
        return node->string[0] != '\0' && strlen(node->string) <= PATH_MAX_LENGTH;
    }
}

static bool duration_of(const struct config_node *node, const struct member *member, uint64_t *ns)
{
    if (node->kind == NODE_NUMBER && node->number >= 0 && node->number <= (double)member->max_s)
        *ns = (uint64_t)(node->number * (double)NS_PER_S);
    else if (node->kind != NODE_STRING || !config_parse_duration(node->string, ns))
        return false;
    return *ns >= member->min_s * NS_PER_S && *ns <= member->max_s * NS_PER_S;
}

static bool severities_of(const struct config_node *node, unsigned *set)
{
    const bool list = node->kind == NODE_TABLE;
    const struct config_node *words = list ? node->children : node;
    const size_t count = list ? node->child_count : 1;
    *set = 0;
    for (size_t i = 0; i < count; i++) {
        if (words[i].kind != NODE_STRING || (list && words[i].key != NULL) ||
            !config_severity_add(set, words[i].string))
            return false;
    }
    return *set != 0;
}

/* False if [node] is not allowed, which the caller reports; *[reported] if that was done here. */
static bool set_member(struct config_load *load, const char *key, const struct member *member,
                       const struct config_node *node, struct config_notify *notify, bool *reported)
{
    char *at = (char *)notify + member->offset;
    switch (member->kind) {
    case MEMBER_BOOL:
        if (node->kind == NODE_BOOL)
            memcpy(at, &node->boolean, sizeof(node->boolean));
        return node->kind == NODE_BOOL;
    case MEMBER_DURATION: {
        uint64_t ns = 0;
        const bool ok = duration_of(node, member, &ns);
        if (ok)
            memcpy(at, &ns, sizeof(ns));
        return ok;
    }
    case MEMBER_SEVERITIES: {
        unsigned set = 0;
        const bool ok = severities_of(node, &set);
        if (ok)
            memcpy(at, &set, sizeof(set));
        return ok;
    }
    case MEMBER_URL:
    case MEMBER_NAME:
    case MEMBER_PATH: {
        const char *copy = NULL;
        if (!text_allowed(member->kind, node))
            return false;
        *reported = !set_text(load, key, node->string, &copy);
        memcpy(at, &copy, sizeof(copy));
        return !*reported;
    }
    }
    return false;
}

/* ---- one receiver ---- */

static const struct member *find_member(const char *key)
{
    for (size_t i = 0; key != NULL && i < MEMBER_COUNT; i++) {
        if (strcmp(members[i].key, key) == 0)
            return &members[i];
    }
    return NULL;
}

static bool refuse_member(struct config_load *load, const char *entry,
                          const struct config_node *child)
{
    const char *words[MEMBER_COUNT];
    char key[KEY_MAX_BYTES];
    for (size_t i = 0; i < MEMBER_COUNT; i++)
        words[i] = members[i].key;
    if (child->key == NULL) {
        config_problem_node(load, entry, child, "named members, such as alertmanager = URL");
        return false;
    }
    (void)snprintf(key, sizeof(key), "%s.%.60s", entry, child->key);
    config_problem_unknown(load, key, "unknown key", child->key, words, MEMBER_COUNT);
    return false;
}

static bool set_members(struct config_load *load, const char *entry, const struct config_node *node,
                        struct config_notify *notify, size_t *url_count)
{
    bool ok = true;
    for (size_t i = 0; i < node->child_count; i++) {
        const struct config_node *child = &node->children[i];
        const struct member *member = find_member(child->key);
        char key[KEY_MAX_BYTES];
        bool reported = false;
        if (child->kind == NODE_NIL)
            continue;
        if (member == NULL) {
            ok = refuse_member(load, entry, child);
            continue;
        }
        (void)snprintf(key, sizeof(key), "%s.%s", entry, member->key);
        if (member->kind == MEMBER_URL) {
            ++*url_count;
            notify->kind = strcmp(member->key, "webhook") == 0 ? CONFIG_NOTIFY_WEBHOOK
                                                               : CONFIG_NOTIFY_ALERTMANAGER;
        }
        if (!set_member(load, key, member, child, notify, &reported)) {
            if (!reported)
                config_problem_node(load, key, child, member->allowed);
            ok = false;
        }
    }
    return ok;
}

static bool set_receiver(struct config_load *load, const struct config_node *node,
                         struct config_notify *notify)
{
    char entry[32];
    size_t url_count = 0;
    *notify = (struct config_notify){.severities = CONFIG_SEVERITIES_ALL,
                                     .send_resolved = true,
                                     .resend_ns = 60 * NS_PER_S,
                                     .timeout_ns = 10 * NS_PER_S,
                                     .bearer_token_file = "",
                                     .basic_auth_file = "",
                                     .ca_file = "",
                                     .cert_file = "",
                                     .key_file = ""};
    (void)snprintf(entry, sizeof(entry), "notify[%lld]", (long long)node->index);
    if (node->kind != NODE_TABLE) {
        config_problem_node(load, entry, node,
                            "a table such as { alertmanager = \"http://127.0.0.1:9093\" }");
        return false;
    }
    if (!set_members(load, entry, node, notify, &url_count))
        return false;
    if (url_count != 1) {
        config_problem(load, entry, "found %s; allowed: exactly one of alertmanager, webhook",
                       url_count == 0 ? "none of alertmanager, webhook" : "both");
        return false;
    }
    if (notify->bearer_token_file[0] != '\0' && notify->basic_auth_file[0] != '\0') {
        config_problem(load, entry, "found both; allowed: one of bearer_token_file, basic_auth_file");
        return false;
    }
    if ((notify->cert_file[0] == '\0') != (notify->key_file[0] == '\0')) {
        config_problem(load, entry, "found one alone; allowed: cert_file and key_file together");
        return false;
    }
    if (notify->name == NULL) {
        char name[64];
        (void)snprintf(name, sizeof(name), "%s-%lld",
                       notify->kind == CONFIG_NOTIFY_WEBHOOK ? "webhook" : "alertmanager",
                       (long long)node->index);
        return set_text(load, entry, name, &notify->name);
    }
    return true;
}

/* ---- the list ---- */

static bool check_list(struct config_load *load, const struct config_node *node)
{
    static const char allowed[] =
        "a list of at most 64 tables, such as { { alertmanager = \"http://127.0.0.1:9093\" } }";
    bool ok = node->kind == NODE_TABLE && node->child_count <= RECEIVERS_MAX;
    for (size_t i = 0; ok && i < node->child_count; i++)
        ok = node->children[i].key == NULL && node->children[i].index >= 1 &&
             node->children[i].index <= RECEIVERS_MAX;
    if (!ok)
        config_problem_node(load, "notify", node, allowed);
    return ok;
}

static bool check_names(struct config_load *load, const struct config_notify *receivers, size_t count)
{
    bool ok = true;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++) {
            if (strcmp(receivers[i].name, receivers[j].name) == 0) {
                config_problem(load, "notify",
                               "the name '%s' is used twice; allowed: a name of its own for each",
                               receivers[i].name);
                ok = false;
            }
        }
    }
    return ok;
}

static int compare_index(const void *a, const void *b)
{
    const struct config_node *left = *(const struct config_node *const *)a;
    const struct config_node *right = *(const struct config_node *const *)b;
    return (left->index > right->index) - (left->index < right->index);
}

void config_set_notify(struct config_load *load, const struct config_node *node)
{
    const struct config_node *entries[RECEIVERS_MAX];
    if (node->kind == NODE_NIL || !check_list(load, node))
        return;
    const size_t count = node->child_count;
    struct config_notify *receivers =
        arena_alloc_array(load->config->arena_, count, sizeof(receivers[0]));
    if (receivers == NULL) {
        config_problem_memory(load, "notify");
        return;
    }
    for (size_t i = 0; i < count; i++)
        entries[i] = &node->children[i];
    qsort(entries, count, sizeof(entries[0]), compare_index);
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok = set_receiver(load, entries[i], &receivers[i]) && ok;
    if (ok && check_names(load, receivers, count)) {
        load->config->notify = receivers;
        load->config->notify_count = count;
    }
}
