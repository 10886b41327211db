/* config_targets.c - the targets and rules of config.lua. */
#include "core/base/config.h"

#include <criterion/criterion.h>

#include "tests/unit/base/config_support.h"

static void assert_refused(const struct config_node *root, const char *reason)
{
    struct outcome outcome = outcome_of_tree(root);
    cr_assert_geq(outcome.count, 1, "expected: %s", reason);
    cr_assert_not_null(strstr(outcome.problems, reason), "expected: %s\nfound: %s", reason,
                       outcome.problems);
    cr_assert_eq(outcome.config->targets[0].kind, CONFIG_TARGET_DISCOVER, "the default stays");
    outcome_release(&outcome);
}

Test(config_targets, reads_each_form_in_the_order_of_the_list)
{
    struct outcome outcome = outcome_of_tree(ROOT(TABLE(
        "targets",
        ITEM_TABLE(3, BOOLEAN("discover", true),
                   TABLE("exclude", ITEM_STRING(1, "kubelet"), ITEM_STRING(2, "/usr/*/x"))),
        ITEM_TABLE(1, STRING("name", "api"), NUMBER("pid", 4711)),
        ITEM_TABLE(2, STRING("name", "worker"), STRING("exe", "/srv/worker-*")))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    const struct config *config = outcome.config;
    cr_assert_eq(config->target_count, 3);
    cr_assert_eq(config->targets[0].kind, CONFIG_TARGET_PID);
    cr_assert_eq(config->targets[0].pid, 4711);
    cr_assert_str_eq(config->targets[0].name, "api");
    cr_assert_eq(config->targets[1].kind, CONFIG_TARGET_EXE);
    cr_assert_str_eq(config->targets[1].exe, "/srv/worker-*");
    cr_assert_eq(config->targets[2].kind, CONFIG_TARGET_DISCOVER);
    cr_assert_null(config->targets[2].name);
    cr_assert_eq(config->targets[2].exclude_count, 2);
    cr_assert_str_eq(config->targets[2].exclude[1], "/usr/*/x");
    outcome_release(&outcome);
}

Test(config_targets, takes_one_exclude_glob_without_a_list)
{
    struct outcome outcome = outcome_of_tree(ROOT(
        TABLE("targets", ITEM_TABLE(1, BOOLEAN("discover", true), STRING("exclude", "kube*")))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->targets[0].exclude_count, 1);
    cr_assert_str_eq(outcome.config->targets[0].exclude[0], "kube*");
    outcome_release(&outcome);
}

Test(config_targets, takes_a_url_with_all_that_scraping_it_needs)
{
    struct outcome outcome = outcome_of_tree(ROOT(TABLE(
        "targets",
        ITEM_TABLE(1, STRING("name", "far"), STRING("url", "https://far:6060/debug/pprof"),
                   STRING("interval", "30s"), NUMBER("timeout", 2.5),
                   STRING("bearer_token_file", "/run/token"), STRING("ca_file", "/etc/ca.pem"),
                   STRING("cert_file", "/etc/cert.pem"), STRING("key_file", "/etc/key.pem")),
        ITEM_TABLE(2, STRING("url", "http://near:6060"), STRING("basic_auth_file", "/run/user")))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    const struct config_target *far = &outcome.config->targets[0];
    cr_assert_eq(far->kind, CONFIG_TARGET_URL);
    cr_assert_str_eq(far->url, "https://far:6060/debug/pprof");
    cr_assert_eq(far->scrape.interval_ns, UINT64_C(30000000000));
    cr_assert_eq(far->scrape.timeout_ns, UINT64_C(2500000000));
    cr_assert_str_eq(far->scrape.bearer_token_file, "/run/token");
    cr_assert_str_eq(far->scrape.ca_file, "/etc/ca.pem");
    cr_assert_str_eq(far->scrape.cert_file, "/etc/cert.pem");
    cr_assert_str_eq(far->scrape.key_file, "/etc/key.pem");
    const struct config_target *near = &outcome.config->targets[1];
    cr_assert_null(near->name);
    cr_assert_eq(near->scrape.interval_ns, 0, "it follows the sampling interval");
    cr_assert_eq(near->scrape.timeout_ns, UINT64_C(10000000000));
    cr_assert_str_eq(near->scrape.basic_auth_file, "/run/user");
    cr_assert_str_eq(near->scrape.bearer_token_file, "");
    outcome_release(&outcome);
}

Test(config_targets, refuses_urls_and_members_that_cannot_be_scraped_with)
{
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "far:6060")))),
                   "targets[1].url: found \"far:6060\"");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "http://me:secret@far:6060")))),
                   "an http:// or https:// URL without user");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "http://far:6060"),
                                                    STRING("interval", "1ms")))),
                   "targets[1].interval: found \"1ms\"");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "http://far:6060"),
                                                    BOOLEAN("timeout", true)))),
                   "targets[1].timeout: found");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "http://far:6060"),
                                                    STRING("bearer_token_file", "/a"),
                                                    STRING("basic_auth_file", "/b")))),
                   "targets[1]: found both; allowed: one of bearer_token_file, basic_auth_file");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "http://far:6060"),
                                                    STRING("cert_file", "/a")))),
                   "targets[1]: found one alone; allowed: cert_file and key_file together");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("url", "http://far:6060"),
                                                    BOOLEAN("enable_heap_profiling", true)))),
                   "targets[1].enable_heap_profiling: found true; allowed: only processes");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 7), STRING("name", "api"),
                                                    STRING("interval", "30s")))),
                   "targets[1].interval: found \"30s\"; allowed: only together with url");
}

