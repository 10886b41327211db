/* procfs_denied.c - why the kernel lets us not read a process, and what would help.
 *
 * Retraces the kernel's own order (ptrace_may_access, PTRACE_MODE_ATTACH): same user and groups,
 * else CAP_SYS_PTRACE in the target's user namespace; dumpable; capabilities; Yama; other security
 * modules.  It may be wrong about the last: what it cannot see it names as possible. */
#include "core/goproc/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/goproc/procfs_file.h"

enum { CAPABILITY_SYS_PTRACE = 19, SMALL_FILE_MAX_BYTES = 4096, LINK_MAX_BYTES = 64 };

struct credentials {
    uint64_t uids[3]; /* real, effective, saved */
    uint64_t gids[3];
    uint64_t permitted;
    uint64_t effective;
    uint64_t seccomp_mode;
    char user_namespace[LINK_MAX_BYTES]; /* "" if it may not be seen */
};

static void parse_ids(const char *status, const char *key, uint64_t ids[3])
{
    const char *cursor = procfs_line(status, key);
    for (unsigned i = 0; i < 3; i++) {
        ids[i] = UINT64_MAX;
        if (cursor == NULL || *cursor < '0' || *cursor > '9')
            continue;
        char *end = NULL;
        ids[i] = strtoull(cursor, &end, 10);
        cursor = end + strspn(end, " \t");
    }
}

static uint64_t parse_capabilities(const char *status, const char *key)
{
    const char *digits = procfs_line(status, key);
    return digits == NULL ? 0 : strtoull(digits, NULL, 16);
}

/* [who]: "self" or a pid.  Returns 0, or the errno value of the read that failed. */
static int read_credentials(const struct procfs *fs, const char *who, struct credentials *found)
{
    *found = (struct credentials){0};
    char relative[64];
    char path[PROCFS_PATH_MAX_BYTES];
    struct buffer status;
    buffer_init(&status, PROCFS_STATUS_MAX_BYTES);
    (void)snprintf(relative, sizeof(relative), "proc/%s/status", who);
    const int failed = procfs_load(fs, relative, &status);
    if (failed == 0) {
        parse_ids(status.data, "Uid:", found->uids);
        parse_ids(status.data, "Gid:", found->gids);
        found->permitted = parse_capabilities(status.data, "CapPrm:");
        found->effective = parse_capabilities(status.data, "CapEff:");
        if (!procfs_line_u64(status.data, "Seccomp:", &found->seccomp_mode))
            found->seccomp_mode = 0;
    }
    buffer_release(&status);

    (void)snprintf(relative, sizeof(relative), "proc/%s/ns/user", who);
    if (procfs_path(fs, path, relative)) {
        const ssize_t length = readlink(path, found->user_namespace, LINK_MAX_BYTES - 1);
        found->user_namespace[length > 0 ? length : 0] = '\0';
    }
    return failed;
}

static bool is_live(const struct procfs *fs)
{
    return fs->root == NULL || fs->root[0] == '\0' || strcmp(fs->root, "/") == 0;
}

/* Whether there is no ROOT/RELATIVE; one that may not be looked at is there. */
static bool is_missing(const struct procfs *fs, const char *relative)
{
    char path[PROCFS_PATH_MAX_BYTES];
    struct stat status;
    return procfs_path(fs, path, relative) && stat(path, &status) == -1 && errno == ENOENT;
}

bool procfs_is_hidden(const struct procfs *fs, pid_t pid)
{
    char relative[32];
    (void)snprintf(relative, sizeof(relative), "proc/%d", (int)pid);
    /* Signals are not subject to hidepid: "not permitted" means that it is there. */
    return is_live(fs) && is_missing(fs, relative) && kill(pid, 0) == -1 && errno == EPERM;
}

bool procfs_is_mounted(const struct procfs *fs)
{
    return !is_live(fs) || !is_missing(fs, "proc/self");
}

bool procfs_hides_processes(const struct procfs *fs)
{
    /* The first process of a namespace lives as long as that does. */
    return is_live(fs) && procfs_is_mounted(fs) && is_missing(fs, "proc/1");
}

static uint64_t yama_scope(const struct procfs *fs)
{
    uint64_t scope = 0;
    struct buffer text;
    buffer_init(&text, SMALL_FILE_MAX_BYTES);
    if (procfs_load(fs, "proc/sys/kernel/yama/ptrace_scope", &text) != 0 ||
        !procfs_line_u64(text.data, "", &scope))
        scope = 0; /* no such file: Yama is not there */
    buffer_release(&text);
    return scope;
}

/* The kernel gives the files of a process that is not dumpable to root. */
static bool seems_not_dumpable(const struct procfs *fs, pid_t pid, uint64_t effective_uid)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    struct stat status;
    (void)snprintf(relative, sizeof(relative), "proc/%d/maps", (int)pid);
    return effective_uid != 0 && procfs_path(fs, path, relative) && stat(path, &status) == 0 &&
           status.st_uid == 0;
}

/* The one of [ids] that keeps a caller of [id] out, or [id] itself; the effective one first, since
 * that is the one people know. */
static uint64_t differing_id(const uint64_t ids[3], uint64_t id)
{
    if (ids[1] != id)
        return ids[1];
    return ids[0] != id ? ids[0] : ids[2];
}

