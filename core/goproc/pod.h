/* pod.h - which Kubernetes pod a process belongs to, as far as the host can tell.
 *
 * Read once, when a process is opened.  The uid comes from the cgroup's path, which the process
 * cannot change.  The name has no such source: it is POD_NAME of the environment where the pod's
 * author has set it from metadata.name, else the host name inside the pod, which kubelet makes from
 * the pod's name (a pod with `hostname:` or `hostNetwork:` shows that name instead). */
#ifndef GOPROFD_GOPROC_POD_H
#define GOPROFD_GOPROC_POD_H

#include <sys/types.h>

#include "core/goproc/procfs.h"

enum { POD_UID_MAX_BYTES = 36, POD_NAME_MAX_BYTES = 253, POD_NAMESPACE_MAX_BYTES = 63 };

struct pod {
    char uid[POD_UID_MAX_BYTES + 1];              /* "" outside of pods */
    char name[POD_NAME_MAX_BYTES + 1];            /* "" if unknown */
    char namespace_name[POD_NAMESPACE_MAX_BYTES + 1]; /* POD_NAMESPACE of the environment, or "" */
};

void pod_read(const struct procfs *fs, pid_t pid, const char *cgroup_path, struct pod *pod);

/* The uid in [cgroup_path], with dashes as Kubernetes shows it; "" if there is none.
 *
 *   /kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef/ID
 *   /kubepods.slice/kubepods-pod01234567_89ab_cdef_0123_456789abcdef.slice/cri-containerd-ID.scope
 *   /kubepods/pod0123456789abcdef0123456789abcdef/ID       static pods: the hash of their file */
void pod_uid_find(const char *cgroup_path, char uid[POD_UID_MAX_BYTES + 1]);

#endif
