/* views.c - one hand-built board through every view, against golden files; and hostile names. */
#include "fixture.h"

#include <criterion/criterion.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "http/latency.h"
#include "http/self_stats.h"
#include "http/view_openmetrics.h"
#include "http/view_json.h"
#include "http/view_pprof.h"
#include "http/view_prometheus.h"
#include "text_file.h"

static struct board *board;
static const struct board_page *page;
static struct buffer out;
static struct json json;

static void set_up(void)
{
    board = fixture_board();
    fixture_findings(board);
    fixture_rules(board);
    page = board_page(board);
    buffer_init(&out, 1 << 20);
    json_init(&json, &out);
}

static void tear_down(void)
{
    buffer_release(&out);
    board_page_unref(page);
    board_free(board);
}

TestSuite(views, .init = set_up, .fini = tear_down);

Test(views, json_of_a_snapshot_is_as_it_was)
{
    view_json_snapshot(&json, page->targets[0].info, page->targets[0].snapshot, NULL);
    text_file_break_lines(&out);
    text_file_equals("tests/unit/http/golden/snapshot.json", &out);
}

Test(views, json_of_targets_is_as_it_was)
{
    json_begin_array(&json);
    for (size_t i = 0; i < page->target_count; i++)
        view_json_target(&json, &page->targets[i], i, i == 0);
    json_end_array(&json);
    text_file_break_lines(&out);
    text_file_equals("tests/unit/http/golden/targets.json", &out);
}

Test(views, json_of_findings_and_rules_is_as_it_was)
{
    const struct finding_set *set = board_findings(board);
    const struct rules_report *rules = board_rules(board);
    json_begin_array(&json);
    for (size_t i = 0; i < set->count; i++) {
        if (set->findings[i].kind == FINDING_ALERT)
            view_json_alert(&json, &set->findings[i]);
        else
            view_json_suggestion(&json, &set->findings[i]);
    }
    view_json_rules(&json, rules);
    json_end_array(&json);
    finding_set_unref(set);
    rules_report_unref(rules);
    text_file_break_lines(&out);
    text_file_equals("tests/unit/http/golden/findings.json", &out);
}

/* ---- the field table ---- */

