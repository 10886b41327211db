/* memory.c - GET /v1/memory: why the resident memory of a target is what it is.
 *
 * Everything is in the newest snapshot already; this puts it in order and says what each part means. */
#include "http/handlers.h"

#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/heap_classes.h"
#include "core/store/memory_limit.h"
#include "core/store/rss_parts.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/reply.h"
#include "http/request.h"

enum { CLASSES_SHOWN = 10 };

static void write_value(struct json *json, const struct snapshot_values *values,
                        enum snapshot_field_index index)
{
    const struct field *field = &snapshot_fields[index];
    union field_value value;
    if (!snapshot_field_get(values, field, &value))
        return;
    if (field->type == FIELD_F64)
        json_member_f64(json, field->name, value.f64);
    else
        json_member_u64(json, field->name, value.u64);
}

static void write_parts(struct json *json, const struct snapshot_values *values)
{
    json_key(json, "parts");
    json_begin_array(json);
    for (size_t i = 0; i < RSS_PART_COUNT; i++) {
        union field_value value;
        if (!snapshot_field_get(values, &snapshot_fields[rss_parts[i].field], &value))
            continue;
        json_begin_object(json);
        json_member_string(json, "name", rss_parts[i].name);
        json_member_u64(json, "bytes", value.u64);
        if (values->rss_bytes > 0)
            json_member_f64(json, "percent",
                            100.0 * (double)value.u64 / (double)values->rss_bytes);
        json_member_string(json, "explanation", rss_parts[i].meaning);
        json_member_string(json, "advice", rss_parts[i].advice);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_limits(struct json *json, const struct snapshot_values *values)
{
    struct memory_limit limits[LIMIT_KINDS];
    const size_t count = memory_limits_list(values, limits);
    json_key(json, "limits");
    json_begin_array(json);
    for (size_t i = 0; i < count; i++) {
        json_begin_object(json);
        json_member_string(json, "name", limits[i].name);
        json_member_u64(json, "limit_bytes", limits[i].limit_bytes);
        json_member_u64(json, "used_bytes", limits[i].used_bytes);
        json_member_u64(json, "headroom_bytes", limits[i].headroom_bytes);
        json_member_string(json, "explanation", limits[i].meaning);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_classes(struct json *json, const struct heap_classes *classes)
{
    json_key(json, "size_classes");
    json_begin_array(json);
    for (size_t i = 0; i < classes->count && i < CLASSES_SHOWN; i++) {
        const struct heap_class *class = &classes->classes[i];
        json_begin_object(json);
        if (class->object_bytes > 0) /* large objects have each a span of their own size */
            json_member_u64(json, "object_bytes", class->object_bytes);
        json_member_u64(json, "spans", class->spans);
        json_member_u64(json, "span_bytes", class->span_bytes);
        json_member_u64(json, "objects", class->objects);
        json_member_u64(json, "wasted_bytes", class->wasted_bytes);
        if (class->span_bytes > 0)
            json_member_f64(json, "wasted_percent",
                            100.0 * (double)class->wasted_bytes / (double)class->span_bytes);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_memory(struct json *json, const struct target_view *view)
{
    static const enum snapshot_field_index shown[] = {
        SNAPSHOT_FIELD_rss_bytes,
        SNAPSHOT_FIELD_pss_bytes,
        SNAPSHOT_FIELD_swap_bytes,
        SNAPSHOT_FIELD_rss_huge_bytes,
        SNAPSHOT_FIELD_rss_parts_age_ns,
        SNAPSHOT_FIELD_memory_growth_bytes_per_second,
        SNAPSHOT_FIELD_time_to_limit_seconds,
    };
    const struct snapshot *snapshot = view->snapshot;
    json_begin_object(json);
    json_member_string(json, "target", view->info->facts.id);
    json_member_time(json, "timestamp", snapshot->realtime_ns);
    for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
        write_value(json, &snapshot->values, shown[i]);
    write_parts(json, &snapshot->values);
    write_limits(json, &snapshot->values);
    if (snapshot->heap_classes != NULL) {
        json_member_time(json, "size_classes_taken", snapshot->heap_classes->taken_realtime_ns);
        write_classes(json, snapshot->heap_classes);
    }
    json_end_object(json);
}

void handle_memory(struct request *request)
{
    const struct target_view *view = request_target(request);
    if (view == NULL)
        return;
    if (view->snapshot == NULL) {
        reply_error(request->req, 503, "target \"%.100s\" was not sampled yet (%s%s%.100s)",
                    view->info->facts.id, target_state_name(view->info->facts.state),
                    view->info->facts.reason[0] != '\0' ? ": " : "", view->info->facts.reason);
        return;
    }
    struct buffer out;
    struct json json;
    buffer_init(&out, REPLY_MAX_BYTES);
    json_init(&json, &out);
    write_memory(&json, view);
    reply_buffer(request->req, 200, CONTENT_TYPE_JSON, &out);
}
