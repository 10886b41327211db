/* rule_test.c - plays the tests of a rule.  See rule_test.h. */
#include "lua/rule_test.h"

#include <math.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "core/store/board.h"
#include "core/store/fields.h"
#include "core/store/finding.h"
#include "lua/quantity.h"
#include "lua/rule.h"
#include "lua/rule_params.h"
#include "lua/test_expect.h"
#include "lua/test_series.h"
#include "lua/test_world.h"

enum {
    ARENA_MAX_BYTES = 256 << 20,
    ARENA_CHUNK_BYTES = 64 * 1024,
    SETTINGS_MAX = 32,
    ALL_BEATS = 60, /* of a test that does not say */
};
static const double AGE_DEFAULT_S = 3600;

/* One test, read. */
struct test {
    const char *name;
    struct arena *arena; /* of the series */
    size_t beats;
    size_t gc_every; /* beats; 0: no GC, but one profile if there are sites */
    size_t restart_at;
    uint64_t interval_ns;
    double age_s;
    struct target_facts facts;
    struct key_value settings[SETTINGS_MAX];
    const struct config_node *params;
    const struct config_node *fields;
    const struct config_node *sites;
    const struct config_node *expect;
    size_t field_count;
    struct {
        const struct field *field;
        double *values;
    } series[SNAPSHOT_FIELD_COUNT];
    size_t site_count;
    struct {
        double *inuse;
        double *alloc;
    } site_series[TEST_WORLD_SITES_MAX];
};

/* ---- reading ---- */

static bool read_quantity(const struct config_node *node, enum quantity_unit unit, double max,
                          double *value, struct error *err)
{
    struct quantity quantity = {.value = node->number};
    const bool readable = node->kind == NODE_NUMBER ||
                          (node->kind == NODE_STRING && quantity_parse(node->string, &quantity));
    if (!readable || (quantity.unit != unit && quantity.unit != QUANTITY_PLAIN) ||
        !(quantity.value >= 0 && quantity.value <= max))
        return error_set(err, ERROR_USAGE, "`%s` must be %s, at most %g", node->key,
                         unit == QUANTITY_SECONDS ? "a duration like \"10m\"" : "a number", max);
    *value = quantity.value;
    return true;
}

static bool read_count(const struct config_node *node, size_t *count, struct error *err)
{
    double value;
    if (!read_quantity(node, QUANTITY_PLAIN, RULE_TEST_BEATS_MAX, &value, err))
        return false;
    *count = (size_t)value;
    return true;
}

static bool unknown_member(const char *where, const struct config_node *node,
                           const char *const *names, size_t count, struct error *err)
{
    const char *key = node->key != NULL ? node->key : "?";
    const char *nearest = config_near_miss(key, names, count);
    return error_set(err, ERROR_USAGE, "%s has no `%s`%s%s%s", where, key,
                     nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "`?" : "");
}

static bool read_settings(struct test *test, const struct config_node *node, struct error *err)
{
    if (node->kind != NODE_TABLE || node->child_count > SETTINGS_MAX)
        return error_set(err, ERROR_USAGE, "target.settings must be a table of at most %d texts",
                         SETTINGS_MAX);
    for (size_t i = 0; i < node->child_count; i++) {
        const struct config_node *child = &node->children[i];
        if (child->key == NULL || child->kind != NODE_STRING)
            return error_set(err, ERROR_USAGE, "target.settings are texts by name");
        test->settings[i] = (struct key_value){.key = child->key, .value = child->string};
    }
    test->facts.build_settings = test->settings;
    test->facts.build_setting_count = node->child_count;
    return true;
}

static bool read_source(struct test *test, const struct config_node *node, struct error *err)
{
    for (int i = SOURCE_PROCESS; node->kind == NODE_STRING && i <= SOURCE_PUSH; i++) {
        if (strcmp(source_kind_name((enum source_kind)i), node->string) == 0) {
            test->facts.source = (enum source_kind)i;
            return true;
        }
    }
    return error_set(err, ERROR_USAGE, "target.source is \"process\", \"pprof\" or \"push\"");
}