/* A snapshot in which every field is known, each with another value. */
static const struct snapshot *full_snapshot(void)
{
    struct snapshot *building = snapshot_begin(FIXTURE_TIME_NS, FIXTURE_TIME_NS);
    uint64_t value = 1000;
#define SET_FIELD(member, type, kind, unit, metric, legacy, help)                                  \
    SNAPSHOT_SET(&building->values, member, (FIELD_CTYPE_##type)value++);
    SNAPSHOT_FIELDS(SET_FIELD)
#undef SET_FIELD
    return snapshot_seal(building);
}

Test(views, json_shows_every_field_that_is_known_and_no_other)
{
    const struct snapshot *full = full_snapshot();
    view_json_snapshot(&json, page->targets[0].info, full, NULL);
    const char *text = buffer_text(&out);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        char member[128];
        (void)snprintf(member, sizeof(member), "\"%s\":%zu", snapshot_fields[i].name, 1000 + i);
        cr_assert_not_null(strstr(text, member), "no %s in %s", member, text);
    }
    snapshot_unref(full);

    buffer_clear(&out);
    json_init(&json, &out);
    struct snapshot *building = snapshot_begin(FIXTURE_TIME_NS, FIXTURE_TIME_NS);
    const struct snapshot *empty = snapshot_seal(building);
    view_json_snapshot(&json, page->targets[0].info, empty, NULL);
    cr_assert_str_eq(buffer_text(&out),
                     "{\"timestamp\":\"2026-11-23T00:47:32Z\",\"target\":\"demo\",\"source\":"
                     "\"process\",\"sequence\":0,\"generation\":0,\"partial\":false}");
    snapshot_unref(empty);
}

Test(views, json_says_why_a_snapshot_is_partial)
{
    struct snapshot *building = snapshot_begin(FIXTURE_TIME_NS, FIXTURE_TIME_NS);
    building->partial = true;
    building->partial_reason = "a GC never let go";
    const struct snapshot *snapshot = snapshot_seal(building);
    view_json_snapshot(&json, page->targets[0].info, snapshot, NULL);
    cr_assert_not_null(
        strstr(buffer_text(&out), "\"partial\":true,\"partial_reason\":\"a GC never let go\""));
    snapshot_unref(snapshot);
}

/* ---- Prometheus ---- */

static void render_metrics(const struct board_page *of)
{
    const struct self_stats self = {.cpu_ns = 1234567890,
                                    .resident_bytes = 10 << 20,
                                    .virtual_bytes = SELF_STAT_UNKNOWN,
                                    .open_fds = 12,
                                    .max_fds = 1024,
                                    .threads = 5,
                                    .start_realtime_ns = FIXTURE_TIME_NS};
    const uint64_t captures[] = {2, 0, 0};
    struct board_counters counters = {0};
    struct latency latency = {.sum_ns = 0};
    latency_add(&latency, 100000);
    latency_add(&latency, 100001);
    latency_add(&latency, UINT64_C(60000000000));
    atomic_store(&counters.sampler_beats, 3);
    atomic_store(&counters.sampler_busy_ns, 1500000);
    const struct finding_set *findings = board_findings(board);
    view_prometheus(&out, &(struct prometheus_source){.page = of,
                                                      .findings = findings,
                                                      .counters = &counters,
                                                      .self = &self,
                                                      .latency = &latency,
                                                      .captures = captures});
    finding_set_unref(findings);
}

/* The daemon's counters have a table and a test of their own; a new one should not touch the golden
 * file. */
static void cut_out_counters(void)
{
    char first[128];
    (void)snprintf(first, sizeof(first), "# HELP %s ", board_counter_fields[0].metric);
    char *begin = strstr(out.data, first);
    const char *end = strstr(out.data, "# HELP goprofd_build_info ");
    cr_assert_not_null(begin);
    cr_assert_not_null(end);
    const size_t rest = out.length - (size_t)(end - out.data);
    memmove(begin, end, rest);
    out.length = (size_t)(begin - out.data) + rest;
}

Test(views, prometheus_text_is_as_it_was)
{
    render_metrics(page);
    cr_assert_not_null(buffer_text(&out));
    cut_out_counters();
    text_file_equals("tests/unit/http/golden/metrics.txt", &out);
}

Test(views, prometheus_shows_every_counter_of_the_daemon)
{
    render_metrics(page);
    const char *text = buffer_text(&out);
    for (size_t i = 0; i < BOARD_COUNTER_COUNT; i++) {
        char sample[128];
        (void)snprintf(sample, sizeof(sample), "\n%s ", board_counter_fields[i].metric);
        cr_assert_not_null(strstr(text, sample), "no %s", sample);
    }
    cr_assert_not_null(strstr(text, "\ngoprofd_sampler_beats_total 3\n"));
    cr_assert_not_null(strstr(text, "\ngoprofd_sampler_busy_seconds_total 0.0015\n"));
}

static struct board *board_with_full_snapshot(void)
{
    struct board *full = fixture_empty_board();
    struct error err = {0};
    const struct target_view view = {target_info_ref(page->targets[0].info), full_snapshot(), NULL};
    cr_assert(board_publish(full, &view, 1, FIXTURE_TIME_NS, &err), "%s", err.message);
    return full;
}

Test(views, prometheus_shows_every_field_under_each_of_its_names)
{
    struct board *full = board_with_full_snapshot();
    const struct board_page *of = board_page(full);
    render_metrics(of);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        const char *const names[] = {field->metric, field->legacy};
        for (size_t n = 0; n < 2; n++) {
            char sample[160];
            if (names[n] == NULL)
                continue;
            if (field->unit == UNIT_NS)
                (void)snprintf(sample, sizeof(sample), "\n%s{target=\"demo\"} 0.00000", names[n]);
            else
                (void)snprintf(sample, sizeof(sample), "\n%s{target=\"demo\"} %zu\n", names[n],
                               1000 + i);
            cr_assert_not_null(strstr(buffer_text(&out), sample), "no \"%s\"", sample);
        }
    }
    board_page_unref(of);
    board_free(full);
}

