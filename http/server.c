/* server.c - listeners and loops, started and stopped together.  Main thread. */
#include "http/server.h"

#include <sys/resource.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "http/auth.h"
#include "http/latency.h"
#include "http/listener.h"
#include "http/loop.h"
#include "http/stream_hub.h"

enum {
    DEFAULT_IDLE_MS =
        75000, /* above the usual scrape intervals, so that a scraper stays connected */
    DEFAULT_READ_MS = 10000,
    DEFAULT_WRITE_MS = 60000,
    DEFAULT_REQUEST_MAX_BYTES = 1 << 20,
    DESCRIPTORS_KEPT_FREE = 256, /* for targets, captures, rules, the daemon's own */
    CONNECTIONS_MIN = 16,
    CONNECTIONS_MAX = 65536,
    THREADS_MAX = 64,
};

struct server {
    struct server_wiring wiring;
    struct latency latency;
    struct listener listeners[LOOP_LISTENERS_MAX];
    enum surface surfaces[LOOP_LISTENERS_MAX];
    size_t listener_count;
    struct loop *loops[THREADS_MAX];
    size_t loop_count;
};

/* Connections one loop may hold, so that all of them leave descriptors for the rest. */
static size_t connections_per_loop(uint64_t threads)
{
    struct rlimit files;
    uint64_t most = CONNECTIONS_MAX;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur != RLIM_INFINITY &&
        files.rlim_cur < CONNECTIONS_MAX)
        most = files.rlim_cur;
    /* A small limit is shared half and half. */
    most = most > 2 * DESCRIPTORS_KEPT_FREE ? most - DESCRIPTORS_KEPT_FREE : most / 2;
    most /= threads;
    return most > CONNECTIONS_MIN ? (size_t)most : CONNECTIONS_MIN;
}

static uint64_t thread_count(const struct config *config)
{
    if (config->http_threads == 0)
        return 1;
    return config->http_threads < THREADS_MAX ? config->http_threads : THREADS_MAX;
}

struct server *server_new(const struct server_wiring *wiring, struct error *err)
{
    struct server *server = calloc(1, sizeof(*server));
    if (server == NULL) {
        error_set(err, ERROR_NO_MEMORY, "set up the http server: out of memory");
        return NULL;
    }
    server->wiring = *wiring;
    server->wiring.latency = &server->latency;
    server->wiring.hub = stream_hub_new(wiring->board, clock_realtime_ns());
    server->wiring.auth = auth_new();
    if (server->wiring.hub == NULL || server->wiring.auth == NULL) {
        error_set(err, ERROR_NO_MEMORY, "set up the http server: out of memory");
        server_free(server);
        return NULL;
    }
    if (!auth_load(server->wiring.auth, wiring->config->auth_token_file, err)) {
        server_free(server);
        return NULL;
    }
    struct server_limits *limits = &server->wiring.limits;
    if (limits->idle_ms == 0)
        limits->idle_ms = DEFAULT_IDLE_MS;
    if (limits->read_ms == 0)
        limits->read_ms = DEFAULT_READ_MS;
    if (limits->write_ms == 0)
        limits->write_ms = DEFAULT_WRITE_MS;
    if (limits->request_max_bytes == 0)
        limits->request_max_bytes = DEFAULT_REQUEST_MAX_BYTES;
    if (limits->connections_max == 0)
        limits->connections_max = connections_per_loop(thread_count(wiring->config));
    return server;
}

static bool listen_on(struct server *server, const char *text, const char *key,
                      enum surface surface, struct error *err)
{
    if (!listener_open(&server->listeners[server->listener_count], text, key, err))
        return false;
    server->surfaces[server->listener_count++] = surface;
    log_info(log_msg("listening"), log_str("address", text),
             log_u64("port", server->listeners[server->listener_count - 1].port),
             log_str("serves", surface == SURFACE_PPROF ? "pprof" : "api"));
    return true;
}

static void close_listeners(struct server *server)
{
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(&server->listeners[i]);
    server->listener_count = 0;
}

static void free_loops(struct server *server)
{
    for (size_t i = 0; i < server->loop_count; i++)
        loop_free(server->loops[i]);
    server->loop_count = 0;
}

bool server_start(struct server *server, struct error *err)
{
    const struct config *config = server->wiring.config;
    if (!listen_on(server, config->metrics_listen_addr, "metrics_listen_addr", SURFACE_MAIN, err))
        goto fail;
    if (config->pprof_enabled && config->pprof_listen_addr[0] != '\0' &&
        !listen_on(server, config->pprof_listen_addr, "pprof_listen_addr", SURFACE_PPROF, err))
        goto fail;

    int fds[LOOP_LISTENERS_MAX];
    for (size_t i = 0; i < server->listener_count; i++)
        fds[i] = server->listeners[i].fd;
    for (uint64_t i = 0; i < thread_count(config); i++) {
        struct loop *loop =
            loop_new(&server->wiring, fds, server->surfaces, server->listener_count, err);
        if (loop == NULL)
            goto fail;
        server->loops[server->loop_count++] = loop;
    }
    for (size_t i = 0; i < server->loop_count; i++) {
        if (!loop_start(server->loops[i], err)) {
            server_stop(server, 0);
            goto fail;
        }
    }
    return true;

fail:
    free_loops(server);
    close_listeners(server);
    return false;
}

bool server_reload_auth(struct server *server, struct error *err)
{
    return auth_load(server->wiring.auth, server->wiring.config->auth_token_file, err);
}

void server_stop(struct server *server, uint64_t grace_ns)
{
    const uint64_t grace_ends_ns = clock_monotonic_ns() + grace_ns;
    for (size_t i = 0; i < server->loop_count; i++)
        loop_ask_to_stop(server->loops[i], grace_ends_ns);
    for (size_t i = 0; i < server->loop_count; i++)
        loop_join(server->loops[i]);
    free_loops(server);
    close_listeners(server);
}

void server_free(struct server *server)
{
    if (server == NULL)
        return;
    if (server->loop_count > 0)
        server_stop(server, 0);
    stream_hub_free(server->wiring.hub);
    auth_free(server->wiring.auth);
    free(server);
}

static uint16_t port_of(const struct server *server, enum surface surface)
{
    for (size_t i = 0; i < server->listener_count; i++) {
        if (server->surfaces[i] == surface)
            return server->listeners[i].port;
    }
    return 0;
}

uint16_t server_port(const struct server *server)
{
    return port_of(server, SURFACE_MAIN);
}

uint16_t server_pprof_port(const struct server *server)
{
    return port_of(server, SURFACE_PPROF);
}
