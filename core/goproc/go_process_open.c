/* go_process_open.c - opens a process or a core file, and closes it.
 *
 * Called by the sampler thread and by the one-shot commands.  Order at open: identity and /proc/PID/mem,
 * the image that holds Go, its runtime (go_process_runtime.c), what is only shown.  What happens to the
 * process meanwhile is told from what is wrong with its program. */
#include "core/goproc/go_process_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/goproc/buckets.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/core_file.h"
#include "core/goproc/core_program.h"
#include "core/goproc/heap_stats.h"
#include "core/goproc/image_copy.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/plugins.h"
#include "core/goproc/profile_depth.h"
#include "core/store/site.h"

enum { OPEN_TRIES = 4 };

static bool set_denied(const struct go_process *process, struct error *err)
{
    procfs_explain_denied(&process->fs, process->pid, err);
    return false;
}

/* CAP_SYS_PTRACE lets us read memory, but without being root not open that file. */
static bool open_without_mem(struct go_process *process, struct error *err)
{
    char byte;
    if (!image_mark_read(&process->fs, process->pid, &process->mark) ||
        !memory_open_process(&process->memory, process->pid, err) ||
        !memory_read(&process->memory, process->mark.code, &byte, 1, err))
        return set_denied(process, err);
    return true;
}

static bool open_identity(struct go_process *process, struct error *err)
{
    char relative[64];
    char path[PROCFS_PATH_MAX_BYTES];
    struct procfs_identity again;

    if (!procfs_identity_read(&process->fs, process->pid, &process->identity, err))
        return false;
    /* Children of a fork before exec and zombies are caught by what follows. */
    process->exit_fd = (int)syscall(SYS_pidfd_open, process->pid, 0);
    if (process->exit_fd == -1 && errno == ESRCH)
        return error_set(err, ERROR_GONE, "process %d has exited", (int)process->pid);
    snprintf(relative, sizeof(relative), "proc/%d/mem", (int)process->pid);
    if (!procfs_path(&process->fs, path, relative))
        return error_set(err, ERROR_LIMIT, "the path of /proc/%d/mem is too long",
                         (int)process->pid);
    process->mem_fd = open(path, O_RDONLY | O_CLOEXEC);
    if (process->mem_fd == -1) {
        if (errno == EACCES || errno == EPERM)
            return open_without_mem(process, err);
        return procfs_pid_error(&process->fs, process->pid, "mem", errno, err);
    }
    if (!procfs_identity_read(&process->fs, process->pid, &again, err))
        return false;
    if (again.start_ticks != process->identity.start_ticks)
        return error_set(err, ERROR_GONE, "pid %d now names another process", (int)process->pid);
    return memory_open_process(&process->memory, process->pid, err);
}

/* Which file holds Go: the executable, another one that is mapped, or none, if it was unpacked in memory. */
static bool find_image(struct go_process *process, const struct procfs_maps *maps,
                       struct error *err)
{
    struct error cause;

    if (go_program_open_mapped(&process->fs, process->pid, maps, &process->program, process->image,
                               &cause))
        return true;
    int fd = cause.code == ERROR_UNSUPPORTED
                 ? image_copy_open(&process->memory, maps, &process->unpacked_at, NULL)
                 : -1;
    process->image[0] = '\0';
    return (fd != -1 && go_program_open_fd(fd, &process->program, NULL)) ||
           error_set(err, cause.code, "%s", cause.message);
}

static bool open_plugins(struct go_process *process, struct error *err)
{
    process->plugins = plugins_new(&process->fs, process->pid, &process->memory, process->layout,
                                   process->module.address, process->functions);
    if (process->plugins == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)process->pid);
    (void)plugins_take_new(process->plugins); /* their files are among the mappings already */
    return true;
}

static bool open_image(struct go_process *process, struct error *err)
{
    struct procfs_maps maps = {0};

    if (!procfs_maps_read(&process->fs, process->pid, &maps, err))
        return false;
    const bool ok = find_image(process, &maps, err) &&
                    procfs_exe_read(&process->fs, process->pid, process->exe, err) &&
                    go_process_open_runtime(process, &maps, err) &&
                    (process->unpacked_at == 0 ||
                     image_copy_is_whole(process->program.elf, process->unpacked_at,
                                         &process->memory, err));
    if (ok)
        other_runtimes_look(&process->others, &process->fs, process->pid, &maps, process->image,
                            clock_monotonic_ns());
    procfs_maps_release(&maps);
    return ok && open_plugins(process, err);
}

/* What is only shown: none of it keeps a process from being read. */
static bool open_facts(struct go_process *process, struct error *err)
{
    buffer_init(&process->cmdline, PROCFS_CMDLINE_MAX_BYTES);
    if (!procfs_cmdline_read(&process->fs, process->pid, &process->cmdline, NULL))
        buffer_release(&process->cmdline);
    if (!procfs_cgroup_read(&process->fs, process->pid, process->cgroup, process->container_id,
                            NULL))
        process->cgroup[0] = process->container_id[0] = '\0';
    process->profile_depth = profile_depth_read(&process->fs, process->pid, process->layout);
    pod_read(&process->fs, process->pid, process->cgroup, &process->pod);
    process->command = malloc(process->cmdline.length + 1);
    if (process->command == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)process->pid);
    size_t length = process->cmdline.length;
    if (length > 0)
        memcpy(process->command, process->cmdline.data, length);
    for (size_t i = 0; i < length; i++)
        if (process->command[i] == '\0')
            process->command[i] = ' ';
    while (length > 0 && process->command[length - 1] == ' ')
        length--;
    process->command[length] = '\0';
    return true;
}

