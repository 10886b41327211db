/* server.h - h2o on its own threads, answering from the board.
 *
 * Start binds every listener first, so that a port in use is an error at start and names the
 * address.  Each loop thread has its own h2o context; requests never leave their loop except as a
 * capture or reload message, answered to the loop that asked. */
#ifndef GOPROFD_HTTP_SERVER_H
#define GOPROFD_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/stack_profile.h"

struct board;
struct buffer;
struct capturer;
struct config;
struct latency;
struct server;
struct stream_hub;

/* What a client may cost us.  A member that is 0 means the default. */
struct server_limits {
    uint64_t idle_ms;         /* a kept-alive connection without a request: 75 s */
    uint64_t read_ms;         /* from the first byte of a request to its last: 10 s */
    uint64_t write_ms;        /* from the first byte of an answer to its last: 60 s */
    size_t request_max_bytes; /* of a request's body, 413 beyond: 1 MiB */
    size_t connections_max;   /* per loop; beyond it accepting waits: from RLIMIT_NOFILE */
};

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
    /* Asks what a rule's last evaluations looked at; NULL: this daemon runs no rules.  Must call [done] once,
     * from any thread; it takes over [json]. */
    void (*explain_rule)(void *context, const char *rule, const char *target,
                         void (*done)(void *done_context, bool found, struct buffer *json),
                         void *done_context);
    void *explain_context;
    /* Reads a profile on demand; NULL: this daemon reads none.  Must call [reply] once, from any thread,
     * with a hold on a profile, or NULL and the reason. */
    void (*read_stacks)(void *context, const char *target_id, enum stack_kind kind,
                        void (*reply)(void *reply_context, const struct stack_profile *profile,
                                      const struct error *err),
                        void *reply_context);
    void *stacks_context;
    struct tracker *tracker; /* of programs that push; NULL: none can */
    struct server_limits limits;
    struct latency *latency; /* these three the server's own; whoever makes the wiring leaves them NULL */
    struct auth *auth;
    struct stream_hub *hub;
};

struct server *server_new(const struct server_wiring *wiring, struct error *err);
bool server_start(struct server *server,
                  struct error *err) GOPROFD_MUST_CHECK; /* binds, then runs */
/* At SIGHUP: reads auth_token_file again.  On failure the tokens of before stay. */
bool server_reload_auth(struct server *server, struct error *err) GOPROFD_MUST_CHECK;
/* Stops accepting, finishes requests under way for at most [grace_ns], joins.  Answers that come in
 * from other threads later are dropped safely, also after server_free(). */
void server_stop(struct server *server, uint64_t grace_ns);
void server_free(struct server *server);

/* The port actually bound for metrics_listen_addr (useful with ":0"); 0 for a unix socket. */
uint16_t server_port(const struct server *server);
/* The same for pprof_listen_addr; 0 when it has no listener of its own. */
uint16_t server_pprof_port(const struct server *server);

#endif
