/* cli_replay.c - goprofd replay FILE|FOLDER: what the configured rules would have said, and when.
 *
 *   history_dir, a segment, or what /v1/export sent --> replay --> a line (or JSON object) for each change, a sum
 *
 * The main thread, before there is any other.  What was found goes to stdout, and is the same each time; how fast it
 * went, and what could not be read, to stderr. */
#include "lua/cli_replay.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/cli.h"
#include "core/store/journal_reader.h"
#include "lua/config_load.h"
#include "lua/replay.h"

enum { LINE_MAX_BYTES = 1 << 20, PROBLEMS_MAX_BYTES = 1 << 20 };

static const char usage[] =
    "usage: goprofd replay FILE|FOLDER [-c FILE] [--json] [--target GLOB] [--rule GLOB]\n"
    "                      [--since TIME] [--until TIME]\n"
    "\n"
    "Runs the rules over recorded history (history_dir, or what /v1/export sent) and prints when each finding\n"
    "would have opened and closed. Nothing is captured, nobody is told. TIME is RFC 3339 or Unix seconds. Ends with 0,\n"
    "or with 1 if something could not be read or a rule failed.\n";

struct arguments {
    const char *path;
    const char *config_path;
    bool json;
    struct replay_options options;
};

struct printer {
    bool json;
    bool failed; /* stdout */
    struct buffer line;
    uint64_t fired; /* alerts */
    uint64_t advised;
};

/* ---- arguments ---- */

static bool parse_time(const char *option, const char *text, uint64_t *realtime_ns)
{
    if (clock_parse_time(text, realtime_ns))
        return true;
    fprintf(stderr,
            "goprofd replay: %s: found '%s'; allowed: a time as 2026-11-23T07:30:00Z, or Unix seconds\n",
            option, text);
    return false;
}

static bool parse_option(struct arguments *arguments, const char *option, const char *value)
{
    struct replay_options *options = &arguments->options;
    if (strcmp(option, "-c") == 0)
        arguments->config_path = value;
    else if (strcmp(option, "--target") == 0)
        options->target = value;
    else if (strcmp(option, "--rule") == 0)
        options->rule = value;
    else if (strcmp(option, "--since") == 0)
        return parse_time(option, value, &options->since_realtime_ns);
    else if (strcmp(option, "--until") == 0)
        return parse_time(option, value, &options->until_realtime_ns);
    else {
        fprintf(stderr, "goprofd replay: unexpected argument '%s'\n%s", option, usage);
        return false;
    }
    return true;
}

static bool parse(int argc, char **argv, struct arguments *arguments)
{
    *arguments = (struct arguments){.options = {.until_realtime_ns = UINT64_MAX}};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            arguments->json = true;
        } else if (argv[i][0] != '-' && arguments->path == NULL) {
            arguments->path = argv[i];
        } else if (i + 1 == argc || argv[i][0] != '-') {
            fprintf(stderr, "goprofd replay: unexpected or incomplete argument '%s'\n%s", argv[i],
                    usage);
            return false;
        } else if (!parse_option(arguments, argv[i], argv[i + 1])) {
            return false;
        } else {
            i++;
        }
    }
    if (arguments->path != NULL)
        return true;
    fputs(usage, stderr);
    return false;
}

/* ---- events as JSON ---- */

static void write_labels(struct json *json, const struct finding *finding)
{
    json_key(json, "labels");
    json_begin_object(json);
    for (size_t i = 0; i < finding->label_count; i++)
        json_member_string(json, finding->labels[i].key, finding->labels[i].value);
    json_end_object(json);
}