/* What did not fit in a process that was just coming to its end says nothing about its program. */
static void tell_if_gone(const struct go_process *process, struct error *cause)
{
    struct pollfd poll_exit = {.fd = process->exit_fd, .events = POLLIN};
    if (process->exit_fd != -1 && poll(&poll_exit, 1, 0) > 0)
        error_set(cause, ERROR_GONE, "process %d has exited", (int)process->pid);
}

/* Whether the address space that was opened is no more, by exec or by an exit that is not complete: reading
 * then finds its end, and not a page that is missing. */
static bool has_lost_its_image(const struct go_process *process)
{
    char byte;
    return process->mem_fd != -1 && pread(process->mem_fd, &byte, 1, 0) == 0;
}

static struct go_process *open_once(const struct procfs *fs, pid_t pid, bool *again,
                                    struct error *err)
{
    struct error cause = {0};
    struct go_process *process = calloc(1, sizeof(*process));

    *again = false;
    if (process == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory to open pid %d", (int)pid);
        return NULL;
    }
    process->fs = *fs;
    process->pid = pid;
    process->exit_fd = process->mem_fd = -1;
    buffer_init(&process->cmdline, PROCFS_CMDLINE_MAX_BYTES);
    if (open_identity(process, &cause) && open_image(process, &cause) &&
        open_facts(process, &cause) && go_process_is_alive(process, &cause))
        return process;

    if (cause.code == ERROR_DENIED && process->memory.source_ != NULL)
        set_denied(process, &cause);
    tell_if_gone(process, &cause);
    error_set(err, cause.code, "%s", cause.message);
    *again = has_lost_its_image(process);
    go_process_close(process);
    return NULL;
}

struct go_process *go_process_open(const struct procfs *fs, pid_t pid, struct error *err)
{
    struct go_process *process = NULL;
    bool again = true;

    /* What is half of one program and half of the next fits nowhere: it calls exec just now. */
    for (int tries = 0; process == NULL && again && tries < OPEN_TRIES; tries++)
        process = open_once(fs, pid, &again, err);
    if (process == NULL && again)
        error_set(err, ERROR_GONE, "process %d calls exec, or comes to its end, whenever it is looked at",
                  (int)pid);
    return process;
}

static bool open_core(struct go_process *process, const char *path, const char *exe,
                      struct error *err)
{
    struct procfs_maps maps = {0};

    process->core = core_file_open(path, err);
    if (process->core == NULL || !core_file_maps(process->core, &maps, err))
        return false;
    /* When it started is not in the core; the profile is as old as the file. */
    process->identity.start_realtime_ns = core_file_written_realtime_ns(process->core);
    core_file_memory(process->core, &process->memory);
    const bool ok = core_program_open(process->core, exe, &maps, &process->program, process->image,
                                      err) &&
                    go_process_open_runtime(process, &maps, err) &&
                    (process->unpacked_at == 0 ||
                     image_copy_is_whole(process->program.elf, process->unpacked_at,
                                         &process->memory, err));
    process->has_unread_plugins =
        ok && plugins_are_there(&process->memory, process->layout, process->module.address);
    procfs_maps_release(&maps);
    return ok;
}

struct go_process *go_process_open_core(const char *path, const char *exe, struct error *err)
{
    struct go_process *process = calloc(1, sizeof(*process));

    if (process == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory to open %.100s", path);
        return NULL;
    }
    process->fs = (struct procfs){.root = ""};
    process->exit_fd = process->mem_fd = -1;
    buffer_init(&process->cmdline, PROCFS_CMDLINE_MAX_BYTES);
    if (open_core(process, path, exe, err))
        return process;
    const uint64_t missing = process->core == NULL ? 0 : core_file_missing_bytes(process->core);
    if (missing > 0) /* else one would look for the cause in the program */
        error_wrap(err, "the core is truncated, %llu bytes are missing", (unsigned long long)missing);
    go_process_close(process);
    return NULL;
}

void go_process_close(struct go_process *process)
{
    if (process == NULL)
        return;
    buckets_free(process->buckets);
    heap_stats_free(process->stats);
    call_stacks_free(process->stacks);
    site_table_unref(process->sites);
    pclntab_free(process->functions);
    plugins_free(process->plugins);
    memory_close(&process->memory);
    core_file_close(process->core);
    go_program_close(&process->program);
    if (process->mem_fd != -1)
        close(process->mem_fd);
    if (process->exit_fd != -1)
        close(process->exit_fd);
    buffer_release(&process->cmdline);
    free(process->command);
    free(process);
}

bool go_process_probe(const struct procfs *fs, pid_t pid, char go_version[64], struct error *err)
{
    struct go_program program;

    go_version[0] = '\0';
    if (!go_program_open(fs, pid, &program, err))
        return false;
    size_t length = strlen(program.info.go_version);
    if (length > 63)
        length = 63;
    memcpy(go_version, program.info.go_version, length);
    go_version[length] = '\0';
    go_program_close(&program);
    return true;
}
