/* history.c - follows one target on the board, beat by beat.
 *
 *   board page --newest snapshot, profile--> columns   site_growth   trend cache
 *
 * Called by judge.c at each beat, read through the rules' target object. */
#include "lua/history.h"

#include <math.h>

#include "core/store/board.h"
#include "core/store/fields.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/group_growth.h"
#include "lua/site_growth.h"
#include "lua/site_match.h"

enum { TREND_CACHE_SLOTS = 128, CAPACITY_FIRST = 64 };
_Static_assert((TREND_CACHE_SLOTS & (TREND_CACHE_SLOTS - 1)) == 0, "open addressing");

struct cached_trend {
    uint64_t beat; /* in which it was computed; 0: never */
    const struct field *field;
    struct history_window window;
    bool known;
    struct series series;
};

struct history {
    struct board *board;
    char *target_id;
    uint64_t horizon_ns;
    size_t limit_snapshots;
    uint64_t generation; /* of all that is held */
    uint64_t beat;
    size_t first; /* of those held; moved to 0 when the columns are full */
    size_t end;
    size_t capacity;
    uint64_t *monotonic_ns;
    uint64_t *realtime_ns;
    uint64_t *sequence;
    double *columns[SNAPSHOT_FIELD_COUNT]; /* NULL: nobody asked */
    const struct snapshot *newest;         /* a hold */
    struct site_growth *growth;
    struct group_growth *groups; /* NULL: `growth` knows them */
    struct site_match *match;
    struct cached_trend cached[TREND_CACHE_SLOTS];
};

struct history *history_new(size_t capacity_snapshots, uint64_t horizon_ns)
{
    struct history *history = calloc(1, sizeof(*history));
    if (history == NULL)
        return NULL;
    history->limit_snapshots = capacity_snapshots < 2                       ? 2
                               : capacity_snapshots > HISTORY_SNAPSHOTS_MAX ? HISTORY_SNAPSHOTS_MAX
                                                                            : capacity_snapshots;
    history->horizon_ns = horizon_ns;
    history->growth = site_growth_new();
    history->match = site_match_new();
    if (history->growth == NULL || history->match == NULL) {
        history_free(history);
        return NULL;
    }
    return history;
}

void history_free(struct history *history)
{
    if (history == NULL)
        return;
    snapshot_unref(history->newest);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        free(history->columns[i]);
    free(history->monotonic_ns);
    free(history->realtime_ns);
    free(history->sequence);
    free(history->target_id);
    site_growth_free(history->growth);
    group_growth_free(history->groups);
    site_match_free(history->match);
    free(history);
}

size_t history_count(const struct history *history)
{
    return history->end - history->first;
}

const struct site_growth *history_growth(const struct history *history)
{
    return history->growth;
}

bool history_follow_tops(struct history *history)
{
    history->groups = group_growth_new();
    return history->groups != NULL;
}

const struct site_growth *history_group_growth(const struct history *history)
{
    return history->groups != NULL ? group_growth_sites(history->groups) : history->growth;
}

struct site_match *history_match(struct history *history)
{
    return history->match;
}

size_t history_bytes(const struct history *history)
{
    size_t columns = 3;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        columns += history->columns[i] != NULL;
    return sizeof(*history) + columns * history->capacity * sizeof(uint64_t) +
           (history->groups != NULL ? group_growth_bytes(history->groups) : 0) +
           site_growth_bytes(history->growth) + site_match_bytes(history->match);
}

/* ---- room ---- */

_Static_assert(sizeof(double) == sizeof(uint64_t), "columns of both kinds are moved alike");

/* Calls [visit] for every column; false as soon as one says so. */
static bool each_column(struct history *history,
                        bool (*visit)(struct history *history, void **column))
{
    void *own[] = {history->monotonic_ns, history->realtime_ns, history->sequence};
    bool ok = visit(history, &own[0]);
    ok = visit(history, &own[1]) && ok;
    ok = visit(history, &own[2]) && ok;
    history->monotonic_ns = own[0];
    history->realtime_ns = own[1];
    history->sequence = own[2];
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        void *column = history->columns[i];
        if (column == NULL)
            continue;
        ok = visit(history, &column) && ok;
        history->columns[i] = column;
    }
    return ok;
}

