/* config_environment.c - GOPROF_* variables. */
#include "core/base/config.h"

#include <criterion/criterion.h>
#include <ctype.h>

#include "tests/unit/base/config_support.h"

Test(config_environment, sets_every_option_by_its_upper_case_name)
{
    size_t count = 0;
    const struct config_option *options = config_options(&count);
    for (size_t i = 0; i < count; i++) {
        struct buffer text;
        buffer_init(&text, 4096);
        buffer_append_string(&text, "GOPROF_");
        for (const char *c = options[i].key; *c != '\0'; c++)
            buffer_append_byte(&text, (char)toupper((unsigned char)*c));
        buffer_printf(&text, "=%s", options[i].default_text);
        cr_assert_not_null(buffer_text(&text));
        char *list[] = {text.data, NULL};
        struct outcome outcome = outcome_of_environment(list);
        cr_expect_eq(outcome.count, 0, "%s", outcome.problems);
        outcome_release(&outcome);
        buffer_release(&text);
    }
}

Test(config_environment, overrides_the_file)
{
    struct outcome outcome = outcome_of_tree(
        ROOT(NUMBER("sampling_interval_ms", 500), NUMBER("http_threads", 2)));
    char *list[] = {(char[]){"GOPROF_SAMPLING_INTERVAL_MS=250ms"}, (char[]){"PATH=/bin"},
                    (char[]){"GOPROF_PROFILE_CAPTURE_ON_SEVERITIES=warning, critical"},
                    (char[]){"GOPROF_PROMETHEUS_ENABLED=0"}, (char[]){"GOPROFD_FOO=1"}, NULL};
    cr_assert_eq(config_apply_environment(outcome.config, list, &outcome.problems_), 0);
    cr_assert_eq(outcome.config->sampling_interval_ms, 250);
    cr_assert_eq(outcome.config->http_threads, 2);
    cr_assert_eq(outcome.config->profile_capture_on_severities, 6);
    cr_assert_not(outcome.config->prometheus_enabled);
    outcome_release(&outcome);
}

Test(config_environment, names_the_variable_that_is_wrong_or_unknown)
{
    char *list[] = {(char[]){"GOPROF_HTTP_THREADS=many"}, (char[]){"GOPROF_LOGLEVEL=info"},
                    (char[]){"GOPROF_TARGETS=api"},       (char[]){"GOPROF_TLS=on"},
                    (char[]){"GOPROF_XYZZY=1"},           (char[]){"GOPROF_log_level=info"},
                    (char[]){"GOPROF_HTTP_THREADS="},     NULL};
    struct outcome outcome = outcome_of_environment(list);
    cr_assert_eq(outcome.count, 7, "%s", outcome.problems);
    cr_assert_str_eq(outcome.problems,
                     "GOPROF_HTTP_THREADS: found \"many\"; allowed: 1 to 64\n"
                     "GOPROF_LOGLEVEL: unknown variable; did you mean GOPROF_LOG_LEVEL?\n"
                     "GOPROF_TARGETS: targets has no form in the environment; set it in config.lua\n"
                     "GOPROF_TLS: not supported yet: this version speaks plain HTTP only, so keep "
                     "metrics_listen_addr on loopback or behind a proxy, and remove this key\n"
                     "GOPROF_XYZZY: unknown variable\n"
                     "GOPROF_log_level: unknown variable; did you mean GOPROF_LOG_LEVEL?\n"
                     "GOPROF_HTTP_THREADS: found \"\"; allowed: 1 to 64\n");
    outcome_release(&outcome);
}

Test(config_environment, ignores_what_kubernetes_sets_for_a_service_called_goprof)
{
    char *list[] = {(char[]){"GOPROF_SERVICE_HOST=10.0.0.1"},
                    (char[]){"GOPROF_SERVICE_PORT=8080"},
                    (char[]){"GOPROF_SERVICE_PORT_HTTP=8080"},
                    (char[]){"GOPROF_PORT=tcp://10.0.0.1:8080"},
                    (char[]){"GOPROF_PORT_8080_TCP_ADDR=10.0.0.1"},
                    NULL};
    struct outcome outcome = outcome_of_environment(list);
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    outcome_release(&outcome);
    char *flag[] = {(char[]){"GOPROF_PORT=9090"}, NULL};
    struct outcome mistaken = outcome_of_environment(flag);
    cr_assert_eq(mistaken.count, 1, "a port meant for goprofd is not silently ignored");
    outcome_release(&mistaken);
}

Test(config_environment, accepts_numbers_only_in_plain_digits)
{
    char bad[][32] = {"GOPROF_HTTP_THREADS=0x2", "GOPROF_HTTP_THREADS=1e1",
                      "GOPROF_HTTP_THREADS= 2",  "GOPROF_HTTP_THREADS=+2",
                      "GOPROF_HTTP_THREADS=2x",  "GOPROF_HTTP_THREADS=1.5",
                      "GOPROF_HTTP_THREADS=nan", "GOPROF_PPROF_ENABLED=maybe"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct outcome outcome = outcome_of_environment((char *const[]){bad[i], NULL});
        cr_expect_eq(outcome.count, 1, "%s", bad[i]);
        outcome_release(&outcome);
    }
}

Test(config_environment, takes_whose_last_profile_is_kept_and_suggests_near_misses)
{
    char *list[] = {(char[]){"GOPROF_PROFILE_CAPTURE_ON_EXIT=all"}, NULL};
    struct outcome outcome = outcome_of_environment(list);
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->profile_capture_on_exit, CAPTURE_ON_EXIT_ALL);
    outcome_release(&outcome);
    list[0] = (char[]){"GOPROF_PROFILE_CAPTURE_ON_EXIT=ooom"};
    outcome = outcome_of_environment(list);
    cr_assert_eq(outcome.count, 1);
    cr_assert_not_null(strstr(outcome.problems, "did you mean oom?"), "%s", outcome.problems);
    cr_assert_eq(outcome.config->profile_capture_on_exit, CAPTURE_ON_EXIT_OOM);
    outcome_release(&outcome);
}
