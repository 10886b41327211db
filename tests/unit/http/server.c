/* server.c - the real server on a free port, through curl and through raw sockets. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <unistd.h>
#include <zlib.h>

static struct fixture fixture;

static void set_up(void)
{
    fixture_init(&fixture);
}

static void tear_down(void)
{
    fixture_release(&fixture);
}

TestSuite(server, .init = set_up, .fini = tear_down, .timeout = 60);

static void expect(const char *path, int status, const char *part)
{
    struct answer answer = fixture_get(&fixture, path);
    cr_assert_eq(answer.status, status, "%s gave %d: %s", path, answer.status, answer.body);
    cr_assert_not_null(strstr(answer.body, part), "%s gave %s, wanted %s", path, answer.body, part);
    answer_release(&answer);
}

static void expect_header(const struct answer *answer, const char *name, const char *value)
{
    char found[256] = "";
    cr_assert(answer_header(answer, name, found, sizeof(found)), "no %s in %s", name,
              answer->headers);
    cr_assert_str_eq(found, value);
}

Test(server, is_alive_and_ready)
{
    fixture_start(&fixture);
    expect("/health/live", 200, "{\"status\":\"ok\"}");
    expect("/health/ready", 200, "{\"status\":\"ready\"}");
    expect("/health/live?probe=kubelet", 200, "ok");
}

Test(server, is_not_ready_before_the_first_sample)
{
    fixture_use_empty_board(&fixture);
    fixture.wiring.capturer = NULL;
    fixture_start(&fixture);
    expect("/health/ready", 503, "\"status\":\"not ready\"");
    expect("/health/live", 200, "ok");
    expect("/v1/metrics/latest", 503, "no target is watched yet");
    expect("/v1/targets", 200, "[]");
    expect("/v1/metrics/retentions/top", 200, "[]");
    expect("/v1/alerts", 200, "[]");
    expect("/v1/rules", 503, "not loaded");
    expect("/metrics", 200, "goprofd_build_info");
    expect("/debug/pprof/", 200, "No target is watched yet");
}

Test(server, serves_the_newest_snapshot_of_the_target_that_is_meant)
{
    fixture_start(&fixture);
    expect("/v1/metrics/latest", 200, "\"heap_alloc_bytes\":49152");
    expect("/v1/metrics/latest?target=api", 200, "\"heap_alloc_bytes\":1048576");
    expect("/v1/metrics/latest?target=nobody", 404, "{\"error\":\"no target with id or name");
    expect("/v1/metrics/latest?target=%3Cb%3E%22x%5Cy%22%0A%26%FF", 503,
           "was not sampled yet (waiting");
}

Test(server, prefers_the_configured_target_when_none_is_named)
{
    fixture.config->default_target = "api";
    fixture_start(&fixture);
    expect("/v1/metrics/latest", 200, "\"target\":\"api\"");
    expect("/v1/metrics/latest?target=demo", 200, "\"target\":\"demo\"");
}

Test(server, serves_fresh_bytes_after_a_new_page)
{
    fixture_start(&fixture);
    expect("/v1/metrics/latest", 200, "\"sequence\":3");
    expect("/v1/metrics/latest", 200, "\"sequence\":3");

    const struct board_page *page = board_page(fixture.board);
    struct snapshot *building = snapshot_begin(FIXTURE_TIME_NS + 9000000000, 9000000000);
    building->sequence = 4;
    SNAPSHOT_SET(&building->values, heap_alloc_bytes, 77);
    const struct target_view view = {target_info_ref(page->targets[0].info),
                                     snapshot_seal(building), NULL};
    struct error err = {0};
    cr_assert(board_publish(fixture.board, &view, 1, 9, &err), "%s", err.message);
    board_page_unref(page);

    expect("/v1/metrics/latest", 200, "\"heap_alloc_bytes\":77");
    expect("/metrics", 200, "go_memstats_heap_alloc_bytes{target=\"demo\"} 77\n");
    expect("/debug/pprof/heap", 503, "no heap profile of target");
}

Test(server, cuts_the_history_by_time_and_limit)
{
    fixture_start(&fixture);
    struct answer all = fixture_get(&fixture, "/v1/metrics/history");
    cr_assert_eq(all.status, 200);
    cr_assert_not_null(strstr(all.body, "[{\"timestamp\":\"2026-11-23T00:47:32Z\""));
    cr_assert_not_null(strstr(all.body, "\"timestamp\":\"2026-11-23T00:47:34Z\""));
    answer_release(&all);
    struct answer last = fixture_get(&fixture, "/v1/metrics/history?limit=1&fields=num_gc");
    cr_assert_str_eq(
        last.body, "[{\"timestamp\":\"2026-11-23T00:47:34Z\",\"target\":\"demo\",\"source\":"
                   "\"process\",\"sequence\":3,\"generation\":1,\"partial\":false,\"num_gc\":43}]");
    answer_release(&last);
    struct answer until =
        fixture_get(&fixture, "/v1/metrics/history?until=2026-11-23T00:47:32Z&fields=num_gc");
    cr_assert_null(strstr(until.body, "\"sequence\":2"));
    cr_assert_not_null(strstr(until.body, "\"sequence\":1"));
    answer_release(&until);
    expect("/v1/metrics/history?limit=0", 200, "[]");
    expect("/v1/metrics/history?limit=10001", 400, "0 to 10000");
    expect("/v1/metrics/history?since=never", 400, "parameter since");
}

Test(server, sums_the_history_up_by_steps)
{
    fixture_start(&fixture);
    /* Three snapshots, a second apart, from 00:47:32 on. */
    struct answer answer = fixture_get(&fixture, "/v1/metrics/history?step=2s&fields=num_gc");
    cr_assert_str_eq(answer.body,
                     "[{\"timestamp\":\"2026-11-23T00:47:32Z\",\"samples\":2,\"num_gc\":"
                     "{\"min\":41,\"max\":42,\"avg\":41.5}},"
                     "{\"timestamp\":\"2026-11-23T00:47:34Z\",\"samples\":1,\"num_gc\":"
                     "{\"min\":43,\"max\":43,\"avg\":43}}]");
    answer_release(&answer);
    answer = fixture_get(&fixture, "/v1/metrics/history?step=1s&limit=1&fields=num_gc");
    cr_assert_not_null(strstr(answer.body, "[{\"timestamp\":\"2026-11-23T00:47:34Z\""), "%s", answer.body);
    answer_release(&answer);
    expect("/v1/metrics/history?step=1h", 200, "\"samples\":3");
    expect("/v1/metrics/history?step=0s", 400, "parameter step");
    expect("/v1/metrics/history?step=often", 400, "parameter step");
}

