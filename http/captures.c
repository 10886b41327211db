/* captures.c - GET /v1/captures: the list, and one to download; answered by the capture thread. */
#include "http/handlers.h"

#include "core/capture/capture.h"
#include "core/store/board.h"
#include "core/store/target_info.h"
#include "http/loop.h"
#include "http/pending.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/routes.h"

/* From the handler to the capture thread and back. */
struct captures_wait {
    struct pending *pending;
    bool is_list;
    char name[ROUTE_ID_MAX_BYTES];
    struct error err; /* none: the content is good */
    struct buffer content;
};

static void reply_profile(h2o_req_t *req, struct captures_wait *wait)
{
    char disposition[ROUTE_ID_MAX_BYTES + 32];
    const char *slash = strrchr(wait->name, '/');
    struct body *body = body_new(&wait->content, CONTENT_TYPE_BINARY);
    if (body == NULL) {
        reply_error(req, 500, "out of memory");
        return;
    }
    body->compressible = false; /* it is gzip already, and part of the format */
    (void)snprintf(disposition, sizeof(disposition), "attachment; filename=\"%s\"", slash + 1);
    reply_header(req, "x-content-type-options", "nosniff");
    reply_header_copy(req, "content-disposition", disposition);
    reply_body(req, 200, body);
    body_unref(body);
}

static void respond(h2o_req_t *req, void *content)
{
    struct captures_wait *wait = content;
    if (req != NULL && wait->err.code != ERROR_NONE)
        reply_failure(req, &wait->err);
    else if (req != NULL && wait->is_list)
        reply_buffer(req, 200, CONTENT_TYPE_JSON, &wait->content);
    else if (req != NULL)
        reply_profile(req, wait);
    buffer_release(&wait->content);
    free(wait);
}

/* On the capture thread. */
static void answered(void *context, struct buffer *content, const struct error *err)
{
    struct captures_wait *wait = context;
    if (content != NULL)
        wait->content = *content;
    else
        wait->err = *err;
    pending_finish_with(wait->pending, respond, wait);
}

static void ask(struct request *request, struct capture_query *query)
{
    struct captures_wait *wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        reply_error(request->req, 500, "out of memory");
        return;
    }
    wait->is_list = query->name == NULL;
    if (query->name != NULL)
        (void)snprintf(wait->name, sizeof(wait->name), "%s", query->name);
    wait->pending = pending_begin(request->loop->port, request->req);
    if (wait->pending == NULL) {
        free(wait);
        return;
    }
    query->answer = answered;
    query->context = wait;
    capturer_query(request->wiring->capturer, query);
}

/* ?target= need not be watched any more: its captures may outlive it. */
void handle_captures(struct request *request)
{
    const struct target_view *view =
        request->query.target == NULL
            ? NULL
            : board_page_find(request_page(request), request->query.target);
    struct capture_query query = {
        .target_id = view != NULL ? view->info->facts.id : request->query.target,
        .limit = request->query.limit};
    ask(request, &query);
}

void handle_capture(struct request *request)
{
    struct capture_query query = {.name = request->id};
    ask(request, &query);
}
