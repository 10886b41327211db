/* openapi_params.c - see openapi_params.h. */
#include "http/openapi_params.h"

#include "core/base/json.h"
#include "http/stream_hub.h"

#define TIME_PATTERN                                                                               \
    "([0-9]{1,11}(\\.[0-9]+)?|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]+)?"    \
    "(Z|[+-][0-9]{2}:[0-9]{2}))"
#define DURATION_PATTERN "([0-9]+(\\.[0-9]{1,9})?(ns|us|ms|s|m|h|d))+"

typedef const char *name_of_value(unsigned value);

static const char *name_of_severity(unsigned value)
{
    return severity_name((enum severity)value);
}

static const char *name_of_state(unsigned value)
{
    return finding_state_name((enum finding_state)value);
}

static const char *name_of_event(unsigned value)
{
    return stream_kind_name((enum stream_kind)value);
}

static const char *name_of_group(unsigned value)
{
    return group_by_name((enum group_by)value);
}

static const char *name_of_format(unsigned value)
{
    return query_format_name((enum format)value);
}

/* Values 0 to [last], those of [mask]. */
static void write_enum(struct json *json, name_of_value *name, unsigned last, unsigned mask)
{
    json_member_string(json, "type", "string");
    json_key(json, "enum");
    json_begin_array(json);
    for (unsigned value = 0; value <= last; value++) {
        if ((mask >> value & 1) != 0)
            json_string(json, name(value));
    }
    json_end_array(json);
}

static void begin_list(struct json *json)
{
    json_member_string(json, "type", "array");
    json_member_u64(json, "minItems", 1);
    json_key(json, "items");
    json_begin_object(json);
}

static void write_enum_list(struct json *json, name_of_value *name, unsigned last)
{
    begin_list(json);
    write_enum(json, name, last, ~0U);
    json_end_object(json);
}

static void write_field_list(struct json *json)
{
    begin_list(json);
    json_member_string(json, "$ref", "#/components/schemas/FieldName");
    json_end_object(json);
}

static void write_pattern(struct json *json, const char *pattern)
{
    json_member_string(json, "type", "string");
    json_member_string(json, "pattern", pattern);
}

static void write_whole(struct json *json, size_t minimum, size_t maximum, size_t otherwise)
{
    json_member_string(json, "type", "integer");
    json_member_u64(json, "minimum", minimum);
    json_member_u64(json, "maximum", maximum);
    json_member_u64(json, "default", otherwise);
}

static void write_schema(struct json *json, enum param param, const struct query_rules *rules)
{
    switch (param) {
    case PARAM_LIMIT:
        write_whole(json, 0, rules->limit_max, rules->limit_default);
        return;
    case PARAM_DEBUG:
        write_whole(json, 0, 2, 0);
        return;
    case PARAM_FIELDS:
        write_field_list(json);
        return;
    case PARAM_SEVERITY:
        write_enum_list(json, name_of_severity, SEVERITY_CRITICAL);
        return;
    case PARAM_STATE:
        write_enum_list(json, name_of_state, FINDING_RESOLVED);
        return;
    case PARAM_EVENTS:
        write_enum_list(json, name_of_event, STREAM_CAPTURE);
        return;
    case PARAM_BY:
        write_enum(json, name_of_group, GROUP_PACKAGE, ~0U);
        return;
    case PARAM_FORMAT:
        write_enum(json, name_of_format, FORMAT_COUNT - 1, query_formats(rules));
        return;
    case PARAM_SINCE:
    case PARAM_UNTIL:
        write_pattern(json, "^" TIME_PATTERN "$");
        return;
    case PARAM_AT:
    case PARAM_FROM:
    case PARAM_TO:
        write_pattern(json, "^(" TIME_PATTERN "|-(0|" DURATION_PATTERN "))$");
        return;
    case PARAM_STEP:
    case PARAM_WINDOW:
        write_pattern(json, "^" DURATION_PATTERN "$");
        return;
    case PARAM_TARGET:
    case PARAM_RULE:
    case PARAM_COUNT:
        break;
    }
    write_pattern(json, OPENAPI_NAME_PATTERN);
}

static bool is_list(enum param param)
{
    return param == PARAM_FIELDS || param == PARAM_SEVERITY || param == PARAM_STATE ||
           param == PARAM_EVENTS;
}

void openapi_param_schema(struct json *json, enum param param, const struct query_rules *rules)
{
    if (is_list(param)) {
        json_member_string(json, "style", "form");
        json_member_bool(json, "explode", false); /* one parameter, commas in it */
    }
    json_key(json, "schema");
    json_begin_object(json);
    write_schema(json, param, rules);
    json_end_object(json);
}

void openapi_field_names(struct json *json)
{
    json_key(json, "FieldName");
    json_begin_object(json);
    json_member_string(json, "type", "string");
    json_key(json, "enum");
    json_begin_array(json);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        json_string(json, snapshot_fields[i].name);
    json_end_array(json);
    json_end_object(json);
}
