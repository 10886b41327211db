/* routes.c - the table, the match, the dispatch.  Loop threads. */
#include "http/routes.h"

#include <strings.h>

#include "core/base/config.h"
#include "core/capture/capture_list.h"
#include "core/store/board.h"
#include "http/handlers.h"
#include "http/auth.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"

enum { TOP_LIMIT = 10, TOP_LIMIT_MAX = 1000, HISTORY_LIMIT = 100, HISTORY_LIMIT_MAX = 10000,
       CAPTURE_LIMIT = 100 };

#define FINDING_PARAMS                                                                             \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(SEVERITY) | PARAM_BIT(STATE) | PARAM_BIT(RULE) |  \
                   PARAM_BIT(FORMAT)                                                               \
    }
#define TOP_PARAMS                                                                                 \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(LIMIT) | PARAM_BIT(BY) | PARAM_BIT(WINDOW) |      \
                   PARAM_BIT(FORMAT),                                                              \
        .limit_default = TOP_LIMIT, .limit_max = TOP_LIMIT_MAX                                     \
    }
#define HISTORY_PARAMS                                                                             \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(LIMIT) | PARAM_BIT(SINCE) | PARAM_BIT(UNTIL) |    \
                   PARAM_BIT(FIELDS) | PARAM_BIT(STEP) | PARAM_BIT(FORMAT),                        \
        .limit_default = HISTORY_LIMIT, .limit_max = HISTORY_LIMIT_MAX                             \
    }
#define CAPTURES_PARAMS                                                                            \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(LIMIT) | PARAM_BIT(FORMAT),                       \
        .limit_default = CAPTURE_LIMIT, .limit_max = CAPTURE_LIST_MAX                              \
    }
#define ONLY_FORMAT                                                                                \
    {                                                                                              \
        .allowed = PARAM_BIT(FORMAT)                                                               \
    }
#define ONLY_TARGET                                                                                \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET)                                                               \
    }
#define TARGET_FIELDS                                                                              \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(FIELDS) | PARAM_BIT(FORMAT)                       \
    }
#define PROFILE_PARAMS                                                                             \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(DEBUG)                                            \
    }
#define PAST_PARAMS                                                                                \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(DEBUG) | PARAM_BIT(AT)                            \
    }
#define DIFF_PARAMS                                                                                \
    {                                                                                              \
        .allowed = PARAM_BIT(TARGET) | PARAM_BIT(FROM) | PARAM_BIT(TO) | PARAM_BIT(FORMAT),        \
        .formats = FORMAT_BIT(PPROF) | FORMAT_BIT(FLAMEGRAPH) | FORMAT_BIT(TEXT),                  \
        .required = PARAM_BIT(FROM)                                                                \
    }
#define ANYTHING                                                                                   \
    {                                                                                              \
        .allowed = QUERY_ANY_PARAM                                                                 \
    }
#define NOTHING                                                                                    \
    {                                                                                              \
        0                                                                                          \
    }

