/* tops.c - the largest groups of a profile. */
#include <criterion/criterion.h>

#include "core/store/profile.h"
#include "tests/unit/store/samples.h"

static struct site_table *table;
static struct profile *building;

static void set_up(void)
{
    table = site_table_new();
    building = profile_begin(table, 5000);
}

static void tear_down(void)
{
    profile_discard(building);
    site_table_unref(table);
}

TestSuite(tops, .init = set_up, .fini = tear_down);

static void add(const char *functions, size_t hidden, int64_t alloc_bytes, int64_t inuse_bytes)
{
    sample_entry(building, sample_site(table, functions, hidden, 16), alloc_bytes, inuse_bytes);
}

Test(tops, puts_sites_of_one_type_and_tag_together_and_sorts_by_bytes)
{
    add("main.small", 0, 1000, 10);
    add("main.large", 0, 2000, 30);
    add("strings.Repeat main.large", 0, 3000, 5);
    add("runtime.concatstrings main.large", 1, 50, 50);
    const struct tops *tops = tops_new(building, GROUP_TYPE_TAG, 10);
    cr_assert_eq(tops->allocation_count, 3);
    cr_assert_str_eq(tops->allocations[0].tag, "main.large");
    cr_assert_str_eq(tops->allocations[0].type_name, "unknown");
    cr_assert_eq(tops->allocations[0].alloc_bytes, 5000);
    cr_assert_eq(tops->allocations[0].inuse_bytes, 35);
    cr_assert_eq(tops->allocations[0].site_count, 2);
    cr_assert_str_eq(tops->allocations[0].site->frames[0]->function, "strings.Repeat");
    cr_assert_str_eq(tops->allocations[1].tag, "main.small");
    cr_assert_str_eq(tops->allocations[2].type_name, "string");

    cr_assert_eq(tops->retention_count, 3);
    cr_assert_str_eq(tops->retentions[0].type_name, "string");
    cr_assert_eq(tops->retentions[0].inuse_bytes, 50);
    cr_assert_eq(tops->retentions[1].inuse_bytes, 35);
    /* The largest by what the list is about. */
    cr_assert_str_eq(tops->retentions[1].site->frames[0]->function, "main.large");
    tops_unref(tops);
}

Test(tops, leaves_out_what_is_zero_and_takes_negative_use_as_none)
{
    add("main.gone", 0, 100, 0);
    add("main.torn", 0, 100, -50);
    add("main.x main.torn", 0, 100, 20);
    add("main.never", 0, 0, 0);
    const struct tops *tops = tops_new(building, GROUP_TAG, 10);
    cr_assert_eq(tops->allocation_count, 2);
    cr_assert_eq(tops->retention_count, 1);
    cr_assert_eq(tops->retentions[0].inuse_bytes, 20); /* not 20 - 50 */
    cr_assert_str_eq(tops->retentions[0].type_name, "");
    tops_unref(tops);
}

Test(tops, breaks_ties_by_name_whatever_the_order_of_the_sites)
{
    add("main.c", 0, 64, 64);
    add("main.a", 0, 64, 64);
    add("main.d", 0, 64, 64);
    add("main.b", 0, 64, 64);
    const struct tops *tops = tops_new(building, GROUP_TYPE_TAG, 3);
    cr_assert_eq(tops->allocation_count, 3);
    cr_assert_str_eq(tops->allocations[0].tag, "main.a");
    cr_assert_str_eq(tops->allocations[1].tag, "main.b");
    cr_assert_str_eq(tops->allocations[2].tag, "main.c");
    cr_assert_str_eq(tops->retentions[2].tag, "main.c");
    tops_unref(tops);
}

Test(tops, groups_by_each_of_the_five_ways)
{
    add("runtime.concatstrings example.com/a.F", 1, 10, 10);
    add("runtime.concatstrings example.com/a.G", 1, 20, 20);
    add("example.com/a.G", 0, 30, 30);
    add("example.com/b.H", 0, 40, 40);
    static const struct {
        enum group_by by;
        size_t groups;
        int64_t largest;
        const char *type_name;
        const char *tag;
        const char *package;
    } expected[] = {
        {GROUP_TYPE_TAG, 4, 40, "unknown", "b.H", "example.com/b"},
        {GROUP_SITE, 4, 40, "unknown", "b.H", "example.com/b"},
        {GROUP_TYPE, 2, 70, "unknown", "", "example.com/b"},
        {GROUP_TAG, 3, 50, "", "a.G", "example.com/a"},
        {GROUP_PACKAGE, 2, 60, "", "", "example.com/a"},
    };
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        const struct tops *tops = tops_new(building, expected[i].by, 10);
        cr_assert_eq(tops->allocation_count, expected[i].groups, "grouping %zu", i);
        cr_assert_eq(tops->allocations[0].alloc_bytes, expected[i].largest, "grouping %zu", i);
        cr_assert_str_eq(tops->allocations[0].type_name, expected[i].type_name);
        cr_assert_str_eq(tops->allocations[0].tag, expected[i].tag);
        cr_assert_str_eq(tops->allocations[0].package, expected[i].package);
        tops_unref(tops);
    }
}

