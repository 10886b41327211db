/* track.c - POST /v1/track: what a program tracked itself, handed to the tracker.
 *
 *   body --track_batch_read--> records --tracker_take--> counts; the sampler makes a target of them */
#include "http/handlers.h"

#include <h2o.h>

#include "core/base/clock.h"
#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/target_info.h"
#include "core/track/track_batch.h"
#include "core/track/tracker.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/server.h"

static void count(const struct request *request, size_t records, bool taken)
{
    struct board_counters *counters = board_counters(request->wiring->board);
    atomic_fetch_add_explicit(taken ? &counters->track_batches : &counters->track_refused, 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->track_records, records, memory_order_relaxed);
}

/* A missing type is no lie; curl and browsers tell others. */
static bool is_msgpack(const h2o_req_t *req)
{
    static const char *const types[] = {"application/msgpack", "application/x-msgpack",
                                        "application/vnd.msgpack", "application/octet-stream"};
    const ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_CONTENT_TYPE, -1);
    if (at == -1)
        return true;
    const h2o_iovec_t type = req->headers.entries[at].value;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        const size_t length = strlen(types[i]);
        if (type.len >= length && strncasecmp(type.base, types[i], length) == 0 &&
            (type.len == length || type.base[length] == ';' || type.base[length] == ' '))
            return true;
    }
    return false;
}

/* Whether the name belongs to a program that does not push. */
static bool is_taken(struct request *request, const char *target)
{
    const struct target_view *view = board_page_find(request_page(request), target);
    return view != NULL && view->info->facts.source != SOURCE_PUSH;
}

static void reply_taken(struct request *request, size_t records, bool repeated)
{
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    json_begin_object(&json);
    json_member_u64(&json, "accepted", repeated ? 0 : records);
    json_member_bool(&json, "repeated", repeated);
    json_end_object(&json);
    buffer_append_byte(&out, '\n');
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}

static void take_batch(struct request *request, const struct track_batch *batch)
{
    struct error err;
    enum track_outcome outcome = TRACK_TAKEN;
    if (is_taken(request, batch->target)) {
        count(request, 0, false);
        reply_error(request->req, 409,
                    "target: '%s' is watched already, without pushing; push under another name",
                    batch->target);
        return;
    }
    if (!tracker_take(request->wiring->tracker, batch, clock_realtime_ns(), clock_monotonic_ns(),
                      &outcome, &err)) {
        count(request, 0, false);
        reply_error(request->req, 503, "%s", err.message);
        return;
    }
    if (outcome == TRACK_UNKNOWN) {
        count(request, 0, false);
        reply_error(request->req, 412,
                    "instance: not known here with batches before this one (goprofd was started since); "
                    "send totals");
        return;
    }
    const bool repeated = outcome == TRACK_REPEATED;
    count(request, repeated ? 0 : batch->record_count, true);
    reply_taken(request, batch->record_count, repeated);
}

void handle_track(struct request *request)
{
    const h2o_req_t *req = request->req;
    struct track_batch batch;
    struct error err;
    if (request->wiring->tracker == NULL) {
        reply_error(request->req, 503, "this daemon takes no tracked allocations");
        return;
    }
    if (!is_msgpack(req)) {
        count(request, 0, false);
        reply_error(request->req, 415, "Content-Type: allowed: application/msgpack");
        return;
    }
    if (!track_batch_read(req->entity.base, req->entity.len, &batch, &err)) {
        count(request, 0, false);
        reply_error(request->req,
                    err.code == ERROR_LIMIT       ? 413
                    : err.code == ERROR_NO_MEMORY ? 503
                                                  : 400,
                    "%s", err.message);
        return;
    }
    take_batch(request, &batch);
    track_batch_release(&batch);
}
