/* engine_test.c - the rule thread: beats through the inbox, reloads from elsewhere, a clean stop. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "lua/engine.h"
#include "stage.h"

enum { WAIT_S = 20 };

/* The stage gives folder, config and targets; board and judge of the engine are its own. */
struct running {
    struct stage stage;
    struct board *board;
    struct engine *engine;
    uint64_t beat;
};

static void start(struct running *running, const char *rule)
{
    struct error err;
    stage_open(&running->stage);
    stage_write_rule(&running->stage, "one.lua", rule);
    running->board = board_new(100);
    running->beat = 0;
    running->engine = engine_new(running->stage.config, running->board, NULL, &err);
    cr_assert_not_null(running->engine);
    cr_assert(engine_load(running->engine, NULL, &err), "%s", err.message);
    cr_assert(engine_start(running->engine, &err), "%s", err.message);
}

static void stop(struct running *running)
{
    engine_stop(running->engine);
    engine_free(running->engine);
    board_free(running->board);
    stage_close(&running->stage);
}

/* Publishes a beat of one target and tells the engine, as the sampler does. */
static void publish(struct running *running, uint64_t goroutines)
{
    struct error err;
    running->beat++;
    const uint64_t passed_ns = running->beat * CLOCK_NS_PER_S;
    struct snapshot *snapshot = snapshot_begin(STAGE_START_NS + passed_ns, CLOCK_NS_PER_S + passed_ns);
    snapshot->sequence = running->beat;
    snapshot->generation = 1;
    SNAPSHOT_SET(&snapshot->values, goroutines, goroutines);
    const struct target_facts facts = {.id = "demo", .name = "demo", .state = TARGET_UP, .generation = 1};
    const struct target_view view = {.info = target_info_new(&facts, "", 0),
                                     .snapshot = snapshot_seal(snapshot)};
    cr_assert(board_publish(running->board, &view, 1, STAGE_START_NS + passed_ns, &err));
    cr_assert(mailbox_post(engine_inbox(running->engine), calloc(1, sizeof(struct message))));
}

static bool finding_appears(struct running *running, const char *message)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + WAIT_S * CLOCK_NS_PER_S;
    while (clock_monotonic_ns() < deadline_ns) {
        const struct finding_set *set = board_findings(running->board);
        bool found = false;
        for (size_t i = 0; i < set->count; i++)
            found = found || strcmp(set->findings[i].message, message) == 0;
        finding_set_unref(set);
        if (found)
            return true;
        (void)usleep(2000);
    }
    return false;
}

static const char counting[] = "return { name = 'one', evaluate = function(t)\n"
                               "  alert { message = 'has ' .. t.goroutines }\n"
                               "end }";

Test(engine, judges_each_beat_on_its_own_thread)
{
    struct running running;
    start(&running, counting);
    publish(&running, 5);
    cr_assert(finding_appears(&running, "has 5"));
    publish(&running, 6);
    cr_assert(finding_appears(&running, "has 6"));
    stop(&running);
}

struct outcome {
    _Atomic int calls;
    _Atomic bool ok;
    char problem[ERROR_MESSAGE_MAX_BYTES];
};

static void note_outcome(void *context, bool ok, const char *problem)
{
    struct outcome *outcome = context;
    (void)snprintf(outcome->problem, sizeof(outcome->problem), "%s", problem);
    atomic_store(&outcome->ok, ok);
    atomic_fetch_add(&outcome->calls, 1);
}

static void wait_for_outcome(struct outcome *outcome)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + WAIT_S * CLOCK_NS_PER_S;
    while (atomic_load(&outcome->calls) == 0 && clock_monotonic_ns() < deadline_ns)
        (void)usleep(2000);
    cr_assert_eq(atomic_load(&outcome->calls), 1);
}

Test(engine, reloads_when_asked_and_keeps_the_old_rules_when_it_cannot)
{
    struct running running;
    struct outcome outcome = {.calls = 0};
    start(&running, counting);
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + 1));
    publish(&running, 1);
    cr_assert(finding_appears(&running, "has 1"));

    stage_write_rule(&running.stage, "one.lua", "return {\n\n  name = }");
    engine_reload(running.engine, NULL, note_outcome, &outcome);
    wait_for_outcome(&outcome);
    cr_assert_not(atomic_load(&outcome.ok));
    cr_assert_not_null(strstr(outcome.problem, "/one.lua:3: "), "%s", outcome.problem);
    publish(&running, 2);
    cr_assert(finding_appears(&running, "has 2"));
    const struct rules_report *report = board_rules(running.board);
    cr_assert_not_null(strstr(report->reload_error, "/one.lua:3: "));
    rules_report_unref(report);
    cr_assert_eq(atomic_load(&board_counters(running.board)->rules_reloads_failed), 1);

    stage_write_rule(&running.stage, "one.lua", "return { name = 'one', evaluate = function(t)\n"
                                                "  alert { message = 'now ' .. t.goroutines }\n"
                                                "end }");
    outcome = (struct outcome){.calls = 0};
    engine_reload(running.engine, running.stage.config, note_outcome, &outcome);
    wait_for_outcome(&outcome);
    cr_assert(atomic_load(&outcome.ok), "%s", outcome.problem);
    publish(&running, 3);
    cr_assert(finding_appears(&running, "now 3"));
    stop(&running);
}

