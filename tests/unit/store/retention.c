/* retention.c - growth, age and certainty of what is retained. */
#include "core/store/retention.h"

#include <criterion/criterion.h>
#include <math.h>

#include "core/store/site.h"
#include "tests/unit/store/samples.h"

enum { RATE = 512 << 10 };
static const uint64_t START_NS = UINT64_C(1700000000) * 1000000000;

static struct site_table *table;

static void set_up(void)
{
    table = site_table_new();
}

static void tear_down(void)
{
    site_table_unref(table);
}

TestSuite(retention, .init = set_up, .fini = tear_down);

static struct profile *begin_at(uint64_t second)
{
    site_table_begin_read(table, START_NS + second * 1000000000, UINT64_C(600) * 1000000000);
    struct profile *profile = profile_begin(table, 64);
    profile->taken_realtime_ns = START_NS + second * 1000000000;
    profile->rate = RATE;
    return profile;
}

/* An entry with so many live samples of this size, scaled as pprof does. */
static void add_samples(struct profile *profile, const struct site *site, uint64_t samples)
{
    const uint64_t bytes = samples * site->object_bytes;
    struct profile_entry *entry = &profile->entries[profile->entry_count++];
    entry->site = site;
    const struct profile_raw raw = {samples + 3, 3, bytes + 3 * site->object_bytes,
                                    3 * site->object_bytes};
    profile_scale(entry, &raw, site->object_bytes, RATE, true);
}

static struct retention_figures figures_of(const struct profile *profile, enum group_by by)
{
    const struct tops *tops = tops_new(profile, by, 10);
    cr_assert_not_null(tops);
    cr_assert_geq(tops->retention_count, 1);
    const struct retention_figures figures = tops->retentions[0].retention;
    tops_unref(tops);
    return figures;
}

/* ---- growth of a series ---- */

enum { POINTS = 24 };

static double growth_of(const double values[POINTS])
{
    double seconds[POINTS];
    double per_second = NAN;
    for (size_t i = 0; i < POINTS; i++)
        seconds[i] = 10 * (double)i;
    cr_assert(retention_growth(seconds, values, POINTS, &per_second));
    return per_second;
}

Test(retention_growth, of_a_steady_leak_is_its_slope_whatever_the_noise)
{
    double values[POINTS];
    uint64_t random = 7;
    for (size_t i = 0; i < POINTS; i++)
        values[i] = 1e6 + 1000 * 10 * (double)i + (double)(sample_random(&random) % 10000);
    cr_assert_float_eq(growth_of(values), 1000, 50);
    values[5] = 9e6; /* one that is far off */
    cr_assert_float_eq(growth_of(values), 1000, 60);
}

Test(retention_growth, of_a_sawtooth_is_none_whatever_its_period_and_phase)
{
    for (size_t period = 3; period <= POINTS / 2; period++) {
        for (size_t phase = 0; phase < period; phase++) {
            double values[POINTS];
            for (size_t i = 0; i < POINTS; i++)
                values[i] = 1e6 + 10000 * (double)((i + phase) % period);
            cr_assert_leq(fabs(growth_of(values)), 1000 * 0.05, "period %zu, phase %zu: %g", period,
                          phase, growth_of(values));
        }
    }
}

Test(retention_growth, of_a_sawtooth_whose_low_points_rise_is_their_rise)
{
    for (size_t period = 3; period <= 8; period++) {
        double values[POINTS];
        for (size_t i = 0; i < POINTS; i++)
            values[i] = 10 * 100 * (double)i + 100000 * (double)(i % period);
        cr_assert_float_eq(growth_of(values), 100, 1, "period %zu: %g", period, growth_of(values));
    }
}

Test(retention_growth, is_negative_for_what_shrinks_and_zero_for_what_stays)
{
    double values[POINTS];
    for (size_t i = 0; i < POINTS; i++)
        values[i] = 1e6 - 500 * 10 * (double)i;
    cr_assert_float_eq(growth_of(values), -500, 1);
    for (size_t i = 0; i < POINTS; i++)
        values[i] = 1e6;
    cr_assert_eq(growth_of(values), 0);
}

static int ascending(const void *a, const void *b)
{
    const double left = *(const double *)a;
    const double right = *(const double *)b;
    return (left > right) - (left < right);
}

