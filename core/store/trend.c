/* trend.c - what a series says about one number.
 *
 *   columns -> trend_collect: points -> trend_compute: slope, range
 *                                      -> trend_percentile
 *
 * Called by the rule engine, many times a beat: cost and memory are bounded by
 * TREND_POINTS_MAX. */
#include "core/store/trend.h"

#include <math.h>

/* ---- collecting ---- */

/* Walks the wanted points of a series one by one. */
struct walk {
    const struct trend_series *series;
    size_t next;
    double gc; /* of the last point; NAN before the first */
};

/* The next point; false at the end.  [*at] is its place in the columns. */
static bool walk_next(struct walk *walk, size_t *at)
{
    const struct trend_series *series = walk->series;
    while (walk->next < series->count) {
        const size_t index = walk->next++;
        if (!isfinite(series->values[index]))
            continue;
        if (series->gc != NULL) {
            if (isnan(series->gc[index]) || series->gc[index] == walk->gc)
                continue;
            walk->gc = series->gc[index];
        }
        *at = index;
        return true;
    }
    return false;
}

/* Counts the points that [walk] will give; for a counter, moves its start behind the last
 * fall, where the series broke. */
static size_t measure(struct walk *walk)
{
    struct walk probe = *walk;
    size_t points = 0;
    size_t at = 0;
    double before = 0;
    while (walk_next(&probe, &at)) {
        const double value = walk->series->values[at];
        if (walk->series->is_counter && points > 0 && value < before) {
            walk->next = at;
            points = 0;
        }
        before = value;
        points++;
    }
    return points;
}

size_t trend_collect(const struct trend_series *series, struct trend_point *points,
                     size_t points_max)
{
    if (series->count == 0 || points_max == 0)
        return 0;
    struct walk walk = {.series = series, .gc = NAN};
    const size_t available = measure(&walk);
    const size_t wanted = available < points_max ? available : points_max;
    size_t seen = 0;
    size_t taken = 0;
    size_t at = 0;
    uint64_t first_ns = 0;
    while (taken < wanted && walk_next(&walk, &at)) {
        /* Point k of n goes to place k * (n - 1) / (wanted - 1): first and last are kept.  A
         * single one is the newest. */
        const size_t due =
            wanted == 1 ? available - 1
                        : (size_t)((double)taken * (double)(available - 1) / (double)(wanted - 1));
        if (seen++ < due)
            continue;
        const uint64_t now_ns = series->monotonic_ns[at];
        if (taken == 0)
            first_ns = now_ns;
        points[taken].seconds = now_ns < first_ns ? 0 : (double)(now_ns - first_ns) / 1e9;
        points[taken].value = series->values[at];
        taken++;
    }
    return taken;
}

/* ---- order statistics ---- */

static void swap(double *a, double *b)
{
    const double kept = *a;
    *a = *b;
    *b = kept;
}

/* Rearranges [values] so that the [rank]th smallest stands at its place, smaller ones before and
 * larger ones after it.  Hoare's selection; the median of three keeps sorted input cheap. */
static double select_rank(double *values, size_t count, size_t rank)
{
    size_t low = 0;
    size_t high = count - 1;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (values[middle] < values[low])
            swap(&values[middle], &values[low]);
        if (values[high] < values[low])
            swap(&values[high], &values[low]);
        if (values[high] < values[middle])
            swap(&values[high], &values[middle]);
        const double pivot = values[middle];
        size_t i = low;
        size_t j = high;
        while (i <= j) {
            while (values[i] < pivot)
                i++;
            while (values[j] > pivot)
                j--;
            if (i <= j) {
                swap(&values[i], &values[j]);
                i++;
                if (j == 0)
                    break;
                j--;
            }
        }
        if (rank <= j)
            high = j;
        else if (rank >= i)
            low = i;
        else
            break;
    }
    return values[rank];
}

/* Value at [position] (0 to count - 1) of the sorted values, linear between two. */
static double select_position(double *values, size_t count, double position)
{
    const size_t below = (size_t)position;
    const double fraction = position - (double)below;
    const double low = select_rank(values, count, below);
    if (fraction == 0 || below + 1 >= count)
        return low;
    /* Everything behind [below] is larger: its smallest is the next in order. */
    double high = values[below + 1];
    for (size_t i = below + 2; i < count; i++) {
        if (values[i] < high)
            high = values[i];
    }
    return low + (high - low) * fraction;
}

bool trend_percentile(const struct trend_point *points, size_t count, double percent, double *value)
{
    if (count == 0 || !(percent >= 0 && percent <= 100))
        return false;
    double *values = calloc(count, sizeof(*values));
    if (values == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        values[i] = points[i].value;
    *value = select_position(values, count, percent / 100 * (double)(count - 1));
    free(values);
    return true;
}

/* ---- slope and range ---- */

/* Point [index] of [wanted] taken evenly out of [count]. */
static const struct trend_point *thinned(const struct trend_point *points, size_t count,
                                         size_t wanted, size_t index)
{
    return &points[wanted == count ? index : index * (count - 1) / (wanted - 1)];
}

/* Median of the slopes between all pairs of points. */
static bool median_slope(const struct trend_point *points, size_t count, double *per_second)
{
    const size_t used = count < TREND_POINTS_MAX ? count : TREND_POINTS_MAX;
    double *slopes = calloc(used * (used - 1) / 2, sizeof(*slopes));
    if (slopes == NULL)
        return false;
    size_t pairs = 0;
    for (size_t i = 0; i + 1 < used; i++) {
        const struct trend_point *first = thinned(points, count, used, i);
        for (size_t j = i + 1; j < used; j++) {
            const struct trend_point *second = thinned(points, count, used, j);
            const double seconds = second->seconds - first->seconds;
            if (seconds > 0)
                slopes[pairs++] = (second->value - first->value) / seconds;
        }
    }
    if (pairs > 0)
        *per_second = select_position(slopes, pairs, (double)(pairs - 1) / 2);
    free(slopes);
    return pairs > 0;
}

bool trend_compute(const struct trend_point *points, size_t count, struct trend *trend)
{
    if (count < 2)
        return false;
    struct trend result = {
        .points = count,
        .seconds = points[count - 1].seconds - points[0].seconds,
        .first = points[0].value,
        .last = points[count - 1].value,
        .min = points[0].value,
        .max = points[0].value,
    };
    if (!(result.seconds > 0))
        return false;
    double mean = 0;
    for (size_t i = 0; i < count; i++) {
        const double value = points[i].value;
        mean += (value - mean) / (double)(i + 1); /* a running mean cannot overflow */
        result.min = value < result.min ? value : result.min;
        result.max = value > result.max ? value : result.max;
        if (i == 0)
            continue;
        result.rises += value > points[i - 1].value;
        result.falls += value < points[i - 1].value;
        result.flats += value == points[i - 1].value;
    }
    result.mean = mean;
    if (!median_slope(points, count, &result.per_second))
        return false;
    *trend = result;
    return true;
}