Test(config_targets, wants_exactly_one_way_to_find_a_process)
{
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("name", "api")))),
                   "targets[1]: found none of pid, exe, url, discover");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 1), STRING("exe", "x")))),
                   "targets[1]: found several of pid, exe, url, discover");
    assert_refused(ROOT(EMPTY_TABLE("targets")), "targets: found an empty table");
    assert_refused(ROOT(STRING("targets", "api")), "targets: found \"api\"");
    assert_refused(ROOT(TABLE("targets", BOOLEAN("discover", true))),
                   "found the member 'discover'; allowed: a list of tables");
    assert_refused(ROOT(TABLE("targets", ITEM_STRING(1, "api"))), "targets[1]: found \"api\"");
}

Test(config_targets, refuses_values_that_cannot_be)
{
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 0)))), "targets[1].pid: found 0");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 1.5)))), "found 1.5");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, STRING("exe", "")))), "targets[1].exe");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, BOOLEAN("discover", false)))),
                   "targets[1].discover: found false");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 5), STRING("name", "../x")))),
                   "targets[1].name: found \"../x\"");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 5), STRING("name", "all")))),
                   "targets[1].name");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 5), STRING("exclude", "x")))),
                   "only together with discover");
    assert_refused(
        ROOT(TABLE("targets", ITEM_TABLE(1, BOOLEAN("discover", true), STRING("name", "x")))),
        "a discovered process is named after its executable");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, BOOLEAN("discover", true),
                                                    TABLE("exclude", NUMBER(NULL, 3))))),
                   "targets[1].exclude: found 3");
}

Test(config_targets, names_a_near_miss_of_a_member)
{
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, NUMBER("pid", 5), STRING("nmae", "x")))),
                   "targets[1].nmae: unknown key; known: name, pid, exe, url, discover, exclude, "
                   "enable_heap_profiling, interval, timeout, bearer_token_file, basic_auth_file, "
                   "ca_file, cert_file, key_file; did you mean name?");
}

Test(config_targets, refuses_one_name_for_two)
{
    assert_refused(
        ROOT(TABLE("targets", ITEM_TABLE(1, STRING("name", "api"), NUMBER("pid", 5)),
                   ITEM_TABLE(2, STRING("name", "api"), NUMBER("pid", 6)))),
        "the name 'api' is used twice");
    assert_refused(ROOT(TABLE("targets", ITEM_TABLE(1, BOOLEAN("discover", true)),
                              ITEM_TABLE(2, BOOLEAN("discover", true)))),
                   "several entries say discover");
}

