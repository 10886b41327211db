/* heap_stats.c - reads the memory statistics of a Go process.
 *
 * Called by go_process_read each interval, and once at open for the self-check.  Formulas follow
 * src/runtime/mstats.go (readmemstats_m), mcache.go (releaseAll), mgcpacer.go (heapGoalInternal,
 * memoryLimitHeapGoal) and proc.go (gcount), Go 1.18 to 1.27. */
#include "core/goproc/heap_stats.h"

#include <stdlib.h>
#include <time.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/heap_reading.h"
#include "core/store/fields.h"

enum { CHECK_TRIES = 60, PAUSES_KEPT = 256 };
#define CHECK_PAUSE_NS 3000000L
#define PLAUSIBLE_BYTES_MAX (UINT64_C(1) << 48)
#define MIB (UINT64_C(1) << 20)

struct heap_stats {
    struct memory *memory;
    const struct go_layout *layout;
    const struct symbols *symbols;
    uint64_t empty_span; /* &runtime.emptymspan, once seen */
};

struct heap_stats *heap_stats_new(struct memory *memory, const struct go_layout *layout,
                                  const struct symbols *symbols)
{
    struct heap_stats *stats = calloc(1, sizeof(*stats));
    if (stats == NULL)
        return NULL;
    stats->memory = memory;
    stats->layout = layout;
    stats->symbols = symbols;
    return stats;
}

void heap_stats_free(struct heap_stats *stats)
{
    free(stats);
}

/* The heap goal, MemStats.NextGC. */

static uint64_t memory_limit_goal(const struct heap_reading *stats)
{
    const struct go_layout *layout = stats->layout;
    uint64_t marked = u64_at(stats->gc, layout->gc_heap_marked);
    uint64_t limit = u64_at(stats->gc, layout->gc_memory_limit);
    uint64_t mapped_ready = u64_at(stats->gc, layout->gc_mapped_ready);
    uint64_t heap = u64_at(stats->gc, layout->gc_heap_free) +
                    u64_at(stats->gc, layout->gc_total_alloc) -
                    u64_at(stats->gc, layout->gc_total_free);
    uint64_t outside_heap = mapped_ready > heap ? mapped_ready - heap : 0;
    uint64_t overage = mapped_ready > limit ? mapped_ready - limit : 0;

    if (outside_heap + overage >= limit)
        return marked;
    uint64_t goal = limit - (outside_heap + overage);
    uint64_t headroom = layout->headroom_is_share ? goal / 100 * 3 : MIB;
    if (headroom < MIB)
        headroom = MIB;
    goal = goal < headroom || goal - headroom < headroom ? headroom : goal - headroom;
    return goal < marked ? marked : goal;
}

static uint64_t heap_goal(const struct heap_reading *stats)
{
    const struct go_layout *layout = stats->layout;
    const uint64_t runway = 64 << 10;
    if (layout->gc_heap_goal != GO_LAYOUT_ABSENT) /* worked out by the runtime itself, up to 1.18 */
        return u64_at(stats->gc, layout->gc_heap_goal);
    uint64_t goal = u64_at(stats->gc, layout->gc_percent_heap_goal);
    uint64_t limit_goal = memory_limit_goal(stats);

    if (limit_goal < goal)
        return limit_goal;
    uint64_t sweep_trigger = u64_at(stats->gc, layout->gc_sweep_dist_min_trigger);
    uint64_t triggered = u64_at(stats->gc, layout->gc_triggered);
    if (sweep_trigger > goal)
        goal = sweep_trigger;
    if (triggered != UINT64_MAX && goal < triggered + runway)
        goal = triggered + runway;
    return goal;
}

/* Publishing. */

static bool fill_heap(const struct heap_reading *stats, const struct heap_sums *sums,
                      struct snapshot_values *values, struct error *err)
{
    const struct go_layout *layout = stats->layout;
    uint64_t alloc_bytes = sums->large_alloc_bytes, free_bytes = sums->large_free_bytes;
    uint64_t mallocs = sums->large_allocs + sums->tiny_allocs;
    uint64_t frees = sums->large_frees + sums->tiny_allocs;
    struct heap_totals heap;

