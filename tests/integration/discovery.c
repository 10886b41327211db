/* discovery.c - how soon a Go process is found that nobody has named, and in which disguises: after
 * fork and exec, in other namespaces, replaced on disk, through ld.so, inside of a C program. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { INTERVAL_MS = 1000, TWO_INTERVALS_MS = 2 * INTERVAL_MS, SLACK_MS = 1000, SOON_MS = 20000 };

static const char discover_all[] =
    "return { sampling_interval_ms = 1000, targets = { { discover = true } } }";

static char *copy_program(const char *program, const char *folder, const char *name)
{
    const struct go_version newest = go_version_newest();
    char *from = go_program_path(&newest, program);
    char *to = path_join(folder, name);
    const char *argv[] = {"cp", from, to, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    free(output);
    free(from);
    return to;
}

static struct process start(const char *const *argv, const char *folder)
{
    char *log_path = path_join(folder, "target.log");
    struct process process = process_start(argv, log_path, NULL);
    free(log_path);
    return process;
}

/* Waits until a target called [name] is up, and fails if that takes longer than two intervals. */
static json_t *assert_found_within_two_intervals(const struct daemon *daemon, const char *name)
{
    const char *const up[] = {"name", name, "state", "up", NULL};
    return daemon_wait_for(daemon, "/v1/targets", answer_has, up, TWO_INTERVALS_MS + SLACK_MS);
}

static const char *target_text(const json_t *targets, const char *name, const char *key)
{
    const char *const wanted[] = {"name", name, NULL};
    const json_t *target = answer_find(targets, wanted);
    cr_assert_not_null(target);
    return answer_text(target, key);
}

/* At least one beat has passed: everything old has been judged. */
static struct daemon start_settled_daemon(void)
{
    struct daemon daemon = daemon_start(daemon_folder_new(), discover_all);
    sleep_ms(2 * INTERVAL_MS);
    return daemon;
}

static void assert_ps_says(const char *text)
{
    const char *arguments[] = {"ps", NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 0, "%s", output);
    cr_assert_not_null(strstr(output, text), "%s", output);
    free(output);
}

Test(discovery, a_new_process_is_found_within_two_intervals)
{
    char *folder = scratch_new();
    char *program = copy_program("profile_target", folder, "found-new");
    struct daemon daemon = start_settled_daemon();
    const char *argv[] = {program, NULL};
    struct process process = start(argv, folder);
    json_decref(assert_found_within_two_intervals(&daemon, "found-new"));
    process_release(&process);
    daemon_stop(&daemon);
    free(program);
    scratch_remove(folder);
}

Test(discovery, a_shell_that_calls_exec_after_a_while_is_found_within_two_intervals)
{
    char *folder = scratch_new();
    char *program = copy_program("profile_target", folder, "found-exec");
    struct daemon daemon = daemon_start(daemon_folder_new(), discover_all);
    const char *argv[] = {"sh", "-c", "sleep 9; echo now; exec \"$0\"", program, NULL};
    struct process process = start(argv, folder);
    free(process_wait_for(&process, "now", SOON_MS));
    json_decref(assert_found_within_two_intervals(&daemon, "found-exec"));
    process_release(&process);
    daemon_stop(&daemon);
    free(program);
    scratch_remove(folder);
}

Test(discovery, a_binary_replaced_on_disk_is_read_from_the_file_that_runs)
{
    char *folder = scratch_new();
    char *program = copy_program("profile_target", folder, "found-replaced");
    const char *argv[] = {program, NULL};
    struct process process = start(argv, folder);
    free(process_wait_for(&process, "listening", SOON_MS));
    cr_assert_eq(unlink(program), 0);
    free(file_write(folder, "found-replaced", "#!/bin/sh\n"));
    struct daemon daemon = start_settled_daemon();
    json_t *targets = assert_found_within_two_intervals(&daemon, "found-replaced");
    cr_assert_not_null(strstr(target_text(targets, "found-replaced", "exe"), "(deleted)"));
    json_decref(targets);
    json_decref(daemon_wait_for_snapshot(&daemon, "found-replaced", 0));
    http_touch(daemon.port, "/debug/pprof/heap?target=found-replaced");
    process_release(&process);
    daemon_stop(&daemon);
    free(program);
    scratch_remove(folder);
}

