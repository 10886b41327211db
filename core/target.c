/* target.c - one watched program, as the sampler sees it. */
#include "core/target.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/goproc/exit_status.h"
#include "core/goproc/go_process.h"
#include "core/goproc/procfs.h"
#include "core/goproc/profiling_switch.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

/* A refused or unsupported process is looked at again after 1, 2, 4, ... 60 seconds: someone may
 * have granted the capability, or it may only just have started. */
#define RETRY_FIRST_NS (1 * CLOCK_NS_PER_S)
#define RETRY_LAST_NS (60 * CLOCK_NS_PER_S)

/* The OOM killer ends a large process in seconds, not at once: between the kill and the exit a beat
 * may pass that sees the count already risen. */
#define OOM_KILL_TO_EXIT_MAX_NS (30 * CLOCK_NS_PER_S)

struct target {
    const struct target_context *context;
    char *id;
    char *name;
    bool configured;
    pid_t pid;
    uint64_t start_ticks; /* of the attached process: the pid alone can be reused */
    int exit_fd;          /* pidfd of that process, readable or not, or -1 */
    uint64_t generation;
    uint64_t opening; /* how often a process was opened */
    char oom_file[PROCFS_PATH_MAX_BYTES]; /* where its cgroup counts OOM kills, or "" */
    uint64_t oom_kills;                   /* when last looked at */
    uint64_t oom_kills_rose_at_ns;        /* 0: not since it was attached */
    uint64_t profile_generation;          /* of the process that [profile] is of */
    bool enable_profiling; /* the config says so */
    bool rate_written;     /* by us, into [process] */
    struct target_loss loss;
    bool has_loss;
    struct go_process *process; /* NULL unless it could be opened */
    enum target_state state;
    uint64_t state_since_monotonic_ns;
    uint64_t state_since_realtime_ns;
    struct error reason;
    uint64_t retry_at_ns;
    uint64_t retry_pause_ns;
    uint64_t sequence;
    const struct snapshot *snapshot; /* newest; survives the process */
    const struct profile *profile;
    const struct tops *tops; /* of [profile] */
    const struct target_info *info; /* newest; its facts about a lost process are kept */
    bool info_stale;                /* something changed since [info] was built */
};

struct target *target_new(const struct target_context *context, const char *id, const char *name,
                          bool configured)
{
    struct target *target = calloc(1, sizeof(*target));
    if (target == NULL)
        return NULL;
    target->context = context;
    target->configured = configured;
    target->exit_fd = -1;
    target->state = TARGET_WAITING;
    target->state_since_realtime_ns = clock_realtime_ns();
    target->id = strdup(id);
    target->name = strdup(name);
    if (target->id == NULL || target->name == NULL) {
        target_free(target);
        return NULL;
    }
    return target;
}

static void detach(struct target *target);

void target_free(struct target *target)
{
    if (target == NULL)
        return;
    detach(target);
    if (target->has_loss)
        target_loss_release(&target->loss);
    snapshot_unref(target->snapshot);
    profile_unref(target->profile);
    tops_unref(target->tops);
    target_info_unref(target->info);
    free(target->id);
    free(target->name);
    free(target);
}

const char *target_id(const struct target *target)
{
    return target->id;
}

const char *target_name(const struct target *target)
{
    return target->name;
}

bool target_is_configured(const struct target *target)
{
    return target->configured;
}

enum target_state target_get_state(const struct target *target)
{
    return target->state;
}

pid_t target_pid(const struct target *target)
{
    return target->pid;
}

uint64_t target_state_since_ns(const struct target *target)
{
    return target->state_since_monotonic_ns;
}


static void set_state(struct target *target, enum target_state state, const struct error *reason,
                      uint64_t now_monotonic_ns)
{
    static const struct error none = {.code = ERROR_NONE};
    if (reason == NULL)
        reason = &none;
    const bool same_state = target->state == state;
    if (same_state && strcmp(target->reason.message, reason->message) == 0)
        return;

    target->reason = *reason;
    target->info_stale = true;
    if (same_state)
        return;
    target->state = state;
    target->state_since_monotonic_ns = now_monotonic_ns;
    target->state_since_realtime_ns = clock_realtime_ns();
    if (state == TARGET_UP)
        log_info(log_msg("target up"), log_str("target", target->id), log_i64("pid", target->pid));
    else if (state == TARGET_GONE)
        log_info(log_msg("target gone"), log_str("target", target->id),
                 log_str("reason", target->reason.message));
    else
        log_warn(log_msg("target not readable"), log_str("target", target->id),
                 log_i64("pid", target->pid), log_str("state", target_state_name(state)),
                 log_str("reason", target->reason.message));
}

