/* cli_decode.c - goprofd decode FILE|FOLDER: recorded history as lines of JSON.
 *
 * One object a snapshot, with the members of GET /v1/metrics/history; the first lines of a file say nothing else.  What
 * cannot be read is named on stderr, and the exit code is then 1. */
#include "core/cli.h"

#include <math.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/store/journal_reader.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum { LINE_MAX_BYTES = 16 << 20 };

static void write_fields(struct json *json, const struct snapshot *snapshot)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        union field_value value;
        if (!snapshot_field_get(&snapshot->values, field, &value))
            continue;
        json_key(json, field->name);
        if (field->type == FIELD_U64)
            json_u64(json, value.u64);
        else if (field->type == FIELD_I64)
            json_i64(json, value.i64);
        else
            json_f64(json, value.f64);
    }
}

static void write_figures(struct json *json, const struct retention_figures *figures)
{
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        const struct retention_field *field = &retention_fields[i];
        const double value = retention_figure_get(figures, field);
        if (isnan(value))
            continue;
        json_key(json, field->name);
        if (field->kind == RETENTION_FLAG)
            json_bool(json, value != 0);
        else
            json_f64(json, value);
    }
}

static void write_list(struct json *json, const char *key, const struct top_entry *entries,
                       size_t count, bool retained)
{
    json_key(json, key);
    json_begin_array(json);
    for (size_t i = 0; i < count; i++) {
        const struct top_entry *entry = &entries[i];
        json_begin_object(json);
        json_member_string(json, "type_name", entry->type_name);
        json_member_string(json, "tag", entry->tag);
        json_member_i64(json, "alloc_count", entry->alloc_objects);
        json_member_i64(json, "total_alloc_bytes", entry->alloc_bytes);
        json_member_i64(json, "retained_objects", entry->inuse_objects);
        json_member_i64(json, "retained_bytes", entry->inuse_bytes);
        json_member_u64(json, "sites", entry->site_count);
        if (retained)
            write_figures(json, &entry->retention);
        json_member_string(json, "package", entry->package);
        json_member_string(json, "function", entry->site->blame->function);
        json_member_string(json, "file", entry->site->blame->file);
        json_member_u64(json, "line", entry->site->blame->line);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_row(struct buffer *line, const struct history_row *row)
{
    const struct snapshot *snapshot = row->snapshot;
    struct json json;
    buffer_clear(line);
    json_init(&json, line);
    json_begin_object(&json);
    json_member_time(&json, "timestamp", snapshot->realtime_ns);
    json_member_string(&json, "target", row->info->facts.id);
    json_member_string(&json, "source", source_kind_name(row->info->facts.source));
    json_member_u64(&json, "sequence", snapshot->sequence);
    json_member_u64(&json, "generation", snapshot->generation);
    json_member_bool(&json, "partial", snapshot->partial);
    if (snapshot->partial_reason != NULL)
        json_member_string(&json, "partial_reason", snapshot->partial_reason);
    write_fields(&json, snapshot);
    if (snapshot->tops != NULL) {
        const struct tops *tops = snapshot->tops;
        write_list(&json, "top_allocations", tops->allocations, tops->allocation_count, false);
        write_list(&json, "top_retentions", tops->retentions, tops->retention_count, true);
    }
    json_end_object(&json);
    buffer_append_byte(line, '\n');
}

int cli_decode(int argc, char **argv)
{
    struct error err;
    struct history_row row;
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: goprofd decode FILE|FOLDER\n");
        return EXIT_USAGE;
    }
    struct journal_reader *reader = journal_reader_open(argv[1], &err);
    if (reader == NULL) {
        fprintf(stderr, "goprofd decode: %s\n", err.message);
        return EXIT_FAILED;
    }
    struct buffer line;
    buffer_init(&line, LINE_MAX_BYTES);
    size_t problems = 0;
    bool more = true;
    bool written = true;
    while (more && written) {
        more = journal_reader_next(reader, &row);
        for (; problems < journal_reader_problems(reader); problems++)
            fprintf(stderr, "goprofd decode: %s\n", journal_reader_problem_at(reader, problems));
        if (!more)
            break;
        write_row(&line, &row);
        written = !line.failed && fwrite(line.data, 1, line.length, stdout) == line.length;
    }
    written = fflush(stdout) == 0 && written;
    if (!written)
        fprintf(stderr, "goprofd decode: standard output cannot be written\n");
    buffer_release(&line);
    journal_reader_close(reader);
    return problems == 0 && written ? EXIT_FINE : EXIT_FAILED;
}
