/* judge_test.c - rules and targets together: isolation, failures, lifecycle, reload. */
#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/base/log.h"
#include "lua/judge.h"
#include "stage.h"

static const char always_alert[] = "return { name = 'always', evaluate = function(target)\n"
                                   "  alert { message = 'here is ' .. target.id }\n"
                                   "end }\n";

static void beats(struct stage *stage, size_t count)
{
    for (size_t i = 0; i < count; i++)
        stage_beat(stage);
}

static struct stage_target *open_with_rule(struct stage *stage, const char *text)
{
    stage_open(stage);
    stage_write_rule(stage, "one.lua", text);
    stage_load(stage);
    return stage_add_target(stage, "demo");
}

/* ---- what a rule sees ---- */

Test(judge, shows_fields_and_nil_for_what_is_not_known)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(
        &stage, "return { name = 'one', evaluate = function(t)\n"
                "  alert { message = string.format('%d %s %s %s %s %.0f', t.heap_alloc_bytes,\n"
                "    t.goroutines, t.id, t.go_version, t:go_before('1.27'), t.age) }\n"
                "end }");
    stage_set(target, "heap_alloc_bytes", 4096);
    stage_beat(&stage);
    const struct finding *finding = stage_find(&stage, FINDING_ALERT, "demo/one");
    cr_assert_not_null(finding, "%s", stage_rule(&stage, "one")->last_error);
    cr_assert_str_eq(finding->message, "4096 nil demo go1.26.8 true 3601");
    stage_close(&stage);
}

Test(judge, names_a_misspelt_field_with_the_line)
{
    struct stage stage;
    (void)open_with_rule(&stage, "return { name = 'one', evaluate = function(t)\n"
                                 "  return t.heap_aloc_bytes\n"
                                 "end }");
    stage_beat(&stage);
    const struct rule_status *rule = stage_rule(&stage, "one");
    cr_assert_not_null(strstr(rule->last_error, "one.lua:2: target has no 'heap_aloc_bytes'; "
                                                "did you mean 'heap_alloc_bytes'?"),
                       "%s", rule->last_error);
    cr_assert_eq(strncmp(rule->last_error, stage.dir, strlen(stage.dir)), 0);
    stage_close(&stage);
}

Test(judge, computes_trends_rates_percentiles_and_earlier_snapshots)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(
        &stage, "return { name = 'one', evaluate = function(t)\n"
                "  local trend = t:trend('goroutines', '1m')\n"
                "  if not trend or trend.points < 10 then return end\n"
                "  local before = t:prev()\n"
                "  alert { message = string.format('%.1f %d %d %d %.1f %.1f %d %s %s', trend.per_second,\n"
                "    trend.first, trend.last, trend.falls, t:rate('mallocs', 60),\n"
                "    t:percentile('goroutines', 60, 50), before.goroutines, t:prev(100),\n"
                "    t:trend('threads', 60)) }\n"
                "end }");
    for (int i = 0; i < 10; i++) {
        stage_set(target, "goroutines", 100 + 5 * i);
        stage_set(target, "mallocs", 1000 * i);
        stage_beat(&stage);
    }
    const struct finding *finding = stage_find(&stage, FINDING_ALERT, "one");
    cr_assert_not_null(finding, "%s", stage_rule(&stage, "one")->last_error);
    cr_assert_str_eq(finding->message, "5.0 100 145 0 1000.0 122.5 140 nil nil");
    stage_close(&stage);
}

