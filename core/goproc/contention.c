/* contention.c - walks the block or mutex records, then looks at their counters once more.
 *
 * Two words of a record change together, under a lock that we do not hold: a record that differs
 * between two looks is read until it does not. */
#include "core/goproc/contention.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/goproc/call_stacks.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/stack_walk.h"
#include "core/goproc/symbols.h"
#include "core/goproc/tick_clock.h"

enum {
    HEADER_BYTES = 48,
    HEADER_ALLNEXT = 8,
    HEADER_TYPE = 16,
    HEADER_NSTK = 40,
    TYPE_BLOCK = 2,
    TYPE_MUTEX = 3,
    RECORD_BYTES = 16,
    BUCKET_MAX_BYTES = HEADER_BYTES + CALL_STACK_PCS_MAX * 8 + RECORD_BYTES,
    WINDOW_BYTES = 64 << 10, /* records lie close together: most are in the one read last */
    STEP_RECORDS = 256,      /* between two looks at the clock */
    SETTLE_PASSES = 3,
    SETTLE_PARTS = 512,
    OLD_MUTEX_MINOR =
        19, /* the last that multiplies by the rate when it is asked, not when it counts */
};

/* Of one record: what changes. */
struct counters {
    double count;
    int64_t cycles;
};
_Static_assert(sizeof(struct counters) == RECORD_BYTES, "as in the target");

struct waiting_site {
    uint64_t record_address;
    const struct stack *stack;
    struct counters counters;
    bool settled;
};

struct contention {
    struct stack_source from;
    enum stack_kind kind;
    struct stack_profile *profile;
    uint64_t next; /* bucket to be read */
    struct waiting_site *sites;
    size_t count;
    size_t capacity;
    size_t max;
    uint64_t window_base;
    size_t window_bytes; /* 0: none */
    unsigned char window[WINDOW_BYTES];
    unsigned char bucket[BUCKET_MAX_BYTES];
    uint64_t stored[CALL_STACK_PCS_MAX];
    uint64_t expanded[CALL_STACK_PCS_MAX];
};

struct contention *contention_begin(const struct stack_source *source, enum stack_kind kind,
                                    size_t records_max, uint64_t taken_realtime_ns,
                                    struct error *err)
{
    const enum symbol_id list = kind == STACK_BLOCK ? SYMBOL_BBUCKETS : SYMBOL_XBUCKETS;
    const uint64_t address = source->symbols->address[list];
    uint64_t head = 0;

    if (address == 0) {
        error_set(err, ERROR_UNSUPPORTED, "%s profile: nothing in the program tells where %s is",
                  stack_kind_name(kind), symbols_name(list));
        return NULL;
    }
    if (!memory_read(source->memory, address, &head, sizeof(head), err)) {
        error_wrap(err, "%s profile", stack_kind_name(kind));
        return NULL;
    }
    struct contention *contention = calloc(1, sizeof(*contention));
    struct stack_profile *profile = stack_profile_begin(kind, source->sites);
    if (contention == NULL || profile == NULL) {
        stack_profile_discard(profile);
        free(contention);
        error_set(err, ERROR_NO_MEMORY, "%s profile: no memory", stack_kind_name(kind));
        return NULL;
    }
    profile->taken_realtime_ns = taken_realtime_ns;
    profile->mappings = source->mappings;
    profile->mapping_count = source->mapping_count;
    contention->from = *source;
    contention->kind = kind;
    contention->profile = profile;
    contention->next = head;
    contention->max = records_max;
    return contention;
}

void contention_free(struct contention *contention)
{
    if (contention == NULL)
        return;
    stack_profile_discard(contention->profile);
    free(contention->sites);
    free(contention);
}

static void set_partial(struct contention *contention, const char *reason)
{
    contention->profile->partial = true;
    contention->profile->partial_reason = reason;
}

/* Reading buckets. */

static uint64_t u64_at(const unsigned char *bytes, size_t offset)
{
    uint64_t value;
    memcpy(&value, bytes + offset, sizeof(value));
    return value;
}

/* Copies from the window, which is moved when it does not hold [address]. */
static bool read_near(struct contention *contention, uint64_t address, void *into, size_t length,
                      struct error *err)
{
    for (int look = 0; look < 2; look++) {
        const uint64_t offset = address - contention->window_base;
        if (address >= contention->window_base && offset < contention->window_bytes &&
            length <= contention->window_bytes - offset) {
            memcpy(into, contention->window + offset, length);
            return true;
        }
        if (look == 0) {
            contention->window_base = address - address % WINDOW_BYTES;
            contention->window_bytes =
                memory_read_some(contention->from.memory, contention->window_base,
                                 contention->window, WINDOW_BYTES, NULL);
        }
    }
    return memory_read(contention->from.memory, address, into, length, err);
}

