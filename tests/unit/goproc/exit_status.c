/* exit_status.c - how processes ended: from a zombie's stat line and from their pidfd. */
#include "core/goproc/exit_status.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Fields 4 to 51 as far as they matter: start time 98765 in field 22. */
#define STAT(state, code)                                                                          \
    "41 (a) Z (b)) " state " 1 41 41 0 -1 4194560 1 0 0 0 0 0 0 0 20 0 1 0 98765 0 0 "             \
    "18446744073709551615 0 0 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 " code "\n"

Test(exit_status, is_taken_from_the_stat_of_a_zombie)
{
    struct exit_status status = exit_status_parse_stat(STAT("Z", "768"), 98765);
    cr_assert(status.known);
    cr_assert_eq(status.code, 3);
    cr_assert_eq(status.signal_number, 0);
    status = exit_status_parse_stat(STAT("Z", "9"), 98765);
    cr_assert(status.known);
    cr_assert_eq(status.signal_number, SIGKILL);
    status = exit_status_parse_stat(STAT("Z", "134"), 98765); /* with a core dump */
    cr_assert_eq(status.signal_number, SIGABRT);
}

Test(exit_status, is_not_taken_from_the_living_nor_from_another_process_nor_from_nonsense)
{
    cr_assert_not(exit_status_parse_stat(STAT("S", "0"), 98765).known);
    cr_assert_not(exit_status_parse_stat(STAT("Z", "0"), 98764).known);
    cr_assert_not(exit_status_parse_stat(STAT("Z", "99999999"), 98765).known);
    cr_assert_not(exit_status_parse_stat(STAT("Z", "x"), 98765).known);
    cr_assert_not(exit_status_parse_stat("41 (a) Z 1 41", 98765).known);
    cr_assert_not(exit_status_parse_stat("", 98765).known);
}

static const struct procfs live = {.root = ""};

/* A child that ends as asked, not yet reaped; its pidfd. */
static pid_t start_child(int code, int signal_number, int *pidfd, uint64_t *start_ticks)
{
    const pid_t child = fork();
    cr_assert_neq(child, -1);
    if (child == 0) {
        if (signal_number != 0)
            (void)raise(signal_number);
        _exit(code);
    }
    struct error err;
    *pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    cr_assert_neq(*pidfd, -1);
    cr_assert(procfs_start_ticks_read(&live, child, start_ticks, &err), "%s", err.message);
    struct pollfd wait = {.fd = *pidfd, .events = POLLIN};
    cr_assert_eq(poll(&wait, 1, 10000), 1);
    return child;
}

Test(exit_status, is_known_before_the_parent_has_taken_it)
{
    int pidfd = -1;
    uint64_t start_ticks = 0;
    const pid_t child = start_child(7, 0, &pidfd, &start_ticks);
    const struct exit_status status = exit_status_read(&live, child, start_ticks, pidfd);
    cr_assert(status.known);
    cr_assert_eq(status.code, 7);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    (void)close(pidfd);
}

/* By the pidfd, since Linux 6.15; before that it is unknown, and never wrong. */
Test(exit_status, is_known_afterwards_where_the_kernel_keeps_it)
{
    int pidfd = -1;
    uint64_t start_ticks = 0;
    const pid_t child = start_child(0, SIGKILL, &pidfd, &start_ticks);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    const struct exit_status status = exit_status_read(&live, child, start_ticks, pidfd);
    cr_assert(!status.known || status.signal_number == SIGKILL);
    cr_assert_not(exit_status_read(&live, child, start_ticks, -1).known);
    (void)close(pidfd);
}

Test(exit_status, is_told_in_words)
{
    char text[EXIT_STATUS_TEXT_BYTES];
    exit_status_describe(&(struct exit_status){.known = false}, text);
    cr_assert_str_eq(text, "has exited");
    exit_status_describe(&(struct exit_status){.known = true, .code = 2}, text);
    cr_assert_str_eq(text, "exited with status 2");
    exit_status_describe(&(struct exit_status){.known = true, .signal_number = SIGTERM}, text);
    cr_assert_str_eq(text, "was ended by signal 15 (SIGTERM)");
    exit_status_describe(&(struct exit_status){.known = true, .signal_number = 40}, text);
    cr_assert_str_eq(text, "was ended by signal 40");
}
