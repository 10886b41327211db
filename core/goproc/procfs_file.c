/* procfs_file.c - reading small kernel files under a root. */
#include "core/goproc/procfs_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { READ_STEP_BYTES = 4096 };

bool procfs_path(const struct procfs *fs, char out[PROCFS_PATH_MAX_BYTES], const char *relative)
{
    const char *root = fs->root == NULL || strcmp(fs->root, "/") == 0 ? "" : fs->root;
    const int length = snprintf(out, PROCFS_PATH_MAX_BYTES, "%s/%s", root, relative);
    return length > 0 && length < PROCFS_PATH_MAX_BYTES;
}

static int read_all(int fd, struct buffer *out)
{
    for (;;) {
        size_t step = out->max_bytes - out->length;
        if (step == 0) {
            char probe = 0;
            const ssize_t n = read(fd, &probe, 1);
            return n == 0 ? 0 : EFBIG;
        }
        if (step > READ_STEP_BYTES)
            step = READ_STEP_BYTES;
        char *room = buffer_reserve(out, step);
        if (room == NULL)
            return ENOMEM;
        const ssize_t n = read(fd, room, step);
        if (n == 0)
            return 0;
        if (n > 0)
            out->length += (size_t)n;
        else if (errno != EINTR)
            return errno;
    }
}

int procfs_load(const struct procfs *fs, const char *relative, struct buffer *out)
{
    char path[PROCFS_PATH_MAX_BYTES];
    if (!procfs_path(fs, path, relative))
        return ENAMETOOLONG;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd == -1)
        return errno;
    int failed = read_all(fd, out);
    (void)close(fd);
    if (buffer_text(out) == NULL)
        failed = ENOMEM;
    return failed;
}

/* What the kernel shows of a process hangs on its first thread, which may end before the others. */
bool procfs_explain_ended(const struct procfs *fs, pid_t pid, const struct procfs_stat *stat,
                          struct error *err)
{
    const pid_t thread = stat->threads > 1 ? procfs_living_thread(fs, pid) : 0;
    if (thread != 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "the first thread of pid %d has ended (pthread_exit in main), and /proc/%d "
                         "shows no memory without it: ask for another of its threads, such as %d",
                         (int)pid, (int)pid, (int)thread);
    return error_set(err, ERROR_GONE,
                     stat->threads > 1 ? "pid %d is ending" : "pid %d has exited and waits for its parent",
                     (int)pid);
}

static bool set_missing(const struct procfs *fs, pid_t pid, struct error *err)
{
    struct procfs_stat stat = {0};
    struct buffer text;
    char relative[48];

    if (!procfs_is_mounted(fs))
        return error_set(err, ERROR_SYSTEM,
                         "pid %d: nothing is mounted at /proc: mount -t proc proc /proc", (int)pid);
    if (procfs_is_hidden(fs, pid))
        return error_set(err, ERROR_DENIED,
                         "pid %d is hidden from goprofd: /proc is mounted with hidepid: remount "
                         "it without, or run goprofd as the same user or with CAP_SYS_PTRACE",
                         (int)pid);
    (void)snprintf(relative, sizeof(relative), "proc/%d/stat", (int)pid);
    buffer_init(&text, READ_STEP_BYTES);
    const bool ended = procfs_load(fs, relative, &text) == 0 &&
                       procfs_stat_parse(text.data, &stat, NULL) && stat.state == 'Z';
    buffer_release(&text);
    return ended ? procfs_explain_ended(fs, pid, &stat, err)
                 : error_set(err, ERROR_GONE, "pid %d: no such process", (int)pid);
}

bool procfs_pid_error(const struct procfs *fs, pid_t pid, const char *name, int errno_value,
                      struct error *err)
{
    switch (errno_value) {
    case ENOENT:
    case ESRCH:
        return set_missing(fs, pid, err);
    case EACCES:
    case EPERM:
        procfs_explain_denied(fs, pid, err);
        return false;
    case ENOMEM:
        return error_set(err, ERROR_NO_MEMORY, "read /proc/%d/%s: no memory", (int)pid, name);
    case EFBIG:
        return error_set(err, ERROR_LIMIT, "/proc/%d/%s is larger than goprofd accepts", (int)pid,
                         name);
    default:
        return error_set(err, ERROR_SYSTEM, "read /proc/%d/%s: %s", (int)pid, name,
                         error_errno_text(errno_value));
    }
}

