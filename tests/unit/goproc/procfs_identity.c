/* procfs_identity.c - who a process is, also when it lies about its name. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/goproc/procfs.h"
#include "tests/unit/goproc/proc_tree.h"

#define FIXTURES GOPROFD_SOURCE_DIR "/tests/fixtures/proc/"

static const struct procfs cgroup2 = {.root = FIXTURES "cgroup2"};
static const struct procfs hostile = {.root = FIXTURES "hostile"};

Test(procfs_start_time, survives_a_command_name_full_of_parentheses)
{
    const char *line = "41 (a) R (b)) S 1 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 0 0";
    uint64_t ticks = 0;
    struct error err;
    cr_assert(procfs_parse_start_time(line, &ticks, &err), "%s", err.message);
    cr_assert_eq(ticks, 98765);
}

Test(procfs_start_time, names_the_field_at_which_a_short_line_ends)
{
    static const char line[] = "41 (x) S 1 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765";
    char part[sizeof(line)];
    struct error err;
    uint64_t ticks = 0;
    /* Every prefix that ends before the last field fails, and says so. */
    for (size_t length = 0; length < sizeof(line) - 6; length++) {
        memcpy(part, line, length);
        part[length] = '\0';
        err.message[0] = '\0';
        cr_expect_not(procfs_parse_start_time(part, &ticks, &err), "'%s'", part);
        cr_expect_eq(err.code, ERROR_CORRUPT);
        cr_expect_eq(strncmp(err.message, "stat: ", 6), 0, "'%s': %s", part, err.message);
    }
    cr_assert_not(procfs_parse_start_time("41 (x) S 1 41", &ticks, &err));
    cr_assert_str_eq(err.message, "stat: ends before field 6 of 22");
}

Test(procfs_start_time, refuses_numbers_that_are_none)
{
    struct error err;
    uint64_t ticks = 0;
    cr_assert_not(procfs_parse_start_time(
        "4 (x) S 1 4 4 0 -1 4 1 0 0 0 -3 0 0 0 20 0 1 0 98765 0", &ticks, &err));
    cr_assert_str_eq(err.message, "stat: field 14 is not a number");
    cr_assert_not(procfs_parse_start_time(
        "4 (x) S 1 4 4 0 -1 4 1 0 0 0 3 0 0 0 20 0 1 0 99999999999999999999999 0", &ticks, &err));
    cr_assert_str_eq(err.message, "stat: field 22 is not a number");
}

Test(procfs_identity, holds_start_time_user_and_name)
{
    struct procfs_identity id;
    struct error err;
    cr_assert(procfs_identity_read(&cgroup2, 4711, &id, &err), "%s", err.message);
    cr_assert_eq(id.pid, 4711);
    cr_assert_eq(id.start_ticks, 98765);
    cr_assert_eq(id.start_realtime_ns, UINT64_C(1700000987650000000), "btime and 98765 ticks");
    cr_assert_eq(id.uid, 1000);
    cr_assert_eq(id.state, 'S');
    cr_assert_str_eq(id.comm, "api");
    uint64_t ticks = 0;
    cr_assert(procfs_start_ticks_read(&cgroup2, 4711, &ticks, &err));
    cr_assert_eq(ticks, 98765);
}

Test(procfs_identity, cannot_be_forged_by_a_name_with_lines_and_parentheses)
{
    struct procfs_identity id;
    struct error err;
    cr_assert(procfs_identity_read(&hostile, 81, &id, &err), "%s", err.message);
    cr_assert_eq(id.start_ticks, 98765);
    cr_assert_eq(id.state, 'S');
    cr_assert_eq(id.uid, 1000);
    cr_assert_str_eq(id.comm, "a) R (b\n) 1 2");
}

Test(procfs_identity, of_a_vanished_process_is_gone)
{
    struct procfs_identity id;
    struct error err;
    cr_assert_not(procfs_identity_read(&cgroup2, 31337, &id, &err));
    cr_assert_eq(err.code, ERROR_GONE);
    cr_assert_str_eq(err.message, "pid 31337: no such process");
}

