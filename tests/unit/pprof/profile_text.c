/* profile_text.c - the ?debug=1 text, line by line, and as pprof reads it. */
#include <criterion/criterion.h>

#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "sample_profile.h"

enum { TEXT_MAX_BYTES = 1 << 20 };

static const struct profile *two_sites(void)
{
    static const struct sample_frame small[] = {
        {"runtime.mallocgc", "/go/src/runtime/malloc.go", 0x400100, 1000, 900, 0},
        {"main.inner", "/src/app/leak.go", 0x401001, 7, 5, 0},
        {"main.longer_outer", "/src/app/leak.go", 0x401001, 12, 11, 1},
        {"main.main", "/src/app/main.go", 0x402001, 30, 20, 0},
        {"runtime.goexit", "/go/src/runtime/asm_amd64.s", 0x403001, 1, 1, 0},
    };
    static const struct sample_frame large[] = {
        {"slices.Grow[go.shape.[]int,go.shape.int].func1", "/go/src/slices.go", 0x404001, 9, 8, 0},
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 2);
    sample_entry(profile, sample_site(table, small, 5, 1, 64), 3, 1);
    sample_entry(profile, sample_site(table, large, 1, 0, 4096), 5, 4);
    site_table_unref(table);
    return profile_seal(profile);
}

Test(profile_text, lists_unscaled_counts_largest_first_under_twice_the_rate)
{
    const struct profile *profile = two_sites();
    struct buffer out;
    struct error err = {0};
    buffer_init(&out, TEXT_MAX_BYTES);
    cr_assert(profile_write_text(profile, &out, &err), "%s", err.message);
    cr_assert_str_eq(buffer_text(&out), "heap profile: 3: 4224 [8: 20672] @ heap/1048576\n"
                                        "1: 4096 [5: 20480] @ 0x404001\n"
                                        "#\t0x404000\tslices.Grow[...].func1\t/go/src/slices.go:9\n"
                                        "\n"
                                        "2: 128 [3: 192] @ 0x400100 0x401001 0x402001 0x403001\n"
                                        "#\t0x401000\tmain.inner\t\t/src/app/leak.go:7\n"
                                        "#\t0x401000\tmain.longer_outer\t/src/app/leak.go:12\n"
                                        "#\t0x402000\tmain.main\t\t/src/app/main.go:30\n"
                                        "\n");
    buffer_release(&out);
    profile_unref(profile);
}

Test(profile_text, is_read_by_go_tool_pprof_which_scales_it)
{
    const struct profile *profile = two_sites();
    struct buffer out;
    struct buffer raw;
    struct error err = {0};
    buffer_init(&out, TEXT_MAX_BYTES);
    buffer_init(&raw, TEXT_MAX_BYTES);
    cr_assert(profile_write_text(profile, &out, &err), "%s", err.message);
    sample_pprof_raw(&out, &raw);
    const char *text = buffer_text(&raw);
    cr_assert_not_null(strstr(text, "Period: 524288\n"), "%.4000s", text);
    /* 3 objects of 64 bytes: 3 / (1 - exp(-64 / 524288)) */
    cr_assert_not_null(strstr(text, "24577"), "%.4000s", text);
    cr_assert_not_null(strstr(text, "1: 0x404000"), "%.4000s", text);
    buffer_release(&raw);
    buffer_release(&out);
    profile_unref(profile);
}

Test(profile_text, never_shows_equal_sums_which_pprof_would_misread)
{
    static const struct sample_frame frames[] = {{"main.a", "/src/a.go", 0x401001, 5, 3, 0}};
    struct site_table *table = site_table_new();
    struct profile *building = sample_profile_begin(table, 1);
    sample_entry(building, sample_site(table, frames, 1, 0, 64), 2, 0);
    site_table_unref(table);
    const struct profile *profile = profile_seal(building);

    struct buffer out;
    struct error err = {0};
    buffer_init(&out, TEXT_MAX_BYTES);
    cr_assert(profile_write_text(profile, &out, &err), "%s", err.message);
    cr_assert_not_null(strstr(buffer_text(&out), "heap profile: 2: 128 [2: 129] @ heap/1048576\n"));
    buffer_release(&out);
    profile_unref(profile);
}

Test(profile_text, lets_no_name_forge_a_line)
{
    static const struct sample_frame frames[] = {
        {"main.evil\n9: 9 [9: 9] @ 0x1", "/src/\ta.go\x7f", 0x401001, 5, 3, 0}};
    struct site_table *table = site_table_new();
    struct profile *building = sample_profile_begin(table, 1);
    sample_entry(building, sample_site(table, frames, 1, 0, 64), 2, 1);
    site_table_unref(table);
    const struct profile *profile = profile_seal(building);

    struct buffer out;
    struct error err = {0};
    buffer_init(&out, TEXT_MAX_BYTES);
    cr_assert(profile_write_text(profile, &out, &err), "%s", err.message);
    const char *text = buffer_text(&out);
    cr_assert_not_null(strstr(text, "main.evil\\x0a9: 9 [...] @ 0x1\t/src/\\x09a.go\\x7f:5\n"),
                       "%.4000s", text);
    buffer_release(&out);
    profile_unref(profile);
}

Test(profile_text, refuses_to_outgrow_its_buffer)
{
    const struct profile *profile = two_sites();
    struct buffer out;
    struct error err = {0};
    buffer_init(&out, 100);
    cr_assert_not(profile_write_text(profile, &out, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    buffer_release(&out);
    profile_unref(profile);
}