void target_set_waiting(struct target *target, const char *reason, uint64_t now_monotonic_ns)
{
    struct error why;
    (void)error_set(&why, ERROR_NOT_FOUND, "%s", reason);
    set_state(target, TARGET_WAITING, &why, now_monotonic_ns);
}

static enum target_state state_of_error(enum error_code code)
{
    switch (code) {
    case ERROR_GONE:
    case ERROR_NOT_FOUND:
        return TARGET_GONE;
    case ERROR_DENIED:
        return TARGET_DENIED;
    case ERROR_UNSUPPORTED:
    case ERROR_CORRUPT:
        return TARGET_UNSUPPORTED;
    default:
        return TARGET_FAILING;
    }
}

void target_enable_profiling(struct target *target, bool enable)
{
    target->enable_profiling = enable;
}

static void switch_profiling_on(struct target *target)
{
    struct error err;
    if (!target->enable_profiling)
        return;
    if (!go_process_enable_profiling(target->process, &target->rate_written, &err))
        log_warn(log_msg("heap profiling could not be enabled"), log_str("target", target->id),
                 log_i64("pid", target->pid), log_str("reason", err.message));
    else if (target->rate_written)
        log_warn(log_msg("heap profiling enabled: runtime.MemProfileRate was written"),
                 log_str("target", target->id), log_i64("pid", target->pid), log_i64("old", 0),
                 log_i64("new", PROFILING_SWITCH_RATE));
}

/* As it was before, unless the program has set a rate of its own meanwhile, or is gone. */
static void switch_profiling_back(struct target *target)
{
    struct error err;
    bool written = false;
    if (!target->rate_written)
        return;
    target->rate_written = false;
    if (!go_process_restore_profiling(target->process, &written, &err)) {
        if (err.code != ERROR_GONE)
            log_error(log_msg("heap profiling could not be restored"),
                      log_str("target", target->id), log_i64("pid", target->pid),
                      log_str("reason", err.message));
    } else if (written) {
        log_warn(log_msg("heap profiling restored: runtime.MemProfileRate was written"),
                 log_str("target", target->id), log_i64("pid", target->pid),
                 log_i64("old", PROFILING_SWITCH_RATE), log_i64("new", 0));
    } else {
        log_info(log_msg("heap profiling left alone: the program has set a rate of its own"),
                 log_str("target", target->id), log_i64("pid", target->pid));
    }
}

static void close_process(struct target *target)
{
    switch_profiling_back(target);
    go_process_close(target->process);
    target->process = NULL;
}

static void detach(struct target *target)
{
    close_process(target);
    if (target->exit_fd != -1)
        (void)close(target->exit_fd);
    target->exit_fd = -1;
}

static void schedule_retry(struct target *target, uint64_t now_monotonic_ns)
{
    target->retry_pause_ns =
        target->retry_pause_ns == 0 ? RETRY_FIRST_NS : target->retry_pause_ns * 2;
    if (target->retry_pause_ns > RETRY_LAST_NS)
        target->retry_pause_ns = RETRY_LAST_NS;
    target->retry_at_ns = now_monotonic_ns + target->retry_pause_ns;
}

/* Opens the process of target->pid; on failure the state says why and when to try again. */
static void open_process(struct target *target, uint64_t now_monotonic_ns)
{
    struct error err;
    target->process = go_process_open(target->context->procfs, target->pid, &err);
    target->info_stale = true;
    if (target->process != NULL) {
        target->opening++;
        target->retry_pause_ns = 0;
        switch_profiling_on(target);
        return;
    }
    const enum target_state state = state_of_error(err.code);
    set_state(target, state, &err, now_monotonic_ns);
    schedule_retry(target, now_monotonic_ns);
}

void target_attach(struct target *target, pid_t pid, uint64_t now_monotonic_ns)
{
    detach(target);
    target->pid = pid;
    target->generation++;
    target->retry_pause_ns = 0;
    struct procfs_identity identity;
    struct error err;
    /* Opened first: the identity is then that of the process whose exit is watched, or of a later
     * one, and the exit is noticed at once. */
    target->exit_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (!procfs_identity_read(target->context->procfs, pid, &identity, &err)) {
        set_state(target, state_of_error(err.code), &err, now_monotonic_ns);
        return;
    }
    target->start_ticks = identity.start_ticks;
    target->oom_kills_rose_at_ns = 0;
    if (!procfs_oom_file_find(target->context->procfs, pid, target->oom_file) ||
        !procfs_oom_kills_read(target->context->procfs, target->oom_file, &target->oom_kills))
        target->oom_file[0] = '\0';
    open_process(target, now_monotonic_ns);
}