Test(judge, lists_sites_by_primitive_with_growth_and_churn)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(
        &stage,
        "return { name = 'one', evaluate = function(t)\n"
        "  local s = t:sites { primitive = 'runtime.growslice', sort = 'churn', window = '1m' }\n"
        "  if not s or not s.seconds or s.seconds < 4 then return end\n"
        "  alert { message = string.format('%d %s:%d %s churn %d of %.0f%% growth %d matched %d', #s,\n"
        "    s[1].func, s[1].line, s[1].primitive, s[1].churn_bytes, s.churn_percent,\n"
        "    s[1].growth_bytes, s.matched), evidence = s }\n"
        "end }");
    struct stage_site *append = stage_add_site(target, "main.collect", "main.go", 7, "runtime.growslice");
    struct stage_site *other = stage_add_site(target, "main.other", "main.go", 9, "runtime.newobject");
    for (int i = 0; i < 5; i++) {
        append->alloc_bytes = 3000 * i + 1000;
        append->inuse_bytes = 100 * i + 10;
        other->alloc_bytes = 1000 * i + 5000;
        other->inuse_bytes = 500;
        target->profile_due = true;
        stage_beat(&stage);
    }
    const struct finding *finding = stage_find(&stage, FINDING_ALERT, "one");
    cr_assert_not_null(finding, "%s", stage_rule(&stage, "one")->last_error);
    cr_assert_str_eq(finding->message, "1 main.collect:7 runtime.growslice churn 12000 of 75% growth 400 matched 1");
    cr_assert_eq(finding->evidence_count, 1);
    cr_assert_str_eq(finding->evidence[0].function, "main.collect");
    cr_assert_eq(finding->evidence[0].bytes, 12000);
    stage_close(&stage);
}

Test(judge, filters_sites_by_function_and_refuses_unknown_options)
{
    struct stage stage;
    struct stage_target *target =
        open_with_rule(&stage, "return { name = 'one', evaluate = function(t)\n"
                               "  local s = t:sites { func = '^main%.l' }\n"
                               "  alert { message = #s .. s[1].func }\n"
                               "  t:sites { sortt = 'inuse' }\n"
                               "end }");
    stage_add_site(target, "main.leak", "main.go", 7, "runtime.growslice")->inuse_bytes = 1000;
    stage_add_site(target, "main.other", "main.go", 7, "runtime.growslice")->inuse_bytes = 2000;
    target->profile_due = true;
    stage_beat(&stage);
    cr_assert_not_null(strstr(stage_rule(&stage, "one")->last_error,
                              "one.lua:4: sites{}: unknown member 'sortt'; did you mean 'sort'?"),
                       "%s", stage_rule(&stage, "one")->last_error);
    stage_close(&stage);
}

Test(judge, refuses_the_target_and_its_snapshots_outside_of_evaluate)
{
    struct stage stage;
    (void)open_with_rule(&stage, "local kept\n"
                                 "return { name = 'one', evaluate = function(t)\n"
                                 "  if kept then return kept.goroutines end\n"
                                 "  kept = t:prev()\n"
                                 "end }");
    beats(&stage, 3);
    cr_assert_not_null(strstr(stage_rule(&stage, "one")->last_error,
                              "one.lua:3: an earlier snapshot is only good within the evaluation"),
                       "%s", stage_rule(&stage, "one")->last_error);
    stage_close(&stage);
}

/* ---- what a rule says ---- */

static void expect_rule_error(const char *body, const char *wanted)
{
    struct stage stage;
    char text[1024];
    (void)snprintf(text, sizeof(text), "return { name = 'one', evaluate = function(t)\n%s\nend }", body);
    (void)open_with_rule(&stage, text);
    stage_beat(&stage);
    const struct rule_status *rule = stage_rule(&stage, "one");
    cr_assert_not_null(strstr(rule->last_error, wanted), "%s\nfailed with: %s\ninstead of: %s", body,
                       rule->last_error, wanted);
    cr_assert_eq(stage_open_findings(&stage), 0);
    stage_close(&stage);
}

Test(judge, names_what_is_wrong_with_a_finding)
{
    expect_rule_error("alert { }", "one.lua:2: alert{}: message is missing");
    expect_rule_error("alert { mesage = 'x' }", "unknown member 'mesage'; did you mean 'message'?");
    expect_rule_error("alert { message = 5 }", "message must be a string, not a number");
    expect_rule_error("alert { message = 'x', severity = 'bad' }", "\"info\", \"warning\" or \"critical\", not \"bad\"");
    expect_rule_error("alert { message = 'x', value = '5' }", "value must be a number, not a string");
    expect_rule_error("alert { message = ('x'):rep(5000) }", "message is too long (5000 bytes; 4096 are allowed)");
    expect_rule_error("alert { message = 'x', evidence = { 'y' } }", "evidence must be a list of tables");
    expect_rule_error("alert { message = 'x', labels = { 'y' } }", "a name must be a string");
    expect_rule_error("for i = 1, 40 do alert { id = 'i' .. i, message = 'x' } end", "more than 32 findings");
    expect_rule_error("log('loud', 'x')", "a level is");
    expect_rule_error("capture { why = 'x' }", "the only member is 'reason'");
    expect_rule_error("t.x = 5", "a target is read-only");
    expect_rule_error("t.trend('goroutines')", "with a colon");
    expect_rule_error("t:trend('goroutines', '5 bananas')", "a window is a number of seconds");
    expect_rule_error("error({})", "error value is a table");
}