static bool read_target(struct test *test, const struct config_node *node, struct error *err)
{
    struct target_facts *facts = &test->facts;
    const struct {
        const char *name;
        const char **text;
    } texts[] = {{"name", &facts->id},
                 {"go_version", &facts->go_version},
                 {"module_path", &facts->module_path},
                 {"module_version", &facts->module_version},
                 {"vcs_revision", &facts->vcs_revision},
                 {"exe", &facts->exe},
                 {"command", &facts->command},
                 {"container_id", &facts->container_id},
                 {"pod", &facts->pod},
                 {"pod_namespace", &facts->pod_namespace}};
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    const char *names[TEXTS + 3] = {"age", "source", "settings"};
    for (size_t t = 0; t < TEXTS; t++)
        names[t + 3] = texts[t].name;
    if (node->kind != NODE_TABLE)
        return error_set(err, ERROR_USAGE, "`target` must be a table");
    for (size_t i = 0; i < node->child_count; i++) {
        const struct config_node *child = &node->children[i];
        const char *key = child->key != NULL ? child->key : "?";
        bool ok = false;
        size_t t = 0;
        while (t < TEXTS && strcmp(texts[t].name, key) != 0)
            t++;
        if (t < TEXTS && child->kind == NODE_STRING) {
            *texts[t].text = child->string;
            ok = true;
        } else if (t < TEXTS) {
            ok = error_set(err, ERROR_USAGE, "target.%s must be a text", key);
        } else if (strcmp(key, "age") == 0 && child->kind == NODE_BOOL && !child->boolean) {
            test->age_s = -1; /* age = false: not known */
            ok = true;
        } else if (strcmp(key, "age") == 0) {
            ok = read_quantity(child, QUANTITY_SECONDS, 1e9, &test->age_s, err);
        } else if (strcmp(key, "source") == 0) {
            ok = read_source(test, child, err);
        } else if (strcmp(key, "settings") == 0) {
            ok = read_settings(test, child, err);
        } else {
            ok = unknown_member("target", child, names, TEXTS + 3, err);
        }
        if (!ok)
            return false;
    }
    return true;
}

static bool read_table(const struct config_node *node, const struct config_node **table,
                       struct error *err)
{
    if (node->kind != NODE_TABLE)
        return error_set(err, ERROR_USAGE, "`%s` must be a table", node->key);
    *table = node;
    return true;
}

static bool read_member(struct test *test, const struct config_node *node, struct error *err)
{
    static const char *const names[] = {"name",   "beats",  "every", "gc",     "restart_at",
                                        "target", "params", "fields", "sites", "expect"};
    const char *key = node->key != NULL ? node->key : "?";
    double seconds;
    if (strcmp(key, "name") == 0) {
        if (node->kind != NODE_STRING || node->string[0] == '\0')
            return error_set(err, ERROR_USAGE, "`name` must be a text: what the rule does");
        test->name = node->string;
        return true;
    }
    if (strcmp(key, "beats") == 0)
        return read_count(node, &test->beats, err);
    if (strcmp(key, "gc") == 0)
        return read_count(node, &test->gc_every, err);
    if (strcmp(key, "restart_at") == 0)
        return read_count(node, &test->restart_at, err);
    if (strcmp(key, "every") == 0) {
        if (!read_quantity(node, QUANTITY_SECONDS, 3600, &seconds, err))
            return false;
        test->interval_ns = (uint64_t)(seconds * 1e9);
        return test->interval_ns >= 1000000 ||
               error_set(err, ERROR_USAGE, "`every` must be a millisecond at least");
    }
    if (strcmp(key, "target") == 0)
        return read_target(test, node, err);
    if (strcmp(key, "params") == 0)
        return read_table(node, &test->params, err);
    if (strcmp(key, "fields") == 0)
        return read_table(node, &test->fields, err);
    if (strcmp(key, "sites") == 0)
        return read_table(node, &test->sites, err);
    if (strcmp(key, "expect") == 0)
        return read_table(node, &test->expect, err);
    return unknown_member("a test", node, names, sizeof(names) / sizeof(names[0]), err);
}

