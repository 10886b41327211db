/* judge_watch.c - the targets that the judge follows, each with its history and one pair a rule. */
#include "core/base/config.h"
#include "lua/history.h"
#include "lua/judge_parts.h"
#include "lua/ledger.h"
#include "lua/rule.h"
#include "lua/rule_set.h"

static const uint64_t HORIZON_MIN_NS = UINT64_C(600) * CLOCK_NS_PER_S;

void judge_free_pairs(struct pair *pairs, size_t rule_count)
{
    for (size_t i = 0; pairs != NULL && i < rule_count; i++) {
        free(pairs[i].reads);
        free(pairs[i].reason);
    }
    free(pairs);
}

void judge_release_watched(struct judge *judge, struct watched *watched)
{
    free(watched->id);
    judge_free_pairs(watched->pairs, judge->set->count);
    history_free(watched->history);
}

struct pair **judge_new_pairs(const struct judge *judge, size_t rule_count)
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

struct watched *judge_find_watched(struct judge *judge, const char *id)
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

struct watched *judge_watch(struct judge *judge, const char *id)
{
    struct watched *watched = judge_find_watched(judge, id);
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
    if (fresh.id == NULL || fresh.pairs == NULL || fresh.history == NULL ||
        (judge->wiring.recorded && !history_follow_tops(fresh.history))) {
        judge_release_watched(judge, &fresh);
        return NULL;
    }
    judge->watched[judge->watched_count] = fresh;
    return &judge->watched[judge->watched_count++];
}

void judge_forget_absent(struct judge *judge, uint64_t now_ns)
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
        judge_release_watched(judge, watched);
        *watched = judge->watched[--judge->watched_count];
    }
}