Test(views, prometheus_counts_requests_in_cumulative_buckets)
{
    render_metrics(page);
    const char *text = buffer_text(&out);
    static const char *const lines[] = {
        "\n# TYPE goprofd_http_request_duration_seconds histogram\n",
        "\ngoprofd_http_request_duration_seconds_bucket{le=\"5e-05\"} 0\n",
        "\ngoprofd_http_request_duration_seconds_bucket{le=\"0.0001\"} 1\n",
        "\ngoprofd_http_request_duration_seconds_bucket{le=\"0.00025\"} 2\n",
        "\ngoprofd_http_request_duration_seconds_bucket{le=\"5\"} 2\n",
        "\ngoprofd_http_request_duration_seconds_bucket{le=\"+Inf\"} 3\n",
        "\ngoprofd_http_request_duration_seconds_sum 60.000200001\n",
        "\ngoprofd_http_request_duration_seconds_count 3\n",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        cr_expect_not_null(strstr(text, lines[i]), "no %s", lines[i]);
}

Test(views, openmetrics_is_the_same_page_in_other_words)
{
    static const char text[] = "# HELP a_total All of it\n# TYPE a_total counter\na_total{x=\"1\"} 2\n"
                               "# HELP b_total Clashes\n# TYPE b_total counter\nb_total 3\n"
                               "# HELP b A gauge\n# TYPE b gauge\nb 4\n"
                               "# HELP old A name that was given\n# TYPE old counter\nold 5\n";
    view_openmetrics(&out, text, sizeof(text) - 1);
    cr_assert_str_eq(buffer_text(&out),
                     "# TYPE a counter\n# HELP a All of it\na_total{x=\"1\"} 2\n"
                     "# TYPE b_total unknown\n# HELP b_total Clashes\nb_total 3\n"
                     "# TYPE b gauge\n# HELP b A gauge\nb 4\n"
                     "# TYPE old unknown\n# HELP old A name that was given\nold 5\n# EOF\n");
}

Test(views, prometheus_declares_each_family_once)
{
    render_metrics(page);
    const char *text = buffer_text(&out);
    unsigned families = 0;
    for (const char *line = strstr(text, "# TYPE "); line != NULL;
         line = strstr(line, "\n# TYPE ")) {
        line += *line == '\n';
        char declaration[200];
        (void)snprintf(declaration, sizeof(declaration), "%.*s", (int)strcspn(line + 7, " ") + 8,
                       line);
        cr_assert_null(strstr(line + 1, declaration), "%s twice", declaration);
        families++;
    }
    cr_assert_gt(families, 30);
}

/* promtool reads what we wrote; it knows one name that may break the conventions. */
Test(views, promtool_finds_nothing_but_the_name_that_is_kept)
{
    struct board *full = board_with_full_snapshot();
    const struct board_page *of = board_page(full);
    render_metrics(of);
    char input[] = "/tmp/goprofd-metrics-XXXXXX";
    const int fd = mkstemp(input);
    cr_assert_neq(fd, -1);
    cr_assert_eq(write(fd, out.data, out.length), (ssize_t)out.length);
    close(fd);
    char command[128];
    (void)snprintf(command, sizeof(command), "promtool check metrics < %s 2>&1", input);
    FILE *tool = popen(command, "r");
    cr_assert_not_null(tool);
    char line[512];
    while (fgets(line, sizeof(line), tool) != NULL)
        cr_assert_eq(strncmp(line, "goprof_num_gc counter metrics should have", 41), 0, "%s", line);
    const int status = pclose(tool);
    cr_assert(WIFEXITED(status));
    cr_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 3, "promtool: is it installed? %d",
              WEXITSTATUS(status));
    unlink(input);
    board_page_unref(of);
    board_free(full);
}

Test(views, prometheus_shows_no_numbers_of_a_target_that_is_gone)
{
    struct board *gone = fixture_empty_board();
    struct error err = {0};
    const struct target_facts facts = {.id = "demo",
                                       .name = "demo",
                                       .state = TARGET_GONE,
                                       .reason = "exited",
                                       .go_version = "go1.27.3"};
    const struct target_view view = {target_info_new(&facts, "", 0),
                                     snapshot_ref(page->targets[0].snapshot),
                                     profile_ref(page->targets[0].profile)};
    cr_assert(board_publish(gone, &view, 1, FIXTURE_TIME_NS, &err), "%s", err.message);
    const struct board_page *of = board_page(gone);
    render_metrics(of);
    const char *text = buffer_text(&out);
    cr_assert_null(strstr(text, "go_memstats"));
    cr_assert_null(strstr(text, "goprof_top_inuse_bytes"));
    cr_assert_null(strstr(text, "go_gc_duration"));
    cr_assert_not_null(strstr(text, "goprofd_target_up{target=\"demo\",source=\"process\"} 0\n"));
    cr_assert_not_null(strstr(text, "goprofd_snapshot_timestamp_seconds{target=\"demo\"}"));
    board_page_unref(of);
    board_free(gone);
}

static void label_is(const char *text, const char *escaped)
{
    buffer_clear(&out);
    view_prometheus_label(&out, text);
    cr_assert_str_eq(buffer_text(&out), escaped);
}

