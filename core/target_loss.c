/* target_loss.c - how the process of a target came to its end, and what is kept of it.
 *
 * Called by target_read.c when a beat finds no process, and by the sampler when a pidfd says so. */
#include "core/target_parts.h"

#include <signal.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/goproc/exit_status.h"
#include "core/goproc/process_usage.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

/* The OOM killer ends a large process in seconds, not at once: between the kill and the exit a beat
 * may pass that sees the count already risen. */
#define OOM_KILL_TO_EXIT_MAX_NS (30 * CLOCK_NS_PER_S)

void target_watch_oom_kills(struct target *target, bool ask_now, uint64_t now_monotonic_ns)
{
    uint64_t group = 0, kills = 0;
    if (target->usage == NULL || !process_usage_oom_kills(target->usage, ask_now, &group, &kills))
        return;
    /* Counts of two cgroups say nothing about each other. */
    if (target->oom_group == group && kills > target->oom_kills)
        target->oom_kills_rose_at_ns = now_monotonic_ns;
    target->oom_group = group;
    target->oom_kills = kills;
}

/* Whether a process that came to its end by [status] was a victim of the OOM killer: it was killed, as far
 * as that is known, and its cgroup counts a kill that is new. */
static bool was_oom_killed(struct target *target, const struct exit_status *status,
                           uint64_t now_monotonic_ns)
{
    if (status->known && status->signal_number != SIGKILL)
        return false;
    target_watch_oom_kills(target, true, now_monotonic_ns);
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
void target_lose_process(struct target *target, uint64_t now_monotonic_ns)
{
    char how[EXIT_STATUS_TEXT_BYTES] = "was killed by the OOM killer";
    const struct exit_status status = exit_status_read(
        target->context->procfs, target->pid, target->start_ticks, target->exit_fd);
    const bool by_oom = was_oom_killed(target, &status, now_monotonic_ns);
    if (!by_oom)
        exit_status_describe(&status, how);
    struct error why;
    (void)error_set(&why, ERROR_GONE, "process %d %s", (int)target->pid, how);
    target_set_state(target, TARGET_GONE, &why, now_monotonic_ns);
    keep_loss(target, by_oom); /* with its pid and all */
    target_detach(target);
    target->pid = 0;
    target->info_stale = true;
}

int target_exit_fd(const struct target *target)
{
    return target->pid == 0 ? -1 : target->exit_fd;
}

void target_note_exit(struct target *target, uint64_t now_monotonic_ns)
{
    if (target->pid != 0)
        target_lose_process(target, now_monotonic_ns);
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
