/* leak.c - the demo service: its leak becomes an alert, a suggestion that names the function, and one
 * capture; its healthy route becomes nothing.  Two services side by side keep their findings apart. */
#include <criterion/criterion.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

/* Where the demo service leaks: examples/demo/service/sessions.go. */
static const char guilty[] = "main.(*sessionStore).remember";

static struct go_program start_shop(const char *folder, const char *log_name)
{
    const struct go_version newest = go_version_newest();
    return go_program_start(&newest, "demo-shop", NULL, folder, log_name, NULL);
}

static struct daemon watch(const struct go_program *leaky, const struct go_program *healthy)
{
    char config[1024];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, rules_dir = '%s',"
                   " profile_capture_enabled = true, profile_capture_dir = 'profiles',"
                   " targets = { { name = 'leaky', pid = %d }, { name = 'healthy', pid = %d } } }",
                   shipped_rules, (int)leaky->process.pid, (int)healthy->process.pid);
    return daemon_start(daemon_folder_new(), config);
}

/* 64 KiB kept by each login; the reports are garbage that brings on GCs, and with them new
 * profiles. */
static void drive_leak(const struct go_program *shop)
{
    enum { LOGINS = 8, REPORTS = 2 };
    for (int i = 0; i < LOGINS; i++)
        http_touch(shop->port, "/leak?visitor=%d", i);
    for (int i = 0; i < REPORTS; i++)
        http_touch(shop->port, "/churn");
}

static void drive_healthy(const struct go_program *shop)
{
    enum { REQUESTS = 10 };
    for (int i = 0; i < REQUESTS; i++)
        http_touch(shop->port, "/json");
}

static size_t count_captures(const struct daemon *daemon, const char *target)
{
    char *pattern = NULL;
    cr_assert(asprintf(&pattern, "%s/profiles/%s/heap-*.pb.gz", daemon->folder, target) > 0);
    glob_t found = {0};
    const int outcome = glob(pattern, 0, NULL, &found);
    cr_assert(outcome == 0 || outcome == GLOB_NOMATCH, "glob %s", pattern);
    const size_t count = found.gl_pathc;
    globfree(&found);
    free(pattern);
    return count;
}

/* Whether a list of [path] has an entry as [wanted]. */
static bool has(const struct daemon *daemon, const char *path, const char *const *wanted)
{
    json_t *answer = http_json(daemon->port, 200, "%s", path);
    const bool found = answer_find(answer, wanted) != NULL;
    json_decref(answer);
    return found;
}

static bool mentions(const struct daemon *daemon, const char *path, const char *text)
{
    json_t *answer = http_json(daemon->port, 200, "%s", path);
    const bool found = answer_mentions(answer, text);
    json_decref(answer);
    return found;
}

static void assert_nothing_found(const struct daemon *daemon, const char *path)
{
    json_t *answer = http_json(daemon->port, 200, "%s", path);
    char *text = json_dumps(answer, JSON_INDENT(2));
    cr_assert_eq(json_array_size(answer), 0, "%s: %s", path, text);
    free(text);
    json_decref(answer);
}