Test(judge, carries_everything_a_finding_has)
{
    struct stage stage;
    (void)open_with_rule(
        &stage, "return { name = 'one', doc = 'docs/rules.md#one', evaluate = function(t)\n"
                "  suggest { id = 'x', severity = 'critical', message = 'm', value = 2.5, type_name = 'T',\n"
                "    tag = 'g', advice = 'a', labels = { team = 'blue', n = 3 },\n"
                "    evidence = { { func = 'f', file = 'x.go', line = 3, bytes = 10, objects = 2, percent = 50 } } }\n"
                "end }");
    stage_beat(&stage);
    const struct finding *finding = stage_find(&stage, FINDING_SUGGESTION, "demo/one/x");
    cr_assert_not_null(finding, "%s", stage_rule(&stage, "one")->last_error);
    cr_assert_eq(finding->severity, SEVERITY_CRITICAL);
    cr_assert_str_eq(finding->rule, "one");
    cr_assert_str_eq(finding->target, "demo");
    cr_assert_str_eq(finding->doc, "docs/rules.md#one");
    cr_assert_str_eq(finding->type_name, "T");
    cr_assert_str_eq(finding->tag, "g");
    cr_assert_str_eq(finding->advice, "a");
    cr_assert_eq(finding->label_count, 2);
    cr_assert_eq(finding->evidence_count, 1);
    cr_assert_eq(finding->evidence[0].line, 3);
    cr_assert_eq(finding->created_realtime_ns, STAGE_START_NS + UINT64_C(1000000000));
    stage_close(&stage);
}

/* ---- isolation ---- */

Test(judge, keeps_targets_apart)
{
    struct stage stage;
    (void)open_with_rule(&stage, "return { name = 'one', evaluate = function(t)\n"
                                 "  t.state.count = (t.state.count or 0) + 1\n"
                                 "  alert { message = t.id .. ' ' .. t.state.count }\n"
                                 "end }");
    struct stage_target *second = stage_add_target(&stage, "other");
    second->hidden = true;
    beats(&stage, 3);
    second->hidden = false;
    beats(&stage, 2);
    cr_assert_str_eq(stage_find(&stage, FINDING_ALERT, "demo/")->message, "demo 5");
    cr_assert_str_eq(stage_find(&stage, FINDING_ALERT, "other/")->message, "other 2");
    stage_close(&stage);
}

Test(judge, goes_on_with_the_others_when_one_rule_fails)
{
    struct stage stage;
    stage_open(&stage);
    stage_write_rule(&stage, "a_fails.lua", "return { name = 'fails', evaluate = function(t) error('no') end }");
    stage_write_rule(&stage, "b_loops.lua", "return { name = 'loops', evaluate = function(t)\n"
                                            "  while true do pcall(function() while true do end end) end\n"
                                            "end }");
    stage_write_rule(&stage, "c_eats.lua", "local all = {}\n"
                                           "return { name = 'eats', evaluate = function(t)\n"
                                           "  while true do all[#all + 1] = ('x'):rep(1000) .. #all end\n"
                                           "end }");
    stage_write_rule(&stage, "d_fine.lua", always_alert);
    stage_load(&stage);
    stage_add_target(&stage, "demo");
    beats(&stage, 30);
    cr_assert_not_null(stage_find(&stage, FINDING_ALERT, "always"));
    cr_assert_eq(stage_rule(&stage, "always")->evaluations, 30);
    cr_assert_eq(stage_rule(&stage, "fails")->state, RULE_SUSPENDED);
    cr_assert_eq(stage_rule(&stage, "loops")->state, RULE_SUSPENDED);
    cr_assert_geq(stage_rule(&stage, "loops")->limit_exceeded, 1);
    /* Suspended for 10 s, then 20 s: two tries in 30 beats, three failures before it for a plain error. */
    cr_assert_leq(stage_rule(&stage, "loops")->evaluations, 3);
    cr_assert_geq(stage_rule(&stage, "fails")->evaluations, 4);
    cr_assert_leq(stage_rule(&stage, "fails")->evaluations, 6);
    cr_assert_geq(stage_rule(&stage, "eats")->evaluations, 2);
    cr_assert_lt(stage_rule(&stage, "eats")->memory_bytes, (uint64_t)1 << 20);
    stage_close(&stage);
}