/* clang-format off */
const struct route routes[] = {
    {"GET",  "/",                           handle_root,            ROUTE_API, false, ANYTHING,       "Where to look, for people"},
    {"GET",  "/health/live",                handle_live,            ROUTE_API, false, ANYTHING,       "200 while the daemon runs"},
    {"GET",  "/health/ready",               handle_ready,           ROUTE_API, false, ANYTHING,       "200 once a sample exists, 503 before"},
    {"GET",  "/v1",                         handle_api_index,       ROUTE_API, true,  ONLY_FORMAT,    "This list of paths"},
    {"GET",  "/v1/openapi.json",            handle_openapi,         ROUTE_API, true,  NOTHING,        "The same for machines: OpenAPI 3.1, also in docs/openapi.json"},
    {"GET",  "/v1/targets",                 handle_targets,         ROUTE_API, true,  ONLY_FORMAT,    "Who is watched, how, and in what state"},
    {"GET",  "/v1/targets/:id",             handle_target,          ROUTE_API, true,  ONLY_FORMAT,    "One target with its build settings and command line"},
    {"GET",  "/v1/metrics/latest",          handle_latest,          ROUTE_API, true,  TARGET_FIELDS,  "Newest snapshot of a target"},
    {"GET",  "/v1/metrics/history",         handle_history,         ROUTE_API, true,  HISTORY_PARAMS, "Snapshots of a target, oldest first; the newest `limit` of those that match"},
    {"GET",  "/v1/metrics/allocations/top", handle_top_allocations, ROUTE_API, true,  TOP_PARAMS,     "Groups of allocation sites by bytes ever allocated"},
    {"GET",  "/v1/metrics/retentions/top",  handle_top_retentions,  ROUTE_API, true,  TOP_PARAMS,     "Groups of allocation sites by bytes in use"},
    {"GET",  "/v1/memory",                  handle_memory,          ROUTE_API, true,  {.allowed = PARAM_BIT(TARGET) | PARAM_BIT(FORMAT)}, "What the resident memory of a target consists of, its limits, and the time until they are reached"},
    {"GET",  "/v1/suggestions",             handle_suggestions,     ROUTE_API, true,  FINDING_PARAMS, "What to change, with evidence; newest first"},
    {"GET",  "/v1/alerts",                  handle_alerts,          ROUTE_API, true,  FINDING_PARAMS, "Alerts, open and lately resolved; newest first"},
    {"GET",  "/v1/rules",                   handle_rules,           ROUTE_API, true,  ONLY_FORMAT,    "How each rule is doing, and the last reload"},
    {"POST", "/v1/rules/reload",            handle_rules_reload,    ROUTE_API, true,  ONLY_FORMAT,    "Loads the rules anew; 422 with FILE:LINE when one is broken, the old ones then stay"},
    {"GET",  "/v1/rules/:id",               handle_rule,            ROUTE_API, true,  {.allowed = PARAM_BIT(TARGET) | PARAM_BIT(FORMAT)}, "Why a rule did or did not fire: what its last evaluations looked at, on one target or all"},
    {"POST", "/v1/capture/heap",            handle_capture_heap,    ROUTE_API, true,  {.allowed = PARAM_BIT(TARGET) | PARAM_BIT(FORMAT)}, "Keeps the heap profile of a target, or of every one with `target=all`, as a file"},
    {"POST", "/v1/track",                   handle_track,           ROUTE_API, true,  ONLY_FORMAT,    "Takes a batch of allocations that a program tracked itself, in msgpack (docs/track.md)"},
    {"GET",  "/v1/profiles/diff",           handle_profile_diff,    ROUTE_API, false, DIFF_PARAMS,    "What changed in the heap of a target from one instant to another: for `go tool pprof`, as a flame graph, or as a table"},
    {"GET",  "/v1/captures",                handle_captures,        ROUTE_API, true,  CAPTURES_PARAMS, "Captured profiles, newest first, with the reason for each"},
    {"GET",  "/v1/captures/:path",          handle_capture,         ROUTE_API, false, NOTHING,        "One of them, by the `name` in the list, for `go tool pprof`"},
    {"GET",  "/v1/stream",                  handle_stream,          ROUTE_API, false, {.allowed = PARAM_BIT(TARGET) | PARAM_BIT(EVENTS)}, "Server-sent events: snapshots, findings, captures; `Last-Event-ID` resumes"},
    {"GET",  "/v1/export",                  handle_export,          ROUTE_API, false, {.allowed = PARAM_BIT(TARGET) | PARAM_BIT(SINCE)}, "The history as a msgpack stream that describes itself (docs/history.md); `since` resumes"},
    {"GET",  "/metrics",                    handle_metrics,         ROUTE_PROMETHEUS, false, NOTHING, "Prometheus text or OpenMetrics by `Accept`, all targets"},
    {"GET",  "/debug/pprof/",               handle_pprof_index,     ROUTE_PPROF, false, NOTHING,        "Index page with a link for each target and profile"},
    {"GET",  "/debug/pprof/heap",           handle_pprof_heap,      ROUTE_PPROF, false, PAST_PARAMS, "Heap profile of a target for `go tool pprof`"},
    {"GET",  "/debug/pprof/allocs",         handle_pprof_allocs,    ROUTE_PPROF, false, PAST_PARAMS, "The same, opening at bytes ever allocated"},
    {"GET",  "/debug/pprof/cmdline",        handle_pprof_cmdline,   ROUTE_PPROF, false, ONLY_TARGET,    "Command line of a target, arguments separated by NUL"},
    {"GET",  "/debug/pprof/goroutine",      handle_pprof_goroutine, ROUTE_PPROF, false, PROFILE_PARAMS, "Goroutines of a target with their stacks, read when asked for"},
    {"GET",  "/debug/pprof/block",          handle_pprof_block,     ROUTE_PPROF, false, PROFILE_PARAMS, "Where goroutines blocked, if the program records it"},
    {"GET",  "/debug/pprof/mutex",          handle_pprof_mutex,     ROUTE_PPROF, false, PROFILE_PARAMS, "Who held contended locks, if the program records it"},
    {"GET",  "/debug/pprof/threadcreate",   handle_pprof_threadcreate, ROUTE_PPROF, false, PROFILE_PARAMS, "Threads of the runtime, and what created them where it is known"},
    {"GET",  "/debug/pprof/profile",        handle_pprof_not_yet,   ROUTE_PPROF, false, ANYTHING,       "404: not readable from outside yet"},
    {"GET",  "/debug/pprof/trace",          handle_pprof_not_yet,   ROUTE_PPROF, false, ANYTHING,       "404: not readable from outside yet"},
    {"GET",  "/debug/pprof/symbol",         handle_pprof_symbol,    ROUTE_PPROF, false, ANYTHING,       "Functions at the addresses in the query (`0x1234+0x5678`), as far as the heap profile has them"},
    {"POST", "/debug/pprof/symbol",         handle_pprof_symbol,    ROUTE_PPROF, false, ONLY_TARGET,    "The same for the addresses in the body"},
};
/* clang-format on */
const size_t route_count = sizeof(routes) / sizeof(routes[0]);

