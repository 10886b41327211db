/* export.h - GET /v1/export: those who fetch the history as msgpack, one list a loop.  Loop thread. */
#ifndef GOPROFD_HTTP_EXPORT_H
#define GOPROFD_HTTP_EXPORT_H

#include <stdbool.h>
#include <stdint.h>

struct exports;
struct loop;
struct st_h2o_req_t;

struct exports *exports_new(struct loop *loop); /* any thread; NULL without memory */
void exports_free(struct exports *exports);     /* NULL is allowed */

/* Whether [req] is one of them, which may take as long as it likes, as long as it takes each piece in time: *[stuck] if
 * it does not. */
bool exports_own(const struct exports *exports, const struct st_h2o_req_t *req, uint64_t now_ms,
                 bool *stuck);

#endif