Test(engine, answers_every_reload_even_when_it_stops)
{
    struct running running;
    struct outcome outcomes[8] = {{.calls = 0}};
    start(&running, counting);
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + 1));
    for (size_t i = 0; i < 4; i++)
        engine_reload(running.engine, NULL, note_outcome, &outcomes[i]);
    engine_stop(running.engine);
    for (size_t i = 4; i < 8; i++)
        engine_reload(running.engine, NULL, note_outcome, &outcomes[i]);
    for (size_t i = 0; i < 8; i++)
        cr_assert_eq(atomic_load(&outcomes[i].calls), 1);
    cr_assert_str_eq(outcomes[7].problem, "the rule engine is stopping");
    stop(&running);
}

Test(engine, counts_beats_it_was_too_slow_for)
{
    struct running running;
    start(&running, "return { name = 'one', evaluate = function(t)\n"
                    "  for i = 1, 3000 do local s = ('x'):rep(10) end\n"
                    "  alert { message = 'has ' .. t.goroutines }\n"
                    "end }");
    for (uint64_t i = 1; i <= 200; i++)
        publish(&running, i);
    cr_assert(finding_appears(&running, "has 200"), "the newest beat is always judged");
    publish(&running, 201);
    cr_assert(finding_appears(&running, "has 201"));
    const struct board_counters *counters = board_counters(running.board);
    cr_assert_gt(atomic_load(&counters->rule_beats_dropped), 0);
    cr_assert_lt(atomic_load(&counters->rule_evaluations), 201);
    stop(&running);
}

Test(engine, checks_rules_without_keeping_them)
{
    struct stage stage;
    struct buffer problems;
    stage_open(&stage);
    stage_write_rule(&stage, "a.lua", "return {\n name = 1 }");
    stage_write_rule(&stage, "b.lua", counting);
    stage_write_rule(&stage, "c.lua", "local x = = 1");
    buffer_init(&problems, 4096);
    cr_assert_eq(engine_check(stage.config, &problems), 2);
    const char *text = buffer_text(&problems);
    cr_assert_not_null(strstr(text, "/a.lua: `name`"), "%s", text);
    cr_assert_not_null(strstr(text, "/c.lua:1: "), "%s", text);
    stage.config->rules_dir = "no/such/folder";
    buffer_clear(&problems);
    cr_assert_eq(engine_check(stage.config, &problems), 1);
    cr_assert_not_null(strstr(buffer_text(&problems), "rules_dir: no/such/folder: "));
    buffer_release(&problems);
    stage_close(&stage);
}

/* Reloads and expects to be told [wanted] and that the old rule goes on. */
static void expect_refused(struct running *running, const char *rule, const char *wanted)
{
    struct outcome outcome = {.calls = 0};
    stage_write_rule(&running->stage, "one.lua", rule);
    engine_reload(running->engine, NULL, note_outcome, &outcome);
    wait_for_outcome(&outcome);
    cr_assert_not(atomic_load(&outcome.ok));
    cr_assert_not_null(strstr(outcome.problem, wanted), "not \"%s\" but: %s", wanted, outcome.problem);
    char message[32];
    (void)snprintf(message, sizeof(message), "has %llu", (unsigned long long)running->beat + 1);
    publish(running, running->beat + 1);
    cr_assert(finding_appears(running, message));
}

Test(engine, takes_no_rule_that_fails_its_own_tests)
{
    struct running running;
    start(&running, counting);
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + 1));
    expect_refused(&running,
                   "return { name = 'one', evaluate = function(t) alert { message = 'loud' } end,\n"
                   "tests = { { name = 'it is quiet', expect = { { quiet = true } } } } }",
                   "/one.lua: test \"it is quiet\": not as expected");
    stop(&running);
}

Test(engine, takes_no_rule_that_fails_on_what_is_there_now)
{
    struct running running;
    start(&running, counting);
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + 1));
    publish(&running, 1);
    cr_assert(finding_appears(&running, "has 1"));
    expect_refused(&running,
                   "return { name = 'one', evaluate = function(t)\n"
                   "  local live = t.heap_live_bytes\n  log(live + 1)\nend }",
                   "/one.lua:3: attempt to perform arithmetic on a nil value");
    stop(&running);
}