bool route_group_is_served(enum route_group group, const struct config *config,
                           bool on_pprof_listener)
{
    const bool pprof_apart = config->pprof_listen_addr[0] != '\0';
    switch (group) {
    case ROUTE_API:
        return !on_pprof_listener;
    case ROUTE_PROMETHEUS:
        return !on_pprof_listener && config->prometheus_enabled;
    case ROUTE_PPROF:
        return config->pprof_enabled && pprof_apart == on_pprof_listener;
    }
    return false;
}

/* ---- matching ---- */

/* Cuts the next segment off [*text]; false at the end. */
static bool next_segment(const char **text, size_t *length, const char **segment,
                         size_t *segment_length)
{
    if (*length == 0)
        return false;
    const char *slash = memchr(*text, '/', *length);
    *segment = *text;
    *segment_length = slash == NULL ? *length : (size_t)(slash - *text);
    const size_t used = slash == NULL ? *length : *segment_length + 1;
    *text += used;
    *length -= used;
    return true;
}

/* Most paths need no decoding, and this runs for every row of the table. */
static bool literal_matches(const char *want, size_t want_length, const char *got,
                            size_t got_length)
{
    char decoded[ROUTE_ID_MAX_BYTES];
    if (got_length == want_length && memcmp(got, want, want_length) == 0)
        return true;
    return got_length > want_length && memchr(got, '%', got_length) != NULL &&
           query_decode(got, got_length, false, decoded, sizeof(decoded)) &&
           strlen(decoded) == want_length && memcmp(decoded, want, want_length) == 0;
}

static bool path_matches(const char *pattern, const char *path, size_t path_length,
                         char id[ROUTE_ID_MAX_BYTES])
{
    if (path_length == 0 || path[0] != '/')
        return false;
    const char *pattern_rest = pattern + 1;
    const char *path_rest = path + 1;
    size_t pattern_left = strlen(pattern_rest);
    size_t path_left = path_length - 1;
    const char *want = NULL;
    const char *got = NULL;
    size_t want_length = 0;
    size_t got_length = 0;
    id[0] = '\0';
    while (next_segment(&pattern_rest, &pattern_left, &want, &want_length)) {
        if (!next_segment(&path_rest, &path_left, &got, &got_length))
            return false;
        if (want_length == 5 && memcmp(want, ":path", 5) == 0)
            return query_decode(got, got_length + (path_left > 0 ? path_left + 1 : 0), false, id,
                                ROUTE_ID_MAX_BYTES) &&
                   id[0] != '\0';
        if (want_length == 3 && memcmp(want, ":id", 3) == 0) {
            if (!query_decode(got, got_length, false, id, ROUTE_ID_MAX_BYTES) || id[0] == '\0')
                return false;
        } else if (!literal_matches(want, want_length, got, got_length)) {
            return false;
        }
    }
    return path_left == 0;
}