/* Two profiles of one process; the newer has more of main.leak. */
Test(server, shows_what_changed_between_two_instants)
{
    fixture_start(&fixture);
    expect("/v1/profiles/diff?target=demo", 400, "parameter from: missing");
    expect("/v1/profiles/diff?target=demo&from=yesterday", 400, "parameter from");
    expect("/v1/profiles/diff?target=demo&from=-1s&to=-5m", 400, "parameter from: lies after to");
    expect("/v1/profiles/diff?target=demo&from=0", 404, "no heap profile of demo is so old");
    expect("/v1/profiles/diff?target=demo&from=-1s&format=json", 400, "parameter format");
    expect("/v1/profiles/diff?target=demo&from=-1s&format=text", 200, "bytes in use, from");
    expect("/v1/profiles/diff?target=demo&from=-1s&format=flamegraph", 200,
           "{\"name\":\"root\",\"value\":");
    struct answer answer = fixture_get(&fixture, "/v1/profiles/diff?target=demo&from=-1s");
    cr_assert_eq(answer.status, 200);
    cr_assert_eq(memcmp(answer.body, "\x1F\x8B", 2), 0, "gzip");
    answer_release(&answer);
    struct answer now = fixture_get(&fixture, "/debug/pprof/heap?target=demo");
    struct answer then = fixture_get(&fixture, "/debug/pprof/heap?target=demo&at=-0s");
    cr_assert_eq(now.length, then.length);
    cr_assert_eq(memcmp(now.body, then.body, now.length), 0, "byte for byte");
    answer_release(&now);
    answer_release(&then);
    expect("/debug/pprof/heap?target=demo&at=1", 404, "oldest kept");
}

