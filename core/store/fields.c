/* fields.c - the table behind every view of a snapshot's numbers.
 *
 * Constant data and its getters; any thread. */
#include "core/store/fields.h"

/* clang-format off */
const struct field snapshot_fields[SNAPSHOT_FIELD_COUNT] = {
#define DECLARE_FIELD(member, type, kind, unit, metric, legacy, help)                              \
    {#member, FIELD_##type, kind, unit, metric, legacy, help, offsetof(struct snapshot_values, member)},
    SNAPSHOT_FIELDS(DECLARE_FIELD)
#undef DECLARE_FIELD
};
/* clang-format on */

/* Every value is read as eight bytes, whatever its type. */
_Static_assert(sizeof(union field_value) == 8, "a field is eight bytes wide");

const struct field *snapshot_field_find(const char *name)
{
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        if (strcmp(snapshot_fields[i].name, name) == 0)
            return &snapshot_fields[i];
    }
    return NULL;
}

bool snapshot_field_get(const struct snapshot_values *values, const struct field *field,
                        union field_value *value)
{
    const size_t index = (size_t)(field - snapshot_fields);
    if (((values->present[index / 64] >> (index % 64)) & 1) == 0)
        return false;
    memcpy(value, (const char *)values + field->offset, sizeof(*value));
    return true;
}

bool snapshot_field_get_f64(const struct snapshot_values *values, const struct field *field,
                            double *value)
{
    union field_value raw;
    if (!snapshot_field_get(values, field, &raw))
        return false;
    switch (field->type) {
    case FIELD_U64:
        *value = (double)raw.u64;
        return true;
    case FIELD_I64:
        *value = (double)raw.i64;
        return true;
    case FIELD_F64:
        *value = raw.f64;
        return true;
    }
    return false;
}

const char *field_unit_name(enum field_unit unit)
{
    switch (unit) {
    case UNIT_BYTES:
        return "bytes";
    case UNIT_COUNT:
        return "count";
    case UNIT_NS:
        return "ns";
    case UNIT_SECONDS:
        return "seconds";
    case UNIT_PERCENT:
        return "percent";
    case UNIT_RATIO:
        return "ratio";
    }
    return "unknown";
}
