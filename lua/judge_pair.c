/* judge_pair.c - shows one target to one rule, and turns what it says into findings.
 *
 *   gates --> rule_evaluate --> ledger
 *                  \-- failed: tally, suspension */
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/capture/capture.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/finding_api.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"
#include "lua/rule.h"
#include "lua/rule_set.h"
#include "lua/snapshot_view.h"

enum {
    FAILURES_MAX = 3, /* in a row, before a rule is suspended for a target */
    BACKOFF_DOUBLINGS_MAX = 6,
    FINDING_ID_MAX_BYTES = 2048,
    FAILURE_LINES_MAX = 20, /* logged in one beat, however many rules fail */
};
static const uint64_t BACKOFF_NS = UINT64_C(10) * CLOCK_NS_PER_S; /* the first; then doubled */

/* ---- findings ---- */

/* TARGET/RULE/ID, or TARGET/ID where the rule's id already begins with its name. */
static void compose_id(char *out, size_t size, const struct finding *finding)
{
    const size_t length = strlen(finding->rule);
    const bool named = strncmp(finding->id, finding->rule, length) == 0 &&
                       (finding->id[length] == '\0' || finding->id[length] == '-' ||
                        finding->id[length] == '/');
    const int written =
        named ? snprintf(out, size, "%s/%s", finding->target, finding->id)
              : snprintf(out, size, "%s/%s/%s", finding->target, finding->rule, finding->id);
    if (written < 0)
        out[0] = '\0';
}

static void ask_for_capture(const struct judge *judge, const struct capture_request *request)
{
    if (judge->wiring.request_capture != NULL)
        judge->wiring.request_capture(judge->wiring.context, request);
}

static void announce(const struct judge *judge, const struct finding *finding,
                     enum rule_capture capture)
{
    if (!judge->wiring.quiet)
        log_warn(log_msg("alert"), log_str("severity", severity_name(finding->severity)),
             log_str("id", finding->id), log_str("message", finding->message));
    if (capture == RULE_CAPTURE_NEVER)
        return;
    const struct capture_request request = {.target_id = finding->target,
                                            .whatever_severity = capture == RULE_CAPTURE_ALWAYS,
                                            .reason = CAPTURE_ALERT,
                                            .rule = finding->rule,
                                            .finding = finding->id,
                                            .message = finding->message,
                                            .severity = finding->severity};
    ask_for_capture(judge, &request);
}

static void take_findings(struct judge *judge, const struct rule *rule,
                          const struct evaluation *said, uint64_t now_ns)
{
    const struct rule_timing timing = rule_timing_for(rule, said->target);
    for (size_t i = 0; i < said->finding_count; i++) {
        struct finding finding = said->findings[i];
        char id[FINDING_ID_MAX_BYTES];
        struct error err;
        bool risen;
        if (finding.kind == FINDING_ALERT && !judge->config->alerting_enabled)
            continue;
        compose_id(id, sizeof(id), &finding);
        finding.id = id;
        if (!ledger_raise(judge->ledger, &finding, &timing, now_ns, &risen, &err))
            log_error(log_msg("finding lost"), log_str("id", id), log_str("error", err.message));
        else if (risen)
            announce(judge, &finding, timing.capture);
    }
    if (said->capture_wanted) {
        const struct capture_request request = {.target_id = said->target,
                                                .reason = CAPTURE_RULE,
                                                .rule = said->rule,
                                                .message = said->capture_reason,
                                                .severity = SEVERITY_INFO};
        ask_for_capture(judge, &request);
    }
    ledger_settle(judge->ledger, rule_name(rule), said->target, now_ns);
}

/* ---- one rule, one target ---- */

static bool may_log(struct judge *judge)
{
    return !judge->wiring.quiet && judge->failure_lines++ < FAILURE_LINES_MAX;
}

/* After several failures in a row, or one overrun, the rule rests for this target; longer each time. */
static void note_failure(struct judge *judge, size_t index, struct watched *watched,
                         const struct error *err, uint64_t now_ns)
{
    struct tally *tally = &judge->tallies[index];
    struct pair *pair = &watched->pairs[index];
    tally->errors++;
    tally->limit_exceeded += err->code == ERROR_LIMIT;
    tally->last_error = *err;
    tally->last_error_ns = now_ns;
    tally->failing = true;
    atomic_fetch_add_explicit(&board_counters(judge->wiring.board)->rule_errors, 1,
                              memory_order_relaxed);
    if (++pair->failures == 1 && may_log(judge))
        log_warn(log_msg("rule failed"), log_str("rule", tally->name),
                 log_str("target", watched->id), log_str("error", err->message));
    if (err->code != ERROR_LIMIT && pair->failures < FAILURES_MAX)
        return;
    const uint64_t backoff_ns =
        BACKOFF_NS << (pair->suspensions < BACKOFF_DOUBLINGS_MAX ? pair->suspensions
                                                                 : BACKOFF_DOUBLINGS_MAX);
    pair->suspensions++;
    tally->suspensions++;
    pair->suspended_until_ns = now_ns + backoff_ns;
    if (!may_log(judge))
        return;
    log_warn(log_msg("rule suspended"), log_str("rule", tally->name),
             log_str("target", watched->id), log_u64("seconds", backoff_ns / CLOCK_NS_PER_S),
             log_str("error", err->message));
}

