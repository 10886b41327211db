/* discover.c - who is offered when: new, changed, asked again, and never twice for nothing. */
#include "core/goproc/discover.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "tests/unit/goproc/proc_tree.h"

#define SECOND UINT64_C(1000000000)

struct visits {
    pid_t pids[64];
    uint64_t starts[64];
    size_t count;
    enum discover_verdict verdict;
};

static enum discover_verdict note(pid_t pid, uint64_t start_ticks, void *context)
{
    struct visits *visits = context;
    cr_assert_lt(visits->count, 64);
    visits->pids[visits->count] = pid;
    visits->starts[visits->count++] = start_ticks;
    return visits->verdict;
}

static enum discover_verdict count_only(pid_t pid, uint64_t start_ticks, void *context)
{
    (void)pid;
    (void)start_ticks;
    ++*(size_t *)context;
    return DISCOVER_REMEMBER;
}

static struct proc_tree tree;
static struct discover *discover;
static struct visits visits;

static void set_up(void)
{
    proc_tree_make(&tree);
    discover = discover_new(&tree.fs);
    cr_assert_not_null(discover);
    visits = (struct visits){.verdict = DISCOVER_REMEMBER};
}

static void tear_down(void)
{
    discover_free(discover);
    proc_tree_remove(&tree);
}

/* The number of processes offered by one scan. */
static size_t scan(uint64_t now_ns)
{
    struct error err;
    visits.count = 0;
    cr_assert(discover_scan(discover, now_ns, note, &visits, &err), "%s", err.message);
    return visits.count;
}

TestSuite(discover, .init = set_up, .fini = tear_down);

Test(discover, offers_each_process_once_in_order_of_pid)
{
    for (pid_t pid = 40; pid > 0; pid -= 3)
        proc_tree_process(&tree, pid, (uint64_t)pid * 10, "x", "x");
    cr_assert_eq(scan(0), 14);
    for (size_t i = 0; i < 14; i++) {
        cr_assert_eq(visits.pids[i], (pid_t)(i * 3 + 1));
        cr_assert_eq(visits.starts[i], (i * 3 + 1) * 10);
    }
    for (uint64_t second = 1; second < 300; second++)
        cr_assert_eq(scan(second * SECOND), 0, "at %llu s", (unsigned long long)second);
    cr_assert_eq(discover_known_count(discover), 14);
}

Test(discover, offers_what_is_new_and_forgets_what_is_gone)
{
    proc_tree_process(&tree, 5, 1, "a", "a");
    proc_tree_process(&tree, 7, 2, "b", "b");
    cr_assert_eq(scan(0), 2);
    proc_tree_process(&tree, 6, 3, "c", "c");
    cr_assert_eq(scan(SECOND), 1);
    cr_assert_eq(visits.pids[0], 6);
    proc_tree_delete(&tree, "proc/5");
    cr_assert_eq(scan(2 * SECOND), 0);
    cr_assert_eq(discover_known_count(discover), 2);
    proc_tree_process(&tree, 5, 9, "a", "a");
    cr_assert_eq(scan(3 * SECOND), 1, "the pid came back as another process");
    cr_assert_eq(visits.starts[0], 9);
}

Test(discover, finds_an_exec_right_after_the_fork_within_two_scans)
{
    proc_tree_process(&tree, 5, 1, "sh", "sh");
    cr_assert_eq(scan(0), 1);
    proc_tree_process(&tree, 5, 1, "api", "api");
    cr_assert_eq(scan(SECOND), 1);
    cr_assert_eq(visits.pids[0], 5);
}

Test(discover, finds_an_exec_of_an_old_process_at_the_next_scan)
{
    proc_tree_process(&tree, 5, 1, "runner", "runner");
    uint64_t second = 0;
    (void)scan(0);
    for (; second < 1000; second++)
        cr_assert_eq(scan(second * SECOND), 0);
    proc_tree_process(&tree, 5, 1, "runner", "api"); /* same name, other file */
    cr_assert_eq(scan(second * SECOND), 1);
}

/* Only so many are asked at each scan; all have their turn. */
Test(discover, finds_an_exec_among_very_many_processes_within_five_scans)
{
    enum { MANY = 2500, LAST = MANY };
    visits.verdict = DISCOVER_REMEMBER;
    for (pid_t pid = 1; pid <= MANY; pid++)
        proc_tree_process(&tree, pid, 1, "runner", "runner");
    struct error err;
    uint64_t second = 0;
    size_t seen = 0;
    cr_assert(discover_scan(discover, 0, count_only, &seen, &err), "%s", err.message);
    cr_assert_eq(seen, MANY);
    for (; second < 5; second++)
        cr_assert_eq(scan(second * SECOND), 0);
    proc_tree_process(&tree, LAST, 1, "runner", "api");
    size_t found = 0;
    for (const uint64_t changed = second; second < changed + 5; second++)
        found += scan(second * SECOND);
    cr_assert_eq(found, 1);
}

Test(discover, notices_a_reused_pid_whose_folder_looks_the_same)
{
    proc_tree_process(&tree, 5, 1, "api", "api");
    cr_assert_eq(scan(0), 1);
    proc_tree_process(&tree, 5, 777, "api", "api");
    cr_assert_eq(scan(SECOND), 1);
    cr_assert_eq(visits.starts[0], 777);
}

Test(discover, asks_again_at_growing_intervals_while_told_to)
{
    proc_tree_process(&tree, 5, 1, "api", "api");
    visits.verdict = DISCOVER_ASK_AGAIN;
    size_t asked = 0;
    size_t first_three = 0;
    for (uint64_t second = 0; second < 600; second++) {
        asked += scan(second * SECOND);
        if (second == 2)
            first_three = asked;
    }
    cr_assert_eq(first_three, 3);
    cr_assert(asked >= 12 && asked <= 30, "asked %zu times in ten minutes", asked);
    visits.verdict = DISCOVER_REMEMBER;
    size_t last = 0;
    for (uint64_t second = 600; second < 900; second++)
        last += scan(second * SECOND);
    cr_assert_eq(last, 1, "once more, and then it is remembered");
}

