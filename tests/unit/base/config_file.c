/* config_file.c - what config.lua may say, and what it is told when it says something else. */
#include "core/base/config.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/base/config_table.h"
#include "core/store/finding.h"
#include "tests/unit/base/config_support.h"

/* One value for one option; true if it was accepted. */
static bool accepts(const char *key, struct config_node value)
{
    value.key = key;
    const struct config_node root = {.kind = NODE_TABLE, .children = &value, .child_count = 1};
    struct outcome outcome = outcome_of_tree(&root);
    const bool accepted = outcome.count == 0;
    cr_assert_eq(accepted, outcome.problems[0] == '\0', "%s", outcome.problems);
    if (!accepted)
        cr_assert_not_null(strstr(outcome.problems, key), "%s", outcome.problems);
    outcome_release(&outcome);
    return accepted;
}

static bool accepts_number(const char *key, double value)
{
    return accepts(key, (struct config_node)NUMBER(NULL, value));
}

static bool accepts_string(const char *key, const char *value)
{
    return accepts(key, (struct config_node)STRING(NULL, value));
}

static bool takes_numbers(enum option_kind kind)
{
    return kind == OPTION_COUNT || kind == OPTION_MILLISECONDS || kind == OPTION_SECONDS ||
           kind == OPTION_BYTES || kind == OPTION_PERCENT;
}

Test(config_file, has_the_defaults_of_the_contract)
{
    struct outcome outcome = outcome_of_tree(NULL);
    const struct config *config = outcome.config;
    cr_assert_eq(config->sampling_interval_ms, 1000);
    cr_assert_eq(config->retention_window_sec, 600);
    cr_assert_float_eq(config->high_retention_threshold_percent, 70, 0);
    cr_assert_float_eq(config->memory_spike_threshold_percent, 30, 0);
    cr_assert_str_eq(config->metrics_listen_addr, "127.0.0.1:8080");
    cr_assert(config->prometheus_enabled);
    cr_assert(config->pprof_enabled);
    cr_assert_str_eq(config->pprof_listen_addr, "");
    cr_assert_eq(config->max_history_samples, 3600);
    cr_assert_eq(config->history_max_bytes, UINT64_C(256) << 20);
    cr_assert(config->alerting_enabled);
    cr_assert_eq(config->log_level, LOG_LEVEL_INFO);
    cr_assert_eq(config->shutdown_grace_period_sec, 15);
    cr_assert_not(config->profile_capture_enabled);
    cr_assert_str_eq(config->profile_capture_dir, "./profiles");
    cr_assert_eq(config->profile_capture_max_files, 10);
    cr_assert_eq(config->profile_capture_min_interval_sec, 60);
    cr_assert_eq(config->profile_capture_on_severities, 1U << SEVERITY_CRITICAL);
    cr_assert_eq(config->target_count, 1);
    cr_assert_eq(config->targets[0].kind, CONFIG_TARGET_DISCOVER);
    cr_assert_eq(config->rule_count, 0);
    outcome_validate(&outcome);
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    outcome_release(&outcome);
}

Test(config_file, accepts_every_number_at_its_bounds_and_refuses_it_beyond)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    unsigned checked = 0;
    for (size_t i = 0; i < count; i++) {
        const struct option_spec *spec = &config_specs[i];
        if (!takes_numbers(spec->kind))
            continue;
        const double step = spec->kind == OPTION_PERCENT ? 0.01 : 1;
        cr_expect(accepts_number(options[i].key, spec->min), "%s at its least", options[i].key);
        cr_expect(accepts_number(options[i].key, spec->max), "%s at its most", options[i].key);
        cr_expect_not(accepts_number(options[i].key, spec->min - step), "%s below", options[i].key);
        cr_expect_not(accepts_number(options[i].key, spec->max + step), "%s above", options[i].key);
        cr_expect_not(accepts_number(options[i].key, (double)NAN), "%s as NaN", options[i].key);
        cr_expect_not(accepts_number(options[i].key, (double)INFINITY), "%s inf", options[i].key);
        checked++;
    }
    cr_assert_geq(checked, 9);
}

