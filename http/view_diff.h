/* view_diff.h - a profile, or the difference of two, as a flame graph and as a table.  Pure; any thread.
 *
 * Both show bytes in use.  The flame graph is the nested JSON that d3-flame-graph reads: name, value,
 * children; of a difference also delta. */
#ifndef GOPROFD_HTTP_VIEW_DIFF_H
#define GOPROFD_HTTP_VIEW_DIFF_H

#include <stdbool.h>

#include "core/base/error.h"

struct buffer;
struct profile;

enum { VIEW_DIFF_ROWS_MAX = 200 };

/* [to]: the values; [diff] (to - from): the deltas.  False without memory; a failed [out] is the caller's to
 * see. */
bool view_diff_flamegraph(struct buffer *out, const struct profile *to, const struct profile *diff,
                          struct error *err) GOPROFD_MUST_CHECK;

/* A row a function, the largest differences first: allocated there (flat), and there or below (cum). */
bool view_diff_text(struct buffer *out, const struct profile *from, const struct profile *to,
                    const struct profile *diff, struct error *err) GOPROFD_MUST_CHECK;

#endif
