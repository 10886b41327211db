/* profile_depth.c - GODEBUG=profstackdepth as the runtime takes it. */
#include <criterion/criterion.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/profile_depth.h"

static size_t depth(const char *version, const char *godebug)
{
    const struct go_layout *layout = go_layout_find(version, NULL);
    cr_assert_not_null(layout);
    return profile_depth_parse(layout, godebug);
}

Test(profile_depth, is_that_of_the_version_if_nothing_is_said)
{
    cr_assert_eq(depth("go1.22.12", NULL), 32);
    cr_assert_eq(depth("go1.23.12", NULL), 128);
    cr_assert_eq(depth("go1.27.3", "gctrace=1,madvdontneed=1"), 128);
    cr_assert_eq(depth("go1.22.12", "profstackdepth=64"), 32, "1.22 does not know the setting");
}

Test(profile_depth, is_the_last_setting_up_to_the_runtimes_limit)
{
    cr_assert_eq(depth("go1.26.8", "profstackdepth=20"), 20);
    cr_assert_eq(depth("go1.26.8", "gctrace=1,profstackdepth=20,profstackdepth=300"), 300);
    cr_assert_eq(depth("go1.23.12", "profstackdepth=100000,"), 1024);
}

Test(profile_depth, is_not_taken_from_what_the_runtime_would_not_take)
{
    static const char *const settings[] = {
        "",  "profstackdepth",    "profstackdepth=",   "profstackdepth=-5",
        ",", "profstackdepth=0",  "profstackdepth=9x", "xprofstackdepth=9",
        "=", "profstackdepth= 9", "profstackdepth=99999999999999999999"};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        cr_assert_eq(depth("go1.26.8", settings[i]), 128, "'%s'", settings[i]);
}
