/* trend.c - slopes, ranges and percentiles of known series. */
#include "core/store/trend.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/store/fields.h"
#include "core/store/snapshot.h"
#include "tests/unit/store/samples.h"

enum { SERIES_MAX = 4000 };

struct series {
    const struct snapshot *snapshots[SERIES_MAX];
    size_t count;
};

/* Appends a snapshot at [second] and lets the caller fill it before the test reads it. */
static struct snapshot *append(struct series *series, uint64_t second)
{
    struct snapshot *snapshot = snapshot_begin(second * 1000000000, second * 1000000000);
    snapshot->generation = 1;
    series->snapshots[series->count++] = snapshot;
    return snapshot;
}

static void release(struct series *series)
{
    for (size_t i = 0; i < series->count; i++)
        snapshot_unref(series->snapshots[i]);
}

static const struct field *field_of(const char *name)
{
    const struct field *field = snapshot_field_find(name);
    cr_assert_not_null(field);
    return field;
}

static double value_of(const struct snapshot *snapshot, const struct field *field)
{
    double value;
    return snapshot_field_get_f64(&snapshot->values, field, &value) ? value : (double)NAN;
}

/* The columns of [name] since [since_s], at most [max] points of them. */
static size_t collect_at_most(const struct series *series, const char *name, uint64_t since_s,
                              bool per_gc, struct trend_point *points, size_t max)
{
    static uint64_t times_ns[SERIES_MAX];
    static double values[SERIES_MAX];
    static double gc[SERIES_MAX];
    struct trend_series columns = {.monotonic_ns = times_ns,
                                   .values = values,
                                   .gc = per_gc ? gc : NULL,
                                   .is_counter = field_of(name)->kind == FIELD_COUNTER};
    for (size_t i = 0; i < series->count; i++) {
        const struct snapshot *snapshot = series->snapshots[i];
        if (snapshot->monotonic_ns < since_s * 1000000000)
            continue;
        times_ns[columns.count] = snapshot->monotonic_ns;
        gc[columns.count] = value_of(snapshot, field_of("num_gc"));
        values[columns.count++] = value_of(snapshot, field_of(name));
    }
    return trend_collect(&columns, points, max);
}

static size_t collect(const struct series *series, const char *name, uint64_t since_s, bool per_gc,
                      struct trend_point *points)
{
    return collect_at_most(series, name, since_s, per_gc, points, SERIES_MAX);
}

Test(trend_collect, skips_what_does_not_know_the_field)
{
    struct series series = {0};
    struct trend_point points[SERIES_MAX];
    for (uint64_t s = 0; s < 10; s++) {
        struct snapshot *snapshot = append(&series, 100 + s);
        if (s % 2 == 0)
            SNAPSHOT_SET(&snapshot->values, goroutines, s);
    }
    cr_assert_eq(collect(&series, "goroutines", 0, false, points), 5);
    cr_assert_eq(points[0].seconds, 0);
    cr_assert_eq(points[4].seconds, 8);
    cr_assert_eq(points[4].value, 8);
    cr_assert_eq(collect(&series, "goroutines", 104, false, points), 3);
    cr_assert_eq(points[0].seconds, 0);
    cr_assert_eq(points[0].value, 4);
    cr_assert_eq(collect(&series, "threads", 0, false, points), 0);
    cr_assert_eq(trend_collect(&(struct trend_series){.count = 0}, points, 5), 0);
    release(&series);
}

Test(trend_collect, starts_a_counter_anew_after_it_fell_but_not_a_gauge)
{
    struct series series = {0};
    struct trend_point points[SERIES_MAX];
    static const uint64_t values[] = {10, 20, 30, 5, 8, 2, 4, 6};
    for (uint64_t s = 0; s < 8; s++) {
        struct snapshot *snapshot = append(&series, s);
        SNAPSHOT_SET(&snapshot->values, total_alloc_bytes, values[s]);
        SNAPSHOT_SET(&snapshot->values, heap_alloc_bytes, values[s]);
    }
    cr_assert_eq(collect(&series, "total_alloc_bytes", 0, false, points), 3);
    cr_assert_eq(points[0].value, 2);
    cr_assert_eq(points[2].value, 6);
    cr_assert_eq(collect(&series, "heap_alloc_bytes", 0, false, points), 8);
    struct trend trend;
    cr_assert(trend_compute(points, 8, &trend));
    cr_assert_eq(trend.falls, 2);
    cr_assert_eq(trend.rises, 5);
    release(&series);
}

