/* stacks.c - /debug/pprof/{goroutine,block,mutex,threadcreate}: profiles that are read when asked
 * for.
 *
 *   loop:    handler --> wiring.read_stacks --> sampler, between its beats
 *   sampler: stacks_read() --> the loop's port
 *   loop:    respond() encodes and answers; the sampler has no time for that */
#include "http/handlers.h"

#include "core/pprof/stack_writer.h"
#include "core/store/board.h"
#include "core/store/target_info.h"
#include "http/cache.h"
#include "http/loop.h"
#include "http/pending.h"
#include "http/reply.h"
#include "http/request.h"

/* One request on its way. */
struct stacks_wait {
    struct pending *pending;
    enum stack_kind kind;
    unsigned debug;
    const struct stack_profile *profile; /* NULL: [err] says why */
    struct error err;
};

static const char *disposition(enum stack_kind kind)
{
    static const char *const texts[STACK_KIND_COUNT] = {
#define DISPOSITION(id, name) [STACK_##id] = "attachment; filename=\"" name "\"",
        STACK_KINDS(DISPOSITION)
#undef DISPOSITION
    };
    return texts[kind];
}

/* A target that cannot be read now is no missing page, and nothing that Accept could change. */
static int status_of(enum error_code code)
{
    switch (code) {
    case ERROR_GONE:
    case ERROR_DENIED:
        return 503;
    case ERROR_UNSUPPORTED:
        return 422;
    default:
        return reply_status_of(code);
    }
}

static void reply_text(h2o_req_t *req, const struct stacks_wait *wait)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, PROFILE_WRITER_MAX_BYTES);
    const bool ok = wait->debug == 1 ? stack_write_text(wait->profile, &out, &err)
                                     : stack_write_goroutines(wait->profile, &out, &err);
    if (!ok) {
        buffer_release(&out);
        reply_failure(req, &err);
        return;
    }
    reply_header(req, "x-content-type-options", "nosniff");
    reply_buffer(req, 200, CONTENT_TYPE_TEXT, &out);
}

static void reply_binary(h2o_req_t *req, const struct stacks_wait *wait)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, PROFILE_WRITER_MAX_BYTES);
    if (!stack_write_gzip(wait->profile, &out, &err)) {
        buffer_release(&out);
        reply_failure(req, &err);
        return;
    }
    struct body *body = body_new(&out, CONTENT_TYPE_BINARY);
    if (body == NULL) {
        reply_error(req, 500, "out of memory");
        return;
    }
    body->compressible = false; /* it is gzip already, and part of the format */
    reply_header(req, "x-content-type-options", "nosniff");
    reply_header(req, "content-disposition", disposition(wait->kind));
    reply_body(req, 200, body);
    body_unref(body);
}

static void respond(h2o_req_t *req, void *content)
{
    struct stacks_wait *wait = content;
    if (req != NULL && wait->profile == NULL)
        reply_error(req, status_of(wait->err.code), "%s", wait->err.message);
    else if (req != NULL && wait->debug > 0)
        reply_text(req, wait);
    else if (req != NULL)
        reply_binary(req, wait);
    stack_profile_unref(wait->profile);
    free(wait);
}

/* On the sampler's thread. */
static void stacks_read(void *context, const struct stack_profile *profile, const struct error *err)
{
    struct stacks_wait *wait = context;
    wait->profile = profile;
    if (profile == NULL)
        wait->err = *err;
    pending_finish_with(wait->pending, respond, wait);
}

static void reply_stacks(struct request *request, enum stack_kind kind)
{
    const struct server_wiring *wiring = request->wiring;
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    if (wiring->read_stacks == NULL) {
        reply_error(request->req, 503, "this daemon reads no %s profiles", stack_kind_name(kind));
        return;
    }
    struct stacks_wait *wait = calloc(1, sizeof(*wait));
    if (wait == NULL) {
        reply_error(request->req, 500, "out of memory");
        return;
    }
    wait->kind = kind;
    wait->debug = request->query.debug;
    wait->pending = pending_begin(request->loop->port, request->req);
    if (wait->pending == NULL) {
        free(wait);
        return;
    }
    wiring->read_stacks(wiring->stacks_context, view->info->facts.id, kind, stacks_read, wait);
}

void handle_pprof_goroutine(struct request *request)
{
    reply_stacks(request, STACK_GOROUTINE);
}

void handle_pprof_block(struct request *request)
{
    reply_stacks(request, STACK_BLOCK);
}

void handle_pprof_mutex(struct request *request)
{
    reply_stacks(request, STACK_MUTEX);
}

void handle_pprof_threadcreate(struct request *request)
{
    reply_stacks(request, STACK_THREADCREATE);
}
