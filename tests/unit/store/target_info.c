/* target_info.c - facts are copied whole. */
#include "core/store/target_info.h"

#include <criterion/criterion.h>

Test(target_info, owns_a_copy_of_every_text_and_turns_null_into_empty)
{
    char id[] = "demo";
    struct key_value settings[] = {{.key = "CGO_ENABLED", .value = "0"}, {.key = NULL}};
    const struct target_facts facts = {
        .id = id,
        .state = TARGET_DENIED,
        .reason = "ptrace scope",
        .reason_code = ERROR_DENIED,
        .pid = 42,
        .build_settings = settings,
        .build_setting_count = 2,
        .dependencies = (const struct module_dependency[]){{"example.com/a", "v1.0.0", NULL}},
        .dependency_count = 1,
    };
    static const char cmdline[] = "demo\0-x\0";
    const struct target_info *info = target_info_new(&facts, cmdline, sizeof(cmdline) - 1);
    id[0] = 'X';
    settings[0].value = "1";
    cr_assert_str_eq(info->facts.id, "demo");
    cr_assert_str_eq(info->facts.name, "");
    cr_assert_str_eq(info->facts.cgroup, "");
    cr_assert_str_eq(info->facts.reason, "ptrace scope");
    cr_assert_eq(info->facts.pid, 42);
    cr_assert_str_eq(info->facts.build_settings[0].value, "0");
    cr_assert_str_eq(info->facts.build_settings[1].key, "");
    cr_assert_str_eq(info->facts.dependencies[0].path, "example.com/a");
    cr_assert_str_eq(info->facts.dependencies[0].replacement, "");
    cr_assert_str_eq(info->facts.previous_build_id, "");
    cr_assert_eq(info->cmdline_length, 8);
    cr_assert_eq(memcmp(info->cmdline, cmdline, 8), 0);
    target_info_unref(target_info_ref(info));
    cr_assert_str_eq(info->facts.id, "demo");
    target_info_unref(info);
    target_info_unref(NULL);
}

Test(target_info, needs_no_command_line)
{
    const struct target_facts facts = {.id = "x"};
    const struct target_info *info = target_info_new(&facts, NULL, 5);
    cr_assert_eq(info->cmdline_length, 0);
    cr_assert_str_eq(info->cmdline, "");
    target_info_unref(info);
}

Test(target_info, holds_the_longest_command_line_that_linux_allows)
{
    const size_t length = (size_t)2 << 20;
    char *cmdline = calloc(1, length + 1);
    memset(cmdline, 'a', length);
    const struct target_facts facts = {.id = "x", .command = cmdline};
    const struct target_info *info = target_info_new(&facts, cmdline, length);
    cr_assert_not_null(info);
    cr_assert_eq(strlen(info->facts.command), length);
    target_info_unref(info);
    free(cmdline);
}

Test(target_info, names_every_source_and_state)
{
    for (int i = SOURCE_PROCESS; i <= SOURCE_PUSH; i++)
        cr_assert_str_neq(source_kind_name((enum source_kind)i), "unknown");
    for (int i = TARGET_WAITING; i <= TARGET_GONE; i++)
        cr_assert_str_neq(target_state_name((enum target_state)i), "unknown");
    cr_assert_str_eq(source_kind_name(SOURCE_PPROF), "pprof");
    cr_assert_str_eq(target_state_name(TARGET_GONE), "gone");
}
