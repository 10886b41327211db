/* view_steps.c - a history as one object for each step of time. */
#include "http/view_steps.h"

#include "core/base/json.h"
#include "core/store/snapshot.h"

struct figure {
    double min;
    double max;
    double sum;
    size_t count;
};

static void add_value(struct figure *figure, double value)
{
    if (figure->count == 0 || value < figure->min)
        figure->min = value;
    if (figure->count == 0 || value > figure->max)
        figure->max = value;
    figure->sum += value;
    figure->count++;
}

/* A whole number is written as one: 4096, not 4096.0. */
static void write_number(struct json *json, const char *key, double value, enum field_type type)
{
    const double largest_whole = 9007199254740992; /* 2^53 */
    if (type != FIELD_F64 && value <= largest_whole && value >= -largest_whole)
        json_member_i64(json, key, (int64_t)value);
    else
        json_member_f64(json, key, value);
}

static void write_step(struct json *json, uint64_t start_ns, size_t samples,
                       const struct figure figures[SNAPSHOT_FIELD_COUNT])
{
    json_begin_object(json);
    json_member_time(json, "timestamp", start_ns);
    json_member_u64(json, "samples", samples);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        if (figures[i].count == 0)
            continue;
        json_key(json, snapshot_fields[i].name);
        json_begin_object(json);
        write_number(json, "min", figures[i].min, snapshot_fields[i].type);
        write_number(json, "max", figures[i].max, snapshot_fields[i].type);
        json_member_f64(json, "avg", figures[i].sum / (double)figures[i].count);
        json_end_object(json);
    }
    json_end_object(json);
}

static void add_snapshot(struct figure figures[SNAPSHOT_FIELD_COUNT],
                         const struct snapshot *snapshot, const uint64_t *fields)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        double value = 0;
        if ((fields == NULL || (fields[i / 64] >> (i % 64) & 1) != 0) &&
            snapshot_field_get_f64(&snapshot->values, &snapshot_fields[i], &value))
            add_value(&figures[i], value);
    }
}

void view_steps(struct json *json, const struct snapshot *const *snapshots, size_t count,
                uint64_t step_ns, size_t limit, const uint64_t *fields)
{
    struct figure figures[SNAPSHOT_FIELD_COUNT];
    size_t steps = 0;
    for (size_t i = 0; i < count; i++)
        steps += i == 0 || snapshots[i]->realtime_ns / step_ns != snapshots[i - 1]->realtime_ns / step_ns;
    json_begin_array(json);
    for (size_t i = 0; i < count; steps--) {
        const uint64_t step = snapshots[i]->realtime_ns / step_ns;
        const size_t first = i;
        memset(figures, 0, sizeof(figures));
        for (; i < count && snapshots[i]->realtime_ns / step_ns == step; i++) {
            if (steps <= limit)
                add_snapshot(figures, snapshots[i], fields);
        }
        if (steps <= limit)
            write_step(json, step * step_ns, i - first, figures);
    }
    json_end_array(json);
}
