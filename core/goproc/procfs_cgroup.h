/* procfs_cgroup.h - where the memory cgroup of a process lies; for procfs_*.c only. */
#ifndef GOPROFD_GOPROC_PROCFS_CGROUP_H
#define GOPROFD_GOPROC_PROCFS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/goproc/procfs.h"

struct snapshot_values;

/* Fills the cgroup_* fields that can be learned; the others stay absent. */
void procfs_cgroup_usage(const struct procfs *fs, pid_t pid, struct snapshot_values *values);

/* Finds the id of a container in a cgroup path; "" if there is none.
 *
 *   /docker/ID   /system.slice/docker-ID.scope   /kubepods/burstable/podUID/ID
 *   .../cri-containerd-ID.scope   ...:cri-containerd:ID   .../crio-ID.scope
 *   .../libpod-ID.scope/container   /ecs/TASK/ID */
void procfs_container_id_find(const char *cgroup_path, char container_id[80]);

#endif
