/* free_port.c - ports for servers that cannot be told to take any and say which.
 *
 * A port that the kernel chose and that is closed again is the kernel's to give away: a client's
 * connection or the next test's server had it at times before the server it was meant for. */
#include "tests/support/free_port.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    LOWEST_PORT = 10000, /* below live the well-known servers of a developer's machine */
    PORT_END = 65536,
    ENOUGH_PORTS = 1000,
    TRIES = 1000,
};

/* One past the highest port to offer. */
static unsigned range_end(void)
{
    unsigned first_of_kernel = 0;
    FILE *file = fopen("/proc/sys/net/ipv4/ip_local_port_range", "re");
    if (file != NULL) {
        if (fscanf(file, "%u", &first_of_kernel) != 1)
            first_of_kernel = 0;
        (void)fclose(file);
    }
    /* Where the kernel's range leaves no room, only the other callers are kept away. */
    return first_of_kernel >= LOWEST_PORT + ENOUGH_PORTS && first_of_kernel < PORT_END
               ? first_of_kernel
               : PORT_END;
}

/* The descriptor that keeps [port] from the other callers until it is closed; -1: one of them has
 * it. A name in the abstract namespace is, like the port, one of the network namespace. */
static int reserve(unsigned port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int length =
        snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "goprofd-test-port-%u", port);
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return -1;
    if (bind(fd, (const struct sockaddr *)(const void *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)length)) == 0)
        return fd;
    close(fd);
    return -1;
}

static bool is_unused(unsigned port)
{
    const struct sockaddr_in address = {.sin_family = AF_INET,
                                        .sin_port = htons((uint16_t)port),
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd == -1)
        return false;
    const bool unused =
        bind(fd, (const struct sockaddr *)(const void *)&address, sizeof(address)) == 0;
    close(fd);
    return unused;
}

uint16_t free_port(void)
{
    const unsigned end = range_end();
    for (unsigned i = 0; i < TRIES; i++) {
        uint32_t random;
        if (getrandom(&random, sizeof(random), 0) != (ssize_t)sizeof(random))
            return 0;
        const unsigned port = LOWEST_PORT + random % (end - LOWEST_PORT);
        /* In this order: to look at a port is to hold it for a moment, and whoever has it reserved
         * may be about to listen. */
        const int reservation = reserve(port);
        if (reservation == -1)
            continue;
        if (is_unused(port))
            return (uint16_t)port; /* the reservation ends with the process */
        close(reservation);
    }
    return 0;
}
