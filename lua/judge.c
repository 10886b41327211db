/* judge.c - shows each target to each rule and turns what they say into findings.
 *
 * Owned by the rule thread (engine.c).  Time is the page's. */
#include "lua/judge.h"

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/capture/capture.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/finding_api.h"
#include "lua/history.h"
#include "lua/ledger.h"
#include "lua/rule.h"
#include "lua/rule_set.h"
#include "lua/snapshot_view.h"

enum {
    FAILURES_MAX = 3, /* in a row, before a rule is suspended for a target */
    BACKOFF_DOUBLINGS_MAX = 6,
    FINDING_ID_MAX_BYTES = 2048,
};
static const uint64_t BACKOFF_NS = UINT64_C(10) * CLOCK_NS_PER_S; /* the first; then doubled */
static const uint64_t HORIZON_MIN_NS = UINT64_C(600) * CLOCK_NS_PER_S;

/* How one rule gets along with one target. */
struct pair {
    unsigned failures; /* in a row */
    unsigned suspensions;
    uint64_t suspended_until_ns; /* 0: not suspended */
};

struct watched {
    char *id;
    struct history *history;
    struct pair *pairs; /* one per rule of the set */
    bool present;       /* in the page being judged */
    bool closed;        /* its findings were closed: nothing there to judge */
};

/* What GET /v1/rules tells of a rule; carried over reloads by name. */
struct tally {
    char name[RULE_NAME_MAX_BYTES + 1];
    uint64_t evaluations;
    uint64_t errors;
    uint64_t limit_exceeded;
    uint64_t evaluate_ns;
    struct error last_error;
    uint64_t last_error_ns;
    bool failing;
};

struct judge {
    struct judge_wiring wiring;
    const struct config *config;
    struct rule_set *set;
    struct tally *tallies; /* one per rule of the set */
    struct ledger *ledger;
    size_t watched_count;
    size_t watched_capacity;
    struct watched *watched;
    uint64_t generation;
    uint64_t loaded_ns;
    uint64_t reloads_failed;
    struct error reload_error;
};

struct judge *judge_new(const struct judge_wiring *wiring)
{
    struct judge *judge = calloc(1, sizeof(*judge));
    if (judge == NULL)
        return NULL;
    judge->wiring = *wiring;
    judge->ledger = ledger_new();
    judge->set = calloc(1, sizeof(*judge->set)); /* no rules before the first load */
    if (judge->ledger == NULL || judge->set == NULL) {
        judge_free(judge);
        return NULL;
    }
    return judge;
}

static void release_watched(struct watched *watched)
{
    free(watched->id);
    free(watched->pairs);
    history_free(watched->history);
}

void judge_free(struct judge *judge)
{
    if (judge == NULL)
        return;
    for (size_t i = 0; i < judge->watched_count; i++)
        release_watched(&judge->watched[i]);
    free(judge->watched);
    free(judge->tallies);
    rule_set_free(judge->set);
    ledger_free(judge->ledger);
    free(judge);
}

const struct config *judge_config(const struct judge *judge)
{
    return judge->config;
}

/* ---- report ---- */

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

static void publish_report(struct judge *judge)
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

static void publish_findings(struct judge *judge, uint64_t now_ns)
{
    const struct finding_set *set;
    struct error err;
    if (!ledger_publish(judge->ledger, now_ns, &set, &err))
        log_error(log_msg("findings not published"), log_str("error", err.message));
    else if (set != NULL)
        board_publish_findings(judge->wiring.board, set);
}

/* ---- loading ---- */

static const struct tally *find_tally(const struct judge *judge, const char *name)
{
    for (size_t i = 0; i < judge->set->count; i++) {
        if (strcmp(judge->tallies[i].name, name) == 0)
            return &judge->tallies[i];
    }
    return NULL;
}

static struct tally *new_tallies(const struct judge *judge, const struct rule_set *set)
{
    struct tally *tallies = calloc(set->count + 1, sizeof(*tallies));
    for (size_t i = 0; tallies != NULL && i < set->count; i++) {
        const char *name = rule_name(set->rules[i]);
        const struct tally *before = find_tally(judge, name);
        if (before != NULL)
            tallies[i] = *before;
        memcpy(tallies[i].name, name, strlen(name) + 1);
        tallies[i].failing = false;
    }
    return tallies;
}

