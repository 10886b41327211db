/* view_openapi.c - the API described for machines (spec.openapis.org/oas/v3.1). */
#include "http/view_openapi.h"

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/store/fields.h"
#include "http/openapi_params.h"
#include "http/query.h"
#include "http/routes.h"

/* ---- what an answer looks like ---- */

enum shape { SHAPE_OBJECT, SHAPE_LIST, SHAPE_SNAPSHOT, SHAPE_SNAPSHOTS };

/* A JSON answer whose path is not here is some object. */
static const struct {
    const char *path;
    enum shape shape;
} shapes[] = {
    {"/v1", SHAPE_LIST},
    {"/v1/targets", SHAPE_LIST},
    {"/v1/metrics/latest", SHAPE_SNAPSHOT},
    {"/v1/metrics/history", SHAPE_SNAPSHOTS},
    {"/v1/metrics/allocations/top", SHAPE_LIST},
    {"/v1/metrics/retentions/top", SHAPE_LIST},
    {"/v1/suggestions", SHAPE_LIST},
    {"/v1/alerts", SHAPE_LIST},
    {"/v1/captures", SHAPE_LIST},
};

static enum shape shape_of(const struct route *route)
{
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        if (strcmp(shapes[i].path, route->path) == 0)
            return shapes[i].shape;
    }
    return SHAPE_OBJECT;
}

static void write_reference(struct json *json, const char *name)
{
    char reference[64];
    (void)snprintf(reference, sizeof(reference), "#/components/schemas/%s", name);
    json_begin_object(json);
    json_member_string(json, "$ref", reference);
    json_end_object(json);
}

/* A snapshot, or with ?step= what many come to. */
static void write_history_item(struct json *json)
{
    json_begin_object(json);
    json_key(json, "anyOf");
    json_begin_array(json);
    write_reference(json, "Snapshot");
    write_reference(json, "Step");
    json_end_array(json);
    json_end_object(json);
}

static void write_schema(struct json *json, enum shape shape)
{
    switch (shape) {
    case SHAPE_SNAPSHOT:
        write_reference(json, "Snapshot");
        return;
    case SHAPE_SNAPSHOTS:
    case SHAPE_LIST:
        json_begin_object(json);
        json_member_string(json, "type", "array");
        json_key(json, "items");
        if (shape == SHAPE_LIST)
            write_schema(json, SHAPE_OBJECT);
        else
            write_history_item(json);
        json_end_object(json);
        return;
    case SHAPE_OBJECT:
        json_begin_object(json);
        json_member_string(json, "type", "object");
        json_end_object(json);
        return;
    }
}

/* What a path answers that is not one of those (route.json). */
static const struct {
    const char *path;
    const char *types[3];
} media[] = {
    {"/", {"text/plain"}},
    {"/health/live", {"application/json", "application/msgpack"}},
    {"/health/ready", {"application/json", "application/msgpack"}},
    {"/v1/profiles/diff", {"application/octet-stream", "application/json", "text/plain"}},
    {"/v1/captures/:path", {"application/octet-stream"}},
    {"/v1/stream", {"text/event-stream"}},
    {"/v1/export", {"application/msgpack"}},
    {"/metrics", {"text/plain", "application/openmetrics-text"}},
    {"/debug/pprof/", {"text/html"}},
    {"/debug/pprof/heap", {"application/octet-stream", "text/plain"}},
    {"/debug/pprof/allocs", {"application/octet-stream", "text/plain"}},
    {"/debug/pprof/cmdline", {"text/plain"}},
    {"/debug/pprof/goroutine", {"application/octet-stream", "text/plain"}},
    {"/debug/pprof/block", {"application/octet-stream", "text/plain"}},
    {"/debug/pprof/mutex", {"application/octet-stream", "text/plain"}},
    {"/debug/pprof/threadcreate", {"application/octet-stream", "text/plain"}},
    {"/debug/pprof/symbol", {"text/plain"}},
};
enum { MEDIA_TYPES_MAX = sizeof(media[0].types) / sizeof(media[0].types[0]) };

/* What POST takes; a path that is not here reads no body. */
static const struct {
    const char *path;
    const char *type;
    bool required;
} bodies[] = {
    {"/v1/track", "application/msgpack", true},
    {"/debug/pprof/symbol", "text/plain", false},
};

/* A type of which nothing more is said. */
static void write_type(struct json *json, const char *type)
{
    json_key(json, type);
    json_begin_object(json);
    json_end_object(json);
}

/* The two forms of every answer in JSON, errors among them; [reference] NULL: of [shape]. */
static void write_json_forms(struct json *json, const char *reference, enum shape shape)
{
    static const char *const types[] = {"application/json", "application/msgpack"};
    json_key(json, "content");
    json_begin_object(json);
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        json_key(json, types[i]);
        json_begin_object(json);
        json_key(json, "schema");
        if (reference != NULL)
            write_reference(json, reference);
        else
            write_schema(json, shape);
        json_end_object(json);
    }
    json_end_object(json);
}