Test(views, prometheus_labels_are_escaped_valid_and_short)
{
    label_is("", "");
    label_is("main.(*T).f", "main.(*T).f");
    label_is("a\"b\\c\nd", "a\\\"b\\\\c\\nd");
    label_is("\xFFz\xC3", "\xEF\xBF\xBDz\xEF\xBF\xBD");
    label_is("\xC3\xA9", "\xC3\xA9");
    char text[PROMETHEUS_LABEL_MAX_BYTES + 10] = {0};
    memset(text, 'a', PROMETHEUS_LABEL_MAX_BYTES + 5);
    buffer_clear(&out);
    view_prometheus_label(&out, text);
    cr_assert_eq(out.length, PROMETHEUS_LABEL_MAX_BYTES + 3);
    memcpy(text + PROMETHEUS_LABEL_MAX_BYTES - 1, "\xC3\xA9", 2); /* cut in two */
    buffer_clear(&out);
    view_prometheus_label(&out, text);
    cr_assert_eq(out.length, PROMETHEUS_LABEL_MAX_BYTES - 1 + 3);
}

Test(views, prometheus_counts_alerts_by_target_rule_and_severity)
{
    static struct finding findings[2100];
    static char rules[2100][16];
    for (size_t i = 0; i < 2100; i++) {
        (void)snprintf(rules[i], sizeof(rules[i]), "rule%04zu", i < 100 ? 0 : i);
        findings[i] = (struct finding){.kind = FINDING_ALERT,
                                       .state = FINDING_FIRING,
                                       .severity = SEVERITY_WARNING,
                                       .id = rules[i],
                                       .rule = rules[i],
                                       .target = "demo",
                                       .message = "",
                                       .source = "",
                                       .value = NAN};
    }
    board_publish_findings(board, finding_set_new(findings, 2100, 9));
    render_metrics(page);
    const char *text = buffer_text(&out);
    cr_assert_not_null(strstr(
        text, "goprofd_alerts{target=\"demo\",rule=\"rule0000\",severity=\"warning\"} 100\n"));
    unsigned series = 0;
    for (const char *at = strstr(text, "\ngoprofd_alerts{"); at != NULL;
         at = strstr(at + 1, "\ngoprofd_alerts{"))
        series++;
    cr_assert_eq(series, PROMETHEUS_ALERT_SERIES_MAX);
}

/* ---- memory ---- */

/* Every view at every size of buffer up to what it needs: it fails or it is whole. */
Test(views, a_buffer_that_is_too_small_is_seen_at_the_end)
{
    render_metrics(page);
    const size_t needed = out.length;
    for (size_t max = 0; max < needed; max += 97) {
        buffer_release(&out);
        buffer_init(&out, max);
        render_metrics(page);
        cr_assert(out.failed, "%zu bytes held what needs %zu", max, needed);
    }
    for (size_t max = 0; max < 1500; max += 13) {
        buffer_release(&out);
        buffer_init(&out, max);
        json_init(&json, &out);
        view_json_snapshot(&json, page->targets[0].info, page->targets[0].snapshot, NULL);
        cr_assert(out.failed || out.data[out.length - 1] == '}');
    }
}

/* ---- pprof pages ---- */

Test(views, the_index_page_is_as_it_was_and_no_name_escapes)
{
    view_pprof_index(&out, page);
    cr_assert_null(strstr(buffer_text(&out), "<b>"));
    cr_assert_null(strstr(buffer_text(&out), "<process>"));
    text_file_equals("tests/unit/http/golden/index.html", &out);
}

Test(views, self_stats_are_those_of_this_process)
{
    struct self_stats self;
    self_stats_read(&self);
    cr_assert_gt(self.resident_bytes, 1 << 20);
    cr_assert_neq(self.resident_bytes, SELF_STAT_UNKNOWN);
    cr_assert_geq(self.virtual_bytes, self.resident_bytes);
    cr_assert_geq(self.threads, 1);
    cr_assert_lt(self.threads, 1000);
    const int fd = dup(1);
    struct self_stats after;
    self_stats_read(&after);
    cr_assert_eq(after.open_fds, self.open_fds + 1);
    close(fd);
    struct timespec now = {0};
    clock_gettime(CLOCK_REALTIME, &now);
    cr_assert_lt(self.start_realtime_ns / 1000000000, (uint64_t)now.tv_sec + 2);
    cr_assert_gt(self.start_realtime_ns / 1000000000, (uint64_t)now.tv_sec - 600);
}