Test(server, puts_the_tops_of_all_targets_in_one_order)
{
    fixture_start(&fixture);
    struct answer answer = fixture_get(&fixture, "/v1/metrics/retentions/top");
    cr_assert_eq(answer.status, 200);
    const char *api = strstr(answer.body, "\"retained_bytes\":81920");
    const char *demo = strstr(answer.body, "\"retained_bytes\":8192,");
    cr_assert_not_null(api);
    cr_assert_not_null(demo);
    cr_assert_lt(api, demo, "largest first: %s", answer.body);
    cr_assert_eq(strncmp(answer.body, "[{\"target\":\"api\"", 16), 0, "%s", answer.body);
    answer_release(&answer);
    struct answer one = fixture_get(&fixture, "/v1/metrics/allocations/top?target=demo&limit=1");
    cr_assert_not_null(strstr(one.body, "\"total_alloc_bytes\":64000"), "%s", one.body);
    cr_assert_not_null(strstr(one.body, "\"average_alloc_bytes\":64"));
    cr_assert_null(strstr(one.body, "api"));
    cr_assert_null(strstr(one.body, "10240"));
    answer_release(&one);
    expect("/v1/metrics/allocations/top?limit=0", 200, "[]");
    expect("/v1/metrics/allocations/top?target=nobody", 404, "nobody");
}

Test(server, groups_the_tops_as_asked)
{
    fixture_start(&fixture);
    const char *const ways[] = {"type_tag", "site", "type", "tag", "package"};
    for (size_t i = 0; i < 5; i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "/v1/metrics/retentions/top?by=%s&limit=1000", ways[i]);
        expect(path, 200, "\"retained_bytes\":");
        expect(path, 200, "\"retained_bytes\":"); /* and again from the cache */
    }
    expect("/v1/metrics/retentions/top?by=package", 200, "\"package\":\"main\"");
    expect("/v1/metrics/retentions/top?by=package", 200, "\"retained_bytes\":8320");
    expect("/v1/metrics/retentions/top?by=colour", 400, "parameter by");
}

Test(server, filters_findings)
{
    fixture_findings(fixture.board);
    fixture_start(&fixture);
    expect("/v1/alerts", 200, "demo/retention/main.leak");
    expect("/v1/alerts", 200, "api/heap_high");
    struct answer critical = fixture_get(&fixture, "/v1/alerts?severity=critical");
    cr_assert_null(strstr(critical.body, "heap_high"));
    cr_assert_not_null(strstr(critical.body, "main.leak"));
    answer_release(&critical);
    struct answer resolved = fixture_get(&fixture, "/v1/alerts?state=resolved");
    cr_assert_null(strstr(resolved.body, "main.leak"));
    cr_assert_not_null(strstr(resolved.body, "\"resolved_at\":\"2026-11-23T00:47:37Z\""));
    answer_release(&resolved);
    expect("/v1/alerts?rule=retention&target=api", 200, "[]");
    expect("/v1/alerts?target=nobody", 404, "nobody");
    expect("/v1/suggestions", 200, "\"advice\":\"give the slice its capacity\"");
    expect("/v1/suggestions?severity=critical", 200, "[]");
}

Test(server, shows_targets_and_rules)
{
    fixture_rules(fixture.board);
    fixture_start(&fixture);
    expect("/v1/targets", 200, "\"go_version\":\"go1.27.3\"");
    expect("/v1/targets", 200, "\"state\":\"waiting\",\"state_since\"");
    expect("/v1/targets/demo", 200, "\"build_settings\":{\"CGO_ENABLED\":\"0\"");
    expect("/v1/targets/nobody", 404, "nobody");
    expect("/v1/rules", 200, "\"last_error\":\"rules/broken.lua:7: boom\"");
}

Test(server, lists_its_own_paths)
{
    fixture_start(&fixture);
    expect("/v1", 200, "{\"method\":\"POST\",\"path\":\"/v1/capture/heap\"");
    expect("/v1", 200, "\"path\":\"/debug/pprof/heap\"");
    expect("/", 200, "/v1/metrics/latest");
}

Test(server, answers_unknown_paths_and_methods_in_json)
{
    fixture_start(&fixture);
    expect("/nothing", 404, "{\"error\":\"no such path");
    expect("/../../etc/passwd", 404, "no such path");
    expect("/%2e%2e/etc/passwd", 404, "no such path");
    expect("/v1/metrics/latest%00", 404, "no such path");
    struct answer get = fixture_get(&fixture, "/v1/capture/heap");
    cr_assert_eq(get.status, 405);
    expect_header(&get, "Allow", "POST, OPTIONS");
    expect_header(&get, "Content-Type", "application/json");
    answer_release(&get);
    struct answer options =
        fixture_call(&fixture, &(struct call){.method = "OPTIONS", .path = "/v1/targets"});
    cr_assert_eq(options.status, 200);
    expect_header(&options, "allow", "GET, HEAD, OPTIONS");
    cr_assert_eq(options.length, 0);
    answer_release(&options);
    struct answer put = fixture_call(
        &fixture,
        &(struct call){.method = "PUT", .path = "/v1/alerts", .body = "x", .body_length = 1});
    cr_assert_eq(put.status, 405);
    answer_release(&put);
}