static void note_oom_kills(struct target *target, uint64_t kills, uint64_t now_monotonic_ns)
{
    if (target->oom_file[0] != '\0' && kills > target->oom_kills)
        target->oom_kills_rose_at_ns = now_monotonic_ns;
    target->oom_kills = kills;
}

/* Whether a process that came to its end by [status] was a victim of the OOM killer: it was killed, as far
 * as that is known, and its cgroup counts a kill that is new. */
static bool was_oom_killed(struct target *target, const struct exit_status *status,
                           uint64_t now_monotonic_ns)
{
    uint64_t kills = 0;
    if (status->known && status->signal_number != SIGKILL)
        return false;
    if (target->oom_file[0] != '\0' &&
        procfs_oom_kills_read(target->context->procfs, target->oom_file, &kills))
        note_oom_kills(target, kills, now_monotonic_ns);
    return target->oom_kills_rose_at_ns != 0 &&
           now_monotonic_ns - target->oom_kills_rose_at_ns <= OOM_KILL_TO_EXIT_MAX_NS;
}

/* What is known of the process that was just lost, for those who keep it.  Of an earlier one behind
 * the same name nothing is taken. */
static void keep_loss(struct target *target, bool by_oom)
{
    struct target_view view;
    if (target->profile == NULL || target->profile_generation != target->generation)
        return;
    if (!target_view(target, &view)) {
        log_warn(log_msg("no memory to keep the last profile"), log_str("target", target->id));
        return;
    }
    if (view.snapshot != NULL && view.snapshot->generation != target->generation) {
        snapshot_unref(view.snapshot);
        view.snapshot = NULL;
    }
    if (target->has_loss)
        target_loss_release(&target->loss);
    target->loss = (struct target_loss){.view = view, .by_oom = by_oom};
    target->has_loss = true;
}

/* The process is no longer there, or its pid names another one. */
static void lose_process(struct target *target, uint64_t now_monotonic_ns)
{
    char how[EXIT_STATUS_TEXT_BYTES] = "was killed by the OOM killer";
    const struct exit_status status = exit_status_read(
        target->context->procfs, target->pid, target->start_ticks, target->exit_fd);
    const bool by_oom = was_oom_killed(target, &status, now_monotonic_ns);
    if (!by_oom)
        exit_status_describe(&status, how);
    struct error why;
    (void)error_set(&why, ERROR_GONE, "process %d %s", (int)target->pid, how);
    set_state(target, TARGET_GONE, &why, now_monotonic_ns);
    keep_loss(target, by_oom); /* with its pid and all */
    detach(target);
    target->pid = 0;
    target->info_stale = true;
}

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

static void take_profile(struct target *target, const struct profile *profile)
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

static void fill_profile_values(struct snapshot_values *values, const struct profile *profile)
{
    SNAPSHOT_SET(values, profile_sites, profile->entry_count);
    SNAPSHOT_SET(values, profile_inuse_bytes, (uint64_t)profile->totals.inuse_bytes);
    SNAPSHOT_SET(values, profile_inuse_objects, (uint64_t)profile->totals.inuse_objects);
    SNAPSHOT_SET(values, profile_alloc_bytes, (uint64_t)profile->totals.alloc_bytes);
    SNAPSHOT_SET(values, profile_alloc_objects, (uint64_t)profile->totals.alloc_objects);
}