Test(config_file, refuses_a_fraction_where_whole_numbers_are_meant)
{
    cr_assert_not(accepts_number("max_history_samples", 10.5));
    cr_assert(accepts_number("high_retention_threshold_percent", 70.5));
}

Test(config_file, refuses_the_wrong_type_for_every_option)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        const enum option_kind kind = config_specs[i].kind;
        const char *key = options[i].key;
        cr_expect_not(accepts(key, (struct config_node)FUNCTION(NULL)), "%s", key);
        cr_expect_eq(accepts(key, (struct config_node)BOOLEAN(NULL, true)), kind == OPTION_BOOL,
                     "%s", key);
        cr_expect_eq(accepts(key, (struct config_node)TABLE(NULL, ITEM_STRING(1, "critical"))),
                     kind == OPTION_SEVERITIES, "%s", key);
        if (!takes_numbers(kind))
            cr_expect_not(accepts_number(key, 1), "%s", key);
        cr_expect_not(accepts_string(key, "\x01 nonsense \xFF") && kind != OPTION_PATH &&
                          kind != OPTION_PATH_OR_NONE,
                      "%s", key);
    }
}

Test(config_file, takes_durations_as_numbers_and_as_text)
{
    struct outcome outcome = outcome_of_tree(ROOT(STRING("sampling_interval_ms", "2.5s"),
                                                  STRING("retention_window_sec", "1h30m"),
                                                  STRING("history_max_bytes", "64MiB")));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->sampling_interval_ms, 2500);
    cr_assert_eq(outcome.config->retention_window_sec, 5400);
    cr_assert_eq(outcome.config->history_max_bytes, UINT64_C(64) << 20);
    outcome_release(&outcome);
    cr_assert(accepts_string("sampling_interval_ms", "1000"));
    cr_assert_not(accepts_string("sampling_interval_ms", "1.5ms"), "half a millisecond is lost");
    cr_assert_not(accepts_string("retention_window_sec", "1500ms"), "half a second is lost");
    cr_assert_not(accepts_string("max_history_samples", "3600"), "a count is no text in Lua");
}

Test(config_file, reads_severities_as_a_list_or_as_text)
{
    struct outcome list = outcome_of_tree(ROOT(TABLE(
        "profile_capture_on_severities", ITEM_STRING(1, "warning"), ITEM_STRING(2, "critical"))));
    cr_assert_eq(list.count, 0, "%s", list.problems);
    cr_assert_eq(list.config->profile_capture_on_severities,
                 1U << SEVERITY_WARNING | 1U << SEVERITY_CRITICAL);
    outcome_release(&list);
    struct outcome text = outcome_of_tree(ROOT(STRING("profile_capture_on_severities", "info")));
    cr_assert_eq(text.config->profile_capture_on_severities, 1U << SEVERITY_INFO);
    outcome_release(&text);
    cr_assert_not(accepts_string("profile_capture_on_severities", "critical,"));
    cr_assert_not(accepts_string("profile_capture_on_severities", "criticle"));
}