static bool is_suspended(struct pair *pair, uint64_t now_ns)
{
    /* The clock may have been set back: nobody waits longer than the longest backoff. */
    const uint64_t longest_ns = BACKOFF_NS << BACKOFF_DOUBLINGS_MAX;
    if (pair->suspended_until_ns != 0 && now_ns < pair->suspended_until_ns &&
        pair->suspended_until_ns - now_ns <= longest_ns)
        return true;
    pair->suspended_until_ns = 0;
    return false;
}

/* Keeps what the evaluation looked at.  Without memory it is not shown: nothing depends on it. */
static void keep_trace(struct pair *pair, const struct trace *trace)
{
    if (trace->count > pair->read_capacity) {
        struct trace_read *reads = realloc(pair->reads, trace->count * sizeof(*reads));
        if (reads == NULL) {
            pair->read_count = 0;
            return;
        }
        pair->reads = reads;
        pair->read_capacity = (uint16_t)trace->count;
    }
    if (trace->count > 0)
        memcpy(pair->reads, trace->reads, trace->count * sizeof(trace->reads[0]));
    pair->read_count = (uint16_t)trace->count;
    pair->reads_left_out = (uint16_t)(trace->left_out < UINT16_MAX ? trace->left_out : UINT16_MAX);
}

/* Without memory the reason is not shown: nothing depends on it. */
static void keep_reason(struct pair *pair, const char *reason)
{
    if (pair->reason != NULL && reason != NULL && strcmp(pair->reason, reason) == 0)
        return;
    free(pair->reason);
    pair->reason = reason != NULL ? strdup(reason) : NULL;
}

/* A process that has just started, or whose start we do not know and that we have just found, fills
 * caches and pools: what its rules say then does not count. */
static bool is_warming_up(const struct rule_timing *timing, const struct watched *watched,
                          const struct observation *seen)
{
    const uint64_t start_ns = seen->info->facts.start_realtime_ns != 0
                                  ? seen->info->facts.start_realtime_ns
                                  : watched->first_seen_ns;
    const uint64_t now_ns = seen->snapshot->realtime_ns;
    return now_ns >= start_ns && now_ns - start_ns < timing->warmup_ns;
}

static bool evaluate(struct judge *judge, size_t index, struct pair *pair,
                     const struct observation *seen, const struct evaluation **said,
                     struct error *err)
{
    struct rule *rule = judge->set->rules[index];
    struct tally *tally = &judge->tallies[index];
    const uint64_t before_ns = clock_monotonic_ns(); /* for the tally only: nothing depends on it */
    const bool ok = rule_evaluate(rule, seen, said, err);
    const uint64_t took_ns = clock_monotonic_ns() - before_ns;
    tally->evaluate_ns += took_ns;
    tally->evaluate_ns_max = took_ns > tally->evaluate_ns_max ? took_ns : tally->evaluate_ns_max;
    tally->evaluations++;
    pair->evaluate_ns = took_ns < UINT32_MAX ? (uint32_t)took_ns : UINT32_MAX;
    pair->evaluated_ns = seen->snapshot->realtime_ns;
    keep_trace(pair, rule_trace(rule));
    atomic_fetch_add_explicit(&board_counters(judge->wiring.board)->rule_evaluations, 1,
                              memory_order_relaxed);
    return ok;
}

void judge_pair(struct judge *judge, size_t index, struct watched *watched,
                const struct observation *seen, uint64_t now_ns)
{
    struct rule *rule = judge->set->rules[index];
    struct pair *pair = &watched->pairs[index];
    char reason[RULE_REASON_MAX_BYTES];
    pair->findings = 0;
    if (!rule_enabled_for(rule, watched->id) ||
        !rule_header_applies(rule_header(rule), seen, reason)) {
        ledger_settle(judge->ledger, rule_name(rule), watched->id, now_ns);
        const bool skipped = rule_enabled_for(rule, watched->id);
        pair->outcome = skipped ? PAIR_SKIPPED : PAIR_DISABLED;
        keep_reason(pair, skipped ? reason : NULL);
        return;
    }
    if (is_suspended(pair, now_ns)) {
        pair->outcome = PAIR_SUSPENDED;
        return;
    }
    const struct evaluation *said = NULL;
    struct error err;
    if (!evaluate(judge, index, pair, seen, &said, &err)) {
        pair->outcome = PAIR_FAILED;
        keep_reason(pair, err.message);
        note_failure(judge, index, watched, &err, now_ns);
        return;
    }
    keep_reason(pair, NULL);
    pair->failures = 0;
    pair->suspensions = 0;
    pair->suspended_until_ns = 0;
    judge->tallies[index].failing = false;
    const struct rule_timing timing = rule_timing_for(rule, watched->id);
    if (is_warming_up(&timing, watched, seen)) {
        pair->outcome = PAIR_WARMUP;
        ledger_settle(judge->ledger, rule_name(rule), watched->id, now_ns);
        return;
    }
    pair->findings = (uint16_t)said->finding_count;
    pair->outcome = said->finding_count > 0 ? PAIR_RAISED : PAIR_QUIET;
    take_findings(judge, rule, said, now_ns);
}
