/* request.h - one request as a handler sees it.
 *
 * Lives on the stack of the dispatcher, on its loop's thread.  A handler answers exactly once with
 * a reply_*() call, or begins a pending answer and returns. */
#ifndef GOPROFD_HTTP_REQUEST_H
#define GOPROFD_HTTP_REQUEST_H

#include <stdbool.h>

#include "core/base/error.h"
#include "http/query.h"

struct board_page;
struct loop;
struct server_wiring;
struct st_h2o_req_t;
struct target_view;

struct request {
    struct st_h2o_req_t *req;
    struct loop *loop;
    const struct server_wiring *wiring;
    const struct board_page *page_; /* held once asked for; NULL before */
    const char *id;                 /* decoded ":id" segment of the path, or NULL */
    struct query query;
    const char *query_text; /* as received, terminated; "" if there is none */
};

/* The newest page, the same one for the whole request.  The dispatcher drops the hold. */
const struct board_page *request_page(struct request *request);

/* The target that ?target= names, or without it the only one, else the configured default, else the
 * first.  NULL after answering 404 (unknown) or 503 (nothing is watched yet). */
const struct target_view *request_target(struct request *request);

/* For lists: *[view] is the target that ?target= names, or NULL for all.  False after answering
 * 404. */
bool request_target_or_all(struct request *request, const struct target_view **view);

#endif
