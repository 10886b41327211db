/* site_growth.h - how the largest allocation sites of one target developed from GC to GC.
 *
 * The board keeps only the newest full profile; to name the function that grows, and not only the
 * one that is large, the rule engine keeps this small table: the largest sites as rows, one
 * column for each profile seen.
 *
 *              t0     t1     t2    ...  newest        at most SITE_GROWTH_COLUMNS, thinned when full
 *   site 17  [ 4 Mi | 5 Mi | 7 Mi | ...        ]      at most SITE_GROWTH_ROWS
 *   site 4   [ 1 Mi | 1 Mi | 1 Mi | ...        ]
 *   site 90  [   ?  |   ?  | 2 Mi | ...        ]      ?: too small then, not known
 *
 * Owned by the rule thread. */
#ifndef GOPROFD_LUA_SITE_GROWTH_H
#define GOPROFD_LUA_SITE_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/trend.h"

struct profile;
struct site_growth;

enum { SITE_GROWTH_COLUMNS = 48, SITE_GROWTH_ROWS = 96 };
enum site_measure { SITE_INUSE_BYTES, SITE_ALLOC_BYTES };

struct site_growth *site_growth_new(void); /* NULL without memory */
void site_growth_free(struct site_growth *growth); /* NULL is allowed */
size_t site_growth_bytes(const struct site_growth *growth); /* without the site table */

/* Adds [profile] as a column if it is newer than the last one.  Another site table (the target
 * restarted) starts afresh.  Columns before [since_ns] are dropped.  False without memory: the
 * table then is as before. */
bool site_growth_add(struct site_growth *growth, const struct profile *profile, uint64_t now_ns,
                     uint64_t since_ns);

/* The series of one site since [since_ns]; returns the number of points, 0 if it is not tracked. */
size_t site_growth_of_site(const struct site_growth *growth, uint32_t site_id,
                           enum site_measure measure, uint64_t since_ns,
                           struct trend_point points[SITE_GROWTH_COLUMNS]);

/* By how much the site changed since [since_ns] by each measure; false if that is not known.  The same
 * as last minus first of the series, without making it. */
bool site_growth_change(const struct site_growth *growth, uint32_t site_id, uint64_t since_ns,
                        double changes[2], double *seconds);

/* The sum over all tracked sites of this type and tag.  Where a site was not yet known its first
 * known value is taken, so that the sum never grows by our learning of it. */
size_t site_growth_of_group(const struct site_growth *growth, const char *type_name,
                            const char *tag, uint64_t since_ns,
                            struct trend_point points[SITE_GROWTH_COLUMNS]);

/* The series of the whole profile. */
size_t site_growth_of_all(const struct site_growth *growth, enum site_measure measure,
                          uint64_t since_ns, struct trend_point points[SITE_GROWTH_COLUMNS]);

#endif
