/* heap_stats_read.c - MemStats from a made-up runtime: sums, corrections, goal, self-check. */
#include "core/goproc/heap_stats.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/symbols.h"
#include "core/store/fields.h"

enum { PROCESSORS = 2, SPANS = 3, P_BYTES = 4096, CACHE_BYTES = 2048, SPAN_BYTES = 256 };
#define MIB (UINT64_C(1) << 20)

/* Everything of a Go runtime that is read, in one piece of memory. */
struct runtime {
    unsigned char memstats[10240];
    unsigned char gc[512];
    unsigned char mheap[96 << 10];
    unsigned char sched[512];
    uint64_t allglen;
    uint64_t allp[3];
    uint64_t allp_array[PROCESSORS];
    int32_t gomaxprocs;
    unsigned char processors[PROCESSORS][P_BYTES];
    unsigned char caches[PROCESSORS][CACHE_BYTES];
    unsigned char spans[SPANS][SPAN_BYTES]; /* the first one is the empty one */
    unsigned reads;
    bool gc_between;
};

#define BASE UINT64_C(0xc000000000)
#define AT(member) (BASE + offsetof(struct runtime, member))

static struct runtime runtime;
static const struct go_layout *layout;
static struct memory memory;
static struct symbols symbols;
static struct heap_stats *stats;
static struct snapshot_values values;

static size_t runtime_read(void *context, const struct memory_part *parts, size_t count,
                           struct error *err)
{
    const struct memory_segment segment = {BASE, context, sizeof(struct runtime)};
    const struct memory_image image = {&segment, 1};
    struct memory inner;
    size_t wanted = 0;

    memory_open_image(&inner, &image);
    if (runtime.reads++ == 1 && runtime.gc_between)
        runtime.memstats[layout->stats_numgc]++;
    for (size_t i = 0; i < count; i++)
        wanted += parts[i].length;
    return memory_read_parts(&inner, parts, count, err) ? wanted : 0;
}

static void put(unsigned char *base, size_t offset, uint64_t value)
{
    memcpy(base + offset, &value, sizeof(value));
}

static void put32(unsigned char *base, size_t offset, uint32_t value)
{
    memcpy(base + offset, &value, sizeof(value));
}

static void put_span(size_t index, uint64_t pages, uint16_t allocated, uint16_t before, uint8_t span_class)
{
    unsigned char *span = runtime.spans[index];
    put(span, layout->mspan_npages, pages);
    memcpy(span + layout->mspan_alloc_count, &allocated, 2);
    if (layout->mspan_before_cache != GO_LAYOUT_ABSENT)
        memcpy(span + layout->mspan_before_cache, &before, 2);
    span[layout->mspan_spanclass] = span_class;
}

static void open_runtime(const char *version)
{
    struct error err = {0};

    layout = go_layout_find(version, &err);
    memset(&runtime, 0, sizeof(runtime));
    memset(&values, 0, sizeof(values));
    symbols.address[SYMBOL_MEMSTATS] = AT(memstats);
    symbols.address[SYMBOL_GC_CONTROLLER] = AT(gc);
    symbols.address[SYMBOL_MHEAP] = AT(mheap);
    symbols.address[SYMBOL_SCHED] = AT(sched);
    symbols.address[SYMBOL_ALLGLEN] = AT(allglen);
    symbols.address[SYMBOL_ALLP] = AT(allp);
    symbols.address[SYMBOL_GOMAXPROCS] = AT(gomaxprocs);
    runtime.gomaxprocs = PROCESSORS;
    runtime.allp[0] = AT(allp_array);
    runtime.allp[1] = runtime.allp[2] = PROCESSORS;
    for (size_t i = 0; i < PROCESSORS; i++) {
        runtime.allp_array[i] = AT(processors) + i * P_BYTES;
        put(runtime.processors[i], layout->p_mcache, AT(caches) + i * CACHE_BYTES);
        for (size_t c = 0; c < GO_SPAN_CLASSES; c++)
            put(runtime.caches[i], layout->mcache_alloc + 8 * c, AT(spans));
    }
    if (layout->gc_memory_limit != GO_LAYOUT_ABSENT) {
        put(runtime.gc, layout->gc_memory_limit, INT64_MAX);
        put(runtime.gc, layout->gc_triggered, UINT64_MAX);
    }
    memory_open_source(&memory, runtime_read, &runtime, NULL);
    stats = heap_stats_new(&memory, layout, &symbols);
}

