/* procfs_cgroup.h - where the memory cgroup of a process lies; for procfs_*.c only. */
#ifndef GOPROFD_GOPROC_PROCFS_CGROUP_H
#define GOPROFD_GOPROC_PROCFS_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/goproc/procfs.h"

/* The folder of a group's files. */
struct cgroup_place {
    bool v1;                          /* the memory controller is on a v1 hierarchy */
    size_t top_length;                /* of the mount point: ancestors end there */
    char path[PROCFS_PATH_MAX_BYTES]; /* relative to the root of [fs] */
};

/* Where the memory group lies that [text], the content of a /proc/PID/cgroup, names; false if it is not
 * mounted here. */
bool procfs_cgroup_locate(const struct procfs *fs, const char *text, struct cgroup_place *place);

/* Finds the id of a container in a cgroup path; "" if there is none.
 *
 *   /docker/ID   /system.slice/docker-ID.scope   /kubepods/burstable/podUID/ID
 *   .../cri-containerd-ID.scope   ...:cri-containerd:ID   .../crio-ID.scope
 *   .../libpod-ID.scope/container   /ecs/TASK/ID */
void procfs_container_id_find(const char *cgroup_path, char container_id[80]);

#endif
