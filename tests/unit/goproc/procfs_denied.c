/* procfs_denied.c - the reason and the cure, for each way the kernel may refuse. */
#include <criterion/criterion.h>

#include "core/goproc/procfs.h"
#include "tests/unit/goproc/proc_tree.h"

#define PTRACE_CAP "0000000000080000"
#define NO_CAPS "0000000000000000"

static struct proc_tree tree;

static void set_up(void)
{
    proc_tree_make(&tree);
}

static void tear_down(void)
{
    proc_tree_remove(&tree);
}

TestSuite(procfs_denied, .init = set_up, .fini = tear_down);

struct who {
    unsigned uid;
    unsigned gid;
    const char *permitted;
    const char *effective;
    unsigned seccomp;
    unsigned user_namespace;
};

static void write_who(const char *name, struct who who)
{
    char relative[64];
    char text[512];
    (void)snprintf(relative, sizeof(relative), "proc/%s/status", name);
    (void)snprintf(text, sizeof(text),
                   "Name:\tx\nUid:\t%u\t%u\t%u\t%u\nGid:\t%u\t%u\t%u\t%u\nCapPrm:\t%s\nCapEff:\t%s\n"
                   "Seccomp:\t%u\n",
                   who.uid, who.uid, who.uid, who.uid, who.gid, who.gid, who.gid, who.gid,
                   who.permitted, who.effective, who.seccomp);
    proc_tree_write(&tree, relative, text);
    (void)snprintf(relative, sizeof(relative), "proc/%s/ns/user", name);
    (void)snprintf(text, sizeof(text), "user:[%u]", who.user_namespace);
    proc_tree_link(&tree, relative, text);
}

/* The words for target 41, seen by [self]; checks that they name the pid and end a sentence's worth. */
static struct error explain(struct who self, struct who target)
{
    struct error err = {.code = ERROR_NONE};
    write_who("self", self);
    write_who("41", target);
    procfs_explain_denied(&tree.fs, 41, &err);
    cr_assert_eq(err.code, ERROR_DENIED);
    cr_assert_not_null(strstr(err.message, "pid 41"), "%s", err.message);
    cr_assert_null(strstr(err.message, "..."), "cut: %s", err.message);
    return err;
}

static void assert_words(struct error err, const char *reason, const char *cure)
{
    cr_assert_not_null(strstr(err.message, reason), "%s", err.message);
    cr_assert_not_null(strstr(err.message, cure), "%s", err.message);
}

static const struct who plain = {1000, 1000, NO_CAPS, NO_CAPS, 0, 1};

Test(procfs_denied, another_user)
{
    const struct who root = {0, 0, "000001ffffffffff", "000001ffffffffff", 0, 1};
    const struct error err = explain(plain, root);
    cr_assert_str_eq(err.message, "read memory of pid 41 denied: it runs as uid 0 and goprofd as uid "
                                  "1000 without CAP_SYS_PTRACE: run goprofd as the same user, or "
                                  "setcap cap_sys_ptrace+ep on it");
}

Test(procfs_denied, root_of_a_container_without_the_capability)
{
    const struct who root = {0, 0, "00000000a80425fb", "00000000a80425fb", 2, 1};
    assert_words(explain(root, plain), "it runs as uid 1000 and goprofd as uid 0",
                 "add the capability SYS_PTRACE to goprofd's container");
}

Test(procfs_denied, another_group)
{
    const struct who other_group = {1000, 2000, NO_CAPS, NO_CAPS, 0, 1};
    assert_words(explain(plain, other_group), "it runs as gid 2000 and goprofd as gid 1000",
                 "setcap cap_sys_ptrace+ep");
}

Test(procfs_denied, more_capabilities_than_we_have)
{
    const struct who web_server = {1000, 1000, "0000000000000400", "0000000000000400", 0, 1};
    assert_words(explain(plain, web_server), "it holds capabilities that goprofd does not",
                 "setcap cap_sys_ptrace+ep");
}

Test(procfs_denied, yama)
{
    proc_tree_write(&tree, "proc/sys/kernel/yama/ptrace_scope", "1\n");
    assert_words(explain(plain, plain), "Yama ptrace_scope is 1", "kernel.yama.ptrace_scope=0");
    proc_tree_write(&tree, "proc/sys/kernel/yama/ptrace_scope", "2\n");
    assert_words(explain(plain, plain), "Yama ptrace_scope is 2", "setcap cap_sys_ptrace+ep");
    proc_tree_write(&tree, "proc/sys/kernel/yama/ptrace_scope", "3\n");
    const struct who able = {1000, 1000, PTRACE_CAP, PTRACE_CAP, 0, 1};
    assert_words(explain(able, plain), "Yama ptrace_scope is 3", "reboot");
}

Test(procfs_denied, another_user_namespace)
{
    const struct who inside = {1000, 1000, NO_CAPS, NO_CAPS, 0, 2};
    const struct who able = {0, 0, PTRACE_CAP, PTRACE_CAP, 0, 1};
    assert_words(explain(able, inside), "another user namespace", "root of the host");
    assert_words(explain(plain, inside), "another user namespace", "run goprofd there");
}

Test(procfs_denied, a_seccomp_filter_or_security_module)
{
    const struct who filtered = {0, 0, PTRACE_CAP, PTRACE_CAP, 2, 1};
    assert_words(explain(filtered, plain), "although goprofd has CAP_SYS_PTRACE",
                 "allow process_vm_readv in the seccomp filter");
    const struct who able = {0, 0, PTRACE_CAP, PTRACE_CAP, 0, 1};
    assert_words(explain(able, plain), "although goprofd has CAP_SYS_PTRACE", "SELinux, AppArmor");
    assert_words(explain(plain, plain), "although user and groups match", "security module");
}

Test(procfs_denied, a_hidden_process)
{
    struct error err = {.code = ERROR_NONE};
    write_who("self", plain);
    procfs_explain_denied(&tree.fs, 41, &err);
    cr_assert_eq(err.code, ERROR_DENIED);
    assert_words(err, "hidden or gone", "without hidepid");
}

Test(procfs_denied, no_proc_to_look_into)
{
    struct error err = {.code = ERROR_NONE};
    write_who("41", plain);
    procfs_explain_denied(&tree.fs, 41, &err);
    assert_words(err, "/proc/self/status cannot be read", "mount /proc");
}

Test(procfs_denied, does_not_blame_the_file_where_it_may_be_read)
{
    proc_tree_process(&tree, 41, 100, "x", "x");
    const struct error err = explain((struct who){.uid = 1000, .gid = 1000, .permitted = NO_CAPS, .effective = NO_CAPS},
                                     (struct who){.uid = 0, .gid = 0, .permitted = NO_CAPS, .effective = NO_CAPS});
    cr_assert_null(strstr(err.message, "executable"), "%s", err.message);
}
