/* rule_test_test.c - the tests that rules carry: their notation, what passes, and what a failure says. */
#include <criterion/criterion.h>
#include <math.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "lua/rule_test.h"
#include "lua/test_series.h"

#define RULE(tests)                                                                                \
    "return { name = 'big', params = { max = '10MiB' },\n"                                         \
    "  evaluate = function(target, params)\n"                                                      \
    "    if (target.heap_alloc_bytes or 0) > params.max then\n"                                    \
    "      local sites = target:sites { limit = 1 }\n"                                             \
    "      alert { severity = 'critical', value = target.heap_alloc_bytes, evidence = sites,\n"    \
    "              message = 'the heap is ' .. format_bytes(target.heap_alloc_bytes) }\n"          \
    "    end\n"                                                                                    \
    "  end,\n"                                                                                     \
    "  tests = {" tests "} }"

static bool run(const char *text, struct rule_test_result *result, char report_text[4096])
{
    struct config *config = config_new();
    struct buffer report;
    struct error err;
    cr_assert_not_null(config);
    buffer_init(&report, 4000);
    const bool ok = rule_test_run("big.lua", text, strlen(text), config, &report, result, &err);
    const char *lines = buffer_text(&report);
    (void)snprintf(report_text, 4096, "%s", lines != NULL ? lines : "");
    if (!ok && report_text[0] == '\0')
        (void)snprintf(report_text, 4096, "%s", err.message);
    buffer_release(&report);
    config_free(config);
    return ok;
}

static void expect_pass(const char *text, size_t tests)
{
    struct rule_test_result result;
    char report[4096];
    cr_assert(run(text, &result, report), "%s", report);
    cr_assert_eq(result.run, tests);
    cr_assert_eq(result.failed, 0u);
}

static void expect_failure(const char *text, const char *wanted)
{
    struct rule_test_result result;
    char report[4096];
    cr_assert_not(run(text, &result, report), "passed: %s", text);
    cr_assert_not_null(strstr(report, wanted), "not \"%s\" but:\n%s", wanted, report);
}

Test(rule_test, passes_when_the_rule_does_what_is_expected)
{
    expect_pass(
        RULE("{ name = 'fires', beats = 30, fields = { heap_alloc_bytes = '1MiB+1MiBx29' },"
             "  sites = { { func = 'main.leak', file = 'leak.go', line = 7, primitive = 'runtime.makeslice',"
             "              inuse = '1MiB+1MiBx29' } }, gc = 1,"
             "  expect = { { quiet_until = 10 }, { alert = 'big', severity = 'critical', by = 11, after = 11,"
             "               message = 'the heap is 11 MiB', evidence = 'main.leak', value = '11MiB' } } },"
             "{ name = 'recovers', beats = 60, fields = { heap_alloc_bytes = '20MiBx10 1MiB' },"
             "  expect = { { alert = 'big', by = 1 }, { closed_by = 26 } } },"
             "{ name = 'is quiet', fields = { heap_alloc_bytes = 1000000 }, expect = { { quiet = true } } },"
             "{ name = 'knows nothing', expect = { { quiet = true }, { captures = 0 } } },"
             "{ name = 'params', params = { max = '1GiB' }, fields = { heap_alloc_bytes = '20MiB' },"
             "  expect = { { quiet = true } } }"),
        5);
}

Test(rule_test, says_what_was_expected_and_what_was_seen)
{
    expect_failure(RULE("{ name = 'late', beats = 30, fields = { heap_alloc_bytes = '1MiB+1MiBx29' },"
                        "  expect = { { alert = 'big', by = 5 } } }"),
                   "big.lua: test \"late\": not as expected\n"
                   "  expected alert big by beat 5; it came at beat 11\n"
                   "  seen:\n"
                   "    beat 11: alert big critical firing: the heap is 11 MiB\n");
    expect_failure(RULE("{ name = 'never', expect = { { alert = 'big', by = 5 } } }"),
                   "it never came\n  nothing was seen at all\n");
    expect_failure(RULE("{ name = 'severity', fields = { heap_alloc_bytes = '1GiB' },"
                        "  expect = { { alert = 'big', severity = 'warning', by = 5 } } }"),
                   "expected alert big warning by beat 5; it was there, but its severity is critical");
    expect_failure(RULE("{ name = 'loud', fields = { heap_alloc_bytes = '1GiB' }, expect = { { quiet = true } } }"),
                   "expected nothing up to beat 60; there was something at beat 1");
    expect_failure(RULE("{ name = 'stays', fields = { heap_alloc_bytes = '1GiB' }, expect = { { closed_by = 30 } } }"),
                   "expected nothing open from beat 30 on; there was at beat 30");
    expect_failure(RULE("{ name = 'early', fields = { heap_alloc_bytes = '1GiB' },"
                        "  expect = { { alert = 'big', after = 20, by = 30 } } }"),
                   "not before beat 20; it was there at beat 1");
}

