/* config_units.c - sizes and durations as text. */
#include <criterion/criterion.h>

#include "core/base/config.h"

static uint64_t size_of(const char *text)
{
    uint64_t bytes = 0;
    cr_assert(config_parse_size(text, &bytes), "%s", text);
    return bytes;
}

static uint64_t ns_of(const char *text)
{
    uint64_t ns = 0;
    cr_assert(config_parse_duration(text, &ns), "%s", text);
    return ns;
}

Test(config_size, knows_binary_and_decimal_units)
{
    cr_assert_eq(size_of("4096"), 4096);
    cr_assert_eq(size_of("64MiB"), UINT64_C(64) << 20);
    cr_assert_eq(size_of("64 mib"), UINT64_C(64) << 20);
    cr_assert_eq(size_of("1.5GB"), 1500000000);
    cr_assert_eq(size_of("0.5KiB"), 512);
    cr_assert_eq(size_of("2Gi"), UINT64_C(2) << 30);
    cr_assert_eq(size_of("7B"), 7);
    cr_assert_eq(size_of("16777215TiB"), UINT64_C(16777215) << 40);
}

Test(config_size, refuses_what_is_ambiguous_or_too_large)
{
    static const char *const bad[] = {"",     "MiB", "64M",  "1.5",  "1.B", "-1",    "1 MiB ", "1e3",
                                      "0x10", " 1",  "1.5B", "16777216TiB", "99999999999999999999"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t bytes = 0;
        cr_expect_not(config_parse_size(bad[i], &bytes), "%s", bad[i]);
    }
}

Test(config_duration, reads_what_go_prints)
{
    cr_assert_eq(ns_of("250ms"), UINT64_C(250000000));
    cr_assert_eq(ns_of("5s"), UINT64_C(5000000000));
    cr_assert_eq(ns_of("1h30m"), UINT64_C(5400000000000));
    cr_assert_eq(ns_of("1.5h"), UINT64_C(5400000000000));
    cr_assert_eq(ns_of("1m0.5s"), UINT64_C(60500000000));
    cr_assert_eq(ns_of("3\xC2\xB5s"), 3000);
    cr_assert_eq(ns_of("3us7ns"), 3007);
    cr_assert_eq(ns_of("0"), 0);
    cr_assert_eq(ns_of("2d"), UINT64_C(172800000000000));
    cr_assert_eq(ns_of("0.123456789d"), UINT64_C(10666666569600));
}

Test(config_duration, refuses_numbers_without_a_unit_and_overflow)
{
    static const char *const bad[] = {"",    "5",    "s",     "5 s",   "-5s", "5s ",
                                      "5sm", "1h30", "1..5s", "99999999999d", "1h1x"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        uint64_t ns = 0;
        cr_expect_not(config_parse_duration(bad[i], &ns), "%s", bad[i]);
    }
}