static double *read_series(struct test *test, const struct config_node *node, struct error *err)
{
    double *values = arena_alloc_array(test->arena, test->beats, sizeof(*values));
    if (values == NULL)
        (void)error_set(err, ERROR_LIMIT, "too many series for so many beats");
    else if (!test_series_read(node, values, test->beats, err))
        return NULL;
    return values;
}

static bool read_fields(struct test *test, struct error *err)
{
    for (size_t i = 0; test->fields != NULL && i < test->fields->child_count; i++) {
        const struct config_node *node = &test->fields->children[i];
        const struct field *field = snapshot_field_find(node->key != NULL ? node->key : "?");
        if (field == NULL) {
            const char *names[SNAPSHOT_FIELD_COUNT];
            for (size_t f = 0; f < SNAPSHOT_FIELD_COUNT; f++)
                names[f] = snapshot_fields[f].name;
            return unknown_member("a snapshot", node, names, SNAPSHOT_FIELD_COUNT, err);
        }
        double *values = read_series(test, node, err);
        if (values == NULL)
            return error_wrap(err, "fields.%s", node->key);
        test->series[test->field_count].field = field;
        test->series[test->field_count++].values = values;
    }
    return true;
}

static bool read_stack(const struct config_node *node, struct test_site_facts *facts,
                       struct error *err)
{
    if (node->kind != NODE_TABLE || node->child_count > TEST_WORLD_STACK_MAX)
        return error_set(err, ERROR_USAGE, "stack must be a list of at most %d functions",
                         TEST_WORLD_STACK_MAX);
    for (size_t i = 0; i < node->child_count; i++) {
        if (node->children[i].kind != NODE_STRING)
            return error_set(err, ERROR_USAGE, "stack must be a list of functions");
        facts->stack[facts->stack_count++] = node->children[i].string;
    }
    return true;
}

static bool read_site(struct test *test, const struct config_node *node,
                      struct test_site_facts *facts, struct error *err)
{
    const struct {
        const char *name;
        const char **text;
    } texts[] = {{"func", &facts->function}, {"file", &facts->file}, {"primitive", &facts->primitive},
                 {"type", &facts->type_name}, {"tag", &facts->tag}};
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    static const char *const names[] = {"func", "file",  "primitive", "type", "tag",
                                        "line", "inuse", "alloc",     "stack", "object_bytes", "samples"};
    const struct config_node *inuse = NULL;
    const struct config_node *alloc = NULL;
    *facts = (struct test_site_facts){.file = "main.go", .line = 1, .primitive = ""};
    for (size_t i = 0; node->kind == NODE_TABLE && i < node->child_count; i++) {
        const struct config_node *child = &node->children[i];
        const char *key = child->key != NULL ? child->key : "?";
        double number = 0;
        bool ok = true;
        size_t t = 0;
        while (t < TEXTS && strcmp(texts[t].name, key) != 0)
            t++;
        if (t < TEXTS && child->kind == NODE_STRING)
            *texts[t].text = child->string;
        else if (strcmp(key, "line") == 0) {
            ok = read_quantity(child, QUANTITY_PLAIN, 1e9, &number, err);
            facts->line = (uint32_t)number;
        } else if (strcmp(key, "object_bytes") == 0) {
            ok = read_quantity(child, QUANTITY_BYTES, 1e15, &number, err);
            facts->object_bytes = (uint64_t)number;
        } else if (strcmp(key, "samples") == 0) {
            ok = read_quantity(child, QUANTITY_PLAIN, 1e9, &number, err);
            facts->samples = (uint64_t)number;
        } else if (strcmp(key, "inuse") == 0)
            inuse = child;
        else if (strcmp(key, "alloc") == 0)
            alloc = child;
        else if (strcmp(key, "stack") == 0)
            ok = read_stack(child, facts, err);
        else
            ok = unknown_member("a site", child, names, sizeof(names) / sizeof(names[0]), err);
        if (!ok)
            return false;
    }
    if (facts->function == NULL || inuse == NULL)
        return error_set(err, ERROR_USAGE, "a site needs `func` and `inuse`");
    test->site_series[test->site_count].inuse = read_series(test, inuse, err);
    test->site_series[test->site_count].alloc = read_series(test, alloc != NULL ? alloc : inuse, err);
    return test->site_series[test->site_count].inuse != NULL &&
           test->site_series[test->site_count].alloc != NULL;
}

