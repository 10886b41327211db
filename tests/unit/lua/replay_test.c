/* replay_test.c - recorded rows through the rule engine: what opens and closes, when, and over what gaps. */
#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/store/unpack.h"
#include "lua/replay.h"
#include "stage.h"

#define HIGH(members)                                                                              \
    "return { name = 'high', " members " evaluate = function(target)\n"                            \
    "  if (target.goroutines or 0) > 100 then\n"                                                   \
    "    alert { message = 'many', severity = target.goroutines > 1000 and 'critical' or 'warning' }\n" \
    "    suggest { message = 'fewer', advice = 'end some' }\n"                                     \
    "  end end }"

enum { TEXT_MAX_BYTES = 16384 };

/* A recording made row by row, and what the replay tells of it: "SECONDS EVENT SEVERITY" for each event. */
struct recording {
    struct stage stage; /* its folder of rules, and its config */
    struct replay_options options;
    struct replay *replay;
    const char *boot_id;
    uint64_t monotonic_ns; /* of second 0 */
    uint64_t generation;
    char text[TEXT_MAX_BYTES];
};

static void note_event(void *context, const struct replay_event *event)
{
    struct recording *recording = context;
    const size_t length = strlen(recording->text);
    const double seconds = ((double)event->realtime_ns - (double)STAGE_START_NS) / 1e9;
    (void)snprintf(recording->text + length, sizeof(recording->text) - length, "%.0f %s %s\n",
                   seconds, replay_event_name(event->kind),
                   event->finding != NULL ? severity_name(event->finding->severity)
                   : event->kind == REPLAY_CAPTURE ? event->rule
                                                   : "-");
}

static void open_recording(struct recording *recording, const char *rule)
{
    memset(recording, 0, sizeof(*recording));
    stage_open(&recording->stage);
    stage_write_rule(&recording->stage, "high.lua", rule);
    recording->options = (struct replay_options){
        .until_realtime_ns = UINT64_MAX, .event = note_event, .context = recording};
    recording->boot_id = "first";
    recording->monotonic_ns = 1000 * CLOCK_NS_PER_S;
    recording->generation = 1;
}

static void begin(struct recording *recording)
{
    struct error err;
    recording->replay = replay_new(recording->stage.config, &recording->options, NULL, &err);
    cr_assert_not_null(recording->replay, "%s", err.message);
}

static void row(struct recording *recording, const char *id, uint64_t second, uint64_t goroutines)
{
    struct error err;
    const struct target_facts facts = {.id = (char *)(uintptr_t)id,
                                       .name = (char *)(uintptr_t)id,
                                       .state = TARGET_UP,
                                       .generation = recording->generation};
    const struct target_info *info = target_info_new(&facts, "", 0);
    struct snapshot *snapshot =
        snapshot_begin(STAGE_START_NS + second * CLOCK_NS_PER_S,
                       recording->monotonic_ns + second * CLOCK_NS_PER_S);
    cr_assert(info != NULL && snapshot != NULL);
    snapshot->sequence = second + 1;
    snapshot->generation = recording->generation;
    SNAPSHOT_SET(&snapshot->values, goroutines, goroutines);
    const struct history_row history = {.info = info, .snapshot = snapshot_seal(snapshot)};
    cr_assert(replay_row(recording->replay, &history, recording->boot_id, &err), "%s", err.message);
    snapshot_unref(history.snapshot);
    target_info_unref(info);
}

static void rows(struct recording *recording, uint64_t from, uint64_t to, uint64_t goroutines)
{
    for (uint64_t second = from; second < to; second++)
        row(recording, "shop", second, goroutines);
}

static void end(struct recording *recording, const char *expected)
{
    struct error err;
    cr_assert(replay_end(recording->replay, &err), "%s", err.message);
    cr_expect_str_eq(recording->text, expected);
    replay_free(recording->replay);
    stage_close(&recording->stage);
}

Test(replay, tells_when_an_alert_waited_fired_and_was_over)
{
    static struct recording recording;
    open_recording(&recording, HIGH("for_ = '5s', clear_for = '3s',"));
    begin(&recording);
    rows(&recording, 0, 10, 1);
    rows(&recording, 10, 20, 200);
    rows(&recording, 20, 30, 1);
    end(&recording, "10 pending warning\n"
                    "15 firing warning\n"
                    "15 advised info\n"
                    "22 resolved warning\n"
                    "22 withdrawn info\n");
}

Test(replay, tells_a_severity_that_rises_and_the_capture_it_would_have_caused)
{
    static struct recording recording;
    open_recording(&recording, HIGH("clear_for = '3s',"));
    recording.stage.config->profile_capture_enabled = true;
    recording.stage.config->profile_capture_on_severities = 1U << SEVERITY_CRITICAL;
    begin(&recording);
    rows(&recording, 0, 5, 200);
    rows(&recording, 5, 10, 2000);
    end(&recording, "0 firing warning\n"
                    "0 advised info\n"
                    "5 firing critical\n"
                    "5 capture high\n");
}

