/* cgroup_memory.h - the memory cgroups that processes are in, each file of them read once a beat.
 *
 * Two hundred processes of one group share its numbers; a group's ancestors are kept with it, since the
 * nearest limit above counts.  Owned by the sampler through usage_context; one thread.
 *
 *   process_usage -> cgroup "docker/ID" -> cgroup "docker" -> cgroup "" (the mount point)
 *                      current, high, max, kills: read when first asked for in a beat */
#ifndef GOPROFD_GOPROC_CGROUP_MEMORY_H
#define GOPROFD_GOPROC_CGROUP_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/goproc/kept_file.h"

struct cgroup;
struct cgroup_place;
struct procfs;
struct snapshot_values;

struct cgroup_table {
    const struct procfs *fs;
    struct kept_files *files;
    struct cgroup *groups_;
    struct buffer text_;
    uint64_t beat_;
};

/* [fs] and [files] are borrowed. */
void cgroup_table_init(struct cgroup_table *table, const struct procfs *fs,
                       struct kept_files *files);
void cgroup_table_release(struct cgroup_table *table); /* every group must have been given back */
/* From now on what was read before is old. */
void cgroup_table_next_beat(struct cgroup_table *table);

/* The group that memory of the processes at [place] is charged to: with version 2 the nearest that has
 * the memory controller.  NULL if there is none, or no memory.  To be given back. */
struct cgroup *cgroup_get(struct cgroup_table *table, const struct cgroup_place *place);
void cgroup_put(struct cgroup_table *table, struct cgroup *group); /* NULL is allowed */

/* Fills the cgroup_* fields that can be learned; the others stay absent. */
void cgroup_fill(struct cgroup_table *table, struct cgroup *group, struct snapshot_values *values);

/* How many the OOM killer has ended in [group]: as of this beat, or to [ask_now] as of now.  False: the
 * kernel does not say. */
bool cgroup_oom_kills(struct cgroup_table *table, struct cgroup *group, bool ask_now,
                      uint64_t *kills);

/* How full the fullest of [group] and its ancestors is, in percent of its limit; 0 without a limit. */
unsigned cgroup_fill_percent(struct cgroup_table *table, struct cgroup *group);

#endif