/* New pairs for every target, first all allocated, so that a swap cannot fail half-way. */
static struct pair **new_pairs(const struct judge *judge, size_t rule_count)
{
    struct pair **pairs = calloc(judge->watched_count + 1, sizeof(struct pair *));
    for (size_t i = 0; pairs != NULL && i < judge->watched_count; i++) {
        pairs[i] = calloc(rule_count + 1, sizeof(struct pair));
        if (pairs[i] != NULL)
            continue;
        while (i-- > 0)
            free(pairs[i]);
        free(pairs);
        return NULL;
    }
    return pairs;
}

static void close_missing_rules(struct judge *judge, const struct rule_set *old, uint64_t now_ns)
{
    for (size_t i = 0; i < old->count; i++) {
        const struct rule *fresh = rule_set_find(judge->set, rule_name(old->rules[i]));
        if (fresh == NULL || !rule_enabled(fresh))
            ledger_close(judge->ledger, rule_name(old->rules[i]), NULL, now_ns);
    }
}

static bool swap_in(struct judge *judge, struct rule_set *set, uint64_t now_ns)
{
    struct tally *tallies = new_tallies(judge, set);
    struct pair **pairs = new_pairs(judge, set->count);
    if (tallies == NULL || pairs == NULL) {
        free(tallies);
        free(pairs);
        return false;
    }
    for (size_t i = 0; i < set->count; i++) {
        struct rule *before = rule_set_find(judge->set, rule_name(set->rules[i]));
        if (before != NULL)
            rule_adopt_state(set->rules[i], before);
    }
    struct rule_set *old = judge->set;
    judge->set = set;
    free(judge->tallies);
    judge->tallies = tallies;
    for (size_t i = 0; i < judge->watched_count; i++) {
        free(judge->watched[i].pairs);
        judge->watched[i].pairs = pairs[i];
    }
    free(pairs);
    close_missing_rules(judge, old, now_ns);
    rule_set_free(old);
    return true;
}

bool judge_load(struct judge *judge, const struct config *config, uint64_t now_ns,
                struct buffer *problems, struct error *err)
{
    size_t problem_count = 0;
    struct error first = {.code = ERROR_NONE};
    struct rule_set *set = rule_set_load(config, problems, &problem_count, &first);
    if (set != NULL && !swap_in(judge, set, now_ns)) {
        (void)error_set(&first, ERROR_NO_MEMORY, "no memory for the rules");
        rule_set_free(set);
        set = NULL;
    }
    if (set == NULL) {
        judge->reloads_failed++;
        judge->reload_error = first;
        atomic_fetch_add_explicit(&board_counters(judge->wiring.board)->rules_reloads_failed, 1,
                                  memory_order_relaxed);
        publish_report(judge);
        return error_set(err, first.code, "%s", first.message);
    }
    judge->config = config;
    judge->generation++;
    judge->loaded_ns = now_ns;
    judge->reload_error = (struct error){.code = ERROR_NONE};
    if (!config->alerting_enabled)
        ledger_close(judge->ledger, NULL, NULL, now_ns);
    publish_findings(judge, now_ns);
    publish_report(judge);
    return true;
}

/* ---- watched targets ---- */

static struct watched *find_watched(struct judge *judge, const char *id)
{
    for (size_t i = 0; i < judge->watched_count; i++) {
        if (strcmp(judge->watched[i].id, id) == 0)
            return &judge->watched[i];
    }
    return NULL;
}

static bool grow_watched(struct judge *judge)
{
    if (judge->watched_count < judge->watched_capacity)
        return true;
    const size_t capacity = judge->watched_capacity > 0 ? judge->watched_capacity * 2 : 8;
    struct watched *grown = realloc(judge->watched, capacity * sizeof(*grown));
    if (grown == NULL)
        return false;
    judge->watched = grown;
    judge->watched_capacity = capacity;
    return true;
}

static struct watched *watch(struct judge *judge, const char *id)
{
    struct watched *watched = find_watched(judge, id);
    if (watched != NULL)
        return watched;
    if (!grow_watched(judge))
        return NULL;
    const uint64_t window_ns = judge->config->retention_window_sec * CLOCK_NS_PER_S;
    struct watched fresh = {
        .id = strdup(id),
        .pairs = calloc(judge->set->count + 1, sizeof(struct pair)),
        .history = history_new((size_t)judge->config->max_history_samples,
                               window_ns > HORIZON_MIN_NS ? window_ns : HORIZON_MIN_NS),
    };
    if (fresh.id == NULL || fresh.pairs == NULL || fresh.history == NULL) {
        release_watched(&fresh);
        return NULL;
    }
    judge->watched[judge->watched_count] = fresh;
    return &judge->watched[judge->watched_count++];
}

