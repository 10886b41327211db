/* What makes a variable believed, and what not: a small made-up process whose every value makes
 * sense, and one thing wrong with it at a time. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/symbol_checks.h"
#include "core/goproc/symbols.h"

enum {
    BASE = 0x100000,
    BYTES = 0x40000,
    TEXT = 0x400000,
    /* where things are, from BASE */
    SMALL_VARIABLES = 0x100,
    MEMSTATS = 0x1000,
    CONTROLLER = 0x4000,
    SCHEDULER = 0x5000,
    PROCESSORS = 0x6000,
    PROCESSOR = 0x7000,
    BUCKETS = 0x8000,
    BUCKET_BYTES = 0x200,
    HEAP = 0x10000,
};

struct made_process {
    unsigned char bytes[BYTES];
    struct memory memory;
    struct memory_segment segment;
    struct memory_image image;
    const struct go_layout *layout;
    struct moduledata module;
    struct symbols symbols;
};

static struct made_process process; /* too large for a stack */

static void put64(size_t at, uint64_t value)
{
    memcpy(process.bytes + at, &value, sizeof(value));
}

static void put32(size_t at, uint32_t value)
{
    memcpy(process.bytes + at, &value, sizeof(value));
}

static size_t offset_of(enum symbol_id id)
{
    return process.symbols.address[id] - BASE;
}

/* The record follows a stack of two pcs. */
static size_t record_of(size_t bucket)
{
    return BUCKETS + bucket * BUCKET_BYTES + 48 + 16;
}

static void put_bucket(size_t index, uint64_t size, uint64_t next_bucket)
{
    size_t at = BUCKETS + index * BUCKET_BYTES;
    put64(at + 8, next_bucket);
    put64(at + 16, 1);
    put64(at + 24, 77);
    put64(at + 32, size);
    put64(at + 40, 2);
    put64(at + 48, TEXT + 0x10);
    put64(at + 56, TEXT + 0x20);
}

/* Counts as each version keeps them, in the active cycle and the first future. */
static void put_counts(size_t bucket, uint64_t size)
{
    const uint64_t old[] = {5, 2, 5 * size, 2 * size, 3, 1, 3 * size, 1 * size};
    const uint64_t recent[] = {5, 2, 3, 1};
    if (process.layout->size_exact)
        memcpy(process.bytes + record_of(bucket), recent, sizeof(recent));
    else
        memcpy(process.bytes + record_of(bucket), old, sizeof(old));
}

static void make_process(const char *version)
{
    memset(&process, 0, sizeof(process));
    process.layout = go_layout_find(version, NULL);
    cr_assert_not_null(process.layout);
    process.segment = (struct memory_segment){BASE, process.bytes, BYTES};
    process.image = (struct memory_image){&process.segment, 1};
    memory_open_image(&process.memory, &process.image);
    process.module = (struct moduledata){.text = TEXT, .etext = TEXT + 0x1000};
    for (size_t i = 0; i < SYMBOL_COUNT; i++)
        process.symbols.address[i] = BASE + SMALL_VARIABLES + 32 * i;
    process.symbols.address[SYMBOL_MEMSTATS] = BASE + MEMSTATS;
    process.symbols.address[SYMBOL_GC_CONTROLLER] = BASE + CONTROLLER;
    process.symbols.address[SYMBOL_SCHED] = BASE + SCHEDULER;
    process.symbols.address[SYMBOL_MHEAP] = BASE + HEAP;

    put64(offset_of(SYMBOL_MBUCKETS), BASE + BUCKETS);
    put_bucket(0, 64, BASE + BUCKETS + BUCKET_BYTES);
    put_bucket(1, 4096, 0);
    put_counts(0, 64);
    put_counts(1, 4096);
    put32(offset_of(SYMBOL_MPROF_CYCLE), 9);
    put64(offset_of(SYMBOL_MEM_PROFILE_RATE), 524288);
    put32(offset_of(SYMBOL_GOMAXPROCS), 2);
    put64(offset_of(SYMBOL_ALLP), BASE + PROCESSORS);
    put64(offset_of(SYMBOL_ALLP) + 8, 2);
    put64(offset_of(SYMBOL_ALLP) + 16, 2);
    put64(PROCESSORS, BASE + PROCESSOR);
    put64(PROCESSORS + 8, BASE + PROCESSOR + 64);
    put32(PROCESSOR + 64, 1);
    put64(offset_of(SYMBOL_ALLGLEN), 12);
    put64(SCHEDULER, 32);
    put32(SCHEDULER + process.layout->sched_ngsys, 5);
    put32(CONTROLLER + GO_GC_PERCENT, 100);
    put64(CONTROLLER + process.layout->gc_memory_limit, INT64_MAX);
    put64(MEMSTATS + process.layout->stats_mspan_sys, 48960);
    put64(MEMSTATS + process.layout->stats_mcache_sys, 15600);
    put64(HEAP + process.layout->mheap_spanalloc_inuse, 35840);
    put64(HEAP + process.layout->mheap_cachealloc_inuse, 2400);
}

static bool run(struct error *err)
{
    return symbol_checks_run(&process.memory, process.layout, &process.module, &process.symbols,
                             err);
}

static bool run_records(struct error *err)
{
    return symbol_checks_records(&process.memory, process.layout, &process.module, &process.symbols,
                                 err);
}

static void expect_refusal(const char *name)
{
    struct error err = {0};
    cr_assert_not(run(&err), "%s", name);
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, name), "%s is not in: %s", name, err.message);
}

