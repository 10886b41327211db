/* history.c - any moment of the past can be asked for: what was served then is served again. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { MOMENTS = 4 };

struct moment {
    struct http_reply profile; /* as it was served then */
    double at;                 /* Unix seconds */
};

static struct http_reply get(uint16_t port, const char *path)
{
    char *url = NULL;
    cr_assert(asprintf(&url, "http://127.0.0.1:%u%s", (unsigned)port, path) > 0);
    struct http_reply reply = http_request(url, NULL);
    cr_assert_eq(reply.status, 200, "%s: %ld %s", path, reply.status, reply.body);
    free(url);
    return reply;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static json_int_t collect(const struct go_program *target)
{
    http_touch(target->port, "/alloc");
    http_touch(target->port, "/gc?n=2");
    json_t *memstats = http_json(target->port, 200, "/memstats");
    const json_int_t num_gc = (json_int_t)answer_number(memstats, "NumGC");
    json_decref(memstats);
    return num_gc;
}

static bool same(const struct http_reply *a, const struct http_reply *b)
{
    return a->length == b->length && memcmp(a->body, b->body, a->length) == 0;
}

/* An instant before and after which the same profile was served. */
static struct moment take_moment(uint16_t port)
{
    for (;;) {
        struct moment moment = {.profile = get(port, "/debug/pprof/heap")};
        sleep_ms(20);
        moment.at = now();
        sleep_ms(20);
        struct http_reply after = get(port, "/debug/pprof/heap");
        const bool settled = same(&moment.profile, &after);
        http_reply_release(&after);
        if (settled)
            return moment;
        http_reply_release(&moment.profile);
    }
}

/* "go tool pprof -top URL" must read it; returns what it prints. */
static char *pprof_top(const struct go_version *version, const char *path)
{
    const char *argv[] = {version->go, "tool", "pprof", "-top", "-sample_index=inuse_space", path, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    return output;
}

Test(history, serves_the_profile_of_any_moment_byte_for_byte_and_what_changed)
{
    const struct go_version newest = go_version_newest();
    static const char *const environment[] = {"GOGC=off", NULL};
    const struct process_options options = {.environment = environment};
    char *scratch = scratch_new();
    struct go_program target =
        go_program_start(&newest, "profile_target", NULL, scratch, "target.log", &options);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100,"
                   " targets = { { name = 'shop', pid = %d } } }",
                   (int)target.process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);

    struct moment moments[MOMENTS];
    for (size_t i = 0; i < MOMENTS; i++) {
        const json_int_t num_gc = collect(&target);
        json_decref(daemon_wait_for_snapshot(&daemon, "shop", num_gc));
        moments[i] = take_moment(daemon.port);
    }
    for (size_t i = 0; i < MOMENTS; i++) {
        char path[96];
        (void)snprintf(path, sizeof(path), "/debug/pprof/heap?at=%.6f", moments[i].at);
        struct http_reply again = get(daemon.port, path);
        cr_assert(same(&again, &moments[i].profile), "moment %zu", i);
        for (size_t k = 0; k < i; k++)
            cr_assert_not(same(&again, &moments[k].profile),
                          "moments %zu and %zu had different profiles", k, i);
        http_reply_release(&again);
    }

    char query[160];
    char *file = path_join(scratch, "diff.pb.gz");
    (void)snprintf(query, sizeof(query), "/v1/profiles/diff?from=%.6f&to=%.6f", moments[0].at,
                   moments[3].at);
    http_save(daemon.port, query, file);
    char *top = pprof_top(&newest, file);
    cr_assert_not_null(strstr(top, "main."), "%s", top);
    free(top);
    free(file);
    (void)snprintf(query, sizeof(query), "/v1/profiles/diff?from=%.6f&to=%.6f&format=text",
                   moments[0].at, moments[3].at);
    struct http_reply table = get(daemon.port, query);
    cr_assert_not_null(strstr(table.body, "main."), "%s", table.body);
    http_reply_release(&table);

    /* What changed within a window: less than ever, of a time that is said. */
    json_t *ever = http_json(daemon.port, 200, "/v1/metrics/allocations/top?by=site&limit=1");
    json_t *lately = http_json(daemon.port, 200,
                               "/v1/metrics/allocations/top?by=site&limit=1&window=1s");
    json_t *whole = http_json(daemon.port, 200,
                              "/v1/metrics/allocations/top?by=site&limit=1&window=1h");
    cr_assert_eq(json_array_size(whole), 1);
    cr_expect_eq(answer_number(json_array_get(whole, 0), "total_alloc_bytes"),
                 answer_number(json_array_get(ever, 0), "total_alloc_bytes"),
                 "the process is younger than an hour");
    cr_expect_gt(answer_number(json_array_get(whole, 0), "window_seconds"), 0);
    if (json_array_size(lately) > 0)
        cr_expect_leq(answer_number(json_array_get(lately, 0), "total_alloc_bytes"),
                      answer_number(json_array_get(ever, 0), "total_alloc_bytes"));
    json_decref(ever);
    json_decref(lately);
    json_decref(whole);

    for (size_t i = 0; i < MOMENTS; i++)
        http_reply_release(&moments[i].profile);
    daemon_stop(&daemon);
    go_program_release(&target);
    scratch_remove(scratch);
}