Test(config_rules, separates_enabled_from_the_rules_own_parameters)
{
    struct outcome outcome = outcome_of_tree(ROOT(TABLE(
        "rules",
        TABLE("retention", BOOLEAN("enabled", false)), BOOLEAN("goroutine_growth", false),
        TABLE("heap_growth", STRING("window", "30m"),
              TABLE("routes", ITEM_STRING(1, "/a"), ITEM_STRING(2, "/b"))))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->rule_count, 3);
    const struct config_rule *rules = outcome.config->rules; /* in order of name */
    cr_assert_str_eq(rules[0].name, "goroutine_growth");
    cr_assert_not(rules[0].enabled);
    cr_assert_null(rules[0].params);
    cr_assert_str_eq(rules[1].name, "heap_growth");
    cr_assert(rules[1].enabled);
    cr_assert_eq(rules[1].params->child_count, 2);
    cr_assert_str_eq(rules[1].params->children[0].string, "30m");
    cr_assert_str_eq(rules[1].params->children[1].children[1].string, "/b");
    cr_assert_str_eq(rules[2].name, "retention");
    cr_assert_not(rules[2].enabled);
    cr_assert_null(rules[2].params);
    outcome_release(&outcome);
}

Test(config_rules, refuses_what_is_no_parameter)
{
    struct outcome outcome = outcome_of_tree(
        ROOT(TABLE("rules", TABLE("a", STRING("enabled", "yes")), NUMBER("b", 3),
                   TABLE("c", FUNCTION("callback")), ITEM_STRING(1, "d"))));
    cr_assert_eq(outcome.count, 4, "%s", outcome.problems);
    cr_assert_not_null(strstr(outcome.problems, "rules.a.enabled: found \"yes\""));
    cr_assert_not_null(strstr(outcome.problems, "rules.b: found 3"));
    cr_assert_not_null(strstr(outcome.problems, "rules.c.callback: found a function"));
    cr_assert_not_null(strstr(outcome.problems, "rules: found \"d\""));
    cr_assert_eq(outcome.config->rule_count, 0);
    outcome_release(&outcome);
}

Test(config_rules, refuses_tables_nested_without_end)
{
    struct config_node levels[20];
    for (size_t i = 0; i < 20; i++)
        levels[i] = (struct config_node){
            .kind = NODE_TABLE, .key = "deeper", .children = &levels[i + 1], .child_count = 1};
    levels[19] = (struct config_node)NUMBER("deeper", 1);
    const struct config_node rules = {
        .kind = NODE_TABLE, .key = "rules", .children = levels, .child_count = 1};
    const struct config_node root = {.kind = NODE_TABLE, .children = &rules, .child_count = 1};
    struct outcome outcome = outcome_of_tree(&root);
    cr_assert_eq(outcome.count, 1, "%s", outcome.problems);
    cr_assert_not_null(strstr(outcome.problems, "nested at most 8 deep"));
    outcome_release(&outcome);
}

Test(config_targets, enable_heap_profiling_only_where_they_say_so)
{
    struct outcome outcome = outcome_of_tree(ROOT(TABLE(
        "targets",
        ITEM_TABLE(1, STRING("exe", "api"), BOOLEAN("enable_heap_profiling", true)),
        ITEM_TABLE(2, STRING("exe", "web"), BOOLEAN("enable_heap_profiling", false)),
        ITEM_TABLE(3, BOOLEAN("discover", true)))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert(outcome.config->targets[0].enable_heap_profiling);
    cr_assert_not(outcome.config->targets[1].enable_heap_profiling);
    cr_assert_not(outcome.config->targets[2].enable_heap_profiling);
    outcome_release(&outcome);
    outcome = outcome_of_tree(ROOT(TABLE(
        "targets",
        ITEM_TABLE(1, STRING("exe", "api"), STRING("enable_heap_profiling", "yes")))));
    cr_assert_eq(outcome.count, 1);
    cr_assert_not_null(strstr(outcome.problems,
                              "targets[1].enable_heap_profiling: found \"yes\"; allowed: true or false"),
                       "%s", outcome.problems);
    outcome_release(&outcome);
}
