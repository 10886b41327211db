/* symbol_checks.c - one check for each variable, run while the target runs.
 *
 * What is compared changes under our eyes, so only what holds at every instant is asked for:
 * ranges, pointers to things that name themselves, counts that cannot be exceeded.  Sources:
 * src/runtime/{mprof,runtime2,proc,mheap,mgcpacer,mgcsweep}.go, Go 1.18 to 1.27. */
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
    CYCLES = 4, /* active and three futures */
    RECORDS_CHECKED = 512,
};
#define CHECK_PAUSE_NS 3000000L
#define CYCLE_WRAP (UINT64_C(3) << 25)
#define RATE_MAX (UINT64_C(1) << 31)
#define GOROUTINES_MAX (UINT64_C(1) << 40)
#define COUNT_MAX (UINT64_C(1) << 48)
#define SWEEPERS_MAX (UINT32_C(1) << 20)
#define SWEEP_DRAINED (UINT32_C(1) << 31)
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
                     "what was taken for %s (0x%llx) is not it: %s %llu", symbols_name(id),
                     (unsigned long long)check->symbols->address[id], what,
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

/* A record of the heap profile: this, then its stack, then the counts (type bucket in mprof.go). */
struct bucket {
    uint64_t next, allnext, type, hash, size, stack_count;
};

static bool read_bucket(const struct check *check, uint64_t address, struct bucket *bucket)
{
    if (address % 8 != 0 || !memory_read(check->memory, address, bucket, sizeof(*bucket), NULL))
        return refuse(check, SYMBOL_MBUCKETS, "a record would be at", address);
    if (bucket->type != BUCKET_MEMORY)
        return refuse(check, SYMBOL_MBUCKETS, "type of a record is", bucket->type);
    if (bucket->stack_count == 0 || bucket->stack_count > STACK_PCS_MAX)
        return refuse(check, SYMBOL_MBUCKETS, "depth of a stack is", bucket->stack_count);
    return true;
}

/* A stack begins or ends in the code of the runtime's module: with plugins not all of it is there.
 */
static bool check_stack(const struct check *check, uint64_t address, const struct bucket *bucket)
{
    uint64_t stack = address + sizeof(*bucket), first, last;

    if (!memory_read(check->memory, stack, &first, sizeof(first), NULL) ||
        !memory_read(check->memory, stack + (bucket->stack_count - 1) * 8, &last, sizeof(last),
                     NULL))
        return refuse(check, SYMBOL_MBUCKETS, "a stack would be at", stack);
    if (!is_text(check->module, first) && !is_text(check->module, last))
        return refuse(check, SYMBOL_MBUCKETS, "a stack begins outside of code:", first);
    return true;
}

static bool check_mbuckets(const struct check *check)
{
    struct bucket bucket;
    uint64_t head;

    return read_at(check, SYMBOL_MBUCKETS, 0, &head, sizeof(head)) &&
           (head == 0 || (read_bucket(check, head, &bucket) && check_stack(check, head, &bucket)));
}

/* Any number is a rate to the runtime: below 0 is off, and some set the largest there is to have as good as
 * none.  What lies at a wrong address and is as large as that is a pointer, which leads somewhere. */
static bool is_rate(const struct check *check, uint64_t rate)
{
    char byte;
    return rate <= RATE_MAX || !memory_read(check->memory, rate, &byte, 1, NULL);
}

