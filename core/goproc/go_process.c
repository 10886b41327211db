/* go_process.c - a process that was opened: read each interval, asked for its facts.
 *
 * Called by the sampler thread and by the one-shot commands.
 *
 * The open /proc/PID/mem belongs to one address space and reads 0 bytes once that is gone, by exit
 * or by exec; it tells what start time and executable alone cannot: exec of the same program. */
#include "core/goproc/go_process_parts.h"

#include <poll.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/goproc/buckets.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/code_mappings.h"
#include "core/goproc/heap_stats.h"
#include "core/goproc/plugins.h"
#include "core/goproc/profiling_switch.h"
#include "core/goproc/stack_source.h"
#include "core/goproc/symbol_checks.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

static bool same_image(const struct go_process *process, struct error *err)
{
    struct image_mark now;
    if (image_mark_read(&process->fs, process->pid, &now) &&
        now.start_ticks == process->mark.start_ticks && now.places == process->mark.places)
        return true;
    return error_set(err, ERROR_GONE, "process %d has exited or was replaced by exec",
                     (int)process->pid);
}

bool go_process_is_alive(const struct go_process *process, struct error *err)
{
    struct procfs_identity now;
    char byte;

    if (process->core != NULL)
        return true; /* as alive as it will ever be */
    if (process->exit_fd != -1) {
        struct pollfd poll_exit = {.fd = process->exit_fd, .events = POLLIN};
        if (poll(&poll_exit, 1, 0) > 0)
            return error_set(err, ERROR_GONE, "process %d has exited", (int)process->pid);
    } else {
        if (!procfs_identity_read(&process->fs, process->pid, &now, err))
            return false;
        if (now.start_ticks != process->identity.start_ticks)
            return error_set(err, ERROR_GONE, "pid %d now names another process",
                             (int)process->pid);
    }
    if (process->mem_fd == -1)
        return same_image(process, err);
    ssize_t got = pread(process->mem_fd, &byte, 1,
                        (off_t)process->symbols.address[SYMBOL_MPROF_CYCLE]);
    if (got != 1)
        return error_set(err, ERROR_GONE, "process %d has exited or was replaced by exec",
                         (int)process->pid);
    return true;
}

/* Facts. */

struct site_table *go_process_sites(const struct go_process *process)
{
    return process->sites;
}

void go_process_facts(const struct go_process *process, struct target_facts *facts)
{
    const struct buildinfo *info = &process->program.info;

    facts->source = SOURCE_PROCESS;
    facts->pid = process->pid;
    facts->start_ticks = process->identity.start_ticks;
    facts->start_realtime_ns = process->identity.start_realtime_ns;
    facts->exe = process->exe;
    facts->command = process->command;
    facts->go_version = process->go_version;
    facts->module_path = info->module_path[0] != '\0' ? info->module_path : info->path;
    facts->module_version = info->module_version;
    facts->vcs_revision = info->vcs_revision;
    facts->vcs_time = info->vcs_time;
    facts->vcs_modified = info->vcs_modified;
    facts->build_id = process->program.build_id[0] != '\0' ? process->program.build_id
                                                           : process->program.go_build_id;
    facts->layout = process->layout_told      ? "dwarf"
                    : process->layout_assumed ? "assumed"
                                              : "table";
    facts->container_id = process->container_id;
    facts->cgroup = process->cgroup;
    facts->pod_uid = process->pod.uid;
    facts->pod = process->pod.name;
    facts->pod_namespace = process->pod.namespace_name;
    facts->build_settings = info->settings;
    facts->build_setting_count = info->setting_count;
    facts->dependencies = info->dependencies;
    facts->dependency_count = info->dependency_count;
}

bool go_process_restriction(const struct go_process *process, struct error *note)
{
    if (process->has_unread_plugins) {
        (void)error_set(note, ERROR_NONE,
                        "it has plugins, and their functions have no names when a core is read");
        return true;
    }
    return other_runtimes_tell(&process->others, note) ||
           (process->plugins != NULL && plugins_tell(process->plugins, note));
}

const char *go_process_cmdline(const struct go_process *process, size_t *length)
{
    *length = process->cmdline.length;
    return process->cmdline.data != NULL ? process->cmdline.data : "";
}

void go_process_stack_source(struct go_process *process, struct stack_source *source)
{
    *source = (struct stack_source){.memory = &process->memory,
                                    .layout = process->layout,
                                    .symbols = &process->symbols,
                                    .functions = process->functions,
                                    .stacks = process->stacks,
                                    .sites = process->sites,
                                    .clock = &process->clock,
                                    .mappings = process->mappings,
                                    .mapping_count = process->mapping_count,
                                    .profile_depth = process->profile_depth};
}

