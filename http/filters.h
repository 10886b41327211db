/* filters.h - what happens to every answer, also those that h2o gives by itself.
 *
 * h2o refuses some requests before a handler sees them (413, 417, broken bodies) with plain text;
 * the filter turns these into our JSON with a request id.  The logger counts and logs.  Loop
 * thread. */
#ifndef GOPROFD_HTTP_FILTERS_H
#define GOPROFD_HTTP_FILTERS_H

struct st_h2o_pathconf_t;

void filters_register(struct st_h2o_pathconf_t *path);

#endif
