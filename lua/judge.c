/* judge.c - shows each target to each rule and turns what they say into findings.
 *
 * Owned by the rule thread (engine.c).  Time is the page's. */
#include "lua/judge.h"

#include "core/base/config.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/history.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"
#include "lua/rule.h"
#include "lua/rule_set.h"
#include "lua/snapshot_view.h"

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

void judge_free(struct judge *judge)
{
    if (judge == NULL)
        return;
    for (size_t i = 0; i < judge->watched_count; i++)
        judge_release_watched(judge, &judge->watched[i]);
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

/* ---- publishing ---- */

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

static bool can_be_judged(enum target_state state)
{
    return state == TARGET_UP || state == TARGET_DEGRADED || state == TARGET_FAILING;
}

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
    struct pair **pairs = judge_new_pairs(judge, set->count);
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
        judge_free_pairs(judge->watched[i].pairs, old->count);
        judge->watched[i].pairs = pairs[i];
    }
    free(pairs);
    close_missing_rules(judge, old, now_ns);
    rule_set_free(old);
    return true;
}

/* Shows [rule] what is there now; what it says is dropped. */
static bool dry_run(struct judge *judge, struct rule *rule, const struct board_page *page,
                    struct error *err)
{
    for (size_t i = 0; i < page->target_count; i++) {
        const struct target_view *view = &page->targets[i];
        struct watched *watched = judge_find_watched(judge, view->info->facts.id);
        char reason[RULE_REASON_MAX_BYTES];
        if (watched == NULL || view->snapshot == NULL ||
            history_count(watched->history) == 0 || !can_be_judged(view->info->facts.state))
            continue;
        const struct observation seen = {.info = view->info,
                                         .snapshot = view->snapshot,
                                         .profile = view->profile,
                                         .history = watched->history};
        const struct evaluation *said;
        if (rule_enabled_for(rule, watched->id) &&
            rule_header_applies(rule_header(rule), &seen, reason) &&
            !rule_evaluate(rule, &seen, &said, err))
            return error_wrap(err, "on %s", watched->id);
    }
    return true;
}

/* Each rule on the newest snapshots, with the state of the rule it replaces; then it starts anew, so that
 * nothing of this is left. */
static bool dry_run_all(struct judge *judge, struct rule_set *set, struct error *err)
{
    const struct board_page *page = board_page(judge->wiring.board);
    bool ok = true;
    for (size_t i = 0; i < set->count && ok; i++) {
        struct rule *before = rule_set_find(judge->set, rule_name(set->rules[i]));
        if (!rule_enabled(set->rules[i]))
            continue;
        if (before != NULL)
            rule_adopt_state(set->rules[i], before);
        ok = dry_run(judge, set->rules[i], page, err) && rule_restart(set->rules[i], err);
    }
    board_page_unref(page);
    return ok;
}

void judge_note_failed_load(struct judge *judge, const struct error *err)
{
    judge->reloads_failed++;
    judge->reload_error = *err;
    atomic_fetch_add_explicit(&board_counters(judge->wiring.board)->rules_reloads_failed, 1,
                              memory_order_relaxed);
    judge_publish_report(judge);
}

bool judge_adopt(struct judge *judge, struct rule_set *set, const struct config *config,
                 uint64_t now_ns, struct error *err)
{
    for (size_t i = 0; i < set->count && judge->wiring.quiet; i++)
        rule_unhurry(set->rules[i]);
    bool ok = judge->watched_count == 0 || dry_run_all(judge, set, err);
    if (ok && !swap_in(judge, set, now_ns))
        ok = error_set(err, ERROR_NO_MEMORY, "no memory for the rules");
    if (!ok) {
        rule_set_free(set);
        judge_note_failed_load(judge, err);
        return false;
    }
    judge->config = config;
    judge->generation++;
    judge->loaded_ns = now_ns;
    judge->reload_error = (struct error){.code = ERROR_NONE};
    ledger_silence(judge->ledger, config, now_ns);
    if (!config->alerting_enabled)
        ledger_close(judge->ledger, NULL, NULL, now_ns);
    publish_findings(judge, now_ns);
    judge_publish_report(judge);
    return true;
}

bool judge_load(struct judge *judge, const struct config *config, uint64_t now_ns,
                struct buffer *problems, struct error *err)
{
    size_t problem_count = 0;
    struct error first = {.code = ERROR_NONE};
    struct rule_set *set = rule_set_load(config, false, problems, &problem_count, &first);
    if (set != NULL)
        return judge_adopt(judge, set, config, now_ns, err);
    judge_note_failed_load(judge, &first);
    return error_set(err, first.code, "%s", first.message);
}