Test(engine, judges_each_beat_once_over_a_reload_and_leaves_no_trace_of_the_dry_run)
{
    static const char counts[] = "return { name = 'one', evaluate = function(t)\n"
                                 "  t.state.beats = (t.state.beats or 0) + 1\n"
                                 "  alert { message = 'beat ' .. t.state.beats }\n"
                                 "end }";
    struct running running;
    start(&running, counts);
    log_set_level((enum log_level)(LOG_LEVEL_ERROR + 1));
    for (uint64_t i = 1; i <= 12; i++) {
        char message[32];
        publish(&running, i);
        (void)snprintf(message, sizeof(message), "beat %llu", (unsigned long long)i);
        cr_assert(finding_appears(&running, message), "%s", message);
        if (i % 3 != 0)
            continue;
        struct outcome outcome = {.calls = 0};
        engine_reload(running.engine, NULL, note_outcome, &outcome);
        wait_for_outcome(&outcome);
        cr_assert(atomic_load(&outcome.ok), "%s", outcome.problem);
    }
    const struct rules_report *report = board_rules(running.board);
    cr_assert_eq(report->rules[0].evaluations, 12u);
    cr_assert_eq(report->generation, 5u);
    rules_report_unref(report);
    stop(&running);
}

/* ---- why did it not fire ---- */

struct explanation {
    _Atomic int calls;
    bool found;
    char text[4096];
};

static void note_explanation(void *context, bool found, struct buffer *json)
{
    struct explanation *explanation = context;
    const char *text = buffer_text(json);
    explanation->found = found;
    (void)snprintf(explanation->text, sizeof(explanation->text), "%s", text != NULL ? text : "");
    buffer_release(json);
    atomic_fetch_add(&explanation->calls, 1);
}

static void ask(struct running *running, const char *rule, const char *target,
                struct explanation *explanation)
{
    const uint64_t deadline_ns = clock_monotonic_ns() + WAIT_S * CLOCK_NS_PER_S;
    *explanation = (struct explanation){.calls = 0};
    engine_explain(running->engine, rule, target, note_explanation, explanation);
    while (atomic_load(&explanation->calls) == 0 && clock_monotonic_ns() < deadline_ns)
        (void)usleep(2000);
    cr_assert_eq(atomic_load(&explanation->calls), 1);
}

Test(engine, tells_what_the_last_evaluation_looked_at)
{
    struct running running;
    struct explanation said;
    start(&running, "return { name = 'one', evaluate = function(t)\n"
                    "  local limit = t.cgroup_memory_max_bytes\n"
                    "  if t.goroutines > 100 or (t:max('goroutines', '1m') or 0) > 1000 then alert { message = 'x' } end\n"
                    "  if t.goroutines == 3 then alert { message = 'three' } end\n"
                    "end }");
    publish(&running, 2);
    publish(&running, 3);
    cr_assert(finding_appears(&running, "three"));
    ask(&running, "one", "demo", &said);
    cr_assert(said.found);
    cr_assert_not_null(strstr(said.text, "\"outcome\":\"raised\""), "%s", said.text);
    cr_assert_not_null(strstr(said.text, "{\"read\":\"goroutines\",\"value\":3}"), "%s", said.text);
    cr_assert_not_null(strstr(said.text, "{\"read\":\"cgroup_memory_max_bytes\",\"value\":null}"), "%s", said.text);
    cr_assert_not_null(strstr(said.text, "{\"read\":\"max(\\\"goroutines\\\", 60)\",\"value\":3}"), "%s", said.text);
    ask(&running, "one", NULL, &said);
    cr_assert(said.found);
    ask(&running, "two", NULL, &said);
    cr_assert_not(said.found);
    ask(&running, "one", "nobody", &said);
    cr_assert_not(said.found);
    engine_stop(running.engine);
    ask(&running, "one", "demo", &said);
    cr_assert_not(said.found, "it has stopped");
    stop(&running);
}

Test(engine, keeps_open_alerts_in_the_state_folder)
{
    struct running running;
    struct error err;
    char dir[] = GOPROFD_BINARY_DIR "/state-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    start(&running, counting);
    engine_stop(running.engine); /* state_dir is read at the load: again, with one */
    engine_free(running.engine);
    running.stage.config->state_dir = dir;
    for (int round = 0; round < 2; round++) {
        running.engine = engine_new(running.stage.config, running.board, NULL, &err);
        cr_assert(engine_load(running.engine, NULL, &err), "%s", err.message);
        cr_assert(engine_start(running.engine, &err));
        if (round == 0)
            publish(&running, 7);
        cr_assert(round == 1 || finding_appears(&running, "has 7"));
        engine_stop(running.engine);
        if (round == 0)
            engine_free(running.engine);
    }
    char path[256];
    char text[4096] = "";
    (void)snprintf(path, sizeof(path), "%s/alerts.json", dir);
    FILE *in = fopen(path, "r");
    cr_assert_not_null(in);
    text[fread(text, 1, sizeof(text) - 1, in)] = '\0';
    (void)fclose(in);
    cr_assert_not_null(strstr(text, "\"message\":\"has 7\""), "%s", text);
    (void)unlink(path);
    cr_assert_eq(rmdir(dir), 0, "nothing else is left there");
    stop(&running);
}
