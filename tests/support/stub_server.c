/* stub_server.c - an HTTP server that says what a test wants. */
#include "tests/support/stub_server.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/http.h"

enum { REQUEST_MAX_BYTES = 8192, LOOK_EVERY_MS = 50, REQUESTS_KEPT = 256 };

struct stub_server {
    int listener;
    uint16_t port;
    struct stub_answer answers[STUB_ANSWERS_MAX];
    size_t count;
    pthread_t thread;
    atomic_bool stopping;
    pthread_mutex_t lock;
    char *requests[REQUESTS_KEPT];
    size_t request_count;
};

static int listen_on(uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(*port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    const int one = 1;
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_neq(fd, -1);
    cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)), 0);
    cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0, "port %u", *port);
    cr_assert_eq(listen(fd, 64), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

int stub_silent_listen(uint16_t *port)
{
    *port = 0;
    return listen_on(port);
}

static void send_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the client has left */
        bytes += sent;
        length -= (size_t)sent;
    }
}

static void answer(const struct stub_server *server, int fd, const char *request)
{
    static const struct stub_answer unknown = {
        .status = 404, .body = "404 page not found\n", .length = 19};
    const struct stub_answer *chosen = &unknown;
    for (size_t i = 0; i < server->count; i++) {
        const struct stub_answer *candidate = &server->answers[i];
        const size_t length = strlen(candidate->path);
        if (strncmp(request, "GET ", 4) == 0 && strncmp(request + 4, candidate->path, length) == 0 &&
            request[4 + length] == ' ')
            chosen = candidate;
    }
    char head[1024];
    const int length = snprintf(head, sizeof(head),
                                "HTTP/1.1 %d Stub\r\nContent-Length: %zu\r\n%sConnection: close\r\n\r\n",
                                chosen->status, chosen->length,
                                chosen->head != NULL ? chosen->head : "");
    send_all(fd, head, (size_t)length);
    send_all(fd, chosen->body, chosen->length);
}

static void serve(struct stub_server *server, int fd)
{
    char request[REQUEST_MAX_BYTES];
    size_t length = 0;
    request[0] = '\0';
    while (strstr(request, "\r\n\r\n") == NULL && length < sizeof(request) - 1) {
        const ssize_t got = recv(fd, request + length, sizeof(request) - 1 - length, 0);
        if (got <= 0)
            return;
        length += (size_t)got;
        request[length] = '\0';
    }
    pthread_mutex_lock(&server->lock);
    if (server->request_count < REQUESTS_KEPT)
        server->requests[server->request_count++] = strdup(request);
    pthread_mutex_unlock(&server->lock);
    answer(server, fd, request);
}

static void *server_main(void *argument)
{
    struct stub_server *server = argument;
    while (!atomic_load(&server->stopping)) {
        struct pollfd wait = {.fd = server->listener, .events = POLLIN};
        if (poll(&wait, 1, LOOK_EVERY_MS) != 1)
            continue;
        const int fd = accept(server->listener, NULL, NULL);
        if (fd == -1)
            continue;
        serve(server, fd);
        (void)close(fd);
    }
    return NULL;
}

struct stub_server *stub_server_start(uint16_t port, const struct stub_answer *answers, size_t count)
{
    struct stub_server *server = calloc(1, sizeof(*server));
    cr_assert_not_null(server);
    cr_assert_leq(count, STUB_ANSWERS_MAX);
    memcpy(server->answers, answers, count * sizeof(answers[0]));
    server->count = count;
    /* Not the kernel's choice: a port for the next start, too. */
    server->port = port != 0 ? port : http_free_port();
    server->listener = listen_on(&server->port);
    cr_assert_eq(pthread_mutex_init(&server->lock, NULL), 0);
    cr_assert_eq(pthread_create(&server->thread, NULL, server_main, server), 0);
    return server;
}

uint16_t stub_server_port(const struct stub_server *server)
{
    return server->port;
}

unsigned stub_server_count(struct stub_server *server, const char *line)
{
    unsigned count = 0;
    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; i < server->request_count; i++)
        count += strstr(server->requests[i], line) != NULL;
    pthread_mutex_unlock(&server->lock);
    return count;
}

void stub_server_stop(struct stub_server *server)
{
    atomic_store(&server->stopping, true);
    (void)pthread_join(server->thread, NULL);
    (void)close(server->listener);
    for (size_t i = 0; i < server->request_count; i++)
        free(server->requests[i]);
    (void)pthread_mutex_destroy(&server->lock);
    free(server);
}