/* With falls too small for a flush it is the median of all slopes, as sorting finds it. */
Test(retention_growth, is_the_median_of_all_slopes)
{
    uint64_t random = 3;
    for (size_t count = 2; count <= POINTS; count++) {
        double seconds[POINTS];
        double values[POINTS];
        double slopes[POINTS * POINTS];
        size_t pairs = 0;
        for (size_t i = 0; i < count; i++) {
            seconds[i] = (double)i + (double)(sample_random(&random) % 100) / 200;
            values[i] = 1000 * (double)i + (double)(sample_random(&random) % 3) * 300;
        }
        for (size_t i = 0; i < count; i++) {
            for (size_t j = i + 1; j < count; j++)
                slopes[pairs++] = (values[j] - values[i]) / (seconds[j] - seconds[i]);
        }
        qsort(slopes, pairs, sizeof(slopes[0]), ascending);
        const double median = (slopes[(pairs - 1) / 2] + slopes[pairs / 2]) / 2;
        double per_second;
        cr_assert(retention_growth(seconds, values, count, &per_second));
        cr_assert_float_eq(per_second, median, 1e-6, "%zu points: %g, not %g", count, per_second, median);
    }
}

Test(retention_growth, takes_two_points_in_time)
{
    const double seconds[] = {0, 0, 1};
    const double values[] = {1, 2, 5};
    double per_second;
    cr_assert_not(retention_growth(seconds, values, 1, &per_second));
    cr_assert_not(retention_growth(seconds, values, 2, &per_second));
    cr_assert(retention_growth(seconds, values, 3, &per_second));
    cr_assert_float_eq(per_second, 3.5, 1e-9);
}

/* ---- certainty ---- */

Test(retention, error_is_that_of_a_binomial_sample)
{
    /* Simulated: objects of 64 KiB, of which each is sampled with p; the estimate's spread over many runs. */
    const double size = 65536;
    const double p = 1 - exp(-size / RATE);
    uint64_t random = 99;
    double sum = 0;
    double squares = 0;
    enum { RUNS = 4000, OBJECTS = 500 };
    for (int run = 0; run < RUNS; run++) {
        int n = 0;
        for (int i = 0; i < OBJECTS; i++)
            n += (double)(sample_random(&random) >> 11) / 0x1p53 < p;
        const double estimate = n / p * size;
        sum += estimate;
        squares += estimate * estimate;
    }
    const double mean = sum / RUNS;
    const double spread = sqrt(squares / RUNS - mean * mean);

    struct profile *profile = begin_at(1);
    add_samples(profile, sample_site(table, "main.f", 0, 65536), (uint64_t)(OBJECTS * p + 0.5));
    const struct retention_figures figures = figures_of(profile, GROUP_SITE);
    cr_assert_float_eq(figures.standard_error_bytes, spread, 0.06 * spread);
    profile_discard(profile);
}

Test(retention, adds_up_the_samples_and_variances_of_a_group)
{
    struct profile *profile = begin_at(1);
    add_samples(profile, sample_site(table, "main.a main.f", 0, 1024), 30);
    const double one = figures_of(profile, GROUP_TAG).standard_error_bytes;
    add_samples(profile, sample_site(table, "main.b main.f", 0, 1024), 30);
    const struct retention_figures both = figures_of(profile, GROUP_TAG);
    cr_assert_eq(both.samples, 60);
    cr_assert_float_eq(both.standard_error_bytes, one * sqrt(2), one * 1e-3);
    profile_discard(profile);
}

Test(retention, is_blind_with_fewer_than_five_samples_of_small_objects)
{
    for (uint64_t samples = 1; samples <= 8; samples++) {
        struct profile *profile = begin_at(1);
        add_samples(profile, sample_site(table, "main.f", 0, 64), samples);
        cr_assert_eq(figures_of(profile, GROUP_SITE).sampling_blind, samples < 5, "%d samples",
                     (int)samples);
        profile_discard(profile);
    }
}

Test(retention, is_certain_of_a_single_object_that_cannot_have_been_missed)
{
    struct profile *profile = begin_at(1);
    add_samples(profile, sample_site(table, "main.f", 0, 64 << 20), 1);
    const struct retention_figures figures = figures_of(profile, GROUP_SITE);
    cr_assert_not(figures.sampling_blind);
    cr_assert_eq(figures.samples, 1);
    cr_assert_lt(figures.standard_error_bytes, 1);
    profile_discard(profile);
}