Test(judge, lets_a_suspended_rule_come_back_by_itself)
{
    struct stage stage;
    struct stage_target *target =
        open_with_rule(&stage, "return { name = 'one', evaluate = function(t)\n"
                               "  alert { message = 'has ' .. t.goroutines }\n"
                               "end }");
    beats(&stage, 5); /* goroutines is nil: an error */
    cr_assert_eq(stage_rule(&stage, "one")->state, RULE_SUSPENDED);
    stage_set(target, "goroutines", 7);
    beats(&stage, 12);
    cr_assert_eq(stage_rule(&stage, "one")->state, RULE_OK);
    cr_assert_not_null(stage_find(&stage, FINDING_ALERT, "one"));
    stage_close(&stage);
}

/* ---- lifecycle ---- */

static const char above_ten[] = "return { name = 'one', for_ = '3s', clear_for = '5s', evaluate = function(t)\n"
                                "  if t.goroutines > 10 then\n"
                                "    alert { message = 'many', severity = t.goroutines > 20 and 'critical' or 'warning' }\n"
                                "    suggest { message = 'fewer' }\n"
                                "  end\n"
                                "end }\n";

Test(judge, takes_an_alert_from_pending_to_firing_to_resolved)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(&stage, above_ten);
    stage_set(target, "goroutines", 5);
    beats(&stage, 2);
    cr_assert_eq(stage_open_findings(&stage), 0);

    stage_set(target, "goroutines", 15);
    stage_beat(&stage);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "one")->state, FINDING_PENDING);
    cr_assert_null(stage_find(&stage, FINDING_SUGGESTION, "one"), "advice is kept back while it waits");
    cr_assert_eq(stage.capture_count, 0);
    const uint64_t created_ns = stage_find(&stage, FINDING_ALERT, "one")->created_realtime_ns;
    beats(&stage, 3);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "one")->state, FINDING_FIRING);
    cr_assert_eq(stage_find(&stage, FINDING_SUGGESTION, "one")->state, FINDING_FIRING);
    cr_assert_eq(stage.capture_count, 1);
    cr_assert_str_eq(stage.captures[0], "alert demo demo/one");

    stage_set(target, "goroutines", 25); /* rises in severity: once more */
    beats(&stage, 2);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "one")->severity, SEVERITY_CRITICAL);
    cr_assert_eq(stage.capture_count, 2);

    stage_set(target, "goroutines", 15); /* falls only after clear_for */
    stage_beat(&stage);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "one")->severity, SEVERITY_CRITICAL);
    beats(&stage, 5);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "one")->severity, SEVERITY_WARNING);

    stage_set(target, "goroutines", 5);
    beats(&stage, 4);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "one")->state, FINDING_FIRING);
    stage_beat(&stage);
    const struct finding *finding = stage_find(&stage, FINDING_ALERT, "one");
    cr_assert_eq(finding->state, FINDING_RESOLVED);
    cr_assert_eq(finding->created_realtime_ns, created_ns);
    cr_assert_eq(finding->resolved_realtime_ns, STAGE_START_NS + stage.beat * UINT64_C(1000000000));
    cr_assert_null(stage_find(&stage, FINDING_SUGGESTION, "one"), "a suggestion that no longer holds just goes");
    cr_assert_eq(stage.capture_count, 2);

    stage_set(target, "goroutines", 15); /* opens again: a new one */
    beats(&stage, 4);
    finding = stage_find(&stage, FINDING_ALERT, "one");
    cr_assert_eq(finding->state, FINDING_FIRING);
    cr_assert_gt(finding->created_realtime_ns, created_ns);
    cr_assert_eq(stage.capture_count, 3);
    stage_close(&stage);
}