    heap_reading_totals(stats, &heap);
    for (size_t c = 0; c < GO_SIZE_CLASSES; c++) {
        alloc_bytes += sums->small_allocs[c] * go_size_class_bytes[c];
        free_bytes += sums->small_frees[c] * go_size_class_bytes[c];
        mallocs += sums->small_allocs[c];
        frees += sums->small_frees[c];
    }
    if (free_bytes > alloc_bytes || frees > mallocs || heap.in_use > PLAUSIBLE_BYTES_MAX ||
        alloc_bytes - free_bytes > PLAUSIBLE_BYTES_MAX)
        return error_set(err, ERROR_CORRUPT,
                         "memory statistics make no sense: %llu bytes allocated, %llu freed",
                         (unsigned long long)alloc_bytes, (unsigned long long)free_bytes);
    SNAPSHOT_SET(values, heap_alloc_bytes, alloc_bytes - free_bytes);
    SNAPSHOT_SET(values, total_alloc_bytes, alloc_bytes);
    SNAPSHOT_SET(values, mallocs, mallocs);
    SNAPSHOT_SET(values, frees, frees);
    SNAPSHOT_SET(values, heap_objects, mallocs - frees);
    SNAPSHOT_SET(values, heap_inuse_bytes, heap.in_use);
    SNAPSHOT_SET(values, heap_idle_bytes, heap.free + heap.released);
    SNAPSHOT_SET(values, heap_released_bytes, heap.released);
    SNAPSHOT_SET(values, heap_sys_bytes, heap.in_use + heap.free + heap.released);
    SNAPSHOT_SET(values, heap_live_bytes, u64_at(stats->gc, layout->gc_heap_marked));
    const uint64_t goal = heap_goal(stats);
    if (goal != UINT64_MAX) /* so up to 1.18 while GOGC is off: there is none */
        SNAPSHOT_SET(values, next_gc_bytes, goal);
    return true;
}

/* All bytes from the system: readmemstats_m's totalMapped. */
static uint64_t sys_bytes(const struct heap_reading *stats, const struct heap_sums *sums)
{
    const struct go_layout *layout = stats->layout;
    struct heap_totals heap;

    heap_reading_totals(stats, &heap);
    return heap.in_use + heap.free + heap.released +
           u64_at(stats->stats, layout->stats_stacks_sys) +
           u64_at(stats->stats, layout->stats_mspan_sys) +
           u64_at(stats->stats, layout->stats_mcache_sys) +
           u64_at(stats->stats, layout->stats_buckhash_sys) +
           u64_at(stats->stats, layout->stats_gc_misc_sys) +
           u64_at(stats->stats, layout->stats_other_sys) + (uint64_t)sums->in_stacks +
           (uint64_t)sums->in_work_bufs + (uint64_t)sums->in_ptr_scalar_bits;
}

static void fill_system(const struct heap_reading *stats, const struct heap_sums *sums,
                        struct snapshot_values *values)
{
    const struct go_layout *layout = stats->layout;
    const unsigned char *words = stats->stats;
    uint64_t in_stacks = (uint64_t)sums->in_stacks;

    SNAPSHOT_SET(values, stack_inuse_bytes, in_stacks);
    SNAPSHOT_SET(values, stack_sys_bytes, in_stacks + u64_at(words, layout->stats_stacks_sys));
    SNAPSHOT_SET(values, mspan_inuse_bytes, stats->mspan_inuse_bytes);
    SNAPSHOT_SET(values, mspan_sys_bytes, u64_at(words, layout->stats_mspan_sys));
    SNAPSHOT_SET(values, mcache_inuse_bytes, stats->mcache_inuse_bytes);
    SNAPSHOT_SET(values, mcache_sys_bytes, u64_at(words, layout->stats_mcache_sys));
    SNAPSHOT_SET(values, buck_hash_sys_bytes, u64_at(words, layout->stats_buckhash_sys));
    SNAPSHOT_SET(values, gc_sys_bytes,
                 u64_at(words, layout->stats_gc_misc_sys) + (uint64_t)sums->in_work_bufs +
                     (uint64_t)sums->in_ptr_scalar_bits);
    SNAPSHOT_SET(values, other_sys_bytes, u64_at(words, layout->stats_other_sys));
    SNAPSHOT_SET(values, sys_bytes, sys_bytes(stats, sums));
}

static void fill_gc(const struct heap_reading *stats, struct snapshot_values *values)
{
    const struct go_layout *layout = stats->layout;
    const unsigned char *words = stats->stats;
    uint32_t numgc = u32_at(words, layout->stats_numgc);
    int32_t gogc;
    double cpu_fraction;

    memcpy(&gogc, stats->gc + GO_GC_PERCENT, sizeof(gogc));
    memcpy(&cpu_fraction, words + layout->stats_gc_cpu_fraction, sizeof(cpu_fraction));
    SNAPSHOT_SET(values, num_gc, numgc);
    SNAPSHOT_SET(values, num_forced_gc, u32_at(words, layout->stats_numforcedgc));
    SNAPSHOT_SET(values, last_gc_unix,
                 (int64_t)(u64_at(words, layout->stats_last_gc_unix) / 1000000000u));
    SNAPSHOT_SET(values, gc_pause_total_ns, u64_at(words, layout->stats_pause_total_ns));
    if (numgc > 0)
        SNAPSHOT_SET(values, last_gc_pause_ns,
                     u64_at(words, layout->stats_pause_ns +
                                       8 * ((numgc + PAUSES_KEPT - 1) % PAUSES_KEPT)));
    SNAPSHOT_SET(values, gc_cpu_fraction, cpu_fraction);
    SNAPSHOT_SET(values, gogc_percent, gogc);
    if (layout->gc_memory_limit != GO_LAYOUT_ABSENT &&
        i64_at(stats->gc, layout->gc_memory_limit) != INT64_MAX)
        SNAPSHOT_SET(values, gomemlimit_bytes, u64_at(stats->gc, layout->gc_memory_limit));
}

