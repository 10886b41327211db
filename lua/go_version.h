/* go_version.h - versions of Go, and ranges of them as rules write them.
 *
 *   "<1.23"   ">=1.19 <1.23"   "1.22" (any 1.22.x)   "<=1.21.4"
 *
 * A bound is compared as far as it is written: 1.22.9 is "<=1.22", and go1.23rc1 is no "<1.23". */
#ifndef GOPROFD_LUA_GO_VERSION_H
#define GOPROFD_LUA_GO_VERSION_H

#include <stdbool.h>
#include <stddef.h>

enum { GO_RANGE_BOUNDS_MAX = 4 };

struct go_version {
    unsigned parts[3];
    unsigned given; /* how many of them were written */
};

enum go_bound_kind { GO_BELOW, GO_AT_MOST, GO_EXACTLY, GO_AT_LEAST, GO_ABOVE };

/* All bounds must hold; none: every version is allowed, known or not. */
struct go_range {
    size_t count;
    struct {
        enum go_bound_kind kind;
        struct go_version version;
    } bounds[GO_RANGE_BOUNDS_MAX];
};

/* Reads "go1.23.4", "1.23", "go1.24rc1 X:foo"; false for "devel ..." and the like. */
bool go_version_read(const char *text, struct go_version *version);

/* Below, at, or above [bound] (-1, 0, 1), as far as that is written. */
int go_version_compare(const struct go_version *version, const struct go_version *bound);

/* False if [text] is not a range. */
bool go_range_parse(const char *text, struct go_range *range);

bool go_range_allows(const struct go_range *range, const struct go_version *version);

#endif