static bool double_column(struct history *history, void **column)
{
    const size_t wanted = history->capacity > 0 ? history->capacity * 2 : CAPACITY_FIRST;
    void *grown = realloc(*column, wanted * sizeof(uint64_t));
    if (grown == NULL)
        return false;
    *column = grown;
    return true;
}

static bool move_column_down(struct history *history, void **column)
{
    uint64_t *cells = *column;
    memmove(cells, cells + history->first, history_count(history) * sizeof(cells[0]));
    return true;
}

/* Keeps every second place of the older half. */
static bool thin_column(struct history *history, void **column)
{
    uint64_t *cells = (uint64_t *)*column + history->first;
    const size_t count = history_count(history);
    const size_t half = count / 2;
    size_t kept = 0;
    for (size_t i = 0; i < half; i += 2)
        cells[kept++] = cells[i];
    memmove(cells + kept, cells + half, (count - half) * sizeof(cells[0]));
    return true;
}

/* Room for one more: forget what is too old, then thin, then move down, then grow. */
static bool make_room(struct history *history)
{
    const size_t count = history_count(history);
    if (count >= history->limit_snapshots) {
        if (history->limit_snapshots < HISTORY_SNAPSHOTS_MAX) {
            history->first++; /* the config wants no more */
        } else {
            (void)each_column(history, thin_column);
            history->end -= count / 2 - (count / 2 + 1) / 2;
        }
    }
    if (history->end < history->capacity)
        return true;
    if (history->first > 0 && history->first >= history->capacity / 2) {
        (void)each_column(history, move_column_down);
        history->end -= history->first;
        history->first = 0;
        return true;
    }
    if (!each_column(history, double_column))
        return false;
    history->capacity = history->capacity > 0 ? history->capacity * 2 : CAPACITY_FIRST;
    return true;
}

static void forget_all(struct history *history)
{
    history->first = 0;
    history->end = 0;
    snapshot_unref(history->newest);
    history->newest = NULL;
}

/* ---- columns ---- */

static double value_of(const struct snapshot *snapshot, size_t field)
{
    double value;
    return snapshot_field_get_f64(&snapshot->values, &snapshot_fields[field], &value) ? value
                                                                                      : (double)NAN;
}

/* The place of [sequence], or of the nearest before it; SIZE_MAX if there is none. */
static size_t find_sequence(const struct history *history, uint64_t sequence)
{
    size_t low = history->first;
    for (size_t high = history->end; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (history->sequence[middle] <= sequence)
            low = middle + 1;
        else
            high = middle;
    }
    return low > history->first ? low - 1 : SIZE_MAX;
}

/* The snapshots of the board's own history since [since_realtime_ns]; each has a hold. */
static const struct snapshot **fetch(const struct history *history, uint64_t since_realtime_ns,
                                     uint64_t until_realtime_ns, size_t *count)
{
    const struct snapshot **found = calloc(history->limit_snapshots, sizeof(*found));
    bool known;
    *count = 0;
    if (found != NULL)
        *count = board_history(history->board, history->target_id, since_realtime_ns,
                               until_realtime_ns, found, history->limit_snapshots, &known);
    return found;
}

/* What was before the field was first asked for is with the board. */
static void fill_from_board(struct history *history, size_t field, double *column)
{
    size_t count;
    const struct snapshot **snapshots =
        fetch(history, history->realtime_ns[history->first], UINT64_MAX, &count);
    for (size_t i = 0; i < count; i++) {
        const size_t place = find_sequence(history, snapshots[i]->sequence);
        if (place != SIZE_MAX && history->sequence[place] == snapshots[i]->sequence &&
            snapshots[i]->generation == history->generation)
            column[place] = value_of(snapshots[i], field);
        snapshot_unref(snapshots[i]);
    }
    free(snapshots);
}

