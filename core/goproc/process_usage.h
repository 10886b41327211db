/* process_usage.h - what the kernel counts for one process, read each beat: memory by kind, threads,
 * CPU time, cgroup.
 *
 * Two small files that stay open, and the numbers of the process's cgroup, which those in the same one
 * share.  Which cgroup that is is asked at growing intervals, up to ten seconds: processes are moved
 * right after their start, if at all.  Owned by target.c, on the sampler's thread. */
#ifndef GOPROFD_GOPROC_PROCESS_USAGE_H
#define GOPROFD_GOPROC_PROCESS_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/goproc/cgroup_memory.h"
#include "core/goproc/kept_file.h"

struct process_usage;
struct procfs;
struct snapshot_values;

/* What all processes share. */
struct usage_context {
    const struct procfs *fs;
    struct kept_files files;
    struct cgroup_table cgroups;
    struct buffer text_;
};

void usage_context_init(struct usage_context *context, const struct procfs *fs);
void usage_context_release(struct usage_context *context); /* after every process's close */

/* [start_ticks] tells the process from a later one of the same pid.  NULL without memory. */
struct process_usage *process_usage_open(struct usage_context *context, pid_t pid,
                                         uint64_t start_ticks);
void process_usage_close(struct process_usage *usage); /* NULL is allowed */

/* Fills rss_*, swap_bytes, virtual_bytes, threads, cpu_ns and the cgroup_* fields it can learn.  A field
 * that the kernel does not tell stays absent; false only when the process is gone or unreadable. */
bool process_usage_read(struct process_usage *usage, uint64_t now_monotonic_ns,
                        struct snapshot_values *values, struct error *err) GOPROFD_MUST_CHECK;

/* How many the OOM killer has ended in the process's cgroup, as read in this beat or, to [ask_now], after its
 * own end too.  [*group] is another number for each cgroup that it was in.  False: it cannot be told. */
bool process_usage_oom_kills(struct process_usage *usage, bool ask_now, uint64_t *group,
                             uint64_t *kills);

/* How full the fullest cgroup around it is, in percent of its limit; 0 without a limit. */
unsigned process_usage_fill_percent(struct process_usage *usage);

#endif
