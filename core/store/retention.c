/* retention.c - the live bytes of every site from profile to profile, and what follows from them.
 *
 *   profile_seal -> retention_book_add -> history (columns, shared) -> held by the profile
 *   tops_new     -> retention_measure  -> figures of the groups that are shown
 *
 * How sure a figure is.  A live object of size s was sampled with probability p = 1 - e**(-s/rate), each on
 * its own; n sampled ones stand for N = n/p.  n is binomial, so Var(N) = N(1-p)/p, estimated by n(1-p)/p**2.
 * For the bytes B = Ns that is Var(B) = s**2 n(1-p)/p**2 = B(B/n - s), all of which the profile knows.  Sites
 * are sampled independently: variances of a group add up. */
#include "core/store/retention.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/group_key.h"
#include "core/store/site.h"

enum {
    DENSE_COLUMNS = 8, /* the newest are never thinned */
    COLUMNS_MIN = 4,   /* with fewer nothing is kept */
};
/* Of the columns of one process.  Beyond 87,000 sites there are fewer columns, beyond 524,000 none. */
#define RETENTION_MAX_BYTES ((size_t)8 << 20)

struct column {
    _Atomic uint32_t refs;
    uint64_t taken_realtime_ns;
    size_t count;
    float inuse_bytes[]; /* of site id i + 1; exact to 7 digits, which is more than sampling is */
};

struct retention_history {
    _Atomic uint32_t refs_;
    size_t count;
    struct column *columns[RETENTION_COLUMNS]; /* oldest first; a hold on each */
};

struct retention_book {
    struct retention_history *newest; /* a hold, or NULL */
};

struct retention_book *retention_book_new(void)
{
    return calloc(1, sizeof(struct retention_book));
}

void retention_book_free(struct retention_book *book)
{
    if (book == NULL)
        return;
    retention_history_unref(book->newest);
    free(book);
}

static void column_unref(struct column *column)
{
    if (atomic_fetch_sub_explicit(&column->refs, 1, memory_order_acq_rel) == 1)
        free(column);
}

/* The count is the one part of a history that changes: hence the casts. */
static struct retention_history *counted(const struct retention_history *history)
{
    return (struct retention_history *)(uintptr_t)history;
}

const struct retention_history *retention_history_ref(const struct retention_history *history)
{
    atomic_fetch_add_explicit(&counted(history)->refs_, 1, memory_order_relaxed);
    return history;
}

void retention_history_unref(const struct retention_history *history)
{
    if (history == NULL ||
        atomic_fetch_sub_explicit(&counted(history)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < history->count; i++)
        column_unref(history->columns[i]);
    free(counted(history));
}

/* ---- columns ---- */

static struct column *column_new(const struct profile *profile, size_t count)
{
    struct column *column = calloc(1, sizeof(*column) + count * sizeof(column->inuse_bytes[0]));
    if (column == NULL)
        return NULL;
    atomic_init(&column->refs, 1);
    column->taken_realtime_ns = profile->taken_realtime_ns;
    column->count = count;
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        if (entry->inuse_bytes > 0 && entry->site->id - 1 < count)
            column->inuse_bytes[entry->site->id - 1] += (float)entry->inuse_bytes;
    }
    return column;
}

static void leave_out(const struct column *columns[], size_t *count, size_t at)
{
    (*count)--;
    memmove(&columns[at], &columns[at + 1], (*count - at) * sizeof(columns[0]));
}

/* The one that stands closest between its neighbours, so that the rest covers the time evenly. */
static size_t most_dispensable(const struct column *const columns[], size_t count)
{
    size_t closest = count > 1 ? 1 : 0;
    uint64_t closest_gap_ns = UINT64_MAX;
    for (size_t i = 1; i + (count > DENSE_COLUMNS ? DENSE_COLUMNS : 1) < count; i++) {
        const uint64_t gap_ns = columns[i + 1]->taken_realtime_ns - columns[i - 1]->taken_realtime_ns;
        if (gap_ns < closest_gap_ns) {
            closest_gap_ns = gap_ns;
            closest = i;
        }
    }
    return closest;
}

/* Which columns of [old] stay beside a new one taken at [now_ns]. */
static size_t choose(const struct retention_history *old, uint64_t now_ns, uint64_t window_ns,
                     size_t columns_max, const struct column *kept[RETENTION_COLUMNS])
{
    size_t count = 0;
    if (old == NULL || old->columns[old->count - 1]->taken_realtime_ns >= now_ns)
        return 0; /* the clock was set back: times no longer compare */
    for (size_t i = 0; i < old->count; i++) {
        if (now_ns - old->columns[i]->taken_realtime_ns <= window_ns)
            kept[count++] = old->columns[i];
    }
    while (count >= columns_max)
        leave_out(kept, &count, most_dispensable(kept, count));
    return count;
}

static size_t columns_allowed(size_t sites)
{
    const size_t allowed = RETENTION_MAX_BYTES / (sites * sizeof(float) + 1);
    return allowed < COLUMNS_MIN ? 0 : allowed > RETENTION_COLUMNS ? RETENTION_COLUMNS : allowed;
}

