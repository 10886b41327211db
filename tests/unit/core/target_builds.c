/* target_builds.c - a deploy and a restart. */
#include "core/target_builds.h"

#include <criterion/criterion.h>
#include <string.h>

Test(target_builds, takes_the_same_build_again_for_a_restart)
{
    struct target_builds builds = {.generation = 0};
    cr_assert_not(target_builds_note(&builds, "abc/1", 100));
    cr_assert_not(target_builds_note(&builds, "abc/1", 200));
    cr_assert_eq(builds.generation, 1);
    cr_assert_str_eq(builds.previous, "");
    cr_assert_eq(builds.deployed_realtime_ns, 0);
}

Test(target_builds, takes_another_build_for_a_deploy_and_remembers_the_one_before)
{
    struct target_builds builds = {.generation = 0};
    (void)target_builds_note(&builds, "abc/1", 100);
    cr_assert(target_builds_note(&builds, "abc/2", 200));
    cr_assert_eq(builds.generation, 2);
    cr_assert_str_eq(builds.previous, "abc/1");
    cr_assert_eq(builds.deployed_realtime_ns, 200);
    cr_assert_not(target_builds_note(&builds, "abc/2", 300));
    cr_assert_eq(builds.deployed_realtime_ns, 200, "a restart later changes nothing");
    cr_assert(target_builds_note(&builds, "abc/1", 400)); /* rolled back */
    cr_assert_eq(builds.generation, 3);
    cr_assert_str_eq(builds.previous, "abc/2");
}

Test(target_builds, learns_nothing_from_a_program_without_an_id)
{
    struct target_builds builds = {.generation = 0};
    char long_id[BUILD_ID_ROOM + 1];
    memset(long_id, 'x', BUILD_ID_ROOM);
    long_id[BUILD_ID_ROOM] = '\0';
    cr_assert_not(target_builds_note(&builds, "", 100));
    cr_assert_eq(builds.generation, 0);
    (void)target_builds_note(&builds, "abc/1", 100);
    cr_assert_not(target_builds_note(&builds, "", 200));
    cr_assert_not(target_builds_note(&builds, long_id, 300));
    cr_assert_eq(builds.generation, 1);
    cr_assert_str_eq(builds.id, "abc/1");
}
