/* api_test.c - what rules can ask of a target: numbers over time, sites by stack, groups, versions, settings. */
#include <criterion/criterion.h>

#include "core/base/log.h"
#include "stage.h"

/* Runs a rule whose evaluate() is [body] for [beats] beats on a target that grows, and returns the report of it.
 * The body may call `check(ok, what)`. */
static void run_body(const char *members, const char *body, int beats, const char *wanted_error)
{
    struct stage stage;
    char rule[8192];
    stage_open(&stage);
    (void)snprintf(rule, sizeof(rule),
                   "local function check(ok, what) if not ok then error(what, 2) end end\n"
                   "return { name = 'r', %s evaluate = function(target, params)\n%s\nend }",
                   members, body);
    stage_write_rule(&stage, "r.lua", rule);
    stage_load(&stage);
    struct stage_target *target = stage_add_target(&stage, "demo");
    target->go_version = "go1.22.3";
    struct stage_site *json = stage_add_site(target, "encoding/json.Marshal", "json.go", 7, "runtime.growslice");
    struct stage_site *leak = stage_add_site(target, "main.leak", "leak.go", 9, "runtime.makeslice");
    for (int beat = 1; beat <= beats; beat++) {
        stage_set(target, "goroutines", beat);
        stage_set(target, "heap_live_bytes", beat % 10 == 5 ? 1e9 : 100 + 10 * beat);
        stage_set(target, "cgroup_memory_max_bytes", 100 + 10 * beat + 600);
        json->inuse_bytes = 4096;
        json->alloc_bytes = 8192 * beat;
        leak->inuse_bytes = leak->alloc_bytes = 1024 * beat;
        target->profile_due = true;
        stage_beat(&stage);
    }
    const struct rule_status *status = stage_rule(&stage, "r");
    if (wanted_error == NULL)
        cr_assert_eq(status->errors, 0u, "%s\n%s", status->last_error, body);
    else
        cr_assert_not_null(strstr(status->last_error, wanted_error), "not '%s' but: %s", wanted_error,
                           status->last_error);
    stage_close(&stage);
}

static void holds_at_the_end(const char *body)
{
    char whole[4096];
    (void)snprintf(whole, sizeof(whole), "if target.goroutines == 60 then\n%s\nend", body);
    run_body("", whole, 60, NULL);
}

Test(api, numbers_over_a_window)
{
    holds_at_the_end("check(target:min('goroutines', 9) == 51, 'min')\n"
                     "check(target:max('goroutines', '9s') == 60, 'max')\n"
                     "check(target:mean('goroutines', 9) == 55.5, 'mean')\n"
                     "check(target:delta('goroutines', 9) == 9, 'delta')\n"
                     "check(target:rate('goroutines', 9) == 1, 'rate')\n"
                     "check(target:percentile('goroutines', 10, 50) == 55, 'percentile')\n"
                     "check(#target:values('goroutines', 9) == 10, 'values')\n"
                     "check(target:values('goroutines', 9)[10] == 60, 'the last value')\n"
                     "check(target:prev(5).goroutines == 55, 'prev')\n"
                     "check(target:prev(59).goroutines == 1 and target:prev(60) == nil, 'prev of all')\n"
                     "check(target:min('threads', 9) == nil, 'not known')");
}

Test(api, a_slope_is_not_bent_by_spikes_and_tells_the_time_to_a_limit)
{
    holds_at_the_end("local slope = target:slope('heap_live_bytes', '1m')\n"
                     "check(math.abs(slope - 10) < 0.5, 'slope ' .. slope)\n"
                     "local left = target:time_to('cgroup_memory_max_bytes', 'heap_live_bytes', '1m')\n"
                     "check(math.abs(left - 60) < 3, 'left ' .. left)\n"
                     "check(target:time_to(500, 'heap_live_bytes') == 0, 'reached')\n"
                     "check(target:time_to('gomemlimit_bytes', 'heap_live_bytes') == nil, 'no limit')\n"
                     "check(target:time_to(1e9, 'cgroup_memory_high_bytes') == nil, 'no field')");
}

Test(api, an_ewma_follows_the_newest_points)
{
    holds_at_the_end("local quick, slow = target:ewma('goroutines', 1), target:ewma('goroutines', '10s')\n"
                     "check(quick > 58.9 and quick < 60, 'quick ' .. quick)\n"
                     "check(slow > 40 and slow < 50, 'slow ' .. slow)");
}

Test(api, a_site_that_only_grows_is_rising_and_a_flat_one_is_not)
{
    holds_at_the_end(
        "local leak = target:sites { func = 'main.leak' }[1]\n"
        "local flat = target:sites { func = 'json' }[1]\n"
        "local rise = target:rising(leak, { min_bytes = 1024 })\n"
        "check(rise and rise.seconds >= 30 and rise.seconds < 40 and rise.last == 61440, 'the shortest time')\n"
        "check(math.abs(rise.per_second - 1024) < 1, 'slope')\n"
        "check(target:rising(leak) == nil, 'less than 4 MiB')\n"
        "check(target:rising(leak, { min_bytes = 1024, min_time = '5m' }) == nil, 'not that long')\n"
        "check(target:rising(leak, { min_bytes = 1024, min_gcs = 100 }) == nil, 'not so many GCs')\n"
        "check(target:rising(flat, { min_bytes = 0 }) == nil, 'flat')\n"
        "check(not pcall(target.rising, target, leak, { min_byte = 1 }), 'a misspelt member')\n"
        "check(not pcall(target.rising, target, {}, {}), 'no entry')");
}

