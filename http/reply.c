/* reply.c - every answer passes here.  Loop thread. */
#include "http/reply.h"

#include <stdarg.h>
#include <zlib.h>

#include <h2o.h>

#include "core/base/json.h"
#include "core/base/log.h"
#include "core/store/json_msgpack.h"
#include "http/loop.h"
#include "http/query.h"

const char CONTENT_TYPE_JSON[] = "application/json";
const char CONTENT_TYPE_TEXT[] = "text/plain; charset=utf-8";
const char CONTENT_TYPE_HTML[] = "text/html; charset=utf-8";
const char CONTENT_TYPE_PROMETHEUS[] = "text/plain; version=0.0.4; charset=utf-8";
const char CONTENT_TYPE_OPENMETRICS[] =
    "application/openmetrics-text; version=1.0.0; charset=utf-8";
const char CONTENT_TYPE_BINARY[] = "application/octet-stream";
const char CONTENT_TYPE_MSGPACK[] = "application/msgpack";

enum { GZIP_LEVEL = 5, GZIP_WINDOW_BITS = 15 + 16 /* +16: gzip, not zlib */ };

static const struct {
    int status;
    const char *reason;
} reasons[] = {
    {200, "OK"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {422, "Unprocessable Content"},
    {500, "Internal Server Error"},
    {503, "Service Unavailable"},
};

static const char *reason_of(int status)
{
    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status)
            return reasons[i].reason;
    }
    return "Unknown";
}

/* ---- bodies ---- */

static void body_dispose(void *block)
{
    struct body *body = block;
    free(body->bytes);
    body_unref(body->gzip);
    body_unref(body->msgpack);
}

struct body *body_new(struct buffer *content, const char *content_type)
{
    if (content->failed) {
        buffer_release(content);
        return NULL;
    }
    struct body *body = h2o_mem_alloc_shared(NULL, sizeof(*body), body_dispose);
    *body = (struct body){.content_type = content_type, .compressible = true};
    body->bytes = buffer_detach(content, &body->length); /* NULL and 0 for an empty one */
    return body;
}

struct body *body_ref(struct body *body)
{
    h2o_mem_addref_shared(body);
    return body;
}

void body_unref(struct body *body)
{
    if (body != NULL)
        h2o_mem_release_shared(body);
}

static void *zlib_alloc(void *context, unsigned count, unsigned size)
{
    (void)context;
    return calloc(count, size);
}

static void zlib_free(void *context, void *block)
{
    (void)context;
    free(block);
}

/* NULL when it cannot be had or would not be smaller. */
static struct body *body_compress(const struct body *body)
{
    z_stream stream = {.zalloc = zlib_alloc, .zfree = zlib_free};
    if (body->length > UINT32_MAX || deflateInit2(&stream, GZIP_LEVEL, Z_DEFLATED, GZIP_WINDOW_BITS,
                                                  8, Z_DEFAULT_STRATEGY) != Z_OK)
        return NULL;
    struct buffer out;
    buffer_init(&out, body->length);
    struct body *packed = NULL;
    char *room = buffer_reserve(&out, body->length);
    if (room != NULL) {
        stream.next_in = (Bytef *)body->bytes;
        stream.avail_in = (uInt)body->length;
        stream.next_out = (Bytef *)room;
        stream.avail_out = (uInt)body->length; /* no room for more than the plain form has */
        if (deflate(&stream, Z_FINISH) == Z_STREAM_END) {
            out.length = stream.total_out;
            packed = body_new(&out, body->content_type);
        }
    }
    deflateEnd(&stream);
    buffer_release(&out);
    if (packed != NULL)
        packed->compressible = false;
    return packed;
}

/* NULL when it cannot be had. */
static struct body *body_to_msgpack(const struct body *body)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, body->length + 64); /* never longer than the JSON, but for tiny ones */
    if (!json_to_msgpack(body->bytes, body->length, &out, &err)) {
        log_error(log_msg("an answer cannot be given as msgpack"), log_str("reason", err.message));
        buffer_release(&out);
        return NULL;
    }
    return body_new(&out, CONTENT_TYPE_MSGPACK);
}

