/* exit_status.c - how a process that is not our child came to its end. */
#include "core/goproc/exit_status.h"

#include <sys/ioctl.h>
#include <sys/wait.h>

#include "core/base/buffer.h"
#include "core/goproc/procfs_file.h"

enum { STAT_MAX_BYTES = 4096, STAT_FIELD_STATE = 3, STAT_FIELD_EXIT_CODE = 52 };

/* struct pidfd_info of linux/pidfd.h, first version, which the headers of most systems do not have. */
struct pidfd_info_v0 {
    uint64_t mask;
    uint64_t cgroup_id;
    uint32_t ids[11]; /* pid, tgid, ppid, and real, effective, saved and file system uid and gid */
    int32_t exit_code;
};
_Static_assert(sizeof(struct pidfd_info_v0) == 64, "PIDFD_INFO_SIZE_VER0");
#define PIDFD_INFO_EXIT_BIT (UINT64_C(1) << 3)
#define PIDFD_GET_INFO_V0 _IOWR(0xFF, 11, struct pidfd_info_v0)

/* [code] is as wait(2) hands it out. */
static struct exit_status decode(int code)
{
    if (WIFSIGNALED(code))
        return (struct exit_status){.known = true, .signal_number = WTERMSIG(code)};
    return (struct exit_status){.known = true, .code = WEXITSTATUS(code)};
}

struct exit_status exit_status_parse_stat(const char *stat_line, uint64_t start_ticks)
{
    static const struct exit_status unknown = {.known = false};
    struct procfs_stat stat;
    if (!procfs_stat_parse(stat_line, &stat, NULL) || stat.start_ticks != start_ticks ||
        (stat.state != 'Z' && stat.state != 'X'))
        return unknown;
    const char *field = strrchr(stat_line, ')'); /* it is there: the line was parsed */
    for (int i = STAT_FIELD_STATE - 1; field != NULL && i < STAT_FIELD_EXIT_CODE; i++) {
        field = strchr(field, ' ');
        field = field == NULL ? NULL : field + 1;
    }
    uint64_t code = 0;
    if (field == NULL || !procfs_line_u64(field, "", &code) || code > 0xffff)
        return unknown;
    return decode((int)code);
}

struct exit_status exit_status_read(const struct procfs *fs, pid_t pid, uint64_t start_ticks,
                                    int pidfd)
{
    struct exit_status status = {.known = false};
    char relative[32];
    struct buffer text;
    buffer_init(&text, STAT_MAX_BYTES);
    (void)snprintf(relative, sizeof(relative), "proc/%d/stat", (int)pid);
    if (procfs_load(fs, relative, &text) == 0)
        status = exit_status_parse_stat(text.data, start_ticks);
    buffer_release(&text);
    if (status.known || pidfd == -1)
        return status;

    struct pidfd_info_v0 info = {.mask = PIDFD_INFO_EXIT_BIT};
    if (ioctl(pidfd, PIDFD_GET_INFO_V0, &info) == 0 && (info.mask & PIDFD_INFO_EXIT_BIT) != 0)
        status = decode(info.exit_code);
    return status;
}

void exit_status_describe(const struct exit_status *status, char text[EXIT_STATUS_TEXT_BYTES])
{
    if (!status->known)
        (void)snprintf(text, EXIT_STATUS_TEXT_BYTES, "has exited");
    else if (status->signal_number == 0)
        (void)snprintf(text, EXIT_STATUS_TEXT_BYTES, "exited with status %d", status->code);
    else {
        const char *name = sigabbrev_np(status->signal_number);
        (void)snprintf(text, EXIT_STATUS_TEXT_BYTES, "was ended by signal %d%s%s%s",
                       status->signal_number, name == NULL ? "" : " (SIG",
                       name == NULL ? "" : name, name == NULL ? "" : ")");
    }
}