Test(procfs_identity, names_the_pid_of_a_broken_stat)
{
    struct procfs_identity id;
    struct error err;
    for (pid_t pid = 82; pid <= 84; pid++) {
        cr_assert_not(procfs_identity_read(&hostile, pid, &id, &err));
        cr_assert_eq(err.code, ERROR_CORRUPT);
        char prefix[16];
        (void)snprintf(prefix, sizeof(prefix), "pid %d: stat", (int)pid);
        cr_assert_eq(strncmp(err.message, prefix, strlen(prefix)), 0, "%s", err.message);
    }
}

Test(procfs_cmdline, ends_each_argument_with_a_nul)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, 4096);
    cr_assert(procfs_cmdline_read(&cgroup2, 4711, &out, &err), "%s", err.message);
    static const char expected[] = "/srv/api/bin/api\0-addr\0:8080";
    cr_assert_eq(out.length, sizeof(expected));
    cr_assert_eq(memcmp(out.data, expected, sizeof(expected)), 0);

    buffer_clear(&out);
    cr_assert(procfs_cmdline_read(&hostile, 81, &out, &err), "%s", err.message);
    static const char overwritten[] = "evil\ntime=now level=error\0--x";
    cr_assert_eq(out.length, sizeof(overwritten), "the missing last NUL is added");
    cr_assert_eq(memcmp(out.data, overwritten, sizeof(overwritten)), 0);
    buffer_release(&out);
}

Test(procfs_cmdline, is_empty_for_a_kernel_thread_and_cut_where_room_ends)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, 10);
    cr_assert(procfs_cmdline_read(&cgroup2, 2, &out, &err), "%s", err.message);
    cr_assert_eq(out.length, 0);
    cr_assert(procfs_cmdline_read(&cgroup2, 4711, &out, &err), "%s", err.message);
    cr_assert_eq(out.length, 10);
    cr_assert_eq(memcmp(out.data, "/srv/api/", 10), 0);
    buffer_release(&out);
}

