/* stream.c - GET /v1/stream: server-sent events (WHATWG HTML, "Server-sent events").  Loop thread. */
#include "http/stream.h"

#include "core/store/board.h"
#include "core/store/target_info.h"
#include "http/handlers.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/stream_hub.h"

enum {
    TICK_MS = 100,
    PING_MS = 15000, /* so that neither side takes silence for death */
    FOLLOWERS_MAX = 256,
    SEND_MAX_BYTES = 64 << 10,
};

struct follower {
    h2o_generator_t super;  /* first: what h2o hands back */
    struct streams *streams; /* NULL once it has left */
    struct follower *next;
    struct follower **slot_in_list;
    h2o_req_t *req;
    uint64_t number; /* of the event it was sent last */
    unsigned kinds;
    char *target; /* id; NULL: all */
    bool busy;    /* its last bytes are not out yet */
    uint64_t sent_ms;
    struct buffer bytes; /* under way while busy */
};

struct streams {
    struct loop *loop;
    struct stream_hub *hub;
    struct follower *first;
    size_t count;
    h2o_timeout_t tick_timeout;
    h2o_timeout_entry_t tick_entry;
};

/* ---- coming and going ---- */

static void leave(struct follower *follower)
{
    if (follower->streams == NULL)
        return;
    *follower->slot_in_list = follower->next;
    if (follower->next != NULL)
        follower->next->slot_in_list = follower->slot_in_list;
    follower->streams->count--;
    follower->streams = NULL;
}

/* The request's pool is cleared, however it came to its end. */
static void dispose(void *block)
{
    struct follower *follower = block;
    leave(follower);
    buffer_release(&follower->bytes);
}

static void on_stop(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    leave((struct follower *)(void *)generator);
}

static void send_on(struct follower *follower, h2o_send_state_t state)
{
    h2o_iovec_t bytes = h2o_iovec_init(follower->bytes.data, follower->bytes.length);
    follower->busy = true;
    follower->sent_ms = loop_now_ms(follower->streams->loop);
    if (state == H2O_SEND_STATE_FINAL)
        leave(follower);
    h2o_send(follower->req, &bytes, bytes.len > 0 ? 1 : 0, state);
}

static void drop(struct follower *follower)
{
    struct board *board = follower->streams->loop->wiring->board;
    atomic_fetch_add_explicit(&board_counters(board)->streams_dropped, 1, memory_order_relaxed);
    buffer_clear(&follower->bytes);
    buffer_append_string(&follower->bytes,
                         "event: dropped\ndata: {\"error\":\"too slow: events were lost\"}\n\n");
    send_on(follower, H2O_SEND_STATE_FINAL);
}

/* ---- sending ---- */

static bool wants(const struct follower *follower, const struct stream_event *event)
{
    return (follower->kinds >> event->kind & 1) != 0 &&
           (follower->target == NULL || event->target[0] == '\0' ||
            strcmp(follower->target, event->target) == 0);
}

/* Puts what is new for it into its buffer.  False if it has lost events. */
static bool collect(struct follower *follower)
{
    bool lost = false;
    buffer_clear(&follower->bytes);
    while (follower->bytes.length < SEND_MAX_BYTES) {
        struct stream_event *event =
            stream_hub_next(follower->streams->hub, follower->number, &lost);
        if (event == NULL)
            break;
        if (wants(follower, event))
            buffer_append(&follower->bytes, event->text, event->length);
        follower->number = event->number;
        stream_event_unref(event);
    }
    return !lost && !follower->bytes.failed;
}

static void push(struct follower *follower)
{
    if (follower->busy)
        return;
    if (!collect(follower)) {
        drop(follower);
        return;
    }
    if (follower->bytes.length == 0 &&
        loop_now_ms(follower->streams->loop) - follower->sent_ms >= PING_MS)
        buffer_append_string(&follower->bytes, ": still here\n\n");
    if (follower->bytes.length > 0)
        send_on(follower, H2O_SEND_STATE_IN_PROGRESS);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    struct follower *follower = (struct follower *)(void *)generator;
    follower->busy = false;
    if (follower->streams != NULL)
        push(follower);
}

static void link_tick(struct streams *streams)
{
    if (!h2o_timeout_is_linked(&streams->tick_entry))
        h2o_timeout_link(streams->loop->context.loop, &streams->tick_timeout,
                         &streams->tick_entry);
}

