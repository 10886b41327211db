/* view_findings.c - alerts, suggestions and the state of rules as JSON (declared in view_json.h).
 */
#include "http/view_json.h"

#include <math.h>

#include "core/base/json.h"

static void write_if_known(struct json *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_member_string(json, key, text);
}

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
        write_if_known(json, "file", evidence->file);
        if (evidence->line > 0)
            json_member_u64(json, "line", evidence->line);
        json_member_i64(json, "bytes", evidence->bytes);
        json_member_i64(json, "objects", evidence->objects);
        if (!isnan(evidence->percent))
            json_member_f64(json, "percent", evidence->percent);
        json_end_object(json);
    }
    json_end_array(json);
}

/* What alerts and suggestions share at the end. */
static void write_origin(struct json *json, const struct finding *finding)
{
    json_member_time(json, "created_at", finding->created_realtime_ns);
    json_member_string(json, "target", finding->target);
    json_member_string(json, "rule", finding->rule);
    json_member_string(json, "state", finding_state_name(finding->state));
}

/* 16 hex digits: a number of 64 bits would lose some of them in most readers. */
static void write_fingerprint(struct json *json, const struct finding *finding)
{
    char text[17];
    (void)snprintf(text, sizeof(text), "%016llx", (unsigned long long)finding->fingerprint);
    json_member_string(json, "fingerprint", text);
}

void view_json_alert(struct json *json, const struct finding *alert)
{
    json_begin_object(json);
    json_member_string(json, "id", alert->id);
    json_member_string(json, "severity", severity_name(alert->severity));
    json_member_string(json, "message", alert->message);
    json_member_string(json, "source", alert->source);
    write_origin(json, alert);
    if (!isnan(alert->value))
        json_member_f64(json, "value", alert->value);
    write_labels(json, alert);
    write_fingerprint(json, alert);
    write_if_known(json, "type_name", alert->type_name);
    write_if_known(json, "tag", alert->tag);
    write_if_known(json, "group", alert->group);
    if (alert->silenced)
        json_member_bool(json, "silenced", true);
    write_if_known(json, "advice", alert->advice);
    write_evidence(json, alert);
    write_if_known(json, "doc", alert->doc);
    if (alert->since_realtime_ns != 0)
        json_member_time(json, "since", alert->since_realtime_ns);
    if (alert->resolved_realtime_ns != 0)
        json_member_time(json, "resolved_at", alert->resolved_realtime_ns);
    json_end_object(json);
}

void view_json_suggestion(struct json *json, const struct finding *suggestion)
{
    json_begin_object(json);
    json_member_string(json, "id", suggestion->id);
    json_member_string(json, "type_name", suggestion->type_name);
    json_member_string(json, "tag", suggestion->tag);
    json_member_string(json, "severity", severity_name(suggestion->severity));
    json_member_string(json, "message", suggestion->message);
    write_origin(json, suggestion);
    write_fingerprint(json, suggestion);
    write_if_known(json, "advice", suggestion->advice);
    write_evidence(json, suggestion);
    write_if_known(json, "doc", suggestion->doc);
    json_end_object(json);
}

static void write_rule(struct json *json, const struct rule_status *rule)
{
    json_begin_object(json);
    json_member_string(json, "name", rule->name);
    write_if_known(json, "file", rule->file);
    write_if_known(json, "doc", rule->doc);
    json_member_string(json, "state", rule_state_name(rule->state));
    json_member_u64(json, "evaluations", rule->evaluations);
    json_member_u64(json, "errors", rule->errors);
    json_member_u64(json, "limit_exceeded", rule->limit_exceeded);
    json_member_f64(json, "evaluate_seconds", (double)rule->evaluate_ns / 1e9);
    json_member_u64(json, "memory_bytes", rule->memory_bytes);
    json_member_u64(json, "open_findings", rule->open_findings);
    write_if_known(json, "last_error", rule->last_error);
    if (rule->last_error_realtime_ns != 0)
        json_member_time(json, "last_error_at", rule->last_error_realtime_ns);
    json_end_object(json);
}

void view_json_rules(struct json *json, const struct rules_report *report)
{
    json_begin_object(json);
    json_member_u64(json, "generation", report->generation);
    if (report->loaded_realtime_ns != 0)
        json_member_time(json, "loaded_at", report->loaded_realtime_ns);
    json_member_u64(json, "reloads_failed", report->reloads_failed);
    write_if_known(json, "reload_error", report->reload_error);
    json_key(json, "rules");
    json_begin_array(json);
    for (size_t i = 0; i < report->count; i++)
        write_rule(json, &report->rules[i]);
    json_end_array(json);
    json_end_object(json);
}
