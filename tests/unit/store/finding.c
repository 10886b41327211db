/* finding.c - sets and reports keep their own copies. */
#include "core/store/finding.h"

#include <criterion/criterion.h>
#include <math.h>

Test(finding_set, owns_a_copy_of_every_text_label_and_piece_of_evidence)
{
    char id[] = "demo/heap_high";
    char function[] = "main.leak";
    char label[] = "route";
    struct evidence evidence = {
        .function = function, .file = "main.go", .line = 12, .bytes = 99, .percent = 40};
    struct key_value labels[] = {{.key = label, .value = "/leak"}};
    const struct finding finding = {
        .kind = FINDING_ALERT,
        .state = FINDING_FIRING,
        .severity = SEVERITY_CRITICAL,
        .id = id,
        .value = NAN,
        .labels = labels,
        .label_count = 1,
        .evidence = &evidence,
        .evidence_count = 1,
        .created_realtime_ns = 5,
    };
    const struct finding_set *set = finding_set_new(&finding, 1, 17);
    id[0] = function[0] = label[0] = 'X';
    evidence.line = 0;
    cr_assert_eq(set->sequence, 17);
    cr_assert_eq(set->count, 1);
    const struct finding *copy = &set->findings[0];
    cr_assert_str_eq(copy->id, "demo/heap_high");
    cr_assert_str_eq(copy->advice, ""); /* never NULL */
    cr_assert_str_eq(copy->labels[0].key, "route");
    cr_assert_str_eq(copy->labels[0].value, "/leak");
    cr_assert_str_eq(copy->evidence[0].function, "main.leak");
    cr_assert_eq(copy->evidence[0].line, 12);
    cr_assert_eq(copy->severity, SEVERITY_CRITICAL);
    cr_assert(isnan(copy->value));
    cr_assert_eq(copy->created_realtime_ns, 5);
    finding_set_ref(set);
    finding_set_unref(set);
    cr_assert_str_eq(copy->evidence[0].file, "main.go");
    finding_set_unref(set);
    finding_set_unref(NULL);
}

Test(finding_set, may_be_empty)
{
    const struct finding_set *set = finding_set_new(NULL, 0, 1);
    cr_assert_not_null(set);
    cr_assert_eq(set->count, 0);
    finding_set_unref(set);
}

Test(finding_set, refuses_more_than_its_cap)
{
    /* 2000 findings of one long message each: more than a set may hold. */
    enum { COUNT = 2000, LONG_BYTES = 64 << 10 };
    char *text = calloc(1, LONG_BYTES);
    memset(text, 'm', LONG_BYTES - 1);
    struct finding *findings = calloc(COUNT, sizeof(*findings));
    for (size_t i = 0; i < COUNT; i++)
        findings[i].message = text;
    cr_assert_null(finding_set_new(findings, COUNT, 1));
    free(findings);
    free(text);
}

Test(rules_report, owns_a_copy_of_every_text)
{
    char name[] = "heap_high";
    const struct rule_status rule = {
        .name = name, .state = RULE_FAILING, .evaluations = 3, .last_error = "rules/x.lua:3: no"};
    const struct rules_report report = {
        .generation = 2, .reload_error = "rules/y.lua:1: broken", .count = 1, .rules = &rule};
    const struct rules_report *copy = rules_report_new(&report);
    name[0] = 'X';
    cr_assert_str_eq(copy->rules[0].name, "heap_high");
    cr_assert_str_eq(copy->rules[0].doc, "");
    cr_assert_str_eq(copy->rules[0].last_error, "rules/x.lua:3: no");
    cr_assert_str_eq(copy->reload_error, "rules/y.lua:1: broken");
    cr_assert_eq(copy->rules[0].evaluations, 3);
    cr_assert_eq(copy->generation, 2);
    rules_report_unref(rules_report_ref(copy));
    rules_report_unref(copy);
    rules_report_unref(NULL);
}

Test(severity, is_parsed_from_the_words_it_prints)
{
    for (int i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++) {
        enum severity parsed = SEVERITY_INFO;
        cr_assert(severity_parse(severity_name((enum severity)i), &parsed));
        cr_assert_eq((int)parsed, i);
    }
    enum severity untouched = SEVERITY_WARNING;
    cr_assert_not(severity_parse("Critical", &untouched));
    cr_assert_not(severity_parse("", &untouched));
    cr_assert_eq(untouched, SEVERITY_WARNING);
}

Test(finding_state, is_parsed_from_the_words_it_prints)
{
    for (int i = FINDING_PENDING; i <= FINDING_RESOLVED; i++) {
        enum finding_state parsed = FINDING_PENDING;
        cr_assert(finding_state_parse(finding_state_name((enum finding_state)i), &parsed));
        cr_assert_eq((int)parsed, i);
    }
    enum finding_state untouched = FINDING_FIRING;
    cr_assert_not(finding_state_parse("open", &untouched));
}

Test(rule_state, has_the_words_of_the_api)
{
    cr_assert_str_eq(rule_state_name(RULE_OK), "ok");
    cr_assert_str_eq(rule_state_name(RULE_DISABLED), "disabled");
    cr_assert_str_eq(rule_state_name(RULE_FAILING), "failing");
    cr_assert_str_eq(rule_state_name(RULE_SUSPENDED), "suspended");
}
