/* pod_facts.c - which pod: from cgroup paths, the environment, and the host name inside. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/pod.h"
#include "core/goproc/procfs_environ.h"
#include "tests/unit/goproc/proc_tree.h"

#define UID "01234567-89ab-cdef-0123-456789abcdef"
#define SLICE_UID "01234567_89ab_cdef_0123_456789abcdef"
#define HASH "0123456789abcdef0123456789abcdef"
#define CGROUP "/kubepods/burstable/pod" UID "/x"

enum { PID = 7 };

static struct proc_tree tree;

static void set_up(void)
{
    proc_tree_make(&tree);
    proc_tree_write(&tree, "proc/sys/kernel/hostname", "node-1\n");
}

static void tear_down(void)
{
    proc_tree_remove(&tree);
}

TestSuite(pod, .init = set_up, .fini = tear_down);

/* /proc/7/environ with these variables, each ended by the NUL that '|' stands for. */
static void put_environ(const char *text)
{
    char path[640];
    (void)snprintf(path, sizeof(path), "%s/proc/7/environ", tree.root);
    proc_tree_write(&tree, "proc/7/environ", "");
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    for (const char *c = text; *c != '\0'; c++)
        (void)fputc(*c == '|' ? '\0' : *c, file);
    (void)fclose(file);
}

Test(pod, uid_is_found_where_kubelet_puts_it)
{
    static const struct {
        const char *path;
        const char *uid;
    } cases[] = {
        {"/kubepods/burstable/pod" UID "/abc", UID},
        {"/kubepods/pod" UID, UID},
        {"/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod" SLICE_UID
         ".slice/cri-containerd-abc.scope",
         UID},
        {"/system.slice/containerd.service/kubepods-burstable-pod" SLICE_UID
         ".slice:cri-containerd:abc",
         UID},
        {"/kubepods/burstable/pod" HASH "/abc", HASH},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char uid[POD_UID_MAX_BYTES + 1];
        pod_uid_find(cases[i].path, uid);
        cr_expect_str_eq(uid, cases[i].uid, "%s", cases[i].path);
    }
}

Test(pod, uid_is_not_seen_in_other_names)
{
    static const char *const paths[] = {
        "",
        "/",
        "/machine.slice/podman-123.scope",
        ("/machine.slice/libpod_pod_" HASH ".slice"), /* podman's own pods */
        ("/kubepods/pod" UID "0/abc"),
        "/kubepods/pod0123",
        ("/kubepods/tripod" UID),
        "pod",
    };
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        char uid[POD_UID_MAX_BYTES + 1];
        pod_uid_find(paths[i], uid);
        cr_expect_str_eq(uid, "", "%s", paths[i]);
    }
}

Test(pod, name_is_what_its_author_put_into_the_environment)
{
    struct pod pod;
    put_environ("XPOD_NAME=wrong|POD_NAME=api-7f9c|POD_NAMESPACE=shop|");
    proc_tree_write(&tree, "proc/7/root/etc/hostname", "other\n");
    pod_read(&tree.fs, PID, CGROUP, &pod);
    cr_assert_str_eq(pod.uid, UID);
    cr_assert_str_eq(pod.name, "api-7f9c");
    cr_assert_str_eq(pod.namespace_name, "shop");
}

Test(pod, name_is_else_the_host_name_inside_of_it)
{
    struct pod pod;
    put_environ("PATH=/bin|");
    proc_tree_write(&tree, "proc/7/root/etc/hostname", "api-7f9c\n");
    pod_read(&tree.fs, PID, CGROUP, &pod);
    cr_assert_str_eq(pod.name, "api-7f9c");
    cr_assert_str_eq(pod.namespace_name, "");
}

Test(pod, name_is_unknown_where_the_host_name_is_the_nodes)
{
    struct pod pod;
    proc_tree_write(&tree, "proc/7/root/etc/hostname", "node-1\n");
    pod_read(&tree.fs, PID, CGROUP, &pod);
    cr_assert_str_eq(pod.uid, UID);
    cr_assert_str_eq(pod.name, "");
}

Test(pod, no_link_of_the_process_leads_to_files_of_ours)
{
    struct pod pod;
    proc_tree_write(&tree, "secret", "mine\n");
    char target[640];
    (void)snprintf(target, sizeof(target), "%s/secret", tree.root);
    proc_tree_link(&tree, "proc/7/root/etc/hostname", target);
    pod_read(&tree.fs, PID, CGROUP, &pod);
    cr_assert_str_eq(pod.name, "");
    proc_tree_link(&tree, "proc/7/root/etc/hostname", "../../../../secret");
    pod_read(&tree.fs, PID, CGROUP, &pod);
    cr_assert_str_eq(pod.name, "");
    proc_tree_link(&tree, "proc/7/root/etc/hostname", "/etc/name"); /* within its own root */
    proc_tree_write(&tree, "proc/7/root/etc/name", "api-7f9c");
    pod_read(&tree.fs, PID, CGROUP, &pod);
    cr_assert_str_eq(pod.name, "api-7f9c");
}

Test(pod, what_is_no_name_is_not_taken_for_one)
{
    static const char *const values[] = {"", "API", "a b", "-a", "a-", "a\nb=c", "a/b", "\xff"};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct pod pod;
        char text[64];
        (void)snprintf(text, sizeof(text), "POD_NAMESPACE=%s|", values[i]);
        put_environ(text);
        pod_read(&tree.fs, PID, CGROUP, &pod);
        if (strchr(values[i], '\n') == NULL)
            cr_expect_str_eq(pod.namespace_name, "", "%s", values[i]);
    }
}

Test(pod, outside_of_kubernetes_the_environment_means_nothing)
{
    struct pod pod;
    put_environ("POD_NAME=api|");
    pod_read(&tree.fs, PID, "/system.slice/api.service", &pod);
    cr_assert_str_eq(pod.uid, "");
    cr_assert_str_eq(pod.name, "");
}

Test(pod, of_the_environment_only_whole_variables_are_read)
{
    struct buffer variables;
    struct error err;
    procfs_environ_init(&variables);
    put_environ("A=1|AB=2||=|C=|D=cut off");
    cr_assert(procfs_environ_read(&tree.fs, PID, &variables, &err), "%s", err.message);
    cr_assert_str_eq(procfs_environ_get(&variables, "A"), "1");
    cr_assert_str_eq(procfs_environ_get(&variables, "AB"), "2");
    cr_assert_str_eq(procfs_environ_get(&variables, "C"), "");
    cr_assert_null(procfs_environ_get(&variables, "B"));
    cr_assert_null(procfs_environ_get(&variables, "D"));
    buffer_release(&variables);

    procfs_environ_init(&variables);
    put_environ("");
    cr_assert(procfs_environ_read(&tree.fs, PID, &variables, &err), "%s", err.message);
    cr_assert_null(procfs_environ_get(&variables, "A"));
    buffer_release(&variables);

    proc_tree_delete(&tree, "proc/7/environ");
    cr_assert_not(procfs_environ_read(&tree.fs, PID, &variables, &err));
    cr_assert_eq(err.code, ERROR_GONE);
}