Test(server, answers_head_with_the_length_of_get)
{
    fixture_start(&fixture);
    struct answer get = fixture_get(&fixture, "/v1/metrics/latest");
    struct answer head =
        fixture_call(&fixture, &(struct call){.method = "HEAD", .path = "/v1/metrics/latest"});
    char length[32];
    (void)snprintf(length, sizeof(length), "%zu", get.length);
    cr_assert_eq(head.status, 200);
    cr_assert_eq(head.length, 0);
    expect_header(&head, "content-length", length);
    expect_header(&get, "content-length", length);
    answer_release(&get);
    answer_release(&head);
}

Test(server, echoes_a_sane_request_id_and_makes_one_otherwise)
{
    fixture_start(&fixture);
    const char *const sane[] = {"X-Request-ID: abc-123.def", NULL};
    const char *const mad[] = {"X-Request-ID: <script>", NULL};
    struct answer echoed =
        fixture_call(&fixture, &(struct call){.path = "/nothing", .headers = sane});
    expect_header(&echoed, "X-Request-ID", "abc-123.def");
    answer_release(&echoed);
    struct answer made = fixture_call(&fixture, &(struct call){.path = "/metrics", .headers = mad});
    char first[64] = "";
    char second[64] = "";
    cr_assert(answer_header(&made, "X-Request-ID", first, sizeof(first)));
    cr_assert_null(strchr(first, '<'));
    answer_release(&made);
    made = fixture_get(&fixture, "/metrics");
    cr_assert(answer_header(&made, "X-Request-ID", second, sizeof(second)));
    cr_assert_str_neq(first, second);
    answer_release(&made);
}

static char *gunzip(const struct answer *answer, size_t *length)
{
    const size_t room = 1 << 20;
    char *out = calloc(1, room);
    z_stream stream = {0};
    cr_assert_eq(inflateInit2(&stream, 15 + 16), Z_OK);
    stream.next_in = (Bytef *)answer->body;
    stream.avail_in = (uInt)answer->length;
    stream.next_out = (Bytef *)out;
    stream.avail_out = (uInt)room - 1;
    cr_assert_eq(inflate(&stream, Z_FINISH), Z_STREAM_END);
    *length = stream.total_out;
    inflateEnd(&stream);
    return out;
}

Test(server, compresses_for_those_who_can_read_it)
{
    fixture_start(&fixture);
    const char *const gzip[] = {"Accept-Encoding: gzip", NULL};
    struct answer plain = fixture_get(&fixture, "/v1/metrics/latest");
    cr_assert_gt(plain.length, 1024);
    for (int i = 0; i < 2; i++) { /* made, then from the cache */
        struct answer packed =
            fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = gzip});
        size_t length = 0;
        expect_header(&packed, "content-encoding", "gzip");
        expect_header(&packed, "vary", "Accept, Accept-Encoding");
        cr_assert_lt(packed.length, plain.length);
        char *text = gunzip(&packed, &length);
        cr_assert_eq(length, plain.length);
        cr_assert_eq(memcmp(text, plain.body, length), 0);
        free(text);
        answer_release(&packed);
    }
    answer_release(&plain);
    struct answer small =
        fixture_call(&fixture, &(struct call){.path = "/health/live", .headers = gzip});
    char value[32];
    cr_assert_not(answer_header(&small, "content-encoding", value, sizeof(value)));
    answer_release(&small);
}

Test(server, says_no_to_forms_it_cannot_give)
{
    fixture_start(&fixture);
    const char *const xml[] = {"Accept: application/xml", NULL};
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = xml});
    cr_assert_eq(answer.status, 406);
    answer_release(&answer);
    answer = fixture_call(
        &fixture, &(struct call){.path = "/v1/metrics/latest?format=json", .headers = xml});
    cr_assert_eq(answer.status, 200, "the parameter has the last word");
    answer_release(&answer);
    expect("/v1/metrics/latest?format=xml", 400, "parameter format");
    expect("/v1/metrics/latest?tagret=demo", 400,
           "parameter tagret: not known here; allowed: target");
    const char *const openmetrics[] = {"Accept: application/openmetrics-text;version=1.0.0", NULL};
    answer = fixture_call(&fixture, &(struct call){.path = "/metrics", .headers = openmetrics});
    cr_assert_eq(answer.status, 200);
    expect_header(&answer, "content-type",
                  "application/openmetrics-text; version=1.0.0; charset=utf-8");
    cr_assert_eq(memcmp(answer.body + answer.length - 6, "# EOF\n", 6), 0);
    answer_release(&answer);
    answer = fixture_call(&fixture, &(struct call){.path = "/metrics", .headers = xml});
    expect_header(&answer, "content-type", "text/plain; version=0.0.4; charset=utf-8");
    answer_release(&answer);
}

