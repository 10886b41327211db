/* memory_watch.c - looks at the pages of a target when it is its turn, and says in between what is known. */
#include "core/memory_watch.h"

#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/goproc/go_process.h"
#include "core/goproc/residency.h"
#include "core/goproc/stack_source.h"
#include "core/look_schedule.h"
#include "core/store/heap_classes.h"
#include "core/store/memory_limit.h"
#include "core/store/rss_parts.h"
#include "core/store/snapshot.h"

/* When parts and RSS have drifted apart by more than both of these. */
#define DRIFT_LEAST_BYTES ((uint64_t)4 << 20)
enum { DRIFT_SHARE = 16 };

struct memory_watch {
    struct look_schedule schedule;
    struct memory_forecast forecast;
    bool anchored;
    struct rss_anchor anchor;
    bool has_drifted;
    bool has_failed; /* the last look; said once */
    uint64_t looked_at_ns;
    uint64_t pss_bytes;
    uint64_t huge_bytes;
    const struct heap_classes *classes;
};

struct memory_watch *memory_watch_new(struct look_budget *budget)
{
    struct memory_watch *watch = calloc(1, sizeof(*watch));
    if (watch != NULL)
        watch->schedule.budget = budget;
    return watch;
}

void memory_watch_free(struct memory_watch *watch)
{
    if (watch == NULL)
        return;
    heap_classes_unref(watch->classes);
    free(watch);
}

/* ---- looking ---- */

static bool look(const struct procfs *fs, pid_t pid, struct go_process *process,
                 struct residency *residency, struct error *err)
{
    struct stack_source source;
    go_process_stack_source(process, &source);
    return residency_read(&(struct residency_source){.fs = fs,
                                                     .pid = pid,
                                                     .memory = source.memory,
                                                     .layout = source.layout,
                                                     .symbols = source.symbols},
                          residency, err);
}

static void take(struct memory_watch *watch, const struct residency *residency,
                 const struct snapshot *building, uint64_t now_ns)
{
    struct rss_anchor anchor;
    if (!rss_anchor_set(&anchor, &residency->measure, &building->values))
        return;
    watch->anchor = anchor;
    watch->anchored = true;
    watch->looked_at_ns = now_ns;
    watch->pss_bytes = residency->pss_bytes;
    watch->huge_bytes = residency->huge_bytes;
    const struct heap_classes *classes =
        heap_classes_new(residency->classes, GO_SIZE_CLASSES, building->realtime_ns);
    heap_classes_unref(watch->classes);
    watch->classes = classes; /* NULL without memory: then they are not shown */
}

static void look_if_due(struct memory_watch *watch, const struct procfs *fs, pid_t pid,
                        struct go_process *process, const struct snapshot *building)
{
    struct residency residency;
    struct error err;
    const uint64_t now_ns = building->monotonic_ns;
    if (!look_schedule_is_due(&watch->schedule, watch->has_drifted, now_ns))
        return;
    /* Its time on the CPU is what it costs; that others had it meanwhile is not its fault. */
    const uint64_t started_ns = clock_thread_cpu_ns();
    const bool ok = look(fs, pid, process, &residency, &err);
    look_schedule_book(&watch->schedule, watch->has_drifted, now_ns,
                       clock_thread_cpu_ns() - started_ns);
    if (ok)
        take(watch, &residency, building, now_ns);
    else if (err.code != ERROR_GONE && err.code != ERROR_BUSY && !watch->has_failed)
        log_info(log_msg("resident pages cannot be looked at: the parts of RSS are not known"),
                 log_i64("pid", pid), log_str("reason", err.message));
    watch->has_failed = !ok && (watch->has_failed || err.code != ERROR_BUSY);
}

/* ---- saying ---- */

static void fill_parts(struct memory_watch *watch, struct snapshot *building)
{
    struct snapshot_values *values = &building->values;
    int64_t drift_bytes = 0;
    if (!watch->anchored || !rss_parts_fill(&watch->anchor, values, &drift_bytes))
        return;
    const uint64_t drifted = (uint64_t)(drift_bytes < 0 ? -drift_bytes : drift_bytes);
    watch->has_drifted =
        drifted > DRIFT_LEAST_BYTES && drifted > values->rss_anon_bytes / DRIFT_SHARE;
    SNAPSHOT_SET(values, rss_parts_age_ns, building->monotonic_ns - watch->looked_at_ns);
    SNAPSHOT_SET(values, rss_parts_cost_ns, watch->schedule.cost_ns);
    SNAPSHOT_SET(values, pss_bytes, watch->pss_bytes);
    SNAPSHOT_SET(values, rss_huge_bytes, watch->huge_bytes);
    if (watch->classes != NULL)
        building->heap_classes = heap_classes_ref(watch->classes);
}

void memory_watch_fill(struct memory_watch *watch, const struct procfs *fs, pid_t pid,
                       struct go_process *process, struct snapshot *building)
{
    if (process != NULL) {
        look_if_due(watch, fs, pid, process, building);
        fill_parts(watch, building);
    }
    memory_forecast_fill(&watch->forecast, building->monotonic_ns, &building->values);
}

bool memory_watch_look_once(const struct procfs *fs, pid_t pid, struct go_process *process,
                            struct snapshot *building, struct error *err)
{
    struct memory_watch watch = {0};
    struct residency residency;
    const uint64_t started_ns = clock_thread_cpu_ns();
    if (!look(fs, pid, process, &residency, err))
        return false;
    watch.schedule.cost_ns = clock_thread_cpu_ns() - started_ns;
    take(&watch, &residency, building, building->monotonic_ns);
    fill_parts(&watch, building);
    memory_forecast_fill(&watch.forecast, building->monotonic_ns, &building->values);
    heap_classes_unref(watch.classes);
    return SNAPSHOT_HAS(&building->values, rss_part_heap_live_bytes) ||
           error_set(err, ERROR_UNSUPPORTED,
                     "the kernel does not tell anonymous, file and shared memory apart (before Linux 4.5)");
}