Test(api, sites_are_found_by_package_stack_and_words)
{
    holds_at_the_end(
        "check(target:sites { package = 'encoding/json' }[1].func == 'encoding/json.Marshal', 'package')\n"
        "check(target:sites { package = 'encoding/*' }.matched == 1, 'prefix')\n"
        "check(target:sites { package = { 'main', 'encoding/json' } }.matched == 2, 'list')\n"
        "check(target:sites { frame = 'runtime%.makeslice' }[1].func == 'main.leak', 'frame')\n"
        "check(target:sites { frame = '^main%.' }.matched == 1, 'anchored frame')\n"
        "check(target:sites { frame = { 'nobody', 'leak$' } }.matched == 1, 'frames')\n"
        "check(target:sites { func = 'json%.' }.matched == 1, 'func')\n"
        "check(target:sites { tag = 'main.leak' }.matched == 1, 'tag')\n"
        "check(#target:sites { min_bytes = 50000 } == 1, 'min_bytes')\n"
        "check(target:sites { frame = 'nobody' }.matched == 0, 'none')");
}

Test(api, a_site_tells_on_how_many_samples_its_bytes_rest)
{
    holds_at_the_end("local leak = target:sites { func = 'main.leak' }[1]\n"
                     "local json = target:sites { func = 'json' }[1]\n"
                     "check(leak.samples == 60 and json.samples == 4, 'samples')\n"
                     "check(leak.standard_error_bytes == 0, 'each was sampled: ' .. leak.standard_error_bytes)\n"
                     "check(leak.sampling_blind == false, 'blind')\n"
                     "local top = target:retentions()[1]\n"
                     "check(top.func == 'main.leak' and top.samples == leak.samples, 'as in the top list')");
}

Test(api, a_pattern_is_remembered_but_never_for_another)
{
    run_body("", "local n = target:sites { frame = 'leak' }.matched\n"
                 "check(n == 1, 'leak ' .. n)\n"
                 "for i = 1, 40 do check(target:sites { frame = 'x' .. i }.matched == 0, 'x') end\n"
                 "check(target:sites { func = 'makeslice' }.matched == 0, 'of the function alone')\n"
                 "check(target:sites { frame = 'makeslice' }.matched == 1, 'of any frame')",
             5, NULL);
    run_body("", "target:sites { frame = '%' }", 1, "frame: ");
    run_body("", "target:sites { frame = { 5 } }", 1, "frame: a list of texts");
    run_body("", "target:sites { packge = 'x' }", 1, "did you mean 'package'?");
}

Test(api, types_tags_and_packages_add_sites_up)
{
    holds_at_the_end("local packages = target:packages { sort = 'alloc' }\n"
                     "check(packages.groups == 2 and packages[1].name == 'encoding/json', 'packages')\n"
                     "check(packages[1].package == 'encoding/json' and packages[1].sites == 1, 'members')\n"
                     "check(packages[1].alloc_bytes == 8192 * 60, 'sum')\n"
                     "local growing = target:packages { sort = 'growth', window = '10s' }\n"
                     "check(#growing == 1 and growing[1].name == 'main', 'growth')\n"
                     "check(growing[1].growth_bytes == 10240, 'growth ' .. growing[1].growth_bytes)\n"
                     "local types = target:types {}\n"
                     "check(types[1].inuse_bytes == 1024 * 60 + 4096 or #types == 2, 'types')\n"
                     "check(#target:tags { frame = 'leak' } == 1, 'tags')");
}

Test(api, versions_and_settings_of_the_build)
{
    run_body("", "check(target:go_is('1.22') == true, 'is')\n"
                 "check(target:go_is('<1.22') == false, 'is not')\n"
                 "check(target:go_before('1.23') == true, 'before')\n"
                 "check(target:setting('GOAMD64') == nil, 'no setting')",
             1, NULL);
    run_body("", "target:go_is('recent')", 1, "Go versions like");
}

/* ---- which targets a rule is for ---- */

static uint64_t evaluations(const char *members, const char *go_version)
{
    struct stage stage;
    char rule[1024];
    stage_open(&stage);
    (void)snprintf(rule, sizeof(rule), "return { name = 'r', %s evaluate = function() end }", members);
    stage_write_rule(&stage, "r.lua", rule);
    stage_load(&stage);
    struct stage_target *target = stage_add_target(&stage, "demo");
    target->go_version = go_version;
    stage_set(target, "goroutines", 1);
    stage_beat(&stage);
    const uint64_t count = stage_rule(&stage, "r")->evaluations;
    stage_close(&stage);
    return count;
}