static bool read_test(struct test *test, const struct config_node *node, struct error *err)
{
    test->name = "?";
    test->beats = ALL_BEATS;
    test->interval_ns = UINT64_C(1000000000);
    test->age_s = AGE_DEFAULT_S;
    test->facts = (struct target_facts){.id = "demo", .go_version = "go1.24.0"};
    if (node->kind != NODE_TABLE)
        return error_set(err, ERROR_USAGE, "a test must be a table");
    for (size_t i = 0; i < node->child_count; i++) { /* first, for the messages about the rest */
        if (node->children[i].key != NULL && strcmp(node->children[i].key, "name") == 0 &&
            node->children[i].kind == NODE_STRING)
            test->name = node->children[i].string;
    }
    for (size_t i = 0; i < node->child_count; i++) {
        if (!read_member(test, &node->children[i], err))
            return false;
    }
    if (strcmp(test->name, "?") == 0)
        return error_set(err, ERROR_USAGE, "a test needs a `name`");
    if (test->beats == 0)
        return error_set(err, ERROR_USAGE, "`beats` must be 1 at least");
    test->facts.name = test->facts.id;
    return read_fields(test, err);
}

/* ---- playing ---- */

static bool add_sites(struct test *test, struct test_world *world, struct error *err)
{
    const size_t count = test->sites != NULL ? test->sites->child_count : 0;
    if (count > TEST_WORLD_SITES_MAX)
        return error_set(err, ERROR_USAGE, "more than %d sites", TEST_WORLD_SITES_MAX);
    for (size_t i = 0; i < count; i++) {
        struct test_site_facts facts;
        if (!read_site(test, &test->sites->children[i], &facts, err) ||
            test_world_add_site(world, &facts, err) < 0)
            return error_wrap(err, "site %zu", i + 1);
        test->site_count++;
    }
    return true;
}

static bool is_gc(const struct test *test, size_t beat)
{
    return test->gc_every > 0 ? (beat - 1) % test->gc_every == 0
                              : beat == 1 && test->site_count > 0;
}

static bool play(struct test *test, struct test_world *world, struct test_expect *expect,
                 struct error *err)
{
    for (size_t beat = 1; beat <= test->beats; beat++) {
        if (test->gc_every > 0)
            test_world_set(world, &snapshot_fields[SNAPSHOT_FIELD_num_gc],
                           (double)(10 + (beat - 1) / test->gc_every));
        for (size_t i = 0; i < test->field_count; i++)
            test_world_set(world, test->series[i].field, test->series[i].values[beat - 1]);
        for (size_t i = 0; i < test->site_count; i++)
            test_world_set_site(world, i, test->site_series[i].inuse[beat - 1],
                                test->site_series[i].alloc[beat - 1]);
        if (beat == test->restart_at)
            test_world_restart(world);
        if (!test_world_beat(world, is_gc(test, beat), err))
            return false;
        const struct finding_set *findings = board_findings(test_world_board(world));
        test_expect_beat(expect, beat, findings);
        finding_set_unref(findings);
        const struct rules_report *rules = board_rules(test_world_board(world));
        const bool failed = rules->rules[0].errors > 0;
        if (failed)
            (void)error_set(err, ERROR_CORRUPT, "at beat %zu: %s", beat, rules->rules[0].last_error);
        rules_report_unref(rules);
        if (failed)
            return false;
    }
    return true;
}

struct source {
    const char *file;
    const char *text;
    size_t length;
    const struct config *config;
};

/* The rule anew, with the test's params in place of the config's. */
static struct rule *new_rule(const struct source *source, const char *name,
                             const struct config_node *params, struct config *config,
                             struct config_rule *override, struct error *err)
{
    *config = *source->config;
    *override = (struct config_rule){.name = name, .enabled = true, .params = params};
    config->rules = override;
    config->rule_count = params != NULL ? 1 : 0;
    config->silences = NULL;
    config->silence_count = 0;
    config->alerting_enabled = true;
    return rule_new(source->file, source->text, source->length, config, RULE_MUTED | RULE_UNHURRIED,
                    err);
}