Test(config_file, accepts_the_usual_listen_addresses_and_no_others)
{
    static const char *const good[] = {"127.0.0.1:8080", ":8080",       "[::1]:8080", "localhost:0",
                                       "[::]:9",         "0.0.0.0:1",   "a-b.c:65535",
                                       "unix:/run/goprofd.sock"};
    static const char *const bad[] = {"8080",      "localhost",    "127.0.0.1:",   "127.0.0.1:65536",
                                      "::1:8080",  "[::1]",        "[zz]:1",       "1.2.3:80",
                                      "unix:",     "unix:relative", "unix:/",      "a b:80",
                                      "host:http", ":-1",          "http://h:80",  ": 80"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        cr_expect(accepts_string("metrics_listen_addr", good[i]), "%s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_expect_not(accepts_string("metrics_listen_addr", bad[i]), "%s", bad[i]);
    cr_assert_not(accepts_string("metrics_listen_addr", ""));
    cr_assert(accepts_string("pprof_listen_addr", ""));
}

Test(config_file, says_what_was_found_what_is_allowed_and_where)
{
    struct outcome outcome = outcome_of_tree(ROOT(NUMBER("http_threads", 0)));
    cr_assert_eq(outcome.count, 1);
    cr_assert_str_eq(outcome.problems, "config.lua: http_threads: found 0; allowed: 1 to 64\n");
    cr_assert_eq(outcome.config->http_threads, 1, "a refused value changes nothing");
    outcome_release(&outcome);
}

Test(config_file, reports_all_problems_at_once)
{
    struct outcome outcome = outcome_of_tree(ROOT(
        NUMBER("zzzzzzzz", 1), NUMBER("smapling_interval_ms", 1), STRING("log_level", "warning"),
        BOOLEAN("prometheus_enabled", false), NUMBER("http_threads", 65)));
    cr_assert_eq(outcome.count, 4);
    cr_assert_str_eq(outcome.problems,
                     "config.lua: log_level: found \"warning\"; allowed: debug, info, warn or error; "
                     "did you mean warn?\n"
                     "config.lua: http_threads: found 65; allowed: 1 to 64\n"
                     "config.lua: smapling_interval_ms: unknown key; did you mean "
                     "sampling_interval_ms?\n"
                     "config.lua: zzzzzzzz: unknown key\n");
    cr_assert_not(outcome.config->prometheus_enabled, "what is right is still applied");
    outcome_release(&outcome);
}

Test(config_file, refuses_keys_of_later_versions_by_name)
{
    struct outcome outcome =
        outcome_of_tree(ROOT(STRING("state_dir", "/var/lib/goprofd"), EMPTY_TABLE("tls")));
    cr_assert_eq(outcome.count, 1);
    cr_assert_not_null(strstr(outcome.problems, "tls: not supported yet"));
    outcome_release(&outcome);
}

Test(config_file, quotes_hostile_text_so_that_it_cannot_add_a_line)
{
    char text[300];
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    text[3] = '\n';
    struct outcome outcome =
        outcome_of_tree(ROOT(STRING("log_level", text), NUMBER("a\nb: fine", 1)));
    cr_assert_eq(outcome.count, 2);
    size_t lines = 0;
    for (const char *c = outcome.problems; *c != '\0'; c++)
        lines += *c == '\n';
    cr_assert_eq(lines, 2, "%s", outcome.problems);
    cr_assert_lt(strlen(outcome.problems), 400, "%s", outcome.problems);
    outcome_release(&outcome);
}

Test(config_file, wants_a_table_with_names)
{
    struct outcome number = outcome_of_tree(&(const struct config_node)NUMBER(NULL, 5));
    cr_assert_eq(number.count, 1);
    cr_assert_not_null(strstr(number.problems, "found 5; allowed: a table"));
    outcome_release(&number);
    struct outcome list = outcome_of_tree(ROOT(ITEM_STRING(1, "x")));
    cr_assert_str_eq(list.problems,
                     "config.lua: [1]: found \"x\"; allowed: named members only: key = value\n");
    outcome_release(&list);
}

Test(config_file, checks_what_spans_several_keys)
{
    struct outcome outcome = outcome_of_tree(
        ROOT(NUMBER("memory_spike_threshold_percent", 80), STRING("sampling_interval_ms", "1h"),
             STRING("pprof_listen_addr", "127.0.0.1:8080"),
             BOOLEAN("profile_capture_enabled", true), EMPTY_TABLE("profile_capture_on_severities")));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    outcome_validate(&outcome);
    cr_assert_eq(outcome.count, 4, "%s", outcome.problems);
    cr_assert_not_null(strstr(outcome.problems, "memory_spike_threshold_percent: found 80"));
    cr_assert_not_null(strstr(outcome.problems, "retention_window_sec: found 600"));
    cr_assert_not_null(strstr(outcome.problems, "pprof_listen_addr: found"));
    cr_assert_not_null(strstr(outcome.problems, "profile_capture_on_severities: found none"));
    outcome_release(&outcome);
}

Test(config_file, a_config_outlives_the_tree_it_came_from)
{
    char text[] = "./elsewhere";
    struct config_node value = STRING("profile_capture_dir", text);
    const struct config_node root = {.kind = NODE_TABLE, .children = &value, .child_count = 1};
    struct outcome outcome = outcome_of_tree(&root);
    memset(text, '!', sizeof(text) - 1);
    cr_assert_str_eq(outcome.config->profile_capture_dir, "./elsewhere");
    outcome_release(&outcome);
}