static void fill_scheduler(const struct heap_reading *stats, struct snapshot_values *values)
{
    const struct go_layout *layout = stats->layout;
    int64_t count = (int64_t)stats->allglen;

    count -= (int32_t)u32_at(stats->sched, layout->sched_ngsys);
    count -= (int32_t)u32_at(stats->sched, layout->sched_gfree_count);
    if (layout->sched_gfree_nostack_count != GO_LAYOUT_ABSENT)
        count -= (int32_t)u32_at(stats->sched, layout->sched_gfree_nostack_count);
    for (int32_t i = 0; i < stats->gomaxprocs; i++)
        count -= stats->processors[i].free_goroutines;
    SNAPSHOT_SET(values, goroutines, count < 1 ? 1 : (uint64_t)count);
    SNAPSHOT_SET(values, gomaxprocs, (uint64_t)stats->gomaxprocs);
}

static bool fill_all(struct heap_reading *reading, struct snapshot_values *values,
                     uint64_t *retries, struct error *err)
{
    struct heap_sums sums;

    if (!heap_reading_all(reading, &sums, retries, err))
        return error_wrap(err, "memory statistics");
    if (!fill_heap(reading, &sums, values, err))
        return false;
    fill_system(reading, &sums, values);
    fill_gc(reading, values);
    fill_scheduler(reading, values);
    return true;
}

bool heap_stats_read(struct heap_stats *stats, struct snapshot_values *values, uint64_t *retries,
                     struct error *err)
{
    struct heap_reading *reading =
        heap_reading_new(stats->memory, stats->layout, stats->symbols, stats->empty_span);
    if (reading == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for memory statistics");
    const bool ok = fill_all(reading, values, retries, err);
    stats->empty_span = reading->empty_span;
    heap_reading_free(reading);
    return ok;
}

/* The self-check. */

struct identity {
    const char *name;
    bool held;
};

static bool try_identities(struct heap_reading *stats, struct identity identities[4])
{
    const struct go_layout *layout = stats->layout;
    struct heap_sums sums;
    struct heap_totals heap;

    heap_reading_sum(stats, &sums);
    heap_reading_totals(stats, &heap);
    identities[0].held |= (uint64_t)sums.in_heap == heap.in_use && heap.in_use != 0;
    identities[1].held |= (uint64_t)sums.released == heap.released;
    identities[2].held |=
        (uint64_t)(sums.committed - sums.in_stacks - sums.in_work_bufs -
                   sums.in_ptr_scalar_bits) == heap.in_use + heap.free;
    /* Counted once only up to 1.18. */
    identities[3].held |= layout->gc_mapped_ready == GO_LAYOUT_ABSENT ||
                          u64_at(stats->gc, layout->gc_mapped_ready) ==
                          sys_bytes(stats, &sums) - (uint64_t)sums.released;
    return identities[0].held && identities[1].held && identities[2].held && identities[3].held;
}

static bool check(struct heap_reading *stats, struct error *err)
{
    struct identity identities[4] = {{"heap in use", false},
                                     {"heap released", false},
                                     {"heap retained", false},
                                     {"memory mapped", false}};

    for (unsigned tries = 0; tries < CHECK_TRIES; tries++) {
        if (!heap_reading_centre(stats, err))
            return error_wrap(err, "self-check");
        if (try_identities(stats, identities))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = CHECK_PAUSE_NS}, NULL);
    }
    for (size_t i = 0; i < 4; i++)
        if (!identities[i].held)
            return error_set(err, ERROR_UNSUPPORTED,
                             "the runtime's two counts of %s never agree: its structures are not "
                             "those of this Go version",
                             identities[i].name);
    return true;
}

bool heap_stats_check(struct heap_stats *stats, struct error *err)
{
    struct heap_reading *reading =
        heap_reading_new(stats->memory, stats->layout, stats->symbols, stats->empty_span);
    if (reading == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for the self-check");
    const bool ok = check(reading, err);
    heap_reading_free(reading);
    return ok;
}
