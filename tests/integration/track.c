/* track.c - programs that push what they track themselves, with the clients that ship. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { PATIENCE_MS = 60000 };

/* One top list entry and what it is to hold. */
struct wanted {
    const char *type_name;
    const char *tag;
    double retained_bytes;
};

static bool is_held(const json_t *answer, const void *context)
{
    const struct wanted *wanted = context;
    const char *const group[] = {"type_name", wanted->type_name, "tag", wanted->tag, NULL};
    const json_t *entry = answer_find(answer, group);
    return entry != NULL &&
           json_number_value(json_object_get(entry, "retained_bytes")) >= wanted->retained_bytes &&
           json_number_value(json_object_get(entry, "retained_bytes")) <= wanted->retained_bytes;
}

static bool is_up(const json_t *answer, const void *context)
{
    const char *const up[] = {"id", context, "source", "push", "state", "up", NULL};
    return answer_find(answer, up) != NULL;
}

static struct daemon start_daemon(const char *more)
{
    char config[512];
    (void)snprintf(config, sizeof(config), "return { sampling_interval_ms = 50, targets = { %s } }", more);
    return daemon_start(daemon_folder_new(), config);
}

static struct go_program start_go(const char *folder, const char *log, uint16_t port)
{
    char url[64];
    const char *const environment[] = {url, NULL};
    const struct process_options options = {.environment = environment};
    const struct go_version newest = go_version_newest();
    (void)snprintf(url, sizeof(url), "GOPROFD_URL=http://127.0.0.1:%u", (unsigned)port);
    return go_program_start(&newest, "tracking_target", NULL, folder, log, &options);
}

Test(track, a_go_program_becomes_a_target_with_its_own_types_and_tags)
{
    char *folder = scratch_new();
    struct daemon daemon = start_daemon("{ name = 'nobody', exe = '/nowhere/at/all' }");
    struct go_program program = start_go(folder, "first.log", daemon.port);
    http_touch(program.port, "/track?type=tile&tag=render&bytes=100&count=10");
    http_touch(program.port, "/track?type=tile&tag=print&bytes=7&count=1");
    http_touch(program.port, "/free?type=tile&tag=render&bytes=100&count=3");
    const struct wanted rendered = {"tile", "render", 700};
    json_t *top = daemon_wait_for(&daemon, "/v1/metrics/retentions/top?target=tracking", is_held,
                                  &rendered, PATIENCE_MS);
    json_decref(top);
    json_decref(daemon_wait_for(&daemon, "/v1/targets", is_up, "tracking", PATIENCE_MS));

    /* Regrouped as any other target's; and what is not there is not made up. */
    json_t *types = http_json(daemon.port, 200, "/v1/metrics/retentions/top?target=tracking&by=type");
    cr_assert_eq(json_array_size(types), 1);
    cr_expect_eq(answer_number(json_array_get(types, 0), "retained_bytes"), 707);
    json_decref(types);
    json_t *latest = http_json(daemon.port, 200, "/v1/metrics/latest?target=tracking");
    cr_expect_eq(answer_number(latest, "profile_alloc_bytes"), 1007);
    cr_expect_null(json_object_get(latest, "rss_bytes"));
    json_decref(latest);
    go_program_release(&program);

    /* Started again it begins at nothing: another generation. */
    program = start_go(folder, "second.log", daemon.port);
    http_touch(program.port, "/track?type=tile&tag=render&bytes=5&count=1");
    const struct wanted fresh = {"tile", "render", 5};
    json_decref(daemon_wait_for(&daemon, "/v1/metrics/retentions/top?target=tracking", is_held,
                                &fresh, PATIENCE_MS));
    latest = http_json(daemon.port, 200, "/v1/metrics/latest?target=tracking");
    cr_expect_eq(answer_number(latest, "generation"), 2);
    json_decref(latest);
    http_touch(program.port, "/close");
    go_program_release(&program);
    daemon_stop(&daemon);
    scratch_remove(folder);
}

Test(track, a_c_program_does_too)
{
    char *folder = scratch_new();
    char *log = path_join(folder, "program.log");
    char *path = path_join(GOPROFD_BINARY_DIR, "tests/tracking_program");
    struct daemon daemon = start_daemon("{ name = 'nobody', exe = '/nowhere/at/all' }");
    char command[512];
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u", (unsigned)daemon.port);
    /* It waits for a line, which the file brings once the test made it. */
    (void)snprintf(command, sizeof(command),
                   "while [ ! -e '%s/go-on' ]; do sleep 0.05; done | { '%s' '%s'; echo ended with $?; }",
                   folder, path, url);
    const char *argv[] = {"sh", "-c", command, NULL};
    struct process program = process_start(argv, log, NULL);
    const struct wanted all = {"tile", "render", 409600};
    json_decref(daemon_wait_for(&daemon, "/v1/metrics/retentions/top?target=c-program", is_held, &all,
                                PATIENCE_MS));
    const struct wanted odd = {"not ? utf8", "render", 2};
    json_decref(daemon_wait_for(&daemon, "/v1/metrics/retentions/top?target=c-program", is_held, &odd,
                                PATIENCE_MS));
    free(file_write(folder, "go-on", ""));
    free(process_wait_for(&program, "ended with 0", PATIENCE_MS));
    const struct wanted rest = {"tile", "render", 70 * 4096};
    json_decref(daemon_wait_for(&daemon, "/v1/metrics/retentions/top?target=c-program", is_held,
                                &rest, PATIENCE_MS));
    process_release(&program);
    daemon_stop(&daemon);
    free(path);
    free(log);
    scratch_remove(folder);
}

Test(track, the_name_of_a_watched_process_is_refused)
{
    char *folder = scratch_new();
    struct daemon daemon = start_daemon("{ name = 'tracking', exe = '/nowhere/at/all' }");
    struct go_program program = start_go(folder, "first.log", daemon.port);
    free(process_wait_for(&program.process, "409", PATIENCE_MS));
    json_t *targets = http_json(daemon.port, 200, "/v1/targets");
    cr_expect_eq(json_array_size(targets), 1);
    cr_expect_str_eq(answer_text(json_array_get(targets, 0), "source"), "process");
    json_decref(targets);
    go_program_release(&program);
    daemon_stop(&daemon);
    scratch_remove(folder);
}

Test(track, the_go_client_keeps_its_promises)
{
    const struct go_version newest = go_version_newest();
    const char *argv[] = {newest.go, "test", "-count=1", "./...", NULL};
    const struct process_options options = {.folder = GOPROFD_SOURCE_DIR "/clients/go"};
    char *output = NULL;
    cr_assert_eq(process_run(argv, &options, &output), 0, "%s", output);
    free(output);
}