/* False for a path that has nothing to give. */
static bool has_answer(const struct route *route)
{
    for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++) {
        if (strcmp(media[i].path, route->path) == 0)
            return true;
    }
    return route->json;
}

static void write_content(struct json *json, const struct route *route)
{
    if (route->json) {
        write_json_forms(json, NULL, shape_of(route));
        return;
    }
    json_key(json, "content");
    json_begin_object(json);
    for (size_t i = 0; i < sizeof(media) / sizeof(media[0]); i++) {
        for (size_t k = 0; strcmp(media[i].path, route->path) == 0 && k < MEDIA_TYPES_MAX; k++) {
            if (media[i].types[k] != NULL)
                write_type(json, media[i].types[k]);
        }
    }
    json_end_object(json);
}

/* ---- paths ---- */

static bool takes_anything(const struct route *route)
{
    return (route->query.allowed & QUERY_ANY_PARAM) != 0;
}

static void write_parameter(struct json *json, enum param param, const struct query_rules *rules)
{
    char description[512];
    (void)snprintf(description, sizeof(description), "%.300s. Allowed: %.180s",
                   query_params[param].help, query_params[param].allowed);
    json_begin_object(json);
    json_member_string(json, "name", query_params[param].name);
    json_member_string(json, "in", "query");
    if ((rules->required & (1U << param)) != 0)
        json_member_bool(json, "required", true);
    json_member_string(json, "description", description);
    openapi_param_schema(json, param, rules);
    json_end_object(json);
}

/* ":id" is "{id}" here, ":path" is "{path}". */
static void format_path(const char *path, char *out, size_t size)
{
    const char *mark = strchr(path, ':');
    const size_t name = mark == NULL ? 0 : strcspn(mark + 1, "/");
    if (mark == NULL)
        (void)snprintf(out, size, "%s", path);
    else
        (void)snprintf(out, size, "%.*s{%.*s}%s", (int)(mark - path), path, (int)name, mark + 1,
                       mark + 1 + name);
}

static void write_parameters(struct json *json, const struct route *route)
{
    json_key(json, "parameters");
    json_begin_array(json);
    if (strchr(route->path, ':') != NULL) {
        json_begin_object(json);
        json_member_string(json, "name", strstr(route->path, ":path") != NULL ? "path" : "id");
        json_member_string(json, "in", "path");
        json_member_bool(json, "required", true);
        json_key(json, "schema");
        json_begin_object(json);
        json_member_string(json, "type", "string");
        json_member_string(json, "pattern", OPENAPI_NAME_PATTERN);
        json_end_object(json);
        json_end_object(json);
    }
    for (unsigned i = 0; i < PARAM_COUNT; i++) {
        if (!takes_anything(route) && (route->query.allowed & (1U << i)) != 0)
            write_parameter(json, (enum param)i, &route->query);
    }
    json_end_array(json);
}

static void write_response(struct json *json, const char *status, const char *description)
{
    json_key(json, status);
    json_begin_object(json);
    json_member_string(json, "description", description);
}

/* Streams and what changes with every look have no ETag. */
static bool has_etag(const struct route *route)
{
    return route->method[0] == 'G' && has_answer(route) && strcmp(route->path, "/metrics") != 0 &&
           strcmp(route->path, "/v1/stream") != 0 && strcmp(route->path, "/v1/export") != 0;
}

static void write_responses(struct json *json, const struct route *route)
{
    json_key(json, "responses");
    json_begin_object(json);
    if (has_answer(route)) {
        write_response(json, "200", route->help);
        write_content(json, route);
        json_end_object(json);
    }
    if (has_etag(route)) {
        write_response(json, "304", "If-None-Match names what would be answered; no body");
        json_end_object(json);
    }
    if (strcmp(route->path, "/health/ready") == 0) {
        write_response(json, "503", "Nothing was sampled yet; `reason` says why");
        write_json_forms(json, NULL, SHAPE_OBJECT);
        json_end_object(json);
    }
    write_response(json, "default", "What went wrong");
    write_json_forms(json, "Error", SHAPE_OBJECT);
    json_end_object(json);
    json_end_object(json);
}

static void write_request_body(struct json *json, const struct route *route)
{
    for (size_t i = 0; route->method[0] == 'P' && i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        if (strcmp(bodies[i].path, route->path) != 0)
            continue;
        json_key(json, "requestBody");
        json_begin_object(json);
        json_member_bool(json, "required", bodies[i].required);
        json_key(json, "content");
        json_begin_object(json);
        write_type(json, bodies[i].type);
        json_end_object(json);
        json_end_object(json);
    }
}

static void write_operation(struct json *json, const struct route *route)
{
    json_key(json, route->method[0] == 'P' ? "post" : "get");
    json_begin_object(json);
    json_member_string(json, "summary", route->help);
    write_parameters(json, route);
    write_request_body(json, route);
    write_responses(json, route);
    json_end_object(json);
}

