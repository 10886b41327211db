/* heap_stats.c - reads the memory statistics of a Go process.
 *
 * Called by go_process_read each interval, and once at open for the self-check.  Formulas follow
 * src/runtime/mstats.go (readmemstats_m), mcache.go (releaseAll), mgcpacer.go (heapGoalInternal,
 * memoryLimitHeapGoal) and proc.go (gcount), Go 1.19 to 1.27. */
#include "core/goproc/heap_stats.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/symbols.h"
#include "core/store/fields.h"

enum {
    STATS_MAX_BYTES = 7720,
    GC_MAX_BYTES = 352,
    SCHED_MAX_BYTES = 224,
    MCACHE_MAX_BYTES = 8 + 48 + 8 * GO_SPAN_CLASSES,
    SPAN_MAX_BYTES = 96,
    READ_TRIES = 4,
    CHECK_TRIES = 60,
    PAUSES_KEPT = 256,
};
#define CHECK_PAUSE_NS 3000000L
#define PLAUSIBLE_BYTES_MAX (UINT64_C(1) << 48)
#define MIB (UINT64_C(1) << 20)

/* What one P contributes. */
struct processor {
    uint64_t mcache;
    int32_t free_goroutines;
    unsigned char cache[MCACHE_MAX_BYTES]; /* from tinyAllocs to the end of alloc[] */
};

struct heap_stats {
    struct memory *memory;
    const struct go_layout *layout;
    const struct symbols *symbols;
    uint64_t empty_span; /* &runtime.emptymspan, once seen: it is in most slots */
    size_t processor_capacity;
    uint64_t *allp;
    struct processor *processors;
    struct memory_part *parts;
    unsigned char *spans;
    /* one reading */
    unsigned char stats[STATS_MAX_BYTES];
    unsigned char gc[GC_MAX_BYTES];
    unsigned char sched[SCHED_MAX_BYTES];
    uint64_t allp_slice[3];
    uint64_t allglen;
    uint64_t mspan_inuse_bytes;
    uint64_t mcache_inuse_bytes;
    int32_t gomaxprocs;
};

/* Sums over the three heapStatsDelta; as signed numbers, since one alone may be negative. */
struct heap_sums {
    int64_t committed, released, in_heap, in_stacks, in_work_bufs, in_ptr_scalar_bits;
    uint64_t tiny_allocs;
    uint64_t large_alloc_bytes, large_allocs, large_free_bytes, large_frees;
    uint64_t small_allocs[GO_SIZE_CLASSES];
    uint64_t small_frees[GO_SIZE_CLASSES];
};

