/* diff.c - a difference as a flame graph and as a table. */
#include "fixture.h"

#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/store/json_msgpack.h"
#include "core/store/profile_diff.h"
#include "http/view_diff.h"

static struct buffer out;
static const struct profile *from;
static const struct profile *to;
static const struct profile *diff;

/* Two processes: the fixture's profile, and one ten times as large with a site table of its own. */
static void set_up(void)
{
    buffer_init(&out, 1 << 20);
    from = fixture_profile(1);
    to = fixture_profile(10);
    diff = profile_diff_new(from, to);
}

static void tear_down(void)
{
    profile_unref(diff);
    profile_unref(to);
    profile_unref(from);
    buffer_release(&out);
}

TestSuite(diff, .init = set_up, .fini = tear_down);

Test(diff, compares_stacks_of_two_processes)
{
    cr_assert_neq(from->sites, to->sites);
    cr_assert_eq(diff->entry_count, to->entry_count);
    cr_assert_eq(diff->totals.inuse_bytes, to->totals.inuse_bytes - from->totals.inuse_bytes);
    cr_assert_eq(diff->totals.alloc_objects, to->totals.alloc_objects - from->totals.alloc_objects);
    const struct profile *same = profile_diff_new(to, to);
    cr_assert_eq(same->entry_count, 0);
    profile_unref(same);
    const struct profile *back = profile_diff_new(to, from);
    cr_assert_eq(back->totals.inuse_bytes, -diff->totals.inuse_bytes);
    profile_unref(back);
}

Test(diff, counts_what_only_one_has)
{
    const struct profile *less = profile_diff_new(from, to);
    struct profile *building = profile_begin(from->sites, 1);
    building->entries[0] = from->entries[0];
    building->entry_count = 1;
    const struct profile *one = profile_seal(building);
    const struct profile *gone = profile_diff_new(from, one);
    cr_assert_eq(gone->entry_count, from->entry_count - 1);
    cr_assert_eq(gone->totals.inuse_bytes, one->totals.inuse_bytes - from->totals.inuse_bytes);
    profile_unref(gone);
    profile_unref(one);
    profile_unref(less);
}

Test(diff, is_a_flame_graph_from_the_outermost_function_in)
{
    struct error err;
    char start[128];
    cr_assert(view_diff_flamegraph(&out, to, diff, &err), "%s", err.message);
    cr_assert(json_is_valid(buffer_text(&out), out.length), "%s", buffer_text(&out));
    (void)snprintf(start, sizeof(start), "{\"name\":\"root\",\"value\":%lld,\"delta\":%lld,\"children\":[{",
                   (long long)to->totals.inuse_bytes, (long long)diff->totals.inuse_bytes);
    cr_assert_eq(strncmp(buffer_text(&out), start, strlen(start)), 0, "%s", buffer_text(&out));
    cr_assert_not_null(strstr(buffer_text(&out), "\"name\":\"main.leak\""));
}

Test(diff, is_a_table_with_the_largest_first)
{
    struct error err;
    cr_assert(view_diff_text(&out, from, to, diff, &err), "%s", err.message);
    const char *text = buffer_text(&out);
    const char *leak = strstr(text, "main.leak /src/leak.go:");
    const char *churn = strstr(text, "main.churn");
    cr_assert_not_null(leak, "%s", text);
    cr_assert_not_null(churn, "%s", text);
    cr_assert_lt(leak, churn);
}
