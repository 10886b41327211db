/* lifecycle_test.c - alerts over time: cooldown, warm-up, silences, identity, and a restart of goprofd. */
#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/store/problems.h"
#include "lua/judge.h"
#include "stage.h"

#define HIGH(members)                                                                              \
    "return { name = 'high', " members " evaluate = function(target)\n"                            \
    "  if (target.goroutines or 0) > 100 then\n"                                                   \
    "    alert { message = 'many', severity = target.goroutines > 1000 and 'critical' or 'warning',\n" \
    "            value = target.goroutines, labels = { pool = 'a' } }\n"                           \
    "  end end }"

static struct stage_target *open_stage(struct stage *stage, const char *rule)
{
    stage_open(stage);
    stage_write_rule(stage, "high.lua", rule);
    stage_load(stage);
    struct stage_target *target = stage_add_target(stage, "demo");
    stage_set(target, "goroutines", 1);
    return target;
}

static void beats(struct stage *stage, struct stage_target *target, double goroutines, int count)
{
    stage_set(target, "goroutines", goroutines);
    for (int i = 0; i < count; i++)
        stage_beat(stage);
}

static enum finding_state state_of(struct stage *stage)
{
    const struct finding *finding = stage_find(stage, FINDING_ALERT, "high");
    cr_assert_not_null(finding);
    return finding->state;
}

Test(lifecycle, an_alert_that_closed_does_not_fire_again_within_its_cooldown)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH("cooldown = '1m', clear_for = '5s',"));
    beats(&stage, target, 200, 1);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    beats(&stage, target, 1, 6);
    cr_assert_eq(state_of(&stage), FINDING_RESOLVED);
    beats(&stage, target, 200, 50);
    cr_assert_eq(state_of(&stage), FINDING_RESOLVED);
    beats(&stage, target, 200, 15);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    stage_close(&stage);
}

Test(lifecycle, what_is_said_while_a_process_warms_up_does_not_count)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH("warmup = '30s',"));
    target->age_s = 0;
    beats(&stage, target, 200, 29);
    cr_assert_null(stage_find(&stage, FINDING_ALERT, "high"));
    cr_assert_eq(stage_rule(&stage, "high")->evaluations, 29u, "it is evaluated all the same");
    beats(&stage, target, 200, 1);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    stage_close(&stage);
}

Test(lifecycle, the_start_of_a_process_is_no_history_for_a_rule_with_a_warm_up)
{
    struct stage stage;
    struct stage_target *target =
        open_stage(&stage, "return { name = 'ramp', warmup = '60s', evaluate = function(target)\n"
                           "  local trend = target:trend('goroutines', '10m')\n"
                           "  if trend and trend.first < 100 then alert { message = 'ramp' } end end }");
    target->age_s = 0;
    for (int i = 1; i < 60; i++)
        beats(&stage, target, i, 1);
    beats(&stage, target, 200, 60);
    cr_assert_null(stage_find(&stage, FINDING_ALERT, "ramp"));
    stage_close(&stage);
}

Test(lifecycle, a_silenced_alert_is_shown_but_nobody_is_told)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH(""));
    const struct config_silence silences[] = {
        {.rule = "hi*", .target = "demo", .severities = ~0U, .until_realtime_ns = STAGE_START_NS + 10500000000}};
    stage.config->silences = silences;
    stage.config->silence_count = 1;
    beats(&stage, target, 200, 10);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    cr_assert(stage_find(&stage, FINDING_ALERT, "high")->silenced);
    cr_assert_eq(stage.capture_count, 0u);
    beats(&stage, target, 200, 1);
    cr_assert_not(stage_find(&stage, FINDING_ALERT, "high")->silenced, "the silence is over");
    stage_close(&stage);
}

Test(lifecycle, a_silence_of_warnings_lets_critical_ones_through)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH(""));
    const struct config_silence silences[] = {{.id = "demo/*",
                                               .severities = 1U << SEVERITY_WARNING,
                                               .until_realtime_ns = UINT64_MAX}};
    stage.config->silences = silences;
    stage.config->silence_count = 1;
    beats(&stage, target, 200, 2);
    cr_assert(stage_find(&stage, FINDING_ALERT, "high")->silenced);
    beats(&stage, target, 2000, 1);
    cr_assert_not(stage_find(&stage, FINDING_ALERT, "high")->silenced);
    cr_assert_eq(stage.capture_count, 1u);
    stage_close(&stage);
}

