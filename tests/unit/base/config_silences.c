/* config_silences.c - silences in config.lua. */
#include <criterion/criterion.h>

#include "core/base/config.h"
#include "tests/unit/base/config_support.h"

static void assert_refused(const struct config_node *root, const char *reason)
{
    struct outcome outcome = outcome_of_tree(root);
    cr_assert_geq(outcome.count, 1, "expected: %s", reason);
    cr_assert_not_null(strstr(outcome.problems, reason), "expected: %s\nfound: %s", reason,
                       outcome.problems);
    cr_assert_eq(outcome.config->silence_count, 0, "nothing is silenced by half");
    outcome_release(&outcome);
}

#define SILENCE(...) ROOT(TABLE("silences", ITEM_TABLE(1, __VA_ARGS__)))

Test(config_silences, reads_globs_times_and_severities)
{
    struct outcome outcome = outcome_of_tree(
        ROOT(TABLE("silences",
                   ITEM_TABLE(1, STRING("rule", "heap_*"), STRING("target", "shop"),
                              STRING("until", "2030-01-31T18:00:00Z"), STRING("comment", "test")),
                   ITEM_TABLE(2, STRING("id", "shop/x"), STRING("severity", "warning"),
                              NUMBER("from", 1000)))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->silence_count, 2);
    const struct config_silence *first = &outcome.config->silences[0];
    cr_assert_str_eq(first->rule, "heap_*");
    cr_assert_str_eq(first->target, "shop");
    cr_assert_null(first->id);
    cr_assert_eq(first->from_realtime_ns, 0u);
    cr_assert_eq(first->until_realtime_ns, UINT64_C(1896112800000000000));
    const struct config_silence *second = &outcome.config->silences[1];
    cr_assert_eq(second->severities, 2u);
    cr_assert_eq(second->from_realtime_ns, UINT64_C(1000000000000));
    cr_assert_eq(second->until_realtime_ns, UINT64_MAX);
    outcome_release(&outcome);
}

Test(config_silences, names_what_is_wrong)
{
    assert_refused(SILENCE(STRING("comment", "why")), "silences[1]: which alerts?");
    assert_refused(SILENCE(STRING("rul", "x")), "did you mean rule?");
    assert_refused(SILENCE(STRING("rule", "x"), STRING("until", "tomorrow")), "silences[1].until");
    assert_refused(SILENCE(STRING("rule", "x"), STRING("severity", "bad")), "info, warning or critical");
    assert_refused(SILENCE(NUMBER("rule", 5)), "a text of 1 to 256 bytes");
    assert_refused(ROOT(STRING("silences", "all")), "a list of at most 256 silences");
}

Test(config_silences, knows_which_times_there_are)
{
    uint64_t ns = 0;
    cr_assert(config_parse_time("1970-01-01T00:00:01Z", &ns));
    cr_assert_eq(ns, UINT64_C(1000000000));
    cr_assert(config_parse_time("2030-01-31T20:00:00+02:00", &ns));
    cr_assert_eq(ns, UINT64_C(1896112800000000000));
    cr_assert(config_parse_time("2030-01-31T12:30:00-05:30", &ns));
    cr_assert_eq(ns, UINT64_C(1896112800000000000));
    static const char *const wrong[] = {
        "", "now", "2030-01-31", "2030-02-30T00:00:00Z", "2030-13-01T00:00:00Z",
        "2030-01-31T18:00:00", "2030-01-31T18:00:00ZZ", "2030-01-31T25:00:00Z",
        "1970-01-01T00:00:00+01:00", "2030-01-31T18:00:00+99:00"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert_not(config_parse_time(wrong[i], &ns), "%s", wrong[i]);
}
