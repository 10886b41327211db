/* cli.c - what goprofd says on the command line, and how it ends. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/raw_profile.h"

static char *run(int status, const char *const *arguments)
{
    char *output = NULL;
    const int actual = goprofd_run(arguments, NULL, &output);
    cr_assert_eq(actual, status, "goprofd %s ended with %d:\n%s", arguments[0], actual, output);
    return output;
}

Test(cli, version_is_printed)
{
    char *output = run(0, (const char *const[]){"-version", NULL});
    cr_assert_eq(strncmp(output, "goprofd ", 8), 0, "%s", output);
    free(output);
}

Test(cli, wrong_usage_ends_with_2_and_names_the_argument)
{
    char *output = run(2, (const char *const[]){"--no-such-thing", NULL});
    cr_assert_not_null(strstr(output, "--no-such-thing"), "%s", output);
    free(output);
    output = run(2, (const char *const[]){"heap", "four", NULL});
    cr_assert_not_null(strstr(output, "four"), "%s", output);
    free(output);
    free(run(2, (const char *const[]){"heap", NULL}));
}

Test(cli, a_good_config_and_the_shipped_rules_pass_the_check)
{
    char *folder = daemon_folder_new();
    char *text = NULL;
    cr_assert(asprintf(&text, "return { rules_dir = '%s' }", shipped_rules) > 0);
    char *config = file_write(folder, "config.lua", text);
    free(run(0, (const char *const[]){"-t", "-c", config, NULL}));
    free(config);
    free(text);
    scratch_remove(folder);
}

Test(cli, the_example_configs_pass_the_check)
{
    static const char *const rules[] = {"GOPROF_RULES_DIR=" GOPROFD_SOURCE_DIR "/rules", NULL};
    static const char *const configs[] = {GOPROFD_SOURCE_DIR "/examples/config/goprofd.lua",
                                          GOPROFD_SOURCE_DIR "/examples/demo/config.lua"};
    const struct process_options options = {.environment = rules};
    for (size_t i = 0; i < sizeof(configs) / sizeof(configs[0]); i++) {
        const char *arguments[] = {"-t", "-c", configs[i], NULL};
        char *output = NULL;
        cr_assert_eq(goprofd_run(arguments, &options, &output), 0, "%s", output);
        free(output);
    }
}

Test(cli, the_example_rule_passes_the_check)
{
    static const char *const rules[] = {"GOPROF_RULES_DIR=" GOPROFD_SOURCE_DIR "/examples/rules",
                                        NULL};
    const struct process_options options = {.environment = rules};
    const char *arguments[] = {"-t", NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, &options, &output), 0, "%s", output);
    free(output);
}

/* The line of `goprofd ps` for [pid]; NULL if there is none. */
static char *line_of(const char *listing, pid_t pid)
{
    char wanted[16];
    (void)snprintf(wanted, sizeof(wanted), "%d", (int)pid);
    for (const char *line = listing; line != NULL && *line != '\0';) {
        const char *number = line + strspn(line, " ");
        const size_t length = strspn(number, "0123456789");
        if (length == strlen(wanted) && strncmp(number, wanted, length) == 0)
            return strndup(line, strcspn(line, "\n"));
        line = strchr(line, '\n');
        line = line == NULL ? NULL : line + 1;
    }
    return NULL;
}

Test(cli, ps_lists_go_processes_of_each_version_and_no_others)
{
    struct go_version versions[GO_VERSIONS_MAX];
    const size_t count = go_versions_read(versions);
    char *folder = scratch_new();
    struct go_program programs[GO_VERSIONS_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        char log_name[32];
        (void)snprintf(log_name, sizeof(log_name), "target%zu.log", i);
        programs[i] =
            go_program_start(&versions[i], "profile_target", NULL, folder, log_name, NULL);
    }
    char *listing = run(0, (const char *const[]){"ps", NULL});
    for (size_t i = 0; i < count; i++) {
        char *line = line_of(listing, programs[i].process.pid);
        cr_assert_not_null(line, "pid %d is missing:\n%s", (int)programs[i].process.pid, listing);
        cr_assert_not_null(strstr(line, "profile_target"), "%s", line);
        cr_assert_not_null(strstr(line, versions[i].name), "no %s in: %s", versions[i].name, line);
        free(line);
        go_program_release(&programs[i]);
    }
    cr_assert_null(line_of(listing, getpid()), "this C program is listed:\n%s", listing);
    free(listing);
    scratch_remove(folder);
}

Test(cli, heap_writes_a_profile_that_go_tool_pprof_opens)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "profile_target", NULL, folder, "target.log", NULL);
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)program.process.pid);
    char *path = path_join(folder, "heap.pb.gz");
    free(run(0, (const char *const[]){"heap", pid, "-o", path, NULL}));
    struct raw_profile profile = raw_profile_read(newest.go, path);
    cr_assert_gt(profile.count, 0);
    raw_profile_release(&profile);
    free(path);
    go_program_release(&program);
    scratch_remove(folder);
}

/* Half of what is looked at then belongs to a program that is no more: no fault of that program's.  While
 * somebody else looks at it, too, an address space may outlive the exec for a moment. */
Test(cli, a_process_that_calls_exec_all_the_time_is_not_said_to_be_broken)
{
    enum { RUNS = 30, BLAMED_MAX = 2 };
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    char *program = go_program_path(&newest, "modes/pie");
    char *log_path = path_join(folder, "target.log");
    char *profile = path_join(folder, "heap.pb.gz");
    const char *argv[] = {program, "-exec-loop", "4000", NULL}; /* each time at other addresses */
    struct process process = process_start(argv, log_path, NULL);
    free(process_wait_for(&process, "exec", 60000));
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)process.pid);
    int blamed = 0;
    for (int i = 0; i < RUNS; i++) {
        const char *arguments[] = {"heap", pid, "-o", profile, NULL};
        char *output = NULL;
        (void)goprofd_run(arguments, NULL, &output);
        blamed += strstr(output, "nothing is readable") != NULL;
        free(output);
    }
    cr_assert_leq(blamed, BLAMED_MAX, "%d of %d", blamed, RUNS);
    process_release(&process);
    free(profile);
    free(log_path);
    free(program);
    scratch_remove(folder);
}
