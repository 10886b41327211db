/* procfs.c - who a process is: identity, arguments, executable, and which pids there are.
 *
 * Called by go_process.c and discover.c on the sampler's thread, and by the subcommands.  Memory
 * maps are in procfs_maps.c, numbers in procfs_usage.c, cgroups in procfs_cgroup.c, and why the
 * kernel refuses in procfs_denied.c. */
#include "core/goproc/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "core/goproc/procfs_file.h"

enum { READ_STAT_MAX_BYTES = 4096, SYSTEM_STAT_MAX_BYTES = 4 << 20 };

/* ---- identity ---- */

bool procfs_parse_start_time(const char *stat_line, uint64_t *ticks, struct error *err)
{
    struct procfs_stat stat;
    if (!procfs_stat_parse(stat_line, &stat, err))
        return false;
    *ticks = stat.start_ticks;
    return true;
}

static bool read_stat(const struct procfs *fs, pid_t pid, struct procfs_stat *stat,
                      struct error *err)
{
    struct buffer text;
    buffer_init(&text, READ_STAT_MAX_BYTES);
    bool ok = procfs_load_pid(fs, pid, "stat", &text, err);
    if (ok && !procfs_stat_parse(text.data, stat, err))
        ok = error_wrap(err, "pid %d", (int)pid);
    buffer_release(&text);
    return ok;
}

bool procfs_start_ticks_read(const struct procfs *fs, pid_t pid, uint64_t *start_ticks,
                             struct error *err)
{
    struct procfs_stat stat;
    if (!read_stat(fs, pid, &stat, err))
        return false;
    *start_ticks = stat.start_ticks;
    return true;
}

/* When the machine booted, in seconds since the epoch.  The file's "intr" line grows with the
 * machine; it comes before btime, so all of it has to be read. */
static bool read_boot_time(const struct procfs *fs, uint64_t *boot_s, struct error *err)
{
    struct buffer text;
    buffer_init(&text, SYSTEM_STAT_MAX_BYTES);
    const int failed = procfs_load(fs, "proc/stat", &text);
    bool ok = failed == 0 || error_set(err, ERROR_SYSTEM, "read /proc/stat: %s",
                                       error_errno_text(failed));
    if (ok && !procfs_line_u64(text.data, "btime", boot_s))
        ok = error_set(err, ERROR_CORRUPT, "/proc/stat: no btime line");
    buffer_release(&text);
    return ok;
}

/* "Uid: real effective saved filesystem" */
static bool parse_effective_uid(const char *status, uid_t *uid)
{
    const char *real = procfs_line(status, "Uid:");
    if (real == NULL)
        return false;
    const char *effective = real + strcspn(real, "\t \n");
    char *end = NULL;
    errno = 0;
    const unsigned long number = strtoul(effective, &end, 10);
    if (end == effective || errno != 0 || number > UINT32_MAX)
        return false;
    *uid = (uid_t)number;
    return true;
}

bool procfs_identity_read(const struct procfs *fs, pid_t pid, struct procfs_identity *identity,
                          struct error *err)
{
    *identity = (struct procfs_identity){.pid = pid};

    struct procfs_stat stat;
    uint64_t boot_s = 0;
    if (!read_stat(fs, pid, &stat, err) || !read_boot_time(fs, &boot_s, err))
        return false;
    if (boot_s > UINT64_MAX / UINT64_C(1000000000) / 2)
        return error_set(err, ERROR_CORRUPT, "/proc/stat: absurd btime");
    identity->start_ticks = stat.start_ticks;
    identity->start_realtime_ns =
        boot_s * UINT64_C(1000000000) + procfs_ticks_to_ns(stat.start_ticks);
    identity->state = stat.state;
    memcpy(identity->comm, stat.comm, sizeof(identity->comm));

    struct buffer status;
    buffer_init(&status, PROCFS_STATUS_MAX_BYTES);
    bool ok = procfs_load_pid(fs, pid, "status", &status, err);
    if (ok && !parse_effective_uid(status.data, &identity->uid))
        ok = error_set(err, ERROR_CORRUPT, "/proc/%d/status: no Uid line", (int)pid);
    buffer_release(&status);
    return ok;
}

/* ---- arguments and executable ---- */

bool procfs_cmdline_read(const struct procfs *fs, pid_t pid, struct buffer *out, struct error *err)
{
    struct buffer text;
    buffer_init(&text, PROCFS_CMDLINE_MAX_BYTES);
    char relative[32];
    (void)snprintf(relative, sizeof(relative), "proc/%d/cmdline", (int)pid);
    const int failed = procfs_load(fs, relative, &text);
    if (failed != 0 && failed != EFBIG) {
        buffer_release(&text);
        return procfs_pid_error(fs, pid, "cmdline", failed, err);
    }

    /* A command line longer than we keep is cut; one that setproctitle() overwrote may lack its
     * last NUL.  Either way what we hand on ends with one. */
    const size_t room = out->max_bytes - out->length;
    size_t length = text.length;
    if (length > 0) {
        if (text.data[length - 1] == '\0')
            length--;
        if (length + 1 > room)
            length = room > 0 ? room - 1 : 0;
        buffer_append(out, text.data, length);
        buffer_append_byte(out, '\0');
    }
    buffer_release(&text);
    return !out->failed || error_set(err, ERROR_LIMIT, "pid %d: no room for its arguments",
                                     (int)pid);
}

