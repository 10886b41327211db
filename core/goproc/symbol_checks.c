/* symbol_checks.c - one check for each variable, run while the target runs.
 *
 * What is compared changes under our eyes, so only what holds at every instant is asked for:
 * ranges, pointers to things that name themselves, counts that cannot be exceeded.  Sources:
 * src/runtime/{mprof,runtime2,proc,mheap,mgcpacer}.go, Go 1.19 to 1.27. */
#include "core/goproc/symbol_checks.h"

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/symbols.h"

enum {
    PROCESSORS_MAX = 1 << 20,
    STACK_PCS_MAX = 1026,
    BUCKET_MEMORY = 1,
    PROCESSORS_CHECKED = 4,
    CHECK_TRIES = 60,
};
#define CHECK_PAUSE_NS 3000000L
#define CYCLE_WRAP (UINT64_C(3) << 25)
#define RATE_MAX (UINT64_C(1) << 31)
#define GOROUTINES_MAX (UINT64_C(1) << 40)
#define GC_PERCENT_OFF UINT32_MAX
#define GC_PERCENT_MAX (UINT32_C(1) << 24)

struct check {
    struct memory *memory;
    const struct go_layout *layout;
    const struct moduledata *module;
    const struct symbols *symbols;
    struct error *err;
};

static bool refuse(const struct check *check, enum symbol_id id, const char *what, uint64_t value)
{
    return error_set(check->err, ERROR_UNSUPPORTED,
                     "stripped, and what was taken for %s (0x%llx) is not it: %s %llu",
                     symbols_name(id), (unsigned long long)check->symbols->address[id], what,
                     (unsigned long long)value);
}

static bool read_at(const struct check *check, enum symbol_id id, uint64_t offset, void *into,
                    size_t length)
{
    if (memory_read(check->memory, check->symbols->address[id] + offset, into, length, check->err))
        return true;
    return error_wrap(check->err, "%s", symbols_name(id));
}

static bool is_text(const struct moduledata *module, uint64_t pc)
{
    return pc >= module->text && pc < module->etext;
}

/* Empty, or a record of the heap profile with a stack that begins in code. */
static bool check_mbuckets(const struct check *check)
{
    struct {
        uint64_t next, allnext, type, hash, size, stack_count, first_pc;
    } bucket;
    uint64_t head;

    if (!read_at(check, SYMBOL_MBUCKETS, 0, &head, sizeof(head)))
        return false;
    if (head == 0)
        return true;
    if (head % 8 != 0 || !memory_read(check->memory, head, &bucket, sizeof(bucket), NULL))
        return refuse(check, SYMBOL_MBUCKETS, "it points to", head);
    if (bucket.type != BUCKET_MEMORY)
        return refuse(check, SYMBOL_MBUCKETS, "type of its first record is", bucket.type);
    if (bucket.stack_count > STACK_PCS_MAX)
        return refuse(check, SYMBOL_MBUCKETS, "depth of its first stack is", bucket.stack_count);
    /* cgo programs may have C code at the leaf, but not on a heap record: it is Go that allocates.
     */
    if (bucket.stack_count > 0 && !is_text(check->module, bucket.first_pc) &&
        bucket.first_pc != UINT64_MAX)
        return refuse(check, SYMBOL_MBUCKETS,
                      "its first stack begins outside of code:", bucket.first_pc);
    return true;
}

static bool check_profile(const struct check *check)
{
    uint32_t cycle;
    uint64_t rate, lock;

    if (!read_at(check, SYMBOL_MPROF_CYCLE, 0, &cycle, sizeof(cycle)) ||
        !read_at(check, SYMBOL_MEM_PROFILE_RATE, 0, &rate, sizeof(rate)) ||
        !read_at(check, SYMBOL_MPROF_ACTIVE_LOCK, 0, &lock, sizeof(lock)))
        return false;
    if (cycle >> 1 >= CYCLE_WRAP)
        return refuse(check, SYMBOL_MPROF_CYCLE, "its cycle is", cycle >> 1);
    if (rate > RATE_MAX)
        return refuse(check, SYMBOL_MEM_PROFILE_RATE, "the rate is", rate);
    /* Before spinbit mutexes: 0 free, 1 held, 2 held with sleepers. */
    if (!check->layout->spinbit_mutex && lock > 2)
        return refuse(check, SYMBOL_MPROF_ACTIVE_LOCK, "its state is", lock);
    return true;
}

