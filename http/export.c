/* export.c - GET /v1/export: the history as a msgpack stream (core/store/pack.h), piece by piece.  Loop thread.
 *
 *   proceed: the client took the last piece -> the next snapshots of the board -> packer -> piece
 *
 * Nothing is made before there is room for it, so that a slow client costs one piece and the packer's dictionaries.  What
 * leaves the history meanwhile is not in the answer: rows have sequence numbers, which show it. */
#include "http/export.h"

#include "core/store/board.h"
#include "core/store/pack.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/handlers.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"

enum { EXPORTS_MAX = 16, PIECE_BYTES = 32 << 10, PIECE_MAX_BYTES = 48 << 20 };

struct export {
    h2o_generator_t super; /* first: what h2o hands back */
    struct exports *exports; /* NULL once it has left */
    struct export *next;
    struct export **slot_in_list;
    h2o_req_t *req;
    const struct board_page *page; /* who is exported; one hold */
    size_t at;                     /* in [page] */
    size_t end;
    uint64_t after; /* sequence of the last row of that target */
    uint64_t since_realtime_ns;
    uint64_t sent_ms;
    struct packer *packer;
    struct buffer piece;
};

struct exports {
    struct loop *loop;
    struct export *first;
    size_t count;
};

static void leave(struct export *export)
{
    if (export->exports == NULL)
        return;
    *export->slot_in_list = export->next;
    if (export->next != NULL)
        export->next->slot_in_list = export->slot_in_list;
    export->exports->count--;
    export->exports = NULL;
}

/* The request's pool is cleared, however it came to its end. */
static void dispose(void *block)
{
    struct export *export = block;
    leave(export);
    board_page_unref(export->page);
    packer_free(export->packer);
    buffer_release(&export->piece);
}

static void on_stop(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    leave((struct export *)(void *)generator);
}

/* Packs the next snapshots of the present target; false without memory. */
static bool pack_some(struct export *export, struct board *board)
{
    const struct snapshot *rows[BOARD_HISTORY_STEP_MAX];
    const struct target_view *view = &export->page->targets[export->at];
    bool found = false;
    bool ok = true;
    const size_t count = board_history_after(board, view->info->facts.id, export->since_realtime_ns,
                                             export->after, rows, BOARD_HISTORY_STEP_MAX, &found);
    for (size_t i = 0; i < count; i++) {
        struct error err;
        ok = ok && packer_add(export->packer, view->info, rows[i], NULL, &export->piece, &err);
        export->after = rows[i]->sequence;
        snapshot_unref(rows[i]);
    }
    /* Up to the newest of the request's page: an answer has an end. */
    if (count == 0 || view->snapshot == NULL || export->after >= view->snapshot->sequence) {
        export->at++;
        export->after = 0;
    }
    return ok;
}

static void send_piece(struct export *export)
{
    struct loop *loop = export->exports->loop;
    bool ok = true;
    buffer_clear(&export->piece);
    while (ok && export->at < export->end && export->piece.length < PIECE_BYTES)
        ok = pack_some(export, loop->wiring->board);
    h2o_iovec_t bytes = h2o_iovec_init(export->piece.data, export->piece.length);
    const h2o_send_state_t state = !ok                         ? H2O_SEND_STATE_ERROR
                                   : export->at == export->end ? H2O_SEND_STATE_FINAL
                                                               : H2O_SEND_STATE_IN_PROGRESS;
    export->sent_ms = loop_now_ms(loop);
    if (state != H2O_SEND_STATE_IN_PROGRESS)
        leave(export);
    h2o_send(export->req, &bytes, ok && bytes.len > 0 ? 1 : 0, state);
}

static void on_proceed(h2o_generator_t *generator, h2o_req_t *req)
{
    (void)req;
    struct export *export = (struct export *)(void *)generator;
    if (export->exports != NULL)
        send_piece(export);
}

void handle_export(struct request *request)
{
    struct exports *exports = request->loop->exports;
    h2o_req_t *req = request->req;
    const struct target_view *view = NULL;
    if (!request_target_or_all(request, &view))
        return;
    if (exports->count == EXPORTS_MAX) {
        reply_header(req, "retry-after", "10");
        reply_error(req, 503, "%d clients export already", EXPORTS_MAX);
        return;
    }
    const struct board_page *page = request_page(request);
    struct packer *packer = packer_new("");
    if (packer == NULL) {
        reply_error(req, 500, "out of memory");
        return;
    }
    struct export *export = h2o_mem_alloc_shared(&req->pool, sizeof(*export), dispose);
    *export = (struct export){.super = {.proceed = on_proceed, .stop = on_stop},
                              .exports = exports,
                              .next = exports->first,
                              .slot_in_list = &exports->first,
                              .req = req,
                              .page = board_page_ref(page),
                              .at = view != NULL ? (size_t)(view - page->targets) : 0,
                              .packer = packer,
                              .since_realtime_ns = request->query.since_realtime_ns};
    export->end = view != NULL ? export->at + 1 : page->target_count;
    buffer_init(&export->piece, PIECE_MAX_BYTES);
    if (exports->first != NULL)
        exports->first->slot_in_list = &export->next;
    exports->first = export;
    exports->count++;
    reply_begin_stream(req, CONTENT_TYPE_MSGPACK);
    h2o_start_response(req, &export->super);
    if (h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"))) {
        leave(export);
        h2o_send(req, NULL, 0, H2O_SEND_STATE_FINAL);
        return;
    }
    send_piece(export);
}

struct exports *exports_new(struct loop *loop)
{
    struct exports *exports = calloc(1, sizeof(*exports));
    if (exports != NULL)
        exports->loop = loop;
    return exports;
}

void exports_free(struct exports *exports)
{
    free(exports);
}

bool exports_own(const struct exports *exports, const h2o_req_t *req, uint64_t now_ms, bool *stuck)
{
    for (const struct export *export = exports->first; export != NULL; export = export->next) {
        if (export->req != req)
            continue;
        *stuck = now_ms - export->sent_ms > exports->loop->wiring->limits.write_ms;
        return true;
    }
    return false;
}
