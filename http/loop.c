/* loop.c - the life of one http thread and its connections. */
#include "http/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "http/export.h"
#include "http/cache.h"
#include "http/filters.h"
#include "http/pending.h"
#include "http/routes.h"
#include "http/stream.h"

enum {
    SWEEP_INTERVAL_MS = 1000,
    STOP_STEP_MS = 20,      /* how often a stopping loop looks at its connections */
    STOP_FORCED_STEPS = 50, /* after the grace: one second for cut connections to go */
    ACCEPTS_PER_WAKE = 16,
    CACHE_IDLE_MS = 5000,
};

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDER_ADDRESS_SANITIZER /* as clang says it */
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define UNDER_ADDRESS_SANITIZER
#endif

#ifdef UNDER_ADDRESS_SANITIZER
/* What libh2o 2.2.5 itself loses when a loop ends: h2o_multithread_destroy_queue() does not free
 * the queue, and the blocks that h2o_mem_alloc_recycle() keeps for its thread die with the thread.
 */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:h2o_multithread_create_queue\nleak:h2o_mem_alloc_recycle\n";
}
#endif

struct loop *loop_of(h2o_req_t *req)
{
    return (struct loop *)(void *)req->conn->ctx;
}

enum surface loop_surface_of(const struct loop *loop, const h2o_req_t *req)
{
    return req->hostconf == loop->globalconf.hosts[SURFACE_PPROF] ? SURFACE_PPROF : SURFACE_MAIN;
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return h2o_now(loop->context.loop);
}

void loop_make_request_id(struct loop *loop, char out[LOOP_REQUEST_ID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    const uint64_t id = ((uint64_t)loop->id_prefix << 32) | ++loop->id_counter;
    char *end = out;
    for (unsigned shift = 64; shift > 0; shift -= 4) {
        if (shift == 32)
            *end++ = '-';
        *end++ = digits[(id >> (shift - 4)) & 0xF];
    }
    *end = '\0';
}

/* ---- accepting ---- */

static void set_accepting(struct loop *loop, bool accepting);

static void on_connection_closed(void *data)
{
    struct loop *loop = data;
    loop->connections--;
    if (!loop->accepting && !atomic_load_explicit(&loop->stop, memory_order_acquire))
        set_accepting(loop, true);
}

static void link_sweep(struct loop *loop)
{
    if (!h2o_timeout_is_linked(&loop->sweep_entry))
        h2o_timeout_link(loop->context.loop, &loop->sweep_timeout, &loop->sweep_entry);
}

static void on_accept(h2o_socket_t *socket, const char *problem)
{
    struct loop_listener *listener = socket->data;
    struct loop *loop = listener->loop;
    if (problem != NULL)
        return;
    for (int i = 0; i < ACCEPTS_PER_WAKE; i++) {
        if (loop->connections >= loop->wiring->limits.connections_max) {
            set_accepting(loop, false); /* until one closes; meanwhile they queue in the kernel */
            return;
        }
        errno = 0;
        h2o_socket_t *client = h2o_evloop_socket_accept(socket);
        if (client == NULL) {
            /* Out of descriptors: the listener would stay readable and spin.  The sweep opens
             * it again within a second. */
            if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                log_warn(log_msg("cannot accept connections"),
                         log_str("why", error_errno_text(errno)));
                set_accepting(loop, false);
            }
            return;
        }
        loop->connections++;
        client->on_close.cb = on_connection_closed;
        client->on_close.data = loop;
        link_sweep(loop);
        h2o_accept(&listener->accept, client);
    }
}

static void set_accepting(struct loop *loop, bool accepting)
{
    loop->accepting = accepting;
    if (!accepting)
        link_sweep(loop);
    for (size_t i = 0; i < loop->listener_count; i++) {
        h2o_socket_t *socket = loop->listeners[i].socket;
        if (socket == NULL)
            continue;
        if (accepting)
            h2o_socket_read_start(socket, on_accept);
        else
            h2o_socket_read_stop(socket);
    }
}

/* ---- slow clients ---- */

static uint64_t age_ms(const struct timeval *since, const struct timeval *now)
{
    const int64_t ms = (int64_t)(now->tv_sec - since->tv_sec) * 1000 +
                       (int64_t)(now->tv_usec - since->tv_usec) / 1000;
    return ms > 0 ? (uint64_t)ms : 0; /* the wall clock may step back */
}

static void cut(h2o_req_t *req)
{
    /* h2o then sees the end of the stream, or a failed write, and closes in its own good order. */
    h2o_socket_t *socket = req->conn->callbacks->get_socket(req->conn);
    if (socket != NULL)
        (void)shutdown(h2o_socket_get_fd(socket), SHUT_RDWR);
}

static int each_request(struct loop *loop, int (*visit)(h2o_req_t *req, void *data), void *data)
{
    return loop->globalconf.http1.callbacks.foreach_request(&loop->context, visit, data);
}

