/* stack_profile.c - what is counted together, what is kept apart, and the caps. */
#include "core/store/stack_profile.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct stack *add(struct stack_profile *profile, uint64_t pc, bool cut)
{
    struct error err = {0};
    const struct frame frame = {.function = "main.f", .file = "f.go", .address = pc};
    const struct stack_place place = {.pc = pc};
    const struct stack stack = {.pcs = &pc,
                                .frames = &frame,
                                .places = &place,
                                .pc_count = 1,
                                .frame_count = 1,
                                .cut = cut};
    const struct stack *known = stack_profile_find(profile, &pc, 1, cut);
    return known != NULL ? known : stack_profile_add_stack(profile, &stack, &err);
}

Test(stack_profile, finds_a_stack_by_its_pcs_and_whether_it_was_cut)
{
    struct site_table *sites = site_table_new();
    struct stack_profile *profile = stack_profile_begin(STACK_GOROUTINE, sites);
    const struct stack *first = add(profile, 1, false);
    for (uint64_t pc = 2; pc < 3000; pc++)
        cr_assert_not_null(add(profile, pc, false));
    cr_expect_eq(add(profile, 1, false), first);
    cr_expect_neq(add(profile, 1, true), first);
    cr_expect_null(stack_profile_find(profile, &(uint64_t){5000}, 1, false));
    stack_profile_discard(profile);
    site_table_unref(sites);
}

Test(stack_profile, counts_equal_stacks_with_equal_labels_together)
{
    struct error err = {0};
    struct site_table *sites = site_table_new();
    struct stack_profile *building = stack_profile_begin(STACK_GOROUTINE, sites);
    const struct stack *stack = add(building, 1, false);
    const struct stack_label ab[] = {{"a", "1"}, {"b", "2"}};
    const struct stack_label ba[] = {{"b", "2"}, {"a", "1"}};
    const struct stack_label other[] = {{"a", "1"}, {"b", "3"}};
    cr_assert(stack_profile_count(building, stack, stack_profile_add_labels(building, ab, 2, &err),
                                  1, &err));
    cr_assert(stack_profile_count(building, stack, stack_profile_add_labels(building, ba, 2, &err),
                                  1, &err));
    cr_assert(stack_profile_count(building, stack,
                                  stack_profile_add_labels(building, other, 2, &err), 1, &err));
    cr_assert(stack_profile_count(building, stack, NULL, 5, &err));
    const struct stack_profile *profile = stack_profile_seal(building);
    cr_assert_eq(profile->entry_count, 3);
    cr_expect_eq(profile->entries[0].values[0], 5);
    cr_expect_eq(profile->entries[1].values[0], 2);
    cr_expect_eq(profile->totals[0], 8);
    stack_profile_unref(stack_profile_ref(profile));
    stack_profile_unref(profile);
    site_table_unref(sites);
}

Test(stack_profile, sums_stay_at_the_end_of_the_range)
{
    struct error err = {0};
    struct site_table *sites = site_table_new();
    struct stack_profile *building = stack_profile_begin(STACK_BLOCK, sites);
    const struct stack_entry entry = {.stack = add(building, 1, false),
                                      .values = {INT64_MAX, INT64_MAX}};
    cr_assert(stack_profile_add_entry(building, &entry, &err));
    cr_assert(stack_profile_add_entry(building, &entry, &err));
    const struct stack_profile *profile = stack_profile_seal(building);
    cr_expect_eq(profile->entry_count, 2);
    cr_expect_eq(profile->totals[0], INT64_MAX);
    stack_profile_unref(profile);
    site_table_unref(sites);
}

Test(stack_profile, is_full_at_its_cap)
{
    struct error err = {0};
    struct site_table *sites = site_table_new();
    struct stack_profile *profile = stack_profile_begin(STACK_GOROUTINE, sites);
    static uint64_t pcs[1 << 20];
    const struct stack large = {.pcs = pcs, .pc_count = sizeof(pcs) / sizeof(pcs[0])};
    size_t added = 0;
    while (stack_profile_add_stack(profile, &large, &err) != NULL)
        added++;
    cr_expect_eq(err.code, ERROR_LIMIT);
    cr_expect_lt(added, STACK_PROFILE_MAX_BYTES / sizeof(pcs) + 1);
    stack_profile_discard(profile);
    site_table_unref(sites);
}

Test(stack_profile, kinds_have_the_names_of_debug_pprof)
{
    enum stack_kind kind;
    for (int i = 0; i < STACK_KIND_COUNT; i++) {
        cr_assert(stack_kind_parse(stack_kind_name((enum stack_kind)i), &kind));
        cr_expect_eq((int)kind, i);
    }
    cr_expect_not(stack_kind_parse("heap", &kind));
}