/* Its file lies on a file system that only it has mounted, and it thinks it has pid 1. */
Test(discovery, a_process_in_another_mount_and_pid_namespace_is_found_and_read)
{
    char *folder = scratch_new();
    char *program = copy_program("profile_target", folder, "found-inside");
    char *mount_point = path_join(folder, "inner");
    struct daemon daemon = start_settled_daemon();
    const char *argv[] = {"unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c",
                          "set -e; mkdir \"$1\"; mount -t tmpfs none \"$1\";"
                          " cp \"$0\" \"$1/\"; exec \"$1/found-inside\"",
                          program, mount_point, NULL};
    struct process process = start(argv, folder);
    free(process_wait_for(&process, "listening", SOON_MS));
    json_t *targets = assert_found_within_two_intervals(&daemon, "found-inside");
    const char *exe = target_text(targets, "found-inside", "exe");
    cr_assert(strncmp(exe, mount_point, strlen(mount_point)) == 0, "%s", exe);
    cr_assert_eq(access(exe, F_OK), -1, "%s is not ours to see", exe);
    json_decref(targets);
    json_decref(daemon_wait_for_snapshot(&daemon, "found-inside", 0));
    http_touch(daemon.port, "/debug/pprof/heap?target=found-inside");
    process_release(&process);
    daemon_stop(&daemon);
    free(program);
    free(mount_point);
    scratch_remove(folder);
}

Test(discovery, a_program_started_through_the_loader_is_found_under_its_own_name)
{
    char *folder = scratch_new();
    char *program = copy_program("dynamic", folder, "found-loaded");
    struct daemon daemon = start_settled_daemon();
    const char *argv[] = {"/lib64/ld-linux-x86-64.so.2", program, NULL};
    struct process process = start(argv, folder);
    json_t *targets = assert_found_within_two_intervals(&daemon, "found-loaded");
    cr_assert_not_null(strstr(target_text(targets, "found-loaded", "exe"), "ld-"));
    json_decref(targets);
    json_decref(daemon_wait_for_snapshot(&daemon, "found-loaded", 0));
    process_release(&process);
    daemon_stop(&daemon);
    free(program);
    scratch_remove(folder);
}

Test(discovery, a_go_library_in_a_c_program_is_found_under_the_name_of_that_program)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    char *program = copy_program("c-host", folder, "found-host");
    char *library = go_program_path(&newest, "library.so");
    struct daemon daemon = start_settled_daemon();
    const char *argv[] = {program, library, NULL};
    struct process process = start(argv, folder);
    free(process_wait_for(&process, "ready", SOON_MS));
    json_decref(assert_found_within_two_intervals(&daemon, "found-host"));
    json_decref(daemon_wait_for_snapshot(&daemon, "found-host", 0));
    process_release(&process);
    daemon_stop(&daemon);
    free(library);
    free(program);
    scratch_remove(folder);
}

/* As UPX and its like start one: what runs is in no file. */
Test(discovery, a_program_unpacked_in_memory_is_found_under_the_name_of_its_packer)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    char *packer = copy_program("unpacker", folder, "found-packed");
    char *program = go_program_path(&newest, "profile_target_stripped");
    struct daemon daemon = start_settled_daemon();
    const char *argv[] = {packer, program, NULL};
    struct process process = start(argv, folder);
    free(process_wait_for(&process, "listening", SOON_MS));
    json_t *targets = assert_found_within_two_intervals(&daemon, "found-packed");
    cr_assert_str_eq(target_text(targets, "found-packed", "go_version") + strlen("go"), newest.name);
    json_decref(targets);
    json_decref(daemon_wait_for_snapshot(&daemon, "found-packed", 0));
    assert_ps_says("found-packed");
    process_release(&process);
    daemon_stop(&daemon);
    free(program);
    free(packer);
    scratch_remove(folder);
}