static struct retention_history *history_new(const struct column *const kept[], size_t count,
                                             struct column *fresh)
{
    struct retention_history *history = calloc(1, sizeof(*history));
    if (history == NULL)
        return NULL;
    atomic_init(&history->refs_, 1);
    for (size_t i = 0; i < count; i++) {
        struct column *column = (struct column *)(uintptr_t)kept[i];
        atomic_fetch_add_explicit(&column->refs, 1, memory_order_relaxed);
        history->columns[i] = column;
    }
    history->columns[count] = fresh;
    history->count = count + 1;
    return history;
}

/* Without memory there is no history of this profile: growth is then absent, as after a start. */
const struct retention_history *retention_book_add(struct retention_book *book,
                                                   const struct profile *profile,
                                                   uint64_t window_ns)
{
    const size_t sites = site_table_count(profile->sites);
    const size_t columns_max = columns_allowed(sites);
    if (profile->partial) /* what it left out would look freed */
        return book->newest == NULL ? NULL : retention_history_ref(book->newest);
    const struct column *kept[RETENTION_COLUMNS];
    struct column *fresh = columns_max == 0 ? NULL : column_new(profile, sites);
    struct retention_history *history = NULL;
    if (fresh != NULL) {
        const size_t count =
            choose(book->newest, profile->taken_realtime_ns, window_ns, columns_max, kept);
        history = history_new(kept, count, fresh);
        if (history == NULL)
            column_unref(fresh);
    }
    retention_history_unref(book->newest);
    book->newest = history;
    return history == NULL ? NULL : retention_history_ref(history);
}

/* ---- figures ---- */

/* What is summed up for one group. */
struct sum {
    double samples;
    double variance;
    double inuse_bytes;
    uint64_t first_seen_realtime_ns;
    double series[RETENTION_COLUMNS];
};

/* The groups looked for, by key: slots hold the number of the entry, from 1. */
struct lookup {
    uint32_t *slots;
    size_t slot_count; /* a power of two, more than twice the entries */
    struct group_key *keys;
    struct sum *sums;
};

static size_t slot_of(const struct lookup *lookup, struct group_key key)
{
    size_t at = (size_t)group_key_hash(key) & (lookup->slot_count - 1);
    while (lookup->slots[at] != 0 && !group_key_equal(lookup->keys[lookup->slots[at] - 1], key))
        at = (at + 1) & (lookup->slot_count - 1);
    return at;
}

static void lookup_release(struct lookup *lookup)
{
    free(lookup->slots);
    free(lookup->keys);
    free(lookup->sums);
}

static bool lookup_init(struct lookup *lookup, const struct top_entry *entries, size_t count,
                        enum group_by by)
{
    *lookup = (struct lookup){.slot_count = 16};
    while (lookup->slot_count < count * 4)
        lookup->slot_count *= 2;
    lookup->slots = calloc(lookup->slot_count, sizeof(*lookup->slots));
    lookup->keys = calloc(count, sizeof(*lookup->keys));
    lookup->sums = calloc(count, sizeof(*lookup->sums));
    if (lookup->slots == NULL || lookup->keys == NULL || lookup->sums == NULL) {
        lookup_release(lookup);
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        lookup->keys[i] = group_key_of(entries[i].site, by);
        lookup->slots[slot_of(lookup, lookup->keys[i])] = (uint32_t)(i + 1);
    }
    return true;
}

static double object_bytes_of(const struct profile_entry *entry)
{
    if (entry->site->object_bytes > 0 || entry->inuse_objects <= 0)
        return (double)entry->site->object_bytes;
    return (double)entry->inuse_bytes / (double)entry->inuse_objects;
}

/* Live samples of an entry.  A profile that came scaled already (by net/http/pprof) does not say how many
 * there were: scaled back. */
static double samples_of(const struct profile_entry *entry, int64_t rate)
{
    if (entry->allocs > entry->frees)
        return (double)(entry->allocs - entry->frees);
    if (entry->inuse_objects <= 0 || rate <= 1)
        return entry->inuse_objects > 0 ? (double)entry->inuse_objects : 0;
    const double bytes = (double)entry->inuse_bytes / (double)entry->inuse_objects;
    return round((double)entry->inuse_objects * -expm1(-bytes / (double)rate));
}

static void add_entry(struct sum *sum, const struct profile_entry *entry, int64_t rate)
{
    const struct site *site = entry->site;
    if (site->first_seen_realtime_ns != 0 &&
        (sum->first_seen_realtime_ns == 0 ||
         site->first_seen_realtime_ns < sum->first_seen_realtime_ns))
        sum->first_seen_realtime_ns = site->first_seen_realtime_ns;
    if (entry->inuse_bytes > 0) {
        const double samples = samples_of(entry, rate);
        const double bytes = (double)entry->inuse_bytes;
        const double beyond = samples > 0 ? bytes / samples - object_bytes_of(entry) : bytes;
        sum->samples += samples;
        sum->inuse_bytes += bytes;
        sum->variance += beyond > 0 ? bytes * beyond : 0;
    }
}