static void write_evidence(struct json *json, const struct finding *finding)
{
    json_key(json, "evidence");
    json_begin_array(json);
    for (size_t i = 0; i < finding->evidence_count; i++) {
        const struct evidence *evidence = &finding->evidence[i];
        json_begin_object(json);
        json_member_string(json, "function", evidence->function);
        json_member_string(json, "file", evidence->file);
        json_member_u64(json, "line", evidence->line);
        json_member_i64(json, "bytes", evidence->bytes);
        json_member_i64(json, "objects", evidence->objects);
        if (!isnan(evidence->percent))
            json_member_f64(json, "percent", evidence->percent);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_finding(struct json *json, const struct finding *finding)
{
    char fingerprint[17];
    (void)snprintf(fingerprint, sizeof(fingerprint), "%016" PRIx64, finding->fingerprint);
    json_member_string(json, "kind", finding->kind == FINDING_ALERT ? "alert" : "suggestion");
    json_member_string(json, "severity", severity_name(finding->severity));
    json_member_string(json, "id", finding->id);
    json_member_string(json, "fingerprint", fingerprint);
    json_member_string(json, "rule", finding->rule);
    json_member_string(json, "target", finding->target);
    json_member_time(json, "created", finding->created_realtime_ns);
    json_member_time(json, "since", finding->since_realtime_ns);
    json_member_bool(json, "silenced", finding->silenced);
    json_member_string(json, "message", finding->message);
    if (finding->advice[0] != '\0')
        json_member_string(json, "advice", finding->advice);
    if (!isnan(finding->value))
        json_member_f64(json, "value", finding->value);
    json_member_string(json, "type_name", finding->type_name);
    json_member_string(json, "tag", finding->tag);
    write_labels(json, finding);
    write_evidence(json, finding);
}

static void write_json(struct buffer *line, const struct replay_event *event)
{
    struct json json;
    json_init(&json, line);
    json_begin_object(&json);
    json_member_time(&json, "time", event->realtime_ns);
    json_member_string(&json, "event", replay_event_name(event->kind));
    if (event->finding != NULL)
        write_finding(&json, event->finding);
    if (event->kind == REPLAY_CAPTURE) {
        json_member_string(&json, "target", event->target);
        json_member_string(&json, "rule", event->rule);
        json_member_string(&json, "reason", event->reason);
    }
    if (event->kind == REPLAY_GAP)
        json_member_f64(&json, "seconds", (double)event->gap_ns / (double)CLOCK_NS_PER_S);
    json_end_object(&json);
    buffer_append_byte(line, '\n');
}

/* ---- events as text ---- */

static void append_time(struct buffer *line, uint64_t realtime_ns)
{
    char time[CLOCK_RFC3339_BYTES];
    const uint64_t ms = realtime_ns / CLOCK_NS_PER_MS;
    (void)clock_format_rfc3339(ms / 1000 * CLOCK_NS_PER_S, time);
    time[strlen(time) - 1] = '\0'; /* the Z, behind whole seconds */
    buffer_printf(line, "%s.%03uZ", time, (unsigned)(ms % 1000));
}

static void write_text(struct buffer *line, const struct replay_event *event)
{
    const struct finding *finding = event->finding;
    append_time(line, event->realtime_ns);
    buffer_printf(line, "  %-9s ", replay_event_name(event->kind));
    if (event->kind == REPLAY_GAP) {
        buffer_printf(line, " nothing was recorded for %.0f s\n",
                       (double)event->gap_ns / (double)CLOCK_NS_PER_S);
        return;
    }
    if (event->kind == REPLAY_CAPTURE) {
        buffer_printf(line, " %s would have been captured, by rule %s: %s\n", event->target,
                       event->rule, event->reason);
        return;
    }
    buffer_printf(line, " %-8s  %s%s\n", severity_name(finding->severity), finding->id,
                   finding->silenced ? "  (silenced)" : "");
    const bool opened = event->kind != REPLAY_RESOLVED && event->kind != REPLAY_DROPPED &&
                        event->kind != REPLAY_WITHDRAWN;
    if (opened)
        buffer_printf(line, "    %s\n", finding->message);
    else
        buffer_printf(line, "    after %.0f s\n",
                       (double)(event->realtime_ns - finding->created_realtime_ns) /
                           (double)CLOCK_NS_PER_S);
    if (event->kind == REPLAY_ADVISED && finding->advice[0] != '\0')
        buffer_printf(line, "    advice: %s\n", finding->advice);
}

static void print_event(void *context, const struct replay_event *event)
{
    struct printer *printer = context;
    buffer_clear(&printer->line);
    if (printer->json)
        write_json(&printer->line, event);
    else
        write_text(&printer->line, event);
    printer->failed = printer->failed || printer->line.failed ||
                      fwrite(printer->line.data, 1, printer->line.length, stdout) !=
                          printer->line.length;
    printer->fired += event->kind == REPLAY_FIRING;
    printer->advised += event->kind == REPLAY_ADVISED;
}

/* ---- the sum ---- */

/* Rules that failed, and such as never had what they need; returns how many failed. */
static size_t print_rules(const struct rules_report *report, bool json)
{
    size_t failed = 0;
    size_t idle = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct rule_status *rule = &report->rules[i];
        failed += rule->errors > 0;
        idle += rule->evaluations == 0;
        if (rule->errors > 0)
            fprintf(stderr, "goprofd replay: rule %s failed %" PRIu64 " times, the last time with: %s\n",
                    rule->name, rule->errors, rule->last_error);
    }
    if (idle == 0 || json)
        return failed;
    printf("%zu of %zu rules had nothing to judge (disabled, for other targets, or without what they need):",
           idle, report->count);
    for (size_t i = 0; i < report->count; i++) {
        if (report->rules[i].evaluations == 0)
            printf(" %s", report->rules[i].name);
    }
    puts("");
    return failed;
}

static const char *plural(uint64_t count)
{
    return count == 1 ? "" : "s";
}

static void print_sum(const struct printer *printer, const struct replay_sums *sums)
{
    char first[CLOCK_RFC3339_BYTES];
    char last[CLOCK_RFC3339_BYTES];
    if (sums->beats == 0) {
        printf("no snapshot was to be judged%s\n",
               sums->before > 0 ? ": all are from before --since"
                                : ": none is of that --target, or from before --until");
        return;
    }
    (void)clock_format_rfc3339(sums->first_realtime_ns / CLOCK_NS_PER_S * CLOCK_NS_PER_S, first);
    (void)clock_format_rfc3339(sums->last_realtime_ns / CLOCK_NS_PER_S * CLOCK_NS_PER_S, last);
    printf("%" PRIu64 " snapshots of %" PRIu64 " target%s, %s to %s: %" PRIu64 " alert%s fired, %" PRIu64
           " suggestion%s\n",
           sums->rows, sums->targets, plural(sums->targets), first, last, printer->fired,
           plural(printer->fired), printer->advised, plural(printer->advised));
    if (!sums->has_profiles)
        puts("no heap profiles are in it (exports have none): rules that look at allocation sites saw none");
}

static bool finish(struct replay *replay, const struct printer *printer, uint64_t started_ns)
{
    const struct replay_sums *sums = replay_sums(replay);
    const struct rules_report *report = replay_report(replay);
    if (report == NULL) {
        fputs("goprofd replay: no memory\n", stderr);
        return false;
    }
    if (!printer->json)
        print_sum(printer, sums);
    const size_t failed = print_rules(report, printer->json || sums->beats == 0);
    rules_report_unref(report);
    const double took_s = (double)(clock_monotonic_ns() - started_ns) / (double)CLOCK_NS_PER_S;
    fprintf(stderr, "goprofd replay: %" PRIu64 " snapshots in %.2f s: %.0f a second\n",
            sums->rows + sums->before, took_s, (double)(sums->rows + sums->before) / took_s);
    return failed == 0;
}

/* ---- running ---- */

static bool feed(struct replay *replay, struct journal_reader *reader, size_t *problems,
                 struct error *err)
{
    struct history_row row;
    bool ok = true;
    bool more = true;
    while (ok && more) {
        more = journal_reader_next(reader, &row);
        for (; *problems < journal_reader_problems(reader); (*problems)++)
            fprintf(stderr, "goprofd replay: %s\n", journal_reader_problem_at(reader, *problems));
        ok = more ? replay_row(replay, &row, journal_reader_boot_id(reader), err)
                  : replay_end(replay, err);
    }
    return ok;
}

static int run(const struct arguments *arguments, const struct config *config,
               struct buffer *problems)
{
    struct error err = {.code = ERROR_NONE};
    struct printer printer = {.json = arguments->json};
    struct replay_options options = arguments->options;
    options.event = print_event;
    options.context = &printer;
    struct journal_reader *reader = journal_reader_open(arguments->path, &err);
    if (reader == NULL) {
        fprintf(stderr, "goprofd replay: %s\n", err.message);
        return EXIT_FAILED;
    }
    const uint64_t started_ns = clock_monotonic_ns();
    struct replay *replay = replay_new(config, &options, problems, &err);
    if (replay == NULL) {
        const char *text = buffer_text(problems);
        if (text != NULL && text[0] != '\0')
            fputs(text, stderr);
        else
            fprintf(stderr, "goprofd replay: %s\n", err.message);
        journal_reader_close(reader);
        return EXIT_USAGE;
    }
    buffer_init(&printer.line, LINE_MAX_BYTES);
    size_t unreadable = 0;
    bool ok = feed(replay, reader, &unreadable, &err);
    if (!ok)
        fprintf(stderr, "goprofd replay: %s\n", err.message);
    ok = finish(replay, &printer, started_ns) && ok;
    if (fflush(stdout) != 0 || printer.failed) {
        fputs("goprofd replay: standard output cannot be written\n", stderr);
        ok = false;
    }
    buffer_release(&printer.line);
    replay_free(replay);
    journal_reader_close(reader);
    return ok && unreadable == 0 ? EXIT_FINE : EXIT_FAILED;
}

int cli_replay(int argc, char **argv)
{
    struct arguments arguments;
    if (argc == 2 && (strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "--help") == 0)) {
        fputs(usage, stdout);
        return EXIT_FINE;
    }
    if (!parse(argc, argv, &arguments))
        return EXIT_USAGE;
    log_set_level(LOG_LEVEL_ERROR); /* what rules log belongs to a time that is over */
    struct buffer problems;
    buffer_init(&problems, PROBLEMS_MAX_BYTES);
    struct config *config =
        config_load(&(struct config_sources){.path = arguments.config_path}, &problems);
    int code = EXIT_USAGE;
    if (config != NULL) {
        code = run(&arguments, config, &problems);
    } else {
        const char *text = buffer_text(&problems);
        fputs(text != NULL ? text : "goprofd replay: too many problems to list\n", stderr);
    }
    config_free(config);
    buffer_release(&problems);
    return code;
}