Test(trend_collect, per_gc_sees_no_slope_in_a_sawtooth_between_collections)
{
    /* Ten seconds a cycle; allocation lifts the heap from 100 to 1000, the GC drops it back. */
    struct series series = {0};
    struct trend_point points[SERIES_MAX];
    for (uint64_t s = 0; s < 96; s++) {
        struct snapshot *snapshot = append(&series, s);
        SNAPSHOT_SET(&snapshot->values, num_gc, s / 10);
        SNAPSHOT_SET(&snapshot->values, heap_alloc_bytes, 100 + s % 10 * 100);
    }
    struct trend trend;
    const size_t all = collect(&series, "heap_alloc_bytes", 0, false, points);
    cr_assert(trend_compute(points, all, &trend));
    cr_assert_gt(trend.falls, 0);
    cr_assert_gt(trend.max, 900);
    const size_t cycles = collect(&series, "heap_alloc_bytes", 0, true, points);
    cr_assert_eq(cycles, 10);
    cr_assert(trend_compute(points, cycles, &trend));
    cr_assert_eq(trend.per_second, 0);
    cr_assert_eq(trend.rises, 0);
    cr_assert_eq(trend.falls, 0);
    cr_assert_eq(trend.flats, 9);
    release(&series);
}

Test(trend_collect, per_gc_sees_the_leak_under_the_sawtooth)
{
    struct series series = {0};
    struct trend_point points[SERIES_MAX];
    for (uint64_t s = 0; s < 200; s++) {
        struct snapshot *snapshot = append(&series, s);
        SNAPSHOT_SET(&snapshot->values, num_gc, s / 10);
        SNAPSHOT_SET(&snapshot->values, heap_alloc_bytes, s / 10 * 50 + s % 10 * 1000);
    }
    struct trend trend;
    const size_t cycles = collect(&series, "heap_alloc_bytes", 0, true, points);
    cr_assert(trend_compute(points, cycles, &trend));
    cr_assert_eq(trend.per_second, 5);
    cr_assert_eq(trend.falls, 0);
    cr_assert_eq(trend.rises, 19);
    release(&series);
}

Test(trend_collect, thins_evenly_and_keeps_first_and_last)
{
    struct series series = {0};
    struct trend_point points[SERIES_MAX];
    for (uint64_t s = 0; s < 3600; s++) {
        struct snapshot *snapshot = append(&series, s);
        SNAPSHOT_SET(&snapshot->values, goroutines, s);
    }
    for (size_t max = 1; max < 3700; max += max < 10 ? 1 : 277) {
        const size_t count = collect_at_most(&series, "goroutines", 0, false, points, max);
        cr_assert_eq(count, max < 3600 ? max : 3600);
        cr_assert_eq(points[count - 1].value, 3599);
        if (count < 2)
            continue;
        cr_assert_eq(points[0].value, 0);
        for (size_t i = 1; i < count; i++) {
            const double step = points[i].value - points[i - 1].value;
            const double even = 3599.0 / (double)(count - 1);
            cr_assert(step >= floor(even) && step <= ceil(even), "max %zu: step %g", max, step);
        }
    }
    cr_assert_eq(collect_at_most(&series, "goroutines", 0, false, points, 0), 0);
    release(&series);
}

static void append_fraction(struct series *series, uint64_t second, double fraction)
{
    struct snapshot *snapshot = append(series, second);
    SNAPSHOT_SET(&snapshot->values, gc_cpu_fraction, fraction);
}

Test(trend_collect, skips_numbers_that_are_none)
{
    struct series series = {0};
    struct trend_point points[SERIES_MAX];
    append_fraction(&series, 1, (double)NAN);
    append_fraction(&series, 2, (double)INFINITY);
    append_fraction(&series, 3, 0.5);
    cr_assert_eq(collect(&series, "gc_cpu_fraction", 0, false, points), 1);
    cr_assert_eq(points[0].value, 0.5);
    release(&series);
}

/* ---- slope ---- */

Test(trend_compute, finds_the_slope_of_a_line_whatever_its_length)
{
    struct trend_point points[SERIES_MAX];
    for (size_t i = 0; i < SERIES_MAX; i++)
        points[i] = (struct trend_point){.seconds = (double)i * 2, .value = 1000 - 3.0 * (double)i};
    for (size_t count = 2; count <= SERIES_MAX; count = count * 3 / 2 + 1) {
        struct trend trend;
        cr_assert(trend_compute(points, count, &trend));
        cr_assert_eq(trend.per_second, -1.5, "%zu points: %g", count, trend.per_second);
        cr_assert_eq(trend.points, count);
        cr_assert_eq(trend.first, 1000);
        cr_assert_eq(trend.falls, count - 1);
        cr_assert_eq(trend.max, 1000);
        cr_assert_eq(trend.min, trend.last);
        cr_assert_float_eq(trend.mean, (trend.first + trend.last) / 2, 1e-6);
    }
}

