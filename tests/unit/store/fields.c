/* fields.c - the table that every view loops over. */
#include "core/store/fields.h"

#include <criterion/criterion.h>

#include "core/store/board.h"

Test(fields, each_is_found_by_its_name_and_no_name_is_used_twice)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        cr_assert_eq(snapshot_field_find(field->name), field, "%s", field->name);
        for (size_t k = 0; k < i; k++) {
            cr_assert(field->metric == NULL || snapshot_fields[k].metric == NULL ||
                          strcmp(field->metric, snapshot_fields[k].metric) != 0,
                      "%s and %s share the metric %s", field->name, snapshot_fields[k].name,
                      field->metric);
        }
    }
    cr_assert_null(snapshot_field_find("heap_alloc"));
    cr_assert_null(snapshot_field_find(""));
}

Test(fields, a_value_never_set_is_absent_even_if_it_is_zero)
{
    struct snapshot_values values = {0};
    double number = 1;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        cr_assert_not(snapshot_field_get_f64(&values, &snapshot_fields[i], &number));
    SNAPSHOT_SET(&values, goroutines, 0);
    cr_assert(snapshot_field_get_f64(&values, snapshot_field_find("goroutines"), &number));
    cr_assert_eq(number, 0);
    cr_assert(SNAPSHOT_HAS(&values, goroutines));
    cr_assert_not(SNAPSHOT_HAS(&values, heap_alloc_bytes));
}

Test(fields, each_is_read_back_in_its_own_type)
{
    struct snapshot_values values = {0};
    SNAPSHOT_SET(&values, total_alloc_bytes, UINT64_MAX);
    SNAPSHOT_SET(&values, gogc_percent, -1);
    SNAPSHOT_SET(&values, gc_cpu_fraction, 0.25);
    SNAPSHOT_SET(&values, read_retries, 3); /* the last of the list: another word of `present` */

    union field_value value;
    cr_assert(snapshot_field_get(&values, snapshot_field_find("total_alloc_bytes"), &value));
    cr_assert_eq(value.u64, UINT64_MAX);
    cr_assert(snapshot_field_get(&values, snapshot_field_find("gogc_percent"), &value));
    cr_assert_eq(value.i64, -1);
    cr_assert(snapshot_field_get(&values, snapshot_field_find("gc_cpu_fraction"), &value));
    cr_assert_eq(value.f64, 0.25);
    double number = 0;
    cr_assert(snapshot_field_get_f64(&values, snapshot_field_find("gogc_percent"), &number));
    cr_assert_eq(number, -1);
    cr_assert(snapshot_field_get_f64(&values, snapshot_field_find("read_retries"), &number));
    cr_assert_eq(number, 3);
}

Test(fields, each_writes_to_a_place_of_its_own)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        cr_assert_leq(snapshot_fields[i].offset + 8, sizeof(struct snapshot_values));
        cr_assert_geq(snapshot_fields[i].offset, SNAPSHOT_PRESENT_WORDS * sizeof(uint64_t));
        for (size_t k = 0; k < i; k++)
            cr_assert_neq(snapshot_fields[i].offset, snapshot_fields[k].offset);
    }
}

/* Prometheus' naming rules: the same that `promtool check metrics` applies. */
static void check_metric(const char *metric, enum field_kind kind)
{
    const size_t length = strlen(metric);
    const bool is_total = length > 6 && strcmp(metric + length - 6, "_total") == 0;
    cr_assert_eq(strspn(metric, "abcdefghijklmnopqrstuvwxyz0123456789_"), length, "%s", metric);
    cr_assert_eq(is_total, kind == FIELD_COUNTER, "%s: only counters end in _total", metric);
    cr_assert_null(strstr(metric, "_ns"), "%s: base units only", metric);
}

Test(fields, metric_names_follow_the_rules_of_prometheus)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        if (snapshot_fields[i].metric != NULL)
            check_metric(snapshot_fields[i].metric, snapshot_fields[i].kind);
    }
    for (size_t i = 0; i < BOARD_COUNTER_COUNT; i++) {
        check_metric(board_counter_fields[i].metric, board_counter_fields[i].kind);
        cr_assert_eq(strncmp(board_counter_fields[i].metric, "goprofd_", 8), 0);
        cr_assert_gt(strlen(board_counter_fields[i].help), 10);
    }
}

Test(fields, every_unit_has_a_word)
{
    for (int unit = UNIT_BYTES; unit <= UNIT_RATIO; unit++)
        cr_assert_str_neq(field_unit_name((enum field_unit)unit), "unknown");
    cr_assert_str_eq(field_unit_name(UNIT_BYTES), "bytes");
}
