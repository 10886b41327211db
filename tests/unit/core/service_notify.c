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
    static char text[256];
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
    cr_assert(service_notify_ready(path, &err), "%s", err.message);
    cr_assert_str_eq(heard(fd), "READY=1\n");
    cr_assert(service_notify_reloading(path, UINT64_C(1234567890), &err));
    cr_assert_str_eq(heard(fd), "RELOADING=1\nMONOTONIC_USEC=1234567\n");
    cr_assert(service_notify_stopping(path, &err));
    cr_assert_str_eq(heard(fd), "STOPPING=1\n");
    (void)close(fd);
    (void)unlink(path);
}

Test(service_notify, is_silent_without_a_manager_and_names_one_that_is_not_there)
{
    struct error err = {.message = ""};
    cr_assert(service_notify_ready(NULL, &err));
    cr_assert(service_notify_ready("", &err));
    cr_assert_not(service_notify_ready("relative", &err));
    cr_assert_not(service_notify_ready("/nowhere/at/all", &err));
    cr_assert_not_null(strstr(err.message, "NOTIFY_SOCKET=/nowhere/at/all"));
}