static bool method_matches(const struct route *route, const char *method, size_t length)
{
    if (strlen(route->method) == length && memcmp(route->method, method, length) == 0)
        return true;
    return length == 4 && memcmp(method, "HEAD", 4) == 0 && strcmp(route->method, "GET") == 0;
}

void routes_find(const struct config *config, bool on_pprof_listener, const char *method,
                 size_t method_length, const char *path, size_t path_length,
                 struct route_match *match)
{
    bool get = false;
    bool post = false;
    bool literal = false;
    char id[ROUTE_ID_MAX_BYTES];
    match->route = NULL;
    match->id[0] = '\0';
    match->allow[0] = '\0';
    for (size_t i = 0; i < route_count; i++) {
        if (!route_group_is_served(routes[i].group, config, on_pprof_listener) ||
            !path_matches(routes[i].path, path, path_length, id))
            continue;
        /* A path in full is not also an ":id", whose row stands below it: GET /v1/rules/reload asks for no rule. */
        if (literal && id[0] != '\0')
            continue;
        literal = id[0] == '\0';
        if (method_matches(&routes[i], method, method_length)) {
            match->route = &routes[i];
            memcpy(match->id, id, strlen(id) + 1);
            return;
        }
        get = get || strcmp(routes[i].method, "GET") == 0;
        post = post || strcmp(routes[i].method, "POST") == 0;
    }
    if (get || post)
        (void)snprintf(match->allow, sizeof(match->allow), "%s%s%s", get ? "GET, HEAD, " : "",
                       post ? "POST, " : "", "OPTIONS");
}

/* ---- pages of other origins ---- */

static h2o_iovec_t origin_of(const h2o_req_t *req)
{
    const ssize_t at = h2o_find_header_by_str(&req->headers, H2O_STRLIT("origin"), -1);
    return at == -1 ? h2o_iovec_init(NULL, 0) : req->headers.entries[at].value;
}

/* Whether the config names [origin]; "*" names nobody. */
static bool origin_is_named(const struct config *config, h2o_iovec_t origin)
{
    for (const char *name = config->cors_allow_origins; *name != '\0';) {
        const size_t length = strcspn(name, ",");
        if (length == origin.len && strncasecmp(name, origin.base, length) == 0)
            return true;
        name += length + (name[length] == ',');
    }
    return false;
}

/* Lets a page of another origin read the answer, if it may (fetch.spec.whatwg.org, "CORS protocol"). */
static void allow_origin(h2o_req_t *req, const struct config *config, bool preflight)
{
    const h2o_iovec_t origin = origin_of(req);
    if (config->cors_allow_origins[0] == '\0')
        return;
    reply_header(req, "vary", "Origin");
    const bool all = strcmp(config->cors_allow_origins, "*") == 0;
    if (origin.len == 0 || (!all && !origin_is_named(config, origin)))
        return;
    if (all)
        reply_header(req, "access-control-allow-origin", "*");
    else
        reply_header_copy(req, "access-control-allow-origin",
                          h2o_strdup(&req->pool, origin.base, origin.len).base);
    reply_header(req, "access-control-expose-headers", "ETag, X-Request-ID");
    if (!preflight)
        return;
    reply_header(req, "access-control-allow-methods", all ? "GET, HEAD" : "GET, HEAD, POST");
    reply_header(req, "access-control-allow-headers",
                 "Accept, Authorization, Content-Type, If-None-Match, Last-Event-ID, X-Request-ID");
    reply_header(req, "access-control-max-age", "600");
}

/* ---- dispatch ---- */

/* A page of another site must not make a browser change anything here.  Programs send no Origin. */
static bool is_foreign_origin(const h2o_req_t *req, const struct config *config)
{
    const h2o_iovec_t origin = origin_of(req);
    if (origin.base == NULL || origin_is_named(config, origin))
        return false;
    const char *host = memmem(origin.base, origin.len, "://", 3);
    if (host == NULL)
        return true;
    host += 3;
    const size_t length = origin.len - (size_t)(host - origin.base);
    return length != req->input.authority.len ||
           strncasecmp(host, req->input.authority.base, length) != 0;
}

static bool accepts_json(h2o_req_t *req)
{
    const h2o_iovec_t accept = reply_list_header(req, H2O_TOKEN_ACCEPT);
    return accept.base == NULL ||
           accept_allows(accept.base, accept.len, "application", "json");
}