static void close_runtime(void)
{
    heap_stats_free(stats);
    memory_close(&memory);
}

static void read_stats(void)
{
    struct error err = {0};
    uint64_t retries = 0;
    cr_assert(heap_stats_read(stats, &values, &retries, &err), "%s", err.message);
}

static unsigned char *delta(size_t index)
{
    return runtime.memstats + layout->stats_deltas + index * layout->delta_bytes;
}

static void check_sums(const char *version)
{
    open_runtime(version);
    /* Class 5 is 48 bytes, class 67 is 32768.  One delta may be negative for itself. */
    put(delta(0), layout->delta_small_alloc_count + 8 * 5, 100);
    put(delta(1), layout->delta_small_alloc_count + 8 * 5, (uint64_t)-10);
    put(delta(2), layout->delta_small_free_count + 8 * 5, 30);
    put(delta(0), layout->delta_small_alloc_count + 8 * 67, 2);
    put(delta(0), layout->delta_large_alloc, 5 * MIB);
    put(delta(0), layout->delta_large_alloc_count, 3);
    put(delta(1), layout->delta_large_free, 1 * MIB);
    put(delta(1), layout->delta_large_free_count, 1);
    put(delta(2), layout->delta_tiny_alloc_count, 7);
    put(delta(0), GO_DELTA_IN_STACKS, 4096);
    /* What the Ps hold back: 4 objects of 48 bytes, and 5 tiny ones. */
    put_span(1, 1, 9, 5, 5 << 1);
    put(runtime.caches[1], layout->mcache_alloc + 8 * 10, AT(spans) + 1 * SPAN_BYTES);
    put(runtime.caches[0], layout->mcache_tiny_allocs, 5);
    /* A span that counts nothing new. */
    put_span(2, 1, 50, 50, 6 << 1);
    put(runtime.caches[0], layout->mcache_alloc + 8 * 12, AT(spans) + 2 * SPAN_BYTES);
    for (int again = 0; again < 2; again++) { /* the second time the empty span is known */
        read_stats();
        cr_assert_eq(values.total_alloc_bytes, 94 * 48 + 2 * 32768 + 5 * MIB);
        cr_assert_eq(values.heap_alloc_bytes, 64 * 48 + 2 * 32768 + 4 * MIB);
        cr_assert_eq(values.mallocs, 94 + 2 + 3 + 12);
        cr_assert_eq(values.frees, 30 + 1 + 12);
        cr_assert_eq(values.heap_objects, 64 + 2 + 2);
        cr_assert_eq(values.stack_inuse_bytes, 4096);
    }
    close_runtime();
}

Test(heap_stats, adds_up_the_deltas_and_what_the_ps_hold_back)
{
    check_sums("go1.19.8");
    check_sums("go1.21.13");
    check_sums("go1.24.13");
    check_sums("go1.27.3");
}

static void put_gc(uint64_t goal, uint64_t limit, uint64_t marked)
{
    put(runtime.gc, layout->gc_percent_heap_goal, goal);
    put(runtime.gc, layout->gc_memory_limit, limit);
    put(runtime.gc, layout->gc_heap_marked, marked);
    put(runtime.gc, layout->gc_mapped_ready, 30 * MIB);
    put(runtime.gc, layout->gc_heap_free, 2 * MIB);
    put(runtime.gc, layout->gc_total_alloc, 120 * MIB);
    put(runtime.gc, layout->gc_total_free, 100 * MIB);
}

static uint64_t next_gc(void)
{
    read_stats();
    return values.next_gc_bytes;
}