static bool has_two_runtimes(const json_t *targets, const void *name)
{
    const char *const wanted[] = {"name", name, "state", "up", NULL};
    const json_t *target = answer_find(targets, wanted);
    const char *reason = json_string_value(json_object_get(target, "reason"));
    return reason != NULL && strstr(reason, "2 Go runtimes in this process; ") == reason &&
           strstr(reason, "/second.so is not read") != NULL;
}

/* One of them is read; that there is another, loaded later too, is said wherever one looks. */
Test(discovery, a_second_go_runtime_in_a_process_is_named)
{
    char *folder = scratch_new();
    char *program = copy_program("c-host", folder, "found-host-of-two");
    char *first = copy_program("library.so", folder, "first.so");
    char *second = copy_program("library.so", folder, "second.so");
    struct daemon daemon = start_settled_daemon();
    const char *argv[] = {program, first, "--", second, NULL};
    struct process process = start(argv, folder);
    free(process_wait_for(&process, "ready", SOON_MS));
    json_t *targets = assert_found_within_two_intervals(&daemon, "found-host-of-two");
    const char *const wanted[] = {"name", "found-host-of-two", NULL};
    cr_assert_null(json_object_get(answer_find(targets, wanted), "reason"));
    json_decref(targets);

    cr_assert_eq(kill(process.pid, SIGUSR1), 0);
    free(process_wait_for(&process, "all loaded", SOON_MS));
    json_decref(daemon_wait_for(&daemon, "/v1/targets", has_two_runtimes, "found-host-of-two",
                                3 * SOON_MS));
    char *log = process_output(&daemon.process);
    cr_assert_not_null(strstr(log, "2 Go runtimes in this process"), "%s", log);
    free(log);
    assert_ps_says("yes, but 2 Go runtimes in this process");
    process_release(&process);
    daemon_stop(&daemon);
    free(second);
    free(first);
    free(program);
    scratch_remove(folder);
}

Test(discovery, a_process_that_asks_to_be_left_alone_is_not_a_target_unless_it_is_named)
{
    char *folder = scratch_new();
    char *shy = copy_program("profile_target", folder, "found-shy");
    char *loud = copy_program("profile_target", folder, "found-loud");
    static const char *const disable[] = {"GOPROFD_DISABLE=1", NULL};
    static const char *const enable[] = {"GOPROFD_DISABLE=0", NULL};
    const struct process_options shy_options = {.environment = disable};
    const struct process_options loud_options = {.environment = enable};
    const char *shy_argv[] = {shy, NULL};
    const char *loud_argv[] = {loud, NULL};
    char *shy_log = path_join(folder, "shy.log");
    char *loud_log = path_join(folder, "loud.log");
    struct process shy_process = process_start(shy_argv, shy_log, &shy_options);
    struct process loud_process = process_start(loud_argv, loud_log, &loud_options);
    free(process_wait_for(&shy_process, "listening", SOON_MS));

    struct daemon daemon = start_settled_daemon();
    json_t *targets = assert_found_within_two_intervals(&daemon, "found-loud");
    static const char *const shy_target[] = {"name", "found-shy", NULL};
    cr_assert_null(answer_find(targets, shy_target));
    json_decref(targets);
    char *log = process_output(&daemon.process);
    cr_assert_not_null(strstr(log, "msg=\"process opted out\""), "%s", log);
    free(log);
    daemon_stop(&daemon);

    daemon = daemon_start(daemon_folder_new(), "return { sampling_interval_ms = 200,"
                                               " targets = { { exe = 'found-shy' } } }");
    static const char *const up[] = {"name", "found-shy", "state", "up", NULL};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, up, SOON_MS));
    daemon_stop(&daemon);
    process_release(&shy_process);
    process_release(&loud_process);
    free(shy_log);
    free(loud_log);
    free(shy);
    free(loud);
    scratch_remove(folder);
}