/* A kernel thread has no executable, and neither has a process on its way out. */
static bool explain_no_exe(const struct procfs *fs, pid_t pid, struct error *err)
{
    struct procfs_stat stat;
    if (!read_stat(fs, pid, &stat, err))
        return false;
    if (stat.state == 'Z' || stat.state == 'X')
        return procfs_explain_ended(fs, pid, &stat, err);
    return error_set(err, ERROR_UNSUPPORTED, "pid %d has no executable: a kernel thread", (int)pid);
}

bool procfs_exe_read(const struct procfs *fs, pid_t pid, char out[PROCFS_PATH_MAX_BYTES],
                     struct error *err)
{
    char relative[32];
    char path[PROCFS_PATH_MAX_BYTES];
    (void)snprintf(relative, sizeof(relative), "proc/%d/exe", (int)pid);
    if (!procfs_path(fs, path, relative))
        return error_set(err, ERROR_USAGE, "root path of /proc is too long");

    const ssize_t length = readlink(path, out, PROCFS_PATH_MAX_BYTES);
    if (length == -1)
        return errno == ENOENT ? explain_no_exe(fs, pid, err)
                               : procfs_pid_error(fs, pid, "exe", errno, err);
    if (length >= PROCFS_PATH_MAX_BYTES) {
        out[0] = '\0';
        return error_set(err, ERROR_LIMIT, "/proc/%d/exe: path is longer than %d bytes", (int)pid,
                         PROCFS_PATH_MAX_BYTES - 1);
    }
    out[length] = '\0';
    return true;
}

/* ---- which pids there are ---- */

bool procfs_parse_pid(const char *name, pid_t *pid)
{
    char *end = NULL;
    if (*name < '1' || *name > '9')
        return false;
    errno = 0;
    const long number = strtol(name, &end, 10);
    if (errno != 0 || *end != '\0' || number > INT32_MAX)
        return false;
    *pid = (pid_t)number;
    return true;
}

/* Calls [visit] for the numbers that [path], a folder of /proc, lists. */
static bool each_number(const char *path, bool (*visit)(pid_t pid, void *context), void *context,
                        struct error *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return error_set(err, ERROR_SYSTEM, "open %s: %s", path, error_errno_text(errno));

    int failed = 0;
    for (;;) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) {
            failed = errno;
            break;
        }
        pid_t pid = 0;
        if (procfs_parse_pid(entry->d_name, &pid) && !visit(pid, context))
            break;
    }
    (void)closedir(dir);
    return failed == 0 || error_set(err, ERROR_SYSTEM, "list %s: %s", path,
                                    error_errno_text(failed));
}

bool procfs_each_pid(const struct procfs *fs, bool (*visit)(pid_t pid, void *context),
                     void *context, struct error *err)
{
    char path[PROCFS_PATH_MAX_BYTES];
    if (!procfs_path(fs, path, "proc"))
        return error_set(err, ERROR_USAGE, "root path of /proc is too long");
    if (!procfs_is_mounted(fs))
        return error_set(err, ERROR_SYSTEM,
                         "nothing is mounted at /proc: mount -t proc proc /proc");
    return each_number(path, visit, context, err);
}

struct thread_search {
    const struct procfs *fs;
    pid_t process;
    pid_t living;
};

/* When a process is killed its threads end one after the other, in any order, which takes as long as its memory is
 * large: those that have not come to it yet have a SIGKILL of their own pending. */
static bool is_being_killed(const struct procfs *fs, pid_t thread)
{
    char relative[48];
    struct buffer status;
    (void)snprintf(relative, sizeof(relative), "proc/%d/status", (int)thread);
    buffer_init(&status, PROCFS_STATUS_MAX_BYTES);
    const char *pending =
        procfs_load(fs, relative, &status) == 0 ? procfs_line(status.data, "SigPnd:") : NULL;
    const bool killed =
        pending != NULL && (strtoull(pending, NULL, 16) & UINT64_C(1) << (SIGKILL - 1)) != 0;
    buffer_release(&status);
    return killed;
}

static bool look_for_living(pid_t thread, void *context)
{
    enum { EXITING = 0x4 }; /* PF_EXITING */
    struct thread_search *search = context;
    struct procfs_stat stat;
    if (thread != search->process && read_stat(search->fs, thread, &stat, NULL) &&
        stat.state != 'Z' && stat.state != 'X' && (stat.flags & EXITING) == 0 &&
        !is_being_killed(search->fs, thread))
        search->living = thread;
    return search->living == 0;
}

pid_t procfs_living_thread(const struct procfs *fs, pid_t pid)
{
    char relative[32];
    char path[PROCFS_PATH_MAX_BYTES];
    struct thread_search search = {.fs = fs, .process = pid};
    struct procfs_stat stat;

    (void)snprintf(relative, sizeof(relative), "proc/%d/task", (int)pid);
    if (!read_stat(fs, pid, &stat, NULL) || stat.state != 'Z' || stat.threads < 2 ||
        !procfs_path(fs, path, relative) || !each_number(path, look_for_living, &search, NULL))
        return 0;
    return search.living;
}