/* h2o 2.2.5 has one timeout for waiting and reading together and none at all for writing. */
static int sweep_request(h2o_req_t *req, void *data)
{
    const struct loop *loop = data;
    const struct server_limits *limits = &loop->wiring->limits;
    bool stuck = false;
    if (streams_own(loop->streams, req, loop_now_ms(loop), &stuck) ||
        exports_own(loop->exports, req, loop_now_ms(loop), &stuck)) {
        if (stuck)
            cut(req);
        return 0;
    }
    const struct timeval *now = h2o_get_timestamp(req->conn->ctx, NULL, NULL);
    const bool begun = req->timestamps.request_begin_at.tv_sec != 0;
    const bool read = req->processed_at.at.tv_sec != 0;
    const bool answering = req->timestamps.response_start_at.tv_sec != 0;
    if (begun && !read && !answering &&
        age_ms(&req->timestamps.request_begin_at, now) > limits->read_ms)
        cut(req);
    else if (answering && age_ms(&req->timestamps.response_start_at, now) > limits->write_ms)
        cut(req);
    return 0;
}

static void on_sweep(h2o_timeout_entry_t *entry)
{
    struct loop *loop = (struct loop *)(void *)((char *)entry - offsetof(struct loop, sweep_entry));
    each_request(loop, sweep_request, loop);
    const size_t cached = cache_expire(loop->cache, loop_now_ms(loop), CACHE_IDLE_MS);
    const bool stopping = atomic_load_explicit(&loop->stop, memory_order_acquire);
    if (!loop->accepting && !stopping && loop->connections < loop->wiring->limits.connections_max)
        set_accepting(loop, true);
    if (loop->connections > 0 || cached > 0)
        link_sweep(loop);
}

/* ---- stopping ---- */

static int stop_idle_request(h2o_req_t *req, void *data)
{
    (void)data;
    if (req->timestamps.request_begin_at.tv_sec == 0)
        cut(req); /* kept alive, nothing asked */
    else
        req->http1_is_persistent = 0;
    return 0;
}

static int cut_request(h2o_req_t *req, void *data)
{
    (void)data;
    cut(req);
    return 0;
}

static void stop_in_order(struct loop *loop)
{
    const uint64_t grace_ends_ns = atomic_load_explicit(&loop->grace_ends_ns, memory_order_acquire);
    for (size_t i = 0; i < loop->listener_count; i++) {
        h2o_socket_close(loop->listeners[i].socket);
        loop->listeners[i].socket = NULL;
    }
    streams_end(loop->streams);
    h2o_context_request_shutdown(&loop->context);
    while (loop->connections > 0 && clock_monotonic_ns() < grace_ends_ns) {
        each_request(loop, stop_idle_request, NULL);
        h2o_evloop_run(loop->context.loop, STOP_STEP_MS);
    }
    if (loop->connections > 0)
        log_warn(log_msg("connections cut at the end of the grace period"),
                 log_u64("connections", loop->connections));
    port_abandon(loop->port);
    for (int step = 0; loop->connections > 0 && step < STOP_FORCED_STEPS; step++) {
        each_request(loop, cut_request, NULL);
        h2o_evloop_run(loop->context.loop, STOP_STEP_MS);
    }
    port_close(loop->port);
    h2o_evloop_run(loop->context.loop, 0); /* drops answers that were posted before the close */
}

/* ---- the thread ---- */

/* On the loop's own thread, and torn down there too: h2o's buffers come from thread-local stores,
 * and a socket made on another thread would go on using that thread's. */
static void set_up(struct loop *loop)
{
    h2o_context_init(&loop->context, h2o_evloop_create(), &loop->globalconf);
    h2o_timeout_init(loop->context.loop, &loop->sweep_timeout, SWEEP_INTERVAL_MS);
    loop->sweep_entry.cb = on_sweep;
    port_open(loop->port, &loop->context);
    streams_open(loop->streams);
    for (size_t i = 0; i < loop->listener_count; i++) {
        struct loop_listener *listener = &loop->listeners[i];
        listener->socket =
            h2o_evloop_socket_create(loop->context.loop, listener->fd, H2O_SOCKET_FLAG_DONT_READ);
        listener->socket->data = listener;
        listener->fd = -1; /* the socket closes it */
    }
    set_accepting(loop, true);
}

static void tear_down(struct loop *loop)
{
    port_detach(loop->port);
    cache_free(loop->cache);
    loop->cache = NULL;
    if (loop->connections > 0) {
        /* Cannot happen after stop_in_order(); but h2o asserts that none is left, and a few
         * lost bytes at exit are better than an abort. */
        log_error(log_msg("connections would not close"),
                  log_u64("connections", loop->connections));
        return;
    }
    streams_close(loop->streams);
    h2o_timeout_unlink(&loop->sweep_entry);
    h2o_timeout_dispose(loop->context.loop, &loop->sweep_timeout);
    h2o_context_dispose(&loop->context);
    h2o_evloop_destroy(loop->context.loop); /* 2.2.5 leaves its epoll descriptor open */
}

