/* scraped.c - targets that are scraped over net/http/pprof, beside the same program read from outside.
 *
 * What arrives over HTTP must be what is read from memory; and whatever the other side does (leave, come
 * back, talk nonsense, say nothing) the target says so and no beat waits. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"
#include "tests/support/raw_profile.h"
#include "tests/support/stub_server.h"

enum { WAIT_MS = 60000 };

/* No GC but the ones that the test asks for: the published profile stands still between them.  ("off" would
 * have the runtime derive a goal from GOMEMLIMIT, which goes up and down.) */
static const char *const no_background_gc[] = {"GOGC=10000", NULL};

static void free_versions(struct criterion_test_params *params)
{
    cr_free(params->params);
}

static struct criterion_test_params every_go_version(void)
{
    size_t count = 0;
    struct go_version *versions = go_versions(&count);
    return cr_make_param_array(struct go_version, versions, count, free_versions);
}

/* ---- the same program, twice ---- */

struct twice {
    struct go_program program;
    struct daemon daemon; /* watches it as "near", by pid, and as "far", by URL */
    char *folder;
};

static struct twice watch_twice(const struct go_version *version)
{
    const struct process_options options = {.environment = no_background_gc};
    struct twice twice = {.folder = scratch_new()};
    twice.program = go_program_start(version, "profile_target", NULL, twice.folder, "target.log",
                                     &options);
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = {"
                   " { name = 'near', pid = %d },"
                   " { name = 'far', url = 'http://127.0.0.1:%u', interval = '200ms' } } }",
                   (int)twice.program.process.pid, twice.program.port);
    http_touch(twice.program.port, "/gc?n=2");
    twice.daemon = daemon_start(daemon_folder_new(), config);
    return twice;
}

static void stop_watching(struct twice *twice)
{
    daemon_stop(&twice->daemon);
    go_program_release(&twice->program);
    scratch_remove(twice->folder);
}

static json_int_t number_of_gcs(uint16_t port)
{
    json_t *stats = http_json(port, 200, "/memstats");
    const json_int_t num_gc = json_integer_value(json_object_get(stats, "NumGC"));
    json_decref(stats);
    return num_gc;
}

static struct raw_profile read_profile(const struct twice *twice, const char *target)
{
    const struct go_version judge = go_version_newest();
    char path[64];
    char name[64];
    json_decref(daemon_wait_for_snapshot(&twice->daemon, target, number_of_gcs(twice->program.port)));
    (void)snprintf(path, sizeof(path), "/debug/pprof/heap?target=%s", target);
    (void)snprintf(name, sizeof(name), "%s.pb.gz", target);
    char *file = path_join(twice->folder, name);
    http_save(twice->daemon.port, path, file);
    struct raw_profile profile = raw_profile_read(judge.go, file);
    free(file);
    return profile;
}

ParameterizedTestParameters(scraped, has_the_profile_that_is_read_from_outside)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, scraped, has_the_profile_that_is_read_from_outside)
{
    struct twice twice = watch_twice(version);
    for (int round = 0; round < 2; round++) {
        struct raw_profile near = read_profile(&twice, "near");
        struct raw_profile far = read_profile(&twice, "far");
        cr_assert_gt(near.count, 20, "too few samples to prove anything");
        /* Sites that the scraping itself has made meanwhile have no values yet. */
        raw_profile_assert_equal(&near, &far, version->name);
        raw_profile_release(&near);
        raw_profile_release(&far);
        http_touch(twice.program.port, "/alloc");
        http_touch(twice.program.port, "/gc?n=2");
    }
    stop_watching(&twice);
}

/* Stacks are taken from the heap and given back to it, and so are the collector's work buffers (memstats.c). */
enum { STACK_SLACK_BYTES = 128 * 1024, WORK_BUFFERS_SLACK_BYTES = 2 * 32 * 1024 };