static uint64_t u64_at(const unsigned char *bytes, size_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static int64_t i64_at(const unsigned char *bytes, size_t offset)
{
    int64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static uint32_t u32_at(const unsigned char *bytes, size_t offset)
{
    uint32_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

static uint16_t u16_at(const unsigned char *bytes, size_t offset)
{
    uint16_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

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
    if (stats == NULL)
        return;
    free(stats->allp);
    free(stats->processors);
    free(stats->parts);
    free(stats->spans);
    free(stats);
}

/* Reading. */

static uint64_t address_of(const struct heap_stats *stats, enum symbol_id id)
{
    return stats->symbols->address[id];
}

/* The central numbers, in one call so that they are close in time. */
static bool read_centre(struct heap_stats *stats, struct error *err)
{
    const struct go_layout *layout = stats->layout;
    const struct memory_part parts[] = {
        {address_of(stats, SYMBOL_MEMSTATS), stats->stats, layout->stats_gc_cpu_fraction + 8},
        {address_of(stats, SYMBOL_GC_CONTROLLER), stats->gc, layout->gc_mapped_ready + 8},
        {address_of(stats, SYMBOL_SCHED), stats->sched, SCHED_MAX_BYTES},
        {address_of(stats, SYMBOL_ALLGLEN), &stats->allglen, 8},
        {address_of(stats, SYMBOL_ALLP), stats->allp_slice, sizeof(stats->allp_slice)},
        {address_of(stats, SYMBOL_GOMAXPROCS), &stats->gomaxprocs, 4},
        {address_of(stats, SYMBOL_MHEAP) + layout->mheap_spanalloc_inuse,
         &stats->mspan_inuse_bytes, 8},
        {address_of(stats, SYMBOL_MHEAP) + layout->mheap_cachealloc_inuse,
         &stats->mcache_inuse_bytes, 8},
    };
    return memory_read_parts(stats->memory, parts, sizeof(parts) / sizeof(parts[0]), err);
}

static bool reserve_processors(struct heap_stats *stats, size_t count, struct error *err)
{
    if (count <= stats->processor_capacity)
        return true;
    free(stats->allp);
    free(stats->processors);
    free(stats->parts);
    free(stats->spans);
    stats->processor_capacity = 0;
    stats->allp = calloc(count, sizeof(*stats->allp));
    stats->processors = calloc(count, sizeof(*stats->processors));
    stats->parts = calloc(count * GO_SPAN_CLASSES, sizeof(*stats->parts));
    stats->spans = calloc(count * GO_SPAN_CLASSES, SPAN_MAX_BYTES);
    if (stats->allp == NULL || stats->processors == NULL || stats->parts == NULL ||
        stats->spans == NULL)
        return error_set(err, ERROR_NO_MEMORY, "memory statistics: no memory for %zu Ps", count);
    stats->processor_capacity = count;
    return true;
}

/* allp -> p -> mcache: what each P holds back. */
static bool read_processors(struct heap_stats *stats, size_t count, struct error *err)
{
    const struct go_layout *layout = stats->layout;
    size_t cache_bytes =
        layout->mcache_alloc - layout->mcache_tiny_allocs + 8 * (size_t)GO_SPAN_CLASSES;
    size_t used = 0;

    if (!memory_read(stats->memory, stats->allp_slice[0], stats->allp, count * 8, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        struct processor *processor = &stats->processors[i];
        stats->parts[used++] =
            (struct memory_part){stats->allp[i] + layout->p_mcache, &processor->mcache, 8};
        stats->parts[used++] = (struct memory_part){stats->allp[i] + layout->p_gfree_count,
                                                    &processor->free_goroutines, 4};
    }
    if (!memory_read_parts(stats->memory, stats->parts, used, err))
        return false;
    used = 0;
    for (size_t i = 0; i < count; i++) {
        struct processor *processor = &stats->processors[i];
        memset(processor->cache, 0, sizeof(processor->cache));
        if (processor->mcache != 0)
            stats->parts[used++] =
                (struct memory_part){processor->mcache + layout->mcache_tiny_allocs,
                                     processor->cache, cache_bytes};
    }
    return memory_read_parts(stats->memory, stats->parts, used, err);
}

/* The spans that the mcaches allocate from; objects handed out since a span was cached are not in
 * the central counts yet. */
static bool read_spans(struct heap_stats *stats, size_t count, struct heap_sums *sums,
                       struct error *err)
{
    const struct go_layout *layout = stats->layout;
    size_t span_bytes = layout->mspan_before_cache + 2 - layout->mspan_npages;
    size_t alloc = layout->mcache_alloc - layout->mcache_tiny_allocs;
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        sums->tiny_allocs += u64_at(stats->processors[i].cache, 0);
        for (size_t c = 0; c < GO_SPAN_CLASSES; c++) {
            uint64_t span = u64_at(stats->processors[i].cache, alloc + 8 * c);
            if (span == 0 || span == stats->empty_span)
                continue;
            stats->parts[used] = (struct memory_part){
                span + layout->mspan_npages, stats->spans + used * SPAN_MAX_BYTES, span_bytes};
            used++;
        }
    }
    if (!memory_read_parts(stats->memory, stats->parts, used, err))
        return false;
    for (size_t i = 0; i < used; i++) {
        const unsigned char *span = stats->spans + i * SPAN_MAX_BYTES;
        if (u64_at(span, 0) == 0) { /* npages: only emptymspan has none */
            stats->empty_span = stats->parts[i].address - layout->mspan_npages;
            continue;
        }
        uint16_t allocated = u16_at(span, layout->mspan_alloc_count - layout->mspan_npages);
        uint16_t before = u16_at(span, layout->mspan_before_cache - layout->mspan_npages);
        size_t size_class = span[layout->mspan_spanclass - layout->mspan_npages] >> 1;
        if (size_class < GO_SIZE_CLASSES && allocated > before)
            sums->small_allocs[size_class] += (uint64_t)(allocated - before);
    }
    return true;
}

static void sum_deltas(const struct heap_stats *stats, struct heap_sums *sums)
{
    const struct go_layout *layout = stats->layout;

    *sums = (struct heap_sums){0};
    for (size_t i = 0; i < GO_DELTA_COUNT; i++) {
        const unsigned char *delta = stats->stats + i * layout->delta_bytes;
        sums->committed += i64_at(delta, GO_DELTA_COMMITTED);
        sums->released += i64_at(delta, GO_DELTA_RELEASED);
        sums->in_heap += i64_at(delta, GO_DELTA_IN_HEAP);
        sums->in_stacks += i64_at(delta, GO_DELTA_IN_STACKS);
        sums->in_work_bufs += i64_at(delta, GO_DELTA_IN_WORK_BUFS);
        if (layout->delta_in_ptr_scalar_bits != GO_LAYOUT_ABSENT)
            sums->in_ptr_scalar_bits += i64_at(delta, layout->delta_in_ptr_scalar_bits);
        sums->tiny_allocs += u64_at(delta, layout->delta_tiny_alloc_count);
        sums->large_alloc_bytes += u64_at(delta, layout->delta_large_alloc);
        sums->large_allocs += u64_at(delta, layout->delta_large_alloc_count);
        sums->large_free_bytes += u64_at(delta, layout->delta_large_free);
        sums->large_frees += u64_at(delta, layout->delta_large_free_count);
        for (size_t c = 0; c < GO_SIZE_CLASSES; c++) {
            sums->small_allocs[c] += u64_at(delta, layout->delta_small_alloc_count + 8 * c);
            sums->small_frees[c] += u64_at(delta, layout->delta_small_free_count + 8 * c);
        }
    }
}

/* What tells that the numbers moved under us: a GC, or the three deltas taking turns. */
static bool is_unmoved(struct heap_stats *stats, bool *unmoved, struct error *err)
{
    const struct go_layout *layout = stats->layout;
    uint32_t gen, numgc;
    const struct memory_part parts[] = {
        {address_of(stats, SYMBOL_MEMSTATS) + layout->stats_gen, &gen, 4},
        {address_of(stats, SYMBOL_MEMSTATS) + layout->stats_numgc, &numgc, 4},
    };

    if (!memory_read_parts(stats->memory, parts, 2, err))
        return false;
    *unmoved = gen == u32_at(stats->stats, layout->stats_gen) &&
               numgc == u32_at(stats->stats, layout->stats_numgc);
    return true;
}

/* Everything but the caches; ERROR_BUSY if the number of Ps is just changing. */
static bool read_consistent(struct heap_stats *stats, struct heap_sums *sums, uint64_t *retries,
                            struct error *err)
{
    for (unsigned tries = 0;; tries++) {
        bool unmoved = false;
        if (!read_centre(stats, err))
            return false;
        uint64_t count = stats->allp_slice[1];
        if (count > HEAP_STATS_PROCESSORS_MAX)
            return error_set(err, ERROR_CORRUPT, "runtime.allp: %llu Ps",
                             (unsigned long long)count);
        if (count == 0 || stats->gomaxprocs < 1 || count != (uint64_t)stats->gomaxprocs) {
            if (tries < READ_TRIES) {
                (*retries)++;
                continue;
            }
            return error_set(err, ERROR_BUSY, "runtime.allp holds %llu Ps but GOMAXPROCS is %d",
                             (unsigned long long)count, stats->gomaxprocs);
        }
        sum_deltas(stats, sums);
        if (!reserve_processors(stats, (size_t)count, err) ||
            !read_processors(stats, (size_t)count, err) ||
            !read_spans(stats, (size_t)count, sums, err) || !is_unmoved(stats, &unmoved, err))
            return false;
        if (unmoved || tries == READ_TRIES)
            return true;
        (*retries)++;
    }
}

/* The heap goal, MemStats.NextGC. */

static uint64_t memory_limit_goal(const struct heap_stats *stats)
{
    const struct go_layout *layout = stats->layout;
    uint64_t marked = u64_at(stats->gc, layout->gc_heap_marked);
    uint64_t limit = u64_at(stats->gc, GO_GC_MEMORY_LIMIT);
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

static uint64_t heap_goal(const struct heap_stats *stats)
{
    const struct go_layout *layout = stats->layout;
    const uint64_t runway = 64 << 10;
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

static bool fill_heap(const struct heap_stats *stats, const struct heap_sums *sums,
                      struct snapshot_values *values, struct error *err)
{
    const struct go_layout *layout = stats->layout;
    uint64_t alloc_bytes = sums->large_alloc_bytes, free_bytes = sums->large_free_bytes;
    uint64_t mallocs = sums->large_allocs + sums->tiny_allocs;
    uint64_t frees = sums->large_frees + sums->tiny_allocs;
    uint64_t in_use = u64_at(stats->gc, layout->gc_heap_in_use);
    uint64_t free_heap = u64_at(stats->gc, layout->gc_heap_free);
    uint64_t released = u64_at(stats->gc, layout->gc_heap_released);

    for (size_t c = 0; c < GO_SIZE_CLASSES; c++) {
        alloc_bytes += sums->small_allocs[c] * go_size_class_bytes[c];
        free_bytes += sums->small_frees[c] * go_size_class_bytes[c];
        mallocs += sums->small_allocs[c];
        frees += sums->small_frees[c];
    }
    if (free_bytes > alloc_bytes || frees > mallocs || in_use > PLAUSIBLE_BYTES_MAX ||
        alloc_bytes - free_bytes > PLAUSIBLE_BYTES_MAX)
        return error_set(err, ERROR_CORRUPT,
                         "memory statistics make no sense: %llu bytes allocated, %llu freed",
                         (unsigned long long)alloc_bytes, (unsigned long long)free_bytes);
    SNAPSHOT_SET(values, heap_alloc_bytes, alloc_bytes - free_bytes);
    SNAPSHOT_SET(values, total_alloc_bytes, alloc_bytes);
    SNAPSHOT_SET(values, mallocs, mallocs);
    SNAPSHOT_SET(values, frees, frees);
    SNAPSHOT_SET(values, heap_objects, mallocs - frees);
    SNAPSHOT_SET(values, heap_inuse_bytes, in_use);
    SNAPSHOT_SET(values, heap_idle_bytes, free_heap + released);
    SNAPSHOT_SET(values, heap_released_bytes, released);
    SNAPSHOT_SET(values, heap_sys_bytes, in_use + free_heap + released);
    SNAPSHOT_SET(values, heap_live_bytes, u64_at(stats->gc, layout->gc_heap_marked));
    SNAPSHOT_SET(values, next_gc_bytes, heap_goal(stats));
    return true;
}

/* All bytes from the system: readmemstats_m's totalMapped. */
static uint64_t sys_bytes(const struct heap_stats *stats, const struct heap_sums *sums)
{
    const struct go_layout *layout = stats->layout;

    return u64_at(stats->gc, layout->gc_heap_in_use) + u64_at(stats->gc, layout->gc_heap_free) +
           u64_at(stats->gc, layout->gc_heap_released) +
           u64_at(stats->stats, layout->stats_stacks_sys) +
           u64_at(stats->stats, layout->stats_mspan_sys) +
           u64_at(stats->stats, layout->stats_mcache_sys) +
           u64_at(stats->stats, layout->stats_buckhash_sys) +
           u64_at(stats->stats, layout->stats_gc_misc_sys) +
           u64_at(stats->stats, layout->stats_other_sys) + (uint64_t)sums->in_stacks +
           (uint64_t)sums->in_work_bufs + (uint64_t)sums->in_ptr_scalar_bits;
}

static void fill_system(const struct heap_stats *stats, const struct heap_sums *sums,
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

static void fill_gc(const struct heap_stats *stats, struct snapshot_values *values)
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
    if (i64_at(stats->gc, GO_GC_MEMORY_LIMIT) != INT64_MAX)
        SNAPSHOT_SET(values, gomemlimit_bytes, u64_at(stats->gc, GO_GC_MEMORY_LIMIT));
}

static void fill_scheduler(const struct heap_stats *stats, struct snapshot_values *values)
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

bool heap_stats_read(struct heap_stats *stats, struct snapshot_values *values, uint64_t *retries,
                     struct error *err)
{
    struct heap_sums sums;

    if (!read_consistent(stats, &sums, retries, err))
        return error_wrap(err, "memory statistics");
    if (!fill_heap(stats, &sums, values, err))
        return false;
    fill_system(stats, &sums, values);
    fill_gc(stats, values);
    fill_scheduler(stats, values);
    return true;
}

/* The self-check. */

struct identity {
    const char *name;
    bool held;
};

static bool try_identities(struct heap_stats *stats, struct identity identities[4])
{
    const struct go_layout *layout = stats->layout;
    struct heap_sums sums;

    sum_deltas(stats, &sums);
    uint64_t in_use = u64_at(stats->gc, layout->gc_heap_in_use);
    uint64_t released = u64_at(stats->gc, layout->gc_heap_released);
    uint64_t free_heap = u64_at(stats->gc, layout->gc_heap_free);
    identities[0].held |= (uint64_t)sums.in_heap == in_use && in_use != 0;
    identities[1].held |= (uint64_t)sums.released == released;
    identities[2].held |=
        (uint64_t)(sums.committed - sums.in_stacks - sums.in_work_bufs -
                   sums.in_ptr_scalar_bits) == in_use + free_heap;
    identities[3].held |= u64_at(stats->gc, layout->gc_mapped_ready) ==
                          sys_bytes(stats, &sums) - (uint64_t)sums.released;
    return identities[0].held && identities[1].held && identities[2].held && identities[3].held;
}

bool heap_stats_check(struct heap_stats *stats, struct error *err)
{
    struct identity identities[4] = {{"heap in use", false},
                                     {"heap released", false},
                                     {"heap retained", false},
                                     {"memory mapped", false}};

    for (unsigned tries = 0; tries < CHECK_TRIES; tries++) {
        if (!read_centre(stats, err))
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
