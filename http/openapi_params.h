/* openapi_params.h - what each parameter of a request may be, as JSON Schema, for view_openapi.c.
 *
 * Names of severities, states, groupings, forms, events and fields come from the tables that parse them.  Times and
 * durations are patterns: wider than the parser, which also knows that no month has 31 days in February.  Pure. */
#ifndef GOPROFD_HTTP_OPENAPI_PARAMS_H
#define GOPROFD_HTTP_OPENAPI_PARAMS_H

#include "http/query.h"

struct json;

/* A name that can stand in a path or a parameter. */
#define OPENAPI_NAME_PATTERN "^[^\\u0000]+$"

/* Appends the members "schema" and, where [param] is a list, how it is written. */
void openapi_param_schema(struct json *json, enum param param, const struct query_rules *rules);

/* Appends the member "FieldName": the names of all snapshot fields, which ?fields= refers to. */
void openapi_field_names(struct json *json);

#endif
