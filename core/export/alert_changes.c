/* alert_changes.c - what a new set of findings changed. */
#include "core/export/alert_changes.h"

#include <stdlib.h>
#include <string.h>

#include "core/store/finding.h"

/* The alerts of a set that fire or fired, by id. */
struct index {
    const struct finding **alerts;
    size_t count;
};

static int compare_ids(const void *a, const void *b)
{
    const struct finding *left = *(const struct finding *const *)a;
    const struct finding *right = *(const struct finding *const *)b;
    const int order = strcmp(left->id, right->id);
    /* Of one id an open one comes before those that were resolved earlier, the newest first. */
    if (order != 0)
        return order;
    if (left->state != right->state)
        return left->state == FINDING_FIRING ? -1 : 1;
    return (left->since_realtime_ns < right->since_realtime_ns) -
           (left->since_realtime_ns > right->since_realtime_ns);
}

static bool index_build(struct index *index, const struct finding_set *set)
{
    const size_t count = set == NULL ? 0 : set->count;
    index->count = 0;
    index->alerts = calloc(count + 1, sizeof(index->alerts[0]));
    if (index->alerts == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct finding *finding = &set->findings[i];
        if (finding->kind == FINDING_ALERT && finding->state != FINDING_PENDING && !finding->silenced)
            index->alerts[index->count++] = finding;
    }
    qsort(index->alerts, index->count, sizeof(index->alerts[0]), compare_ids);
    size_t kept = 0;
    for (size_t i = 0; i < index->count; i++) {
        if (kept == 0 || strcmp(index->alerts[kept - 1]->id, index->alerts[i]->id) != 0)
            index->alerts[kept++] = index->alerts[i];
    }
    index->count = kept;
    return true;
}

static void add(struct alert_changes *changes, const struct finding *finding,
                uint64_t ended_realtime_ns)
{
    changes->items[changes->count++] =
        (struct notify_item){.finding = finding, .ended_realtime_ns = ended_realtime_ns};
}

static uint64_t end_of(const struct finding *finding, uint64_t now_realtime_ns)
{
    return finding->resolved_realtime_ns != 0 ? finding->resolved_realtime_ns : now_realtime_ns;
}

/* One alert that is in one of the sets or in both. */
static void compare(struct alert_changes *changes, const struct finding *before,
                    const struct finding *after, uint64_t now_realtime_ns)
{
    const bool was_firing = before != NULL && before->state == FINDING_FIRING;
    const bool fires = after != NULL && after->state == FINDING_FIRING;
    if (was_firing && fires) {
        if (before->severity == after->severity)
            return;
        /* Severity is a label, so to a receiver it is another alert. */
        add(changes, before, now_realtime_ns);
        add(changes, after, 0);
    } else if (fires) {
        add(changes, after, 0);
    } else if (was_firing) {
        add(changes, after != NULL ? after : before,
            after != NULL ? end_of(after, now_realtime_ns) : now_realtime_ns);
    } else if (after != NULL && (before == NULL || before->since_realtime_ns != after->since_realtime_ns)) {
        add(changes, after, end_of(after, now_realtime_ns)); /* opened and closed between two looks */
    }
}

bool alert_changes_find(struct alert_changes *changes, const struct finding_set *before,
                        const struct finding_set *after, uint64_t now_realtime_ns)
{
    struct index old = {.count = 0};
    struct index new = {.count = 0};
    *changes = (struct alert_changes){.count = 0};
    bool ok = index_build(&old, before) && index_build(&new, after);
    if (ok)
        changes->items = calloc(2 * (old.count + new.count) + 1, sizeof(changes->items[0]));
    ok = changes->items != NULL;
    for (size_t i = 0, j = 0; ok && (i < old.count || j < new.count);) {
        const int order = i == old.count   ? 1
                          : j == new.count ? -1
                                           : strcmp(old.alerts[i]->id, new.alerts[j]->id);
        compare(changes, order <= 0 ? old.alerts[i] : NULL, order >= 0 ? new.alerts[j] : NULL,
                now_realtime_ns);
        i += order <= 0;
        j += order >= 0;
    }
    free(old.alerts);
    free(new.alerts);
    return ok;
}

bool alert_changes_firing(struct alert_changes *changes, const struct finding_set *set)
{
    *changes = (struct alert_changes){.count = 0};
    changes->items = calloc(set->count + 1, sizeof(changes->items[0]));
    for (size_t i = 0; changes->items != NULL && i < set->count; i++) {
        const struct finding *finding = &set->findings[i];
        if (finding->kind == FINDING_ALERT && finding->state == FINDING_FIRING && !finding->silenced)
            add(changes, finding, 0);
    }
    return changes->items != NULL;
}

void alert_changes_release(struct alert_changes *changes)
{
    free(changes->items);
    *changes = (struct alert_changes){.count = 0};
}
