/* service_notify.c - see service_notify.h and sd_notify(3); the protocol is one datagram of lines. */
#include "core/service_notify.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/base/json.h"

enum { STATUS_MAX_BYTES = 512, SEND_TIMEOUT_S = 1 };

/* Shorter than any beat of a watchdog can be kept, longer than any unit waits. */
#define PERIOD_MIN_USEC UINT64_C(1000)
#define PERIOD_MAX_USEC UINT64_C(1000000000000)

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

/* Waits a little while the manager's queue is full: a READY=1 that is lost lets a reload time out. */
static bool tell(const char *path, const char *text, struct error *err)
{
    struct sockaddr_un address;
    socklen_t length = 0;
    const struct timeval timeout = {.tv_sec = SEND_TIMEOUT_S};
    if (path == NULL || path[0] == '\0')
        return true;
    if (!address_of(path, &address, &length, err))
        return false;
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return error_set(err, ERROR_SYSTEM, "NOTIFY_SOCKET: %s", error_errno_text(errno));
    ssize_t sent = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    if (sent != -1)
        sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (const struct sockaddr *)&address, length);
    const int reason = errno;
    (void)close(fd);
    return sent != -1 ||
           error_set(err, ERROR_SYSTEM, "NOTIFY_SOCKET=%s: %s", path, error_errno_text(reason));
}

/* A status in two lines would be two messages, the second by whoever wrote the file that it quotes; and one
 * that is not UTF-8 is thrown away. */
static void make_one_line(char *text, size_t length)
{
    for (size_t i = 0; i < length;) {
        const size_t step = json_utf8_length(text + i, length - i);
        if (step == 0)
            text[i] = '?';
        else if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
            text[i] = ' ';
        i += step == 0 ? 1 : step;
    }
}

bool service_notify_ready(const char *socket_path, const char *status, struct error *err)
{
    char text[STATUS_MAX_BYTES];
    const int length = snprintf(text, sizeof(text), "READY=1\nSTATUS=%.480s", status);
    make_one_line(text + sizeof("READY=1\n") - 1, (size_t)length - (sizeof("READY=1\n") - 1));
    text[length] = '\n';
    text[length + 1] = '\0';
    return tell(socket_path, text, err);
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

bool service_notify_alive(const char *socket_path, struct error *err)
{
    return tell(socket_path, "WATCHDOG=1\n", err);
}

static bool parse_number(const char *text, uint64_t *number)
{
    char *end = NULL;
    errno = 0;
    *number = strtoull(text, &end, 10);
    return errno == 0 && text[0] >= '0' && text[0] <= '9' && *end == '\0';
}

bool service_notify_watchdog_period(const char *usec, const char *for_pid, int64_t pid, uint64_t *period_ns,
                                    struct error *err)
{
    uint64_t number = 0;
    *period_ns = 0;
    if (usec == NULL || usec[0] == '\0')
        return true;
    if (for_pid != NULL && for_pid[0] != '\0') {
        if (!parse_number(for_pid, &number))
            return error_set(err, ERROR_USAGE, "WATCHDOG_PID=%.64s is no pid", for_pid);
        if (number != (uint64_t)pid)
            return true; /* inherited from a parent that is watched */
    }
    if (!parse_number(usec, &number) || number < PERIOD_MIN_USEC || number > PERIOD_MAX_USEC)
        return error_set(err, ERROR_USAGE, "WATCHDOG_USEC=%.64s is no number of microseconds from 1000 to 10^12",
                         usec);
    *period_ns = number * 1000;
    return true;
}
