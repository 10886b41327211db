/* trace.h - what one evaluation of a rule looked at: the answer to "why did this rule not fire".
 *
 * Noted by the target object's functions as they are called, kept by judge.c for each rule and target,
 * shown by GET /v1/rules/NAME?target=.  A few dozen bytes a read, so that it can always be on. */
#ifndef GOPROFD_LUA_TRACE_H
#define GOPROFD_LUA_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct field;

enum { TRACE_READS_MAX = 32, TRACE_NAME_MAX_BYTES = 128 };

/* clang-format off */
/*    what        in words; %f: the field, %w: the window, %a: the argument */
#define TRACE_READS(X) \
    X(FIELD,      "%f") \
    X(PREVIOUS,   "prev(%a).%f") \
    X(AGE,        "age") \
    X(TREND,      "trend(%f, %w).per_second") \
    X(RATE,       "rate(%f, %w)") \
    X(DELTA,      "delta(%f, %w)") \
    X(SLOPE,      "slope(%f, %w)") \
    X(MIN,        "min(%f, %w)") \
    X(MAX,        "max(%f, %w)") \
    X(MEAN,       "mean(%f, %w)") \
    X(PERCENTILE, "percentile(%f, %w, %a)") \
    X(EWMA,       "ewma(%f, %a)") \
    X(TIME_TO,    "time_to(%a, %f, %w)") \
    X(VALUES,     "values(%f, %w) (count)") \
    X(SITES,      "sites{} (matched)") \
    X(SITES_TOP,  "sites{}[1].bytes") \
    X(GROUPS,     "types, tags or packages (groups)") \
    X(RETENTION,  "retentions()[1].bytes") \
    X(ALLOCATION, "allocations()[1].bytes") \
    X(GROWTH,     "growth(entry, %w).per_second")
/* clang-format on */

enum trace_what {
#define DECLARE_WHAT(what, words) TRACE_##what,
    TRACE_READS(DECLARE_WHAT)
#undef DECLARE_WHAT
};

struct trace_read {
    uint8_t what;
    uint8_t field; /* index into snapshot_fields */
    bool per_gc;
    float window_s;
    double argument;
    double value; /* NAN: nil */
};

struct trace {
    size_t count;
    size_t left_out; /* reads beyond TRACE_READS_MAX */
    struct trace_read reads[TRACE_READS_MAX];
};

/* Notes [read]; the same one again replaces its value. */
void trace_note(struct trace *trace, const struct trace_read *read);

uint8_t trace_field(const struct field *field);

/* The read in the words of the rule: trend("rss_bytes", 600).per_second */
void trace_name(const struct trace_read *read, char name[TRACE_NAME_MAX_BYTES]);

#endif
