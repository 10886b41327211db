/* memory.c - GET /v1/memory of targets whose pages were not looked at, and of none. */
#include <criterion/criterion.h>
#include <string.h>

#include "fixture.h"

static struct fixture fixture;

static void set_up(void)
{
    fixture_init(&fixture);
    fixture_start(&fixture);
}

static void tear_down(void)
{
    fixture_release(&fixture);
}

TestSuite(memory, .init = set_up, .fini = tear_down);

Test(memory, of_which_nothing_is_known_has_no_made_up_parts)
{
    struct answer answer = fixture_get(&fixture, "/v1/memory?target=demo");
    cr_assert_eq(answer.status, 200);
    cr_assert_not_null(strstr(answer.body, "\"parts\":[]"), "%s", answer.body);
    cr_assert_not_null(strstr(answer.body, "\"limits\":[]"), "%s", answer.body);
    cr_assert_null(strstr(answer.body, "size_classes"), "%s", answer.body);
    cr_assert_null(strstr(answer.body, "rss_bytes"), "%s", answer.body);
    answer_release(&answer);
}

Test(memory, of_an_unknown_target_is_not_found)
{
    struct answer answer = fixture_get(&fixture, "/v1/memory?target=nobody");
    cr_assert_eq(answer.status, 404);
    answer_release(&answer);
}

Test(memory, takes_no_other_parameter)
{
    struct answer answer = fixture_get(&fixture, "/v1/memory?limit=3");
    cr_assert_eq(answer.status, 400);
    cr_assert_not_null(strstr(answer.body, "limit"), "%s", answer.body);
    answer_release(&answer);
}
