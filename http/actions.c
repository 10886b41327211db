/* actions.c - the requests that another thread answers: capture a profile, reload the rules, explain one.
 *
 * The handlers run on a loop; the *_done functions run on the capture thread and the rule thread
 * and touch nothing but the pending answer they were handed. */
#include "http/handlers.h"

#include "core/base/json.h"
#include "core/capture/capture.h"
#include "core/store/board.h"
#include "core/store/target_info.h"
#include "http/loop.h"
#include "http/pending.h"
#include "http/reply.h"
#include "http/request.h"

/* ---- POST /v1/capture/heap ---- */

static void write_paths(struct buffer *out, const struct capture_result *result)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    if (result->path_count > 0)
        json_member_string(&json, "path", result->paths[0]);
    if (result->path_count != 1) {
        json_key(&json, "paths");
        json_begin_array(&json);
        for (size_t i = 0; i < result->path_count; i++)
            json_string(&json, result->paths[i]);
        json_end_array(&json);
    }
    json_end_object(&json);
    buffer_append_byte(out, '\n');
}

/* Here a denied file is our own trouble, and a target that cannot be profiled is not about Accept.
 */
static int capture_status(enum error_code code)
{
    switch (code) {
    case ERROR_UNSUPPORTED:
        return 422;
    case ERROR_DENIED:
        return 500;
    default:
        return reply_status_of(code);
    }
}

static void capture_done(void *context, const struct capture_result *result)
{
    struct buffer out;
    buffer_init(&out, REPLY_MAX_BYTES);
    int status = 200;
    if (result->ok) {
        write_paths(&out, result);
    } else {
        reply_error_json(&out, result->err.message);
        status = capture_status(result->err.code);
    }
    pending_finish(context, status, &out);
}

void handle_capture_heap(struct request *request)
{
    const struct query *query = &request->query;
    struct capture_request wanted = {
        .reason = CAPTURE_MANUAL, .severity = SEVERITY_INFO, .reply = capture_done};
    if (query->target == NULL || strcmp(query->target, "all") != 0) {
        const struct target_view *view = request_target(request);
        if (view == NULL)
            return;
        wanted.target_id = view->info->facts.id;
    }
    if (request->wiring->capturer == NULL) {
        reply_error(request->req, 503, "this daemon keeps no captures");
        return;
    }
    wanted.context = pending_begin(request->loop->port, request->req);
    if (wanted.context != NULL)
        capturer_request(request->wiring->capturer, &wanted);
}

/* ---- POST /v1/rules/reload ---- */

static void reload_done(void *context, bool ok, const char *problem)
{
    struct buffer out;
    buffer_init(&out, REPLY_MAX_BYTES);
    if (ok)
        buffer_append_string(&out, "{\"status\":\"ok\"}\n");
    else
        reply_error_json(&out, problem != NULL ? problem : "the rules could not be loaded");
    pending_finish(context, ok ? 200 : 422, &out);
}

void handle_rules_reload(struct request *request)
{
    if (request->wiring->reload_rules == NULL) {
        reply_error(request->req, 503, "this daemon runs no rules");
        return;
    }
    struct pending *pending = pending_begin(request->loop->port, request->req);
    if (pending != NULL)
        request->wiring->reload_rules(request->wiring->reload_context, reload_done, pending);
}

/* ---- GET /v1/rules/:id ---- */

static void explain_done(void *context, bool found, struct buffer *json)
{
    if (found) {
        pending_finish(context, 200, json);
        return;
    }
    struct buffer out;
    buffer_release(json);
    buffer_init(&out, REPLY_MAX_BYTES);
    reply_error_json(&out, "there is no such rule, or it was not shown this target yet; "
                           "GET /v1/rules lists the rules");
    pending_finish(context, 404, &out);
}

void handle_rule(struct request *request)
{
    const struct target_view *only = NULL;
    if (!request_target_or_all(request, &only))
        return;
    if (request->wiring->explain_rule == NULL) {
        reply_error(request->req, 503, "this daemon runs no rules");
        return;
    }
    struct pending *pending = pending_begin(request->loop->port, request->req);
    if (pending != NULL)
        request->wiring->explain_rule(request->wiring->explain_context, request->id,
                                      only != NULL ? only->info->facts.id : NULL, explain_done,
                                      pending);
}
