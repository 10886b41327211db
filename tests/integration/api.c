/* api.c - the paths that goprof-optimizer's consumers use, over a real connection: status codes, content
 * types, field names. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

struct scene {
    struct go_program program;
    struct daemon daemon;
    char *folder;
};

static struct scene open_scene(void)
{
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = scratch_new()};
    scene.program =
        go_program_start(&newest, "profile_target", NULL, scene.folder, "target.log", NULL);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, rules_dir = '%s',"
                   " targets = { { name = 'target', pid = %d } } }",
                   shipped_rules, (int)scene.program.process.pid);
    scene.daemon = daemon_start(daemon_folder_new(), config);
    http_touch(scene.program.port, "/gc");
    json_decref(daemon_wait_for_snapshot(&scene.daemon, "target", 1));
    return scene;
}

static void close_scene(struct scene *scene)
{
    daemon_stop(&scene->daemon);
    go_program_release(&scene->program);
    scratch_remove(scene->folder);
}

static struct http_reply ask(const struct scene *scene, const char *path, const char *body)
{
    char *url = NULL;
    cr_assert(asprintf(&url, "http://127.0.0.1:%u%s", (unsigned)scene->daemon.port, path) > 0);
    struct http_reply reply = http_request(url, body);
    free(url);
    return reply;
}

Test(api, every_path_answers_with_the_stated_status_and_type)
{
    static const struct {
        const char *path;
        const char *body; /* NULL: GET */
        long status;
        const char *content_type;
    } expectations[] = {
        {"/health/live", NULL, 200, "application/json"},
        {"/health/ready", NULL, 200, "application/json"},
        {"/v1/targets", NULL, 200, "application/json"},
        {"/v1/metrics/latest", NULL, 200, "application/json"},
        {"/v1/metrics/latest?target=target", NULL, 200, "application/json"},
        {"/v1/metrics/history?limit=3", NULL, 200, "application/json"},
        {"/v1/metrics/allocations/top", NULL, 200, "application/json"},
        {"/v1/metrics/allocations/top?by=site&limit=3", NULL, 200, "application/json"},
        {"/v1/metrics/retentions/top", NULL, 200, "application/json"},
        {"/v1/suggestions", NULL, 200, "application/json"},
        {"/v1/alerts?severity=critical", NULL, 200, "application/json"},
        {"/v1/rules", NULL, 200, "application/json"},
        {"/v1/capture/heap", "", 200, "application/json"},
        {"/v1/capture/heap?target=all", "", 200, "application/json"},
        {"/metrics", NULL, 200, "text/plain; version=0.0.4"},
        {"/debug/pprof/", NULL, 200, "text/html"},
        {"/debug/pprof/heap", NULL, 200, "application/octet-stream"},
        {"/debug/pprof/heap?debug=1", NULL, 200, "text/plain"},
        {"/debug/pprof/allocs", NULL, 200, "application/octet-stream"},
        {"/debug/pprof/cmdline", NULL, 200, "text/plain"},
        {"/debug/pprof/symbol", NULL, 200, "text/plain"},
        {"/debug/pprof/symbol?0x1", NULL, 200, "text/plain"},
        {"/debug/pprof/profile", NULL, 404, "application/json"},
        /* What is wrong is said with the right status. */
        {"/v1/metrics/latest?target=nobody", NULL, 404, "application/json"},
        {"/v1/metrics/history?limit=many", NULL, 400, "application/json"},
        {"/v1/metrics/retentions/top?by=colour", NULL, 400, "application/json"},
        {"/v1/alerts?severity=grave", NULL, 400, "application/json"},
        {"/v1/no/such/path", NULL, 404, "application/json"},
        {"/v1/alerts", "", 405, "application/json"},
        {"/v1/capture/heap", NULL, 405, "application/json"},
    };
    struct scene scene = open_scene();
    for (size_t i = 0; i < sizeof(expectations) / sizeof(expectations[0]); i++) {
        const char *path = expectations[i].path;
        struct http_reply reply = ask(&scene, path, expectations[i].body);
        cr_assert_eq(reply.status, expectations[i].status, "%s: status %ld: %s", path, reply.status,
                     reply.body);
        char *type = strcasestr(reply.headers, "content-type: ");
        cr_assert(type != NULL && strncmp(type + strlen("content-type: "),
                                          expectations[i].content_type,
                                          strlen(expectations[i].content_type)) == 0,
                  "%s: not %s:\n%s", path, expectations[i].content_type, reply.headers);
        cr_assert_not_null(strcasestr(reply.headers, "x-request-id: "), "%s:\n%s", path,
                           reply.headers);
        if (reply.status >= 400)
            cr_assert_not_null(strstr(reply.body, "\"error\""), "%s: %s", path, reply.body);
        if (reply.status == 405)
            cr_assert_not_null(strcasestr(reply.headers, "allow: "), "%s", reply.headers);
        http_reply_release(&reply);
    }
    close_scene(&scene);
}

static void assert_members(const json_t *object, const char *what, const char *const *names)
{
    for (size_t i = 0; names[i] != NULL; i++)
        cr_assert_not_null(json_object_get(object, names[i]), "%s has no '%s'", what, names[i]);
}