Test(lifecycle, labels_are_part_of_what_an_alert_is)
{
    const struct key_value ab[] = {{"a", "1"}, {"b", "2"}};
    const struct key_value ba[] = {{"b", "2"}, {"a", "1"}};
    const struct key_value other[] = {{"a", "2"}, {"b", "1"}};
    struct finding finding = {.rule = "r", .target = "t", .id = "i", .labels = ab, .label_count = 2};
    const uint64_t fingerprint = finding_fingerprint(&finding);
    finding.labels = ba;
    cr_assert_eq(finding_fingerprint(&finding), fingerprint, "their order is not");
    finding.labels = other;
    cr_assert_neq(finding_fingerprint(&finding), fingerprint);
    finding.labels = ab;
    finding.message = "other words";
    cr_assert_eq(finding_fingerprint(&finding), fingerprint);
    finding.target = "u";
    cr_assert_neq(finding_fingerprint(&finding), fingerprint);
}

/* ---- a restart of goprofd ---- */

static const char *written(struct stage *stage, struct buffer *out)
{
    buffer_init(out, 1 << 20);
    judge_write_alerts(stage->judge, out);
    const char *text = buffer_text(out);
    cr_assert_not_null(text);
    return text;
}

Test(lifecycle, an_alert_survives_a_restart_of_goprofd_with_its_age_and_is_not_announced_again)
{
    struct stage before;
    struct stage after;
    struct buffer out;
    struct error err;
    struct stage_target *target = open_stage(&before, HIGH("for_ = '5s',"));
    beats(&before, target, 200, 20);
    const struct finding *old = stage_find(&before, FINDING_ALERT, "high");
    const uint64_t since_ns = old->since_realtime_ns;
    const uint64_t fingerprint = old->fingerprint;
    cr_assert_eq(before.capture_count, 1u);
    const char *text = written(&before, &out);

    target = open_stage(&after, HIGH("for_ = '5s',"));
    cr_assert(judge_restore_alerts(after.judge, text, strlen(text), STAGE_START_NS + 25000000000, &err), "%s",
              err.message);
    after.beat = 25;
    beats(&after, target, 200, 1);
    const struct finding *restored = stage_find(&after, FINDING_ALERT, "high");
    cr_assert_eq(restored->state, FINDING_FIRING);
    cr_assert_eq(restored->since_realtime_ns / 1000000, since_ns / 1000000);
    cr_assert_eq(restored->fingerprint, fingerprint);
    cr_assert_str_eq(restored->labels[0].value, "a");
    cr_assert_eq(after.capture_count, 0u, "it is nothing new");
    beats(&after, target, 1, 16);
    cr_assert_eq(state_of(&after), FINDING_RESOLVED);
    buffer_release(&out);
    stage_close(&before);
    stage_close(&after);
}

Test(lifecycle, a_restored_alert_of_a_target_that_never_comes_back_closes)
{
    struct stage before;
    struct stage after;
    struct buffer out;
    struct error err;
    struct stage_target *target = open_stage(&before, HIGH(""));
    beats(&before, target, 200, 2);
    const char *text = written(&before, &out);
    (void)open_stage(&after, HIGH(""));
    after.targets[0].hidden = true;
    cr_assert(judge_restore_alerts(after.judge, text, strlen(text), STAGE_START_NS, &err));
    for (int i = 0; i < 299; i++)
        stage_beat(&after);
    cr_assert_eq(state_of(&after), FINDING_FIRING);
    for (int i = 0; i < 2; i++)
        stage_beat(&after);
    cr_assert_eq(state_of(&after), FINDING_RESOLVED);
    buffer_release(&out);
    stage_close(&before);
    stage_close(&after);
}

Test(lifecycle, a_damaged_file_of_alerts_does_no_harm)
{
    struct stage stage;
    struct buffer out;
    struct error err;
    struct stage_target *target = open_stage(&stage, HIGH(""));
    beats(&stage, target, 200, 2);
    const char *text = written(&stage, &out);
    const size_t length = strlen(text);
    for (size_t at = 0; at < length; at += 3) {
        for (int change = 0; change < 2; change++) {
            struct stage damaged;
            char *copy = malloc(length);
            stage_open(&damaged);
            memcpy(copy, text, length);
            copy[at] = change == 0 ? '9' : '"';
            const size_t kept = at % 2 == 0 ? length : at;
            if (!judge_restore_alerts(damaged.judge, copy, kept, STAGE_START_NS, &err))
                cr_assert_neq(err.message[0], '\0');
            free(copy);
            stage_close(&damaged);
        }
    }
    buffer_release(&out);
    stage_close(&stage);
}