Test(heap_stats, takes_the_goal_from_gogc_the_trigger_and_the_memory_limit)
{
    open_runtime("go1.26.8");
    put_gc(40 * MIB, INT64_MAX, 10 * MIB);
    cr_assert_eq(next_gc(), 40 * MIB);
    put(runtime.gc, layout->gc_sweep_dist_min_trigger, 41 * MIB);
    cr_assert_eq(next_gc(), 41 * MIB);
    put(runtime.gc, layout->gc_triggered, 42 * MIB);
    cr_assert_eq(next_gc(), 42 * MIB + 65536);

    /* 100 MiB of which 8 are not heap: 92, less 3 % headroom. */
    put_gc(UINT64_MAX, 100 * MIB, 10 * MIB);
    cr_assert_eq(next_gc(), 92 * MIB - 92 * MIB / 100 * 3);
    /* 20 MiB: 8 outside, 10 over: 2 left, headroom 1 MiB; but never less than what is marked. */
    put_gc(UINT64_MAX, 20 * MIB, 512 << 10);
    cr_assert_eq(next_gc(), 1 * MIB);
    put_gc(UINT64_MAX, 20 * MIB, 15 * MIB);
    cr_assert_eq(next_gc(), 15 * MIB);
    put_gc(UINT64_MAX, 10 * MIB, 9 * MIB); /* hopeless: more is outside than allowed */
    cr_assert_eq(next_gc(), 9 * MIB);
    close_runtime();

    open_runtime("go1.19.8"); /* one MiB of headroom, whatever the size */
    put_gc(UINT64_MAX, 100 * MIB, 10 * MIB);
    cr_assert_eq(next_gc(), 91 * MIB);
    close_runtime();
}

Test(heap_stats, leaves_out_what_the_runtime_does_not_have)
{
    open_runtime("go1.26.8");
    read_stats();
    cr_assert_not(SNAPSHOT_HAS(&values, gomemlimit_bytes));
    cr_assert_not(SNAPSHOT_HAS(&values, last_gc_pause_ns), "there has been no GC");
    put(runtime.gc, layout->gc_memory_limit, 64 * MIB);
    put32(runtime.memstats, layout->stats_numgc, 258);
    put(runtime.memstats, layout->stats_pause_ns + 8 * 1, 4711); /* (258 + 255) % 256 */
    read_stats();
    cr_assert_eq(values.gomemlimit_bytes, 64 * MIB);
    cr_assert_eq(values.last_gc_pause_ns, 4711);
    close_runtime();
}

Test(heap_stats, counts_goroutines_without_free_ones_and_the_runtimes_own)
{
    open_runtime("go1.26.8");
    runtime.allglen = 50;
    put32(runtime.sched, layout->sched_ngsys, 6);
    put32(runtime.sched, layout->sched_gfree_count, 10);
    put32(runtime.sched, layout->sched_gfree_nostack_count, 4);
    put32(runtime.processors[0], layout->p_gfree_count, 3);
    put32(runtime.processors[1], layout->p_gfree_count, 2);
    put32(runtime.gc, GO_GC_PERCENT, (uint32_t)-1);
    read_stats();
    cr_assert_eq(values.goroutines, 25);
    cr_assert_eq(values.gomaxprocs, 2);
    cr_assert_eq(values.gogc_percent, -1);
    runtime.allglen = 5; /* the parts are not read in one instant */
    read_stats();
    cr_assert_eq(values.goroutines, 1);
    close_runtime();
}

Test(heap_stats, reads_again_when_a_gc_came_in_between)
{
    struct error err = {0};
    uint64_t retries = 0;
    open_runtime("go1.26.8");
    runtime.gc_between = true;
    cr_assert(heap_stats_read(stats, &values, &retries, &err), "%s", err.message);
    cr_assert_eq(retries, 1);
    cr_assert_eq(values.num_gc, 1);
    close_runtime();
}

static void check_refused(enum error_code code, const char *says)
{
    struct error err = {0};
    uint64_t retries = 0;
    cr_assert_not(heap_stats_read(stats, &values, &retries, &err));
    cr_assert_eq(err.code, code, "%s", err.message);
    cr_assert_not_null(strstr(err.message, says), "%s", err.message);
}

Test(heap_stats, refuses_numbers_that_make_no_sense)
{
    open_runtime("go1.26.8");
    runtime.allp[1] = UINT64_MAX;
    check_refused(ERROR_CORRUPT, "allp");
    runtime.allp[1] = PROCESSORS;
    runtime.gomaxprocs = 7;
    check_refused(ERROR_BUSY, "GOMAXPROCS is 7");
    runtime.gomaxprocs = PROCESSORS;
    runtime.allp[0] = 8;
    check_refused(ERROR_CORRUPT, "");
    runtime.allp[0] = AT(allp_array);
    put(delta(0), layout->delta_large_free, 1);
    check_refused(ERROR_CORRUPT, "make no sense");
    put(delta(0), layout->delta_large_free, 0);
    put(delta(0), layout->delta_large_alloc, UINT64_C(1) << 60);
    check_refused(ERROR_CORRUPT, "make no sense");
    put(delta(0), layout->delta_large_alloc, 0);
    read_stats();
    close_runtime();
}