/* False with a message if the test cannot be played; *[met] tells whether all was as expected. */
static bool run_test(const struct source *source, const char *rule, const struct config_node *node,
                     struct test *test, struct buffer *report, bool *met, struct error *err)
{
    struct config config;
    struct config_rule override;
    struct test_world *world = NULL;
    struct test_expect *expect = NULL;
    bool ok = read_test(test, node, err);
    if (ok) {
        expect = test_expect_new(test->expect, test->beats, err);
        struct rule *fresh = expect != NULL ? new_rule(source, rule, test->params, &config,
                                                       &override, err)
                                            : NULL;
        if (fresh != NULL)
            world = test_world_new(fresh, &config, &test->facts, test->age_s, test->interval_ns, err);
        ok = world != NULL && add_sites(test, world, err) && play(test, world, expect, err);
    }
    if (ok)
        *met = test_expect_judge(expect, test_world_captures(world), report);
    test_expect_free(expect);
    test_world_free(world);
    return ok;
}

static void fail(const char *file, const char *name, const char *text, struct buffer *report,
                 struct buffer *details, struct rule_test_result *result, struct error *err)
{
    if (report != NULL) {
        buffer_append_string(report, file);
        buffer_append_string(report, ": test \"");
        buffer_append_string(report, name);
        buffer_append_string(report, "\": ");
        buffer_append_string(report, text);
        buffer_append_byte(report, '\n');
        const char *lines = buffer_text(details);
        buffer_append_string(report, lines != NULL ? lines : "");
    }
    if (result->failed++ == 0) {
        const char *lines = buffer_text(details);
        const int first = lines != NULL ? (int)strcspn(lines, "\n") : 0;
        (void)error_set(err, ERROR_CORRUPT, "%s: test \"%.100s\": %s%.*s", file, name, text, first,
                        first > 0 ? lines + 1 : "");
    }
}

bool rule_test_run_list(const char *file, const char *text, size_t length, const char *tests_file,
                        const struct config_node *tests, const struct config *config,
                        struct buffer *report, struct rule_test_result *result, struct error *err)
{
    enum { DETAILS_MAX_BYTES = 64 * 1024 };
    const struct source source = {.file = file, .text = text, .length = length, .config = config};
    struct config plain;
    struct config_rule none;
    *result = (struct rule_test_result){.run = 0};
    struct rule *rule = new_rule(&source, "", NULL, &plain, &none, err);
    if (rule == NULL)
        return false;
    for (size_t i = 0; i < tests->child_count; i++) {
        struct test *test = calloc(1, sizeof(*test));
        struct buffer details;
        struct error problem = {.code = ERROR_NO_MEMORY, .message = "no memory"};
        bool met = false;
        buffer_init(&details, DETAILS_MAX_BYTES);
        if (test != NULL)
            test->arena = arena_new(ARENA_MAX_BYTES, ARENA_CHUNK_BYTES);
        const bool ok = test != NULL && test->arena != NULL &&
                        run_test(&source, rule_name(rule), &tests->children[i], test, &details,
                                 &met, &problem);
        const char *name = test != NULL && test->name != NULL ? test->name : "?";
        result->run++;
        if (!ok)
            fail(tests_file, name, problem.message, report, &details, result, err);
        else if (!met)
            fail(tests_file, name, "not as expected", report, &details, result, err);
        buffer_release(&details);
        if (test != NULL)
            arena_free(test->arena);
        free(test);
    }
    rule_free(rule);
    return result->failed == 0;
}

bool rule_test_run(const char *file, const char *text, size_t length, const struct config *config,
                   struct buffer *report, struct rule_test_result *result, struct error *err)
{
    *result = (struct rule_test_result){.run = 0};
    struct config plain = *config;
    plain.rules = NULL;
    plain.rule_count = 0;
    struct rule *rule = rule_new(file, text, length, &plain,
                                 RULE_KEEP_TESTS | RULE_MUTED | RULE_UNHURRIED, err);
    if (rule == NULL)
        return false;
    const struct config_node *tests = rule_tests(rule);
    const bool ok = tests == NULL || rule_test_run_list(file, text, length, file, tests, config,
                                                        report, result, err);
    rule_free(rule);
    return ok;
}
