/* target.c - one watched program, as the sampler sees it. */
#include "core/target_parts.h"

#include <sys/syscall.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/goproc/go_process.h"
#include "core/goproc/process_usage.h"
#include "core/goproc/procfs.h"
#include "core/goproc/profiling_switch.h"
#include "core/memory_watch.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

/* A refused or unsupported process is looked at again after 1, 2, 4, ... 60 seconds: someone may
 * have granted the capability, or it may only just have started. */
#define RETRY_FIRST_NS (1 * CLOCK_NS_PER_S)
#define RETRY_LAST_NS (60 * CLOCK_NS_PER_S)

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
    struct board_past past;
    if (context->board != NULL && board_past(context->board, id, &past)) {
        target->sequence = past.sequence;
        target->generation = past.generation;
        target->past_pid = past.pid;
        target->past_start_ticks = past.start_ticks;
    }
    return target;
}

struct target_numbers target_numbers(const struct target *target)
{
    return (struct target_numbers){.sequence = target->sequence, .generation = target->generation};
}

void target_go_on(struct target *target, struct target_numbers numbers)
{
    target->sequence = numbers.sequence;
    target->generation = numbers.generation;
}

void target_free(struct target *target)
{
    if (target == NULL)
        return;
    target_detach(target);
    target_free_scraped(target->scraped);
    target_free_pushed(target->pushed);
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


void target_set_state(struct target *target, enum target_state state, const struct error *reason,
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
    if (state == TARGET_UP && reason->message[0] != '\0')
        log_warn(log_msg("target up, but not all of it is read"), log_str("target", target->id),
                 log_i64("pid", target->pid), log_str("reason", reason->message));
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
    target_set_state(target, TARGET_WAITING, &why, now_monotonic_ns);
}

enum target_state target_state_of_error(enum error_code code)
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

void target_detach(struct target *target)
{
    close_process(target);
    if (target->exit_fd != -1)
        (void)close(target->exit_fd);
    target->exit_fd = -1;
    process_usage_close(target->usage);
    target->usage = NULL;
    memory_watch_free(target->memory);
    target->memory = NULL;
}

static void schedule_retry(struct target *target, uint64_t now_monotonic_ns)
{
    target->retry_pause_ns =
        target->retry_pause_ns == 0 ? RETRY_FIRST_NS : target->retry_pause_ns * 2;
    if (target->retry_pause_ns > RETRY_LAST_NS)
        target->retry_pause_ns = RETRY_LAST_NS;
    target->retry_at_ns = now_monotonic_ns + target->retry_pause_ns;
}

static void note_build(struct target *target)
{
    struct target_facts facts = {0};
    go_process_facts(target->process, &facts);
    if (target_builds_note(&target->builds, facts.build_id, facts.start_realtime_ns))
        log_info(log_msg("target deployed: another build runs now"), log_str("target", target->id),
                 log_str("module_version", facts.module_version),
                 log_str("vcs_revision", facts.vcs_revision));
}

void target_open_process(struct target *target, uint64_t now_monotonic_ns)
{
    struct error err;
    target->process = go_process_open(target->context->procfs, target->pid, &err);
    target->info_stale = true;
    if (target->process != NULL) {
        target->opening++;
        target->retry_pause_ns = 0;
        site_table_use_tagger(go_process_sites(target->process), target->context->tagger);
        note_build(target);
        switch_profiling_on(target);
        return;
    }
    const enum target_state state = target_state_of_error(err.code);
    target_set_state(target, state, &err, now_monotonic_ns);
    schedule_retry(target, now_monotonic_ns);
}

void target_attach(struct target *target, pid_t pid, uint64_t now_monotonic_ns)
{
    target_detach(target);
    target->pid = pid;
    target->generation++;
    target->retry_pause_ns = 0;
    struct procfs_identity identity;
    struct error err;
    /* Opened first: the identity is then that of the process whose exit is watched, or of a later
     * one, and the exit is noticed at once. */
    target->exit_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (!procfs_identity_read(target->context->procfs, pid, &identity, &err)) {
        target_set_state(target, target_state_of_error(err.code), &err, now_monotonic_ns);
        return;
    }
    target->start_ticks = identity.start_ticks;
    /* The process that an earlier goprofd read is no new generation. */
    if (target->past_pid == pid && target->past_start_ticks == identity.start_ticks)
        target->generation--;
    target->past_pid = 0;
    target->oom_group = 0;
    target->oom_kills_rose_at_ns = 0;
    target->usage = process_usage_open(target->context->usage, pid, identity.start_ticks);
    if (target->usage == NULL) {
        (void)error_set(&err, ERROR_NO_MEMORY, "no memory to attach pid %d", (int)pid);
        target_set_state(target, TARGET_FAILING, &err, now_monotonic_ns);
        return;
    }
    target_open_process(target, now_monotonic_ns);
}

bool target_stack_source(struct target *target, struct stack_source *source, uint64_t *opening,
                         struct error *err)
{
    if (target->scraped != NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "target \"%.60s\" is scraped, which fetches heap profiles only: ask the program "
                         "itself for this one",
                         target->id);
    if (target->pushed != NULL)
        return error_set(err, ERROR_UNSUPPORTED,
                         "target \"%.60s\" pushes what it tracks itself, and that is no profile of this kind",
                         target->id);
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
    if (target->pushed != NULL)
        facts.source = SOURCE_PUSH;
    if (target->scraped != NULL)
        target_scraped_facts(target, &facts, &cmdline, &cmdline_length);
    facts.state = target->state;
    facts.reason = target->reason.message;
    facts.reason_code = target->reason.code;
    facts.state_since_realtime_ns = target->state_since_realtime_ns;
    facts.generation = target->generation;
    facts.build_generation = target->builds.generation;
    facts.previous_build_id = target->builds.previous;
    facts.deployed_realtime_ns = target->builds.deployed_realtime_ns;
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