const struct core_file *go_process_core(const struct go_process *process)
{
    return process->core;
}

/* ---- the switch ---- */

static bool set_rate(struct go_process *process, int64_t from, int64_t to, bool *written,
                     struct error *err)
{
    *written = false;
    if (process->core != NULL)
        return error_set(err, ERROR_USAGE, "a core file is not written to");
    return go_process_is_alive(process, err) &&
           profiling_switch_set(&process->memory, process->pid,
                                process->symbols.address[SYMBOL_MEM_PROFILE_RATE], from, to,
                                written, err);
}

bool go_process_enable_profiling(struct go_process *process, bool *written, struct error *err)
{
    *written = false;
    return symbol_checks_run(&process->memory, process->layout, &process->module,
                             &process->symbols, err) &&
           set_rate(process, 0, PROFILING_SWITCH_RATE, written, err);
}

bool go_process_restore_profiling(struct go_process *process, bool *written, struct error *err)
{
    return set_rate(process, PROFILING_SWITCH_RATE, 0, written, err);
}

int go_process_exit_fd(const struct go_process *process)
{
    return process->exit_fd;
}

/* Reading. */

static void fill_profile_values(struct snapshot_values *values, const struct profile *profile,
                                int64_t rate)
{
    SNAPSHOT_SET(values, mem_profile_rate, (uint64_t)rate);
    SNAPSHOT_SET(values, profile_sites, profile->entry_count);
    SNAPSHOT_SET(values, profile_inuse_bytes, (uint64_t)profile->totals.inuse_bytes);
    SNAPSHOT_SET(values, profile_inuse_objects, (uint64_t)profile->totals.inuse_objects);
    SNAPSHOT_SET(values, profile_alloc_bytes, (uint64_t)profile->totals.alloc_bytes);
    SNAPSHOT_SET(values, profile_alloc_objects, (uint64_t)profile->totals.alloc_objects);
}

/* Files that were mapped later are to be told of in profiles, too; without memory for that they are not. */
static void renew_mappings(struct go_process *process)
{
    struct procfs_maps maps = {0};
    const struct mapping *mappings = NULL;
    size_t count = 0;

    if (procfs_maps_read(&process->fs, process->pid, &maps, NULL) &&
        code_mappings_build(&process->fs, process->pid, &maps, process->image,
                            process->program.build_id, process->sites, &mappings, &count, NULL)) {
        process->mappings = mappings;
        process->mapping_count = count;
        buckets_set_mappings(process->buckets, mappings, count);
    }
    procfs_maps_release(&maps);
}

static bool read_runtime(struct go_process *process, struct snapshot *building,
                         const struct profile **profile, struct error *err)
{
    struct snapshot_values *values = &building->values;
    uint64_t bytes_before = process->memory.read_bytes;
    uint64_t retries = 0;
    int64_t rate = 0;
    const size_t sites_before = buckets_count(process->buckets);

    if (process->plugins != NULL && plugins_take_new(process->plugins))
        renew_mappings(process); /* before a site is named that lies in a plugin */
    if (!heap_stats_read(process->stats, values, &retries, err) ||
        !buckets_read(process->buckets, building->realtime_ns, profile, &rate, &retries, err))
        return false;
    if (buckets_count(process->buckets) == sites_before)
        call_stacks_rest(process->stacks); /* nothing new: what finds stacks out is not needed now */
    fill_profile_values(values, *profile, rate);
    if ((*profile)->partial) {
        building->partial = true;
        building->partial_reason = (*profile)->partial_reason;
    }
    SNAPSHOT_SET(values, read_bytes, process->memory.read_bytes - bytes_before);
    SNAPSHOT_SET(values, read_retries, retries);
    return true;
}

bool go_process_read(struct go_process *process, struct snapshot *building,
                     const struct profile **profile, struct error *err)
{
    uint64_t started_ns = clock_monotonic_ns();
    struct error cause = {0};

    *profile = NULL;
    if (!go_process_is_alive(process, err))
        return false;
    bool ok = read_runtime(process, building, profile, &cause);
    /* Whatever was read counts only if it was read from this process: a failure because it is
     * going away is said to be that. */
    if (!go_process_is_alive(process, err)) {
        profile_unref(*profile);
        *profile = NULL;
        return false;
    }
    if (!ok) {
        if (cause.code == ERROR_DENIED)
            procfs_explain_denied(&process->fs, process->pid, &cause);
        return error_set(err, cause.code, "%s", cause.message);
    }
    if (process->core == NULL)
        other_runtimes_look_again(&process->others, &process->fs, process->pid, process->image,
                                  clock_monotonic_ns());
    SNAPSHOT_SET(&building->values, read_duration_ns, clock_monotonic_ns() - started_ns);
    return true;
}
