/* config_scrape.c - the members of a target that is scraped.
 *
 *   { name = "far", url = "http://far:6060", interval = "30s", bearer_token_file = "/run/token" }
 *
 * One table describes them; called by config_targets.c for an entry with `url`. */
#include "core/base/arena.h"
#include "core/base/config_parts.h"
#include "core/base/config_scrape.h"

enum { PATH_MAX_LENGTH = 4095, KEY_MAX_BYTES = 96 };

#define NS_PER_S UINT64_C(1000000000)
#define NS_PER_MS UINT64_C(1000000)

enum member_kind { MEMBER_DURATION, MEMBER_PATH };

/* clang-format off */
static const struct member {
    enum member_kind kind;
    size_t offset;   /* into struct config_scrape */
    uint64_t min_ns; /* durations */
    uint64_t max_ns;
    const char *allowed;
} members[CONFIG_SCRAPE_MEMBERS] = {
    {MEMBER_DURATION, offsetof(struct config_scrape, interval_ns),       100 * NS_PER_MS, 3600 * NS_PER_S, "0.1 to 3600 s, or a duration such as \"30s\""},
    {MEMBER_DURATION, offsetof(struct config_scrape, timeout_ns),        100 * NS_PER_MS, 300 * NS_PER_S,  "0.1 to 300 s, or a duration such as \"10s\""},
    {MEMBER_PATH,     offsetof(struct config_scrape, bearer_token_file), 0,               0,               "the path of a file"},
    {MEMBER_PATH,     offsetof(struct config_scrape, basic_auth_file),   0,               0,               "the path of a file that holds user:password"},
    {MEMBER_PATH,     offsetof(struct config_scrape, ca_file),           0,               0,               "the path of a PEM file"},
    {MEMBER_PATH,     offsetof(struct config_scrape, cert_file),         0,               0,               "the path of a PEM file"},
    {MEMBER_PATH,     offsetof(struct config_scrape, key_file),          0,               0,               "the path of a PEM file"},
};
/* clang-format on */

static bool duration_of(const struct config_node *node, const struct member *member, uint64_t *ns)
{
    if (node->kind == NODE_NUMBER && node->number >= 0 &&
        node->number * (double)NS_PER_S <= (double)member->max_ns)
        *ns = (uint64_t)(node->number * (double)NS_PER_S);
    else if (node->kind != NODE_STRING || !config_parse_duration(node->string, ns))
        return false;
    return *ns >= member->min_ns && *ns <= member->max_ns;
}

static bool set_member(struct config_load *load, const char *key, const struct member *member,
                       const struct config_node *node, struct config_scrape *scrape)
{
    char *at = (char *)scrape + member->offset;
    uint64_t ns = 0;
    const char *copy = NULL;
    if (member->kind == MEMBER_DURATION) {
        if (!duration_of(node, member, &ns)) {
            config_problem_node(load, key, node, member->allowed);
            return false;
        }
        memcpy(at, &ns, sizeof(ns));
        return true;
    }
    if (node->kind != NODE_STRING || node->string[0] == '\0' ||
        strlen(node->string) > PATH_MAX_LENGTH) {
        config_problem_node(load, key, node, member->allowed);
        return false;
    }
    copy = arena_copy_string(load->config->arena_, node->string, strlen(node->string));
    if (copy == NULL) {
        config_problem_memory(load, key);
        return false;
    }
    memcpy(at, &copy, sizeof(copy));
    return true;
}

bool config_set_scrape(struct config_load *load, const char *entry, const char *const *names,
                       const struct config_node *const *values, struct config_scrape *scrape)
{
    bool ok = true;
    *scrape = (struct config_scrape){.timeout_ns = 10 * NS_PER_S,
                                     .bearer_token_file = "",
                                     .basic_auth_file = "",
                                     .ca_file = "",
                                     .cert_file = "",
                                     .key_file = ""};
    for (size_t i = 0; i < CONFIG_SCRAPE_MEMBERS; i++) {
        char key[KEY_MAX_BYTES];
        (void)snprintf(key, sizeof(key), "%.40s.%.40s", entry, names[i]);
        if (values[i] != NULL)
            ok = set_member(load, key, &members[i], values[i], scrape) && ok;
    }
    if (scrape->bearer_token_file[0] != '\0' && scrape->basic_auth_file[0] != '\0') {
        config_problem(load, entry, "found both; allowed: one of bearer_token_file, basic_auth_file");
        ok = false;
    }
    if ((scrape->cert_file[0] == '\0') != (scrape->key_file[0] == '\0')) {
        config_problem(load, entry, "found one alone; allowed: cert_file and key_file together");
        ok = false;
    }
    return ok;
}
