/* clock.c - times as text, there and back. */
#include "core/base/clock.h"

#include <criterion/criterion.h>

static void assert_format(uint64_t realtime_ns, const char *expected)
{
    char text[CLOCK_RFC3339_BYTES];
    cr_assert_eq(clock_format_rfc3339(realtime_ns, text), strlen(expected));
    cr_assert_str_eq(text, expected);
    uint64_t back = 0;
    cr_assert(clock_parse_time(text, &back));
    cr_assert_eq(back, realtime_ns);
}

static uint64_t parsed(const char *text)
{
    uint64_t ns = 0;
    cr_assert(clock_parse_time(text, &ns), "%s", text);
    return ns;
}

Test(clock_text, is_what_go_writes_and_reads_back_the_same)
{
    assert_format(0, "1970-01-01T00:00:00Z");
    assert_format(UINT64_C(1795394852123456789), "2026-11-23T00:47:32.123456789Z");
    assert_format(UINT64_C(1795394852123000000), "2026-11-23T00:47:32.123Z");
    assert_format(UINT64_C(1795394852000000001), "2026-11-23T00:47:32.000000001Z");
    assert_format(UINT64_C(1709164800000000000), "2024-02-29T00:00:00Z");
    assert_format(UINT64_C(18446744072000000000), "2554-07-21T23:34:32Z");
}

Test(clock_text, accepts_offsets_and_unix_seconds)
{
    cr_assert_eq(parsed("2026-11-23T02:47:32+02:00"), UINT64_C(1795394852000000000));
    cr_assert_eq(parsed("2026-11-22T17:17:32.5-07:30"), UINT64_C(1795394852500000000));
    cr_assert_eq(parsed("1795394852"), UINT64_C(1795394852000000000));
    cr_assert_eq(parsed("1795394852.25"), UINT64_C(1795394852250000000));
    cr_assert_eq(parsed("0"), 0);
    cr_assert_eq(parsed("2026-11-23T00:47:32.1234567899999Z"), UINT64_C(1795394852123456789));
}

Test(clock_text, refuses_what_is_no_time)
{
    static const char *const bad[] = {"",
                                      "now",
                                      "-1",
                                      " 1795394852",
                                      "1795394852 ",
                                      "1795394852.",
                                      "1e9",
                                      "99999999999999999999",
                                      "18446744073709551615",
                                      "2026-11-23",
                                      "2026-11-23T00:47:32",
                                      "2026-11-23 00:47:32Z",
                                      "2026-13-01T00:00:00Z",
                                      "2026-02-30T00:00:00Z",
                                      "2026-00-10T00:00:00Z",
                                      "2026-01-00T00:00:00Z",
                                      "2026-11-23T24:00:00Z",
                                      "2026-11-23T00:60:00Z",
                                      "2026-11-23T00:47:32.Z",
                                      "2026-11-23T00:47:32Zx",
                                      "2026-11-23T00:47:32+2:00",
                                      "2026-11-23T00:47:32+-2:00",
                                      "2026-11-23T00:47:32+24:00",
                                      " 2026-11-23T00:47:32Z",
                                      "26-11-23T00:47:32Z",
                                      "1969-12-31T23:59:59Z",
                                      "9999-12-31T23:59:59Z"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns = 0;
        cr_expect_not(clock_parse_time(bad[i], &ns), "'%s' became %llu", bad[i],
                      (unsigned long long)ns);
    }
}

Test(clock, sleeps_until_a_deadline_and_not_when_it_has_passed)
{
    const uint64_t start_ns = clock_monotonic_ns();
    clock_sleep_until_ns(start_ns + 20 * CLOCK_NS_PER_MS);
    cr_assert_geq(clock_monotonic_ns(), start_ns + 20 * CLOCK_NS_PER_MS);
    const uint64_t before_ns = clock_monotonic_ns();
    clock_sleep_until_ns(start_ns);
    cr_assert_lt(clock_monotonic_ns() - before_ns, CLOCK_NS_PER_S);
}
