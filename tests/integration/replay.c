/* replay.c - goprofd replay finds in recorded history what the daemon found when it was recorded. */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { ROUNDS_MAX = 1200, BEAT_MS = 200 };

/* A daemon that watched a leak until it said so, and what is left of it. */
struct watched {
    char *scratch;
    char *config; /* paths */
    char *history;
    char *export;
    json_t *alert; /* as the daemon told it */
};

static void write_config(char *text, size_t size, const struct go_program *leaky,
                         const struct go_program *healthy, const char *history)
{
    (void)snprintf(text, size,
                   "return { sampling_interval_ms = %d, rules_dir = '%s', history_dir = '%s',\n"
                   "  history_flush_sec = 0, rules = { retention = { warmup = '1s', min_time = '5s' } },\n"
                   "  targets = { { name = 'leaky', pid = %d }, { name = 'healthy', pid = %d } } }",
                   BEAT_MS, shipped_rules, history, (int)leaky->process.pid,
                   (int)healthy->process.pid);
}

static void drive(const struct go_program *leaky, const struct go_program *healthy)
{
    for (int i = 0; i < 8; i++)
        http_touch(leaky->port, "/leak?visitor=%d", i);
    http_touch(leaky->port, "/churn");
    for (int i = 0; i < 5; i++)
        http_touch(healthy->port, "/json");
}

/* The open alert of the rule on the leaking service, once there is one. */
static json_t *wait_for_alert(const struct daemon *daemon, const struct go_program *leaky,
                              const struct go_program *healthy)
{
    static const char *const wanted[] = {"target", "leaky", "rule", "retention", "state", "firing", NULL};
    for (int round = 0; round < ROUNDS_MAX; round++) {
        drive(leaky, healthy);
        json_t *alerts = http_json(daemon->port, 200, "/v1/alerts");
        json_t *alert = json_incref((json_t *)(uintptr_t)answer_find(alerts, wanted));
        json_decref(alerts);
        if (alert != NULL)
            return alert;
        sleep_ms(50);
    }
    char *log = process_output(&daemon->process);
    cr_assert(false, "no alert; log:\n%s", log);
    return NULL;
}

static struct watched watch(void)
{
    const struct go_version newest = go_version_newest();
    struct watched watched = {.scratch = scratch_new()};
    struct go_program leaky =
        go_program_start(&newest, "demo-shop", NULL, watched.scratch, "leaky.log", NULL);
    struct go_program healthy =
        go_program_start(&newest, "demo-shop", NULL, watched.scratch, "healthy.log", NULL);
    char config[1024];
    watched.history = path_join(watched.scratch, "history");
    write_config(config, sizeof(config), &leaky, &healthy, watched.history);
    watched.config = file_write(watched.scratch, "replay.lua", config);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    watched.alert = wait_for_alert(&daemon, &leaky, &healthy);
    watched.export = path_join(watched.scratch, "export.msgpack");
    http_save(daemon.port, "/v1/export", watched.export);
    daemon_stop(&daemon);
    go_program_release(&leaky);
    go_program_release(&healthy);
    return watched;
}

static void forget(struct watched *watched)
{
    json_decref(watched->alert);
    free(watched->export);
    free(watched->history);
    free(watched->config);
    scratch_remove(watched->scratch);
}

/* The events that `goprofd replay --json` tells of [path], as an array; *[text] is what it printed of them. */
static json_t *replay(const struct watched *watched, const char *path, int expected_status,
                      char **text)
{
    const char *arguments[] = {"replay", path, "-c", watched->config, "--json", NULL};
    char *output = NULL;
    const int status = goprofd_run(arguments, NULL, &output);
    cr_assert_eq(status, expected_status, "%s", output);
    assert_no_sanitizer_report(output);
    json_t *events = json_array();
    size_t kept = 0;
    for (char *line = output; *line != '\0';) {
        const size_t length = strcspn(line, "\n");
        if (line[0] == '{') {
            cr_assert_eq(json_array_append_new(events, json_loadb(line, length, 0, NULL)), 0,
                         "not JSON: %.*s", (int)length, line);
            memmove(output + kept, line, length + 1);
            kept += length + 1;
        }
        line += length + (line[length] == '\n');
    }
    output[kept] = '\0';
    if (text != NULL)
        *text = output;
    else
        free(output);
    return events;
}

