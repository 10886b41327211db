/* process_usage.c - what is kept open and shared between reads never shows an old or another's number. */
#include "core/goproc/process_usage.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/goproc/procfs.h"
#include "core/store/fields.h"
#include "tests/unit/goproc/proc_tree.h"

enum { PID = 41, OTHER_PID = 42, STARTED = 700 };

struct host {
    struct proc_tree tree;
    struct usage_context context;
};

static void write_number(const struct host *host, const char *group, const char *file,
                         const char *text)
{
    char relative[256];
    (void)snprintf(relative, sizeof(relative), "sys/fs/cgroup%s/%s", group, file);
    proc_tree_write(&host->tree, relative, text);
}

static void put_into(const struct host *host, pid_t pid, const char *group)
{
    char relative[64];
    char text[256];
    (void)snprintf(relative, sizeof(relative), "proc/%d/cgroup", (int)pid);
    (void)snprintf(text, sizeof(text), "0::%s\n", group);
    proc_tree_write(&host->tree, relative, text);
}

static void add_process(const struct host *host, pid_t pid, const char *group)
{
    char relative[64];
    proc_tree_process(&host->tree, pid, STARTED, "app", "app");
    (void)snprintf(relative, sizeof(relative), "proc/%d/status", (int)pid);
    proc_tree_write(&host->tree, relative, "Name:\tapp\nVmSize:\t 90 kB\nVmRSS:\t 70 kB\n");
    put_into(host, pid, group);
}

/* Two processes in "/pod/a" and "/pod/b". */
static void set_up(struct host *host)
{
    proc_tree_make(&host->tree);
    proc_tree_write(&host->tree, "proc/self/mountinfo",
                    "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n");
    write_number(host, "/pod", "memory.current", "900\n");
    write_number(host, "/pod", "memory.max", "1000\n");
    write_number(host, "/pod/a", "memory.current", "100\n");
    write_number(host, "/pod/a", "memory.max", "max\n");
    write_number(host, "/pod/a", "memory.events", "oom 0\noom_kill 0\n");
    write_number(host, "/pod/b", "memory.current", "200\n");
    write_number(host, "/pod/b", "memory.events", "oom 5\noom_kill 5\n");
    add_process(host, PID, "/pod/a");
    usage_context_init(&host->context, &host->tree.fs);
}

static void tear_down(struct host *host)
{
    cr_assert_eq(host->context.files.open, 0, "%zu files are left open", host->context.files.open);
    cr_assert_null(host->context.cgroups.groups_);
    usage_context_release(&host->context);
    proc_tree_remove(&host->tree);
}

static struct process_usage *open_usage(struct host *host, pid_t pid)
{
    struct process_usage *usage = process_usage_open(&host->context, pid, STARTED);
    cr_assert_not_null(usage);
    return usage;
}

static struct snapshot_values read_at(struct process_usage *usage, uint64_t seconds)
{
    struct snapshot_values values = {0};
    struct error err;
    cr_assert(process_usage_read(usage, seconds * CLOCK_NS_PER_S, &values, &err), "%s",
              err.message);
    return values;
}

static uint64_t current_at(struct process_usage *usage, uint64_t seconds)
{
    const struct snapshot_values values = read_at(usage, seconds);
    cr_assert(SNAPSHOT_HAS(&values, cgroup_memory_current_bytes));
    return values.cgroup_memory_current_bytes;
}

Test(process_usage, reads_what_changed_through_files_that_stay_open)
{
    struct host host;
    set_up(&host);
    struct process_usage *usage = open_usage(&host, PID);
    cr_assert_eq(read_at(usage, 1).rss_bytes, 70 << 10);
    const size_t open = host.context.files.open;
    cr_assert_gt(open, 2);

    proc_tree_write(&host.tree, "proc/41/status", "VmSize:\t 90 kB\nVmRSS:\t 8 kB\nVmSwap:\t1 kB\n");
    write_number(&host, "/pod/a", "memory.current", "150\n");
    cgroup_table_next_beat(&host.context.cgroups);
    const struct snapshot_values values = read_at(usage, 2);
    cr_assert_eq(values.rss_bytes, 8 << 10);
    cr_assert_eq(values.swap_bytes, 1 << 10);
    cr_assert_eq(values.cgroup_memory_current_bytes, 150);
    cr_assert_eq(values.cgroup_memory_max_bytes, 1000);
    cr_assert_eq(values.cgroup_memory_max_used_bytes, 900, "that of the group that has the limit");
    cr_assert_eq(host.context.files.open, open, "nothing was opened again");
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, processes_of_one_cgroup_show_one_reading_of_it_in_a_beat)
{
    struct host host;
    set_up(&host);
    add_process(&host, OTHER_PID, "/pod/a");
    struct process_usage *one = open_usage(&host, PID);
    struct process_usage *other = open_usage(&host, OTHER_PID);
    cr_assert_eq(current_at(one, 1), 100);
    write_number(&host, "/pod/a", "memory.current", "150\n");
    cr_assert_eq(current_at(other, 1), 100);
    cgroup_table_next_beat(&host.context.cgroups);
    cr_assert_eq(current_at(one, 2), 150);
    process_usage_close(one);
    cr_assert_eq(current_at(other, 2), 150);
    process_usage_close(other);
    tear_down(&host);
}

