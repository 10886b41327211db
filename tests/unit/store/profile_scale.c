/* profile_scale.c - equal to Go, not close: against tables that Go itself printed. */
#include <criterion/criterion.h>
#include <inttypes.h>

#include "core/store/go_exp.h"
#include "core/store/profile.h"

static FILE *open_table(const char *name)
{
    char path[512];
    snprintf(path, sizeof(path), "%s/tests/fixtures/scale/%s", GOPROFD_SOURCE_DIR, name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    return file;
}

/* Checks every scale row of [name] through the pair of allocated counters and the pair in use. */
static void check_scale_table(const char *name, bool size_exact)
{
    FILE *file = open_table(name);
    char line[256];
    size_t rows = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        int64_t count, size, rate, fma[2], plain[2];
        if (sscanf(line,
                   "scale %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64 " %" SCNd64
                   " %" SCNd64,
                   &count, &size, &rate, &fma[0], &fma[1], &plain[0], &plain[1]) != 7)
            continue;
        rows++;
        const int64_t *expected = fma;
#if defined(__x86_64__)
        if (!go_exp_has_fma())
            expected = plain;
#endif
        /* The freed part is arbitrary: in use is the difference. */
        const struct profile_raw raw = {
            .allocs = (uint64_t)count + 12345,
            .frees = 12345,
            .alloc_bytes = size_exact ? 0 : (uint64_t)size + 99999,
            .free_bytes = size_exact ? 0 : 99999,
        };
        struct profile_entry entry = {0};
        profile_scale(&entry, &raw, (uint64_t)size, rate, size_exact);
        cr_assert_eq(entry.inuse_objects, expected[0], "in use: %s", line);
        cr_assert_eq(entry.inuse_bytes, expected[1], "in use: %s", line);
        const struct profile_raw no_frees = {
            .allocs = (uint64_t)count,
            .alloc_bytes = size_exact ? 0 : (uint64_t)size,
        };
        profile_scale(&entry, &no_frees, (uint64_t)size, rate, size_exact);
        cr_assert_eq(entry.alloc_objects, expected[0], "allocated: %s", line);
        cr_assert_eq(entry.alloc_bytes, expected[1], "allocated: %s", line);
        cr_assert_eq(entry.inuse_objects, expected[0]);
        cr_assert_eq(entry.inuse_bytes, expected[1]);
    }
    fclose(file);
    cr_assert_gt(rows, 1500, "%zu rows", rows);
}

#if defined(__x86_64__) /* arm64's exp differs in the last bit, and its tables would */
Test(profile_scale, equals_what_go_1_19_to_1_26_print)
{
    check_scale_table("go1.19.txt", false);
}

Test(profile_scale, equals_what_go_1_27_prints)
{
    check_scale_table("go1.27.txt", true);
}
#endif

enum exp_column { EXP_FIRST, EXP_SECOND };

static void check_exp_table(const char *name, enum exp_column column, double (*exp_form)(double))
{
    FILE *file = open_table(name);
    char line[256];
    size_t rows = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        uint64_t input, results[2] = {0};
        if (sscanf(line, "exp %" SCNu64 " %" SCNu64 " %" SCNu64, &input, &results[0], &results[1]) <
            2 + (int)column)
            continue;
        rows++;
        double x, expected;
        memcpy(&x, &input, sizeof(x));
        memcpy(&expected, &results[column], sizeof(expected));
        const double got = exp_form(x);
        cr_assert_eq(memcmp(&got, &expected, sizeof(got)), 0, "exp(%a) is %a in Go, %a here", x,
                     expected, got);
    }
    fclose(file);
    cr_assert_gt(rows, 1000, "%zu rows", rows);
}

#if defined(__x86_64__)
Test(go_exp, has_the_bits_of_go_on_amd64_with_fused_multiply_add)
{
    if (!go_exp_has_fma())
        return; /* such a CPU has no such instructions to test */
    check_exp_table("go1.19.txt", EXP_FIRST, go_exp_amd64_fma);
    check_exp_table("go1.27.txt", EXP_FIRST, go_exp_amd64_fma);
}

Test(go_exp, has_the_bits_of_go_on_amd64_without_fused_multiply_add)
{
    check_exp_table("go1.19.txt", EXP_SECOND, go_exp_amd64_plain);
    check_exp_table("go1.27.txt", EXP_SECOND, go_exp_amd64_plain);
}
#endif

Test(go_exp, has_the_bits_of_go_on_arm64)
{
    check_exp_table("go1.27-arm64.txt", EXP_FIRST, go_exp_arm64);
}

Test(profile_scale, keeps_what_was_sampled_beside_what_it_stands_for)
{
    struct profile_entry entry = {0};
    const struct profile_raw raw = {
        .allocs = 10, .frees = 4, .alloc_bytes = 480, .free_bytes = 192};
    profile_scale(&entry, &raw, 48, 524288, false);
    cr_assert_eq(entry.allocs, 10);
    cr_assert_eq(entry.frees, 4);
    cr_assert_eq(entry.block_bytes, 48);
    cr_assert_gt(entry.alloc_objects, 100000); /* each small object seen stands for thousands */
}

Test(profile_scale, labels_by_division_before_1_27_and_by_bucket_size_since)
{
    struct profile_entry entry = {0};
    const struct profile_raw uneven = {.allocs = 3, .alloc_bytes = 100};
    profile_scale(&entry, &uneven, 48, 1, false);
    cr_assert_eq(entry.block_bytes, 33);
    profile_scale(&entry, &uneven, 48, 1, true);
    cr_assert_eq(entry.block_bytes, 48);
    const struct profile_raw never_allocated = {0};
    profile_scale(&entry, &never_allocated, 48, 1, false);
    cr_assert_eq(entry.block_bytes, 0);
}

Test(profile_scale, gives_negative_use_as_go_does_when_counters_are_torn)
{
    struct profile_entry entry = {0};
    const struct profile_raw torn = {
        .allocs = 1, .frees = 2, .alloc_bytes = 100, .free_bytes = 200};
    profile_scale(&entry, &torn, 100, 1, false);
    cr_assert_eq(entry.inuse_objects, -1);
    cr_assert_eq(entry.inuse_bytes, -100);
}

Test(profile_scale, gives_the_same_one_by_one_and_with_factors_that_are_kept)
{
    static const int64_t rates[] = {1, 512, 524288};
    uint64_t state = 42;
    for (size_t r = 0; r < 3; r++) {
        struct profile_scaler scaler;
        profile_scaler_init(&scaler, rates[r], r == 1);
        for (size_t i = 0; i < 20000; i++) { /* far more sizes than are kept */
            state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            const uint64_t object_bytes = 8 * (1 + (state >> 33) % (i % 2 == 0 ? 60 : 4000));
            const uint64_t allocs = 1 + (state >> 20) % 1000, frees = (state >> 50) % allocs;
            const struct profile_raw raw = {allocs, frees, allocs * object_bytes, frees * object_bytes};
            struct profile_entry alone = {0}, together = {0};
            profile_scale(&alone, &raw, object_bytes, rates[r], r == 1);
            profile_scaler_scale(&scaler, &together, &raw, object_bytes);
            cr_assert_arr_eq(&alone, &together, sizeof(alone), "%" PRIu64 " bytes", object_bytes);
        }
    }
}
