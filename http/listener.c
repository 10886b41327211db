/* listener.c - binds what the config asks for, or says why not and what to do.  Main thread. */
#include "http/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* Group members may talk to the daemon, others not: the socket file is its own access list. */
enum { SOCKET_FILE_MODE = 0660 };

static bool fail_bind(const char *text, const char *key, int errno_value, struct error *err)
{
    const char *cure = "";
    if (errno_value == EADDRINUSE)
        cure = "; stop the program that listens there or choose another address";
    else if (errno_value == EACCES)
        cure = "; ports below 1024 and foreign folders need privileges";
    else if (errno_value == EADDRNOTAVAIL)
        cure = "; this machine has no such address";
    return error_set(err, ERROR_SYSTEM, "listen on %s (%s): %s%s", text, key,
                     error_errno_text(errno_value), cure);
}

/* Returns the descriptor, or -1 with [*errno_value] set. */
static int bind_info(const struct addrinfo *info, int *errno_value)
{
    const int on = 1;
    const int off = 0;
    const int fd = socket(info->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd == -1) {
        *errno_value = errno;
        return -1;
    }
    /* Without it a restart would wait for old connections in TIME_WAIT. */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (info->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    if (bind(fd, info->ai_addr, info->ai_addrlen) == -1 || listen(fd, SOMAXCONN) == -1) {
        *errno_value = errno;
        close(fd);
        return -1;
    }
    return fd;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in in4;
    struct sockaddr_in6 in6;
    socklen_t length = sizeof(storage);
    if (getsockname(fd, (struct sockaddr *)&storage, &length) == -1)
        return 0;
    if (storage.ss_family == AF_INET6) {
        memcpy(&in6, &storage, sizeof(in6));
        return ntohs(in6.sin6_port);
    }
    memcpy(&in4, &storage, sizeof(in4));
    return ntohs(in4.sin_port);
}

static bool open_tcp(struct listener *listener, const char *text, const char *key,
                     struct error *err)
{
    const bool any = listener->address.host[0] == '\0';
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)listener->address.port);

    struct addrinfo *found = NULL;
    const int problem = getaddrinfo(any ? NULL : listener->address.host, port, &hints, &found);
    if (problem != 0)
        return error_set(err, ERROR_SYSTEM, "listen on %s (%s): %s", text, key,
                         gai_strerror(problem));

    /* Every interface: the IPv6 wildcard takes IPv4 too, so it is tried first.  A name: IPv4
     * first, as Go's net.Listen does, so that "localhost" means 127.0.0.1. */
    int errno_value = EADDRNOTAVAIL;
    const int families[] = {any ? AF_INET6 : AF_INET, any ? AF_INET : AF_INET6};
    for (size_t f = 0; f < 2 && listener->fd == -1 && errno_value != EADDRINUSE; f++) {
        for (const struct addrinfo *info = found; info != NULL; info = info->ai_next) {
            if (info->ai_family != families[f])
                continue;
            listener->fd = bind_info(info, &errno_value);
            if (listener->fd != -1 || errno_value == EADDRINUSE)
                break;
        }
    }
    freeaddrinfo(found);
    if (listener->fd == -1)
        return fail_bind(text, key, errno_value, err);
    listener->port = bound_port(listener->fd);
    return true;
}

/* Removes a socket file that a dead process left behind.  False with [err] when somebody still
 * answers there, or when it is no socket at all. */
static bool remove_stale(const struct sockaddr_un *name, const char *text, const char *key,
                         struct error *err)
{
    struct stat status;
    if (lstat(name->sun_path, &status) == -1)
        return errno == ENOENT ? true : fail_bind(text, key, errno, err);
    if (!S_ISSOCK(status.st_mode))
        return error_set(err, ERROR_SYSTEM,
                         "listen on %s (%s): the file exists and is no socket; remove it or choose "
                         "another path",
                         text, key);
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe == -1)
        return fail_bind(text, key, errno, err);
    const bool refused =
        connect(probe, (const struct sockaddr *)name, sizeof(*name)) == -1 && errno == ECONNREFUSED;
    close(probe);
    if (!refused) /* connected, or its queue is full: somebody is there */
        return fail_bind(text, key, EADDRINUSE, err);
    if (unlink(name->sun_path) == -1 && errno != ENOENT)
        return fail_bind(text, key, errno, err);
    return true;
}

static bool open_unix(struct listener *listener, const char *text, const char *key,
                      struct error *err)
{
    struct sockaddr_un name = {.sun_family = AF_UNIX};
    _Static_assert(sizeof(name.sun_path) == sizeof(listener->address.path),
                   "a path that parses must fit");
    memcpy(name.sun_path, listener->address.path, sizeof(name.sun_path));

    if (!remove_stale(&name, text, key, err))
        return false;
    listener->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (listener->fd == -1)
        return fail_bind(text, key, errno, err);

    struct stat status;
    if (bind(listener->fd, (const struct sockaddr *)&name, sizeof(name)) == -1) {
        fail_bind(text, key, errno, err);
        goto fail;
    }
    /* Before listen() nobody can connect, so the mode is right before the first client. */
    if (stat(name.sun_path, &status) == -1 || chmod(name.sun_path, SOCKET_FILE_MODE) == -1 ||
        listen(listener->fd, SOMAXCONN) == -1) {
        fail_bind(text, key, errno, err);
        (void)unlink(name.sun_path);
        goto fail;
    }
    listener->socket_device_ = status.st_dev;
    listener->socket_inode_ = status.st_ino;
    return true;

fail:
    close(listener->fd);
    listener->fd = -1;
    return false;
}

bool listener_open(struct listener *listener, const char *text, const char *key, struct error *err)
{
    *listener = (struct listener){.fd = -1};
    if (!address_parse(text, &listener->address, err))
        return error_wrap(err, "%s", key);
    if (listener->address.kind == ADDRESS_UNIX)
        return open_unix(listener, text, key, err);
    return open_tcp(listener, text, key, err);
}

void listener_close(struct listener *listener)
{
    if (listener->fd == -1)
        return;
    if (listener->address.kind == ADDRESS_UNIX) {
        struct stat status;
        if (stat(listener->address.path, &status) == 0 &&
            status.st_dev == listener->socket_device_ && status.st_ino == listener->socket_inode_)
            (void)unlink(listener->address.path);
    }
    close(listener->fd);
    listener->fd = -1;
}
