/* loop.h - one thread, one h2o context: accepts, times out slow clients, stops in good order.
 *
 *   listening fds (dup'ed) -> accept -> h2o http1 -> dispatch() -> handler -> reply_*()
 *                                                        other threads -> port -> reply
 *
 * The only header of ours that includes h2o.h.  Started and joined by server.c; all else here runs
 * on the loop's own thread. */
#ifndef GOPROFD_HTTP_LOOP_H
#define GOPROFD_HTTP_LOOP_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <h2o.h>

#include "core/base/error.h"
#include "http/server.h"

struct cache;
struct port;
struct streams;
struct exports;

enum { LOOP_LISTENERS_MAX = 2, LOOP_REQUEST_ID_BYTES = 24 };

/* Which routes a listener offers: the index of its host in the h2o configuration. */
enum surface { SURFACE_MAIN, SURFACE_PPROF, SURFACE_COUNT };

struct loop;

struct loop_listener {
    struct loop *loop;
    int fd;               /* until the thread makes a socket of it; -1 afterwards */
    h2o_socket_t *socket; /* NULL: not open */
    h2o_hostconf_t *hosts[2];
    h2o_accept_ctx_t accept;
};

struct loop {
    h2o_context_t context;              /* first: loop_of() relies on it */
    const struct server_wiring *wiring; /* limits filled in */
    h2o_globalconf_t globalconf;
    struct loop_listener listeners[LOOP_LISTENERS_MAX];
    size_t listener_count;
    struct port *port;
    struct cache *cache;
    struct streams *streams;
    struct exports *exports;
    h2o_timeout_t sweep_timeout;
    h2o_timeout_entry_t sweep_entry;
    size_t connections;
    bool accepting;
    uint32_t id_prefix;
    uint32_t id_counter;
    pthread_t thread;
    bool running;
    _Atomic bool stop;
    _Atomic uint64_t grace_ends_ns; /* monotonic; set before [stop] */
};

/* [fds] and [surfaces]: the listeners; each descriptor is duplicated.  Main thread. */
struct loop *loop_new(const struct server_wiring *wiring, const int *fds,
                      const enum surface *surfaces, size_t count, struct error *err);
bool loop_start(struct loop *loop, struct error *err) GOPROFD_MUST_CHECK;
void loop_ask_to_stop(struct loop *loop, uint64_t grace_ends_ns); /* any thread */
void loop_join(struct loop *loop);
void loop_free(struct loop *loop); /* not running any more, or never started; NULL is allowed */

struct loop *loop_of(h2o_req_t *req);
enum surface loop_surface_of(const struct loop *loop, const h2o_req_t *req);
uint64_t loop_now_ms(const struct loop *loop);
void loop_make_request_id(struct loop *loop, char out[LOOP_REQUEST_ID_BYTES]);

#endif