Test(judge, forgets_resolved_alerts_after_a_quarter_of_an_hour)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(&stage, above_ten);
    stage_set(target, "goroutines", 15);
    beats(&stage, 5);
    stage_set(target, "goroutines", 5);
    beats(&stage, 10);
    cr_assert_not_null(stage_find(&stage, FINDING_ALERT, "one"));
    beats(&stage, 900);
    cr_assert_null(stage_find(&stage, FINDING_ALERT, "one"));
    stage_close(&stage);
}

Test(judge, does_not_flap_at_a_threshold)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(&stage, above_ten);
    for (int i = 0; i < 60; i++) {
        stage_set(target, "goroutines", i < 5 || i % 2 == 0 ? 11 : 10);
        stage_beat(&stage);
        if (i > 10)
            cr_assert_not_null(stage_find(&stage, FINDING_SUGGESTION, "one"));
    }
    stage_close(&stage);
}

Test(judge, says_nothing_new_about_a_target_that_stands_still)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(&stage, always_alert);
    beats(&stage, 3);
    target->stalled = true;
    target->state = TARGET_FAILING;
    beats(&stage, 30);
    cr_assert_eq(stage_rule(&stage, "always")->evaluations, 3);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "always")->state, FINDING_FIRING);
    stage_close(&stage);
}

Test(judge, closes_the_findings_of_a_target_that_is_gone)
{
    struct stage stage;
    struct stage_target *target = open_with_rule(&stage, always_alert);
    stage_beat(&stage);
    target->state = TARGET_GONE;
    target->stalled = true;
    stage_beat(&stage);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "always")->state, FINDING_RESOLVED);
    target->state = TARGET_UP;
    target->stalled = false;
    target->generation = 2;
    stage_beat(&stage);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "always")->state, FINDING_FIRING);
    target->hidden = true;
    stage_beat(&stage);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "always")->state, FINDING_RESOLVED);
    stage_close(&stage);
}

Test(judge, raises_no_alerts_where_alerting_is_off)
{
    struct stage stage;
    stage_open(&stage);
    stage.config->alerting_enabled = false;
    stage_write_rule(&stage, "one.lua", above_ten);
    stage_load(&stage);
    struct stage_target *target = stage_add_target(&stage, "demo");
    stage_set(target, "goroutines", 15);
    beats(&stage, 10);
    cr_assert_null(stage_find(&stage, FINDING_ALERT, "one"));
    cr_assert_not_null(stage_find(&stage, FINDING_SUGGESTION, "one"));
    cr_assert_eq(stage.capture_count, 0);
    stage_close(&stage);
}

Test(judge, asks_for_the_captures_that_rules_want)
{
    struct stage stage;
    (void)open_with_rule(&stage, "return { name = 'one', evaluate = function(t) capture { reason = 'why' } end }");
    stage_beat(&stage);
    cr_assert_eq(stage.capture_count, 1);
    cr_assert_str_eq(stage.captures[0], "rule demo -");
    stage_close(&stage);
}

/* ---- loading and reloading ---- */

static void expect_load_error(const char *text, const char *wanted)
{
    struct stage stage;
    struct error err;
    stage_open(&stage);
    stage_write_rule(&stage, "broken.lua", text);
    cr_assert_not(judge_load(stage.judge, stage.config, STAGE_START_NS, NULL, &err));
    cr_assert_not_null(strstr(err.message, wanted), "%s\nfailed with: %s\ninstead of: %s", text,
                       err.message, wanted);
    cr_assert_not_null(strstr(err.message, "/broken.lua:"), "%s", err.message);
    stage_close(&stage);
}

