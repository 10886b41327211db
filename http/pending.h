/* pending.h - an answer that comes later, from another thread, to a client who may be gone.
 *
 *   loop:   pending_begin(req) --> carried away by the capturer or the rule engine
 *   there:  pending_finish()   --> posted to the loop's port
 *   loop:   client still there? reply : drop it
 *
 * Two holds: the loop's (dropped when the request ends, which also forgets it) and the carrier's
 * (dropped after the answer was looked at).  The count is atomic; h2o's own is not, so its
 * shared blocks are not used for this.  A port outlives its loop while answers are under way. */
#ifndef GOPROFD_HTTP_PENDING_H
#define GOPROFD_HTTP_PENDING_H

#include "core/base/buffer.h"

struct pending;
struct port;
struct st_h2o_context_t;
struct st_h2o_req_t;

/* Loop thread.  The port belongs to the context's queue until port_close(). */
struct port *port_new(struct st_h2o_context_t *context); /* NULL without memory */
/* Answers all requests that still wait with 503: their time is over. */
void port_abandon(struct port *port);
/* Late answers are dropped from here on.  Run the loop once more afterwards, then port_free(). */
void port_close(struct port *port);
void port_free(struct port *port); /* the loop's hold */

/* Loop thread.  NULL after answering 500 (no memory). */
struct pending *pending_begin(struct port *port, struct st_h2o_req_t *req);

/* Any thread, once.  Takes over [json] and the carrier's hold. */
void pending_finish(struct pending *pending, int status, struct buffer *json);

#endif
