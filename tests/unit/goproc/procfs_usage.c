/* procfs_usage.c - memory, threads, CPU and cgroups from fixture trees. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "core/goproc/procfs.h"
#include "core/store/fields.h"

#define FIXTURES GOPROFD_SOURCE_DIR "/tests/fixtures/proc/"
#define DOCKER_ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER_ID "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

static struct snapshot_values usage(const char *root, pid_t pid)
{
    const struct procfs fs = {.root = root};
    struct snapshot_values values = {0};
    struct error err;
    cr_assert(procfs_usage_read(&fs, pid, &values, &err), "%s", err.message);
    return values;
}

#define ASSERT_VALUE(values, field, expected)                                                      \
    do {                                                                                           \
        cr_assert(SNAPSHOT_HAS(&(values), field), #field " is absent");                            \
        cr_assert_eq((values).field, (uint64_t)(expected), #field " is %llu",                      \
                     (unsigned long long)(values).field);                                          \
    } while (0)
#define ASSERT_ABSENT(values, field) cr_assert_not(SNAPSHOT_HAS(&(values), field))

Test(procfs_usage, reads_memory_by_kind_threads_and_cpu_time)
{
    const struct snapshot_values v = usage(FIXTURES "cgroup2", 4711);
    ASSERT_VALUE(v, rss_bytes, 9244 << 10);
    ASSERT_VALUE(v, rss_anon_bytes, 5120 << 10);
    ASSERT_VALUE(v, rss_file_bytes, 4096 << 10);
    ASSERT_VALUE(v, rss_shmem_bytes, 28 << 10);
    ASSERT_VALUE(v, swap_bytes, 512 << 10);
    ASSERT_VALUE(v, virtual_bytes, UINT64_C(1235968) << 10);
    ASSERT_VALUE(v, threads, 9);
    ASSERT_VALUE(v, cpu_ns, UINT64_C(18000000000)); /* 1234 + 566 ticks of 10 ms */
}

Test(procfs_usage, finds_the_limit_of_the_nearest_ancestor_that_has_one)
{
    const struct snapshot_values v = usage(FIXTURES "cgroup2", 4711);
    ASSERT_VALUE(v, cgroup_memory_current_bytes, 104857600);
    ASSERT_VALUE(v, cgroup_memory_max_bytes, 268435456);
    ASSERT_VALUE(v, cgroup_memory_high_bytes, 157286400);
    ASSERT_VALUE(v, cgroup_oom_kills, 1);
}

Test(procfs_usage, prefers_the_limit_of_the_container_itself)
{
    const struct snapshot_values v = usage(FIXTURES "cgroup2", 4712);
    ASSERT_VALUE(v, cgroup_memory_current_bytes, 52428800);
    ASSERT_VALUE(v, cgroup_memory_max_bytes, 536870912);
    ASSERT_ABSENT(v, cgroup_memory_high_bytes);
    ASSERT_VALUE(v, cgroup_oom_kills, 0);
}

Test(procfs_usage, without_a_memory_controller_takes_the_ancestor_that_is_charged)
{
    const struct snapshot_values v = usage(FIXTURES "cgroup2", 4713);
    ASSERT_VALUE(v, cgroup_memory_current_bytes, 7340032);
    ASSERT_ABSENT(v, cgroup_memory_max_bytes);
    ASSERT_ABSENT(v, cgroup_oom_kills);
}

Test(procfs_usage, reads_version_1_groups)
{
    const struct snapshot_values v = usage(FIXTURES "cgroup1", 51);
    ASSERT_VALUE(v, cgroup_memory_current_bytes, 94371840);
    ASSERT_VALUE(v, cgroup_memory_max_bytes, 134217728);
    ASSERT_VALUE(v, cgroup_oom_kills, 3);
    ASSERT_ABSENT(v, cgroup_memory_high_bytes);
    const struct snapshot_values free = usage(FIXTURES "cgroup1", 52);
    ASSERT_VALUE(free, cgroup_memory_current_bytes, 104857600);
    ASSERT_ABSENT(free, cgroup_memory_max_bytes); /* v1's "no limit" is a number */
    ASSERT_ABSENT(free, cgroup_oom_kills);
}

Test(procfs_usage, on_a_hybrid_machine_follows_the_memory_controller)
{
    const struct snapshot_values v = usage(FIXTURES "hybrid", 61);
    ASSERT_VALUE(v, cgroup_memory_current_bytes, 3145728);
    ASSERT_VALUE(v, cgroup_memory_max_bytes, 16777216);
}

Test(procfs_usage, inside_a_container_maps_paths_through_the_mount)
{
    const struct snapshot_values v = usage(FIXTURES "container", 1);
    ASSERT_VALUE(v, cgroup_memory_current_bytes, 2097152);
    ASSERT_VALUE(v, cgroup_memory_max_bytes, 67108864);
}

Test(procfs_usage, leaves_out_a_group_it_cannot_see_instead_of_showing_another)
{
    static const struct {
        const char *root;
        pid_t pid;
    } cases[] = {{FIXTURES "container", 7}, /* a sibling container */
                 {FIXTURES "container", 8}, /* only looks like a child of the mounted group */
                 {FIXTURES "cgroup2", 4714}, /* above our cgroup namespace */
                 {FIXTURES "no-cgroup", 71},
                 {FIXTURES "hostile", 81}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct snapshot_values v = usage(cases[i].root, cases[i].pid);
        ASSERT_VALUE(v, rss_bytes, 9244 << 10);
        ASSERT_ABSENT(v, cgroup_memory_current_bytes);
        ASSERT_ABSENT(v, cgroup_memory_max_bytes);
        ASSERT_ABSENT(v, cgroup_memory_high_bytes);
        ASSERT_ABSENT(v, cgroup_oom_kills);
    }
}

Test(procfs_usage, of_a_zombie_or_vanished_process_is_gone)
{
    const struct procfs fs = {.root = FIXTURES "cgroup2"};
    struct snapshot_values values = {0};
    struct error err;
    cr_assert_not(procfs_usage_read(&fs, 4715, &values, &err));
    cr_assert_eq(err.code, ERROR_GONE);
    cr_assert_not(procfs_usage_read(&fs, 31337, &values, &err));
    cr_assert_eq(err.code, ERROR_GONE);
}

Test(procfs_usage, of_this_very_process_is_plausible)
{
    const struct snapshot_values v = usage("", getpid());
    cr_assert(SNAPSHOT_HAS(&v, rss_bytes));
    cr_assert_gt(v.rss_bytes, 100 << 10);
    cr_assert_geq(v.virtual_bytes, v.rss_bytes);
    cr_assert_geq(v.threads, 1);
}

static void assert_container(const char *root, pid_t pid, const char *expected)
{
    const struct procfs fs = {.root = root};
    char path[PROCFS_PATH_MAX_BYTES];
    char id[80];
    struct error err;
    cr_assert(procfs_cgroup_read(&fs, pid, path, id, &err), "%s", err.message);
    cr_assert_str_eq(id, expected, "%s", path);
}

Test(procfs_container, is_found_in_the_paths_of_the_usual_runtimes)
{
    assert_container(FIXTURES "cgroup2", 4711, DOCKER_ID);
    assert_container(FIXTURES "cgroup2", 4712, OTHER_ID);
    assert_container(FIXTURES "cgroup2", 4713, "");
    assert_container(FIXTURES "cgroup1", 51, DOCKER_ID);
    assert_container(FIXTURES "container", 1, DOCKER_ID);
    assert_container(FIXTURES "hostile", 81, "");
}
