/* health.c - for probes: alive, and ready once something was sampled. */
#include "http/handlers.h"

#include "core/base/json.h"
#include "core/store/board.h"
#include "http/reply.h"
#include "http/request.h"

static void reply_status(struct request *request, int status, const char *word, const char *reason)
{
    struct buffer out;
    struct json json;
    buffer_init(&out, ERROR_MESSAGE_MAX_BYTES);
    json_init(&json, &out);
    json_begin_object(&json);
    json_member_string(&json, "status", word);
    if (reason != NULL)
        json_member_string(&json, "reason", reason);
    json_end_object(&json);
    buffer_append_byte(&out, '\n');
    reply_buffer(request->req, status, CONTENT_TYPE_JSON, &out);
}

void handle_live(struct request *request)
{
    reply_status(request, 200, "ok", NULL);
}

void handle_ready(struct request *request)
{
    const struct board_page *page = request_page(request);
    for (size_t i = 0; i < page->target_count; i++) {
        if (page->targets[i].snapshot != NULL) {
            reply_status(request, 200, "ready", NULL);
            return;
        }
    }
    reply_status(request, 503, "not ready",
                 page->target_count == 0 ? "no target is watched yet"
                                         : "no target was sampled yet");
}
