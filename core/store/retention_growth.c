/* retention_growth.c - growth that a healthy sawtooth does not have.
 *
 *   leak        /     sawtooth   /|  /|  /      flushed, but a little more remains each time  /|  /|
 *             /                 / | / | /                                                    / | /  counts
 *           /      counts      /  |/  |/  does not: its low points stay where they are      /  |/   */
#include "core/store/retention.h"

/* A fall by more than this share of the range is a flush, not noise. */
static const double FLUSH_SHARE = 0.5;

static void swap(double *a, double *b)
{
    const double kept = *a;
    *a = *b;
    *b = kept;
}

/* The [rank]th smallest; [numbers] are rearranged.  In three parts (below, equal, above): slopes of zero are
 * many. */
static double select_rank(double *numbers, size_t count, size_t rank)
{
    size_t low = 0;
    size_t high = count;
    for (;;) {
        const double pivot = numbers[low + (high - low) / 2];
        size_t below = low;
        size_t above = high;
        for (size_t at = low; at < above;) {
            if (numbers[at] < pivot)
                swap(&numbers[below++], &numbers[at++]);
            else if (numbers[at] > pivot)
                swap(&numbers[at], &numbers[--above]);
            else
                at++;
        }
        if (rank < below)
            high = below;
        else if (rank >= above)
            low = above;
        else
            return pivot;
    }
}

static bool median_slope(const double *seconds, const double *values, size_t count,
                         double *per_second)
{
    double slopes[RETENTION_COLUMNS * (RETENTION_COLUMNS - 1) / 2];
    size_t pairs = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            const double passed = seconds[j] - seconds[i];
            if (passed > 0)
                slopes[pairs++] = (values[j] - values[i]) / passed;
        }
    }
    if (pairs == 0)
        return false;
    const double upper = select_rank(slopes, pairs, pairs / 2);
    *per_second =
        pairs % 2 == 1 ? upper : (select_rank(slopes, pairs, pairs / 2 - 1) + upper) / 2;
    return true;
}

/* The low point of each stretch between two flushes; returns how many. */
static size_t find_lows(const double *seconds, const double *values, size_t count,
                        double *low_seconds, double *lows)
{
    double least = values[0];
    double most = values[0];
    for (size_t i = 1; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    const double flush = (most - least) * FLUSH_SHARE;
    size_t stretches = 0;
    double peak = values[0];
    for (size_t i = 0; i < count; i++) {
        peak = values[i] > peak ? values[i] : peak;
        const bool flushed = peak - values[i] > flush;
        if (i == 0 || flushed) {
            low_seconds[stretches] = seconds[i];
            lows[stretches++] = values[i];
            peak = values[i];
        } else if (values[i] < lows[stretches - 1]) {
            low_seconds[stretches - 1] = seconds[i];
            lows[stretches - 1] = values[i];
        }
    }
    return stretches;
}

bool retention_growth(const double *seconds, const double *values, size_t count, double *per_second)
{
    double low_seconds[RETENTION_COLUMNS];
    double lows[RETENTION_COLUMNS];
    if (count < 2 || count > RETENTION_COLUMNS)
        return false;
    const size_t stretches = find_lows(seconds, values, count, low_seconds, lows);
    double of_lows;
    if (!median_slope(seconds, values, count, per_second))
        return false;
    if (stretches < 2 || !median_slope(low_seconds, lows, stretches, &of_lows))
        return true;
    /* The first stretch may begin halfway up and so not show its low point: a fall that only the low
     * points see is none. */
    if (of_lows < 0)
        *per_second = *per_second < 0 ? (of_lows > *per_second ? of_lows : *per_second) : 0;
    else
        *per_second = of_lows;
    return true;
}