/* Sites beside each other in a column whose group is one and looked for. */
struct run {
    uint32_t site; /* place of the first in a column */
    uint32_t count;
    uint32_t group;
};

static void add_to_run(struct run *runs, size_t *count, uint32_t site, uint32_t group)
{
    struct run *last = *count > 0 ? &runs[*count - 1] : NULL;
    if (last != NULL && last->group == group && last->site + last->count == site)
        last->count++;
    else
        runs[(*count)++] = (struct run){.site = site, .count = 1, .group = group};
}

/* Four sums at a time: one alone would wait for itself at each step. */
static double sum_of(const float *values, size_t count)
{
    double sums[4] = {0};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        sums[0] += (double)values[i];
        sums[1] += (double)values[i + 1];
        sums[2] += (double)values[i + 2];
        sums[3] += (double)values[i + 3];
    }
    for (; i < count; i++)
        sums[0] += (double)values[i];
    return sums[0] + sums[1] + (sums[2] + sums[3]);
}

/* Column by column, and within it run by run, since that is how the numbers lie in memory. */
static void add_series(struct sum *sums, const struct run *runs, size_t count,
                       const struct retention_history *history)
{
    for (size_t i = 0; history != NULL && i < history->count; i++) {
        const struct column *column = history->columns[i];
        for (size_t k = 0; k < count; k++) {
            if (runs[k].site >= column->count)
                continue; /* met since */
            const size_t room = column->count - runs[k].site;
            sums[runs[k].group].series[i] +=
                sum_of(&column->inuse_bytes[runs[k].site], runs[k].count < room ? runs[k].count : room);
        }
    }
}

static void find_growth(const struct sum *sum, const struct retention_history *history,
                        struct retention_figures *figures)
{
    double seconds[RETENTION_COLUMNS];
    if (history == NULL || history->count < 2)
        return;
    for (size_t i = 0; i < history->count; i++)
        seconds[i] = (double)(history->columns[i]->taken_realtime_ns -
                              history->columns[0]->taken_realtime_ns) /
                     1e9;
    if (!retention_growth(seconds, sum->series, history->count, &figures->growth_bytes_per_second))
        return;
    const size_t last = history->count - 1;
    figures->growth_window_seconds = seconds[last];
    /* The variance of a site's bytes is in proportion to them, so the first point's is known too; much of
     * what was sampled then is still there, which only makes the difference more certain than this. */
    const double both = sum->inuse_bytes > 0 ? 1 + sum->series[0] / sum->inuse_bytes : 1;
    figures->growth_standard_error_bytes_per_second = sqrt(sum->variance * both) / seconds[last];
}

static struct retention_figures figures_of(const struct sum *sum, const struct profile *profile,
                                           const struct retention_history *history)
{
    struct retention_figures figures = {
        .samples = sum->samples,
        .standard_error_bytes = sqrt(sum->variance),
        /* Five samples of small objects have an error of 1/sqrt(5) = 44.7 %. */
        .sampling_blind = sum->variance * 5 > sum->inuse_bytes * sum->inuse_bytes * 1.000001,
        .growth_bytes_per_second = NAN,
        .growth_standard_error_bytes_per_second = NAN,
        .growth_window_seconds = NAN,
        .age_seconds = NAN,
    };
    if (sum->first_seen_realtime_ns != 0 &&
        profile->taken_realtime_ns >= sum->first_seen_realtime_ns)
        figures.age_seconds =
            (double)(profile->taken_realtime_ns - sum->first_seen_realtime_ns) / 1e9;
    find_growth(sum, history, &figures);
    return figures;
}

bool retention_measure(const struct profile *profile, enum group_by by, struct top_entry *entries,
                       size_t count)
{
    struct lookup lookup;
    if (count == 0)
        return true;
    struct run *runs = malloc((profile->entry_count + 1) * sizeof(*runs));
    if (runs == NULL || !lookup_init(&lookup, entries, count, by)) {
        free(runs);
        return false;
    }
    size_t run_count = 0;
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct site *site = profile->entries[i].site;
        const uint32_t found = lookup.slots[slot_of(&lookup, group_key_of(site, by))];
        if (found == 0)
            continue;
        add_entry(&lookup.sums[found - 1], &profile->entries[i], profile->rate);
        add_to_run(runs, &run_count, site->id - 1, found - 1);
    }
    add_series(lookup.sums, runs, run_count, profile->history);
    free(runs);
    for (size_t i = 0; i < count; i++)
        entries[i].retention = figures_of(&lookup.sums[i], profile, profile->history);
    lookup_release(&lookup);
    return true;
}

struct retention_figures retention_certainty(const struct profile *profile,
                                             const struct profile_entry *entry)
{
    struct sum sum = {0};
    add_entry(&sum, entry, profile->rate);
    return figures_of(&sum, profile, NULL);
}