static bool check_profile(const struct check *check)
{
    uint64_t state = 0, rate, lock;

    if (!read_at(check, SYMBOL_MPROF_CYCLE, 0, &state, go_layout_cycle_bytes(check->layout)) ||
        !read_at(check, SYMBOL_MEM_PROFILE_RATE, 0, &rate, sizeof(rate)) ||
        !read_at(check, SYMBOL_MPROF_ACTIVE_LOCK, 0, &lock, sizeof(lock)))
        return false;
    const uint32_t cycle = go_layout_cycle_word(check->layout, state) >> 1;
    if (cycle >= CYCLE_WRAP)
        return refuse(check, SYMBOL_MPROF_CYCLE, "its cycle is", cycle);
    if (!is_rate(check, rate))
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
    uint64_t limit = 0, spans, caches, spans_sys, caches_sys;

    if (!read_at(check, SYMBOL_GC_CONTROLLER, GO_GC_PERCENT, &percent, sizeof(percent)) ||
        (check->layout->gc_memory_limit != GO_LAYOUT_ABSENT &&
         !read_at(check, SYMBOL_GC_CONTROLLER, check->layout->gc_memory_limit, &limit,
                  sizeof(limit))) ||
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

/* A bit that says that there is nothing left to take, and how many are still at it. */
static bool check_sweep(const struct check *check)
{
    uint32_t state;

    if (check->symbols->address[SYMBOL_SWEEP] == 0 ||
        check->layout->sweep_state == GO_LAYOUT_ABSENT)
        return true;
    if (!read_at(check, SYMBOL_SWEEP, check->layout->sweep_state, &state, sizeof(state)))
        return false;
    if ((state & ~SWEEP_DRAINED) > SWEEPERS_MAX)
        return refuse(check, SYMBOL_SWEEP, "sweepers at work:", state & ~SWEEP_DRAINED);
    return true;
}

static bool check_all(const struct check *check)
{
    return check_mbuckets(check) && check_profile(check) && check_processors(check) &&
           check_goroutines(check) && check_heap(check) && check_sweep(check);
}

/* The runtime may just be starting, GOMAXPROCS change, a count be read before its bound: again,
 * then, for a while. */
static bool keep_trying(const struct check *check, bool (*holds)(const struct check *check),
                        struct error *err)
{
    for (unsigned tries = 0; tries < CHECK_TRIES; tries++) {
        if (holds(check))
            return true;
        nanosleep(&(struct timespec){.tv_nsec = CHECK_PAUSE_NS}, NULL);
    }
    return error_set(err, check->err->code, "%s", check->err->message);
}

bool symbol_checks_run(struct memory *memory, const struct go_layout *layout,
                       const struct moduledata *module, const struct symbols *symbols,
                       struct error *err)
{
    struct error cause = {0};
    const struct check check = {memory, layout, module, symbols, &cause};

    return keep_trying(&check, check_all, err);
}

/* Records. */

/* Since 1.27: active and three futures of {allocs, frees}. */
static bool counts_fit(const uint64_t *words, uint64_t size, bool *bytes_follow)
{
    uint64_t allocs = 0, frees = 0;

    for (size_t cycle = 0; cycle < CYCLES; cycle++) {
        allocs += words[2 * cycle];
        frees += words[2 * cycle + 1];
    }
    /* Where bytes follow the counts, as up to 1.26, they are taken for the counts of a future. */
    *bytes_follow &= size > 1 && words[2] == words[0] * size && words[3] == words[1] * size &&
                     words[6] == words[4] * size && words[7] == words[5] * size;
    return words[1] <= words[0] && frees <= allocs && allocs <= COUNT_MAX;
}

/* Up to 1.26: the same of {allocs, frees, bytes allocated, bytes freed}. */
static bool counts_and_bytes_fit(const uint64_t *words, uint64_t size)
{
    uint64_t allocs = 0, frees = 0;

    for (size_t cycle = 0; cycle < CYCLES; cycle++, words += 4) {
        allocs += words[0];
        frees += words[1];
        if (words[2] != words[0] * size || words[3] != words[1] * size)
            return false;
    }
    return frees <= allocs && allocs <= COUNT_MAX;
}

static bool check_records(const struct check *check)
{
    uint64_t words[4 * CYCLES], at;
    size_t counted = 0;
    bool bytes_follow = true;

    if (!read_at(check, SYMBOL_MBUCKETS, 0, &at, sizeof(at)))
        return false;
    for (size_t i = 0; at != 0 && i < RECORDS_CHECKED; i++) {
        struct bucket bucket;
        if (!read_bucket(check, at, &bucket) || !check_stack(check, at, &bucket))
            return false;
        uint64_t record = at + sizeof(bucket) + bucket.stack_count * 8;
        if (!memory_read(check->memory, record, words, CYCLES * check->layout->record_cycle_bytes,
                         NULL))
            return refuse(check, SYMBOL_MBUCKETS, "counts would be at", record);
        bool fits = check->layout->size_exact ? counts_fit(words, bucket.size, &bytes_follow)
                                              : counts_and_bytes_fit(words, bucket.size);
        if (!fits)
            return refuse(check, SYMBOL_MBUCKETS, "impossible counts at", record);
        counted += words[0] != 0 || words[4] != 0;
        at = bucket.allnext;
    }
    if (check->layout->size_exact && counted > 0 && bytes_follow)
        return refuse(check, SYMBOL_MBUCKETS, "bytes where counts should be, in records:", counted);
    return true;
}

bool symbol_checks_records(struct memory *memory, const struct go_layout *layout,
                           const struct moduledata *module, const struct symbols *symbols,
                           struct error *err)
{
    struct error cause = {0};
    const struct check check = {memory, layout, module, symbols, &cause};

    return keep_trying(&check, check_records, err);
}
