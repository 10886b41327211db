/* stub_server.h - an HTTP server that says what a test wants: other people's programs, good and bad.
 *
 * One thread, one connection at a time, each closed after its answer. */
#ifndef GOPROFD_TESTS_STUB_SERVER_H
#define GOPROFD_TESTS_STUB_SERVER_H

#include <stddef.h>
#include <stdint.h>

struct stub_answer {
    const char *path; /* the whole of it, with its query */
    int status;
    const char *head; /* further header lines, each with "\r\n"; NULL: none */
    const char *body; /* borrowed until the server stops */
    size_t length;
};

enum { STUB_ANSWERS_MAX = 8 };

struct stub_server;

/* Listens on [port] of the loopback (0: a free one) and answers as [answers] say, with 404 to all else. */
struct stub_server *stub_server_start(uint16_t port, const struct stub_answer *answers, size_t count);
uint16_t stub_server_port(const struct stub_server *server);
/* How many requests carried the header line [line]. */
unsigned stub_server_count(struct stub_server *server, const char *line);
void stub_server_stop(struct stub_server *server);

/* Listens and never answers anybody. */
int stub_silent_listen(uint16_t *port);

#endif
