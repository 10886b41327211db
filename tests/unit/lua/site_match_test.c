/* site_match_test.c - what is remembered of patterns. */
#include "lua/site_match.h"

#include <criterion/criterion.h>

#include "core/store/site.h"

static void add_sites(struct site_table *table, size_t count)
{
    const char *name = site_table_string(table, "main.work", 9);
    const struct frame frame = {.function = name, .file = name, .starts_location = true};
    struct error err;
    for (size_t i = 0; i < count; i++)
        cr_assert_not_null(site_table_add(
            table, &(struct site_facts){.frames = &frame, .frame_count = 1, .object_bytes = 16}, &err));
}

static struct site_match_entry *find(struct site_match *match, struct site_table *table,
                                     const char *pattern)
{
    bool fresh;
    struct site_match_entry *entry =
        site_match_find(match, table, 'f', pattern, strlen(pattern), &fresh);
    cr_assert_not_null(entry);
    return entry;
}

Test(site_match, remembers_functions_for_each_pattern_where_there_are_many_sites)
{
    struct site_table *table = site_table_new();
    struct site_match *match = site_match_new();
    add_sites(table, SITE_MATCH_MANY_SITES);
    const char *one = site_table_string(table, "main.one", 8);
    const char *two = site_table_string(table, "main.two", 8);
    struct site_match_entry *ends_in_e = find(match, table, "e$"), *has_w = find(match, table, "w");

    cr_assert_eq(site_match_function(ends_in_e, one), SITE_UNKNOWN);
    site_match_note_function(ends_in_e, one, true);
    site_match_note_function(ends_in_e, two, false);
    cr_expect_eq(site_match_function(ends_in_e, one), SITE_YES);
    cr_expect_eq(site_match_function(ends_in_e, two), SITE_NO);
    cr_expect_eq(site_match_function(has_w, one), SITE_UNKNOWN);
    site_match_note_function(has_w, one, false);
    cr_expect_eq(site_match_function(has_w, one), SITE_NO);
    cr_expect_eq(site_match_function(find(match, table, "e$"), one), SITE_YES);

    site_match_free(match);
    site_table_unref(table);
}

/* The place of one that was pushed out must not speak for the one that comes after it. */
Test(site_match, a_pattern_that_takes_the_place_of_another_knows_nothing_of_it)
{
    struct site_table *table = site_table_new();
    struct site_match *match = site_match_new();
    add_sites(table, SITE_MATCH_MANY_SITES);
    const char *one = site_table_string(table, "main.one", 8);
    site_match_note_function(find(match, table, "first"), one, true);
    char pattern[16];
    for (size_t i = 0; i < SITE_MATCH_PATTERNS_MAX + 1; i++) {
        (void)snprintf(pattern, sizeof(pattern), "p%zu", i);
        cr_assert_eq(site_match_function(find(match, table, pattern), one), SITE_UNKNOWN);
    }
    cr_assert_eq(site_match_function(find(match, table, "first"), one), SITE_UNKNOWN);
    site_match_free(match);
    site_table_unref(table);
}

Test(site_match, of_another_process_nothing_is_known)
{
    struct site_table *table = site_table_new(), *other = site_table_new();
    struct site_match *match = site_match_new();
    add_sites(table, SITE_MATCH_MANY_SITES);
    add_sites(other, SITE_MATCH_MANY_SITES);
    const char *one = site_table_string(table, "main.one", 8);
    site_match_note_function(find(match, table, "e"), one, true);
    cr_assert_eq(site_match_function(find(match, other, "e"), one), SITE_UNKNOWN);
    site_match_free(match);
    site_table_unref(table);
    site_table_unref(other);
}

Test(site_match, small_programs_pay_nothing_for_it)
{
    struct site_table *table = site_table_new();
    struct site_match *match = site_match_new();
    add_sites(table, 10);
    const size_t bytes = site_match_bytes(match);
    const char *one = site_table_string(table, "main.one", 8);
    struct site_match_entry *entry = find(match, table, "e");
    site_match_note_function(entry, one, true);
    cr_assert_eq(site_match_function(entry, one), SITE_UNKNOWN);
    cr_assert_lt(site_match_bytes(match) - bytes, 1000);
    site_match_free(match);
    site_table_unref(table);
}
