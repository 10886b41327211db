/* retention_figures.h - what is said about the retention of a site or group, declared once.
 *
 * The list declares the members and the table; the top lists in JSON, Lua and docs/http-api.md loop over it. */
#ifndef GOPROFD_STORE_RETENTION_FIGURES_H
#define GOPROFD_STORE_RETENTION_FIGURES_H

#include <stdbool.h>
#include <stddef.h>

#include "core/store/fields.h"

enum retention_kind { RETENTION_NUMBER, RETENTION_FLAG };

/* clang-format off */
/*    member                                    kind    unit          help */
#define RETENTION_FIELDS(X) \
    X(samples,                                  NUMBER, UNIT_COUNT,   "Sampled live objects that the figures rest on") \
    X(standard_error_bytes,                     NUMBER, UNIT_BYTES,   "Standard error of `retained_bytes`, since the profile is a sample") \
    X(sampling_blind,                           FLAG,   UNIT_COUNT,   "Too few samples to say: the standard error is more than 45 % of `retained_bytes` (fewer than 5 sampled small objects)") \
    X(growth_bytes_per_second,                  NUMBER, UNIT_BYTES,   "Robust slope of the live bytes over `growth_window_seconds`; what falls back after each rise does not count") \
    X(growth_standard_error_bytes_per_second,   NUMBER, UNIT_BYTES,   "Standard error of the growth at most, as far as it comes from sampling") \
    X(growth_window_seconds,                    NUMBER, UNIT_SECONDS, "Time the growth was observed over, at most `retention_window_sec`") \
    X(age_seconds,                              NUMBER, UNIT_SECONDS, "Time since goprofd first saw a site of the group, up to the profile")
/* clang-format on */

#define RETENTION_TYPE_NUMBER double
#define RETENTION_TYPE_FLAG bool
/* Numbers that are not known are NAN. */
struct retention_figures {
#define DECLARE_MEMBER(member, kind, unit, help) RETENTION_TYPE_##kind member;
    RETENTION_FIELDS(DECLARE_MEMBER)
#undef DECLARE_MEMBER
};

enum retention_figure_index {
#define DECLARE_INDEX(member, kind, unit, help) RETENTION_FIGURE_##member,
    RETENTION_FIELDS(DECLARE_INDEX)
#undef DECLARE_INDEX
        RETENTION_FIGURE_COUNT
};

struct retention_field {
    const char *name;
    enum retention_kind kind;
    enum field_unit unit;
    const char *help;
    size_t offset; /* into struct retention_figures */
};
extern const struct retention_field retention_fields[RETENTION_FIGURE_COUNT];

/* The number of [field] (a flag: 0 or 1); NAN if it is not known. */
double retention_figure_get(const struct retention_figures *figures,
                            const struct retention_field *field);

#endif