Test(server, serves_profiles_as_go_tool_pprof_wants_them)
{
    fixture_start(&fixture);
    const char *const gzip[] = {"Accept-Encoding: gzip", NULL};
    struct answer heap =
        fixture_call(&fixture, &(struct call){.path = "/debug/pprof/heap", .headers = gzip});
    char value[64];
    cr_assert_eq(heap.status, 200);
    expect_header(&heap, "content-type", "application/octet-stream");
    expect_header(&heap, "content-disposition", "attachment; filename=\"heap\"");
    cr_assert_not(answer_header(&heap, "content-encoding", value, sizeof(value)));
    size_t length = 0;
    char *proto = gunzip(&heap, &length);
    cr_assert_not_null(memmem(proto, length, "main.leak", 9));
    free(proto);
    struct answer again = fixture_get(&fixture, "/debug/pprof/heap");
    cr_assert_eq(again.length, heap.length);
    cr_assert_eq(memcmp(again.body, heap.body, heap.length), 0);
    answer_release(&again);
    struct answer allocs = fixture_get(&fixture, "/debug/pprof/allocs");
    cr_assert(allocs.length != heap.length || memcmp(allocs.body, heap.body, heap.length) != 0);
    answer_release(&allocs);
    answer_release(&heap);
    expect("/debug/pprof/heap?debug=1", 200, "heap profile: ");
    expect("/debug/pprof/heap?debug=2", 200, "heap profile: ");
    expect("/debug/pprof/heap?debug=3", 400, "parameter debug");
    expect("/debug/pprof/heap?seconds=5", 400, "parameter seconds");
    expect("/debug/pprof/goroutine?debug=2", 503, "reads no goroutine profiles");
    expect("/debug/pprof/trace", 404, "cannot be read from outside yet");
    struct answer cmdline = fixture_get(&fixture, "/debug/pprof/cmdline");
    cr_assert_eq(cmdline.length, 23, "%zu", cmdline.length);
    cr_assert_eq(memcmp(cmdline.body, "/bin/demo\0-listen\0:9000", 23), 0);
    answer_release(&cmdline);
    expect("/debug/pprof/cmdline?target=%3Cb%3E%22x%5Cy%22%0A%26%FF", 404, "no command line of");
}

Test(server, does_not_have_what_the_config_switched_off)
{
    fixture.config->prometheus_enabled = false;
    fixture.config->pprof_enabled = false;
    fixture_start(&fixture);
    expect("/metrics", 404, "no such path");
    expect("/debug/pprof/heap", 404, "no such path");
    expect("/v1/metrics/latest", 200, "demo");
}

Test(server, gives_pprof_a_listener_of_its_own)
{
    fixture.config->pprof_listen_addr = "127.0.0.1:0";
    fixture_start(&fixture);
    expect("/debug/pprof/heap", 404, "no such path");
    const uint16_t port = server_pprof_port(fixture.server);
    cr_assert_neq(port, 0);
    struct answer apart =
        fixture_call(&fixture, &(struct call){.path = "/debug/pprof/", .port = port});
    cr_assert_eq(apart.status, 200);
    cr_assert_not_null(strstr(apart.body, "/debug/pprof/heap?target=demo"));
    answer_release(&apart);
    apart = fixture_call(&fixture, &(struct call){.path = "/v1/targets", .port = port});
    cr_assert_eq(apart.status, 404);
    answer_release(&apart);
}

Test(server, runs_on_several_threads)
{
    fixture.config->http_threads = 3;
    fixture_start(&fixture);
    for (int i = 0; i < 30; i++)
        expect("/v1/metrics/latest", 200, "demo");
    const uint64_t counted = atomic_load(&board_counters(fixture.board)->http_requests);
    cr_assert_geq(counted, 29);
}

