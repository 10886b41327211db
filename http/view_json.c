/* view_json.c - snapshots, top lists and targets as JSON. */
#include "http/view_json.h"

#include <math.h>

#include "core/base/json.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/site.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

static void write_field(struct json *json, const struct field *field, union field_value value)
{
    json_key(json, field->name);
    switch (field->type) {
    case FIELD_U64:
        json_u64(json, value.u64);
        return;
    case FIELD_I64:
        json_i64(json, value.i64);
        return;
    case FIELD_F64:
        json_f64(json, value.f64);
        return;
    }
}

static void write_fields(struct json *json, const struct snapshot *snapshot, const uint64_t *wanted)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        union field_value value;
        if (wanted != NULL && ((wanted[i / 64] >> (i % 64)) & 1) == 0)
            continue;
        if (snapshot_field_get(&snapshot->values, &snapshot_fields[i], &value))
            write_field(json, &snapshot_fields[i], value);
    }
}

/* Where to look in the source: the blamed frame of the group's largest site. */
static void write_place(struct json *json, const struct top_entry *entry)
{
    if (entry->package != NULL && entry->package[0] != '\0')
        json_member_string(json, "package", entry->package);
    if (entry->site == NULL)
        return;
    if (entry->site->primitive[0] != '\0')
        json_member_string(json, "primitive", entry->site->primitive);
    if (entry->site->blame == NULL)
        return;
    json_member_string(json, "function", entry->site->blame->function);
    if (entry->site->blame->file[0] != '\0') {
        json_member_string(json, "file", entry->site->blame->file);
        json_member_u64(json, "line", entry->site->blame->line);
    }
}

/* Groupings leave out what they do not group by. */
static void write_group(struct json *json, const char *target, const struct top_entry *entry)
{
    if (target != NULL)
        json_member_string(json, "target", target);
    if (entry->type_name != NULL && entry->type_name[0] != '\0')
        json_member_string(json, "type_name", entry->type_name);
    if (entry->tag != NULL && entry->tag[0] != '\0')
        json_member_string(json, "tag", entry->tag);
}

/* What the numbers cover, where it is not all there ever was. */
static void write_window(struct json *json, double window_s)
{
    if (window_s > 0)
        json_member_f64(json, "window_seconds", round(window_s * 1000) / 1000);
}

void view_json_top_allocation(struct json *json, const char *target, const struct top_entry *entry,
                              double window_s)
{
    json_begin_object(json);
    write_group(json, target, entry);
    write_window(json, window_s);
    json_member_i64(json, "alloc_count", entry->alloc_objects);
    json_member_i64(json, "total_alloc_bytes", entry->alloc_bytes);
    if (entry->alloc_objects > 0) /* whole bytes: the field is an integer to its old readers */
        json_member_i64(json, "average_alloc_bytes", entry->alloc_bytes / entry->alloc_objects);
    json_member_u64(json, "sites", entry->site_count);
    write_place(json, entry);
    json_end_object(json);
}

static void write_retention(struct json *json, const struct retention_figures *figures)
{
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        const struct retention_field *field = &retention_fields[i];
        const double value = retention_figure_get(figures, field);
        if (isnan(value))
            continue; /* not known */
        json_key(json, field->name);
        if (field->kind == RETENTION_FLAG)
            json_bool(json, value != 0);
        else if (field->unit == UNIT_SECONDS)
            json_f64(json, round(value * 1000) / 1000);
        else /* estimates: nobody wants a fraction of a byte */
            json_i64(json, llround(fmin(fmax(value, -0x1p62), 0x1p62)));
    }
}

void view_json_top_retention(struct json *json, const char *target, const struct top_entry *entry,
                             const struct snapshot *snapshot, double window_s)
{
    json_begin_object(json);
    write_group(json, target, entry);
    write_window(json, window_s);
    json_member_i64(json, "retained_bytes", entry->inuse_bytes);
    if (snapshot != NULL)
        json_member_f64(json, "retained_percent", snapshot_retained_percent(snapshot, entry));
    json_member_i64(json, "retained_objects", entry->inuse_objects);
    write_retention(json, &entry->retention);
    json_member_u64(json, "sites", entry->site_count);
    write_place(json, entry);
    json_end_object(json);
}

static void write_tops(struct json *json, const struct snapshot *snapshot)
{
    const struct tops *tops = snapshot->tops;
    json_key(json, "top_allocations");
    json_begin_array(json);
    for (size_t i = 0; i < tops->allocation_count; i++)
        view_json_top_allocation(json, NULL, &tops->allocations[i], 0);
    json_end_array(json);
    json_key(json, "top_retentions");
    json_begin_array(json);
    for (size_t i = 0; i < tops->retention_count; i++)
        view_json_top_retention(json, NULL, &tops->retentions[i], snapshot, 0);
    json_end_array(json);
}