static const struct stack *stack_of(struct contention *contention, size_t stored_count,
                                    struct error *err)
{
    const uint64_t *pcs = contention->stored;
    size_t count = stored_count;
    size_t frame_count;

    if (contention->from.layout->minor >= 23) {
        count = stack_walk_expand(contention->from.functions, contention->stored, stored_count,
                                  contention->expanded, contention->from.profile_depth);
        pcs = contention->expanded;
    }
    const struct stack *known = stack_profile_find(contention->profile, pcs, count, false);
    if (known != NULL)
        return known;
    struct stack stack = {.pcs = pcs, .pc_count = (uint32_t)count};
    if (!call_stacks_frames(contention->from.stacks, pcs, count, &stack.frames, &stack.places,
                            &frame_count, err))
        return NULL;
    stack.frame_count = (uint32_t)frame_count;
    return stack_profile_add_stack(contention->profile, &stack, err);
}

static bool add_site(struct contention *contention, const struct waiting_site *site,
                     struct error *err)
{
    if (contention->count == contention->capacity) {
        const size_t larger = contention->capacity == 0 ? 256 : contention->capacity * 2;
        struct waiting_site *moved = realloc(contention->sites, larger * sizeof(*moved));
        if (moved == NULL)
            return error_set(err, ERROR_NO_MEMORY, "no memory for %zu records", larger);
        contention->sites = moved;
        contention->capacity = larger;
    }
    contention->sites[contention->count++] = *site;
    return true;
}

static bool read_bucket(struct contention *contention, struct error *err)
{
    const uint64_t address = contention->next;
    const uint64_t type = contention->kind == STACK_BLOCK ? TYPE_BLOCK : TYPE_MUTEX;
    unsigned char *bucket = contention->bucket;

    if (address % 8 != 0 || address > UINT64_MAX - WINDOW_BYTES)
        return error_set(err, ERROR_CORRUPT, "0x%llx is not the address of a bucket",
                         (unsigned long long)address);
    if (!read_near(contention, address, bucket, HEADER_BYTES, err))
        return false;
    const uint64_t nstk = u64_at(bucket, HEADER_NSTK);
    if (u64_at(bucket, HEADER_TYPE) != type || nstk > CALL_STACK_PCS_MAX)
        return error_set(err, ERROR_CORRUPT, "the bucket at 0x%llx has type %llu and %llu pcs",
                         (unsigned long long)address,
                         (unsigned long long)u64_at(bucket, HEADER_TYPE), (unsigned long long)nstk);
    contention->next = u64_at(bucket, HEADER_ALLNEXT);
    const size_t rest = (size_t)nstk * 8 + RECORD_BYTES;
    struct waiting_site site = {.record_address = address + HEADER_BYTES + nstk * 8};
    if (!read_near(contention, address + HEADER_BYTES, bucket, rest, err))
        return false;
    memcpy(contention->stored, bucket, (size_t)nstk * 8);
    memcpy(&site.counters, bucket + nstk * 8, RECORD_BYTES);
    site.stack = stack_of(contention, (size_t)nstk, err);
    return site.stack != NULL && add_site(contention, &site, err);
}

/* Counters. */

/* Reads the records that have not settled once more; [*moved] gets how many differ. */
static bool settle_once(struct contention *contention, size_t *moved, struct error *err)
{
    struct memory_part parts[SETTLE_PARTS];
    struct counters fresh[SETTLE_PARTS];
    size_t indexes[SETTLE_PARTS];

    *moved = 0;
    for (size_t i = 0; i < contention->count;) {
        size_t used = 0;
        for (; i < contention->count && used < SETTLE_PARTS; i++)
            if (!contention->sites[i].settled) {
                parts[used] = (struct memory_part){contention->sites[i].record_address,
                                                   &fresh[used], RECORD_BYTES};
                indexes[used++] = i;
            }
        if (used > 0 && !memory_read_parts(contention->from.memory, parts, used, err))
            return false;
        for (size_t k = 0; k < used; k++) {
            struct waiting_site *site = &contention->sites[indexes[k]];
            site->settled = memcmp(&site->counters, &fresh[k], sizeof(fresh[k])) == 0;
            site->counters = fresh[k];
            *moved += !site->settled;
        }
    }
    return true;
}

struct scale {
    double ticks_per_ns; /* 0: not known */
    int64_t factor;
    bool at_least_one;
};