static double seconds_of(const char *time)
{
    struct tm date = {0};
    const char *rest = strptime(time, "%Y-%m-%dT%H:%M:%S", &date);
    cr_assert_not_null(rest, "no time: %s", time);
    return (double)timegm(&date) + (*rest == '.' ? strtod(rest, NULL) : 0);
}

Test(replay, fires_the_alert_that_the_daemon_fired_when_it_did_and_no_other)
{
    static const char *const firing[] = {"event", "firing", "rule", "retention", "target", "leaky",
                                         NULL};
    struct watched watched = watch();
    char *first = NULL;
    char *second = NULL;
    json_t *events = replay(&watched, watched.history, 0, &first);
    json_decref(replay(&watched, watched.history, 0, &second));
    cr_assert_str_eq(first, second, "the same recording says the same");

    const json_t *fired = answer_find(events, firing);
    cr_assert_not_null(fired, "replay says:\n%s", first);
    cr_expect_str_eq(answer_text(fired, "id"), answer_text(watched.alert, "id"));
    cr_expect_str_eq(answer_text(fired, "fingerprint"), answer_text(watched.alert, "fingerprint"));
    /* The daemon's time is that of the page, a moment after the snapshot's; its rule thread may have been late
     * for a beat. */
    const double apart =
        seconds_of(answer_text(fired, "since")) - seconds_of(answer_text(watched.alert, "created_at"));
    cr_expect(fabs(apart) <= 3 * BEAT_MS / 1e3, "%g s apart; replay says:\n%s", apart, first);

    for (size_t i = 0; i < json_array_size(events); i++)
        cr_expect_str_neq(answer_text(json_array_get(events, i), "target"), "healthy", "%s", first);
    free(first);
    free(second);
    json_decref(events);
    forget(&watched);
}

Test(replay, of_an_export_and_of_damaged_history_says_what_is_missing)
{
    struct watched watched = watch();
    json_decref(replay(&watched, watched.export, 0, NULL));

    char *segment = path_join(watched.history, "segment-000000000000.gph");
    struct stat status;
    cr_assert_eq(stat(segment, &status), 0);
    cr_assert_eq(truncate(segment, status.st_size - 3), 0);
    const char *arguments[] = {"replay", segment, "-c", watched.config, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 1, "%s", output);
    cr_assert_not_null(strstr(output, "segment-000000000000.gph"), "%s", output);
    cr_assert_not_null(strstr(output, " snapshots of 2 targets"), "the rest is judged: %s", output);
    assert_no_sanitizer_report(output);
    free(output);
    free(segment);
    forget(&watched);
}

static void assert_refused(const char *const *arguments, int status, const char *reason)
{
    char *output = NULL;
    cr_expect_eq(goprofd_run(arguments, NULL, &output), status, "%s", output);
    cr_expect(strstr(output, reason) != NULL, "no '%s' in: %s", reason, output);
    free(output);
}

Test(replay, names_what_is_wrong_with_its_arguments)
{
    assert_refused((const char *[]){"replay", NULL}, 2, "usage: goprofd replay");
    assert_refused((const char *[]){"replay", "x", "y", NULL}, 2, "'y'");
    assert_refused((const char *[]){"replay", "x", "--since", "soon", NULL}, 2, "--since: found 'soon'");
    assert_refused((const char *[]){"replay", "x", "--until", NULL}, 2, "'--until'");
    assert_refused((const char *[]){"replay", "x", "--speed", "9", NULL}, 2, "'--speed'");
    assert_refused((const char *[]){"replay", "/nowhere/at/all", NULL}, 1, "/nowhere/at/all");
    assert_refused((const char *[]){"replay", "x", "-c", "/nowhere.lua", NULL}, 2, "/nowhere.lua");
}