/* The path without query, as received.  A proxy's absolute form loses scheme and host. */
static h2o_iovec_t raw_path(const h2o_req_t *req, h2o_iovec_t *query)
{
    h2o_iovec_t path = req->input.path;
    const char *mark = path.len > 0 ? memchr(path.base, '?', path.len) : NULL;
    *query = h2o_iovec_init(NULL, 0);
    if (mark != NULL) {
        *query = h2o_iovec_init(mark + 1, path.len - (size_t)(mark + 1 - path.base));
        path.len = (size_t)(mark - path.base);
    }
    if (path.len > 7 && strncasecmp(path.base, "http://", 7) == 0) {
        const char *slash = memchr(path.base + 7, '/', path.len - 7);
        if (slash == NULL)
            return h2o_iovec_init("/", 1);
        path = h2o_iovec_init(slash, path.len - (size_t)(slash - path.base));
    }
    return path;
}

static void answer_unmatched(h2o_req_t *req, const struct route_match *match)
{
    if (match->allow[0] == '\0') {
        reply_error(req, 404, "no such path; GET /v1 lists what there is");
        return;
    }
    reply_header_copy(req, "allow", match->allow);
    if (h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS"))) {
        struct buffer nothing;
        buffer_init(&nothing, 0);
        reply_buffer(req, 200, CONTENT_TYPE_TEXT, &nothing);
    } else {
        reply_error(req, 405, "this path answers %s only", match->allow);
    }
}

static void call_handler(h2o_req_t *req, struct loop *loop, const struct route_match *match,
                         h2o_iovec_t query_text)
{
    const struct route *route = match->route;
    struct request request;
    struct error err;
    request.req = req;
    request.loop = loop;
    request.wiring = loop->wiring;
    request.page_ = NULL;
    request.query_text = h2o_strdup(&req->pool, query_text.len > 0 ? query_text.base : "", query_text.len).base;
    request.id = match->id[0] != '\0' ? match->id : NULL;
    if (!query_parse(&request.query, &route->query, query_text.base, query_text.len, &err)) {
        reply_failure(req, &err);
    } else if (route->json && (request.query.given & PARAM_BIT(FORMAT)) == 0 &&
               !accepts_json(req) && !reply_wants_msgpack(req)) {
        reply_error(req, 406,
                    "this path answers application/json and application/msgpack; Accept lets "
                    "neither through");
    } else if (route->method[0] == 'P' && is_foreign_origin(req, loop->wiring->config)) {
        reply_error(req, 403, "a page of another origin may not do this");
    } else {
        route->handle(&request);
    }
    board_page_unref(request.page_);
}

/* Probes carry no token, nor do a browser's questions whether it may ask (OPTIONS). */
static bool may_ask(const h2o_req_t *req, const struct loop *loop, h2o_iovec_t path)
{
    static const char open_paths[] = "/health/";
    const size_t prefix = sizeof(open_paths) - 1;
    const ssize_t at = h2o_find_header(&req->headers, H2O_TOKEN_AUTHORIZATION, -1);
    const h2o_iovec_t value = at != -1 ? req->headers.entries[at].value : h2o_iovec_init(NULL, 0);
    return auth_allows(loop->wiring->auth, value.base, value.len) ||
           (path.len > prefix && memcmp(path.base, open_paths, prefix) == 0) ||
           h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS"));
}

static void refuse_stranger(h2o_req_t *req)
{
    reply_header(req, "www-authenticate", "Bearer realm=\"goprofd\"");
    reply_error(req, 401, "Authorization: a bearer token is needed that auth_token_file holds");
}

int routes_dispatch(h2o_handler_t *self, h2o_req_t *req)
{
    (void)self;
    struct loop *loop = loop_of(req);
    struct route_match match;
    h2o_iovec_t query;
    const h2o_iovec_t path = raw_path(req, &query);
    allow_origin(req, loop->wiring->config,
                 h2o_memis(req->method.base, req->method.len, H2O_STRLIT("OPTIONS")));
    routes_find(loop->wiring->config, loop_surface_of(loop, req) == SURFACE_PPROF, req->method.base,
                req->method.len, path.base, path.len, &match);
    if (!may_ask(req, loop, path))
        refuse_stranger(req);
    else if (match.route == NULL)
        answer_unmatched(req, &match);
    else
        call_handler(req, loop, &match, query);
    return 0;
}
