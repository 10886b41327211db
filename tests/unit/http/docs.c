/* docs.c - the pages for users say what the tables say. */
#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/store/board.h"
#include "core/store/fields.h"
#include "core/store/json_msgpack.h"
#include "core/store/retention_figures.h"
#include "http/query.h"
#include "http/routes.h"
#include "http/view_openapi.h"
#include "http/view_prometheus.h"
#include "text_file.h"

static struct buffer out;

static void set_up(void)
{
    buffer_init(&out, 1 << 20);
}

static void tear_down(void)
{
    buffer_release(&out);
}

TestSuite(docs, .init = set_up, .fini = tear_down);

static void write_parameters(const struct query_rules *query)
{
    bool first = true;
    if (query->allowed & QUERY_ANY_PARAM) {
        buffer_append_string(&out, "any, ignored");
        return;
    }
    for (unsigned i = 0; i < PARAM_COUNT; i++) {
        if ((query->allowed & (1U << i)) == 0)
            continue;
        buffer_printf(&out, "%s`%s`", first ? "" : ", ", query_params[i].name);
        if (i == PARAM_LIMIT)
            buffer_printf(&out, " (%zu, at most %zu)", query->limit_default, query->limit_max);
        first = false;
    }
}

Test(docs, http_api_lists_every_path)
{
    buffer_append_string(&out, "| | path | parameters | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < route_count; i++) {
        buffer_printf(&out, "| %s | `%s` | ", routes[i].method, routes[i].path);
        write_parameters(&routes[i].query);
        buffer_printf(&out, " | %s |\n", routes[i].help);
    }
    text_file_section_equals("docs/http-api.md", "paths", &out);
}

Test(docs, http_api_lists_every_parameter)
{
    buffer_append_string(&out, "| parameter | allowed | |\n|---|---|---|\n");
    for (size_t i = 0; i < PARAM_COUNT; i++)
        buffer_printf(&out, "| `%s` | %s | %s |\n", query_params[i].name, query_params[i].allowed,
                      query_params[i].help);
    text_file_section_equals("docs/http-api.md", "parameters", &out);
}

Test(docs, openapi_is_what_the_tables_say)
{
    view_openapi(&out);
    cr_assert(json_is_valid(buffer_text(&out), out.length));
    text_file_break_lines(&out);
    text_file_equals("docs/openapi.json", &out);
}

Test(docs, http_api_lists_every_field)
{
    buffer_append_string(&out, "| field | unit | |\n|---|---|---|\n");
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        buffer_printf(&out, "| `%s` | %s | %s |\n", snapshot_fields[i].name,
                      field_unit_name(snapshot_fields[i].unit), snapshot_fields[i].help);
    text_file_section_equals("docs/http-api.md", "fields", &out);
}

Test(docs, http_api_lists_every_figure_of_retention)
{
    buffer_append_string(&out, "| member | unit | |\n|---|---|---|\n");
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        const struct retention_field *field = &retention_fields[i];
        buffer_printf(&out, "| `%s` | %s | %s |\n", field->name,
                      field->kind == RETENTION_FLAG ? "true or false" : field_unit_name(field->unit),
                      field->help);
    }
    text_file_section_equals("docs/http-api.md", "retention", &out);
}

static const char *type_of(enum field_kind kind)
{
    return kind == FIELD_COUNTER ? "counter" : "gauge";
}

Test(docs, metrics_lists_what_comes_from_snapshots)
{
    buffer_append_string(&out, "| metric | type | |\n|---|---|---|\n");
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        if (field->metric == NULL)
            continue;
        buffer_printf(&out, "| `%s`", field->metric);
        if (field->legacy != NULL)
            buffer_printf(&out, ", `%s`", field->legacy);
        buffer_printf(&out, " | %s | %s |\n", type_of(field->kind), field->help);
    }
    text_file_section_equals("docs/metrics.md", "fields", &out);
}

Test(docs, metrics_lists_the_other_families)
{
    buffer_append_string(&out, "| metric | type | labels | |\n|---|---|---|---|\n");
    for (size_t i = 0; i < prometheus_family_count; i++)
        buffer_printf(&out, "| `%s` | %s | %s | %s |\n", prometheus_families[i].name,
                      prometheus_families[i].type, prometheus_families[i].labels,
                      prometheus_families[i].help);
    text_file_section_equals("docs/metrics.md", "families", &out);
}

Test(docs, metrics_lists_the_daemons_counters)
{
    buffer_append_string(&out, "| metric | type | |\n|---|---|---|\n");
    for (size_t i = 0; i < BOARD_COUNTER_COUNT; i++)
        buffer_printf(&out, "| `%s` | %s | %s |\n", board_counter_fields[i].metric,
                      type_of(board_counter_fields[i].kind), board_counter_fields[i].help);
    text_file_section_equals("docs/metrics.md", "counters", &out);
}

/* What the Prometheus view relies on. */
Test(docs, no_signed_field_is_a_time_in_nanoseconds)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        cr_assert(snapshot_fields[i].type != FIELD_I64 || snapshot_fields[i].unit != UNIT_NS, "%s",
                  snapshot_fields[i].name);
}