bool procfs_load_pid(const struct procfs *fs, pid_t pid, const char *name, struct buffer *out,
                     struct error *err)
{
    char relative[96];
    (void)snprintf(relative, sizeof(relative), "proc/%d/%s", (int)pid, name);
    const int failed = procfs_load(fs, relative, out);
    return failed == 0 || procfs_pid_error(fs, pid, name, failed, err);
}

const char *procfs_line(const char *text, const char *key)
{
    const size_t key_length = strlen(key);
    for (const char *line = text; *line != '\0';) {
        if (strncmp(line, key, key_length) == 0) {
            const char *value = line + key_length;
            return value + strspn(value, " \t");
        }
        const char *end = strchr(line, '\n');
        if (end == NULL)
            break;
        line = end + 1;
    }
    return NULL;
}

bool procfs_line_u64(const char *text, const char *key, uint64_t *value)
{
    const char *digits = procfs_line(text, key);
    if (digits == NULL || *digits < '0' || *digits > '9')
        return false;
    errno = 0;
    const unsigned long long number = strtoull(digits, NULL, 10);
    if (errno != 0)
        return false;
    *value = number;
    return true;
}

uint64_t procfs_ticks_to_ns(uint64_t ticks)
{
    const long per_second = sysconf(_SC_CLK_TCK);
    const uint64_t ns_per_tick = UINT64_C(1000000000) / (uint64_t)(per_second > 0 ? per_second : 100);
    return ticks > UINT64_MAX / ns_per_tick ? UINT64_MAX : ticks * ns_per_tick;
}

/* ---- proc/PID/stat ---- */

/* Field numbers of proc(5), counted from 1. */
enum { STAT_STATE = 3, STAT_FLAGS = 9, STAT_UTIME = 14, STAT_STIME = 15, STAT_THREADS = 20, STAT_START_TIME = 22 };

static bool stat_number(const char *digits, unsigned field, uint64_t *value, struct error *err)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long number = strtoull(digits, &end, 10);
    if (*digits < '0' || *digits > '9' || errno != 0 || (*end != ' ' && *end != '\n' && *end != '\0'))
        return error_set(err, ERROR_CORRUPT, "stat: field %u is not a number", field);
    *value = number;
    return true;
}

static bool stat_field(const char *cursor, unsigned field, struct procfs_stat *stat,
                       struct error *err)
{
    switch (field) {
    case STAT_STATE:
        stat->state = *cursor;
        return true;
    case STAT_FLAGS:
        return stat_number(cursor, field, &stat->flags, err);
    case STAT_UTIME:
        return stat_number(cursor, field, &stat->user_ticks, err);
    case STAT_STIME:
        return stat_number(cursor, field, &stat->system_ticks, err);
    case STAT_THREADS:
        return stat_number(cursor, field, &stat->threads, err);
    case STAT_START_TIME:
        return stat_number(cursor, field, &stat->start_ticks, err);
    default:
        return true;
    }
}

bool procfs_stat_parse(const char *line, struct procfs_stat *stat, struct error *err)
{
    *stat = (struct procfs_stat){.state = '?'};

    /* The target names itself: field 2 is its comm in parentheses and may hold spaces,
     * newlines and further parentheses.  Only the first '(' and the last ')' cannot be forged. */
    const char *open = strchr(line, '(');
    const char *close = strrchr(line, ')');
    if (open == NULL || close == NULL || close < open)
        return error_set(err, ERROR_CORRUPT, "stat: no ')' after the command name");
    size_t comm_length = (size_t)(close - open) - 1;
    if (comm_length >= sizeof(stat->comm))
        comm_length = sizeof(stat->comm) - 1;
    memcpy(stat->comm, open + 1, comm_length);

    const char *cursor = close + 1;
    for (unsigned field = STAT_STATE; field <= STAT_START_TIME; field++) {
        cursor += strspn(cursor, " ");
        if (*cursor == '\0' || *cursor == '\n')
            return error_set(err, ERROR_CORRUPT, "stat: ends before field %u of %d", field,
                             STAT_START_TIME);
        if (!stat_field(cursor, field, stat, err))
            return false;
        cursor += strcspn(cursor, " \n");
    }
    return true;
}
