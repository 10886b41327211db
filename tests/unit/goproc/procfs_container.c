/* procfs_container.c - container ids in cgroup paths. */
#include <criterion/criterion.h>

#include "core/goproc/procfs_cgroup.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OUTER "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

Test(procfs_container_id, is_found_where_runtimes_put_it)
{
    static const char *const paths[] = {
        "/docker/" ID,
        "/system.slice/docker-" ID ".scope",
        "/system.slice/docker-" ID ".scope/init",
        "/kubepods/burstable/pod01234567-89ab-cdef-0123-456789abcdef/" ID,
        "/kubepods.slice/kubepods-pod1.slice/cri-containerd-" ID ".scope",
        "/kubepods.slice/kubepods-pod1.slice/crio-" ID ".scope",
        "/system.slice/containerd.service/kubepods-burstable-pod1.slice:cri-containerd:" ID,
        "/machine.slice/libpod-" ID ".scope/container",
        "/libpod_parent/libpod-" ID,
        "/ecs/0123456789abcdef/" ID,
        "/docker/" OUTER "/docker/" ID, /* docker in docker: the inner one */
        "/../docker-" ID ".scope",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char id[80];
        procfs_container_id_find(paths[i], id);
        cr_expect_str_eq(id, ID, "%s", paths[i]);
    }
}

Test(procfs_container_id, is_not_seen_in_other_names)
{
    static const char *const paths[] = {
        "",
        "/",
        "/user.slice/user-1000.slice/session-2.scope",
        "/system.slice/nginx.service",
        "/machine.slice/libpod-conmon-" ID ".scope",
        "/system.slice/crio-conmon-" ID ".scope",
        "/x/0" ID,                          /* 65 digits */
        "/x/0123456789abcdef",              /* too short */
        "/x/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
        "/x/" ID ".slice",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char id[80] = "unset";
        procfs_container_id_find(paths[i], id);
        cr_expect_str_eq(id, "", "%s", paths[i]);
    }
}
