/* history.c - follows one target on the board, beat by beat.
 *
 *   board page --newest snapshot, profile--> snapshots[] (held)   site_growth   trend cache
 *
 * Called by judge.c at each beat, read through the rules' target object. */
#include "lua/history.h"

#include "core/store/board.h"
#include "core/store/fields.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/site_growth.h"

enum { TREND_CACHE_MAX = 32 };

struct cached_trend {
    const struct field *field;
    double seconds;
    bool per_gc;
    bool known;
    struct series series;
};

struct history {
    uint64_t horizon_ns;
    size_t limit_snapshots;
    size_t first; /* of those held; moved to 0 when the array is full */
    size_t end;
    size_t capacity;
    const struct snapshot **snapshots;
    struct site_growth *growth;
    size_t cached_count;
    struct cached_trend cached[TREND_CACHE_MAX];
};

struct history *history_new(size_t capacity_snapshots, uint64_t horizon_ns)
{
    struct history *history = calloc(1, sizeof(*history));
    if (history == NULL)
        return NULL;
    history->limit_snapshots = capacity_snapshots > 0 ? capacity_snapshots : 1;
    history->horizon_ns = horizon_ns;
    history->growth = site_growth_new();
    if (history->growth == NULL) {
        history_free(history);
        return NULL;
    }
    return history;
}

void history_free(struct history *history)
{
    if (history == NULL)
        return;
    for (size_t i = history->first; i < history->end; i++)
        snapshot_unref(history->snapshots[i]);
    free(history->snapshots);
    site_growth_free(history->growth);
    free(history);
}

const struct snapshot *const *history_snapshots(const struct history *history, size_t *count)
{
    *count = history->end - history->first;
    return *count > 0 ? (const struct snapshot *const *)(history->snapshots + history->first) : NULL;
}

const struct site_growth *history_growth(const struct history *history)
{
    return history->growth;
}

static const struct snapshot *newest(const struct history *history)
{
    return history->end > history->first ? history->snapshots[history->end - 1] : NULL;
}

/* Room for one more: forget from the front, then move down, then grow. */
static bool make_room(struct history *history)
{
    while (history->end - history->first >= history->limit_snapshots)
        snapshot_unref(history->snapshots[history->first++]);
    if (history->end < history->capacity)
        return true;
    if (history->first > history->capacity / 2) {
        const size_t held = history->end - history->first;
        memmove(history->snapshots, history->snapshots + history->first,
                held * sizeof(history->snapshots[0]));
        history->first = 0;
        history->end = held;
        return true;
    }
    const size_t capacity = history->capacity > 0 ? history->capacity * 2 : 64;
    const struct snapshot **grown =
        realloc(history->snapshots, capacity * sizeof(history->snapshots[0]));
    if (grown == NULL)
        return false;
    history->snapshots = grown;
    history->capacity = capacity;
    return true;
}

/* Takes over the hold on [snapshot], also on failure. */
static bool append(struct history *history, const struct snapshot *snapshot)
{
    const struct snapshot *last = newest(history);
    if (last != NULL && snapshot->sequence <= last->sequence) {
        snapshot_unref(snapshot);
        return true;
    }
    if (!make_room(history)) {
        snapshot_unref(snapshot);
        return false;
    }
    history->snapshots[history->end++] = snapshot;
    return true;
}

/* Snapshots were published that this history never saw: at the start, or when the engine was late.
 * They come from the board's ring. */
static bool catch_up(struct history *history, struct board *board, const struct target_view *view)
{
    const uint64_t newest_ns = view->snapshot->realtime_ns;
    const uint64_t since_ns = newest_ns > history->horizon_ns ? newest_ns - history->horizon_ns : 0;
    const struct snapshot **missed = calloc(history->limit_snapshots, sizeof(*missed));
    if (missed == NULL)
        return false;
    bool found;
    const size_t count = board_history(board, view->info->facts.id, since_ns, newest_ns, missed,
                                       history->limit_snapshots, &found);
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        ok = append(history, missed[i]) && ok;
    free(missed);
    return ok;
}

