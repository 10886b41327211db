/* routes.h - every path the daemon answers, in one table.
 *
 * The table answers requests, decides between 404 and 405, lists itself at GET /v1 and is what
 * docs/http-api.md is checked against.  ":id" matches one path segment, ":path" all
 * that are left. */
#ifndef GOPROFD_HTTP_ROUTES_H
#define GOPROFD_HTTP_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

#include "http/query.h"

struct config;
struct request;
struct st_h2o_handler_t;
struct st_h2o_req_t;

enum route_group { ROUTE_API, ROUTE_PROMETHEUS, ROUTE_PPROF };

struct route {
    const char *method; /* "GET" (HEAD comes with it) or "POST" */
    const char *path;
    void (*handle)(struct request *request);
    enum route_group group;
    bool json; /* answers JSON, so an Accept without it is a 406 */
    struct query_rules query;
    const char *help;
};

extern const struct route routes[];
extern const size_t route_count;

/* Whether [config] serves [group] on the main or on the pprof listener. */
bool route_group_is_served(enum route_group group, const struct config *config,
                           bool on_pprof_listener);

enum { ROUTE_ID_MAX_BYTES = 256, ROUTE_ALLOW_MAX_BYTES = 40 };

struct route_match {
    const struct route *route;         /* NULL: no such path or method */
    char id[ROUTE_ID_MAX_BYTES];       /* of the ":id" segment, decoded; "" if the path has none */
    char allow[ROUTE_ALLOW_MAX_BYTES]; /* for 405 and OPTIONS; "": no such path at all */
};

/* Finds the route for [method] and [path] (as received, without the query; not terminated).
 * Each segment is percent-decoded on its own; one '/' at the end does not matter. */
void routes_find(const struct config *config, bool on_pprof_listener, const char *method,
                 size_t method_length, const char *path, size_t path_length,
                 struct route_match *match);

/* h2o's on_req: answers [req] in every case. */
int routes_dispatch(struct st_h2o_handler_t *self, struct st_h2o_req_t *req);

#endif