Test(server, logs_a_request_on_one_line_that_it_cannot_forge)
{
    char path[] = "/tmp/goprofd-log-XXXXXX";
    const int file = mkstemp(path);
    cr_assert_neq(file, -1);
    unlink(path);
    const int before = dup(STDERR_FILENO);
    dup2(file, STDERR_FILENO);
    log_set_level(LOG_LEVEL_DEBUG);
    fixture_start(&fixture);
    const char *const id[] = {"X-Request-ID: my-id", NULL};
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/x%0Alevel=error?a=\"b", .headers = id});
    answer_release(&answer);
    server_stop(fixture.server, 0);
    log_set_level(LOG_LEVEL_INFO);
    dup2(before, STDERR_FILENO);
    close(before);

    char text[4096];
    const ssize_t length = pread(file, text, sizeof(text) - 1, 0);
    cr_assert_gt(length, 0);
    text[length] = '\0';
    close(file);
    cr_assert_not_null(strstr(text, "msg=request id=my-id method=GET "
                                    "path=\"/x%0Alevel=error?a=\\\"b\" status=404 bytes=54"),
                       "%s", text);
}

Test(server, counts_requests_and_server_errors)
{
    fixture_start(&fixture);
    expect("/nothing", 404, "error");
    expect("/v1/rules", 503, "error");
    expect("/health/live", 200, "ok");
    expect("/health/live", 200, "ok");
    const struct board_counters *counters = board_counters(fixture.board);
    cr_assert_geq(atomic_load(&counters->http_requests), 3);
    cr_assert_eq(atomic_load(&counters->http_errors), 1);
}

Test(server, captures_a_profile_and_tells_where)
{
    fixture_start(&fixture);
    struct answer answer =
        fixture_call(&fixture, &(struct call){.method = "POST", .path = "/v1/capture/heap"});
    cr_assert_eq(answer.status, 200, "%s", answer.body);
    char path[512];
    cr_assert_eq(sscanf(answer.body, "{\"path\":\"%500[^\"]\"}", path), 1, "%s", answer.body);
    cr_assert_eq(access(path, R_OK), 0, "%s", path);
    cr_assert_not_null(strstr(path, "/demo/heap-"));
    answer_release(&answer);
    answer = fixture_call(&fixture,
                          &(struct call){.method = "POST", .path = "/v1/capture/heap?target=all"});
    cr_assert_eq(answer.status, 200);
    cr_assert_not_null(strstr(answer.body, "\"paths\":["));
    cr_assert_not_null(strstr(answer.body, "/api/heap-"));
    answer_release(&answer);
    answer = fixture_call(
        &fixture, &(struct call){.method = "POST", .path = "/v1/capture/heap?target=nobody"});
    cr_assert_eq(answer.status, 404);
    answer_release(&answer);
    expect("/metrics", 200, "goprof_profile_captures_total{target=\"demo\"} 2\n");
}

Test(server, lets_no_foreign_page_change_anything)
{
    fixture_start(&fixture);
    const char *const foreign[] = {"Origin: https://evil.example", NULL};
    struct answer answer = fixture_call(
        &fixture, &(struct call){.method = "POST", .path = "/v1/capture/heap", .headers = foreign});
    cr_assert_eq(answer.status, 403);
    answer_release(&answer);
    char own[64];
    (void)snprintf(own, sizeof(own), "Origin: http://127.0.0.1:%u",
                   (unsigned)server_port(fixture.server));
    const char *const same[] = {own, NULL};
    answer = fixture_call(
        &fixture, &(struct call){.method = "POST", .path = "/v1/capture/heap", .headers = same});
    cr_assert_eq(answer.status, 200);
    answer_release(&answer);
}

Test(server, refuses_a_body_that_is_too_large_in_json)
{
    fixture_start(&fixture);
    const size_t length = (1 << 20) + 1;
    char *body = malloc(length);
    memset(body, 'x', length);
    struct answer answer = fixture_call(&fixture, &(struct call){.method = "POST",
                                                                 .path = "/v1/capture/heap",
                                                                 .body = body,
                                                                 .body_length = length});
    cr_assert_eq(answer.status, 413);
    cr_assert_str_eq(answer.body,
                     "{\"error\":\"the request's body is larger than this server takes\"}\n");
    expect_header(&answer, "content-type", "application/json");
    char id[64];
    cr_assert(answer_header(&answer, "X-Request-ID", id, sizeof(id)));
    answer_release(&answer);
    free(body);
    expect("/health/live", 200, "ok");
}

/* ---- the same answer as msgpack, and only once ---- */

