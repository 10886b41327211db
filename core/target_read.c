/* target_read.c - one beat of a target: read the process, seal a snapshot, update the state.
 *
 * Called by the sampler's thread, each interval. */
#include "core/target_parts.h"

#include "core/base/clock.h"
#include "core/goproc/go_process.h"
#include "core/goproc/process_usage.h"
#include "core/goproc/procfs.h"
#include "core/memory_watch.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

/* Of the limit of a cgroup around the process. */
enum { SHORT_OF_MEMORY_PERCENT = 90 };

static bool same_process_still(struct target *target, struct error *err)
{
    struct procfs_identity identity;
    if (!procfs_identity_read(target->context->procfs, target->pid, &identity, err))
        return false;
    if (identity.start_ticks != target->start_ticks)
        return error_set(err, ERROR_GONE, "pid %d now names another process", (int)target->pid);
    if (identity.state == 'Z' || identity.state == 'X')
        return error_set(err, ERROR_GONE, "process %d exited", (int)target->pid);
    return true;
}

void target_take_profile(struct target *target, const struct profile *profile)
{
    target->profile_generation = target->generation;
    if (profile == target->profile) {
        profile_unref(profile); /* still the one of last time: one hold is enough */
        return;
    }
    profile_unref(target->profile);
    tops_unref(target->tops);
    target->profile = profile;
    target->tops = profile == NULL ? NULL : tops_new(profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
}

void target_fill_profile_values(struct snapshot_values *values, const struct profile *profile)
{
    SNAPSHOT_SET(values, profile_sites, profile->entry_count);
    SNAPSHOT_SET(values, profile_inuse_bytes, (uint64_t)profile->totals.inuse_bytes);
    SNAPSHOT_SET(values, profile_inuse_objects, (uint64_t)profile->totals.inuse_objects);
    SNAPSHOT_SET(values, profile_alloc_bytes, (uint64_t)profile->totals.alloc_bytes);
    SNAPSHOT_SET(values, profile_alloc_objects, (uint64_t)profile->totals.alloc_objects);
}

/* What its memory consists of and how far its limits are. */
static void watch_memory(struct target *target, struct snapshot *building)
{
    if (target->memory == NULL)
        target->memory = memory_watch_new(target->context->look_budget);
    if (target->memory != NULL) /* else without it, until there is memory */
        memory_watch_fill(target->memory, target->context->procfs, target->pid, target->process,
                          building);
}

static void publish_snapshot(struct target *target, struct snapshot *building)
{
    watch_memory(target, building);
    building->sequence = ++target->sequence;
    building->generation = target->generation;
    target_watch_oom_kills(target, false, building->monotonic_ns);
    building->tops = target->tops == NULL ? NULL : tops_ref(target->tops);
    snapshot_unref(target->snapshot);
    target->snapshot = snapshot_seal(building);
}

static void count_read(struct board_counters *counters, const struct snapshot_values *values,
                       bool ok)
{
    atomic_fetch_add_explicit(&counters->reads, 1, memory_order_relaxed);
    if (!ok)
        atomic_fetch_add_explicit(&counters->reads_failed, 1, memory_order_relaxed);
    if (SNAPSHOT_HAS(values, read_bytes))
        atomic_fetch_add_explicit(&counters->read_bytes, values->read_bytes, memory_order_relaxed);
    if (SNAPSHOT_HAS(values, read_retries))
        atomic_fetch_add_explicit(&counters->read_retries, values->read_retries,
                                  memory_order_relaxed);
}

/* Whether the process has given up its memory but not yet come to its end: a large one takes a while, and
 * then it has no executable any more, which a process after exec() has. */
static bool is_ending(const struct target *target)
{
    char exe[PROCFS_PATH_MAX_BYTES];
    struct procfs_identity identity;
    struct error err;
    return !procfs_exe_read(target->context->procfs, target->pid, exe, &err) &&
           err.code == ERROR_UNSUPPORTED &&
           procfs_identity_read(target->context->procfs, target->pid, &identity, &err) &&
           identity.start_ticks == target->start_ticks && identity.state != 'Z' &&
           identity.state != 'X';
}

/* What the kernel tells. */
static bool read_usage(struct target *target, struct snapshot *building, struct error *err)
{
    if (target->usage == NULL)
        target->usage =
            process_usage_open(target->context->usage, target->pid, target->start_ticks);
    if (target->usage == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to read pid %d", (int)target->pid);
    const bool ok =
        process_usage_read(target->usage, building->monotonic_ns, &building->values, err);
    target->short_of_memory =
        ok && process_usage_fill_percent(target->usage) >= SHORT_OF_MEMORY_PERCENT;
    return ok;
}

bool target_is_short_of_memory(const struct target *target)
{
    return target->short_of_memory && target->process != NULL;
}

static void read_go(struct target *target, struct snapshot *building, uint64_t now_monotonic_ns)
{
    struct error err = {.code = ERROR_NONE};
    const struct profile *profile = NULL;
    site_table_begin_read(
        go_process_sites(target->process), building->realtime_ns,
        atomic_load_explicit(&target->context->retention_window_ns, memory_order_relaxed));
    const bool ok = read_usage(target, building, &err) &&
                    go_process_read(target->process, building, &profile, &err);
    SNAPSHOT_SET(&building->values, read_duration_ns, clock_monotonic_ns() - now_monotonic_ns);
    count_read(target->context->counters, &building->values, ok);

    if (ok) {
        target_take_profile(target, profile);
        if (target->profile != NULL)
            target_fill_profile_values(&building->values, target->profile);
        const bool restricted = go_process_restriction(target->process, &err);
        target_set_state(target, TARGET_UP, restricted ? &err : NULL, now_monotonic_ns);
        publish_snapshot(target, building);
        return;
    }
    snapshot_discard(building);
    if (err.code == ERROR_BUSY)
        atomic_fetch_add_explicit(&target->context->counters->reads_given_up, 1,
                                  memory_order_relaxed);
    if (err.code == ERROR_GONE) {
        struct error check;
        if (is_ending(target))
            return; /* its pidfd, or the next beat, will say how */
        if (same_process_still(target, &check)) /* it has called exec: another program now */
            target_attach(target, target->pid, now_monotonic_ns);
        else
            target_lose_process(target, now_monotonic_ns);
        return;
    }
    target_set_state(target, err.code == ERROR_DENIED ? TARGET_DENIED : TARGET_FAILING, &err,
                     now_monotonic_ns);
}

/* What the kernel tells about a process whose Go runtime cannot be read. */
static void read_kernel_only(struct target *target, struct snapshot *building,
                             uint64_t now_monotonic_ns)
{
    struct error err;
    if (!read_usage(target, building, &err)) {
        snapshot_discard(building);
        if (err.code == ERROR_GONE || err.code == ERROR_NOT_FOUND)
            target_lose_process(target, now_monotonic_ns);
        return;
    }
    building->partial = true;
    building->partial_reason = "only what the kernel tells: the Go runtime could not be read";
    SNAPSHOT_SET(&building->values, read_duration_ns, clock_monotonic_ns() - now_monotonic_ns);
    publish_snapshot(target, building);
}

void target_read(struct target *target, uint64_t now_monotonic_ns)
{
    if (target->scraped != NULL) {
        target_read_scraped(target, now_monotonic_ns);
        return;
    }
    if (target->pushed != NULL) {
        target_read_pushed(target, now_monotonic_ns);
        return;
    }
    if (target->pid == 0)
        return;
    if (target->process == NULL && now_monotonic_ns >= target->retry_at_ns)
        target_open_process(target, now_monotonic_ns);

    struct snapshot *building = snapshot_begin(clock_realtime_ns(), now_monotonic_ns);
    if (building == NULL) {
        struct error err;
        (void)error_set(&err, ERROR_NO_MEMORY, "no memory for a snapshot");
        target_set_state(target, TARGET_FAILING, &err, now_monotonic_ns);
        return;
    }
    if (target->process != NULL)
        read_go(target, building, now_monotonic_ns);
    else
        read_kernel_only(target, building, now_monotonic_ns);
}