/* By what MemStats calls them; the rest of a snapshot is not in the text. */
static const struct {
    const char *ours;
    const char *theirs;
    double slack;
} memstats[] = {
    {"heap_alloc_bytes", "HeapAlloc", 0},
    {"heap_inuse_bytes", "HeapInuse", 0},
    {"heap_sys_bytes", "HeapSys", STACK_SLACK_BYTES},
    {"heap_objects", "HeapObjects", 0},
    {"num_gc", "NumGC", 0},
    {"num_forced_gc", "NumForcedGC", 0},
    {"next_gc_bytes", "NextGC", 0},
    {"total_alloc_bytes", "TotalAlloc", 0},
    {"mallocs", "Mallocs", 0},
    {"frees", "Frees", 0},
    {"mspan_inuse_bytes", "MSpanInuse", 0},
    {"mspan_sys_bytes", "MSpanSys", 0},
    {"mcache_inuse_bytes", "MCacheInuse", 0},
    {"mcache_sys_bytes", "MCacheSys", 0},
    {"buck_hash_sys_bytes", "BuckHashSys", 0},
    {"gc_sys_bytes", "GCSys", WORK_BUFFERS_SLACK_BYTES},
    {"gc_pause_total_ns", "PauseTotalNs", 0},
    {"gc_cpu_fraction", "GCCPUFraction", 0},
    {"sys_bytes", "Sys", 0},
};
enum { MEMSTATS_COUNT = sizeof(memstats) / sizeof(memstats[0]) };

/* How many of our numbers do not lie between two of the program's own; [which] names them. */
static size_t count_outside(const json_t *ours, const json_t *before, const json_t *after,
                            char which[1024])
{
    size_t outside = 0;
    size_t length = 0;
    for (size_t i = 0; i < MEMSTATS_COUNT; i++) {
        const double value = answer_number(ours, memstats[i].ours);
        const double a = answer_number(before, memstats[i].theirs);
        const double b = answer_number(after, memstats[i].theirs);
        const double slack = memstats[i].slack;
        /* The fraction falls as time passes without a GC, all else can only rise. */
        if ((value < a - slack || value > b + slack) && (value > a + slack || value < b - slack)) {
            outside++;
            if (length < 512)
                length += (size_t)snprintf(which + length, 512, "%s = %.17g, not %.17g to %.17g; ",
                                           memstats[i].ours, value, a, b);
        }
    }
    return outside;
}

ParameterizedTestParameters(scraped, has_memstats_between_two_of_the_programs_own)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, scraped, has_memstats_between_two_of_the_programs_own)
{
    enum { TRIES = 5 }; /* stacks come from the heap and go back to it between two looks */
    struct twice twice = watch_twice(version);
    char which[1024] = "";
    size_t outside = MEMSTATS_COUNT;
    for (int i = 0; i < TRIES && outside > 0; i++) {
        json_t *before = http_json(twice.program.port, 200, "/memstats");
        json_t *ours = daemon_wait_for_snapshot(&twice.daemon, "far", 0);
        json_t *after = http_json(twice.program.port, 200, "/memstats");
        outside = count_outside(ours, before, after, which);
        cr_assert_eq(json_integer_value(json_object_get(ours, "num_gc")),
                     json_integer_value(json_object_get(after, "NumGC")));
        json_decref(before);
        json_decref(ours);
        json_decref(after);
    }
    cr_assert_eq(outside, 0, "go%s: %zu numbers: %s", version->name, outside, which);
    stop_watching(&twice);
}