/* NULL without memory, and before the first snapshot. */
static const double *column_of(struct history *history, const struct field *asked)
{
    const size_t field = (size_t)(asked - snapshot_fields);
    if (history->columns[field] != NULL || history->capacity == 0)
        return history->columns[field];
    double *column = calloc(history->capacity, sizeof(*column));
    if (column == NULL)
        return NULL;
    for (size_t i = history->first; i < history->end; i++)
        column[i] = (double)NAN;
    if (history_count(history) > 1)
        fill_from_board(history, field, column);
    if (history->newest != NULL)
        column[history->end - 1] = value_of(history->newest, field);
    history->columns[field] = column;
    return column;
}

/* ---- taking in ---- */

static bool append(struct history *history, const struct snapshot *snapshot)
{
    if (history_count(history) > 0) {
        if (snapshot->generation != history->generation)
            forget_all(history);
        else if (snapshot->sequence <= history->sequence[history->end - 1])
            return true;
    }
    if (!make_room(history))
        return false;
    history->generation = snapshot->generation;
    const size_t at = history->end++;
    history->monotonic_ns[at] = snapshot->monotonic_ns;
    history->realtime_ns[at] = snapshot->realtime_ns;
    history->sequence[at] = snapshot->sequence;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        if (history->columns[i] != NULL)
            history->columns[i][at] = value_of(snapshot, i);
    }
    snapshot_unref(history->newest);
    history->newest = snapshot_ref(snapshot);
    return true;
}

/* Snapshots were published that this history never saw: at the start, or when the engine was late. */
static bool catch_up(struct history *history, const struct snapshot *until)
{
    const uint64_t until_ns = until->realtime_ns;
    uint64_t since_ns = until_ns > history->horizon_ns ? until_ns - history->horizon_ns : 0;
    if (history_count(history) > 0 && history->realtime_ns[history->end - 1] > since_ns)
        since_ns = history->realtime_ns[history->end - 1];
    size_t count;
    const struct snapshot **missed = fetch(history, since_ns, until_ns, &count);
    bool ok = missed != NULL;
    for (size_t i = 0; i < count; i++) {
        ok = append(history, missed[i]) && ok;
        snapshot_unref(missed[i]);
    }
    free(missed);
    return ok;
}

static bool know_target(struct history *history, struct board *board,
                        const struct target_view *view)
{
    history->board = board;
    if (history->target_id == NULL)
        history->target_id = strdup(view->info->facts.id);
    return history->target_id != NULL;
}

static void forget_old(struct history *history)
{
    const uint64_t since_ns = history_since_ns(history, (double)history->horizon_ns / 1e9);
    while (history->first < history->end && history->monotonic_ns[history->first] < since_ns)
        history->first++;
}

bool history_advance(struct history *history, struct board *board, const struct target_view *view,
                     bool *fresh, struct error *err)
{
    *fresh = false;
    if (view->snapshot == NULL)
        return true;
    const struct snapshot *last = history->newest;
    if (last != NULL && view->snapshot->sequence == last->sequence)
        return true;
    if (!know_target(history, board, view))
        return error_set(err, ERROR_NO_MEMORY, "no memory for the history of %s",
                         view->info->facts.id);
    /* A target that was dropped and found again starts counting from 1. */
    if (last != NULL && view->snapshot->sequence < last->sequence) {
        forget_all(history);
        last = NULL;
    }
    const bool missed = view->snapshot->sequence != (last != NULL ? last->sequence + 1 : 1);
    if ((missed && !catch_up(history, view->snapshot)) || !append(history, view->snapshot))
        return error_set(err, ERROR_NO_MEMORY, "no memory for the history of %s",
                         view->info->facts.id);
    forget_old(history);
    history->beat++;
    *fresh = true;
    const uint64_t since_ns = history_since_ns(history, (double)history->horizon_ns / 1e9);
    const uint64_t now_ns = view->snapshot->monotonic_ns;
    if ((view->profile != NULL &&
         !site_growth_add(history->growth, view->profile, now_ns, since_ns)) ||
        (history->groups != NULL &&
         !group_growth_add(history->groups, view->snapshot, since_ns)))
        return error_set(err, ERROR_NO_MEMORY, "no memory for the site growth of %s",
                         view->info->facts.id);
    return true;
}