/* As map of at least [members] members. */
static void assert_is_msgpack_map(const struct answer *answer, unsigned members)
{
    char type[64];
    cr_assert_eq(answer->status, 200);
    cr_assert(answer_header(answer, "content-type", type, sizeof(type)));
    cr_assert_str_eq(type, "application/msgpack");
    cr_assert_gt(answer->length, 3);
    cr_assert_eq((unsigned char)answer->body[0], 0xDE, "a map of 16 to 65535 members");
    cr_assert_geq((unsigned)(unsigned char)answer->body[1] * 256 + (unsigned char)answer->body[2],
                  members);
}

Test(server, gives_any_json_answer_as_msgpack_too)
{
    fixture_start(&fixture);
    const char *const msgpack[] = {"Accept: application/msgpack", NULL};
    const char *const both[] = {"Accept: application/json, application/msgpack", NULL};
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = msgpack});
    assert_is_msgpack_map(&answer, 16);
    char vary[64];
    cr_assert(answer_header(&answer, "vary", vary, sizeof(vary)));
    cr_assert_not_null(strstr(vary, "Accept"));
    answer_release(&answer);
    answer = fixture_get(&fixture, "/v1/metrics/latest?format=msgpack");
    assert_is_msgpack_map(&answer, 16);
    answer_release(&answer);
    answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = both});
    cr_assert_eq(answer.body[0], '{', "what is named first is preferred");
    answer_release(&answer);
    answer = fixture_get(&fixture, "/v1/metrics/latest?target=nobody&format=msgpack");
    cr_assert_eq(answer.status, 404);
    cr_assert_eq(memcmp(answer.body, "\x81\xA5" "error", 7), 0);
    answer_release(&answer);
}

/* What query_parse() took for msgpack is answered so, however it was written; what it refused is
 * told in the form that people read. */
Test(server, reads_the_format_as_the_parser_of_parameters_does)
{
    fixture_start(&fixture);
    static const char *const written[] = {
        "/v1/metrics/latest?format=%6Dsgpack", "/v1/metrics/latest?%66ormat=msgpack",
        "/v1/metrics/latest?_=format=json&target=demo&format=msgpack"};
    for (size_t i = 0; i < sizeof(written) / sizeof(written[0]); i++) {
        struct answer answer = fixture_get(&fixture, written[i]);
        assert_is_msgpack_map(&answer, 16);
        answer_release(&answer);
    }
    expect("/v1/metrics/latest?format=mpack", 400, "{\"error\":\"parameter format");
    expect("/v1/metrics/latest?_format=msgpack", 200, "{\"timestamp\"");
}

Test(server, takes_several_lines_of_a_header_for_one_list)
{
    fixture_start(&fixture);
    const char *const forms[] = {"Accept: application/xml", "Accept: application/msgpack", NULL};
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = forms});
    assert_is_msgpack_map(&answer, 16);
    answer_release(&answer);
    const char *const codings[] = {"Accept-Encoding: br", "Accept-Encoding: gzip", NULL};
    answer = fixture_call(&fixture, &(struct call){.path = "/metrics", .headers = codings});
    expect_header(&answer, "content-encoding", "gzip");
    answer_release(&answer);
    char etag[64];
    char header[96];
    answer = fixture_get(&fixture, "/v1/metrics/latest");
    cr_assert(answer_header(&answer, "etag", etag, sizeof(etag)));
    answer_release(&answer);
    (void)snprintf(header, sizeof(header), "If-None-Match: %s", etag);
    const char *const known[] = {"If-None-Match: \"other\"", header, NULL};
    answer = fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = known});
    cr_assert_eq(answer.status, 304);
    answer_release(&answer);
}

Test(server, does_not_send_again_what_the_client_has)
{
    fixture_start(&fixture);
    char etag[64];
    char header[96];
    struct answer answer = fixture_get(&fixture, "/v1/metrics/latest");
    cr_assert(answer_header(&answer, "etag", etag, sizeof(etag)));
    answer_release(&answer);
    (void)snprintf(header, sizeof(header), "If-None-Match: \"other\", %s", etag);
    const char *const headers[] = {header, NULL};
    answer = fixture_call(&fixture, &(struct call){.path = "/v1/metrics/latest", .headers = headers});
    cr_assert_eq(answer.status, 304);
    cr_assert_eq(answer.length, 0);
    answer_release(&answer);
    answer = fixture_call(
        &fixture, &(struct call){.path = "/v1/metrics/latest?format=msgpack", .headers = headers});
    cr_assert_eq(answer.status, 200, "another form is another answer");
    answer_release(&answer);
    answer = fixture_get(&fixture, "/metrics");
    cr_assert_not(answer_header(&answer, "etag", etag, sizeof(etag)), "it changes with every look");
    answer_release(&answer);
}