static void *run(void *argument)
{
    struct loop *loop = argument;
    set_up(loop);
    while (!atomic_load_explicit(&loop->stop, memory_order_acquire))
        h2o_evloop_run(loop->context.loop, INT32_MAX); /* -1 is a signal: go on */
    stop_in_order(loop);
    tear_down(loop);
    return NULL;
}

static void configure(struct loop *loop)
{
    h2o_globalconf_t *conf = &loop->globalconf;
    h2o_config_init(conf);
    conf->server_name = h2o_iovec_init(H2O_STRLIT("goprofd"));
    conf->max_request_entity_size = loop->wiring->limits.request_max_bytes;
    conf->http1.req_timeout = loop->wiring->limits.idle_ms;
    /* No cleartext HTTP/2: nothing here needs it, and 2.2.5's predates its best-known attacks. */
    conf->http1.upgrade_to_http2 = 0;
    conf->http2.callbacks.request_shutdown = NULL; /* arms timers that outlive the context */

    static const char *const names[SURFACE_COUNT] = {
        [SURFACE_MAIN] = "main", [SURFACE_PPROF] = "pprof"};
    for (int surface = 0; surface < SURFACE_COUNT; surface++) {
        h2o_hostconf_t *host = h2o_config_register_host(
            conf, h2o_iovec_init(names[surface], strlen(names[surface])), 65535);
        h2o_pathconf_t *root = h2o_config_register_path(host, "/", 0);
        h2o_create_handler(root, sizeof(h2o_handler_t))->on_req = routes_dispatch;
        filters_register(root);
        filters_register(&host->fallback_path); /* h2o's own errors take this one */
    }
}

static bool add_listener(struct loop *loop, int fd, enum surface surface, struct error *err)
{
    struct loop_listener *listener = &loop->listeners[loop->listener_count];
    listener->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (listener->fd == -1)
        return error_set(err, ERROR_SYSTEM, "duplicate a listening socket: %s",
                         error_errno_text(errno));
    loop->listener_count++;
    listener->loop = loop;
    listener->hosts[0] = loop->globalconf.hosts[surface];
    listener->accept = (h2o_accept_ctx_t){.ctx = &loop->context, .hosts = listener->hosts};
    return true;
}

struct loop *loop_new(const struct server_wiring *wiring, const int *fds,
                      const enum surface *surfaces, size_t count, struct error *err)
{
    struct loop *loop = calloc(1, sizeof(*loop));
    if (loop == NULL) {
        error_set(err, ERROR_NO_MEMORY, "start an http loop: out of memory");
        return NULL;
    }
    loop->wiring = wiring;
    if (getrandom(&loop->id_prefix, sizeof(loop->id_prefix), 0) != sizeof(loop->id_prefix))
        loop->id_prefix = (uint32_t)clock_monotonic_ns();
    configure(loop);
    loop->port = port_new();
    loop->cache = cache_new();
    loop->streams = streams_new(loop);
    loop->exports = exports_new(loop);
    if (loop->port == NULL || loop->cache == NULL || loop->streams == NULL ||
        loop->exports == NULL) {
        error_set(err, ERROR_NO_MEMORY, "start an http loop: out of memory");
        goto fail;
    }
    for (size_t i = 0; i < count && i < LOOP_LISTENERS_MAX; i++) {
        if (!add_listener(loop, fds[i], surfaces[i], err))
            goto fail;
    }
    return loop;

fail:
    loop_free(loop);
    return NULL;
}

bool loop_start(struct loop *loop, struct error *err)
{
    /* Signals belong to the main thread; SIGPIPE too, so that a write to a client who left is
     * an error code here and not the end of the daemon. */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int problem = pthread_create(&loop->thread, NULL, run, loop);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (problem != 0)
        return error_set(err, ERROR_SYSTEM, "start an http thread: %s", error_errno_text(problem));
    (void)pthread_setname_np(loop->thread, "http");
    loop->running = true;
    return true;
}

void loop_ask_to_stop(struct loop *loop, uint64_t grace_ends_ns)
{
    atomic_store_explicit(&loop->grace_ends_ns, grace_ends_ns, memory_order_release);
    atomic_store_explicit(&loop->stop, true, memory_order_release);
    port_wake(loop->port);
}

void loop_join(struct loop *loop)
{
    if (loop->running)
        pthread_join(loop->thread, NULL);
    loop->running = false;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL)
        return;
    for (size_t i = 0; i < loop->listener_count; i++) {
        if (loop->listeners[i].fd != -1) /* the thread never ran */
            close(loop->listeners[i].fd);
    }
    port_free(loop->port);
    streams_free(loop->streams);
    exports_free(loop->exports);
    cache_free(loop->cache);
    if (loop->connections > 0)
        return; /* h2o still points into it, see tear_down() */
    h2o_config_dispose(&loop->globalconf);
    free(loop);
}