Test(process_usage, follows_a_process_into_another_cgroup_within_ten_seconds)
{
    struct host host;
    set_up(&host);
    struct process_usage *usage = open_usage(&host, PID);
    for (uint64_t second = 1; second <= 60; second++)
        cr_assert_eq(current_at(usage, second), 100);
    put_into(&host, PID, "/pod/b");
    cr_assert_eq(current_at(usage, 70), 200);
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, looks_at_once_for_the_new_cgroup_when_the_old_one_was_removed)
{
    struct host host;
    set_up(&host);
    host.context.files.open_max = 0; /* an open file of a fixture outlives its folder; the kernel's does not */
    struct process_usage *usage = open_usage(&host, PID);
    for (uint64_t second = 1; second <= 60; second++)
        cr_assert_eq(current_at(usage, second), 100);
    put_into(&host, PID, "/pod/b");
    proc_tree_delete(&host.tree, "sys/fs/cgroup/pod/a");
    cgroup_table_next_beat(&host.context.cgroups);
    const struct snapshot_values values = read_at(usage, 61);
    cr_assert_not(SNAPSHOT_HAS(&values, cgroup_memory_current_bytes));
    cr_assert_eq(current_at(usage, 62), 200);
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, without_descriptors_to_spare_opens_its_files_for_each_read)
{
    struct host host;
    set_up(&host);
    host.context.files.open_max = 1;
    struct process_usage *usage = open_usage(&host, PID);
    for (uint64_t second = 1; second <= 3; second++) {
        cgroup_table_next_beat(&host.context.cgroups);
        const struct snapshot_values values = read_at(usage, second);
        cr_assert_eq(values.rss_bytes, 70 << 10);
        cr_assert_eq(values.cgroup_memory_max_bytes, 1000);
        cr_assert_leq(host.context.files.open, 1);
    }
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, of_a_later_process_with_the_same_pid_is_gone)
{
    struct host host;
    set_up(&host);
    struct process_usage *usage = open_usage(&host, PID);
    struct snapshot_values values = {0};
    struct error err;
    (void)read_at(usage, 1);
    proc_tree_process(&host.tree, PID, STARTED + 1, "app", "app");
    cr_assert_not(process_usage_read(usage, 2 * CLOCK_NS_PER_S, &values, &err));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, of_a_process_that_was_reaped_is_gone)
{
    const struct procfs live = {.root = ""};
    struct usage_context context;
    struct snapshot_values values = {0};
    struct error err;
    uint64_t start_ticks;
    const pid_t child = fork();
    if (child == 0) {
        (void)pause();
        _exit(1);
    }
    usage_context_init(&context, &live);
    cr_assert(procfs_start_ticks_read(&live, child, &start_ticks, &err), "%s", err.message);
    struct process_usage *usage = process_usage_open(&context, child, start_ticks);
    cr_assert(process_usage_read(usage, 1, &values, &err), "%s", err.message);
    cr_assert_gt(values.rss_bytes, 0);
    cr_assert_eq(kill(child, SIGKILL), 0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_not(process_usage_read(usage, 2, &values, &err));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
    process_usage_close(usage);
    cr_assert_eq(context.files.open, 0);
    usage_context_release(&context);
}

Test(process_usage, counts_oom_kills_after_the_end_of_the_process)
{
    struct host host;
    set_up(&host);
    struct process_usage *usage = open_usage(&host, PID);
    uint64_t group = 0, later_group = 0, kills = 1;
    (void)read_at(usage, 1);
    cr_assert(process_usage_oom_kills(usage, false, &group, &kills));
    cr_assert_eq(kills, 0);
    proc_tree_delete(&host.tree, "proc/41");
    write_number(&host, "/pod/a", "memory.events", "oom 1\noom_kill 1\n");
    cr_assert(process_usage_oom_kills(usage, false, &later_group, &kills));
    cr_assert_eq(kills, 0, "as of this beat");
    cr_assert(process_usage_oom_kills(usage, true, &later_group, &kills));
    cr_assert_eq(kills, 1);
    cr_assert_eq(group, later_group);
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, tells_the_oom_kills_of_two_cgroups_apart)
{
    struct host host;
    set_up(&host);
    struct process_usage *usage = open_usage(&host, PID);
    uint64_t group = 0, other_group = 0, kills = 0;
    (void)read_at(usage, 1);
    cr_assert(process_usage_oom_kills(usage, false, &group, &kills));
    put_into(&host, PID, "/pod/b");
    (void)read_at(usage, 60);
    cr_assert(process_usage_oom_kills(usage, false, &other_group, &kills));
    cr_assert_eq(kills, 5);
    cr_assert_neq(group, other_group);
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, is_as_full_as_the_fullest_cgroup_around_it)
{
    struct host host;
    set_up(&host);
    struct process_usage *usage = open_usage(&host, PID);
    (void)read_at(usage, 1);
    cr_assert_eq(process_usage_fill_percent(usage), 90);
    write_number(&host, "/pod/a", "memory.max", "104\n");
    cgroup_table_next_beat(&host.context.cgroups);
    cr_assert_eq(process_usage_fill_percent(usage), 96);
    write_number(&host, "/pod/a", "memory.max", "max\n");
    write_number(&host, "/pod", "memory.max", "max\n");
    cgroup_table_next_beat(&host.context.cgroups);
    cr_assert_eq(process_usage_fill_percent(usage), 0);
    process_usage_close(usage);
    tear_down(&host);
}

Test(process_usage, keeps_half_of_the_descriptors_free_and_takes_what_it_may_have)
{
    struct kept_files files;
    struct rlimit limit;
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max < 256 ? limit.rlim_max : 256;
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    kept_files_init(&files);
    cr_assert_eq(files.open_max, limit.rlim_cur / 2);

    kept_files_raise_limit();
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    cr_assert_eq(limit.rlim_cur, limit.rlim_max < 65536 ? limit.rlim_max : 65536);
    kept_files_init(&files);
    cr_assert_eq(files.open_max, limit.rlim_cur / 2);
}