/* ---- pages of other origins ---- */

Test(server, lets_no_page_of_another_origin_read_by_default)
{
    fixture_start(&fixture);
    const char *const headers[] = {"Origin: https://grafana.example", NULL};
    char value[64];
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/targets", .headers = headers});
    cr_assert_eq(answer.status, 200);
    cr_assert_not(answer_header(&answer, "access-control-allow-origin", value, sizeof(value)));
    answer_release(&answer);
}

Test(server, lets_the_pages_read_and_post_that_the_config_names)
{
    fixture.config->cors_allow_origins = "https://a.example,https://grafana.example";
    fixture_start(&fixture);
    const char *const named[] = {"Origin: https://grafana.example", NULL};
    const char *const other[] = {"Origin: https://grafana.example.org", NULL};
    char value[64];
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/targets", .headers = named});
    expect_header(&answer, "access-control-allow-origin", "https://grafana.example");
    answer_release(&answer);
    answer = fixture_call(&fixture, &(struct call){.path = "/v1/targets", .headers = other});
    cr_assert_not(answer_header(&answer, "access-control-allow-origin", value, sizeof(value)));
    answer_release(&answer);
    answer = fixture_call(
        &fixture, &(struct call){.method = "OPTIONS", .path = "/v1/targets", .headers = named});
    expect_header(&answer, "access-control-allow-methods", "GET, HEAD, POST");
    answer_release(&answer);
    answer = fixture_call(&fixture, &(struct call){.method = "POST",
                                                   .path = "/v1/capture/heap?target=demo",
                                                   .headers = named});
    cr_assert_eq(answer.status, 200);
    answer_release(&answer);
    answer = fixture_call(&fixture, &(struct call){.method = "POST",
                                                   .path = "/v1/capture/heap?target=demo",
                                                   .headers = other});
    cr_assert_eq(answer.status, 403);
    answer_release(&answer);
}

Test(server, lets_any_page_read_but_none_post_with_a_star)
{
    fixture.config->cors_allow_origins = "*";
    fixture_start(&fixture);
    const char *const headers[] = {"Origin: https://anywhere.example", NULL};
    struct answer answer =
        fixture_call(&fixture, &(struct call){.path = "/v1/targets", .headers = headers});
    expect_header(&answer, "access-control-allow-origin", "*");
    answer_release(&answer);
    answer = fixture_call(&fixture, &(struct call){.method = "POST",
                                                   .path = "/v1/capture/heap?target=demo",
                                                   .headers = headers});
    cr_assert_eq(answer.status, 403);
    answer_release(&answer);
}

/* ---- captures ---- */

Test(server, lists_captures_and_gives_them_back)
{
    fixture_start(&fixture);
    expect("/v1/captures", 200, "[]");
    struct answer taken = fixture_call(
        &fixture, &(struct call){.method = "POST", .path = "/v1/capture/heap?target=demo"});
    cr_assert_eq(taken.status, 200);
    answer_release(&taken);
    struct answer list = fixture_get(&fixture, "/v1/captures?target=demo");
    cr_assert_eq(list.status, 200);
    cr_assert_not_null(strstr(list.body, "\"reason\":\"manual\""), "%s", list.body);
    cr_assert_not_null(strstr(list.body, "\"target\":\"demo\""), "%s", list.body);
    const char *name = strstr(list.body, "\"name\":\"");
    cr_assert_not_null(name);
    char path[256];
    (void)snprintf(path, sizeof(path), "/v1/captures/%.*s", (int)strcspn(name + 8, "\""), name + 8);
    struct answer profile = fixture_get(&fixture, path);
    cr_assert_eq(profile.status, 200);
    cr_assert_eq(memcmp(profile.body, "\x1F\x8B", 2), 0, "gzip");
    char value[128];
    cr_assert(answer_header(&profile, "content-disposition", value, sizeof(value)));
    cr_assert_not_null(strstr(value, "filename=\"heap-"), "%s", value);
    answer_release(&profile);
    answer_release(&list);
    expect("/v1/captures?target=api", 200, "[]");
    expect("/v1/captures/demo/heap-20200101-000000Z.pb.gz", 404, "GET /v1/captures lists them");
    expect("/v1/captures/..%2F..%2Fetc/passwd", 404, "no capture");
    expect("/v1/captures/demo", 404, "no capture");
    expect("/v1/captures?limit=1001", 400, "parameter limit");
}