/* A number for the content: equal bytes, equal number.  Eight bytes a step, mixed as MurmurHash's
 * finalizer mixes (public domain), so that a change anywhere changes all of it. */
static uint64_t etag_of(struct body *body)
{
    uint64_t hash = body->length * UINT64_C(0x9e3779b97f4a7c15);
    for (size_t at = 0; body->etag == 0 && at < body->length; at += 8) {
        uint64_t word = 0;
        const size_t left = body->length - at;
        memcpy(&word, body->bytes + at, left < 8 ? left : 8);
        hash = (hash ^ word) * UINT64_C(0xff51afd7ed558ccd);
        hash ^= hash >> 33;
    }
    if (body->etag == 0)
        body->etag = hash != 0 ? hash : 1;
    return body->etag;
}

/* ---- headers ---- */

static h2o_iovec_t request_header(h2o_req_t *req, const char *name)
{
    const ssize_t at = h2o_find_header_by_str(&req->headers, name, strlen(name), -1);
    return at == -1 ? h2o_iovec_init(NULL, 0) : req->headers.entries[at].value;
}

void reply_header(h2o_req_t *req, const char *name, const char *value)
{
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, value,
                          strlen(value));
}

void reply_header_copy(h2o_req_t *req, const char *name, const char *value)
{
    const h2o_iovec_t kept = h2o_strdup(&req->pool, value, SIZE_MAX);
    h2o_add_header_by_str(&req->pool, &req->res.headers, name, strlen(name), 0, NULL, kept.base,
                          kept.len);
}

/* What may be echoed and logged without further thought. */
static bool is_sane_id(const h2o_iovec_t *id)
{
    if (id->len == 0 || id->len > REPLY_REQUEST_ID_MAX_BYTES)
        return false;
    for (size_t i = 0; i < id->len; i++) {
        const char c = id->base[i];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && (c == '\0' || strchr("-_.:/+=@", c) == NULL))
            return false;
    }
    return true;
}

const char *reply_request_id(h2o_req_t *req)
{
    const h2o_iovec_t sent = request_header(req, "x-request-id");
    if (is_sane_id(&sent))
        return h2o_strdup(&req->pool, sent.base, sent.len).base;
    char *made = h2o_mem_alloc_pool(&req->pool, LOOP_REQUEST_ID_BYTES);
    loop_make_request_id(loop_of(req), made);
    return made;
}

static void add_common_headers(h2o_req_t *req, const char *content_type, bool may_be_kept)
{
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_TYPE, NULL, content_type,
                   strlen(content_type));
    /* no-cache: keep it if you like, but ask whether it still holds. */
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CACHE_CONTROL, NULL,
                   may_be_kept ? "no-cache" : "no-store", 8);
    const char *id = reply_request_id(req);
    h2o_add_header_by_str(&req->pool, &req->res.headers, H2O_STRLIT("x-request-id"), 0,
                          "X-Request-ID", id, strlen(id));
}

/* ---- sending ---- */

static void send_bytes(h2o_req_t *req, int status, h2o_iovec_t bytes)
{
    static h2o_generator_t generator = {NULL, NULL};

    req->res.status = status;
    req->res.reason = reason_of(status);
    /* Without it h2o would answer chunked; of a 304 it would be that of the 200. */
    req->res.content_length = status == 304 ? SIZE_MAX : bytes.len;
    h2o_start_response(req, &generator);
    const bool head = h2o_memis(req->method.base, req->method.len, H2O_STRLIT("HEAD"));
    h2o_send(req, &bytes, head || bytes.len == 0 ? 0 : 1, H2O_SEND_STATE_FINAL);
}

