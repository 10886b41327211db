/* process_usage.c - what the kernel counts for one process, read each beat.
 *
 * smaps_rollup would know more but walks every page table of the target under its lock. */
#include "core/goproc/process_usage.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_cgroup.h"
#include "core/goproc/procfs_file.h"
#include "core/store/fields.h"

#define GROUP_CHECK_FIRST_NS (1 * CLOCK_NS_PER_S)
#define GROUP_CHECK_LAST_NS (10 * CLOCK_NS_PER_S)

struct process_usage {
    struct usage_context *context;
    pid_t pid;
    uint64_t start_ticks;
    struct kept_file stat;
    struct kept_file status;
    struct cgroup *group;  /* NULL: none that can be seen */
    char *membership;      /* what /proc/PID/cgroup said when [group] was looked up */
    uint64_t group_number; /* rises with each change of [group] */
    bool group_told;       /* [group] has told its use */
    uint64_t group_check_at_ns;
    uint64_t group_check_pause_ns;
};

void usage_context_init(struct usage_context *context, const struct procfs *fs)
{
    context->fs = fs;
    kept_files_init(&context->files);
    cgroup_table_init(&context->cgroups, fs, &context->files);
    buffer_init(&context->text_, PROCFS_STATUS_MAX_BYTES);
}

void usage_context_release(struct usage_context *context)
{
    cgroup_table_release(&context->cgroups);
    buffer_release(&context->text_);
}

struct process_usage *process_usage_open(struct usage_context *context, pid_t pid,
                                         uint64_t start_ticks)
{
    struct process_usage *usage = calloc(1, sizeof(*usage));
    if (usage == NULL)
        return NULL;
    usage->context = context;
    usage->pid = pid;
    usage->start_ticks = start_ticks;
    usage->stat = usage->status = KEPT_FILE_CLOSED;
    return usage;
}

void process_usage_close(struct process_usage *usage)
{
    if (usage == NULL)
        return;
    kept_file_close(&usage->stat, &usage->context->files);
    kept_file_close(&usage->status, &usage->context->files);
    cgroup_put(&usage->context->cgroups, usage->group);
    free(usage->membership);
    free(usage);
}

/* ---- /proc/PID ---- */

static bool load(struct process_usage *usage, struct kept_file *file, const char *name,
                 struct error *err)
{
    struct usage_context *context = usage->context;
    char relative[48];
    (void)snprintf(relative, sizeof(relative), "proc/%d/%s", (int)usage->pid, name);
    const int failed =
        kept_file_load(file, &context->files, context->fs, relative, &context->text_);
    return failed == 0 || procfs_pid_error(context->fs, usage->pid, name, failed, err);
}

static bool read_stat(struct process_usage *usage, struct snapshot_values *values,
                      struct error *err)
{
    struct procfs_stat stat;
    if (!load(usage, &usage->stat, "stat", err))
        return false;
    if (!procfs_stat_parse(usage->context->text_.data, &stat, err))
        return error_wrap(err, "pid %d", (int)usage->pid);
    if (stat.start_ticks != usage->start_ticks)
        return error_set(err, ERROR_GONE, "pid %d now names another process", (int)usage->pid);
    if (stat.state == 'Z' || stat.state == 'X')
        return procfs_explain_ended(usage->context->fs, usage->pid, &stat, err);
    SNAPSHOT_SET(values, threads, stat.threads);
    SNAPSHOT_SET(values, cpu_ns, procfs_ticks_to_ns(stat.user_ticks + stat.system_ticks));
    return true;
}

/* Takes "VmRSS:     1752 kB" as bytes; the end of its line, where the next key is looked for. */
static const char *take_bytes(const char *status, const char *key, bool *known, uint64_t *bytes)
{
    uint64_t kibibytes = 0;
    const char *line = procfs_line(status, key);
    *known = line != NULL && procfs_line_u64(line, "", &kibibytes) &&
             !__builtin_mul_overflow(kibibytes, (uint64_t)1024, bytes);
    return line != NULL ? line : status;
}