/* The processors know their own numbers (p.id is the first member). */
static bool check_processors(const struct check *check)
{
    uint64_t slice[3], processor[PROCESSORS_CHECKED];
    int32_t count, id;

    if (!read_at(check, SYMBOL_GOMAXPROCS, 0, &count, sizeof(count)) ||
        !read_at(check, SYMBOL_ALLP, 0, slice, sizeof(slice)))
        return false;
    if (count < 1 || count > PROCESSORS_MAX)
        return refuse(check, SYMBOL_GOMAXPROCS, "it is", (uint64_t)(uint32_t)count);
    if (slice[1] != (uint64_t)count || slice[2] < slice[1])
        return refuse(check, SYMBOL_ALLP, "GOMAXPROCS is not its length,", slice[1]);
    size_t checked = count < PROCESSORS_CHECKED ? (size_t)count : PROCESSORS_CHECKED;
    if (!memory_read(check->memory, slice[0], processor, checked * 8, NULL))
        return refuse(check, SYMBOL_ALLP, "it points to", slice[0]);
    for (size_t i = 0; i < checked; i++)
        if (!memory_read(check->memory, processor[i], &id, sizeof(id), NULL) || id != (int32_t)i)
            return refuse(check, SYMBOL_ALLP, "another number is in processor", i);
    return true;
}

/* sched.goidgen, its first member, numbers goroutines; the list of goroutines holds no more than
 * were ever numbered. */
static bool check_goroutines(const struct check *check)
{
    uint64_t length, numbered;
    uint32_t system;

    if (!read_at(check, SYMBOL_ALLGLEN, 0, &length, sizeof(length)) ||
        !read_at(check, SYMBOL_SCHED, 0, &numbered, sizeof(numbered)) ||
        !read_at(check, SYMBOL_SCHED, check->layout->sched_ngsys, &system, sizeof(system)))
        return false;
    if (length < 1 || length > GOROUTINES_MAX)
        return refuse(check, SYMBOL_ALLGLEN, "it is", length);
    if (numbered < length || numbered > GOROUTINES_MAX)
        return refuse(check, SYMBOL_SCHED, "goroutines numbered so far:", numbered);
    if (system > length)
        return refuse(check, SYMBOL_SCHED, "goroutines of the system:", system);
    return true;
}

static bool check_heap(const struct check *check)
{
    uint32_t percent;
    uint64_t limit, spans, caches, spans_sys, caches_sys;

    if (!read_at(check, SYMBOL_GC_CONTROLLER, GO_GC_PERCENT, &percent, sizeof(percent)) ||
        !read_at(check, SYMBOL_GC_CONTROLLER, GO_GC_MEMORY_LIMIT, &limit, sizeof(limit)) ||
        !read_at(check, SYMBOL_MHEAP, check->layout->mheap_spanalloc_inuse, &spans,
                 sizeof(spans)) ||
        !read_at(check, SYMBOL_MHEAP, check->layout->mheap_cachealloc_inuse, &caches,
                 sizeof(caches)) ||
        !read_at(check, SYMBOL_MEMSTATS, check->layout->stats_mspan_sys, &spans_sys,
                 sizeof(spans_sys)) ||
        !read_at(check, SYMBOL_MEMSTATS, check->layout->stats_mcache_sys, &caches_sys,
                 sizeof(caches_sys)))
        return false;
    if (percent != GC_PERCENT_OFF && percent > GC_PERCENT_MAX)
        return refuse(check, SYMBOL_GC_CONTROLLER, "GOGC would be", percent);
    if (limit > INT64_MAX)
        return refuse(check, SYMBOL_GC_CONTROLLER, "the memory limit would be", limit);
    /* In use is counted after the memory was taken, and the memory is never given back. */
    if (spans == 0 || spans > spans_sys)
        return refuse(check, SYMBOL_MHEAP, "bytes of spans in use:", spans);
    if (caches == 0 || caches > caches_sys)
        return refuse(check, SYMBOL_MHEAP, "bytes of caches in use:", caches);
    return true;
}

static bool check_all(const struct check *check)
{
    return check_mbuckets(check) && check_profile(check) && check_processors(check) &&
           check_goroutines(check) && check_heap(check);
}

bool symbol_checks_run(struct memory *memory, const struct go_layout *layout,
                       const struct moduledata *module, const struct symbols *symbols,
                       struct error *err)
{
    struct error cause = {0};
    const struct check check = {memory, layout, module, symbols, &cause};

    /* The runtime may just be starting, GOMAXPROCS change, a count be read before its bound: again,
     * then, for a while. */
    for (unsigned tries = 0; tries < CHECK_TRIES; tries++) {
        if (check_all(&check))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = CHECK_PAUSE_NS}, NULL);
    }
    return error_set(err, cause.code, "%s", cause.message);
}
