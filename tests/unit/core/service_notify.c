/* service_notify.c - what a service manager hears on its socket. */
#include "core/service_notify.h"

#include <criterion/criterion.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    cr_assert_lt(strlen(path), sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    (void)unlink(path);
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    cr_assert_eq(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

static const char *heard(int fd)
{
    static char text[1024];
    const ssize_t length = recv(fd, text, sizeof(text) - 1, 0);
    cr_assert_gt(length, 0);
    text[length] = '\0';
    return text;
}

Test(service_notify, tells_ready_reloading_and_stopping)
{
    char path[64];
    struct error err;
    (void)snprintf(path, sizeof(path), "/tmp/goprofd-notify-%d", (int)getpid());
    const int fd = listen_at(path);
    cr_assert(service_notify_ready(path, "watching", &err), "%s", err.message);
    cr_assert_str_eq(heard(fd), "READY=1\nSTATUS=watching\n");
    cr_assert(service_notify_reloading(path, UINT64_C(1234567890), &err));
    cr_assert_str_eq(heard(fd), "RELOADING=1\nMONOTONIC_USEC=1234567\n");
    cr_assert(service_notify_stopping(path, &err));
    cr_assert_str_eq(heard(fd), "STOPPING=1\n");
    cr_assert(service_notify_alive(path, &err));
    cr_assert_str_eq(heard(fd), "WATCHDOG=1\n");
    (void)close(fd);
    (void)unlink(path);
}

Test(service_notify, a_status_is_one_line_of_utf8_whatever_it_quotes)
{
    char path[64];
    struct error err;
    (void)snprintf(path, sizeof(path), "/tmp/goprofd-notify-%d", (int)getpid());
    const int fd = listen_at(path);
    cr_assert(service_notify_ready(path, "a.lua:1:\nSTOPPING=1\tf\303\274r \377 \303", &err));
    cr_assert_str_eq(heard(fd), "READY=1\nSTATUS=a.lua:1: STOPPING=1 f\303\274r ? ?\n");
    char endless[5000];
    memset(endless, 'x', sizeof(endless) - 1);
    endless[sizeof(endless) - 1] = '\0';
    cr_assert(service_notify_ready(path, endless, &err));
    const char *text = heard(fd);
    cr_assert_eq(strlen(text), strlen("READY=1\nSTATUS=") + 480 + 1, "the end is cut, the line ends");
    cr_assert_eq(text[strlen(text) - 1], '\n');
    (void)close(fd);
    (void)unlink(path);
}

/* systemd reads its queue when it gets to it. */
Test(service_notify, waits_for_a_manager_whose_queue_is_full_but_not_for_ever)
{
    char path[64];
    struct error err;
    unsigned taken = 0;
    (void)snprintf(path, sizeof(path), "/tmp/goprofd-notify-%d", (int)getpid());
    const int fd = listen_at(path);
    while (taken < 10000 && service_notify_alive(path, &err))
        taken++;
    cr_assert_gt(taken, 0);
    cr_assert_lt(taken, 10000, "no queue is that long");
    cr_assert_not_null(strstr(err.message, path), "%s", err.message);
    (void)heard(fd);
    cr_assert(service_notify_ready(path, "there is room again", &err), "%s", err.message);
    (void)close(fd);
    (void)unlink(path);
}

Test(service_notify, watchdog_is_asked_for_by_its_period_and_by_pid)
{
    static const struct {
        const char *usec;
        const char *pid;
        uint64_t period_ns;
        const char *problem; /* NULL: fine */
    } cases[] = {
        {NULL, NULL, 0, NULL},
        {"", "", 0, NULL},
        {"30000000", NULL, UINT64_C(30000000000), NULL},
        {"30000000", "42", UINT64_C(30000000000), NULL},
        {"30000000", "43", 0, NULL}, /* meant for the parent */
        {"30000000", "x", 0, "WATCHDOG_PID=x"},
        {"0", NULL, 0, "WATCHDOG_USEC=0"},
        {"-1", NULL, 0, "WATCHDOG_USEC=-1"},
        {" 1000", NULL, 0, "WATCHDOG_USEC= 1000"},
        {"1000s", NULL, 0, "WATCHDOG_USEC=1000s"},
        {"99999999999999999999999", NULL, 0, "WATCHDOG_USEC=9999"},
        {"18446744073709551615", NULL, 0, "WATCHDOG_USEC=1844"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t period_ns = 99;
        struct error err = {.message = ""};
        const bool ok = service_notify_watchdog_period(cases[i].usec, cases[i].pid, 42, &period_ns, &err);
        cr_assert_eq(ok, cases[i].problem == NULL, "case %zu: %s", i, err.message);
        cr_assert_eq(period_ns, cases[i].period_ns, "case %zu", i);
        cr_assert(ok || strstr(err.message, cases[i].problem) != NULL, "case %zu: %s", i, err.message);
    }
}

Test(service_notify, is_silent_without_a_manager_and_names_one_that_is_not_there)
{
    struct error err = {.message = ""};
    cr_assert(service_notify_ready(NULL, "", &err));
    cr_assert(service_notify_ready("", "", &err));
    cr_assert_not(service_notify_ready("relative", "", &err));
    cr_assert_not(service_notify_ready("/nowhere/at/all", "", &err));
    cr_assert_not_null(strstr(err.message, "NOTIFY_SOCKET=/nowhere/at/all"));
}
