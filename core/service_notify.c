/* service_notify.c - see service_notify.h and sd_notify(3); the protocol is one datagram of lines. */
#include "core/service_notify.h"

#include <errno.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* '/' begins a path, '@' the name of an abstract socket. */
static bool address_of(const char *path, struct sockaddr_un *address, socklen_t *length,
                       struct error *err)
{
    const size_t size = strlen(path);
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((path[0] != '/' && path[0] != '@') || size < 2 || size >= sizeof(address->sun_path))
        return error_set(err, ERROR_USAGE, "NOTIFY_SOCKET=%s is no path of a socket", path);
    memcpy(address->sun_path, path, size);
    if (path[0] == '@')
        address->sun_path[0] = '\0';
    *length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + size);
    return true;
}

static bool tell(const char *path, const char *text, struct error *err)
{
    struct sockaddr_un address;
    socklen_t length;
    if (path == NULL || path[0] == '\0')
        return true;
    if (!address_of(path, &address, &length, err))
        return false;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1)
        return error_set(err, ERROR_SYSTEM, "NOTIFY_SOCKET: %s", error_errno_text(errno));
    const ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL,
                                (const struct sockaddr *)&address, length);
    const int reason = errno;
    (void)close(fd);
    return sent != -1 ||
           error_set(err, ERROR_SYSTEM, "NOTIFY_SOCKET=%s: %s", path, error_errno_text(reason));
}

bool service_notify_ready(const char *socket_path, struct error *err)
{
    return tell(socket_path, "READY=1\n", err);
}

bool service_notify_reloading(const char *socket_path, uint64_t monotonic_ns, struct error *err)
{
    char text[64];
    (void)snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu\n",
                   (unsigned long long)(monotonic_ns / 1000));
    return tell(socket_path, text, err);
}

bool service_notify_stopping(const char *socket_path, struct error *err)
{
    return tell(socket_path, "STOPPING=1\n", err);
}
