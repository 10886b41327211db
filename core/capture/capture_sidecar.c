/* capture_sidecar.c - the JSON beside a captured profile: what it is and why it was taken. */
#include "core/capture/capture_sidecar.h"

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/capture/capture.h"
#include "core/capture/capture_encode.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

/* What is not known is left out, as everywhere in the API. */
static void member_if_known(struct json *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_member_string(json, key, text);
}

static void write_reason(struct json *json, const struct capture_request *request)
{
    json_member_string(json, "reason", capture_reason_name(request->reason));
    if (request->reason == CAPTURE_ALERT || request->reason == CAPTURE_RULE)
        json_member_string(json, "severity", severity_name(request->severity));
    member_if_known(json, "rule", request->rule);
    member_if_known(json, "finding", request->finding);
    member_if_known(json, "message", request->message);
}

static void write_target(struct json *json, const struct target_facts *facts)
{
    json_member_string(json, "target", facts->id);
    member_if_known(json, "name", facts->name);
    json_member_string(json, "source", source_kind_name(facts->source));
    if (facts->pid != 0)
        json_member_i64(json, "pid", facts->pid);
    member_if_known(json, "exe", facts->exe);
    member_if_known(json, "go_version", facts->go_version);
    member_if_known(json, "module_version", facts->module_version);
    member_if_known(json, "vcs_revision", facts->vcs_revision);
    member_if_known(json, "container_id", facts->container_id);
    member_if_known(json, "pod", facts->pod);
    member_if_known(json, "pod_uid", facts->pod_uid);
}

static void write_profile_facts(struct json *json, const struct profile *profile)
{
    json_member_time(json, "profile_time", profile->taken_realtime_ns);
    json_member_i64(json, "mem_profile_rate", profile->rate);
    json_member_u64(json, "sites", profile->entry_count);
    json_member_bool(json, "partial", profile->partial);
    if (profile->partial)
        member_if_known(json, "partial_reason", profile->partial_reason);
    json_key(json, "totals");
    json_begin_object(json);
    json_member_i64(json, "alloc_objects", profile->totals.alloc_objects);
    json_member_i64(json, "alloc_bytes", profile->totals.alloc_bytes);
    json_member_i64(json, "inuse_objects", profile->totals.inuse_objects);
    json_member_i64(json, "inuse_bytes", profile->totals.inuse_bytes);
    json_end_object(json);
}

/* All that the last snapshot knew: of a process that is gone nobody can ask again. */
static void write_snapshot(struct json *json, const struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    json_key(json, "snapshot");
    json_begin_object(json);
    json_member_time(json, "timestamp", snapshot->realtime_ns);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        union field_value value;
        if (!snapshot_field_get(&snapshot->values, field, &value))
            continue;
        if (field->type == FIELD_U64)
            json_member_u64(json, field->name, value.u64);
        else if (field->type == FIELD_I64)
            json_member_i64(json, field->name, value.i64);
        else
            json_member_f64(json, field->name, value.f64);
    }
    json_end_object(json);
}

void capture_sidecar_write(const struct capture_request *request, const struct target_view *view,
                           const struct capture_pair *pair, uint64_t realtime_ns, uint64_t profile_bytes, struct buffer *out)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_member_time(&json, "time", realtime_ns);
    write_reason(&json, request);
    if (pair->is_before || pair->before != NULL)
        json_member_string(&json, "pair", pair->is_before ? "before" : "after");
    member_if_known(&json, "before", pair->before);
    write_target(&json, &view->info->facts);
    json_member_u64(&json, "bytes", profile_bytes);
    write_profile_facts(&json, view->profile);
    write_snapshot(&json, view->snapshot);
    json_member_string(&json, "goprofd_version", GOPROFD_VERSION);
    json_end_object(&json);
    buffer_append_byte(out, '\n');
}