/* Lines of one name are one list, as if they had been sent with commas (RFC 9110 5.3). */
h2o_iovec_t reply_list_header(h2o_req_t *req, const h2o_token_t *name)
{
    const ssize_t first = h2o_find_header(&req->headers, name, -1);
    if (first == -1)
        return h2o_iovec_init(NULL, 0);
    h2o_iovec_t list = req->headers.entries[first].value;
    for (ssize_t at = h2o_find_header(&req->headers, name, first); at != -1;
         at = h2o_find_header(&req->headers, name, at)) {
        const h2o_iovec_t more = req->headers.entries[at].value;
        char *joined = h2o_mem_alloc_pool(&req->pool, list.len + more.len + 1);
        memcpy(joined, list.base, list.len);
        joined[list.len] = ',';
        memcpy(joined + list.len + 1, more.base, more.len);
        list = h2o_iovec_init(joined, list.len + more.len + 1);
    }
    return list;
}

/* Whether the pair [text], percent-encoded or not, is [name]=; its value goes to [value]. */
static bool pair_value(const char *text, size_t length, const char *name, char *value, size_t size)
{
    char decoded[16];
    const char *equals = memchr(text, '=', length);
    if (equals == NULL ||
        !query_decode(text, (size_t)(equals - text), true, decoded, sizeof(decoded)) ||
        strcmp(decoded, name) != 0)
        return false;
    const size_t used = (size_t)(equals + 1 - text);
    if (!query_decode(equals + 1, length - used, true, value, size))
        value[0] = '\0';
    return true;
}

/* What ?format= asks for, as query_parse() reads it; "" where it is not a form.  False without it. */
static bool format_asked(const h2o_req_t *req, char *value, size_t size)
{
    const h2o_iovec_t path = req->input.path;
    const char *rest = path.len == 0 ? NULL : memchr(path.base, '?', path.len);
    const char *path_end = path.base + path.len;
    while (rest != NULL) {
        rest++; /* behind '?' or '&' */
        const char *end = memchr(rest, '&', (size_t)(path_end - rest));
        const size_t length = (size_t)((end != NULL ? end : path_end) - rest);
        if (pair_value(rest, length, query_params[PARAM_FORMAT].name, value, size))
            return true;
        rest = end;
    }
    return false;
}

/* A form that does not exist is an error, which is told in the form that Accept lets through. */
bool reply_wants_msgpack(h2o_req_t *req)
{
    char format[16];
    if (format_asked(req, format, sizeof(format))) {
        if (strcmp(format, "msgpack") == 0)
            return true;
        if (strcmp(format, "json") == 0 || strcmp(format, "flamegraph") == 0)
            return false;
    }
    const h2o_iovec_t accept = reply_list_header(req, H2O_TOKEN_ACCEPT);
    return accept.base != NULL && accept_asks_msgpack(accept.base, accept.len);
}

static struct body *choose_form(h2o_req_t *req, struct body *body)
{
    if (body->content_type != CONTENT_TYPE_JSON || !reply_wants_msgpack(req))
        return body;
    if (!body->msgpack_tried) {
        body->msgpack_tried = true;
        body->msgpack = body_to_msgpack(body);
    }
    return body->msgpack != NULL ? body->msgpack : body;
}

static struct body *choose_encoding(h2o_req_t *req, struct body *body)
{
    const h2o_iovec_t codings = reply_list_header(req, H2O_TOKEN_ACCEPT_ENCODING);
    if (codings.base == NULL || !accept_encoding_allows_gzip(codings.base, codings.len))
        return body;
    if (!body->gzip_tried) {
        body->gzip_tried = true;
        body->gzip = body_compress(body);
    }
    if (body->gzip == NULL)
        return body;
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_CONTENT_ENCODING, NULL,
                   H2O_STRLIT("gzip"));
    return body->gzip;
}

/* Adds the ETag; true if the client has these bytes already.  Weak: gzip is the same content. */
static bool client_has(h2o_req_t *req, struct body *body)
{
    char *text = h2o_mem_alloc_pool(&req->pool, 24);
    const h2o_iovec_t known = reply_list_header(req, H2O_TOKEN_IF_NONE_MATCH);
    const int length = snprintf(text, 24, "W/\"%016llx\"", (unsigned long long)etag_of(body));
    h2o_add_header(&req->pool, &req->res.headers, H2O_TOKEN_ETAG, NULL, text, (size_t)length);
    return known.base != NULL && if_none_match(known.base, known.len, text);
}