static bool entry_of(const struct waiting_site *site, const struct scale *scale,
                     struct stack_entry *entry, struct error *err)
{
    const double count = site->counters.count;

    if (!isfinite(count) || count < 0 || count >= 0x1p62 || site->counters.cycles < 0)
        return error_set(err, ERROR_CORRUPT, "the record at 0x%llx cannot be",
                         (unsigned long long)site->record_address);
    *entry = (struct stack_entry){.stack = site->stack};
    int64_t whole = (int64_t)count;
    if (whole == 0 && scale->at_least_one)
        whole = 1;
    if (__builtin_mul_overflow(whole, scale->factor, &entry->values[0]))
        return error_set(err, ERROR_CORRUPT, "a count of %lld times %lld", (long long)whole,
                         (long long)scale->factor);
    if (__builtin_mul_overflow(site->counters.cycles, scale->factor, &entry->cycles))
        return error_set(err, ERROR_CORRUPT, "a delay of %lld cycles times %lld",
                         (long long)site->counters.cycles, (long long)scale->factor);
    if (scale->ticks_per_ns > 0) {
        const double ns =
            (double)site->counters.cycles / scale->ticks_per_ns * (double)scale->factor;
        if (ns >= 0x1p63)
            return error_set(err, ERROR_CORRUPT, "a delay of %g ns", ns);
        entry->values[1] = (int64_t)ns;
    }
    return true;
}

static bool find_scale(struct contention *contention, struct scale *scale, struct error *err)
{
    const struct stack_source *from = &contention->from;
    const uint64_t rate_address = from->symbols->address[SYMBOL_MUTEX_PROFILE_RATE];
    struct stack_profile *profile = contention->profile;
    uint64_t ticks = 0, rate = 0;

    *scale = (struct scale){.factor = 1, .at_least_one = contention->kind == STACK_BLOCK};
    profile->has_delay =
        tick_clock_per_second(from->clock, from->memory, from->symbols, from->layout, &ticks);
    if (profile->has_delay) {
        profile->ticks_per_second = ticks;
        scale->ticks_per_ns = (double)ticks / 1e9;
    }
    if (contention->kind == STACK_BLOCK)
        return true;
    if (rate_address != 0 && !memory_read(from->memory, rate_address, &rate, 8, err))
        return false;
    if (rate > INT32_MAX)
        return error_set(err, ERROR_CORRUPT, "runtime.mutexprofilerate is %llu",
                         (unsigned long long)rate);
    profile->period = (int64_t)rate;
    if (from->layout->minor > OLD_MUTEX_MINOR)
        return true;
    if (rate_address == 0)
        return error_set(err, ERROR_UNSUPPORTED,
                         "nothing in the program tells where runtime.mutexprofilerate is");
    scale->factor = (int64_t)rate;
    return true;
}

static bool build(struct contention *contention, struct error *err)
{
    struct scale scale;
    size_t moved = 1;

    for (int pass = 0; pass < SETTLE_PASSES && moved > 0; pass++)
        if (!settle_once(contention, &moved, err))
            return false;
    if (!find_scale(contention, &scale, err))
        return false;
    for (size_t i = 0; i < contention->count; i++) {
        struct stack_entry entry;
        if (!entry_of(&contention->sites[i], &scale, &entry, err) ||
            !stack_profile_add_entry(contention->profile, &entry, err))
            return false;
    }
    return true;
}

enum reading_step contention_step(struct contention *contention, uint64_t deadline_ns,
                                  const struct stack_profile **profile, struct error *err)
{
    struct error cause = {.code = ERROR_NONE};
    bool ok = true;

    *profile = NULL;
    for (size_t read = 0; ok && contention->next != 0; read++) {
        if (contention->count >= contention->max) {
            /* Also what ends a circular list. */
            set_partial(contention, "more records than goprofd reads");
            break;
        }
        if (read > 0 && read % STEP_RECORDS == 0 && clock_monotonic_ns() >= deadline_ns) {
            contention->window_bytes = 0; /* old by the time it is used again */
            return READING_MORE;
        }
        ok = read_bucket(contention, &cause);
    }
    if (!ok && cause.code == ERROR_LIMIT) {
        set_partial(contention, "more records or stacks than goprofd keeps");
        ok = true;
    }
    if (!ok || !build(contention, &cause)) {
        error_set(err, cause.code, "%s profile: %s", stack_kind_name(contention->kind),
                  cause.message);
        return READING_FAILED;
    }
    *profile = stack_profile_seal(contention->profile);
    contention->profile = NULL;
    return READING_DONE;
}
