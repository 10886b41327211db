/* snapshots.c - the newest snapshot, rendered once and sent often. */
#include "http/handlers.h"

#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/cache.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/view_json.h"

static const uint64_t *wanted_fields(const struct request *request)
{
    return (request->query.given & PARAM_BIT(FIELDS)) ? request->query.fields : NULL;
}

static void render_snapshot(struct buffer *out, const struct target_view *view,
                            const uint64_t *fields)
{
    struct json json;
    buffer_init(out, REPLY_MAX_BYTES);
    json_init(&json, out);
    view_json_snapshot(&json, view->info, view->snapshot, fields);
}

void handle_latest(struct request *request)
{
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    if (view->snapshot == NULL) {
        reply_error(request->req, 503, "target \"%.100s\" was not sampled yet (%s%s%.100s)",
                    view->info->facts.id, target_state_name(view->info->facts.state),
                    view->info->facts.reason[0] != '\0' ? ": " : "", view->info->facts.reason);
        return;
    }
    const uint64_t *fields = wanted_fields(request);
    struct buffer out;
    if (fields != NULL) { /* many possible forms: not kept */
        render_snapshot(&out, view, fields);
        reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
        return;
    }
    const struct cache_key key = {
        .kind = CACHE_LATEST, .info = view->info, .snapshot = view->snapshot};
    const uint64_t now_ms = loop_now_ms(request->loop);
    struct body *body = cache_find(request->loop->cache, &key, now_ms);
    if (body != NULL) {
        reply_body(request->req, 200, body);
        return;
    }
    render_snapshot(&out, view, NULL);
    body = body_new(&out, CONTENT_TYPE_JSON);
    if (body == NULL) {
        reply_error(request->req, 500, "out of memory");
        return;
    }
    cache_put(request->loop->cache, &key, body, now_ms);
    reply_body(request->req, 200, body);
    body_unref(body);
}
