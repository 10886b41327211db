/* query.h - the parameters of a request, checked before any handler sees them.
 *
 * One table names each parameter, what it allows and what it means; parsing, error messages and
 * docs/http-api.md read it.  A parameter that the path does not take is an error, not ignored:
 * "?limt=5" answered with 100 rows would be a wrong answer that looks right.  Names that begin with
 * '_' are let through (cache busters).  Pure; any thread. */
#ifndef GOPROFD_HTTP_QUERY_H
#define GOPROFD_HTTP_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/fields.h"
#include "core/store/finding.h"
#include "core/store/profile.h"

enum param {
    PARAM_TARGET,
    PARAM_LIMIT,
    PARAM_SINCE,
    PARAM_UNTIL,
    PARAM_FIELDS,
    PARAM_BY,
    PARAM_SEVERITY,
    PARAM_STATE,
    PARAM_RULE,
    PARAM_FORMAT,
    PARAM_DEBUG,
    PARAM_EVENTS,
    PARAM_AT,
    PARAM_FROM,
    PARAM_TO,
    PARAM_STEP,
    PARAM_WINDOW,
    PARAM_COUNT
};

#define PARAM_BIT(name) (1U << PARAM_##name)

struct param_info {
    const char *name;
    const char *allowed; /* for messages and docs */
    const char *help;
};
extern const struct param_info query_params[PARAM_COUNT];

enum format { FORMAT_JSON, FORMAT_MSGPACK, FORMAT_PPROF, FORMAT_FLAMEGRAPH, FORMAT_TEXT };
enum { FORMAT_COUNT = FORMAT_TEXT + 1 };
#define FORMAT_BIT(name) (1U << FORMAT_##name)

/* An instant: since the epoch, or so long before now. */
struct query_time {
    bool before_now;
    uint64_t ns;
};

enum { QUERY_MAX_BYTES = 2048, QUERY_ANY_PARAM = 1 << 30 };

struct query {
    unsigned given; /* PARAM_BIT of those present */
    const char *target;
    const char *rule;
    size_t limit;
    uint64_t since_realtime_ns;              /* 0 if not given */
    uint64_t until_realtime_ns;              /* UINT64_MAX if not given */
    uint64_t fields[SNAPSHOT_PRESENT_WORDS]; /* bit i: field i is wanted; all if not given */
    enum group_by by;
    unsigned severities; /* 1 << enum severity; all if not given */
    unsigned states;     /* 1 << enum finding_state; all if not given */
    unsigned debug; /* 0, 1 or 2 */
    enum format format; /* of those the path has; FORMAT_JSON if not given */
    struct query_time at;
    struct query_time from;
    struct query_time to;
    uint64_t step_ns; /* 0 if not given */
    uint64_t window_ns; /* 0 if not given */
    unsigned events; /* 1 << enum stream_kind; all if not given */
    char text_[QUERY_MAX_BYTES + 1]; /* decoded: what the pointers point into */
    size_t text_used_;
};

struct query_rules {
    unsigned allowed; /* PARAM_BITs, or QUERY_ANY_PARAM: anything goes, nothing is looked at */
    size_t limit_default;
    size_t limit_max;
    unsigned formats;  /* FORMAT_BITs; 0: json and msgpack */
    unsigned required; /* PARAM_BITs without which there is no answer */
};

/* [text] is what follows '?', not terminated; length 0 for none.  On failure [err] is ERROR_USAGE
 * and names the parameter, what was found and what is allowed. */
bool query_parse(struct query *query, const struct query_rules *rules, const char *text,
                 size_t length, struct error *err) GOPROFD_MUST_CHECK;

/* FORMAT_BITs that ?format= may name on a path with [rules]; the name of one of them. */
unsigned query_formats(const struct query_rules *rules);
const char *query_format_name(enum format format);

/* [time] as nanoseconds since the epoch, seen from [now_realtime_ns]. */
uint64_t query_time_ns(const struct query_time *time, uint64_t now_realtime_ns);

/* Percent-decodes [text] into [out], terminated.  False when it is malformed, holds a NUL, or
 * needs [size] bytes or more.  [plus_is_space]: as in a query, not in a path. */
bool query_decode(const char *text, size_t length, bool plus_is_space, char *out, size_t size);

#endif
