/* group_growth.h - how the groups of the top lists developed from GC to GC, where there is no profile of each GC.
 *
 *   snapshot->tops --> one stand-in site a group --> site_growth
 *
 * A recorded history has the top lists of each GC, but the profile only now and then.  So that a replay finds what
 * the daemon found when it did, target:growth(entry) then goes by the lists.  Owned by whoever owns the history. */
#ifndef GOPROFD_LUA_GROUP_GROWTH_H
#define GOPROFD_LUA_GROUP_GROWTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct group_growth;
struct site_growth;
struct snapshot;

struct group_growth *group_growth_new(void); /* NULL without memory */
void group_growth_free(struct group_growth *growth); /* NULL is allowed */

/* Adds the top lists of [snapshot] (none: nothing) as a column, if they are those of another GC than the column before.
 * Columns before [since_ns] are dropped.  False without memory. */
bool group_growth_add(struct group_growth *growth, const struct snapshot *snapshot,
                      uint64_t since_ns);

/* The groups as sites: for site_growth_of_group(). */
const struct site_growth *group_growth_sites(const struct group_growth *growth);
size_t group_growth_bytes(const struct group_growth *growth);

#endif