Test(retention, of_a_profile_that_came_scaled_counts_the_samples_it_must_have_had)
{
    struct profile *counted = begin_at(1);
    struct profile *scaled = begin_at(1);
    const struct site *site = sample_site(table, "main.f", 0, 8192);
    add_samples(counted, site, 40);
    add_samples(scaled, site, 40);
    scaled->entries[0].allocs = scaled->entries[0].frees = 0; /* as net/http/pprof leaves it */
    const struct retention_figures known = figures_of(counted, GROUP_SITE);
    const struct retention_figures guessed = figures_of(scaled, GROUP_SITE);
    cr_assert_eq(guessed.samples, known.samples);
    cr_assert_float_eq(guessed.standard_error_bytes, known.standard_error_bytes, 1);
    scaled->entries[0].inuse_objects = 1;
    scaled->entries[0].inuse_bytes = 16; /* less than one sample stands for */
    const struct retention_figures blind = figures_of(scaled, GROUP_SITE);
    cr_assert_eq(blind.samples, 0);
    cr_assert(blind.sampling_blind);
    profile_discard(counted);
    profile_discard(scaled);
}

/* ---- history ---- */

static void drop(const struct profile *profile)
{
    profile_unref(profile);
}

/* A profile a second: a leak of 100 samples a second under one tag, and a cache that is flushed. */
static const struct profile *grow_for(uint64_t seconds)
{
    const struct profile *last = NULL;
    const struct site *leak = NULL;
    const struct site *cache = NULL;
    for (uint64_t second = 1; second <= seconds; second++) {
        struct profile *profile = begin_at(second);
        if (leak == NULL) {
            leak = sample_site(table, "main.grow main.leak", 0, 4096);
            cache = sample_site(table, "main.fill main.cache", 0, 4096);
        }
        add_samples(profile, leak, 50 * second);
        add_samples(profile, cache, 20 * (second % 9));
        drop(last);
        last = profile_seal(profile);
    }
    return last;
}

Test(retention, tells_what_grows_from_what_comes_and_goes)
{
    const struct profile *profile = grow_for(300);
    const struct tops *tops = tops_new(profile, GROUP_TYPE_TAG, 10);
    const struct retention_figures *leak = &tops->retentions[0].retention;
    const struct retention_figures *cache = &tops->retentions[1].retention;
    cr_assert_str_eq(tops->retentions[0].tag, "main.leak");
    const double truth = (double)tops->retentions[0].inuse_bytes / 300;
    cr_assert_float_eq(leak->growth_bytes_per_second, truth, truth * 0.01);
    cr_assert_float_eq(leak->growth_window_seconds, 299, 1e-6);
    cr_assert_leq(fabs(cache->growth_bytes_per_second), truth * 0.01, "%g",
                  cache->growth_bytes_per_second);
    cr_assert_float_eq(leak->age_seconds, 299, 1e-6);
    cr_assert_gt(leak->growth_standard_error_bytes_per_second, 0);
    tops_unref(tops);
    drop(profile);
}

Test(retention, observes_growth_over_the_window_only)
{
    const struct profile *profile = grow_for(1000); /* the window has 600 s */
    const struct retention_figures figures = figures_of(profile, GROUP_SITE);
    cr_assert_leq(figures.growth_window_seconds, 600);
    cr_assert_gt(figures.growth_window_seconds, 500);
    cr_assert_float_eq(figures.age_seconds, 999, 1e-6);
    drop(profile);
}

Test(retention, knows_no_growth_of_a_first_profile_and_none_where_nobody_keeps_a_history)
{
    const struct profile *profile = grow_for(1);
    cr_assert(isnan(figures_of(profile, GROUP_SITE).growth_bytes_per_second));
    cr_assert(isnan(figures_of(profile, GROUP_SITE).growth_window_seconds));
    drop(profile);

    struct site_table *other = site_table_new();
    struct profile *building = profile_begin(other, 4);
    add_samples(building, sample_site(other, "main.f", 0, 4096), 9);
    profile = profile_seal(building);
    cr_assert_null(profile->history);
    cr_assert(isnan(figures_of(profile, GROUP_SITE).age_seconds));
    drop(profile);
    site_table_unref(other);
}