bool judge_use_rule(struct judge *judge, struct rule *rule, const struct config *config,
                    uint64_t now_ns, struct error *err)
{
    struct rule_set *set = rule_set_of(rule);
    if (set == NULL || !swap_in(judge, set, now_ns)) {
        rule_set_free(set);
        return error_set(err, ERROR_NO_MEMORY, "no memory for the rules");
    }
    judge->config = config;
    judge->generation++;
    judge->loaded_ns = now_ns;
    return true;
}

void judge_write_alerts(const struct judge *judge, struct buffer *out)
{
    ledger_write(judge->ledger, out);
}

bool judge_restore_alerts(struct judge *judge, const char *text, size_t length, uint64_t now_ns,
                          struct error *err)
{
    return ledger_restore(judge->ledger, text, length, now_ns, err);
}

/* ---- the beat ---- */

/* Rules that fail must not cost the others their beat: they come last, and share this part of it. */
static uint64_t failing_budget_ns(const struct judge *judge)
{
    if (judge->wiring.recorded)
        return UINT64_MAX;
    return judge->config->sampling_interval_ms * CLOCK_NS_PER_MS / 4;
}

/* First all that are well, then, as long as there is time, those whose last evaluation failed, each
 * beat beginning with another one. */
static void judge_rules(struct judge *judge, struct watched *watched,
                        const struct observation *seen, uint64_t *failing_left_ns, uint64_t now_ns)
{
    const size_t count = judge->set->count;
    for (size_t i = 0; i < count; i++) {
        if (!judge->tallies[i].failing || watched->pairs[i].suspended_until_ns != 0)
            judge_pair(judge, i, watched, seen, now_ns);
    }
    for (size_t i = 0; i < count; i++) {
        const size_t index = (judge->failing_first + i) % count;
        struct pair *pair = &watched->pairs[index];
        if (!judge->tallies[index].failing || pair->suspended_until_ns != 0 ||
            pair->evaluated_ns == seen->snapshot->realtime_ns)
            continue;
        if (*failing_left_ns == 0) {
            judge->tallies[index].deferred++;
            pair->outcome = PAIR_DEFERRED;
            continue;
        }
        const uint64_t before_ns = clock_thread_cpu_ns();
        judge_pair(judge, index, watched, seen, now_ns);
        const uint64_t took_ns = clock_thread_cpu_ns() - before_ns;
        *failing_left_ns -= took_ns < *failing_left_ns ? took_ns : *failing_left_ns;
        if (*failing_left_ns == 0)
            judge->failing_first = (index + 1) % count;
    }
}

static void note_generation(struct watched *watched, const struct snapshot *snapshot)
{
    if (watched->first_seen_ns != 0 && watched->generation == snapshot->generation)
        return;
    watched->generation = snapshot->generation;
    watched->first_seen_ns = snapshot->realtime_ns;
}

static void judge_target(struct judge *judge, const struct target_view *view,
                         uint64_t *failing_left_ns, uint64_t now_ns)
{
    struct error err = {.code = ERROR_NO_MEMORY, .message = "no memory"};
    struct watched *watched = judge_watch(judge, view->info->facts.id);
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
    note_generation(watched, view->snapshot);
    const struct observation seen = {.info = view->info,
                                     .snapshot = view->snapshot,
                                     .profile = view->profile,
                                     .history = watched->history,
                                     .first_seen_ns = watched->first_seen_ns};
    if (judge->wiring.rest_when_idle && judge_may_rest(judge, watched, &seen))
        return;
    judge_rules(judge, watched, &seen, failing_left_ns, now_ns);
}

void judge_beat(struct judge *judge, const struct board_page *page)
{
    const uint64_t now_ns = page->published_realtime_ns;
    for (size_t i = 0; i < judge->watched_count; i++)
        judge->watched[i].present = false;
    uint64_t failing_left_ns = failing_budget_ns(judge);
    ledger_silence(judge->ledger, judge->config, now_ns);
    judge->failure_lines = 0;
    for (size_t i = 0; i < page->target_count; i++)
        judge_target(judge, &page->targets[i], &failing_left_ns, now_ns);
    judge_forget_absent(judge, now_ns);
    judge_self(judge, now_ns);
    publish_findings(judge, now_ns);
    if (!judge->wiring.recorded)
        judge_publish_report(judge);
}