/* Without CAP_SYS_PTRACE. */
static void explain_unprivileged(const struct procfs *fs, pid_t pid,
                                 const struct credentials *self, const struct credentials *target,
                                 struct error *err)
{
    const uint64_t scope = yama_scope(fs);
    const char *cure = self->uids[1] == 0
                           ? "add the capability SYS_PTRACE to goprofd's container or unit"
                           : "run goprofd as the same user, or setcap cap_sys_ptrace+ep on it";
    const char *cap_cure = self->uids[1] == 0 ? cure : "setcap cap_sys_ptrace+ep on goprofd";

    const uint64_t uid = differing_id(target->uids, self->uids[0]);
    const uint64_t gid = differing_id(target->gids, self->gids[0]);

    if (uid != self->uids[0])
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: it runs as uid %llu and goprofd as uid %llu "
                        "without CAP_SYS_PTRACE: %s",
                        (int)pid, (unsigned long long)uid,
                        (unsigned long long)self->uids[0], cure);
    else if (gid != self->gids[0])
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: it runs as gid %llu and goprofd as gid %llu "
                        "without CAP_SYS_PTRACE: run both with the same group, or %s",
                        (int)pid, (unsigned long long)gid,
                        (unsigned long long)self->gids[0], cap_cure);
    else if (seems_not_dumpable(fs, pid, target->uids[1]))
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: it is not dumpable (setuid, file "
                        "capabilities or an unreadable executable): %s",
                        (int)pid, cap_cure);
    else if ((target->permitted & ~self->permitted) != 0)
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: it holds capabilities that goprofd does "
                        "not: %s",
                        (int)pid, cap_cure);
    else if (scope > 0)
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: Yama ptrace_scope is %llu and goprofd has "
                        "no CAP_SYS_PTRACE: %s%s",
                        (int)pid, (unsigned long long)scope, cap_cure,
                        scope == 1 ? ", or set kernel.yama.ptrace_scope=0" : "");
    else if (strcmp(self->user_namespace, target->user_namespace) != 0)
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: it lives in another user namespace: run "
                        "goprofd there, or as root of the host",
                        (int)pid);
    else
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied although user and groups match: %s%s",
                        (int)pid,
                        self->seccomp_mode == 2 ? "a seccomp filter is active: allow "
                                                  "process_vm_readv in it, or "
                                                : "a security module may forbid it: ",
                        cap_cure);
}

/* With CAP_SYS_PTRACE in our own user namespace. */
static void explain_privileged(const struct procfs *fs, pid_t pid, const struct credentials *self,
                               const struct credentials *target, struct error *err)
{
    if (self->user_namespace[0] != '\0' &&
        strcmp(self->user_namespace, target->user_namespace) != 0)
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: it lives in another user namespace, where "
                        "goprofd's CAP_SYS_PTRACE does not reach: run goprofd as root of the host",
                        (int)pid);
    else if (yama_scope(fs) >= 3)
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: Yama ptrace_scope is 3, which forbids it to "
                        "everyone until the next boot: set kernel.yama.ptrace_scope=2 or lower and "
                        "reboot",
                        (int)pid);
    else
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied although goprofd has CAP_SYS_PTRACE: %s",
                        (int)pid,
                        self->seccomp_mode == 2
                            ? "allow process_vm_readv in the seccomp filter goprofd runs under"
                            : "allow ptrace in the security module (SELinux, AppArmor) that "
                              "confines goprofd or it");
}

/* The kernel would let us look at the process, but its file lets only others read it. */
static bool explain_closed_file(const struct procfs *fs, pid_t pid, struct error *err)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    char file[PROCFS_PATH_MAX_BYTES];

    (void)snprintf(relative, sizeof(relative), "proc/%d/exe", (int)pid);
    if (!procfs_path(fs, path, relative))
        return false;
    const ssize_t length = readlink(path, file, sizeof(file) - 1);
    if (length <= 0)
        return false;
    file[length] = '\0';
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    const int cause = errno;
    if (fd != -1)
        (void)close(fd);
    if (fd != -1 || cause != EACCES)
        return false;
    const char *name = strrchr(file, '/');
    (void)error_set(err, ERROR_DENIED,
                    "the executable of pid %d, %.40s, may not be read by uid %ld: allow it (chmod "
                    "a+r), or setcap cap_sys_ptrace,cap_dac_read_search+ep on goprofd",
                    (int)pid, name == NULL ? file : name + 1, (long)geteuid());
    return true;
}

void procfs_explain_denied(const struct procfs *fs, pid_t pid, struct error *err)
{
    struct credentials self;
    struct credentials target;
    char who[16];
    if (explain_closed_file(fs, pid, err))
        return;
    (void)snprintf(who, sizeof(who), "%d", (int)pid);

    const int failed = read_credentials(fs, who, &target);
    if (failed != 0) {
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied: its /proc entry is hidden or gone (%s): "
                        "remount /proc without hidepid, or run goprofd as root",
                        (int)pid, error_errno_text(failed));
        return;
    }
    if (read_credentials(fs, "self", &self) != 0) {
        (void)error_set(err, ERROR_DENIED,
                        "read memory of pid %d denied, and /proc/self/status cannot be read to say "
                        "why: mount /proc",
                        (int)pid);
        return;
    }
    if ((self.effective >> CAPABILITY_SYS_PTRACE & 1) != 0)
        explain_privileged(fs, pid, &self, &target, err);
    else
        explain_unprivileged(fs, pid, &self, &target, err);
}
