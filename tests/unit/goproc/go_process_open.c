/* go_process_open.c - what is said of processes that cannot be read. */
#include "core/goproc/go_process.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct procfs live = {.root = "/"};

Test(go_process, says_that_a_c_program_is_not_go)
{
    struct error err = {0};
    char version[64];

    cr_assert_not(go_process_probe(&live, getpid(), version, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_str_eq(err.message, "not a Go program");
    cr_assert_null(go_process_open(&live, getpid(), &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED, "%s", err.message);
}

Test(go_process, says_that_a_process_is_gone)
{
    struct error err = {0};
    char version[64];
    pid_t child = fork();

    if (child == 0)
        _exit(0);
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_not(go_process_probe(&live, child, version, &err));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
    cr_assert_null(go_process_open(&live, child, &err));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
}

Test(go_process, leaks_no_descriptor_when_it_refuses)
{
    int before = dup(0);
    close(before);
    for (int i = 0; i < 5; i++) {
        struct error err = {0};
        cr_assert_null(go_process_open(&live, getpid(), &err));
        cr_assert_neq(err.message[0], '\0');
    }
    int after = dup(0);
    close(after);
    cr_assert_eq(before, after);
}

Test(go_process, closes_what_was_never_opened)
{
    go_process_close(NULL);
}