static void fill_from_status(const char *status, struct snapshot_values *values)
{
    bool known;
    uint64_t bytes = 0;
    const char *at = status;
    /* In the order of the file, since each search begins where the last one ended. */
#define TAKE(key, field)                                                                           \
    at = take_bytes(at, key, &known, &bytes);                                                      \
    if (known)                                                                                     \
    SNAPSHOT_SET(values, field, bytes)
    TAKE("VmSize:", virtual_bytes);
    TAKE("VmRSS:", rss_bytes);
    TAKE("RssAnon:", rss_anon_bytes); /* these three since Linux 4.5 */
    TAKE("RssFile:", rss_file_bytes);
    TAKE("RssShmem:", rss_shmem_bytes);
    TAKE("VmSwap:", swap_bytes);
#undef TAKE
}

/* ---- its cgroup ---- */

static void set_group(struct process_usage *usage, struct cgroup *group)
{
    cgroup_put(&usage->context->cgroups, usage->group);
    usage->group = group;
    usage->group_number++;
    usage->group_told = false;
}

/* Asks which group it is in.  What cannot be read now is asked again. */
static void check_group(struct process_usage *usage)
{
    struct usage_context *context = usage->context;
    struct kept_file once = KEPT_FILE_CLOSED;
    struct cgroup_place place;

    if (!load(usage, &once, "cgroup", NULL)) {
        free(usage->membership);
        usage->membership = NULL;
        set_group(usage, NULL);
        return;
    }
    kept_file_close(&once, &context->files);
    if (usage->group != NULL && usage->membership != NULL &&
        strcmp(usage->membership, context->text_.data) == 0)
        return;
    free(usage->membership);
    usage->membership = strdup(context->text_.data); /* NULL: asked again */
    set_group(usage, procfs_cgroup_locate(context->fs, context->text_.data, &place)
                         ? cgroup_get(&context->cgroups, &place)
                         : NULL);
}

static void plan_group_check(struct process_usage *usage, uint64_t now_ns)
{
    uint64_t *pause_ns = &usage->group_check_pause_ns;
    *pause_ns = *pause_ns == 0 ? GROUP_CHECK_FIRST_NS : *pause_ns * 2;
    if (*pause_ns > GROUP_CHECK_LAST_NS)
        *pause_ns = GROUP_CHECK_LAST_NS;
    usage->group_check_at_ns = now_ns + *pause_ns;
}

static void read_group(struct process_usage *usage, uint64_t now_ns,
                       struct snapshot_values *values)
{
    struct cgroup_table *cgroups = &usage->context->cgroups;
    if (now_ns >= usage->group_check_at_ns) {
        check_group(usage);
        plan_group_check(usage, now_ns);
    }
    if (usage->group == NULL)
        return;
    cgroup_fill(cgroups, usage->group, values);
    const bool tells = SNAPSHOT_HAS(values, cgroup_memory_current_bytes);
    if (usage->group_told && !tells) /* the group is gone: it must be in another one */
        usage->group_check_at_ns = 0;
    usage->group_told = tells;
}

bool process_usage_read(struct process_usage *usage, uint64_t now_monotonic_ns,
                        struct snapshot_values *values, struct error *err)
{
    if (!read_stat(usage, values, err) || !load(usage, &usage->status, "status", err))
        return false;
    fill_from_status(usage->context->text_.data, values);
    read_group(usage, now_monotonic_ns, values);
    return true;
}

bool process_usage_oom_kills(struct process_usage *usage, bool ask_now, uint64_t *group,
                             uint64_t *kills)
{
    *group = usage->group_number;
    return usage->group != NULL &&
           cgroup_oom_kills(&usage->context->cgroups, usage->group, ask_now, kills);
}

unsigned process_usage_fill_percent(struct process_usage *usage)
{
    return usage->group == NULL
               ? 0
               : cgroup_fill_percent(&usage->context->cgroups, usage->group);
}

/* ---- once, without anything kept ---- */

bool procfs_usage_read(const struct procfs *fs, pid_t pid, struct snapshot_values *values,
                       struct error *err)
{
    uint64_t start_ticks;
    if (!procfs_start_ticks_read(fs, pid, &start_ticks, err))
        return false;
    struct usage_context context;
    usage_context_init(&context, fs);
    struct process_usage *usage = process_usage_open(&context, pid, start_ticks);
    const bool ok = usage != NULL
                        ? process_usage_read(usage, 0, values, err)
                        : error_set(err, ERROR_NO_MEMORY, "no memory to read pid %d", (int)pid);
    process_usage_close(usage);
    usage_context_release(&context);
    return ok;
}