Test(tops, keeps_sites_of_one_stack_and_different_sizes_apart_when_grouped_by_site)
{
    sample_entry(building, sample_site(table, "main.f", 0, 16), 100, 100);
    sample_entry(building, sample_site(table, "main.f", 0, 32), 100, 100);
    const struct tops *by_site = tops_new(building, GROUP_SITE, 10);
    cr_assert_eq(by_site->allocation_count, 2);
    cr_assert_eq(by_site->allocations[0].site->object_bytes, 16);
    tops_unref(by_site);
    const struct tops *by_tag = tops_new(building, GROUP_TAG, 10);
    cr_assert_eq(by_tag->allocation_count, 1);
    cr_assert_eq(by_tag->allocations[0].site_count, 2);
    tops_unref(by_tag);
}

static int descending(const void *a, const void *b)
{
    const int64_t left = *(const int64_t *)a;
    const int64_t right = *(const int64_t *)b;
    return (left < right) - (left > right);
}

Test(tops, finds_the_same_largest_as_sorting_everything)
{
    enum { SITES = 3000 };
    uint64_t random = 42;
    int64_t *all = calloc(SITES, sizeof(*all));
    for (int i = 0; i < SITES; i++) {
        char name[32];
        snprintf(name, sizeof(name), "main.f%d", i);
        all[i] = (int64_t)(sample_random(&random) % 100000) + 1;
        add(name, 0, all[i], all[i]);
    }
    qsort(all, SITES, sizeof(*all), descending);
    static const size_t limits[] = {0, 1, 2, 3, 10, 100, SITES - 1, SITES, SITES + 1, SIZE_MAX};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        const size_t expected = limits[i] < SITES ? limits[i] : SITES;
        const struct tops *tops = tops_new(building, GROUP_SITE, limits[i]);
        cr_assert_eq(tops->allocation_count, expected);
        cr_assert_eq(tops->retention_count, expected);
        for (size_t k = 0; k < expected; k++) {
            cr_assert_eq(tops->allocations[k].alloc_bytes, all[k]);
            cr_assert_eq(tops->retentions[k].inuse_bytes, all[k]);
        }
        cr_assert_geq(tops_bytes(tops), sizeof(*tops) + 2 * expected * sizeof(struct top_entry));
        tops_unref(tops);
    }
    free(all);
}

Test(tops, stays_at_the_end_of_the_range_when_a_target_lies)
{
    add("main.f main.a", 0, INT64_MAX, INT64_MAX);
    add("main.g main.a", 0, INT64_MAX, INT64_MAX);
    const struct tops *tops = tops_new(building, GROUP_TAG, 10);
    cr_assert_eq(tops->allocations[0].alloc_bytes, INT64_MAX);
    cr_assert_eq(tops->retentions[0].inuse_bytes, INT64_MAX);
    tops_unref(tops);
}

Test(tops, of_an_empty_profile_are_empty)
{
    const struct tops *tops = tops_new(building, GROUP_TYPE_TAG, 10);
    cr_assert_eq(tops->allocation_count, 0);
    cr_assert_eq(tops->retention_count, 0);
    tops_unref(tops_ref(tops));
    tops_unref(tops);
    tops_unref(NULL);
}

Test(group_by, knows_the_five_words_of_the_api_and_no_other)
{
    static const char *const words[] = {"type_tag", "site", "type", "tag", "package"};
    enum group_by by = GROUP_SITE;
    for (size_t i = 0; i < 5; i++) {
        cr_assert(group_by_parse(words[i], &by), "%s", words[i]);
        cr_assert_eq((size_t)by, i);
    }
    cr_assert_not(group_by_parse("types", &by));
    cr_assert_not(group_by_parse("", &by));
}

Test(tops, since_another_profile_tell_the_change_of_each_group)
{
    struct profile *before = profile_begin(table, 10);
    sample_entry(before, sample_site(table, "main.grown", 0, 16), 1000, 100);
    sample_entry(before, sample_site(table, "strings.Repeat main.grown", 0, 16), 1000, 300);
    sample_entry(before, sample_site(table, "main.freed", 0, 16), 500, 500);
    sample_entry(before, sample_site(table, "main.same", 0, 16), 70, 70);
    add("main.grown", 0, 1500, 400);
    add("strings.Repeat main.grown", 0, 1000, 200);
    add("main.freed", 0, 900, 50);
    add("main.same", 0, 70, 70);
    add("main.fresh", 0, 20, 10);
    const struct profile *past = profile_seal_past(before);
    const struct tops *tops = tops_since(building, past, GROUP_TAG, 10);
    cr_assert_eq(tops->allocation_count, 3);
    cr_assert_str_eq(tops->allocations[0].tag, "main.grown");
    cr_assert_eq(tops->allocations[0].alloc_bytes, 500);
    cr_assert_eq(tops->allocations[0].inuse_bytes, 200, "what one site gave back another took");
    cr_assert_str_eq(tops->allocations[1].tag, "main.freed");
    cr_assert_eq(tops->allocations[1].alloc_bytes, 400);
    cr_assert_eq(tops->retention_count, 2);
    cr_assert_str_eq(tops->retentions[0].tag, "main.grown");
    cr_assert_eq(tops->retentions[0].inuse_bytes, 200);
    cr_assert_str_eq(tops->retentions[1].tag, "main.fresh");
    tops_unref(tops);
    profile_unref(past);
}
