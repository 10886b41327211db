/* stream.h - GET /v1/stream: server-sent events for those who follow, one list of followers a loop.
 *
 *   tick (while anybody follows) -> hub looks at the board -> each follower is sent what is behind its cursor
 *
 * A follower that has not taken its last bytes waits where it is; when the events behind its cursor are
 * gone, or it takes nothing for long, it is dropped and counted.  Loop thread. */
#ifndef GOPROFD_HTTP_STREAM_H
#define GOPROFD_HTTP_STREAM_H

#include <stdbool.h>
#include <stdint.h>

struct loop;
struct st_h2o_req_t;
struct streams;

struct streams *streams_new(struct loop *loop); /* any thread; NULL without memory */
void streams_open(struct streams *streams);     /* once the loop's context is set up */
void streams_close(struct streams *streams);    /* before it is torn down */
void streams_free(struct streams *streams);     /* NULL is allowed */

/* Ends all of them in good order: the loop stops. */
void streams_end(struct streams *streams);

/* Whether [req] is one of them, which therefore may take as long as it likes, as long as it takes what it
 * is sent: *[stuck] if it does not. */
bool streams_own(const struct streams *streams, const struct st_h2o_req_t *req, uint64_t now_ms,
                 bool *stuck);

#endif