Test(judge, refuses_rule_files_that_are_wrong)
{
    expect_load_error("return {", "broken.lua:1: ");
    expect_load_error("x = 1", "broken.lua:1: assignment to global 'x'");
    expect_load_error("while true do end", "ran past its budget of 500000 instructions");
    expect_load_error("return 5", "a rule file returns one table, not a number");
    expect_load_error("return { name = 'Big', evaluate = function() end }", "`name` must be");
    expect_load_error("return { name = 'a' }", "`evaluate` must be a function, not a nil");
    expect_load_error("return { name = 'a', evalute = function() end }", "did you mean `evaluate`?");
    expect_load_error("return { name = 'a', params = { x = {} }, evaluate = function() end }", "params.x must be");
    expect_load_error("return { name = 'a', clear_for = 'soon', evaluate = function() end }", "`clear_for` must be a duration");
    expect_load_error("alert { message = 'x' } return {}", "broken.lua:1: alert may only be called inside evaluate()");
    expect_load_error("\x1bLuaR", "bytecode");
}

Test(judge, refuses_two_rules_of_one_name)
{
    struct stage stage;
    struct error err;
    stage_open(&stage);
    stage_write_rule(&stage, "a.lua", always_alert);
    stage_write_rule(&stage, "b.lua", always_alert);
    cr_assert_not(judge_load(stage.judge, stage.config, STAGE_START_NS, NULL, &err));
    cr_assert_not_null(strstr(err.message, "/b.lua: there is already a rule `always`, in "));
    stage_close(&stage);
}

Test(judge, keeps_the_old_rules_when_a_file_is_broken_and_says_where)
{
    struct stage stage;
    struct error err;
    struct buffer problems;
    (void)open_with_rule(&stage, always_alert);
    stage_beat(&stage);
    stage_write_rule(&stage, "two.lua", "return {\n  name = 'two',\n  evaluate = function( end }");
    stage_write_rule(&stage, "three.lua", "return {\n  name = 3 }");
    buffer_init(&problems, 4096);
    cr_assert_not(judge_load(stage.judge, stage.config, STAGE_START_NS, &problems, &err));
    const char *text = buffer_text(&problems);
    cr_assert_not_null(strstr(text, "/three.lua: `name` must be"), "%s", text);
    cr_assert_not_null(strstr(text, "/two.lua:3: "), "%s", text);
    buffer_release(&problems);
    beats(&stage, 2);
    cr_assert_eq(stage_rule(&stage, "always")->evaluations, 3);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "always")->state, FINDING_FIRING);
    const struct rules_report *report = stage_report(&stage);
    cr_assert_eq(report->generation, 1);
    cr_assert_eq(report->reloads_failed, 1);
    cr_assert_not_null(strstr(report->reload_error, "/three.lua"), "%s", report->reload_error);

    stage_write_rule(&stage, "two.lua", "return { name = 'two', evaluate = function() end }");
    stage_write_rule(&stage, "three.lua", "return { name = 'three', evaluate = function() end }");
    stage_load(&stage);
    stage_beat(&stage);
    report = stage_report(&stage);
    cr_assert_eq(report->generation, 2);
    cr_assert_str_eq(report->reload_error, "");
    cr_assert_eq(report->count, 3);
    cr_assert_eq(stage_rule(&stage, "always")->evaluations, 4, "counts go on over a reload");
    stage_close(&stage);
}

Test(judge, carries_the_state_of_targets_over_a_reload)
{
    static const char text[] = "return { name = 'one', evaluate = function(t)\n"
                               "  local s = t.state\n"
                               "  s.deep = s.deep or { list = {} }\n"
                               "  table.insert(s.deep.list, t.id)\n"
                               "  s.odd = function() end\n"
                               "  alert { message = tostring(#s.deep.list) }\n"
                               "end }";
    struct stage stage;
    (void)open_with_rule(&stage, text);
    beats(&stage, 3);
    stage_load(&stage);
    stage_beat(&stage);
    cr_assert_str_eq(stage_find(&stage, FINDING_ALERT, "one")->message, "4");
    stage_close(&stage);
}