Test(procfs_exe, tells_kernel_threads_zombies_and_vanished_apart)
{
    char path[PROCFS_PATH_MAX_BYTES];
    struct error err;
    cr_assert(procfs_exe_read(&cgroup2, 4711, path, &err), "%s", err.message);
    cr_assert_str_eq(path, "/srv/api/bin/api");
    cr_assert_not(procfs_exe_read(&cgroup2, 2, path, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_not(procfs_exe_read(&cgroup2, 4715, path, &err));
    cr_assert_eq(err.code, ERROR_GONE);
    cr_assert_not(procfs_exe_read(&cgroup2, 31337, path, &err));
    cr_assert_eq(err.code, ERROR_GONE);
}

struct seen {
    pid_t pids[16];
    size_t count;
    size_t stop_after;
};

static bool remember(pid_t pid, void *context)
{
    struct seen *seen = context;
    cr_assert_lt(seen->count, 16);
    seen->pids[seen->count++] = pid;
    return seen->count != seen->stop_after;
}

Test(procfs_each_pid, visits_numeric_folders_only_and_stops_when_told)
{
    struct seen seen = {.stop_after = 0};
    struct error err;
    cr_assert(procfs_each_pid(&hostile, remember, &seen, &err), "%s", err.message);
    cr_assert_eq(seen.count, 4);
    for (size_t i = 0; i < seen.count; i++)
        cr_assert(seen.pids[i] >= 81 && seen.pids[i] <= 84);
    seen = (struct seen){.stop_after = 2};
    cr_assert(procfs_each_pid(&hostile, remember, &seen, &err));
    cr_assert_eq(seen.count, 2);
}

Test(procfs_each_pid, says_which_folder_is_missing)
{
    const struct procfs nowhere = {.root = FIXTURES "nowhere"};
    struct seen seen = {.stop_after = 0};
    struct error err;
    cr_assert_not(procfs_each_pid(&nowhere, remember, &seen, &err));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(err.message, "nowhere/proc"), "%s", err.message);
}

/* ---- a process whose first thread ended before the others ---- */

/* The state, and how many threads there are. */
static void write_stat(const struct proc_tree *tree, const char *relative, int pid, char state,
                       int threads)
{
    char line[256];
    (void)snprintf(line, sizeof(line),
                   "%d (api) %c 1 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 %d 0 98765 0 0\n", pid,
                   state, threads);
    proc_tree_write(tree, relative, line);
}

Test(procfs_living_thread, is_named_where_the_first_one_has_ended)
{
    struct proc_tree tree;
    proc_tree_make(&tree);
    write_stat(&tree, "proc/77/stat", 77, 'Z', 3);
    write_stat(&tree, "proc/77/task/77/stat", 77, 'Z', 3);
    write_stat(&tree, "proc/77/task/78/stat", 78, 'Z', 3);
    write_stat(&tree, "proc/78/stat", 78, 'Z', 3);
    write_stat(&tree, "proc/77/task/79/stat", 79, 'S', 3);
    proc_tree_process(&tree, 79, 98765, "api", "program");

    char exe[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    cr_assert_eq(procfs_living_thread(&tree.fs, 77), 79);
    cr_assert_not(procfs_exe_read(&tree.fs, 77, exe, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED, "it lives: %s", err.message);
    cr_assert_not_null(strstr(err.message, "ask for another of its threads, such as 79"), "%s",
                       err.message);
    cr_assert(procfs_exe_read(&tree.fs, 79, exe, &err), "%s", err.message);
    proc_tree_remove(&tree);
}

/* Killed: the first thread was the first to end, another is about to, the last has not come to it yet. */
Test(procfs_living_thread, is_none_of_a_process_that_is_ending)
{
    struct proc_tree tree;
    proc_tree_make(&tree);
    write_stat(&tree, "proc/77/stat", 77, 'Z', 3);
    write_stat(&tree, "proc/77/task/77/stat", 77, 'Z', 3);
    proc_tree_write(&tree, "proc/77/task/78/stat", "78 (api) D 1 41 41 0 -1 4195396 0\n");
    proc_tree_write(&tree, "proc/78/stat",
                    "78 (api) D 1 41 41 0 -1 4195396 1 0 0 0 0 0 0 0 20 0 3 0 98765 0 0\n");
    write_stat(&tree, "proc/77/task/79/stat", 79, 'R', 3);
    write_stat(&tree, "proc/79/stat", 79, 'R', 3);
    proc_tree_write(&tree, "proc/79/status", "Name:\tapi\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000000000\n");

    char exe[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    cr_assert_eq(procfs_living_thread(&tree.fs, 77), 0);
    cr_assert_not(procfs_exe_read(&tree.fs, 77, exe, &err));
    cr_assert_eq(err.code, ERROR_GONE);
    cr_assert_not_null(strstr(err.message, "pid 77 is ending"), "%s", err.message);

    proc_tree_write(&tree, "proc/79/status", "Name:\tapi\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n");
    cr_assert_eq(procfs_living_thread(&tree.fs, 77), 79);
    proc_tree_remove(&tree);
}

Test(procfs_living_thread, is_none_of_a_process_that_runs_or_has_ended)
{
    const struct procfs live = {.root = ""};
    cr_assert_eq(procfs_living_thread(&live, getpid()), 0);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    cr_assert_eq(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    char exe[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    cr_assert_eq(procfs_living_thread(&live, pid), 0);
    cr_assert_not(procfs_exe_read(&live, pid, exe, &err));
    cr_assert_eq(err.code, ERROR_GONE);
    cr_assert_not_null(strstr(err.message, "has exited and waits for its parent"), "%s", err.message);
    cr_assert_eq(waitpid(pid, NULL, 0), pid);
}
