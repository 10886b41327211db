/* heap_reading.c - copies the words that memory statistics are made of.
 *
 * Called by heap_stats.c.  The runtime goes on meanwhile: what tells that the numbers moved is read
 * before and after. */
#include "core/goproc/heap_reading.h"

#include <stdlib.h>

#include "core/goproc/heap_stats.h"
#include "core/goproc/memory.h"
#include "core/goproc/memory_gather.h"
#include "core/goproc/symbols.h"

enum {
    SPAN_MAX_BYTES = 96,
    READ_TRIES = 4,
};

static void release_processors(struct heap_reading *stats)
{
    free(stats->allp);
    free(stats->processors);
    free(stats->parts);
    free(stats->spans);
    stats->allp = NULL;
    stats->processors = NULL;
    stats->parts = NULL;
    stats->spans = NULL;
    stats->processor_capacity = 0;
}

struct heap_reading *heap_reading_new(struct memory *memory, const struct go_layout *layout,
                                      const struct symbols *symbols, uint64_t empty_span)
{
    struct heap_reading *stats = calloc(1, sizeof(*stats));
    if (stats == NULL)
        return NULL;
    stats->memory = memory;
    stats->layout = layout;
    stats->symbols = symbols;
    stats->empty_span = empty_span;
    return stats;
}

void heap_reading_free(struct heap_reading *stats)
{
    if (stats == NULL)
        return;
    release_processors(stats);
    free(stats);
}

static uint64_t address_of(const struct heap_reading *stats, enum symbol_id id)
{
    return stats->symbols->address[id];
}

static size_t later(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* How much of runtime.memstats, and of gcController, is read. */
static size_t stats_bytes(const struct go_layout *layout)
{
    return later(layout->stats_gc_cpu_fraction + 8, layout->stats_gen + 4);
}

static size_t gc_bytes(const struct go_layout *layout)
{
    if (layout->gc_mapped_ready != GO_LAYOUT_ABSENT)
        return layout->gc_mapped_ready + 8;
    return later(layout->gc_heap_goal, layout->gc_heap_marked) + 8;
}

bool heap_reading_centre(struct heap_reading *stats, struct error *err)
{
    const struct go_layout *layout = stats->layout;
    const struct memory_part parts[] = {
        {address_of(stats, SYMBOL_MEMSTATS), stats->stats, stats_bytes(layout)},
        {address_of(stats, SYMBOL_GC_CONTROLLER), stats->gc, gc_bytes(layout)},
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

static bool reserve_processors(struct heap_reading *stats, size_t count, struct error *err)
{
    if (count <= stats->processor_capacity)
        return true;
    release_processors(stats);
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
static bool read_processors(struct heap_reading *stats, size_t count, struct error *err)
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
    return memory_gather(stats->memory, stats->parts, used, err);
}

/* What the central counts do not say of a span that an mcache allocates from: from 1.19 on they lack the objects
 * handed out since it was cached; before, its free places were counted as handed out (mcache.go, releaseAll). */
static int64_t uncounted_objects(const struct go_layout *layout, const unsigned char *span)
{
    const int64_t allocated = u16_at(span, layout->mspan_alloc_count - layout->mspan_npages);

    if (layout->mspan_before_cache == GO_LAYOUT_ABSENT)
        return allocated - u16_at(span, layout->mspan_object_slots - layout->mspan_npages);
    const int64_t before = u16_at(span, layout->mspan_before_cache - layout->mspan_npages);
    return allocated > before ? allocated - before : 0;
}

static size_t span_bytes(const struct go_layout *layout)
{
    const size_t end = layout->mspan_before_cache == GO_LAYOUT_ABSENT
                           ? later(layout->mspan_alloc_count, layout->mspan_spanclass)
                           : layout->mspan_before_cache;
    return end + 2 - layout->mspan_npages;
}

static bool read_spans(struct heap_reading *stats, size_t count, struct heap_sums *sums,
                       struct error *err)
{
    const struct go_layout *layout = stats->layout;
    const size_t alloc = layout->mcache_alloc - layout->mcache_tiny_allocs;
    const size_t bytes = span_bytes(layout);
    size_t used = 0;

    for (size_t i = 0; i < count; i++) {
        sums->tiny_allocs += u64_at(stats->processors[i].cache, 0);
        for (size_t c = 0; c < GO_SPAN_CLASSES; c++) {
            uint64_t span = u64_at(stats->processors[i].cache, alloc + 8 * c);
            if (span == 0 || span == stats->empty_span)
                continue;
            stats->parts[used] = (struct memory_part){
                span + layout->mspan_npages, stats->spans + used * SPAN_MAX_BYTES, bytes};
            used++;
        }
    }
    if (!memory_gather(stats->memory, stats->parts, used, err))
        return false;
    for (size_t i = 0; i < used; i++) {
        const unsigned char *span = stats->parts[i].into;
        if (u64_at(span, 0) == 0) { /* npages: only emptymspan has none */
            stats->empty_span = stats->parts[i].address - layout->mspan_npages;
            continue;
        }
        size_t size_class = span[layout->mspan_spanclass - layout->mspan_npages] >> 1;
        if (size_class < GO_SIZE_CLASSES)
            sums->small_allocs[size_class] += (uint64_t)uncounted_objects(layout, span);
    }
    return true;
}

/* Up to 1.18 the statistics hold the sum instead of what is free. */
void heap_reading_totals(const struct heap_reading *stats, struct heap_totals *totals)
{
    const struct go_layout *layout = stats->layout;

    if (layout->stats_heap_sys == GO_LAYOUT_ABSENT) {
        *totals = (struct heap_totals){.in_use = u64_at(stats->gc, layout->gc_heap_in_use),
                                       .free = u64_at(stats->gc, layout->gc_heap_free),
                                       .released = u64_at(stats->gc, layout->gc_heap_released)};
        return;
    }
    const uint64_t all = u64_at(stats->stats, layout->stats_heap_sys);
    totals->in_use = u64_at(stats->stats, layout->stats_heap_in_use);
    totals->released = u64_at(stats->stats, layout->stats_heap_released);
    /* Copied while they change, two of three may be ahead of the sum. */
    const uint64_t taken = totals->in_use + totals->released;
    totals->free = all > taken ? all - taken : 0;
}

void heap_reading_sum(const struct heap_reading *stats, struct heap_sums *sums)
{
    const struct go_layout *layout = stats->layout;

    *sums = (struct heap_sums){0};
    for (size_t i = 0; i < GO_DELTA_COUNT; i++) {
        const unsigned char *delta = stats->stats + layout->stats_deltas + i * layout->delta_bytes;
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
static bool is_unmoved(struct heap_reading *stats, bool *unmoved, struct error *err)
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

bool heap_reading_all(struct heap_reading *stats, struct heap_sums *sums, uint64_t *retries,
                      struct error *err)
{
    for (unsigned tries = 0;; tries++) {
        bool unmoved = false;
        if (!heap_reading_centre(stats, err))
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
        heap_reading_sum(stats, sums);
        if (!reserve_processors(stats, (size_t)count, err) ||
            !read_processors(stats, (size_t)count, err) ||
            !read_spans(stats, (size_t)count, sums, err) || !is_unmoved(stats, &unmoved, err))
            return false;
        if (unmoved || tries == READ_TRIES)
            return true;
        (*retries)++;
    }
}