/* Keys made of two names often have a zero byte between them; counters pass 2^53. */
Test(judge, carries_state_exactly)
{
    static const char text[] =
        "return { name = 'one', evaluate = function(t)\n"
        "  local s = t.state\n"
        "  if not s.begun then\n"
        "    s.begun = true\n"
        "    s['a\\0b'] = 'c\\0d'\n"
        "    s.whole, s.part, s.round = math.maxinteger, 0.1, 2.0\n"
        "    s[-3], s[0.5], s[true] = 'minus', 'half', 'yes'\n"
        "    s[log], s.log, s.t = 1, log, t; s[{}] = 2\n"
        "    s.last = setmetatable({ 1 }, { __index = { 'no' } })\n"
        "    return\n"
        "  end\n"
        "  local count = 0\n"
        "  for _ in pairs(s) do count = count + 1 end\n"
        "  alert { message = table.concat({ s['a\\0b'] == 'c\\0d' and 'zero' or 'lost',\n"
        "    tostring(s.whole == math.maxinteger), tostring(s.part == 0.1), math.type(s.round), s[-3], s[0.5], s[true],\n"
        "    #s.last, tostring(s.last[2]), count }, ' ') }\n"
        "end }";
    struct stage stage;
    (void)open_with_rule(&stage, text);
    stage_beat(&stage);
    stage_load(&stage);
    stage_beat(&stage);
    cr_assert_str_eq(stage_find(&stage, FINDING_ALERT, "one")->message,
                     "zero true true float minus half yes 1 nil 9");
    stage_close(&stage);
}

Test(judge, closes_the_findings_of_a_rule_that_was_removed)
{
    struct stage stage;
    (void)open_with_rule(&stage, always_alert);
    stage_beat(&stage);
    stage_write_rule(&stage, "one.lua", "return { name = 'quiet', evaluate = function() end }");
    stage_load(&stage);
    stage_beat(&stage);
    cr_assert_eq(stage_find(&stage, FINDING_ALERT, "always")->state, FINDING_RESOLVED);
    stage_close(&stage);
}

/* ---- params ---- */

static const char with_params[] =
    "return { name = 'one', params = { rate = '256KiB/s', window = '10m', share = '30%', n = 5,\n"
    "  on = true, word = 'abc' }, evaluate = function(t, p)\n"
    "  alert { message = string.format('%.0f %.0f %.0f %.0f %s %s', p.rate, p.window, p.share, p.n,\n"
    "    p.on, p.word) }\n"
    "end }";

static void set_override(struct stage *stage, struct config_rule *rule, struct config_node *params,
                         const struct config_node *children, size_t count)
{
    *params = (struct config_node){.kind = NODE_TABLE, .children = children, .child_count = count};
    *rule = (struct config_rule){.name = "one", .enabled = true, .params = params};
    stage->config->rules = rule;
    stage->config->rule_count = 1;
}

Test(judge, turns_params_with_units_into_numbers_and_applies_overrides)
{
    struct stage stage;
    struct config_rule rule;
    struct config_node params;
    static const struct config_node children[] = {
        {.kind = NODE_STRING, .key = "rate", .string = "1MiB/s"},
        {.kind = NODE_NUMBER, .key = "window", .number = 90},
        {.kind = NODE_BOOL, .key = "on", .boolean = false},
        {.kind = NODE_STRING, .key = "word", .string = "x"},
    };
    (void)open_with_rule(&stage, with_params);
    stage_beat(&stage);
    cr_assert_str_eq(stage_find(&stage, FINDING_ALERT, "one")->message, "262144 600 30 5 true abc");
    set_override(&stage, &rule, &params, children, 4);
    stage_load(&stage);
    stage_beat(&stage);
    cr_assert_str_eq(stage_find(&stage, FINDING_ALERT, "one")->message, "1048576 90 30 5 false x");
    stage_close(&stage);
}