/* Both methods of a path are members of one object, wherever their rows are. */
static void write_paths(struct json *json)
{
    json_key(json, "paths");
    json_begin_object(json);
    for (size_t i = 0; i < route_count; i++) {
        bool seen = false;
        char path[256];
        for (size_t k = 0; k < i; k++)
            seen = seen || strcmp(routes[k].path, routes[i].path) == 0;
        if (seen)
            continue;
        format_path(routes[i].path, path, sizeof(path));
        json_key(json, path);
        json_begin_object(json);
        for (size_t k = i; k < route_count; k++) {
            if (strcmp(routes[k].path, routes[i].path) == 0)
                write_operation(json, &routes[k]);
        }
        json_end_object(json);
    }
    json_end_object(json);
}

/* ---- components ---- */

static void write_property(struct json *json, const char *name, const char *type, const char *format,
                           const char *description)
{
    json_key(json, name);
    json_begin_object(json);
    json_member_string(json, "type", type);
    if (format != NULL)
        json_member_string(json, "format", format);
    json_member_string(json, "description", description);
    json_end_object(json);
}

static void write_required(struct json *json, const char *first, const char *second)
{
    json_key(json, "required");
    json_begin_array(json);
    json_string(json, first);
    json_string(json, second);
    json_end_array(json);
}

/* A field that a source cannot know is absent, so only two members are always there. */
static void write_snapshot_schema(struct json *json)
{
    json_key(json, "Snapshot");
    json_begin_object(json);
    json_member_string(json, "type", "object");
    write_required(json, "timestamp", "target");
    json_key(json, "properties");
    json_begin_object(json);
    write_property(json, "timestamp", "string", "date-time", "When it was taken");
    write_property(json, "target", "string", NULL, "Id of the target");
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        const bool whole = field->type != FIELD_F64;
        write_property(json, field->name, whole ? "integer" : "number", whole ? "int64" : "double",
                       field->help);
    }
    write_property(json, "top_allocations", "array", NULL,
                   "The largest groups of allocation sites by bytes ever allocated");
    write_property(json, "top_retentions", "array", NULL,
                   "The largest groups of allocation sites by bytes in use");
    json_end_object(json);
    json_end_object(json);
}

/* view_steps.h */
static void write_step_schema(struct json *json)
{
    static const char *const figures[] = {"min", "max", "avg"};
    json_key(json, "Step");
    json_begin_object(json);
    json_member_string(json, "type", "object");
    write_required(json, "timestamp", "samples");
    json_key(json, "properties");
    json_begin_object(json);
    write_property(json, "timestamp", "string", "date-time", "Where it begins");
    write_property(json, "samples", "integer", "int64", "Snapshots in it");
    json_end_object(json);
    json_key(json, "additionalProperties");
    json_begin_object(json);
    json_member_string(json, "type", "object");
    json_member_string(json, "description", "A number of those snapshots, by the name of its field");
    json_key(json, "required");
    json_begin_array(json);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
        json_string(json, figures[i]);
    json_end_array(json);
    json_key(json, "properties");
    json_begin_object(json);
    for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++) {
        json_key(json, figures[i]);
        json_begin_object(json);
        json_member_string(json, "type", "number");
        json_end_object(json);
    }
    json_end_object(json);
    json_end_object(json);
    json_end_object(json);
}

static void write_error_schema(struct json *json)
{
    json_key(json, "Error");
    json_begin_object(json);
    json_member_string(json, "type", "object");
    json_key(json, "required");
    json_begin_array(json);
    json_string(json, "error");
    json_end_array(json);
    json_key(json, "properties");
    json_begin_object(json);
    write_property(json, "error", "string", NULL, "What is wrong, and what would be right");
    json_end_object(json);
    json_end_object(json);
}

/* Without auth_token_file nobody needs one. */
static void write_security(struct json *json)
{
    json_key(json, "security");
    json_begin_array(json);
    json_begin_object(json);
    json_end_object(json);
    json_begin_object(json);
    json_key(json, "token");
    json_begin_array(json);
    json_end_array(json);
    json_end_object(json);
    json_end_array(json);
}

static void write_security_schemes(struct json *json)
{
    json_key(json, "securitySchemes");
    json_begin_object(json);
    json_key(json, "token");
    json_begin_object(json);
    json_member_string(json, "type", "http");
    json_member_string(json, "scheme", "bearer");
    json_member_string(json, "description", "One of auth_token_file, if that is set");
    json_end_object(json);
    json_end_object(json);
}

void view_openapi(struct buffer *out)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_member_string(&json, "openapi", "3.1.0");
    json_key(&json, "info");
    json_begin_object(&json);
    json_member_string(&json, "title", "goprofd");
    json_member_string(&json, "summary", "Memory of Go services, profiled from outside");
    json_member_string(&json, "version", GOPROFD_VERSION);
    json_end_object(&json);
    write_security(&json);
    write_paths(&json);
    json_key(&json, "components");
    json_begin_object(&json);
    json_key(&json, "schemas");
    json_begin_object(&json);
    write_snapshot_schema(&json);
    write_step_schema(&json);
    write_error_schema(&json);
    openapi_field_names(&json);
    json_end_object(&json);
    write_security_schemes(&json);
    json_end_object(&json);
    json_end_object(&json);
    buffer_append_byte(out, '\n');
}
