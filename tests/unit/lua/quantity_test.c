/* quantity_test.c - numbers with units. */
#include <criterion/criterion.h>

#include "lua/quantity.h"

Test(quantity, reads_units_into_base_units)
{
    static const struct {
        const char *text;
        double value;
        enum quantity_unit unit;
        bool per_second;
    } cases[] = {
        {"12", 12, QUANTITY_PLAIN, false},           {"-1.5", -1.5, QUANTITY_PLAIN, false},
        {"64MiB", 67108864, QUANTITY_BYTES, false},  {"1.5GB", 1.5e9, QUANTITY_BYTES, false},
        {"256KiB/s", 262144, QUANTITY_BYTES, true},  {"60MiB/m", 1048576, QUANTITY_BYTES, true},
        {"10m", 600, QUANTITY_SECONDS, false},       {"1h30m", 5400, QUANTITY_SECONDS, false},
        {"250ms", 0.25, QUANTITY_SECONDS, false},    {"30%", 30, QUANTITY_PERCENT, false},
        {"36%/h", 0.01, QUANTITY_PERCENT, true},     {"5/s", 5, QUANTITY_PLAIN, true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct quantity quantity;
        cr_assert(quantity_parse(cases[i].text, &quantity), "%s", cases[i].text);
        cr_assert_float_eq(quantity.value, cases[i].value, 1e-9, "%s is %g", cases[i].text, quantity.value);
        cr_assert_eq(quantity.unit, cases[i].unit, "%s", cases[i].text);
        cr_assert_eq(quantity.per_second, cases[i].per_second, "%s", cases[i].text);
    }
}

Test(quantity, refuses_what_is_none)
{
    static const char *const texts[] = {"", "abc", "5 bananas", "/s", "%", "5%%", "MiB", "5MiB/x",
                                        "1e999", "--5", "5MiBs",
                                        "1000000000000000000000000000000000000000000000000000000000000000MiB"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct quantity quantity;
        cr_assert_not(quantity_parse(texts[i], &quantity), "%s", texts[i]);
    }
}
