/* judge_report.c - what is told about the rules, on the board and to those who ask. */
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"
#include "lua/rule.h"
#include "lua/rule_set.h"

static enum rule_state state_of(const struct judge *judge, size_t index)
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
            .state = state_of(judge, i),
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