static void forget_old(struct history *history)
{
    const uint64_t since_ns = history_since_ns(history, (double)history->horizon_ns / 1e9);
    while (history->first < history->end &&
           history->snapshots[history->first]->monotonic_ns < since_ns)
        snapshot_unref(history->snapshots[history->first++]);
}

bool history_advance(struct history *history, struct board *board, const struct target_view *view,
                     bool *fresh, struct error *err)
{
    *fresh = false;
    if (view->snapshot == NULL)
        return true;
    const struct snapshot *last = newest(history);
    if (last != NULL && view->snapshot->sequence == last->sequence)
        return true;
    /* A target that was dropped and found again starts counting from 1. */
    if (last != NULL && view->snapshot->sequence < last->sequence) {
        while (history->first < history->end)
            snapshot_unref(history->snapshots[history->first++]);
        last = NULL;
    }
    const bool missed = view->snapshot->sequence != (last != NULL ? last->sequence + 1 : 1);
    if ((missed && !catch_up(history, board, view)) ||
        !append(history, snapshot_ref(view->snapshot)))
        return error_set(err, ERROR_NO_MEMORY, "no memory for the history of %s",
                         view->info->facts.id);
    forget_old(history);
    history->cached_count = 0;
    *fresh = true;
    const uint64_t since_ns = history_since_ns(history, (double)history->horizon_ns / 1e9);
    if (view->profile != NULL && !site_growth_add(history->growth, view->profile,
                                                  view->snapshot->monotonic_ns, since_ns))
        return error_set(err, ERROR_NO_MEMORY, "no memory for the site growth of %s",
                         view->info->facts.id);
    return true;
}

uint64_t history_since_ns(const struct history *history, double seconds)
{
    const struct snapshot *last = newest(history);
    if (last == NULL || !(seconds >= 0))
        return 0;
    const double back_ns = seconds * 1e9;
    return back_ns >= (double)last->monotonic_ns ? 0 : last->monotonic_ns - (uint64_t)back_ns;
}

size_t history_points(const struct history *history, const struct field *field, double seconds,
                      bool per_gc, struct trend_point points[HISTORY_TREND_POINTS])
{
    size_t count;
    const struct snapshot *const *snapshots = history_snapshots(history, &count);
    const uint64_t since_ns = history_since_ns(history, seconds);
    size_t low = 0; /* a short window must not pay for a long history */
    for (size_t high = count; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (snapshots[middle]->monotonic_ns < since_ns)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == count)
        return 0;
    return trend_collect(snapshots + low, count - low, field, since_ns, per_gc, points,
                         HISTORY_TREND_POINTS);
}

bool series_compute(const struct trend_point *points, size_t count, struct series *series)
{
    if (!trend_compute(points, count, &series->trend))
        return false;
    double high = points[0].value;
    series->drawdown = 0;
    for (size_t i = 1; i < count; i++) {
        if (points[i].value > high)
            high = points[i].value;
        else if (high - points[i].value > series->drawdown)
            series->drawdown = high - points[i].value;
    }
    return true;
}

bool history_trend(struct history *history, const struct field *field, double seconds, bool per_gc,
                   struct series *series)
{
    for (size_t i = 0; i < history->cached_count; i++) {
        const struct cached_trend *cached = &history->cached[i];
        if (cached->field == field && cached->seconds == seconds && cached->per_gc == per_gc) {
            *series = cached->series;
            return cached->known;
        }
    }
    struct trend_point points[HISTORY_TREND_POINTS];
    struct cached_trend result = {.field = field, .seconds = seconds, .per_gc = per_gc};
    const size_t count = history_points(history, field, seconds, per_gc, points);
    result.known = series_compute(points, count, &result.series);
    if (history->cached_count < TREND_CACHE_MAX)
        history->cached[history->cached_count++] = result;
    *series = result.series;
    return result.known;
}
