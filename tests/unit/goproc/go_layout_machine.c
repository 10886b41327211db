/* Columns by machine: the numbers themselves are compared with Go's own by tests/check_go_layout.sh. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/goproc/go_layout.h"

Test(go_layout, has_a_column_for_each_version_on_both_machines)
{
    for (unsigned minor = GO_LAYOUT_FIRST_MINOR; minor <= GO_LAYOUT_LAST_MINOR; minor++) {
        char version[16];
        struct error err = {0};
        snprintf(version, sizeof(version), "go1.%u.5", minor);
        const struct go_layout *amd64 = go_layout_find(version, &err);
        cr_assert_not_null(amd64, "%s", err.message);
        cr_assert_eq(amd64->minor, minor);
        const struct go_layout *arm64 = go_layout_arm64(amd64);
        cr_assert_eq(arm64->minor, minor);
        cr_assert_eq(arm64->moduledata_bytes, amd64->moduledata_bytes);
        cr_assert_neq(arm64->mheap_spanalloc_inuse, 0);
    }
}

Test(go_layout, knows_that_the_heap_of_arm64_is_padded_to_longer_cache_lines)
{
    const struct go_layout *layout = go_layout_find("go1.27.3", NULL);
    enum { SPAN_LISTS = 136, LONGER_BY = 64 };
    cr_assert_geq(go_layout_arm64(layout)->mheap_spanalloc_inuse,
                  layout->mheap_spanalloc_inuse + SPAN_LISTS * LONGER_BY);
    layout = go_layout_find("go1.19.8", NULL);
    cr_assert_eq(go_layout_arm64(layout)->mheap_spanalloc_inuse, layout->mheap_spanalloc_inuse);
}

Test(go_layout, says_that_a_program_is_obfuscated)
{
    struct error err = {0};
    cr_assert_null(go_layout_find("unknown", &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "garble"), "%s", err.message);
}

Test(go_layout, assumes_the_newest_only_for_what_is_newer)
{
    cr_assert_eq(go_layout_assume("go1.28.1")->minor, GO_LAYOUT_LAST_MINOR);
    cr_assert_eq(go_layout_assume("devel go1.28-abcdef")->minor, GO_LAYOUT_LAST_MINOR);
    cr_assert_eq(go_layout_assume("devel go1.26-abcdef")->minor, 26);
    cr_assert_null(go_layout_assume("go1.27.3"));
    cr_assert_null(go_layout_assume("go1.18.10"));
    cr_assert_null(go_layout_assume("devel go1.18-abcdef"));
    cr_assert_null(go_layout_assume("go2.1.0"));
    cr_assert_null(go_layout_assume("unknown"));
}