/* What `go tool pprof -top` puts first in what was allocated between the two captures of the leaky target. */
static void assert_captures_blame_the_leak(const struct daemon *daemon)
{
    static const char *const later[] = {"target", "leaky", "pair", "after", "reason", "alert", NULL};
    static const char *const earlier[] = {"target", "leaky", "pair", "before", "reason", "alert", NULL};
    const struct go_version newest = go_version_newest();
    json_t *captures = http_json(daemon->port, 200, "/v1/captures?target=leaky");
    const json_t *after = answer_find(captures, later);
    const json_t *before = answer_find(captures, earlier);
    cr_assert(after != NULL && before != NULL);
    char *pointed = NULL;
    cr_assert(asprintf(&pointed, "leaky/%s", answer_text(after, "before")) > 0);
    cr_assert_str_eq(pointed, answer_text(before, "name"));
    char *files[2] = {NULL, NULL};
    cr_assert(asprintf(&files[0], "%s/profiles/%s", daemon->folder, answer_text(before, "name")) > 0);
    cr_assert(asprintf(&files[1], "%s/profiles/%s", daemon->folder, answer_text(after, "name")) > 0);
    const char *argv[] = {newest.go, "tool", "pprof", "-top", "-diff_base", files[0], files[1], NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    free(files[0]);
    free(files[1]);
    free(pointed);
    json_decref(captures);
    const char *table = strstr(output, "flat%");
    cr_assert_not_null(table, "%s", output);
    const char *first_row = strchr(table, '\n') + 1;
    const char *name = strstr(first_row, guilty);
    cr_assert(name != NULL && name < strchr(first_row, '\n'), "%s", output);
    free(output);
}

Test(leak, becomes_a_critical_alert_a_suggestion_naming_the_function_and_one_pair_of_captures)
{
    /* With its default parameters the rule wants to see 10 s of growth, 5 s after the start. */
    enum { ROUNDS_MAX = 600, ROUNDS_AFTER = 10 };
    static const char *const critical[] = {"target", "leaky",  "severity", "critical",
                                           "state",  "firing", NULL};
    char *folder = scratch_new();
    struct go_program leaky = start_shop(folder, "leaky.log");
    struct go_program healthy = start_shop(folder, "healthy.log");
    struct daemon daemon = watch(&leaky, &healthy);

    bool found = false;
    for (int round = 0; round < ROUNDS_MAX && !found; round++) {
        drive_leak(&leaky);
        drive_healthy(&healthy);
        found = has(&daemon, "/v1/alerts", critical) &&
                mentions(&daemon, "/v1/suggestions?target=leaky", guilty) &&
                count_captures(&daemon, "leaky") > 1;
        sleep_ms(50);
    }
    char *log = process_output(&daemon.process);
    cr_assert(has(&daemon, "/v1/alerts", critical), "no critical alert; log:\n%s", log);
    cr_assert(mentions(&daemon, "/v1/suggestions?target=leaky", guilty),
              "no suggestion names %s; log:\n%s", guilty, log);
    free(log);

    /* It goes on leaking, within the cooldown: still one pair, of now and of before. */
    for (int round = 0; round < ROUNDS_AFTER; round++) {
        drive_leak(&leaky);
        drive_healthy(&healthy);
        sleep_ms(100);
    }
    cr_assert_eq(count_captures(&daemon, "leaky"), 2);
    assert_captures_blame_the_leak(&daemon);

    /* The neighbour that served as long, in the same daemon, is blamed for nothing. */
    assert_nothing_found(&daemon, "/v1/alerts?target=healthy");
    assert_nothing_found(&daemon, "/v1/suggestions?target=healthy");
    cr_assert_eq(count_captures(&daemon, "healthy"), 0);

    daemon_stop(&daemon);
    go_program_release(&leaky);
    go_program_release(&healthy);
    scratch_remove(folder);
}

Test(leak, top_retentions_put_the_guilty_function_first)
{
    char *folder = scratch_new();
    struct go_program leaky = start_shop(folder, "leaky.log");
    struct go_program healthy = start_shop(folder, "healthy.log");
    struct daemon daemon = watch(&leaky, &healthy);

    for (int round = 0; round < 100; round++)
        drive_leak(&leaky);
    json_decref(daemon_wait_for_snapshot(&daemon, "leaky", 1));
    json_t *top =
        http_json(daemon.port, 200, "/v1/metrics/retentions/top?by=site&limit=1&target=leaky");
    cr_assert_eq(json_array_size(top), 1);
    const json_t *first = json_array_get(top, 0);
    cr_assert_str_eq(answer_text(first, "function"), guilty);
    cr_assert_not_null(strstr(answer_text(first, "file"), "sessions.go"));
    cr_assert_gt(answer_number(first, "retained_bytes"), 5 << 20);
    cr_assert_gt(answer_number(first, "retained_percent"), 25);
    json_decref(top);

    /* Each target has its own: the healthy one knows nothing of sessions. */
    cr_assert(!mentions(&daemon, "/v1/metrics/retentions/top?by=site&target=healthy", guilty));
    daemon_stop(&daemon);
    go_program_release(&leaky);
    go_program_release(&healthy);
    scratch_remove(folder);
}