Test(retention, does_not_take_what_a_partial_profile_leaves_out_for_freed)
{
    const struct profile *full = grow_for(10);
    const double before = figures_of(full, GROUP_SITE).growth_bytes_per_second;
    struct profile *partial = begin_at(11);
    partial->partial = true;
    const struct profile *sealed = profile_seal(partial);
    drop(sealed);
    cr_assert_eq(figures_of(full, GROUP_SITE).growth_bytes_per_second, before);
    struct profile *next = begin_at(12);
    const struct profile_entry *leak = &full->entries[0];
    add_samples(next, leak->site, 600);
    const struct profile *last = profile_seal(next);
    cr_assert_float_eq(figures_of(last, GROUP_SITE).growth_bytes_per_second, before, before * 0.01);
    drop(last);
    drop(full);
}

Test(retention, starts_anew_when_the_clock_is_set_back)
{
    const struct profile *profile = grow_for(10);
    drop(profile);
    struct profile *building = begin_at(3);
    add_samples(building, sample_site(table, "main.f", 0, 4096), 9);
    profile = profile_seal(building);
    cr_assert(isnan(figures_of(profile, GROUP_SITE).growth_bytes_per_second));
    drop(profile);
}

Test(retention, of_an_older_profile_stays_as_it_was)
{
    struct profile *first = begin_at(1);
    const struct site *site = sample_site(table, "main.f", 0, 4096);
    add_samples(first, site, 10);
    drop(profile_seal(first));
    struct profile *second = begin_at(2);
    add_samples(second, site, 20);
    const struct profile *kept = profile_seal(second);
    const double growth = figures_of(kept, GROUP_SITE).growth_bytes_per_second;
    for (uint64_t i = 3; i < 100; i++) {
        struct profile *later = begin_at(i);
        add_samples(later, site, 20);
        drop(profile_seal(later));
    }
    cr_assert_eq(figures_of(kept, GROUP_SITE).growth_bytes_per_second, growth);
    cr_assert_gt(growth, 0);
    drop(kept);
}

/* ---- sums ---- */

Test(retention, groups_of_any_kind_add_up_to_the_totals_of_the_profile)
{
    struct profile *building = begin_at(1);
    uint64_t random = 5;
    static const char *const packages[] = {"main", "example.com/a", "example.com/b"};
    for (int i = 0; i < 60; i++) {
        char stack[128];
        snprintf(stack, sizeof(stack), "%s%s.f%d main.job%d",
                 i % 4 == 0 ? "runtime.concatstrings " : "", packages[i % 3], i, i % 7);
        const size_t size = (size_t)16 << (i % 12);
        add_samples(building, sample_site(table, stack, i % 4 == 0, size),
                    sample_random(&random) % 40);
    }
    const struct profile *profile = profile_seal(building);
    static const enum group_by ways[] = {GROUP_TYPE_TAG, GROUP_SITE, GROUP_TYPE, GROUP_TAG,
                                         GROUP_PACKAGE};
    for (size_t w = 0; w < 5; w++) {
        const struct tops *tops = tops_new(profile, ways[w], SIZE_MAX);
        struct profile_totals sum = {0};
        double samples = 0;
        double variance = 0;
        uint64_t sites = 0;
        for (size_t i = 0; i < tops->allocation_count; i++) {
            sum.alloc_bytes += tops->allocations[i].alloc_bytes;
            sum.alloc_objects += tops->allocations[i].alloc_objects;
            sites += tops->allocations[i].site_count;
        }
        for (size_t i = 0; i < tops->retention_count; i++) {
            sum.inuse_bytes += tops->retentions[i].inuse_bytes;
            sum.inuse_objects += tops->retentions[i].inuse_objects;
            samples += tops->retentions[i].retention.samples;
            variance += pow(tops->retentions[i].retention.standard_error_bytes, 2);
        }
        cr_assert_eq(sum.alloc_bytes, profile->totals.alloc_bytes, "way %zu", w);
        cr_assert_eq(sum.alloc_objects, profile->totals.alloc_objects, "way %zu", w);
        cr_assert_eq(sum.inuse_bytes, profile->totals.inuse_bytes, "way %zu", w);
        cr_assert_eq(sum.inuse_objects, profile->totals.inuse_objects, "way %zu", w);
        cr_assert_eq(sites, 60, "way %zu", w);
        static double all_samples = -1;
        static double all_variance = -1;
        if (w == 0) {
            all_samples = samples;
            all_variance = variance;
        }
        cr_assert_eq(samples, all_samples, "way %zu", w);
        cr_assert_float_eq(variance, all_variance, all_variance * 1e-9, "way %zu", w);
        tops_unref(tops);
    }
    drop(profile);
}