Test(judge, refuses_overrides_that_do_not_fit)
{
    static const struct {
        struct config_node node;
        const char *wanted;
    } cases[] = {
        {{.kind = NODE_STRING, .key = "rat", .string = "1MiB/s"}, "config: rules.one.rat: the rule has no such param; did you mean rate?"},
        {{.kind = NODE_STRING, .key = "rate", .string = "10m"}, "config: rules.one.rate must be a rate like \"256KiB/s\""},
        {{.kind = NODE_STRING, .key = "window", .string = "64MiB"}, "rules.one.window must be a duration like \"10m\""},
        {{.kind = NODE_NUMBER, .key = "on", .number = 1}, "rules.one.on must be true or false"},
        {{.kind = NODE_BOOL, .key = "word", .boolean = true}, "rules.one.word must be a text"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage stage;
        struct config_rule rule;
        struct config_node params;
        struct error err;
        stage_open(&stage);
        stage_write_rule(&stage, "one.lua", with_params);
        set_override(&stage, &rule, &params, &cases[i].node, 1);
        cr_assert_not(judge_load(stage.judge, stage.config, STAGE_START_NS, NULL, &err));
        cr_assert_not_null(strstr(err.message, cases[i].wanted), "%s", err.message);
        stage_close(&stage);
    }
}

Test(judge, refuses_settings_for_a_rule_that_does_not_exist)
{
    struct stage stage;
    struct error err;
    struct config_rule rule = {.name = "alway", .enabled = true};
    stage_open(&stage);
    stage_write_rule(&stage, "one.lua", always_alert);
    stage.config->rules = &rule;
    stage.config->rule_count = 1;
    cr_assert_not(judge_load(stage.judge, stage.config, STAGE_START_NS, NULL, &err));
    cr_assert_not_null(strstr(err.message, "config: rules.alway: there is no such rule"), "%s", err.message);
    cr_assert_not_null(strstr(err.message, "did you mean always?"), "%s", err.message);
    stage_close(&stage);
}

Test(judge, does_not_run_a_rule_that_is_switched_off)
{
    struct stage stage;
    struct config_rule rule = {.name = "always", .enabled = false};
    stage_open(&stage);
    stage_write_rule(&stage, "one.lua", always_alert);
    stage.config->rules = &rule;
    stage.config->rule_count = 1;
    stage_load(&stage);
    stage_add_target(&stage, "demo");
    beats(&stage, 3);
    cr_assert_eq(stage_rule(&stage, "always")->state, RULE_DISABLED);
    cr_assert_eq(stage_open_findings(&stage), 0);
    stage_close(&stage);
}

/* ---- idle targets ---- */

#define COUNTING                                                                                   \
    "return { name = 'counting', evaluate = function(target)\n"                                    \
    "  if (target.goroutines or 0) > 100 then alert { message = 'many' } end end }"

static struct stage_target *open_resting(struct stage *stage)
{
    stage_open_resting(stage);
    stage_write_rule(stage, "counting.lua", COUNTING);
    stage_load(stage);
    struct stage_target *target = stage_add_target(stage, "idle");
    stage_set(target, "num_gc", 3);
    stage_set(target, "total_alloc_bytes", 4096);
    stage_set(target, "goroutines", 5);
    stage_set(target, "rss_bytes", 1 << 20);
    return target;
}

static uint64_t evaluations(struct stage *stage)
{
    return stage_rule(stage, "counting")->evaluations;
}

Test(judge, looks_at_an_idle_target_each_tenth_beat)
{
    struct stage stage;
    (void)open_resting(&stage);
    for (int i = 0; i < 41; i++)
        stage_beat(&stage);
    cr_expect_eq(evaluations(&stage), 5);
    stage_close(&stage);
}

Test(judge, looks_at_a_target_at_once_when_something_happens)
{
    struct stage stage;
    struct stage_target *target = open_resting(&stage);
    stage_beat(&stage);
    stage_beat(&stage);
    cr_assert_eq(evaluations(&stage), 1);
    static const char *const fields[] = {"num_gc", "total_alloc_bytes", "goroutines", "rss_bytes",
                                         "memory_limit_headroom_bytes"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        const uint64_t before = evaluations(&stage);
        stage_set(target, fields[i], 77 + (double)i);
        stage_beat(&stage);
        cr_expect_eq(evaluations(&stage), before + 1, "%s", fields[i]);
        stage_beat(&stage);
        cr_expect_eq(evaluations(&stage), before + 1, "%s stands still", fields[i]);
    }
    stage_close(&stage);
}

Test(judge, looks_at_each_beat_while_anything_is_open_or_unknown)
{
    struct stage stage;
    struct stage_target *target = open_resting(&stage);
    stage_set(target, "goroutines", 500);
    for (int i = 0; i < 10; i++)
        stage_beat(&stage);
    cr_expect_eq(evaluations(&stage), 10);
    stage_set(target, "goroutines", 5);
    stage_unset(target, "num_gc");
    for (int i = 0; i < 10; i++)
        stage_beat(&stage);
    cr_expect_eq(evaluations(&stage), 20);
    stage_close(&stage);
}