static void publish_snapshot(struct target *target, struct snapshot *building)
{
    building->sequence = ++target->sequence;
    building->generation = target->generation;
    if (SNAPSHOT_HAS(&building->values, cgroup_oom_kills))
        note_oom_kills(target, building->values.cgroup_oom_kills, building->monotonic_ns);
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

static void read_go(struct target *target, struct snapshot *building, uint64_t now_monotonic_ns)
{
    struct error err = {.code = ERROR_NONE};
    const struct profile *profile = NULL;
    const bool ok = go_process_read(target->process, building, &profile, &err);
    SNAPSHOT_SET(&building->values, read_duration_ns, clock_monotonic_ns() - now_monotonic_ns);
    count_read(target->context->counters, &building->values, ok);

    if (ok) {
        take_profile(target, profile);
        if (target->profile != NULL)
            fill_profile_values(&building->values, target->profile);
        set_state(target, TARGET_UP, NULL, now_monotonic_ns);
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
            lose_process(target, now_monotonic_ns);
        return;
    }
    set_state(target, err.code == ERROR_DENIED ? TARGET_DENIED : TARGET_FAILING, &err,
              now_monotonic_ns);
}

/* What the kernel tells about a process whose Go runtime cannot be read. */
static void read_kernel_only(struct target *target, struct snapshot *building,
                             uint64_t now_monotonic_ns)
{
    struct error err;
    if (!same_process_still(target, &err) ||
        !procfs_usage_read(target->context->procfs, target->pid, &building->values, &err)) {
        snapshot_discard(building);
        if (err.code == ERROR_GONE || err.code == ERROR_NOT_FOUND)
            lose_process(target, now_monotonic_ns);
        return;
    }
    building->partial = true;
    building->partial_reason = "only what the kernel tells: the Go runtime could not be read";
    SNAPSHOT_SET(&building->values, read_duration_ns, clock_monotonic_ns() - now_monotonic_ns);
    publish_snapshot(target, building);
}

void target_read(struct target *target, uint64_t now_monotonic_ns)
{
    if (target->pid == 0)
        return;
    if (target->process == NULL && now_monotonic_ns >= target->retry_at_ns)
        open_process(target, now_monotonic_ns);

    struct snapshot *building = snapshot_begin(clock_realtime_ns(), now_monotonic_ns);
    if (building == NULL) {
        struct error err;
        (void)error_set(&err, ERROR_NO_MEMORY, "no memory for a snapshot");
        set_state(target, TARGET_FAILING, &err, now_monotonic_ns);
        return;
    }
    if (target->process != NULL)
        read_go(target, building, now_monotonic_ns);
    else
        read_kernel_only(target, building, now_monotonic_ns);
}

int target_exit_fd(const struct target *target)
{
    return target->pid == 0 ? -1 : target->exit_fd;
}

void target_note_exit(struct target *target, uint64_t now_monotonic_ns)
{
    if (target->pid != 0)
        lose_process(target, now_monotonic_ns);
}

bool target_take_loss(struct target *target, struct target_loss *loss)
{
    if (!target->has_loss)
        return false;
    *loss = target->loss;
    target->has_loss = false;
    return true;
}

void target_loss_release(struct target_loss *loss)
{
    target_info_unref(loss->view.info);
    snapshot_unref(loss->view.snapshot);
    profile_unref(loss->view.profile);
}

bool target_stack_source(struct target *target, struct stack_source *source, uint64_t *opening,
                         struct error *err)
{
    if (target->process == NULL)
        return error_set(err, target->reason.code == ERROR_NONE ? ERROR_GONE : target->reason.code,
                         "target \"%.60s\" is %s%s%.90s", target->id,
                         target_state_name(target->state),
                         target->reason.message[0] != '\0' ? ": " : "", target->reason.message);
    if (!go_process_is_alive(target->process, err))
        return false;
    go_process_stack_source(target->process, source);
    *opening = target->opening;
    return true;
}

/* What was learned of a process stays known after it is gone: who looks then wants it most. */
static const struct target_info *build_info(const struct target *target)
{
    struct target_facts facts = {0};
    const char *cmdline = NULL;
    size_t cmdline_length = 0;

    if (target->process != NULL) {
        go_process_facts(target->process, &facts);
        cmdline = go_process_cmdline(target->process, &cmdline_length);
    } else if (target->info != NULL && target->info->facts.generation == target->generation) {
        facts = target->info->facts;
        cmdline = target->info->cmdline;
        cmdline_length = target->info->cmdline_length;
    }
    facts.id = target->id;
    facts.name = target->name;
    facts.source = SOURCE_PROCESS;
    facts.state = target->state;
    facts.reason = target->reason.message;
    facts.reason_code = target->reason.code;
    facts.state_since_realtime_ns = target->state_since_realtime_ns;
    facts.generation = target->generation;
    facts.pid = target->pid;
    if (facts.start_ticks == 0)
        facts.start_ticks = target->start_ticks;
    return target_info_new(&facts, cmdline, cmdline_length);
}

bool target_view(struct target *target, struct target_view *view)
{
    if (target->info == NULL || target->info_stale) {
        const struct target_info *fresh = build_info(target);
        if (fresh == NULL)
            return false;
        target_info_unref(target->info);
        target->info = fresh;
        target->info_stale = false;
    }
    view->info = target_info_ref(target->info);
    view->snapshot = target->snapshot == NULL ? NULL : snapshot_ref(target->snapshot);
    view->profile = target->profile == NULL ? NULL : profile_ref(target->profile);
    return true;
}
