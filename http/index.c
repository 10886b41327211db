/* index.c - the pages that say where everything is, for people and machines. */
#include "http/handlers.h"

#include "core/base/config.h"
#include "core/base/json.h"
#include "http/loop.h"
#include "http/reply.h"
#include "http/request.h"
#include "http/routes.h"
#include "http/view_openapi.h"

enum { INDEX_MAX_BYTES = 64 << 10, OPENAPI_MAX_BYTES = 1 << 20 };

static bool is_served(struct request *request, const struct route *route)
{
    return route_group_is_served(route->group, request->wiring->config, false);
}

void handle_root(struct request *request)
{
    struct buffer out;
    buffer_init(&out, INDEX_MAX_BYTES);
    buffer_append_string(&out, "goprofd " GOPROFD_VERSION
                               ": memory of Go services, profiled from outside\n\n");
    for (size_t i = 0; i < route_count; i++) {
        if (is_served(request, &routes[i]))
            buffer_printf(&out, "%-4s %-30s %s\n", routes[i].method, routes[i].path,
                          routes[i].help);
    }
    reply_buffer(request->req, 200, CONTENT_TYPE_TEXT, &out);
}

static void write_parameters(struct json *json, const struct route *route)
{
    json_key(json, "parameters");
    json_begin_array(json);
    for (unsigned i = 0; i < PARAM_COUNT; i++) {
        if ((route->query.allowed & QUERY_ANY_PARAM) == 0 &&
            (route->query.allowed & (1U << i)) != 0)
            json_string(json, query_params[i].name);
    }
    json_end_array(json);
}

void handle_api_index(struct request *request)
{
    struct buffer out;
    struct json json;
    buffer_init(&out, INDEX_MAX_BYTES);
    json_init(&json, &out);
    json_begin_array(&json);
    for (size_t i = 0; i < route_count; i++) {
        if (!is_served(request, &routes[i]))
            continue;
        json_begin_object(&json);
        json_member_string(&json, "method", routes[i].method);
        json_member_string(&json, "path", routes[i].path);
        json_member_string(&json, "help", routes[i].help);
        write_parameters(&json, &routes[i]);
        json_end_object(&json);
    }
    json_end_array(&json);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}

void handle_openapi(struct request *request)
{
    struct buffer out;
    buffer_init(&out, OPENAPI_MAX_BYTES);
    view_openapi(&out);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}
