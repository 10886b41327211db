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

/* The owner of the loop makes and frees it; what lies between happens on the loop's thread. */
struct port *port_new(void);       /* NULL without memory */
void port_free(struct port *port); /* NULL is allowed; answers under way keep it a little longer */

void port_open(struct port *port, struct st_h2o_context_t *context);
/* Answers all requests that still wait with 503: their time is over. */
void port_abandon(struct port *port);
/* Late answers are dropped from here on, and port_wake() does nothing.  Run the loop once more for
 * those that came before, then detach. */
void port_close(struct port *port);
void port_detach(struct port *port);

/* Any thread: makes the loop look around.  Harmless before port_open() and after port_close(). */
void port_wake(struct port *port);

/* Loop thread.  NULL after answering 500 (no memory). */
struct pending *pending_begin(struct port *port, struct st_h2o_req_t *req);

/* Any thread, once.  Takes over [json] and the carrier's hold. */
void pending_finish(struct pending *pending, int status, struct buffer *json);

/* The same for an answer that is made on the loop's thread: [respond] is called once with [content] to
 * release, there with the request, or anywhere with NULL when nobody waits any more. */
typedef void (*pending_respond)(struct st_h2o_req_t *req, void *content);
void pending_finish_with(struct pending *pending, pending_respond respond, void *content);

#endif