Test(scraped, says_what_it_is_and_leaves_out_what_pprof_cannot_tell)
{
    static const char *const absent[] = {"goroutines", "rss_bytes",        "gogc_percent",
                                         "gomaxprocs", "gomemlimit_bytes", "heap_live_bytes"};
    const struct go_version version = go_version_newest();
    struct twice twice = watch_twice(&version);
    json_t *snapshot = daemon_wait_for_snapshot(&twice.daemon, "far", 0);
    cr_assert_str_eq(answer_text(snapshot, "source"), "pprof");
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        cr_assert_null(json_object_get(snapshot, absent[i]), "%s", absent[i]);
    json_decref(snapshot);

    json_t *far = http_json(twice.daemon.port, 200, "/v1/targets/far");
    json_t *near = http_json(twice.daemon.port, 200, "/v1/targets/near");
    cr_assert_str_eq(answer_text(far, "state"), "up");
    cr_assert_not_null(strstr(answer_text(far, "url"), "/debug/pprof"));
    cr_assert_str_eq(answer_text(far, "command"), answer_text(near, "command"));
    cr_assert_str_eq(answer_text(far, "build_id"), answer_text(near, "build_id"));
    cr_assert_null(json_object_get(far, "go_version"));
    cr_assert_null(json_object_get(far, "pid"));
    json_decref(far);
    json_decref(near);

    /* The same tags from the same stacks; types only where the stack tells them. */
    json_t *tops = http_json(twice.daemon.port, 200,
                             "/v1/metrics/allocations/top?target=far&by=tag&limit=50");
    const char *const by_main[] = {"tag", "main.main", NULL};
    cr_assert_not_null(answer_find(tops, by_main));
    json_decref(tops);

    json_t *refused = http_json(twice.daemon.port, 422, "/debug/pprof/goroutine?target=far");
    cr_assert(answer_mentions(refused, "is scraped"));
    json_decref(refused);
    stop_watching(&twice);
}

/* ---- the other side ---- */

/* What a real program says, to be said again by a stub. */
struct recording {
    struct http_reply heap;
    struct http_reply stats;
};

static struct recording record(void)
{
    const struct go_version version = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&version, "profile_target", NULL, folder, "target.log", NULL);
    http_touch(program.port, "/gc");
    char url[128];
    struct recording recording;
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/debug/pprof/heap", program.port);
    recording.heap = http_request(url, NULL);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/debug/pprof/heap?debug=1", program.port);
    recording.stats = http_request(url, NULL);
    cr_assert_eq(recording.heap.status, 200);
    cr_assert_eq(recording.stats.status, 200);
    go_program_release(&program);
    scratch_remove(folder);
    return recording;
}

static void recording_release(struct recording *recording)
{
    http_reply_release(&recording->heap);
    http_reply_release(&recording->stats);
}

static struct stub_answer heap_answer(const struct recording *recording)
{
    return (struct stub_answer){.path = "/debug/pprof/heap",
                                .status = 200,
                                .body = recording->heap.body,
                                .length = recording->heap.length};
}

static struct stub_answer stats_answer(const struct recording *recording)
{
    return (struct stub_answer){.path = "/debug/pprof/heap?debug=1",
                                .status = 200,
                                .body = recording->stats.body,
                                .length = recording->stats.length};
}