Test(rule_test, names_what_is_wrong_with_a_test)
{
    expect_failure(RULE("{ name = 'x', expct = {} }"), "a test has no `expct`; did you mean `expect`?");
    expect_failure(RULE("{ name = 'x' }"), "`expect` must be a list");
    expect_failure(RULE("{ expect = { { quiet = true } } }"), "a test needs a `name`");
    expect_failure(RULE("{ name = 'x', fields = { heap_aloc_bytes = 1 }, expect = { { quiet = true } } }"),
                   "did you mean `heap_alloc_bytes`?");
    expect_failure(RULE("{ name = 'x', fields = { heap_alloc_bytes = '5 apples' }, expect = { { quiet = true } } }"),
                   "fields.heap_alloc_bytes: \"apples\" is no series");
    expect_failure(RULE("{ name = 'x', sites = { { inuse = 1 } }, expect = { { quiet = true } } }"),
                   "site 1: a site needs `func` and `inuse`");
    expect_failure(RULE("{ name = 'x', beats = 10, expect = { { alert = 'big', by = 11 } } }"),
                   "beat 11, but the test has 10");
    expect_failure(RULE("{ name = 'x', expect = { { alrt = 'big' } } }"), "did you mean `alert`?");
    expect_failure(RULE("{ name = 'x', params = { maxx = 1 }, expect = { { quiet = true } } }"),
                   "did you mean max?");
    expect_failure("return { name = 'x', evaluate = function() end, tests = 5 }",
                   "`tests` must be a list of tables");
}

Test(rule_test, fails_when_the_rule_errs)
{
    expect_failure("return { name = 'x', evaluate = function(t) local a = t.rss_bytes + 1 end,\n"
                   "tests = { { name = 'errs', expect = { { quiet = true } } } } }",
                   "big.lua: test \"errs\": at beat 1: big.lua:1: attempt to perform arithmetic on a nil value");
}

Test(rule_test, plays_restarts_versions_and_intervals)
{
    expect_pass("return { name = 'x', warmup = '30s', go_version = '<1.22', evaluate = function(t)\n"
                "  if t.generation == 2 then alert { message = 'second, age ' .. t.age } end end,\n"
                "tests = {\n"
                "  { name = 'restart', beats = 60, restart_at = 10, target = { go_version = 'go1.21.3' },\n"
                "    expect = { { alert = 'x', after = 40, by = 41, message = 'second' } } },\n"
                "  { name = 'every', every = '10s', beats = 20, restart_at = 10, target = { go_version = 'go1.21.3' },\n"
                "    expect = { { alert = 'x', after = 13, by = 13 } } },\n"
                "  { name = 'version', beats = 60, restart_at = 10, target = { go_version = 'go1.22.0' },\n"
                "    expect = { { quiet = true } } } } }",
                3);
}

/* ---- series ---- */

static void expect_series(const char *text, size_t count, const double *wanted)
{
    const struct config_node node = {.kind = NODE_STRING, .string = text};
    double values[16];
    struct error err;
    cr_assert(test_series_read(&node, values, count, &err), "%s: %s", text, err.message);
    for (size_t i = 0; i < count; i++) {
        if (isnan(wanted[i]))
            cr_assert(isnan(values[i]), "%s: [%zu] is %g", text, i, values[i]);
        else
            cr_assert_float_eq(values[i], wanted[i], 1e-9, "%s: [%zu] is %g", text, i, values[i]);
    }
}

Test(test_series, reads_runs_steps_and_gaps)
{
    expect_series("5", 3, (double[]){5, 5, 5});
    expect_series("5 7 9", 4, (double[]){5, 7, 9, 9});
    expect_series("5x2 6", 4, (double[]){5, 5, 6, 6});
    expect_series("5+2x3 1", 6, (double[]){5, 7, 9, 11, 1, 1});
    expect_series("5-2x2 +10x2", 5, (double[]){5, 3, 1, 11, 21});
    expect_series("1KiB+1KiBx1", 2, (double[]){1024, 2048});
    expect_series("_x2 4 _", 4, (double[]){NAN, NAN, 4, NAN});
}

Test(test_series, refuses_what_is_none)
{
    static const char *const wrong[] = {"", "x5", "5x", "5xx", "5x0", "five", "5+x3", "5+2x99999999999"};
    double values[8];
    struct error err;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        const struct config_node node = {.kind = NODE_STRING, .string = wrong[i]};
        cr_assert_not(test_series_read(&node, values, 8, &err), "%s", wrong[i]);
        cr_assert_neq(err.message[0], '\0');
    }
}
