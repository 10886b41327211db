/* history.c - GET /v1/metrics/history: the snapshots of a target, or a summary for each step of time.
 *
 * An answer is rendered once for each newest snapshot and query, and sent often: several dashboards ask the
 * same.  The snapshots come from the board, which unpacks the older ones. */
#include "http/handlers.h"

#include "core/base/config.h"
#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/cache.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/view_json.h"
#include "http/view_steps.h"

static const uint64_t *wanted_fields(const struct request *request)
{
    return (request->query.given & PARAM_BIT(FIELDS)) ? request->query.fields : NULL;
}

static void write_rows(struct json *json, const struct request *request,
                       const struct target_view *view, const struct snapshot *const *found,
                       size_t count)
{
    json_begin_array(json);
    for (size_t i = 0; i < count; i++)
        view_json_snapshot(json, view->info, found[i], wanted_fields(request));
    json_end_array(json);
}

/* NULL without memory. */
static struct body *render(struct request *request, const struct target_view *view)
{
    const struct query *query = &request->query;
    const bool steps = query->step_ns != 0;
    /* A limit of steps, not of what they are made of. */
    const size_t most =
        steps ? (size_t)request->wiring->config->max_history_samples : query->limit;
    const struct snapshot **found = calloc(most + 1, sizeof(*found));
    if (found == NULL)
        return NULL;
    bool known = false;
    const size_t count =
        board_history(request->wiring->board, view->info->facts.id, query->since_realtime_ns,
                      query->until_realtime_ns, found, most, &known);
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    if (steps)
        view_steps(&json, found, count, query->step_ns, query->limit, wanted_fields(request));
    else
        write_rows(&json, request, view, found, count);
    for (size_t i = 0; i < count; i++)
        snapshot_unref(found[i]);
    free(found);
    return body_new(&out, CONTENT_TYPE_JSON);
}

void handle_history(struct request *request)
{
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    const struct cache_key key = {.kind = CACHE_HISTORY,
                                  .info = view->info,
                                  .snapshot = view->snapshot,
                                  .text = request->query_text};
    const uint64_t now_ms = loop_now_ms(request->loop);
    struct body *body = cache_find(request->loop->cache, &key, now_ms);
    if (body != NULL) {
        reply_body(request->req, 200, body);
        return;
    }
    body = render(request, view);
    if (body == NULL) {
        reply_error(request->req, 500, "the answer is too large or memory is short; ask for less");
        return;
    }
    cache_put(request->loop->cache, &key, body, now_ms);
    reply_body(request->req, 200, body);
    body_unref(body);
}
