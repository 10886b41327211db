/* pprof.c - /debug/pprof/ as `go tool pprof` and its users know it. */
#include "http/handlers.h"

#include "core/base/clock.h"
#include "core/pprof/profile_writer.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/target_info.h"
#include "http/cache.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/view_pprof.h"

void handle_pprof_index(struct request *request)
{
    struct buffer out;
    buffer_init(&out, REPLY_MAX_BYTES);
    view_pprof_index(&out, request_page(request));
    reply_buffer(request->req, 200, CONTENT_TYPE_HTML, &out);
}

void handle_pprof_cmdline(struct request *request)
{
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    if (view->info->cmdline_length == 0) {
        reply_error(request->req, 404, "no command line of %.100s is known", view->info->facts.id);
        return;
    }
    struct buffer out;
    buffer_init(&out, REPLY_MAX_BYTES);
    view_pprof_cmdline(&out, view->info);
    reply_header(request->req, "x-content-type-options", "nosniff");
    reply_buffer(request->req, 200, CONTENT_TYPE_TEXT, &out);
}

static void reply_text(struct request *request, const struct profile *profile)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, PROFILE_WRITER_MAX_BYTES);
    if (!profile_write_text(profile, &out, &err)) {
        buffer_release(&out);
        reply_failure(request->req, &err);
        return;
    }
    reply_header(request->req, "x-content-type-options", "nosniff");
    reply_buffer(request->req, 200, CONTENT_TYPE_TEXT, &out);
}

/* The bytes of [profile], from the cache or made now; the caller owns a hold.  NULL after
 * answering. */
static struct body *encoded(struct request *request, const struct profile *profile,
                            enum cache_kind kind)
{
    const struct cache_key key = {.kind = kind, .profile = profile};
    const uint64_t now_ms = loop_now_ms(request->loop);
    struct body *body = cache_find(request->loop->cache, &key, now_ms);
    if (body != NULL)
        return body_ref(body);
    struct buffer out;
    struct error err;
    buffer_init(&out, PROFILE_WRITER_MAX_BYTES);
    if (!profile_write_gzip(
            profile, kind == CACHE_HEAP ? PROFILE_DEFAULT_INUSE_SPACE : PROFILE_DEFAULT_ALLOC_SPACE,
            NULL, 0, &out, &err)) {
        buffer_release(&out);
        reply_failure(request->req, &err);
        return NULL;
    }
    body = body_new(&out, CONTENT_TYPE_BINARY);
    if (body == NULL) {
        reply_error(request->req, 500, "out of memory");
        return NULL;
    }
    body->compressible = false; /* it is gzip already, and part of the format */
    cache_put(request->loop->cache, &key, body, now_ms);
    return body;
}

/* [profile] in the form that was asked for. */
static void reply_one(struct request *request, const struct profile *profile, enum cache_kind kind,
                      const char *disposition)
{
    if (request->query.debug > 0) {
        reply_text(request, profile);
        return;
    }
    struct body *body = encoded(request, profile, kind);
    if (body == NULL)
        return;
    reply_header(request->req, "x-content-type-options", "nosniff");
    reply_header(request->req, "content-disposition", disposition);
    reply_body(request->req, 200, body);
    body_unref(body);
}

/* ?at=: as it was served then, byte for byte. */
static void reply_past(struct request *request, const struct target_view *view,
                       enum cache_kind kind, const char *disposition)
{
    struct error err;
    const uint64_t at_ns = query_time_ns(&request->query.at, clock_realtime_ns());
    const struct profile *profile =
        board_profile_at(request->wiring->board, view->info->facts.id, at_ns, &err);
    if (profile == NULL) {
        reply_failure(request->req, &err);
        return;
    }
    reply_one(request, profile, kind, disposition);
    profile_unref(profile);
}

static void reply_profile(struct request *request, enum cache_kind kind, const char *disposition)
{
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    if ((request->query.given & PARAM_BIT(AT)) != 0) {
        reply_past(request, view, kind, disposition);
        return;
    }
    if (view->profile == NULL) {
        reply_error(request->req, 503, "no heap profile of target \"%.100s\" yet (%s%s%.100s)",
                    view->info->facts.id, target_state_name(view->info->facts.state),
                    view->info->facts.reason[0] != '\0' ? ": " : "", view->info->facts.reason);
        return;
    }
    reply_one(request, view->profile, kind, disposition);
}

void handle_pprof_heap(struct request *request)
{
    reply_profile(request, CACHE_HEAP, "attachment; filename=\"heap\"");
}

void handle_pprof_allocs(struct request *request)
{
    reply_profile(request, CACHE_ALLOCS, "attachment; filename=\"allocs\"");
}

void handle_pprof_not_yet(struct request *request)
{
    reply_error(request->req, 404,
                "this profile cannot be read from outside yet; heap, allocs, goroutine, block, mutex, "
                "threadcreate and cmdline can");
}