Test(api, a_snapshot_has_the_fields_that_consumers_read)
{
    static const char *const of_snapshot[] = {
        "timestamp",       "heap_alloc_bytes",    "heap_inuse_bytes",  "heap_idle_bytes",
        "num_gc",          "heap_released_bytes", "last_gc_unix",      "next_gc_bytes",
        "target",          "total_alloc_bytes",   "top_allocations",   "top_retentions",
        "source",          "goroutines",          "gogc_percent",      "rss_bytes",
        NULL};
    static const char *const of_allocation[] = {"type_name", "tag", "alloc_count",
                                                "total_alloc_bytes", "average_alloc_bytes", NULL};
    static const char *const of_retention[] = {"type_name", "tag", "retained_bytes",
                                               "retained_percent", NULL};
    struct scene scene = open_scene();
    json_t *snapshot = http_json(scene.daemon.port, 200, "/v1/metrics/latest");
    assert_members(snapshot, "a snapshot", of_snapshot);
    cr_assert_str_eq(answer_text(snapshot, "source"), "process");
    const json_t *allocations = json_object_get(snapshot, "top_allocations");
    const json_t *retentions = json_object_get(snapshot, "top_retentions");
    cr_assert_gt(json_array_size(allocations), 0);
    cr_assert_gt(json_array_size(retentions), 0);
    assert_members(json_array_get(allocations, 0), "top_allocations[0]", of_allocation);
    assert_members(json_array_get(retentions, 0), "top_retentions[0]", of_retention);
    /* No memory limit is set, and none is made up. */
    cr_assert_null(json_object_get(snapshot, "gomemlimit_bytes"));
    json_decref(snapshot);

    json_t *top = http_json(scene.daemon.port, 200, "/v1/metrics/allocations/top?limit=3");
    cr_assert_eq(json_array_size(top), 3);
    assert_members(json_array_get(top, 0), "allocations/top[0]", of_allocation);
    for (size_t i = 1; i < json_array_size(top); i++)
        cr_assert_leq(answer_number(json_array_get(top, i), "total_alloc_bytes"),
                      answer_number(json_array_get(top, i - 1), "total_alloc_bytes"));
    json_decref(top);
    close_scene(&scene);
}

Test(api, go_tool_pprof_opens_the_url)
{
    const struct go_version newest = go_version_newest();
    struct scene scene = open_scene();
    /* pprof keeps what it fetches below its temporary folder. */
    char *setting = NULL;
    cr_assert(asprintf(&setting, "PPROF_TMPDIR=%s", scene.folder) > 0);
    const char *const environment[] = {setting, NULL};
    const struct process_options options = {.environment = environment};
    static const char *const profiles[][2] = {{"heap", "inuse_space"}, {"allocs", "alloc_space"}};
    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        char url[128];
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/debug/pprof/%s",
                       (unsigned)scene.daemon.port, profiles[i][0]);
        const char *argv[] = {newest.go, "tool", "pprof", "-top", url, NULL};
        char *output = NULL;
        cr_assert_eq(process_run(argv, &options, &output), 0, "%s", output);
        cr_assert_not_null(strstr(output, profiles[i][1]), "%s", output);
        cr_assert_not_null(strstr(output, "main."), "%s", output);
        free(output);
    }
    free(setting);
    close_scene(&scene);
}

/* By Debian's jsonschema, msgpack and prometheus_client. */
Test(api, answers_what_its_openapi_document_and_openmetrics_say)
{
    struct scene scene = open_scene();
    char port[16];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)scene.daemon.port);
    const char *const argv[] = {"/usr/bin/python3", GOPROFD_SOURCE_DIR "/tests/support/check_api.py",
                                port, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    free(output);
    close_scene(&scene);
}

Test(api, cmdline_is_the_targets_own)
{
    struct scene scene = open_scene();
    struct http_reply ours = ask(&scene, "/debug/pprof/cmdline?target=target", NULL);
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/debug/pprof/cmdline",
                   (unsigned)scene.program.port);
    struct http_reply own = http_request(url, NULL);
    cr_assert_eq(own.status, 200);
    cr_assert_eq(ours.length, own.length);
    cr_assert_eq(memcmp(ours.body, own.body, own.length), 0);
    http_reply_release(&ours);
    http_reply_release(&own);
    close_scene(&scene);
}

Test(api, symbol_names_the_functions_of_the_heap_profile)
{
    struct scene scene = open_scene();
    json_decref(daemon_wait_for_snapshot(&scene.daemon, "target", 0));
    /* "# 0x47f3a1 main.work+0x.. file:line" of the text form: what net/http/pprof prints beside each stack. */
    struct http_reply text = ask(&scene, "/debug/pprof/heap?debug=1", NULL);
    cr_assert_eq(text.status, 200);
    const char *line = strstr(text.body, "\tmain.");
    cr_assert_not_null(line, "%s", text.body);
    const char *address = line;
    while (address > text.body && address[-1] != '\n')
        address--;
    address = strstr(address, "0x");
    cr_assert(address != NULL && address < line, "%s", text.body);
    char body[64];
    (void)snprintf(body, sizeof(body), "0xdeadbeef+%.*s", (int)strcspn(address, "\t "), address);
    struct http_reply names = ask(&scene, "/debug/pprof/symbol?target=target", body);
    cr_assert_eq(names.status, 200);
    cr_assert_not_null(strstr(names.body, " main."), "asked for %s: %s", body, names.body);
    cr_assert_null(strstr(names.body, "0xdeadbeef"), "%s", names.body);
    http_reply_release(&names);
    http_reply_release(&text);
    close_scene(&scene);
}