static void on_tick(h2o_timeout_entry_t *entry)
{
    struct streams *streams =
        (struct streams *)(void *)((char *)entry - offsetof(struct streams, tick_entry));
    stream_hub_look(streams->hub, loop_now_ms(streams->loop));
    for (struct follower *follower = streams->first; follower != NULL;) {
        struct follower *next = follower->next; /* it may leave */
        push(follower);
        follower = next;
    }
    if (streams->first != NULL)
        link_tick(streams);
}

/* ---- the request ---- */

/* Where it begins: behind Last-Event-ID; or now, and told so if what it has seen is not known any more. */
static void find_start(struct follower *follower)
{
    struct streams *streams = follower->streams;
    h2o_req_t *req = follower->req;
    const ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("last-event-id"), -1);
    buffer_append_string(&follower->bytes, "retry: 2000\n\n");
    follower->number = stream_hub_newest(streams->hub);
    if (at == -1 || req->headers.entries[at].value.len == 0)
        return;
    if (!stream_hub_resume(streams->hub, req->headers.entries[at].value.base,
                           req->headers.entries[at].value.len, &follower->number)) {
        follower->number = stream_hub_newest(streams->hub);
        buffer_append_string(&follower->bytes,
                             "event: lost\ndata: {\"error\":\"the events since then are gone\"}\n\n");
    }
}

static struct follower *join(struct streams *streams, struct request *request,
                             const struct target_view *view)
{
    h2o_req_t *req = request->req;
    struct follower *follower = h2o_mem_alloc_shared(&req->pool, sizeof(*follower), dispose);
    *follower = (struct follower){.super = {.proceed = on_proceed, .stop = on_stop},
                                  .streams = streams,
                                  .next = streams->first,
                                  .slot_in_list = &streams->first,
                                  .req = req,
                                  .kinds = request->query.events};
    buffer_init(&follower->bytes, 4 * STREAM_BYTES_MAX);
    if (view != NULL)
        follower->target = h2o_strdup(&req->pool, view->info->facts.id, SIZE_MAX).base;
    if (streams->first != NULL)
        streams->first->slot_in_list = &follower->next;
    streams->first = follower;
    streams->count++;
    return follower;
}

void handle_stream(struct request *request)
{
    struct streams *streams = request->loop->streams;
    h2o_req_t *req = request->req;
    const struct target_view *view = NULL;
    if (!request_target_or_all(request, &view))
        return;
    if (streams->count == FOLLOWERS_MAX) {
        reply_header(req, "retry-after", "10");
        reply_error(req, 503, "%d clients follow already", FOLLOWERS_MAX);
        return;
    }
    struct follower *follower = join(streams, request, view);
    stream_hub_look(streams->hub, loop_now_ms(request->loop));
    find_start(follower);
    reply_begin_stream(req, "text/event-stream");
    h2o_start_response(req, &follower->super);
    const bool head = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
    if (head)
        buffer_clear(&follower->bytes);
    send_on(follower, head ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
    link_tick(streams);
}

/* ---- life ---- */

struct streams *streams_new(struct loop *loop)
{
    struct streams *streams = calloc(1, sizeof(*streams));
    if (streams == NULL)
        return NULL;
    streams->loop = loop;
    streams->hub = loop->wiring->hub;
    return streams;
}

void streams_open(struct streams *streams)
{
    h2o_timeout_init(streams->loop->context.loop, &streams->tick_timeout, TICK_MS);
    streams->tick_entry.cb = on_tick;
}

void streams_close(struct streams *streams)
{
    h2o_timeout_unlink(&streams->tick_entry);
    h2o_timeout_dispose(streams->loop->context.loop, &streams->tick_timeout);
}

void streams_free(struct streams *streams)
{
    free(streams);
}

void streams_end(struct streams *streams)
{
    for (struct follower *follower = streams->first; follower != NULL;) {
        struct follower *next = follower->next;
        if (!follower->busy) { /* else it is cut with the connections that are too slow */
            buffer_clear(&follower->bytes);
            send_on(follower, H2O_SEND_STATE_FINAL);
        }
        follower = next;
    }
}

bool streams_own(const struct streams *streams, const h2o_req_t *req, uint64_t now_ms, bool *stuck)
{
    for (const struct follower *follower = streams->first; follower != NULL;
         follower = follower->next) {
        if (follower->req != req)
            continue;
        *stuck = follower->busy && now_ms - follower->sent_ms > streams->loop->wiring->limits.write_ms;
        return true;
    }
    return false;
}