Test(api, a_rule_sees_only_the_targets_it_is_for)
{
    cr_assert_eq(evaluations("go_version = '<1.23',", "go1.22.3"), 1u);
    cr_assert_eq(evaluations("go_version = '<1.22',", "go1.22.3"), 0u);
    cr_assert_eq(evaluations("go_version = '<1.23',", ""), 0u, "unknown is no version");
    cr_assert_eq(evaluations("needs = { 'goroutines' },", "go1.22.3"), 1u);
    cr_assert_eq(evaluations("needs = { 'goroutines', 'rss_bytes' },", "go1.22.3"), 0u);
    cr_assert_eq(evaluations("needs = { 'profile' },", "go1.22.3"), 0u);
    cr_assert_eq(evaluations("sources = { 'process' },", "go1.22.3"), 1u);
    cr_assert_eq(evaluations("sources = { 'push', 'pprof' },", "go1.22.3"), 0u);
}

Test(api, params_timing_and_rules_can_be_set_for_one_target)
{
    struct stage stage;
    stage_open(&stage);
    stage_write_rule(&stage, "r.lua",
                     "return { name = 'r', params = { max = '1MiB', word = 'x' }, evaluate = function(target, params)\n"
                     "  alert { id = 'r-' .. target.id, message = params.max .. ' ' .. params.word } end }");
    const struct config_node shop[] = {
        {.kind = NODE_STRING, .key = "max", .string = "4MiB"},
        {.kind = NODE_STRING, .key = "for_", .string = "30s"}};
    const struct config_node batch[] = {{.kind = NODE_BOOL, .key = "enabled", .boolean = false}};
    const struct config_node targets[] = {
        {.kind = NODE_TABLE, .key = "shop", .children = shop, .child_count = 2},
        {.kind = NODE_TABLE, .key = "batch-*", .children = batch, .child_count = 1}};
    const struct config_node members[] = {
        {.kind = NODE_STRING, .key = "word", .string = "all"},
        {.kind = NODE_TABLE, .key = "targets", .children = targets, .child_count = 2}};
    const struct config_node params = {.kind = NODE_TABLE, .children = members, .child_count = 2};
    const struct config_rule rules[] = {{.name = "r", .enabled = true, .params = &params}};
    stage.config->rules = rules;
    stage.config->rule_count = 1;
    stage_load(&stage);
    (void)stage_add_target(&stage, "shop");
    (void)stage_add_target(&stage, "batch-7");
    (void)stage_add_target(&stage, "other");
    stage_beat(&stage);
    cr_assert_eq(stage_rule(&stage, "r")->evaluations, 2u);
    const struct finding *shop_alert = stage_find(&stage, FINDING_ALERT, "r-shop");
    cr_assert(strncmp(shop_alert->message, "4194304", 7) == 0 && strstr(shop_alert->message, "all") != NULL,
              "%s", shop_alert->message);
    cr_assert_eq(shop_alert->state, FINDING_PENDING);
    const struct finding *other = stage_find(&stage, FINDING_ALERT, "r-other");
    cr_assert(strncmp(other->message, "1048576", 7) == 0, "%s", other->message);
    cr_assert_eq(other->state, FINDING_FIRING);
    stage_close(&stage);
}

/* ---- a thousand failing rules ---- */

Test(api, a_thousand_failing_rules_cost_the_good_ones_no_beat)
{
    enum { BAD = 1000, GOOD = 10, BEATS = 5 };
    struct stage stage;
    stage_open(&stage);
    log_set_level(LOG_LEVEL_ERROR);
    for (int i = 0; i < BAD; i++) {
        char name[32];
        char text[256];
        (void)snprintf(name, sizeof(name), "a%04d.lua", i);
        (void)snprintf(text, sizeof(text),
                       "return { name = 'a%04d', evaluate = function(t) %s end }", i,
                       i % 50 == 0   ? "while true do end"
                       : i % 3 == 0 ? "local s = ('x'):rep(1e9)"
                                    : "error('bad')");
        stage_write_rule(&stage, name, text);
    }
    for (int i = 0; i < GOOD; i++) {
        char name[32];
        char text[256];
        (void)snprintf(name, sizeof(name), "z%d.lua", i);
        (void)snprintf(text, sizeof(text),
                       "return { name = 'z%d', evaluate = function(t) t.state.n = (t.state.n or 0) + 1 end }", i);
        stage_write_rule(&stage, name, text);
    }
    stage_load(&stage);
    (void)stage_add_target(&stage, "demo");
    for (int i = 0; i < BEATS; i++)
        stage_beat(&stage);
    const struct rules_report *report = stage_report(&stage);
    cr_assert_eq(report->count, (size_t)(BAD + GOOD));
    for (size_t i = 0; i < report->count; i++) {
        const struct rule_status *rule = &report->rules[i];
        if (rule->name[0] == 'z')
            cr_assert(rule->evaluations == BEATS && rule->errors == 0, "%s: %s", rule->name, rule->last_error);
        else
            cr_assert_gt(rule->errors, 0u, "%s", rule->name);
    }
    stage_close(&stage);
}
