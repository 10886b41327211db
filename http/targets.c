/* targets.c - GET /v1/targets and one of them. */
#include "http/handlers.h"

#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/target_info.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/server.h"
#include "http/view_json.h"

static uint64_t captures_of(const struct request *request, const struct target_view *view)
{
    return board_capture_count(request->wiring->board, view->info->facts.id);
}

void handle_targets(struct request *request)
{
    const struct board_page *page = request_page(request);
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    json_begin_array(&json);
    for (size_t i = 0; i < page->target_count; i++)
        view_json_target(&json, &page->targets[i], captures_of(request, &page->targets[i]), false);
    json_end_array(&json);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}

void handle_target(struct request *request)
{
    const struct target_view *view = board_page_find(request_page(request), request->id);
    if (view == NULL) {
        reply_error(request->req, 404,
                    "no target with id or name \"%.100s\"; GET /v1/targets lists them",
                    request->id);
        return;
    }
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    view_json_target(&json, view, captures_of(request, view), true);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}