static struct daemon scrape(uint16_t port, const char *more)
{
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = { { name = 'far',"
                   " url = 'http://127.0.0.1:%u', interval = '100ms' %s } } }",
                   port, more);
    return daemon_start(daemon_folder_new(), config);
}

static bool has_come_to(const json_t *answer, const void *context)
{
    const json_int_t *sequence = context;
    return json_integer_value(json_object_get(answer, "sequence")) >= *sequence;
}

/* One that was begun after the call. */
static json_t *wait_for_next(const struct daemon *daemon)
{
    static const char path[] = "/v1/metrics/latest?target=far";
    json_t *present = http_json(daemon->port, 200, path);
    const json_int_t next = json_integer_value(json_object_get(present, "sequence")) + 2;
    json_decref(present);
    return daemon_wait_for(daemon, path, has_come_to, &next, WAIT_MS);
}

static json_t *wait_for_state(const struct daemon *daemon, const char *state, const char *reason)
{
    const char *const wanted[] = {"id", "far", "state", state, NULL};
    json_t *targets = daemon_wait_for(daemon, "/v1/targets", answer_has, wanted, WAIT_MS);
    const json_t *far = answer_find(targets, wanted);
    if (reason != NULL)
        cr_assert_not_null(strstr(answer_text(far, "reason"), reason), "reason: %s",
                           answer_text(far, "reason"));
    return targets;
}

Test(scraped, fails_with_the_reason_while_nobody_is_there_and_comes_back)
{
    struct recording recording = record();
    const struct stub_answer answers[] = {heap_answer(&recording), stats_answer(&recording)};
    struct stub_server *server = stub_server_start(0, answers, 2);
    const uint16_t port = stub_server_port(server);
    struct daemon daemon = scrape(port, "");
    json_decref(wait_for_state(&daemon, "up", NULL));

    stub_server_stop(server);
    json_decref(wait_for_state(&daemon, "failing", "cannot connect: Connection refused"));
    /* The last snapshot stays what it was. */
    json_t *last = http_json(daemon.port, 200, "/v1/metrics/latest?target=far");
    sleep_ms(500);
    json_t *later = http_json(daemon.port, 200, "/v1/metrics/latest?target=far");
    cr_assert(json_equal(last, later), "nothing new came, so nothing may look new");
    json_decref(later);

    server = stub_server_start(port, answers, 2);
    json_decref(wait_for_state(&daemon, "up", NULL));
    json_t *fresh = daemon_wait_for_snapshot(&daemon, "far", 0);
    cr_assert_gt(answer_number(fresh, "sequence"), answer_number(last, "sequence"));
    cr_assert_eq(answer_number(fresh, "generation"), 1, "the same program: its counters did not fall");
    json_decref(fresh);
    json_decref(last);
    daemon_stop(&daemon);
    stub_server_stop(server);
    recording_release(&recording);
}

Test(scraped, begins_a_generation_when_counters_fall)
{
    struct recording recording = record();
    struct stub_answer answers[] = {heap_answer(&recording), stats_answer(&recording)};
    struct stub_server *server = stub_server_start(0, answers, 2);
    const uint16_t port = stub_server_port(server);
    struct daemon daemon = scrape(port, "");
    json_decref(wait_for_state(&daemon, "up", NULL));
    stub_server_stop(server);

    /* A program that was started anew: fewer digits in the one counter that always grows. */
    char *total = strstr(recording.stats.body, "# TotalAlloc = ");
    cr_assert_not_null(total);
    char *digits = total + strlen("# TotalAlloc = ");
    while (digits[1] != '\n')
        *digits++ = '0';
    server = stub_server_start(port, answers, 2);
    json_t *snapshot = daemon_wait_for_snapshot(&daemon, "far", 0);
    while (answer_number(snapshot, "generation") < 2) {
        json_decref(snapshot);
        snapshot = daemon_wait_for_snapshot(&daemon, "far", 0);
    }
    cr_assert_eq(answer_number(snapshot, "generation"), 2);
    json_decref(snapshot);
    daemon_stop(&daemon);
    stub_server_stop(server);
    recording_release(&recording);
}

Test(scraped, is_degraded_and_partial_when_one_of_the_two_requests_fails)
{
    struct recording recording = record();
    const struct stub_answer heap_only[] = {heap_answer(&recording)};
    struct stub_server *server = stub_server_start(0, heap_only, 1);
    const uint16_t port = stub_server_port(server);
    struct daemon daemon = scrape(port, "");
    json_decref(wait_for_state(&daemon, "degraded", "/heap?debug=1: status 404"));
    json_t *snapshot = wait_for_next(&daemon);
    cr_assert(json_is_true(json_object_get(snapshot, "partial")));
    cr_assert_null(json_object_get(snapshot, "heap_alloc_bytes"));
    cr_assert_gt(answer_number(snapshot, "profile_inuse_bytes"), 0);
    json_decref(snapshot);
    stub_server_stop(server);

    const struct stub_answer stats_only[] = {
        stats_answer(&recording),
        {.path = "/debug/pprof/heap", .status = 200, .body = "<html>heap</html>", .length = 17}};
    server = stub_server_start(port, stats_only, 2);
    const char *const wanted[] = {"id", "far", "reason_code", "corrupt", NULL};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, wanted, WAIT_MS));
    json_decref(wait_for_state(&daemon, "degraded", "/heap: not a profile"));
    snapshot = wait_for_next(&daemon);
    cr_assert(json_is_true(json_object_get(snapshot, "partial")));
    cr_assert_gt(answer_number(snapshot, "heap_alloc_bytes"), 0);
    cr_assert_null(json_object_get(snapshot, "profile_inuse_bytes"), "the old profile is not a new one");
    json_decref(snapshot);
    stub_server_stop(server);
    daemon_stop(&daemon);
    recording_release(&recording);
}

