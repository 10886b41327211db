/* view_openapi.h - the API described for machines: OpenAPI 3.1, from the tables that make it.
 *
 * Paths come from the route table, parameters from the query table, the snapshot from the field table; so
 * the description cannot say anything else than what is served.  Pure; any thread. */
#ifndef GOPROFD_HTTP_VIEW_OPENAPI_H
#define GOPROFD_HTTP_VIEW_OPENAPI_H

struct buffer;

/* Appends the document; failure is the buffer's. */
void view_openapi(struct buffer *out);

#endif
