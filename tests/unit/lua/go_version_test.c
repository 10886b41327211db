/* go_version_test.c - which versions of Go a range lets through. */
#include <criterion/criterion.h>

#include "lua/go_version.h"

static bool allows(const char *range_text, const char *version_text)
{
    struct go_range range;
    struct go_version version;
    cr_assert(go_range_parse(range_text, &range), "%s", range_text);
    cr_assert(go_version_read(version_text, &version), "%s", version_text);
    return go_range_allows(&range, &version);
}

Test(go_version, a_range_compares_as_far_as_it_is_written)
{
    cr_assert(allows("<1.23", "go1.22.9"));
    cr_assert(!allows("<1.23", "go1.23rc1"));
    cr_assert(!allows("<1.23", "go1.23.0"));
    cr_assert(allows("<=1.22", "go1.22.9"));
    cr_assert(!allows(">1.22", "go1.22.9"));
    cr_assert(allows("1.22", "go1.22.9"));
    cr_assert(allows("<1.22.4", "go1.22.3"));
    cr_assert(!allows("<1.22.4", "go1.22.4"));
    cr_assert(allows(">=1.9", "go1.21.0"));
}

Test(go_version, all_bounds_of_a_range_must_hold)
{
    cr_assert(allows(">=1.19 <1.23", "go1.19"));
    cr_assert(allows(">= 1.19, < go1.23", "go1.22.12"));
    cr_assert(!allows(">=1.19 <1.23", "go1.18.10"));
    cr_assert(!allows(">=1.19 <1.23", "go1.23.1"));
}

Test(go_version, refuses_what_is_no_range)
{
    static const char *const wrong[] = {"", "new", "<", "< 1.23x", "1.2 || 1.3", "~1.2",
                                        ">=1 >=1 >=1 >=1 >=1"};
    struct go_range range;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_assert(!go_range_parse(wrong[i], &range), "%s", wrong[i]);
}

Test(go_version, reads_what_a_build_says_and_refuses_what_has_no_number)
{
    struct go_version version;
    cr_assert(go_version_read("go1.24.13 X:nocoverageredesign", &version));
    cr_assert_eq(version.parts[1], 24u);
    cr_assert_eq(version.parts[2], 13u);
    cr_assert(!go_version_read("devel go1.24-abcdef", &version));
    cr_assert(!go_version_read("", &version));
}