Test(symbol_checks, believe_a_process_in_which_everything_makes_sense)
{
    static const char *const versions[] = {"go1.19.8", "go1.23.12", "go1.25.12", "go1.27.3"};
    for (size_t i = 0; i < sizeof(versions) / sizeof(versions[0]); i++) {
        struct error err = {0};
        make_process(versions[i]);
        cr_assert(run(&err), "%s: %s", versions[i], err.message);
        cr_assert(run_records(&err), "%s: %s", versions[i], err.message);
    }
}

Test(symbol_checks, allow_an_empty_profile_and_gc_switched_off)
{
    make_process("go1.26.8");
    put64(offset_of(SYMBOL_MBUCKETS), 0);
    put64(offset_of(SYMBOL_MEM_PROFILE_RATE), 0);
    put32(CONTROLLER + GO_GC_PERCENT, UINT32_MAX);
    cr_assert(run(NULL));
    cr_assert(run_records(NULL));
}

Test(symbol_checks, refuse_a_list_of_something_else)
{
    make_process("go1.26.8");
    put64(offset_of(SYMBOL_MBUCKETS), BASE + BUCKETS + 4);
    expect_refusal("runtime.mbuckets");
    put64(offset_of(SYMBOL_MBUCKETS), 0x77777770);
    expect_refusal("runtime.mbuckets");
    make_process("go1.26.8");
    put64(BUCKETS + 16, 2); /* a block profile record */
    expect_refusal("runtime.mbuckets");
    make_process("go1.26.8");
    put64(BUCKETS + 40, 5000);
    expect_refusal("runtime.mbuckets");
    make_process("go1.26.8");
    put64(BUCKETS + 48, 0x1234);
    put64(BUCKETS + 56, 0x1234);
    expect_refusal("runtime.mbuckets");
}

Test(symbol_checks, refuse_values_out_of_range)
{
    make_process("go1.23.12");
    put32(offset_of(SYMBOL_MPROF_CYCLE), UINT32_MAX);
    expect_refusal("runtime.mProfCycle");
    make_process("go1.23.12");
    put64(offset_of(SYMBOL_MPROF_ACTIVE_LOCK), 0xc000012000);
    expect_refusal("runtime.profMemActiveLock");
    make_process("go1.23.12");
    put32(CONTROLLER + GO_GC_PERCENT, 0x7fffffff);
    expect_refusal("runtime.gcController");
    make_process("go1.23.12");
    put64(CONTROLLER + process.layout->gc_memory_limit, UINT64_MAX);
    expect_refusal("runtime.gcController");
}

/* A program may set any rate: below 0 is off, the largest there is means as good as none. */
Test(symbol_checks, allow_any_rate_but_one_that_is_an_address_of_something)
{
    static const uint64_t rates[] = {1, UINT64_C(1) << 40, INT64_MAX, UINT64_MAX};
    static const uint64_t heap = 0xc000000000;
    make_process("go1.26.8");
    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct error err = {0};
        put64(offset_of(SYMBOL_MEM_PROFILE_RATE), rates[i]);
        cr_assert(run(&err), "rate %llu: %s", (unsigned long long)rates[i], err.message);
    }
    const struct memory_segment segments[] = {process.segment, {heap, process.bytes, 4096}};
    process.image = (struct memory_image){segments, 2};
    put64(offset_of(SYMBOL_MEM_PROFILE_RATE), heap + 64);
    expect_refusal("runtime.MemProfileRate");
}

Test(symbol_checks, refuse_processors_that_do_not_know_their_numbers)
{
    make_process("go1.26.8");
    put32(PROCESSOR + 64, 7);
    expect_refusal("runtime.allp");
    make_process("go1.26.8");
    put64(offset_of(SYMBOL_ALLP) + 8, 3);
    expect_refusal("runtime.allp");
    make_process("go1.26.8");
    put32(offset_of(SYMBOL_GOMAXPROCS), 0);
    expect_refusal("runtime.gomaxprocs");
}

Test(symbol_checks, refuse_counts_that_exceed_their_bounds)
{
    make_process("go1.26.8");
    put64(SCHEDULER, 11); /* fewer goroutines numbered than listed */
    expect_refusal("runtime.sched");
    make_process("go1.26.8");
    put64(offset_of(SYMBOL_ALLGLEN), 0);
    expect_refusal("runtime.allglen");
    make_process("go1.26.8");
    put64(HEAP + process.layout->mheap_spanalloc_inuse, 48961);
    expect_refusal("runtime.mheap_");
    make_process("go1.26.8");
    put64(HEAP + process.layout->mheap_cachealloc_inuse, 0);
    expect_refusal("runtime.mheap_");
}

Test(symbol_checks, say_what_cannot_be_read)
{
    struct error err = {0};
    make_process("go1.26.8");
    process.symbols.address[SYMBOL_SCHED] = 0x10;
    cr_assert_not(run(&err));
    cr_assert_not_null(strstr(err.message, "runtime.sched"), "%s", err.message);
}

/* A version that is not known: are the records still what the newest known one keeps? */

Test(symbol_checks, notice_records_that_hold_bytes_where_the_layout_has_none)
{
    struct error err = {0};
    make_process("go1.26.8");
    process.layout = go_layout_find("go1.27.3", NULL);
    cr_assert_not(run_records(&err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
}

Test(symbol_checks, notice_records_without_the_bytes_that_the_layout_has)
{
    struct error err = {0};
    make_process("go1.27.3");
    process.layout = go_layout_find("go1.26.8", NULL);
    cr_assert_not(run_records(&err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
}

Test(symbol_checks, notice_more_freed_than_allocated)
{
    make_process("go1.27.3");
    put64(record_of(1) + 8, 6); /* of 5 */
    cr_assert_not(run_records(NULL));
}

Test(symbol_checks, end_on_a_list_that_bites_its_tail)
{
    make_process("go1.27.3");
    put_bucket(1, 4096, BASE + BUCKETS);
    cr_assert(run_records(NULL));
}