Test(lifecycle, what_goprofd_itself_cannot_do_is_an_alert_until_it_can)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH(""));
    struct problems *problems = board_problems(stage.board);
    beats(&stage, target, 1, 2);
    cr_assert_eq(stage_open_findings(&stage), 0);
    problems_set(problems, PROBLEM_CAPTURES, "write /profiles: No space left on device");
    beats(&stage, target, 1, 1);
    const struct finding *finding = stage_find(&stage, FINDING_ALERT, "goprofd/capture_failed");
    cr_assert_not_null(finding);
    cr_expect_eq(finding->state, FINDING_FIRING);
    cr_expect(strstr(finding->message, "No space left") != NULL, "%s", finding->message);
    beats(&stage, target, 1, 30);
    cr_expect_eq(stage_open_findings(&stage), 1);
    cr_expect_eq(stage.capture_count, 0, "nothing to capture of goprofd");
    problems_clear(problems, PROBLEM_CAPTURES);
    beats(&stage, target, 1, 1);
    cr_expect_eq(stage_open_findings(&stage), 0);
    stage_close(&stage);
}

Test(lifecycle, a_rule_may_want_a_capture_of_each_alert_or_of_none)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH("capture = false,"));
    beats(&stage, target, 200, 3);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    cr_expect_eq(stage.capture_count, 0);
    stage_close(&stage);

    /* Whether the severity is among those of the config is for the capturer to say; here it is asked. */
    target = open_stage(&stage, HIGH("capture = true,"));
    beats(&stage, target, 200, 3);
    cr_expect_eq(stage.capture_count, 1);
    cr_expect_eq(stage.captures_wanted, 1, "whatever the severity");
    stage_close(&stage);

    target = open_stage(&stage, HIGH(""));
    beats(&stage, target, 200, 3);
    cr_expect_eq(stage.capture_count, 1);
    cr_expect_eq(stage.captures_wanted, 0);
    stage_close(&stage);
}

/* A rule with a cooldown, restored by another goprofd at beat [beat]. */
static struct stage_target *restart(struct stage *before, struct stage *after, const char *rule, uint64_t beat)
{
    struct buffer out;
    struct error err;
    const char *text = written(before, &out);
    struct stage_target *target = open_stage(after, rule);
    cr_assert(judge_restore_alerts(after->judge, text, strlen(text), STAGE_START_NS + beat * 1000000000, &err), "%s",
              err.message);
    after->beat = beat;
    buffer_release(&out);
    return target;
}

Test(lifecycle, a_cooldown_goes_on_over_a_restart_of_goprofd)
{
    static const char rule[] = HIGH("cooldown = '1m', clear_for = '5s',");
    struct stage before;
    struct stage after;
    struct stage_target *target = open_stage(&before, rule);
    beats(&before, target, 200, 1);
    beats(&before, target, 1, 6);
    cr_assert_eq(state_of(&before), FINDING_RESOLVED); /* at beat 6 */
    target = restart(&before, &after, rule, 20);
    beats(&after, target, 200, 45);
    cr_assert_eq(state_of(&after), FINDING_RESOLVED, "a minute after beat 6 is beat 66");
    cr_assert_eq(after.capture_count, 0u);
    beats(&after, target, 200, 2);
    cr_assert_eq(state_of(&after), FINDING_FIRING);
    cr_assert_eq(after.capture_count, 1u);
    stage_close(&before);
    stage_close(&after);
}

Test(lifecycle, a_cooldown_ends_while_goprofd_is_down_too)
{
    static const char rule[] = HIGH("cooldown = '1m', clear_for = '5s',");
    struct stage before;
    struct stage after;
    struct stage_target *target = open_stage(&before, rule);
    beats(&before, target, 200, 1);
    beats(&before, target, 1, 6);
    target = restart(&before, &after, rule, 100);
    beats(&after, target, 200, 1);
    cr_assert_eq(state_of(&after), FINDING_FIRING);
    stage_close(&before);
    stage_close(&after);
}

