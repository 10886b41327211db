/* server.h - h2o on its own threads, answering from the board.
 *
 * Start binds every listener first, so that a port in use is an error at start and names the
 * address.  Each loop thread has its own h2o context; requests never leave their loop except as a
 * capture or reload message, answered to the loop that asked. */
#ifndef GOPROFD_HTTP_SERVER_H
#define GOPROFD_HTTP_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct board;
struct capturer;
struct config;
struct server;

/* What the routes may use.  [reload_rules] is set by main, since http knows no lua: it must call
 * [done] once, from any thread. */
struct server_wiring {
    const struct config *config; /* outlives the server */
    struct board *board;
    struct capturer *capturer;
    void (*reload_rules)(void *context,
                         void (*done)(void *done_context, bool ok, const char *problem),
                         void *done_context);
    void *reload_context;
};

struct server *server_new(const struct server_wiring *wiring, struct error *err);
bool server_start(struct server *server, struct error *err) GOPROFD_MUST_CHECK; /* binds, then runs */
/* Stops accepting, finishes requests under way for at most [grace_ns], joins. */
void server_stop(struct server *server, uint64_t grace_ns);
void server_free(struct server *server);

/* The port actually bound for metrics_listen_addr (useful with ":0"); 0 for a unix socket. */
uint16_t server_port(const struct server *server);

#endif
