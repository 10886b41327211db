/* config_tags.c - the `tags` of config.lua: rules, or a function. */
#include "core/base/config.h"

#include <criterion/criterion.h>

#include "tests/unit/base/config_support.h"

static void assert_refused(const struct config_node *root, const char *reason)
{
    struct outcome outcome = outcome_of_tree(root);
    cr_assert_geq(outcome.count, 1, "expected: %s", reason);
    cr_assert_not_null(strstr(outcome.problems, reason), "expected: %s\nfound: %s", reason,
                       outcome.problems);
    cr_assert_eq(outcome.config->tag_count, 0);
    outcome_release(&outcome);
}

#define RULE(...) ROOT(TABLE("tags", ITEM_TABLE(1, __VA_ARGS__)))

Test(config_tags, are_rules_in_the_order_of_the_list)
{
    struct outcome outcome = outcome_of_tree(ROOT(
        TABLE("tags", ITEM_TABLE(2, STRING("tag", "db"), STRING("package", "database/*")),
              ITEM_TABLE(1, STRING("tag", "checkout"), STRING("match", "main.(*shop).checkout"),
                         STRING("file", "*/shop.go")))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->tag_count, 2);
    const struct config_tag *tags = outcome.config->tags;
    cr_assert_str_eq(tags[0].tag, "checkout");
    cr_assert_str_eq(tags[0].match, "main.(*shop).checkout");
    cr_assert_str_eq(tags[0].file, "*/shop.go");
    cr_assert_null(tags[0].package);
    cr_assert_str_eq(tags[1].tag, "db");
    cr_assert_null(tags[1].match);
    cr_assert_str_eq(tags[1].package, "database/*");
    cr_assert_not(outcome.config->tags_by_function);
    outcome_release(&outcome);
}

Test(config_tags, may_be_a_function)
{
    struct outcome outcome = outcome_of_tree(ROOT(FUNCTION("tags")));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert(outcome.config->tags_by_function);
    cr_assert_eq(outcome.config->tag_count, 0);
    outcome_release(&outcome);
}

Test(config_tags, are_none_by_default)
{
    struct outcome outcome = outcome_of_tree(ROOT(EMPTY_TABLE("tags")));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->tag_count, 0);
    cr_assert_not(outcome.config->tags_by_function);
    outcome_release(&outcome);
}

Test(config_tags, want_a_tag_and_a_pattern)
{
    assert_refused(RULE(STRING("match", "main.*")), "tags[1]: has no tag");
    assert_refused(RULE(STRING("tag", "x")), "tags[1]: has no pattern");
    assert_refused(RULE(STRING("tag", ""), STRING("match", "x")), "tags[1].tag");
    assert_refused(RULE(STRING("tag", "a\nb"), STRING("match", "x")), "without control characters");
    assert_refused(RULE(NUMBER("tag", 1), STRING("match", "x")), "tags[1].tag");
    assert_refused(RULE(STRING("tag", "x"), FUNCTION("match")), "tags[1].match");
}

Test(config_tags, say_what_is_wrong_with_a_rule_and_suggest_a_near_miss)
{
    assert_refused(RULE(STRING("tag", "x"), STRING("mach", "main.*")), "did you mean match?");
    assert_refused(ROOT(STRING("tags", "main.*")), "tags: found");
    assert_refused(ROOT(TABLE("tags", ITEM_STRING(1, "main.*"))), "tags[1]: found");
    assert_refused(ROOT(TABLE("tags", TABLE("checkout", STRING("match", "x")))), "tags: found");
}

Test(config_tags, refuse_patterns_beyond_their_bound)
{
    char pattern[300];
    memset(pattern, '*', 257);
    pattern[257] = '\0';
    assert_refused(RULE(STRING("tag", "x"), STRING("match", pattern)), "tags[1].match");
    pattern[121] = '\0';
    assert_refused(RULE(STRING("tag", pattern), STRING("match", "x")), "tags[1].tag");
}
