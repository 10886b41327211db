/* track.c - programs that push what they track themselves, with the clients that ship. */
#include <criterion/criterion.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

/* goprofd on a socket: a port might be another's by the time it is started again. */
static struct process start_on_socket(const char *folder, const char *log_name)
{
    char *log = path_join(folder, log_name);
    char *config = path_join(folder, "config.lua");
    char address[256];
    (void)snprintf(address, sizeof(address), "--metrics-listen-addr=unix:%s/socket", folder);
    const char *argv[] = {GOPROFD_BINARY_DIR "/goprofd", "-c", config, address, NULL};
    const struct process_options options = {.folder = folder};
    struct process daemon = process_start(argv, log, &options);
    free(process_wait_for(&daemon, "msg=\"goprofd ready\"", PATIENCE_MS));
    free(config);
    free(log);
    return daemon;
}

static void stop_on_socket(struct process *daemon)
{
    const int status = process_stop(daemon, SIGTERM, PATIENCE_MS);
    char *output = process_output(daemon);
    assert_no_sanitizer_report(output);
    cr_assert_eq(status, 0, "goprofd ended with %d:\n%s", status, output);
    free(output);
    process_release(daemon);
}

/* The body of the answer, or NULL if there was none. */
static json_t *ask_on_socket(const char *folder, const char *path)
{
    char *socket = path_join(folder, "socket");
    char url[256];
    char *body = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&body, &length);
    CURL *curl = curl_easy_init();
    cr_assert(out != NULL && curl != NULL);
    (void)snprintf(url, sizeof(url), "http://goprofd%s", path);
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, out);
    const CURLcode status = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    (void)fclose(out);
    json_t *answer = status == CURLE_OK ? json_loadb(body, length, 0, NULL) : NULL;
    free(body);
    free(socket);
    return answer;
}

static void wait_until_held(const char *folder, const struct wanted *wanted)
{
    enum { POLL_MS = 100 };
    for (unsigned waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms += POLL_MS) {
        json_t *answer = ask_on_socket(folder, "/v1/metrics/retentions/top?target=tracking");
        const bool held = answer != NULL && is_held(answer, wanted);
        json_decref(answer);
        if (held)
            return;
        sleep_ms(POLL_MS);
    }
    cr_assert_fail("%s/%s never held %.0f bytes", wanted->type_name, wanted->tag,
                   wanted->retained_bytes);
}

Test(track, what_is_held_is_known_again_after_goprofd_was_started_anew)
{
    char *folder = strdup("/tmp/goprofd-track-XXXXXX"); /* a socket's path must be short */
    cr_assert_not_null(folder);
    cr_assert_not_null(mkdtemp(folder));
    char *rules = path_join(folder, "rules");
    cr_assert_eq(mkdir(rules, 0755), 0);
    free(rules);
    char address[256];
    const char *const environment[] = {address, NULL};
    const struct process_options options = {.environment = environment};
    const struct go_version newest = go_version_newest();
    (void)snprintf(address, sizeof(address), "GOPROFD_URL=unix:%s/socket", folder);
    free(file_write(folder, "config.lua",
                    "return { sampling_interval_ms = 50, "
                    "targets = { { name = 'nobody', exe = '/nowhere/at/all' } } }"));
    struct process daemon = start_on_socket(folder, "before.log");
    struct go_program program =
        go_program_start(&newest, "tracking_target", NULL, folder, "program.log", &options);
    http_touch(program.port, "/track?type=tile&tag=render&bytes=100&count=10");
    http_touch(program.port, "/track?type=tile&tag=print&bytes=7&count=3");
    wait_until_held(folder, &(struct wanted){"tile", "render", 1000});
    stop_on_socket(&daemon);

    /* Meanwhile it goes on, and cannot tell anybody. */
    http_touch(program.port, "/free?type=tile&tag=render&bytes=100&count=4");
    free(process_wait_for(&program.process, "/v1/track", PATIENCE_MS));
    daemon = start_on_socket(folder, "after.log");
    wait_until_held(folder, &(struct wanted){"tile", "render", 600});
    wait_until_held(folder, &(struct wanted){"tile", "print", 21});
    go_program_release(&program);
    stop_on_socket(&daemon);
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