void view_json_snapshot(struct json *json, const struct target_info *info,
                        const struct snapshot *snapshot, const uint64_t *fields)
{
    json_begin_object(json);
    json_member_time(json, "timestamp", snapshot->realtime_ns);
    json_member_string(json, "target", info->facts.id);
    json_member_string(json, "source", source_kind_name(info->facts.source));
    json_member_u64(json, "sequence", snapshot->sequence);
    json_member_u64(json, "generation", snapshot->generation);
    json_member_bool(json, "partial", snapshot->partial);
    if (snapshot->partial_reason != NULL)
        json_member_string(json, "partial_reason", snapshot->partial_reason);
    write_fields(json, snapshot, fields);
    if (fields == NULL && snapshot->tops != NULL)
        write_tops(json, snapshot);
    json_end_object(json);
}

/* ---- targets ---- */

static void write_if_known(struct json *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_member_string(json, key, text);
}

static void write_state(struct json *json, const struct target_facts *facts)
{
    json_member_string(json, "state", target_state_name(facts->state));
    if (facts->state_since_realtime_ns != 0)
        json_member_time(json, "state_since", facts->state_since_realtime_ns);
    write_if_known(json, "reason", facts->reason);
    if (facts->reason_code != ERROR_NONE)
        json_member_string(json, "reason_code", error_code_name(facts->reason_code));
}

static void write_build(struct json *json, const struct target_facts *facts)
{
    write_if_known(json, "go_version", facts->go_version);
    write_if_known(json, "module_path", facts->module_path);
    write_if_known(json, "module_version", facts->module_version);
    write_if_known(json, "vcs_revision", facts->vcs_revision);
    write_if_known(json, "vcs_time", facts->vcs_time);
    if (facts->vcs_modified[0] != '\0')
        json_member_bool(json, "vcs_modified", strcmp(facts->vcs_modified, "true") == 0);
    write_if_known(json, "build_id", facts->build_id);
    if (facts->build_generation > 0)
        json_member_u64(json, "build_generation", facts->build_generation);
    write_if_known(json, "previous_build_id", facts->previous_build_id);
    if (facts->deployed_realtime_ns != 0)
        json_member_time(json, "deployed_at", facts->deployed_realtime_ns);
    write_if_known(json, "layout", facts->layout);
}

static void write_details(struct json *json, const struct target_facts *facts)
{
    write_if_known(json, "command", facts->command);
    json_key(json, "build_settings");
    json_begin_object(json);
    for (size_t i = 0; i < facts->build_setting_count; i++)
        json_member_string(json, facts->build_settings[i].key, facts->build_settings[i].value);
    json_end_object(json);
    json_key(json, "dependencies");
    json_begin_array(json);
    for (size_t i = 0; i < facts->dependency_count; i++) {
        json_begin_object(json);
        json_member_string(json, "path", facts->dependencies[i].path);
        json_member_string(json, "version", facts->dependencies[i].version);
        write_if_known(json, "replaced_by", facts->dependencies[i].replacement);
        json_end_object(json);
    }
    json_end_array(json);
}

void view_json_target(struct json *json, const struct target_view *view, uint64_t captures,
                      bool details)
{
    const struct target_facts *facts = &view->info->facts;
    json_begin_object(json);
    json_member_string(json, "id", facts->id);
    json_member_string(json, "name", facts->name);
    json_member_string(json, "source", source_kind_name(facts->source));
    write_state(json, facts);
    json_member_u64(json, "generation", facts->generation);
    if (facts->pid > 0)
        json_member_i64(json, "pid", facts->pid);
    if (facts->start_realtime_ns != 0)
        json_member_time(json, "started_at", facts->start_realtime_ns);
    write_if_known(json, "url", facts->url);
    write_if_known(json, "exe", facts->exe);
    write_build(json, facts);
    write_if_known(json, "container_id", facts->container_id);
    write_if_known(json, "cgroup", facts->cgroup);
    write_if_known(json, "pod", facts->pod);
    write_if_known(json, "pod_uid", facts->pod_uid);
    write_if_known(json, "pod_namespace", facts->pod_namespace);
    if (view->snapshot != NULL)
        json_member_time(json, "last_snapshot", view->snapshot->realtime_ns);
    if (view->profile != NULL)
        json_member_time(json, "last_profile", view->profile->taken_realtime_ns);
    json_member_u64(json, "captures", captures);
    if (details)
        write_details(json, facts);
    json_end_object(json);
}
