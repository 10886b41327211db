/* profiles.c - GET /v1/profiles/diff: what changed in a target's heap between two instants. */
#include "http/handlers.h"

#include "core/base/clock.h"
#include "core/pprof/profile_writer.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/profile_diff.h"
#include "core/store/target_info.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/view_diff.h"

struct two_profiles {
    const struct profile *from;
    const struct profile *to;
    const struct profile *diff;
};

static bool write_pprof(const struct two_profiles *profiles, struct buffer *out, struct error *err)
{
    char begun[CLOCK_RFC3339_BYTES];
    char comment[128];
    clock_format_rfc3339(profiles->from->taken_realtime_ns, begun);
    (void)snprintf(comment, sizeof(comment), "goprofd: the difference to the profile of %s", begun);
    const char *const comments[] = {comment};
    return profile_write_gzip(profiles->diff, PROFILE_DEFAULT_INUSE_SPACE, comments, 1, out, err);
}

static bool write_form(enum format format, const struct two_profiles *profiles, struct buffer *out,
                       struct error *err)
{
    switch (format) {
    case FORMAT_FLAMEGRAPH:
        return view_diff_flamegraph(out, profiles->to, profiles->diff, err);
    case FORMAT_TEXT:
        return view_diff_text(out, profiles->from, profiles->to, profiles->diff, err);
    default:
        return write_pprof(profiles, out, err);
    }
}

static void reply_form(struct request *request, const struct two_profiles *profiles)
{
    struct buffer out;
    struct error err;
    enum format format = request->query.format;
    if ((request->query.given & PARAM_BIT(FORMAT)) == 0)
        format = FORMAT_PPROF;
    buffer_init(&out, REPLY_MAX_BYTES);
    if (!write_form(format, profiles, &out, &err)) {
        buffer_release(&out);
        reply_failure(request->req, &err);
        return;
    }
    struct body *body = body_new(&out, format == FORMAT_FLAMEGRAPH ? CONTENT_TYPE_JSON
                                       : format == FORMAT_TEXT     ? CONTENT_TYPE_TEXT
                                                                   : CONTENT_TYPE_BINARY);
    if (body == NULL) {
        reply_error(request->req, 500, "out of memory");
        return;
    }
    body->compressible = format == FORMAT_FLAMEGRAPH || format == FORMAT_TEXT;
    reply_header(request->req, "x-content-type-options", "nosniff");
    if (format == FORMAT_PPROF)
        reply_header(request->req, "content-disposition", "attachment; filename=\"diff\"");
    reply_body(request->req, 200, body);
    body_unref(body);
}

void handle_profile_diff(struct request *request)
{
    const struct query *query = &request->query;
    struct board *board = request->wiring->board;
    const struct target_view *view = request_target(request);
    const uint64_t now_ns = clock_realtime_ns();
    struct error err = {.code = ERROR_NONE};
    if (view == NULL)
        return;
    const char *id = view->info->facts.id;
    const bool has_to = (query->given & PARAM_BIT(TO)) != 0;
    const uint64_t from_ns = query_time_ns(&query->from, now_ns);
    const uint64_t to_ns = has_to ? query_time_ns(&query->to, now_ns) : now_ns;
    if (has_to && from_ns > to_ns) {
        reply_error(request->req, 400, "parameter from: lies after to");
        return;
    }
    struct two_profiles profiles = {.from = NULL};
    profiles.from = board_profile_at(board, id, from_ns, &err);
    if (profiles.from != NULL)
        profiles.to = board_profile_at(board, id, to_ns, &err);
    if (profiles.to != NULL) {
        profiles.diff = profile_diff_new(profiles.from, profiles.to);
        if (profiles.diff == NULL)
            error_set(&err, ERROR_NO_MEMORY, "no memory to compare two profiles");
    }
    if (profiles.diff != NULL)
        reply_form(request, &profiles);
    else
        reply_failure(request->req, &err);
    profile_unref(profiles.diff);
    profile_unref(profiles.from);
    profile_unref(profiles.to);
}
