/* filters.c - JSON for h2o's own refusals; the access log and the two counters. */
#include "http/filters.h"

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "http/latency.h"
#include "http/loop.h"
#include "http/reply.h"

enum { LOGGED_PATH_MAX_BYTES = 200 };

struct refusal_stream {
    h2o_ostream_t super;
    h2o_iovec_t content;
};

static void send_refusal(h2o_ostream_t *ostream, h2o_req_t *req, h2o_iovec_t *bufs, size_t count,
                         h2o_send_state_t state)
{
    struct refusal_stream *stream = (struct refusal_stream *)(void *)ostream;
    (void)bufs; /* h2o's plain text */
    h2o_ostream_send_next(ostream, req, &stream->content, count > 0 ? 1 : 0, state);
}

static const char *refusal_text(const h2o_req_t *req)
{
    switch (req->res.status) {
    case 413:
        return "the request's body is larger than this server takes";
    case 417:
        return "only Expect: 100-continue is understood";
    default:
        return "the request's body is not valid HTTP";
    }
}

/* Ours carry a request id by now; those without one come from h2o itself. */
static void on_setup_refusal(h2o_filter_t *self, h2o_req_t *req, h2o_ostream_t **slot)
{
    (void)self;
    if (req->res.status >= 400 &&
        h2o_find_header_by_str(&req->res.headers, H2O_STRLIT("x-request-id"), -1) == -1) {
        struct buffer content;
        buffer_init(&content, ERROR_MESSAGE_MAX_BYTES);
        reply_error_json(&content, refusal_text(req));
        struct refusal_stream *stream =
            (struct refusal_stream *)(void *)h2o_add_ostream(req, sizeof(*stream), slot);
        slot = &stream->super.next;
        stream->super.do_send = send_refusal;
        stream->content = content.failed ? h2o_iovec_init(H2O_STRLIT("{\"error\":\"refused\"}\n"))
                                         : h2o_strdup(&req->pool, content.data, content.length);
        buffer_release(&content);
        req->res.content_length = stream->content.len;
        h2o_set_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, CONTENT_TYPE_JSON,
                       strlen(CONTENT_TYPE_JSON), 1);
        const char *id = reply_request_id(req);
        h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-request-id"), 0,
                              "X-Request-ID", id, strlen(id));
    }
    h2o_setup_next_ostream(req, slot);
}

static void copy_terminated(char *out, size_t size, h2o_iovec_t text)
{
    const size_t length = text.len < size - 1 ? text.len : size - 1;
    if (length > 0)
        memcpy(out, text.base, length);
    out[length] = '\0';
}

static void log_request(h2o_req_t *req)
{
    char method[16];
    char path[LOGGED_PATH_MAX_BYTES];
    char id[REPLY_REQUEST_ID_MAX_BYTES + 1] = "";
    copy_terminated(method, sizeof(method), req->input.method);
    copy_terminated(path, sizeof(path), req->input.path);
    const ssize_t at = h2o_find_header_by_str(&req->res.headers, H2O_STRLIT("x-request-id"), -1);
    if (at != -1)
        copy_terminated(id, sizeof(id), req->res.headers.entries[at].value);
    const struct timeval *begin = &req->timestamps.request_begin_at;
    const struct timeval *end = h2o_get_timestamp(req->conn->ctx, NULL, NULL);
    const double seconds =
        (double)(end->tv_sec - begin->tv_sec) + (double)(end->tv_usec - begin->tv_usec) / 1e6;
    log_debug(log_msg("request"), log_str("id", id), log_str("method", method),
              log_str("path", path), log_i64("status", req->res.status),
              log_u64("bytes", req->bytes_sent), log_f64("seconds", seconds));
}

/* h2o's own idea of now is that of the last wait for events, so the time that an answer was made in would
 * be missing; that [since] is one, too, makes the figure a little too large, never too small. */
static uint64_t age_ns(const struct timeval *since)
{
    const uint64_t begun_ns = (uint64_t)since->tv_sec * CLOCK_NS_PER_S + (uint64_t)since->tv_usec * 1000;
    const uint64_t now_ns = clock_realtime_ns();
    return now_ns > begun_ns ? now_ns - begun_ns : 0; /* the wall clock may step back */
}

static void on_request_over(h2o_logger_t *self, h2o_req_t *req)
{
    (void)self;
    struct board_counters *counters = board_counters(loop_of(req)->wiring->board);
    if (req->res.content_length != SIZE_MAX || req->res.status == 304) /* no end is not slow */
        latency_add(loop_of(req)->wiring->latency, age_ns(&req->timestamps.request_begin_at));
    atomic_fetch_add_explicit(&counters->http_requests, 1, memory_order_relaxed);
    if (req->res.status >= 500)
        atomic_fetch_add_explicit(&counters->http_errors, 1, memory_order_relaxed);
    if (log_enabled(LOG_LEVEL_DEBUG))
        log_request(req);
}

void filters_register(h2o_pathconf_t *path)
{
    h2o_create_filter(path, sizeof(h2o_filter_t))->on_setup_ostream = on_setup_refusal;
    h2o_create_logger(path, sizeof(h2o_logger_t))->log_access = on_request_over;
}