/* Numbers for which all four identities hold. */
static void put_identities(void)
{
    put(delta(0), GO_DELTA_IN_HEAP, 8 * MIB);
    put(delta(1), GO_DELTA_IN_HEAP, 2 * MIB);
    put(delta(0), GO_DELTA_RELEASED, 3 * MIB);
    put(delta(0), GO_DELTA_IN_STACKS, 1 * MIB);
    put(delta(2), GO_DELTA_IN_WORK_BUFS, 65536);
    put(delta(0), GO_DELTA_COMMITTED, 10 * MIB + 4 * MIB + 1 * MIB + 65536);
    put(runtime.gc, layout->gc_heap_in_use, 10 * MIB);
    put(runtime.gc, layout->gc_heap_free, 4 * MIB);
    put(runtime.gc, layout->gc_heap_released, 3 * MIB);
    put(runtime.memstats, layout->stats_mspan_sys, 32768);
    put(runtime.gc, layout->gc_mapped_ready, 10 * MIB + 4 * MIB + 1 * MIB + 65536 + 32768);
}

/* Up to Go 1.18 the whole span is counted when an mcache takes it, and the heap's sizes are in memstats. */
Test(heap_stats, takes_back_the_free_places_that_1_18_counts_in_advance)
{
    const uint16_t places = 170;
    struct error err = {0};

    open_runtime("go1.18.10");
    put(delta(0), layout->delta_small_alloc_count + 8 * 5, 200);
    put(delta(2), layout->delta_small_free_count + 8 * 5, 30);
    put_span(1, 1, 160, 0, 5 << 1);
    memcpy(runtime.spans[1] + layout->mspan_object_slots, &places, sizeof(places));
    put(runtime.caches[1], layout->mcache_alloc + 8 * 10, AT(spans) + 1 * SPAN_BYTES);
    put(delta(0), GO_DELTA_IN_HEAP, 10 * MIB);
    put(delta(1), GO_DELTA_RELEASED, 3 * MIB);
    put(delta(0), GO_DELTA_COMMITTED, 14 * MIB);
    put(runtime.memstats, layout->stats_heap_sys, 17 * MIB);
    put(runtime.memstats, layout->stats_heap_in_use, 10 * MIB);
    put(runtime.memstats, layout->stats_heap_released, 3 * MIB);
    put(runtime.gc, layout->gc_heap_goal, 42 * MIB);
    read_stats();
    cr_assert_eq(values.mallocs, 190);
    cr_assert_eq(values.frees, 30);
    cr_assert_eq(values.heap_inuse_bytes, 10 * MIB);
    cr_assert_eq(values.heap_idle_bytes, 7 * MIB);
    cr_assert_eq(values.heap_sys_bytes, 17 * MIB);
    cr_assert_eq(values.next_gc_bytes, 42 * MIB);
    cr_assert_not(SNAPSHOT_HAS(&values, gomemlimit_bytes));
    cr_assert(heap_stats_check(stats, &err), "%s", err.message);
    runtime.memstats[layout->stats_heap_in_use] ^= 8;
    cr_assert_not(heap_stats_check(stats, &err));
    cr_assert_not_null(strstr(err.message, "heap in use"), "%s", err.message);
    memset(&values, 0, sizeof(values));
    put(runtime.gc, layout->gc_heap_goal, UINT64_MAX); /* GOGC=off */
    read_stats();
    cr_assert_not(SNAPSHOT_HAS(&values, next_gc_bytes));
    close_runtime();
}

Test(heap_stats, proves_the_layout_by_what_the_runtime_counts_twice)
{
    static const struct {
        const char *says;
        size_t offset;
    } lies[] = {{"heap in use", 272}, {"heap released", 280}, {"heap retained", 288},
                {"memory mapped", 312}}; /* Go 1.26's gcController */
    struct error err = {0};

    open_runtime("go1.26.8");
    put_identities();
    cr_assert(heap_stats_check(stats, &err), "%s", err.message);
    for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
        put_identities();
        runtime.gc[lies[i].offset] ^= 8;
        cr_assert_not(heap_stats_check(stats, &err));
        cr_assert_eq(err.code, ERROR_UNSUPPORTED);
        cr_assert_not_null(strstr(err.message, lies[i].says), "%s", err.message);
    }
    close_runtime();
}