Test(discover, without_a_readable_exe_link_goes_by_the_name)
{
    proc_tree_process(&tree, 5, 1, "sh", "sh");
    proc_tree_delete(&tree, "proc/5/exe");
    cr_assert_eq(scan(0), 1);
    cr_assert_eq(scan(SECOND), 0);
    proc_tree_process(&tree, 5, 1, "api", "api");
    proc_tree_delete(&tree, "proc/5/exe");
    cr_assert_eq(scan(2 * SECOND), 1);
}

Test(discover, spreads_the_looks_at_many_old_processes)
{
    enum { PROCESSES = 60 };
    for (pid_t pid = 1; pid <= PROCESSES; pid++)
        proc_tree_process(&tree, pid * 37, 1, "a", "a");
    (void)scan(0);
    for (uint64_t second = 1; second <= 200; second++)
        (void)scan(second * SECOND);
    /* Swap every start time: each scan now shows how many it looked at closely. */
    for (pid_t pid = 1; pid <= PROCESSES; pid++)
        proc_tree_process(&tree, pid * 37, 2, "a", "a");
    size_t most = 0;
    size_t all = 0;
    for (uint64_t second = 201; second <= 261; second++) {
        const size_t looked = scan(second * SECOND);
        most = looked > most ? looked : most;
        all += looked;
    }
    cr_assert_geq(all, (size_t)PROCESSES);
    cr_assert_lt(most, PROCESSES / 3, "%zu of %d fell due in one scan", most, PROCESSES);
}

Test(discover, does_not_list_while_no_pid_was_given_out)
{
    proc_tree_write(&tree, "proc/loadavg", "0.00 0.01 0.05 1/345 900\n");
    proc_tree_process(&tree, 5, 1, "sh", "sh");
    cr_assert_eq(scan(0), 1);
    proc_tree_process(&tree, 6, 1, "x", "x"); /* cannot be, by the kernel's word */
    cr_assert_eq(scan(SECOND), 0);
    proc_tree_process(&tree, 5, 1, "api", "api");
    cr_assert_eq(scan(2 * SECOND), 1, "an exec is found all the same");
    cr_assert_eq(visits.pids[0], 5);
    proc_tree_delete(&tree, "proc/5");
    cr_assert_eq(scan(4 * SECOND), 0);
    cr_assert_eq(discover_known_count(discover), 0, "and so is an exit");
    proc_tree_write(&tree, "proc/loadavg", "0.00 0.01 0.05 1/345 901\n");
    cr_assert_eq(scan(5 * SECOND), 1);
    cr_assert_eq(visits.pids[0], 6);
    proc_tree_process(&tree, 7, 1, "y", "y");
    size_t found = 0;
    uint64_t second = 6;
    for (; found == 0 && second < 30; second++)
        found = scan(second * SECOND);
    cr_assert_eq(visits.pids[0], 7, "the kernel's word is checked now and then");
    cr_assert_leq(second, 17);
}

Test(discover, keeps_what_it_knows_when_the_listing_fails)
{
    struct error err;
    proc_tree_process(&tree, 5, 1, "a", "a");
    cr_assert_eq(scan(0), 1);
    const char *root = tree.fs.root;
    tree.fs.root = "/nowhere";
    cr_assert_not(discover_scan(discover, SECOND, note, &visits, &err));
    cr_assert_eq(err.code, ERROR_SYSTEM);
    tree.fs.root = root;
    cr_assert_eq(scan(2 * SECOND), 0);
}

static enum discover_verdict look_for_self(pid_t pid, uint64_t start_ticks, void *context)
{
    bool *found = context;
    *found = *found || (pid == getpid() && start_ticks > 0);
    return DISCOVER_REMEMBER;
}

Test(discover_live, sees_this_process_once)
{
    const struct procfs live = {.root = "/"};
    struct discover *here = discover_new(&live);
    struct error err;
    bool found = false;
    cr_assert_not_null(here);
    cr_assert(discover_scan(here, 0, look_for_self, &found, &err), "%s", err.message);
    cr_assert(found);
    found = false;
    cr_assert(discover_scan(here, SECOND, look_for_self, &found, &err), "%s", err.message);
    cr_assert_not(found);
    discover_free(here);
}

Test(discover_glob, matches_as_a_shell_would)
{
    cr_assert(discover_glob_matches("api", "/srv/api/bin/api"));
    cr_assert(discover_glob_matches("ap*", "/srv/api/bin/api"));
    cr_assert_not(discover_glob_matches("srv", "/srv/api/bin/api"));
    cr_assert(discover_glob_matches("/srv/*/bin/api", "/srv/api/bin/api"));
    cr_assert(discover_glob_matches("/srv/*", "/srv/api/bin/api"), "'*' takes folders too");
    cr_assert(discover_glob_matches("*/api", "/srv/api/bin/api"));
    cr_assert_not(discover_glob_matches("*/bin", "/srv/api/bin/api"));
    cr_assert_not(discover_glob_matches("/api", "/srv/api/bin/api"));
    cr_assert(discover_glob_matches("api", "/srv/api (deleted)"));
    cr_assert(discover_glob_matches("*", "/srv/a\nb"));
    cr_assert(discover_glob_matches("[ab]pi", "/srv/api"));
    cr_assert_not(discover_glob_matches("", "/srv/api"));
    cr_assert_not(discover_glob_matches("api", ""));
}