Test(replay, closes_what_was_found_of_a_target_that_fell_silent_but_not_over_a_gap)
{
    static struct recording recording;
    open_recording(&recording, HIGH("clear_for = '3s',"));
    begin(&recording);
    for (uint64_t second = 0; second < 5; second++) {
        row(&recording, "shop", second, 200);
        row(&recording, "cart", second, 1);
    }
    /* Nothing of either for an hour; then cart alone. */
    for (uint64_t second = 3600; second < 3640; second++)
        row(&recording, "cart", second, 1);
    end(&recording, "0 firing warning\n"
                    "0 advised info\n"
                    "3600 gap -\n"
                    "3616 resolved warning\n"
                    "3616 withdrawn info\n");
}

Test(replay, goes_on_over_another_boot_and_a_clock_that_was_set_back)
{
    static struct recording recording;
    open_recording(&recording,
                   "return { name = 'high', evaluate = function(target)\n"
                   "  local trend = target:trend('goroutines', 60)\n"
                   "  if trend and (trend.seconds < 0 or trend.seconds > 60) then\n"
                   "    alert { message = 'impossible' } end\n"
                   "  if trend and trend.points > 30 and trend.per_second > 0.9 then\n"
                   "    alert { id = 'grows', message = 'grows' } end\n"
                   "end }");
    begin(&recording);
    for (uint64_t second = 0; second < 20; second++)
        row(&recording, "shop", second, second);
    recording.boot_id = "second";
    recording.monotonic_ns = 7 * CLOCK_NS_PER_S;
    for (uint64_t second = 20; second < 40; second++)
        row(&recording, "shop", second, second);
    end(&recording, "30 firing warning\n");
}

Test(replay, before_since_rules_see_everything_and_nothing_is_told)
{
    static struct recording recording;
    open_recording(&recording, HIGH("for_ = '5s', clear_for = '3s',"));
    recording.options.since_realtime_ns = STAGE_START_NS + 20 * CLOCK_NS_PER_S;
    recording.options.until_realtime_ns = STAGE_START_NS + 29 * CLOCK_NS_PER_S;
    begin(&recording);
    rows(&recording, 0, 25, 200);
    rows(&recording, 25, 60, 1);
    cr_expect_eq(replay_sums(recording.replay)->before, 20);
    end(&recording, "20 firing warning\n"
                    "20 advised info\n"
                    "27 resolved warning\n"
                    "27 withdrawn info\n");
}

Test(replay, of_one_target_or_one_rule_alone)
{
    static struct recording recording;
    open_recording(&recording, HIGH(""));
    stage_write_rule(&recording.stage, "low.lua",
                     "return { name = 'low', evaluate = function() alert { message = 'low' } end }");
    recording.options.target = "ca*";
    recording.options.rule = "l*";
    begin(&recording);
    row(&recording, "shop", 0, 200);
    row(&recording, "cart", 0, 200);
    end(&recording, "0 firing warning\n");

    struct error err;
    stage_open(&recording.stage);
    stage_write_rule(&recording.stage, "high.lua", HIGH(""));
    recording.options.rule = "nothing*";
    cr_assert_null(replay_new(recording.stage.config, &recording.options, NULL, &err));
    cr_expect(strstr(err.message, "'nothing*'") != NULL, "%s", err.message);
    stage_close(&recording.stage);
}

Test(replay, a_rule_that_fails_is_counted_and_harms_no_other)
{
    static struct recording recording;
    open_recording(&recording, HIGH(""));
    stage_write_rule(&recording.stage, "bad.lua",
                     "return { name = 'bad', evaluate = function(target) error('no') end }");
    begin(&recording);
    rows(&recording, 0, 3, 200);
    const struct rules_report *report = replay_report(recording.replay);
    cr_assert_not_null(report);
    for (size_t i = 0; i < report->count; i++)
        cr_expect_eq(report->rules[i].errors > 0, strcmp(report->rules[i].name, "bad") == 0);
    rules_report_unref(report);
    end(&recording, "0 firing warning\n0 advised info\n");
}

Test(replay, a_process_that_was_replaced_is_another_one)
{
    static struct recording recording;
    open_recording(&recording, "return { name = 'high', evaluate = function(target)\n"
                               "  if target:delta('goroutines', 60) == 300 then\n"
                               "    alert { message = 'grew over a restart' } end end }");
    begin(&recording);
    rows(&recording, 0, 10, 100);
    recording.generation = 2;
    rows(&recording, 10, 20, 400);
    end(&recording, "");
}
