/* judge_report.c - what is told about the rules, on the board and to those who ask. */
#include <math.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"
#include "lua/rule.h"
#include "lua/rule_set.h"

enum rule_state judge_rule_state(const struct judge *judge, size_t index)
{
    if (!rule_enabled(judge->set->rules[index]))
        return RULE_DISABLED;
    for (size_t i = 0; i < judge->watched_count; i++) {
        if (judge->watched[i].pairs[index].suspended_until_ns != 0)
            return RULE_SUSPENDED;
    }
    return judge->tallies[index].failing ? RULE_FAILING : RULE_OK;
}

void judge_publish_report(struct judge *judge)
{
    const size_t count = judge->set->count;
    struct rule_status *statuses = calloc(count + 1, sizeof(*statuses));
    for (size_t i = 0; statuses != NULL && i < count; i++) {
        const struct rule *rule = judge->set->rules[i];
        const struct tally *tally = &judge->tallies[i];
        statuses[i] = (struct rule_status){
            .name = rule_name(rule),
            .file = rule_file(rule),
            .doc = rule_doc(rule),
            .state = judge_rule_state(judge, i),
            .evaluations = tally->evaluations,
            .errors = tally->errors,
            .limit_exceeded = tally->limit_exceeded,
            .evaluate_ns = tally->evaluate_ns,
            .memory_bytes = rule_memory_bytes(rule),
            .last_error = tally->last_error.message,
            .last_error_realtime_ns = tally->last_error_ns,
            .open_findings = ledger_open_count(judge->ledger, rule_name(rule)),
        };
    }
    const struct rules_report report = {.generation = judge->generation,
                                        .loaded_realtime_ns = judge->loaded_ns,
                                        .reloads_failed = judge->reloads_failed,
                                        .reload_error = judge->reload_error.message,
                                        .count = statuses != NULL ? count : 0,
                                        .rules = statuses};
    const struct rules_report *sealed = rules_report_new(&report);
    free(statuses);
    if (sealed != NULL)
        board_publish_rules(judge->wiring.board, sealed);
    else
        log_error(log_msg("no memory for the report of rules"));
}

/* ---- why did it not fire ---- */

static const char *outcome_name(enum pair_outcome outcome)
{
    switch (outcome) {
    case PAIR_NEVER:
        return "not evaluated yet";
    case PAIR_QUIET:
        return "quiet";
    case PAIR_RAISED:
        return "raised";
    case PAIR_WARMUP:
        return "warming up";
    case PAIR_SKIPPED:
        return "not for this target";
    case PAIR_DISABLED:
        return "disabled";
    case PAIR_SUSPENDED:
        return "suspended";
    case PAIR_FAILED:
        return "failed";
    case PAIR_DEFERRED:
        return "deferred";
    }
    return "unknown";
}

static void write_reads(struct json *json, const struct pair *pair)
{
    json_key(json, "reads");
    json_begin_array(json);
    for (size_t i = 0; i < pair->read_count; i++) {
        char name[TRACE_NAME_MAX_BYTES];
        trace_name(&pair->reads[i], name);
        json_begin_object(json);
        json_member_string(json, "read", name);
        if (isnan(pair->reads[i].value)) {
            json_key(json, "value");
            json_null(json);
        } else {
            json_member_f64(json, "value", pair->reads[i].value);
        }
        json_end_object(json);
    }
    json_end_array(json);
    if (pair->reads_left_out > 0)
        json_member_u64(json, "reads_left_out", pair->reads_left_out);
}

static void write_pair(struct json *json, const struct watched *watched, const struct pair *pair)
{
    json_begin_object(json);
    json_member_string(json, "target", watched->id);
    json_member_string(json, "outcome", outcome_name((enum pair_outcome)pair->outcome));
    if (pair->reason != NULL)
        json_member_string(json, "reason", pair->reason);
    if (pair->suspended_until_ns != 0)
        json_member_time(json, "suspended_until", pair->suspended_until_ns);
    if (pair->evaluated_ns != 0) {
        json_member_time(json, "evaluated_at", pair->evaluated_ns);
        json_member_f64(json, "evaluate_seconds", (double)pair->evaluate_ns / 1e9);
        json_member_u64(json, "findings", pair->findings);
        write_reads(json, pair);
    }
    json_end_object(json);
}

static void write_timing(struct json *json, const struct rule_timing *timing)
{
    json_member_f64(json, "for", (double)timing->pending_ns / 1e9);
    json_member_f64(json, "clear_for", (double)timing->clear_ns / 1e9);
    json_member_f64(json, "cooldown", (double)timing->cooldown_ns / 1e9);
    json_member_f64(json, "warmup", (double)timing->warmup_ns / 1e9);
}

bool judge_explain(const struct judge *judge, const char *name, const char *target,
                   struct buffer *out)
{
    size_t index = 0;
    while (index < judge->set->count && strcmp(judge->tallies[index].name, name) != 0)
        index++;
    if (index == judge->set->count)
        return false;
    const struct rule *rule = judge->set->rules[index];
    const struct tally *tally = &judge->tallies[index];
    struct json json;
    bool found = target == NULL;
    json_init(&json, out);
    json_begin_object(&json);
    json_member_string(&json, "name", name);
    json_member_string(&json, "file", rule_file(rule));
    json_member_string(&json, "doc", rule_doc(rule));
    json_member_string(&json, "group", rule_header(rule)->group);
    json_member_string(&json, "state", rule_state_name(judge_rule_state(judge, index)));
    json_member_u64(&json, "evaluations", tally->evaluations);
    json_member_u64(&json, "errors", tally->errors);
    json_member_string(&json, "last_error", tally->last_error.message);
    json_member_u64(&json, "memory_bytes", rule_memory_bytes(rule));
    write_timing(&json, &rule_header(rule)->timing);
    json_key(&json, "targets");
    json_begin_array(&json);
    for (size_t i = 0; i < judge->watched_count; i++) {
        const struct watched *watched = &judge->watched[i];
        if (target != NULL && strcmp(watched->id, target) != 0)
            continue;
        found = true;
        write_pair(&json, watched, &watched->pairs[index]);
    }
    json_end_array(&json);
    json_end_object(&json);
    buffer_append_byte(out, '\n');
    return found;
}