static void forget_absent(struct judge *judge, uint64_t now_ns)
{
    for (size_t i = 0; i < judge->watched_count;) {
        struct watched *watched = &judge->watched[i];
        if (watched->present) {
            i++;
            continue;
        }
        ledger_close(judge->ledger, NULL, watched->id, now_ns);
        for (size_t r = 0; r < judge->set->count; r++)
            rule_forget_target(judge->set->rules[r], watched->id);
        release_watched(watched);
        *watched = judge->watched[--judge->watched_count];
    }
}

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

static void announce(const struct judge *judge, const struct finding *finding)
{
    log_warn(log_msg("alert"), log_str("severity", severity_name(finding->severity)),
             log_str("id", finding->id), log_str("message", finding->message));
    const struct capture_request request = {.target_id = finding->target,
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
        if (!ledger_raise(judge->ledger, &finding, timing.pending_ns, timing.clear_ns, now_ns,
                          &risen, &err))
            log_error(log_msg("finding lost"), log_str("id", id), log_str("error", err.message));
        else if (risen)
            announce(judge, &finding);
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
    if (++pair->failures == 1)
        log_warn(log_msg("rule failed"), log_str("rule", tally->name),
                 log_str("target", watched->id), log_str("error", err->message));
    if (err->code != ERROR_LIMIT && pair->failures < FAILURES_MAX)
        return;
    const uint64_t backoff_ns =
        BACKOFF_NS << (pair->suspensions < BACKOFF_DOUBLINGS_MAX ? pair->suspensions
                                                                 : BACKOFF_DOUBLINGS_MAX);
    pair->suspensions++;
    pair->suspended_until_ns = now_ns + backoff_ns;
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

static void judge_pair(struct judge *judge, size_t index, struct watched *watched,
                       const struct observation *seen, uint64_t now_ns)
{
    struct rule *rule = judge->set->rules[index];
    struct tally *tally = &judge->tallies[index];
    struct pair *pair = &watched->pairs[index];
    if (!rule_enabled_for(rule, watched->id) || is_suspended(pair, now_ns))
        return;
    const struct evaluation *said = NULL;
    struct error err;
    const uint64_t before_ns = clock_monotonic_ns(); /* for the tally only: nothing depends on it */
    const bool ok = rule_evaluate(rule, seen, &said, &err);
    tally->evaluate_ns += clock_monotonic_ns() - before_ns;
    tally->evaluations++;
    atomic_fetch_add_explicit(&board_counters(judge->wiring.board)->rule_evaluations, 1,
                              memory_order_relaxed);
    if (!ok) {
        note_failure(judge, index, watched, &err, now_ns);
        return;
    }
    *pair = (struct pair){.failures = 0};
    tally->failing = false;
    take_findings(judge, rule, said, now_ns);
}

static bool can_be_judged(enum target_state state)
{
    return state == TARGET_UP || state == TARGET_DEGRADED || state == TARGET_FAILING;
}

static void judge_target(struct judge *judge, const struct target_view *view, uint64_t now_ns)
{
    struct error err = {.code = ERROR_NO_MEMORY, .message = "no memory"};
    struct watched *watched = watch(judge, view->info->facts.id);
    bool fresh = false;
    if (watched == NULL ||
        !history_advance(watched->history, judge->wiring.board, view, &fresh, &err)) {
        log_error(log_msg("target not judged"), log_str("target", view->info->facts.id),
                  log_str("error", err.message));
        if (watched != NULL)
            watched->present = true;
        return;
    }
    watched->present = true;
    if (!can_be_judged(view->info->facts.state)) {
        if (!watched->closed)
            ledger_close(judge->ledger, NULL, watched->id, now_ns);
        watched->closed = true;
        return;
    }
    if (!fresh)
        return;
    watched->closed = false;
    const struct observation seen = {.info = view->info,
                                     .snapshot = view->snapshot,
                                     .profile = view->profile,
                                     .history = watched->history};
    for (size_t i = 0; i < judge->set->count; i++)
        judge_pair(judge, i, watched, &seen, now_ns);
}

void judge_beat(struct judge *judge, const struct board_page *page)
{
    const uint64_t now_ns = page->published_realtime_ns;
    for (size_t i = 0; i < judge->watched_count; i++)
        judge->watched[i].present = false;
    for (size_t i = 0; i < page->target_count; i++)
        judge_target(judge, &page->targets[i], now_ns);
    forget_absent(judge, now_ns);
    publish_findings(judge, now_ns);
    publish_report(judge);
}