Test(trend_compute, is_not_moved_by_a_quarter_of_wild_points)
{
    struct trend_point points[400];
    uint64_t random = 3;
    for (size_t i = 0; i < 400; i++) {
        points[i] = (struct trend_point){.seconds = (double)i, .value = 7.0 * (double)i};
        if (sample_random(&random) % 4 == 0)
            points[i].value = (double)(sample_random(&random) % 1000000);
    }
    struct trend trend;
    cr_assert(trend_compute(points, 400, &trend));
    cr_assert_float_eq(trend.per_second, 7, 2, "%g", trend.per_second);
}

/* The definition, written plainly: sort all pairwise slopes, take the middle. */
static int ascending(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

static double plain_theil_sen(const struct trend_point *points, size_t count)
{
    double *slopes = calloc(count * count, sizeof(*slopes));
    size_t pairs = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = i + 1; j < count; j++) {
            if (points[j].seconds > points[i].seconds)
                slopes[pairs++] =
                    (points[j].value - points[i].value) / (points[j].seconds - points[i].seconds);
        }
    }
    qsort(slopes, pairs, sizeof(*slopes), ascending);
    const double middle =
        pairs % 2 == 1 ? slopes[pairs / 2]
                       : slopes[pairs / 2 - 1] + (slopes[pairs / 2] - slopes[pairs / 2 - 1]) / 2;
    free(slopes);
    return middle;
}

Test(trend_compute, equals_theil_sen_by_definition_on_random_series)
{
    uint64_t random = 99;
    for (size_t round = 0; round < 200; round++) {
        struct trend_point points[TREND_POINTS_MAX];
        const size_t count = 2 + sample_random(&random) % 60;
        double seconds = 0;
        for (size_t i = 0; i < count; i++) {
            points[i] = (struct trend_point){seconds, (double)(sample_random(&random) % 17)};
            seconds += (double)(sample_random(&random) % 3); /* some at the same instant */
        }
        struct trend trend;
        if (!(points[count - 1].seconds > 0)) {
            cr_assert_not(trend_compute(points, count, &trend));
            continue;
        }
        cr_assert(trend_compute(points, count, &trend));
        cr_assert_float_eq(trend.per_second, plain_theil_sen(points, count), 1e-12);
        cr_assert_eq(trend.rises + trend.falls + trend.flats, count - 1);
    }
}

Test(trend_compute, says_nothing_of_fewer_than_two_points_or_of_one_instant)
{
    const struct trend_point points[] = {{0, 1}, {0, 2}, {0, 3}};
    struct trend trend;
    cr_assert_not(trend_compute(points, 0, &trend));
    cr_assert_not(trend_compute(points, 1, &trend));
    cr_assert_not(trend_compute(points, 3, &trend));
}

/* ---- percentiles ---- */

Test(trend_percentile, lies_linearly_between_points)
{
    const struct trend_point points[] = {{0, 40}, {1, 10}, {2, 30}, {3, 20}};
    static const struct {
        double percent;
        double value;
    } expected[] = {{0, 10}, {100, 40}, {50, 25}, {25, 17.5}, {75, 32.5}, {90, 37}};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        double value = 0;
        cr_assert(trend_percentile(points, 4, expected[i].percent, &value));
        cr_assert_float_eq(value, expected[i].value, 1e-9, "%g: %g", expected[i].percent, value);
    }
}

Test(trend_percentile, equals_sorting_on_random_and_on_sorted_series)
{
    uint64_t random = 5;
    for (size_t round = 0; round < 300; round++) {
        struct trend_point points[200];
        double sorted[200];
        const size_t count = 1 + sample_random(&random) % 200;
        for (size_t i = 0; i < count; i++) {
            const double value = round % 3 == 0   ? (double)i
                                 : round % 3 == 1 ? (double)(count - i)
                                                  : (double)(sample_random(&random) % 9);
            points[i] = (struct trend_point){(double)i, value};
            sorted[i] = value;
        }
        qsort(sorted, count, sizeof(sorted[0]), ascending);
        for (size_t i = 0; i < count; i++) {
            double value = 0;
            const double percent = count == 1 ? 50 : 100.0 * (double)i / (double)(count - 1);
            cr_assert(trend_percentile(points, count, percent, &value));
            cr_assert_float_eq(value, sorted[i], 1e-9);
        }
    }
}

Test(trend_percentile, refuses_no_points_and_percents_out_of_range)
{
    const struct trend_point point = {0, 1};
    double value = 0;
    cr_assert_not(trend_percentile(&point, 0, 50, &value));
    cr_assert_not(trend_percentile(&point, 1, -1, &value));
    cr_assert_not(trend_percentile(&point, 1, 101, &value));
    cr_assert_not(trend_percentile(&point, 1, (double)NAN, &value));
    cr_assert(trend_percentile(&point, 1, 50, &value));
    cr_assert_eq(value, 1);
}
