/* config_support.c - trees of config.lua and their problems, in few words. */
#include "tests/unit/base/config_support.h"

#include <criterion/criterion.h>

static struct outcome begin(void)
{
    struct outcome outcome = {.config = config_new()};
    cr_assert_not_null(outcome.config);
    buffer_init(&outcome.problems_, 1 << 16);
    return outcome;
}

static void finish(struct outcome *outcome)
{
    outcome->problems = buffer_text(&outcome->problems_);
    cr_assert_not_null(outcome->problems);
}

struct outcome outcome_of_tree(const struct config_node *root)
{
    struct outcome outcome = begin();
    if (root != NULL)
        outcome.count = config_apply(outcome.config, root, "config.lua", &outcome.problems_);
    finish(&outcome);
    return outcome;
}

struct outcome outcome_of_environment(char *const *list)
{
    struct outcome outcome = begin();
    outcome.count = config_apply_environment(outcome.config, list, &outcome.problems_);
    finish(&outcome);
    return outcome;
}

void outcome_validate(struct outcome *outcome)
{
    outcome->count += config_validate(outcome->config, &outcome->problems_);
    finish(outcome);
}

void outcome_release(struct outcome *outcome)
{
    config_free(outcome->config);
    buffer_release(&outcome->problems_);
}
