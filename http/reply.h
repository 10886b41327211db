/* reply.h - how every answer leaves: status, headers, request id, gzip, errors as JSON.
 *
 * Loop thread only.  A body is a counted block in h2o's shared memory, so that a cached one is sent
 * to many clients without being copied; its count is not atomic and never leaves the loop. */
#ifndef GOPROFD_HTTP_REPLY_H
#define GOPROFD_HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"

struct st_h2o_iovec_t;
struct st_h2o_req_t;
struct st_h2o_token_t;

extern const char CONTENT_TYPE_JSON[];
extern const char CONTENT_TYPE_TEXT[];
extern const char CONTENT_TYPE_HTML[];
extern const char CONTENT_TYPE_PROMETHEUS[];
extern const char CONTENT_TYPE_OPENMETRICS[];
extern const char CONTENT_TYPE_BINARY[];
extern const char CONTENT_TYPE_MSGPACK[];

enum {
    REPLY_MAX_BYTES = 256 << 20,
    REPLY_GZIP_MIN_BYTES = 1024, /* smaller ones do not get smaller enough to pay */
    REPLY_ETAG_MIN_BYTES = 64,
    REPLY_REQUEST_ID_MAX_BYTES = 64,
};

/* A JSON body has up to two further forms, each made on first use and kept with it:
 *
 *   JSON --Accept: application/msgpack--> msgpack
 *     `--Accept-Encoding: gzip--> gzip         `--> gzip */
struct body {
    char *bytes; /* malloc'ed */
    size_t length;
    const char *content_type; /* constant; a compressed one is sent as it is */
    bool compressible;
    bool gzip_tried;
    struct body *gzip; /* the same compressed; one hold, or NULL */
    bool msgpack_tried;
    struct body *msgpack; /* the same as msgpack; one hold, or NULL */
    uint64_t etag;        /* 0: not computed yet */
    uint64_t made_ms;  /* loop time, for those who limit its age */
};

/* Takes over what [content] holds (also on failure).  The caller owns one hold; NULL when the
 * content failed (too large, or no memory). */
struct body *body_new(struct buffer *content, const char *content_type);
struct body *body_ref(struct body *body);
void body_unref(struct body *body); /* NULL is allowed */

/* Sends [body] in the form that the client asked for; 304 without it if the client has it already (GET with
 * If-None-Match, status 200).  It stays alive until the last byte is out.  The caller keeps its
 * hold. */
void reply_body(struct st_h2o_req_t *req, int status, struct body *body);

/* Status and headers of an answer without an end, which its handler sends piece by piece. */
void reply_begin_stream(struct st_h2o_req_t *req, const char *content_type);

/* Sends and takes over [content].  If it failed, the answer is a 500 that says so. */
void reply_buffer(struct st_h2o_req_t *req, int status, const char *content_type,
                  struct buffer *content);

/* {"error": "..."} */
void reply_error(struct st_h2o_req_t *req, int status, const char *fmt, ...) GOPROFD_PRINTF(3, 4);

/* The same with the status that [err]'s code maps to. */
void reply_failure(struct st_h2o_req_t *req, const struct error *err);
int reply_status_of(enum error_code code);

/* Adds a header to the answer to come.  [name] and [value] must outlive the request or be
 * constant; [value] may be copied with reply_header_copy. */
void reply_header(struct st_h2o_req_t *req, const char *name, const char *value);
void reply_header_copy(struct st_h2o_req_t *req, const char *name, const char *value);

/* The request's id: the client's X-Request-ID if it is sane, else one made here.  In the
 * request's pool. */
const char *reply_request_id(struct st_h2o_req_t *req);

/* Appends {"error": [message]} . */
void reply_error_json(struct buffer *out, const char *message);

/* Whether an Accept header lets [type]/[subtype] through ("" lets everything through), and an
 * Accept-Encoding header lets gzip through.  Pure; q=0 is heeded. */
bool accept_allows(const char *header, size_t length, const char *type, const char *subtype);
bool accept_encoding_allows_gzip(const char *header, size_t length);
/* Whether an Accept header asks for msgpack by name: application/msgpack, or its older names, and not
 * application/json before it. */
bool accept_asks_msgpack(const char *header, size_t length);
/* The same for application/openmetrics-text, and not text/plain before it. */
bool accept_asks_openmetrics(const char *header, size_t length);
/* Whether an If-None-Match header names [etag] (weak comparison), or is "*". */
bool if_none_match(const char *header, size_t length, const char *etag);

/* All lines of the header [name] as one list; base NULL without any.  In the request's pool. */
struct st_h2o_iovec_t reply_list_header(struct st_h2o_req_t *req, const struct st_h2o_token_t *name);

/* Whether the client wants msgpack, by ?format= or Accept. */
bool reply_wants_msgpack(struct st_h2o_req_t *req);

#endif