/* What changes with every look, or is small, is not worth asking for again. */
static bool has_etag(const h2o_req_t *req, int status, const struct body *body)
{
    return status == 200 && body->content_type != CONTENT_TYPE_PROMETHEUS &&
           body->content_type != CONTENT_TYPE_OPENMETRICS &&
           body->length >= REPLY_ETAG_MIN_BYTES && req->method.base[0] != 'P';
}

void reply_body(h2o_req_t *req, int status, struct body *body)
{
    struct body *chosen = choose_form(req, body);
    const bool may_be_kept = has_etag(req, status, chosen);
    add_common_headers(req, chosen->content_type, may_be_kept);
    const bool compressible = chosen->compressible && chosen->length > REPLY_GZIP_MIN_BYTES;
    const bool negotiable = body->content_type == CONTENT_TYPE_JSON ||
                            body->content_type == CONTENT_TYPE_PROMETHEUS ||
                            body->content_type == CONTENT_TYPE_OPENMETRICS;
    if (compressible || negotiable)
        reply_header(req, "vary", !compressible ? "Accept"
                                  : negotiable  ? "Accept, Accept-Encoding"
                                                : "Accept-Encoding");
    if (may_be_kept && client_has(req, chosen)) {
        send_bytes(req, 304, h2o_iovec_init(NULL, 0));
        return;
    }
    if (compressible)
        chosen = choose_encoding(req, chosen);
    h2o_mem_link_shared(&req->pool, chosen); /* takes a hold of its own until the request ends */
    send_bytes(req, status, h2o_iovec_init(chosen->bytes, chosen->length));
}

void reply_begin_stream(h2o_req_t *req, const char *content_type)
{
    add_common_headers(req, content_type, false);
    reply_header(req, "x-accel-buffering", "no"); /* nginx would hold pieces back */
    req->res.status = 200;
    req->res.reason = reason_of(200);
    req->res.content_length = SIZE_MAX;
}

void reply_buffer(h2o_req_t *req, int status, const char *content_type, struct buffer *content)
{
    struct body *body = body_new(content, content_type);
    if (body == NULL) {
        reply_error(req, 500, "the answer is too large or memory is short; ask for less");
        return;
    }
    reply_body(req, status, body);
    body_unref(body);
}

void reply_error_json(struct buffer *out, const char *message)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_member_string(&json, "error", message);
    json_end_object(&json);
    buffer_append_byte(out, '\n');
}

static void send_error(h2o_req_t *req, int status, const char *message)
{
    struct buffer content;
    buffer_init(&content, 8 * ERROR_MESSAGE_MAX_BYTES); /* escaped at worst sixfold */
    reply_error_json(&content, message);
    struct body *body = body_new(&content, CONTENT_TYPE_JSON);
    if (body == NULL) { /* no memory even for this */
        add_common_headers(req, CONTENT_TYPE_JSON, false);
        send_bytes(req, 500, h2o_iovec_init(H2O_STRLIT("{\"error\":\"out of memory\"}\n")));
        return;
    }
    reply_body(req, status, body);
    body_unref(body);
}

void reply_error(h2o_req_t *req, int status, const char *fmt, ...)
{
    char message[ERROR_MESSAGE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    const int length = vsnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    send_error(req, status, length < 0 ? "" : message);
}

int reply_status_of(enum error_code code)
{
    switch (code) {
    case ERROR_NOT_FOUND:
    case ERROR_GONE:
        return 404;
    case ERROR_USAGE:
        return 400;
    case ERROR_UNSUPPORTED:
        return 406;
    case ERROR_DENIED:
        return 403;
    case ERROR_BUSY:
    case ERROR_LIMIT:
        return 503;
    case ERROR_NONE:
    case ERROR_CORRUPT:
    case ERROR_NO_MEMORY:
    case ERROR_SYSTEM:
        break;
    }
    return 500;
}

void reply_failure(h2o_req_t *req, const struct error *err)
{
    const int status = reply_status_of(err->code);
    if (status == 503)
        reply_header(req, "retry-after", "1");
    send_error(req, status, err->message);
}
