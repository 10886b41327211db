/* pack_format.h - what pack.c and unpack.c agree on; for these two only.  docs/history.md is its text form. */
#ifndef GOPROFD_STORE_PACK_FORMAT_H
#define GOPROFD_STORE_PACK_FORMAT_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "core/store/fields.h"
#include "core/store/profile.h"
#include "core/store/target_info.h"

#define PACK_MAGIC "goprofd-history"

/* The first member of each record that is not a header. */
enum pack_record {
    RECORD_STRINGS = 1, /* [1, text ...]: numbered on, from 1; 0 is "" */
    RECORD_TARGET = 2,  /* [2, target, {facts}] */
    RECORD_PROCESS = 3, /* [3, target]: its sites, groups and profile start over */
    RECORD_SITE = 4,    /* [4, target, object_bytes, first_seen, primitive, type, tag, package, blame,
                           [function, file, line, start_line] ...]: numbered on, from 1 */
    RECORD_GROUP = 5,   /* [5, target, type, tag]: numbered on, from 1 */
    RECORD_TOPS = 6,    /* [6, target, [groups], [groups], [masks], [differences]] */
    RECORD_PROFILE = 7, /* [7, target, taken, start, cycle, rate, partial, [sites], [masks], [differences]] */
    RECORD_LAYOUT = 8,  /* [8, target, column ...] */
    RECORD_ROW = 9,     /* [9, target, value ...] */
};

/* Columns of a row before those of the fields. */
enum pack_column {
    COLUMN_SEQUENCE,         /* these two: differences of differences */
    COLUMN_MONOTONIC,
    COLUMN_REALTIME_OFFSET,  /* realtime - monotonic */
    COLUMN_GENERATION,
    COLUMN_PARTIAL,
    COLUMN_REASON,           /* a string */
    COLUMN_TOPS,             /* 0: the snapshot has no top lists; 1: the target's newest */
    COLUMN_PROFILE,          /* 0: none yet; 1: the target's newest */
    COLUMN_FIELDS,           /* from here each field: whether it is known, then its value */
};

enum {
    PACK_FIELD_COLUMNS = 2,
    PACK_COLUMNS = COLUMN_FIELDS + PACK_FIELD_COLUMNS * SNAPSHOT_FIELD_COUNT,
    GROUP_NUMBERS = 6, /* site, alloc objects and bytes, in-use objects and bytes, sites */
    GROUP_WORDS = GROUP_NUMBERS + RETENTION_FIGURE_COUNT,
    SITE_WORDS = 5, /* alloc objects and bytes, in-use objects and bytes, block bytes */
};

/* An unknown figure. */
#define PACK_NO_FIGURE ((uint64_t)INT64_MIN)

/* As the API tells them: whole bytes, seconds to the millisecond. */
static inline uint64_t pack_figure(const struct retention_figures *figures,
                                   const struct retention_field *field)
{
    const double value = retention_figure_get(figures, field);
    if (isnan(value))
        return PACK_NO_FIGURE;
    const double scaled = field->unit == UNIT_SECONDS ? value * 1000 : value;
    if (scaled >= 0x1p62 || scaled <= -0x1p62)
        return (uint64_t)(scaled > 0 ? INT64_C(1) << 62 : -(INT64_C(1) << 62));
    return (uint64_t)(int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5)); /* no call: there are 70 of them a row */
}

/* Texts of a target, by their names in the stream. */
#define PACK_TARGET_TEXTS(X)                                                                       \
    X(id) X(name) X(reason) X(exe) X(command) X(go_version) X(module_path) X(module_version)       \
    X(vcs_revision) X(vcs_time) X(vcs_modified) X(build_id) X(layout) X(container_id) X(cgroup)    \
    X(pod_uid) X(pod) X(pod_namespace) X(previous_build_id)
#define PACK_TARGET_NUMBERS(X)                                                                     \
    X(state_since_realtime_ns) X(generation) X(pid) X(start_ticks) X(start_realtime_ns)            \
    X(build_generation) X(deployed_realtime_ns) X(source) X(state) X(reason_code)

#endif