/* ---- reading ---- */

bool history_place(const struct history *history, uint64_t back, size_t *place)
{
    if (history_count(history) == 0 || back >= history->sequence[history->end - 1])
        return false;
    *place = find_sequence(history, history->sequence[history->end - 1] - back);
    return *place != SIZE_MAX;
}

uint64_t history_realtime_ns(const struct history *history, size_t place)
{
    return history->realtime_ns[place];
}

double history_value(struct history *history, const struct field *field, size_t place)
{
    const double *column = column_of(history, field);
    return column != NULL ? column[place] : (double)NAN;
}

uint64_t history_since_ns(const struct history *history, double seconds)
{
    if (history_count(history) == 0 || !(seconds >= 0))
        return 0;
    const uint64_t last_ns = history->monotonic_ns[history->end - 1];
    const double back_ns = seconds * 1e9;
    return back_ns >= (double)last_ns ? 0 : last_ns - (uint64_t)back_ns;
}

size_t history_points(struct history *history, const struct field *field,
                      const struct history_window *window, struct trend_point *points, size_t max)
{
    const double *column = column_of(history, field);
    const double *gc = window->per_gc
                           ? column_of(history, &snapshot_fields[SNAPSHOT_FIELD_num_gc])
                           : NULL;
    if (column == NULL || (window->per_gc && gc == NULL))
        return 0;
    const uint64_t since_ns = history_since_ns(history, window->seconds);
    size_t low = history->first; /* a short window must not pay for a long history */
    for (size_t high = history->end; low < high;) {
        const size_t middle = low + (high - low) / 2;
        if (history->monotonic_ns[middle] < since_ns)
            low = middle + 1;
        else
            high = middle;
    }
    const struct trend_series series = {.count = history->end - low,
                                        .monotonic_ns = history->monotonic_ns + low,
                                        .values = column + low,
                                        .gc = gc != NULL ? gc + low : NULL,
                                        .is_counter = field->kind == FIELD_COUNTER};
    return trend_collect(&series, points, max);
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

/* The slot of this trend: the one that holds it, or one to compute it into. */
static struct cached_trend *cache_slot(struct history *history, const struct field *field,
                                       const struct history_window *window)
{
    uint64_t bits;
    memcpy(&bits, &window->seconds, sizeof(bits));
    const uint64_t hash = (bits ^ (uint64_t)(field - snapshot_fields) << 1 ^
                           (uint64_t)window->per_gc) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(hash >> 57) & (TREND_CACHE_SLOTS - 1);
    for (size_t tries = 0; tries < 8; tries++, at = (at + 1) & (TREND_CACHE_SLOTS - 1)) {
        struct cached_trend *cached = &history->cached[at];
        if (cached->beat != history->beat ||
            (cached->field == field && cached->window.seconds == window->seconds &&
             cached->window.per_gc == window->per_gc))
            return cached;
    }
    return &history->cached[at];
}

bool history_trend(struct history *history, const struct field *field,
                   const struct history_window *window, struct series *series)
{
    struct cached_trend *cached = cache_slot(history, field, window);
    if (cached->beat != history->beat || cached->field != field ||
        cached->window.seconds != window->seconds || cached->window.per_gc != window->per_gc) {
        struct trend_point points[HISTORY_TREND_POINTS];
        *cached = (struct cached_trend){
            .beat = history->beat, .field = field, .window = *window};
        const size_t count = history_points(history, field, window, points, HISTORY_TREND_POINTS);
        cached->known = series_compute(points, count, &cached->series);
    }
    *series = cached->series;
    return cached->known;
}