/* Kept for the longer of the two, or a restart would be the way around a cooldown. */
Test(lifecycle, a_cooldown_longer_than_resolved_alerts_are_shown_survives_a_restart)
{
    static const char rule[] = HIGH("cooldown = '1h', clear_for = '5s',");
    struct stage before;
    struct stage after;
    struct stage_target *target = open_stage(&before, rule);
    beats(&before, target, 200, 1);
    beats(&before, target, 1, 1800);
    target = restart(&before, &after, rule, 1810);
    beats(&after, target, 200, 1790);
    cr_assert_neq(state_of(&after), FINDING_FIRING);
    beats(&after, target, 200, 10);
    cr_assert_eq(state_of(&after), FINDING_FIRING);
    stage_close(&before);
    stage_close(&after);
}

/* ---- a deploy ---- */

/* Another build takes over under the same name: a new process, a moment old. */
static void deploy(const struct stage *stage, struct stage_target *target, const char *build_id)
{
    target->generation++;
    target->build_generation++;
    target->build_id = build_id;
    target->started_ns = stage->beat * UINT64_C(1000000000);
}

Test(lifecycle, after_a_deploy_the_warm_up_begins_anew)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH("warmup = '30s', clear_for = '5s',"));
    beats(&stage, target, 1, 5);
    deploy(&stage, target, "build-2");
    beats(&stage, target, 200, 29);
    cr_assert_null(stage_find(&stage, FINDING_ALERT, "high"), "caches fill");
    beats(&stage, target, 200, 1);
    cr_assert_eq(state_of(&stage), FINDING_FIRING, "and stay full");
    stage_close(&stage);
}

Test(lifecycle, an_alert_of_the_build_before_clears_and_is_raised_again_only_after_the_warm_up)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH("warmup = '30s', clear_for = '5s',"));
    beats(&stage, target, 200, 5);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    deploy(&stage, target, "build-2");
    beats(&stage, target, 200, 10);
    cr_assert_eq(state_of(&stage), FINDING_RESOLVED);
    beats(&stage, target, 200, 19);
    cr_assert_eq(state_of(&stage), FINDING_RESOLVED);
    beats(&stage, target, 200, 1);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    cr_assert_eq(stage.capture_count, 2u);
    stage_close(&stage);
}

/* A target that is scraped or pushes need not tell when it was started; that it was, its counts say. */
Test(lifecycle, where_nobody_tells_the_start_a_deploy_is_seen_by_its_first_snapshot)
{
    struct stage stage;
    struct stage_target *target = open_stage(&stage, HIGH("warmup = '30s',"));
    target->age_s = -1;
    beats(&stage, target, 1, 40);
    beats(&stage, target, 200, 1);
    cr_assert_eq(state_of(&stage), FINDING_FIRING, "its first warm-up is over");
    beats(&stage, target, 1, 70);
    target->generation++;
    beats(&stage, target, 200, 30);
    cr_assert_neq(state_of(&stage), FINDING_FIRING);
    beats(&stage, target, 200, 1);
    cr_assert_eq(state_of(&stage), FINDING_FIRING);
    stage_close(&stage);
}

Test(lifecycle, where_nobody_tells_the_start_the_warm_up_is_no_history_either)
{
    struct stage stage;
    struct stage_target *target =
        open_stage(&stage, "return { name = 'ramp', warmup = '60s', evaluate = function(target)\n"
                           "  local trend = target:trend('goroutines', '10m')\n"
                           "  if trend and trend.first < 100 then alert { message = 'ramp' } end end }");
    target->age_s = -1;
    beats(&stage, target, 200, 70);
    target->generation++;
    for (int i = 1; i < 60; i++)
        beats(&stage, target, i, 1);
    beats(&stage, target, 200, 90);
    cr_assert_null(stage_find(&stage, FINDING_ALERT, "ramp"));
    stage_close(&stage);
}

/* ---- grouping ---- */

Test(lifecycle, a_group_is_the_rules_unless_the_alert_says_another)
{
    struct stage stage;
    stage_open(&stage);
    stage_write_rule(&stage, "grouped.lua",
                     "return { name = 'grouped', group = 'memory', evaluate = function(target)\n"
                     "  alert { id = 'own', message = 'a' }\n"
                     "  alert { id = 'another', message = 'b', group = 'limit' } end }");
    stage_load(&stage);
    (void)stage_add_target(&stage, "demo");
    stage_beat(&stage);
    const struct finding *own = stage_find(&stage, FINDING_ALERT, "own");
    const struct finding *another = stage_find(&stage, FINDING_ALERT, "another");
    cr_assert(own != NULL && another != NULL);
    cr_assert_str_eq(own->group, "memory");
    cr_assert_str_eq(another->group, "limit");
    stage_close(&stage);
}