/* What the other side answers to all requests, and the words of the state's reason. */
static void assert_refused(int status, const char *head, const char *body, const char *state,
                           const char *reason)
{
    const struct stub_answer answers[] = {
        {"/debug/pprof/heap", status, head, body, strlen(body)},
        {"/debug/pprof/heap?debug=1", status, head, body, strlen(body)},
    };
    struct stub_server *server = stub_server_start(0, answers, 2);
    struct daemon daemon = scrape(stub_server_port(server), "");
    json_decref(wait_for_state(&daemon, state, reason));
    json_decref(http_json(daemon.port, 503, "/debug/pprof/heap?target=far"));
    daemon_stop(&daemon);
    stub_server_stop(server);
}

Test(scraped, names_what_is_wrong_with_an_answer)
{
    assert_refused(200, NULL, "hello", "failing", "/heap: not a profile");
    assert_refused(404, NULL, "no", "failing", "does the program import net/http/pprof?");
    assert_refused(401, NULL, "who?", "denied", "set bearer_token_file or basic_auth_file");
    assert_refused(302, "Location: http://127.0.0.1:1/\r\n", "", "failing", "redirects are not followed");
    assert_refused(500, NULL, "out of luck", "failing", "status 500: out of luck");
}

Test(scraped, shows_its_credentials)
{
    struct recording recording = record();
    const struct stub_answer answers[] = {heap_answer(&recording), stats_answer(&recording)};
    struct stub_server *server = stub_server_start(0, answers, 2);
    char *folder = scratch_new();
    char *token = file_write(folder, "token", "very secret\n");
    char member[512];
    (void)snprintf(member, sizeof(member), ", bearer_token_file = '%s'", token);
    struct daemon daemon = scrape(stub_server_port(server), member);
    json_decref(wait_for_state(&daemon, "up", NULL));
    cr_assert_gt(stub_server_count(server, "\r\nAuthorization: Bearer very secret\r\n"), 1);
    daemon_stop(&daemon);
    stub_server_stop(server);
    free(token);
    scratch_remove(folder);
    recording_release(&recording);
}

Test(scraped, delays_no_beat_however_slow_the_other_side_is)
{
    const struct go_version version = go_version_newest();
    const json_int_t many_beats = 20;
    uint16_t port = 0;
    const int silent = stub_silent_listen(&port);
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&version, "profile_target", NULL, folder, "target.log", NULL);
    char config[512];
    /* It is given longer than the test waits for the beats. */
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = { { name = 'near', pid = %d },"
                   " { name = 'far', url = 'http://127.0.0.1:%u', timeout = '300s' } } }",
                   (int)program.process.pid, port);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    json_decref(daemon_wait_for(&daemon, "/v1/metrics/latest?target=near", has_come_to, &many_beats,
                                WAIT_MS));
    json_decref(wait_for_state(&daemon, "waiting", "was not scraped yet"));
    daemon_stop(&daemon); /* which waits for nobody either */
    (void)close(silent);
    go_program_release(&program);
    scratch_remove(folder);

    const int quick = stub_silent_listen(&port);
    daemon = scrape(port, ", timeout = '200ms'");
    json_decref(wait_for_state(&daemon, "failing", "no complete answer within the timeout"));
    daemon_stop(&daemon);
    (void)close(quick);
}
