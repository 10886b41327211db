/* buckets.c - one consistent heap profile out of a moving list of records.
 *
 * Called by go_process_read each interval.  What can go wrong and what is done about it:
 *
 *   C changes during the pass         read C before and after: other C, once more
 *   flush after a GC still running    bit 0 of mProfCycle not set, or the lock held: wait
 *   explicit GC flushes future[C+1]   a record that was not yet flushed ("canary") is looked at
 *                                     again afterwards, behind the lock: gone, once more
 *   a sweep adds frees to future[C+1]  of a record that was seen empty, before that flush: where explicit
 *                                     GCs happen and sweeping is not over, two passes must agree
 *
 * The lock is read before the canary: free lock, then canary still there, means that no flush
 * had begun when the lock was read, hence none during the pass.  By the same argument a canary
 * that survives until the next read proves that nothing published has changed since.  So does C alone
 * where all was swept before a pass that met no canary: there is nothing left to flush. */
#include "core/goproc/buckets.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/goproc/bucket_list.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/symbols.h"
#include "core/store/profile.h"

enum {
    CYCLES = 3, /* of future[] */
    RECORD_MAX_BYTES = 128,
    FLUSHED_BIT = 1,
};
#define SWEEP_DONE (UINT32_C(1) << 31) /* all drained and nobody at it: sweepDrainedMask in mgcsweep.go */
#define RETRY_PAUSE_NS 100000L
#define RETRY_PAUSE_MAX_NS 2000000L

/* What mProfCycle, the lock and the rate said at one moment. */
struct moment {
    uint64_t head;
    int64_t rate;
    uint64_t lock;
    uint32_t cycle_first; /* before the lock was looked at */
    uint32_t cycle_word;  /* after it */
    uint32_t forced_gcs; /* MemStats.NumForcedGC */
    uint32_t sweep_state;
    unsigned char canary[RECORD_MAX_BYTES];
};

enum sum_mode {
    SUM_PUBLISHED, /* active + future[C%3] */
    SUM_ALL,       /* everything: while there has been no GC */
};

struct pass {
    uint32_t cycle;
    enum sum_mode mode;
    bool any_published; /* a bucket has a published count */
    size_t canary;      /* index of a bucket with something in future[(C+1)%3]; or SIZE_MAX */
    bool impossible;    /* a record contradicts itself: torn, or rubbish */
    size_t impossible_index;
    bool differs; /* a value is another one than was there before */
};

struct buckets {
    struct buckets_source from;
    struct buckets_limits limits;
    struct bucket_list *list;
    struct profile_raw *values; /* as last published, one per bucket */
    struct profile_raw *fresh;  /* of the pass being made, or that must agree with the one before */
    size_t capacity; /* of both */
    unsigned char *buffer;
    /* what the last sealed profile stands on */
    const struct profile *last;
    uint32_t last_cycle;
    enum sum_mode last_mode;
    size_t last_canary;
    uint32_t last_forced_gcs;
    uint64_t last_head;
    bool last_swept; /* before the pass began */
    bool settled; /* last_* are those of an accepted, complete reading */
};

struct buckets *buckets_new(const struct buckets_source *source,
                            const struct buckets_limits *limits)
{
    struct buckets *buckets = calloc(1, sizeof(*buckets));
    if (buckets == NULL)
        return NULL;
    buckets->from = *source;
    buckets->limits = *limits;
    buckets->last_canary = SIZE_MAX;
    buckets->buffer = malloc(BUCKET_BATCH_BYTES);
    buckets->list = bucket_list_new(source->memory, source->stacks,
                                    (1 + CYCLES) * source->layout->record_cycle_bytes);
    if (buckets->buffer == NULL || buckets->list == NULL) {
        buckets_free(buckets);
        return NULL;
    }
    return buckets;
}

void buckets_free(struct buckets *buckets)
{
    if (buckets == NULL)
        return;
    profile_unref(buckets->last);
    bucket_list_free(buckets->list);
    free(buckets->values);
    free(buckets->fresh);
    free(buckets->buffer);
    free(buckets);
}

size_t buckets_count(const struct buckets *buckets)
{
    return bucket_list_count(buckets->list);
}

/* Room for [capacity] values, zeroed from [used] on. */
static bool widen(struct profile_raw **values, size_t used, size_t capacity)
{
    /* Zeroed by the kernel, if nothing is to be kept. */
    struct profile_raw *wider = used == 0 ? calloc(capacity, sizeof(*wider))
                                          : realloc(*values, capacity * sizeof(*wider));
    if (wider == NULL)
        return false;
    if (used == 0)
        free(*values);
    else
        memset(wider + used, 0, (capacity - used) * sizeof(*wider));
    *values = wider;
    return true;
}

void buckets_set_mappings(struct buckets *buckets, const struct mapping *mappings, size_t count)
{
    buckets->from.mappings = mappings;
    buckets->from.mapping_count = count;
}

static bool reserve(struct buckets *buckets, struct error *err)
{
    size_t count = bucket_list_count(buckets->list);
    if (count <= buckets->capacity)
        return true;
    size_t capacity = count + count / 4 + 64;
    if (!widen(&buckets->values, buckets->capacity, capacity) ||
        !widen(&buckets->fresh, buckets->capacity, capacity))
        return error_set(err, ERROR_NO_MEMORY, "heap profile: no memory for %zu sites", count);
    buckets->capacity = capacity;
    return true;
}

/* Moments. */

/* The order matters: cycle before lock before cycle, see is_settled(); lock before canary, see the top of the file; the number of explicit GCs, which rises
 * before C does, behind C, so that it counts the one that C stands for; and the state of sweeping, which is
 * reset before C rises, behind C too. */
static bool read_moment(struct buckets *buckets, size_t canary, struct moment *moment,
                        struct error *err)
{
    const uint64_t *address = buckets->from.symbols->address;
    const struct go_layout *layout = buckets->from.layout;
    const size_t cycle_bytes = go_layout_cycle_bytes(layout);
    uint64_t cycle_first = 0, cycle_word = 0;
    struct memory_part parts[8];
    size_t count = 0;

    memset(moment, 0, sizeof(*moment));
    parts[count++] = (struct memory_part){address[SYMBOL_MPROF_CYCLE], &cycle_first, cycle_bytes};
    parts[count++] = (struct memory_part){address[SYMBOL_MBUCKETS], &moment->head, 8};
    parts[count++] = (struct memory_part){address[SYMBOL_MEM_PROFILE_RATE], &moment->rate, 8};
    parts[count++] = (struct memory_part){address[SYMBOL_MPROF_ACTIVE_LOCK], &moment->lock, 8};
    if (canary != SIZE_MAX)
        parts[count++] =
            (struct memory_part){bucket_list_record_address(buckets->list, canary), moment->canary,
                                 (1 + CYCLES) * layout->record_cycle_bytes};
    parts[count++] = (struct memory_part){address[SYMBOL_MPROF_CYCLE], &cycle_word, cycle_bytes};
    parts[count++] = (struct memory_part){address[SYMBOL_MEMSTATS] + layout->stats_numforcedgc,
                                          &moment->forced_gcs, 4};
    if (address[SYMBOL_SWEEP] != 0 && layout->sweep_state != GO_LAYOUT_ABSENT)
        parts[count++] = (struct memory_part){address[SYMBOL_SWEEP] + layout->sweep_state,
                                              &moment->sweep_state, 4};
    if (!memory_read_parts(buckets->from.memory, parts, count, err))
        return false;
    moment->cycle_first = go_layout_cycle_word(layout, cycle_first);
    moment->cycle_word = go_layout_cycle_word(layout, cycle_word);
    return true;
}

static bool lock_is_free(const struct buckets *buckets, const struct moment *moment)
{
    uint64_t held_bits = buckets->from.layout->spinbit_mutex ? 1 : UINT64_MAX;
    return (moment->lock & held_bits) == 0;
}

/* Up to 1.18 number and flag change one after the other, under the lock: between the two the flag is still
 * that of the cycle before.  But if the number is the same on both sides of a look at the lock that found it
 * free, that change was over by then, and the flag read last is its own. */
static bool is_settled(const struct buckets *buckets, const struct moment *moment)
{
    /* Before the first GC nothing is ever flushed, so nothing marks a flush as done. */
    return lock_is_free(buckets, moment) &&
           moment->cycle_first >> 1 == moment->cycle_word >> 1 &&
           ((moment->cycle_word & FLUSHED_BIT) != 0 || moment->cycle_word >> 1 == 0);
}

static uint64_t word(const unsigned char *bytes, size_t index)
{
    uint64_t value;
    memcpy(&value, bytes + 8 * index, sizeof(value));
    return value;
}

/* Whether future[(C+1)%3] of [record] holds anything. */
static bool is_canary(const struct buckets *buckets, const unsigned char *record, uint32_t cycle)
{
    size_t cycle_words = buckets->from.layout->record_cycle_bytes / 8;
    size_t next = (1 + (cycle + 1) % CYCLES) * cycle_words;
    return (word(record, next) | word(record, next + 1)) != 0;
}

static void pause_before_retry(uint64_t attempt)
{
    long pause_ns = RETRY_PAUSE_NS << (attempt < 5 ? attempt : 5);
    if (pause_ns > RETRY_PAUSE_MAX_NS)
        pause_ns = RETRY_PAUSE_MAX_NS;
    nanosleep(&(struct timespec){.tv_nsec = pause_ns}, NULL);
}

/* One pass over all records. */

/* Go's own profile holds these in signed integers; no program gets that far. */
static inline bool is_absurd(uint64_t allocs, uint64_t object_bytes)
{
    uint64_t bytes;
    return __builtin_mul_overflow(allocs, object_bytes, &bytes) || bytes > (uint64_t)INT64_MAX ||
           allocs > (uint64_t)INT64_MAX;
}

static inline bool same_value(const struct profile_raw *a, const struct profile_raw *b)
{
    return ((a->allocs ^ b->allocs) | (a->frees ^ b->frees) | (a->alloc_bytes ^ b->alloc_bytes) |
            (a->free_bytes ^ b->free_bytes)) == 0;
}

/* Of one batch.  [words] of a cycle are constant where this is called, so that a record takes a few
 * nanoseconds: there may be many thousands. */
static inline __attribute__((always_inline)) void
take_records(struct pass *pass, size_t words, const unsigned char *buffer,
             const struct bucket_place *places, size_t count, struct profile_raw *values)
{
    const size_t flushing = (1 + pass->cycle % CYCLES) * words;
    const size_t next = (1 + (pass->cycle + 1) % CYCLES) * words;
    const bool sum_all = pass->mode == SUM_ALL;
    uint64_t any_published = 0, differs = 0;

    for (size_t i = 0; i < count; i++) {
        const unsigned char *record = buffer + places[i].offset;
        const uint64_t object_bytes = places[i].object_bytes;
        uint64_t sum[4] = {0};
        for (size_t w = 0; w < words; w++)
            sum[w] = word(record, w) + word(record, flushing + w);
        any_published |= sum[0] | sum[1];
        if (sum_all) {
            for (size_t w = 0; w < words; w++)
                sum[w] = word(record, w) + word(record, words + w) + word(record, 2 * words + w) +
                         word(record, 3 * words + w);
        } else if ((word(record, next) | word(record, next + 1)) != 0 && pass->canary == SIZE_MAX)
            pass->canary = places[i].index;
        const struct profile_raw value = {sum[0], sum[1], sum[0] * object_bytes,
                                          sum[1] * object_bytes};
        if (sum[1] > sum[0] || is_absurd(sum[0], object_bytes) ||
            (words == 4 && (sum[2] != value.alloc_bytes || sum[3] != value.free_bytes))) {
            pass->impossible = true;
            pass->impossible_index = places[i].index;
        }
        struct profile_raw *known = &values[places[i].index];
        differs |= !same_value(known, &value);
        *known = value;
    }
    pass->any_published |= any_published != 0;
    pass->differs |= differs != 0;
}

/* Into buckets->fresh; pass->differs tells whether that held anything else before. */
static bool make_pass(struct buckets *buckets, struct pass *pass, struct error *err)
{
    const bool byte_counters = buckets->from.layout->record_cycle_bytes == 32;

    pass->any_published = pass->impossible = pass->differs = false;
    pass->canary = SIZE_MAX;
    size_t batches = bucket_list_batch_count(buckets->list);
    for (size_t b = 0; b < batches; b++) {
        const struct bucket_place *places;
        size_t count;
        if (!bucket_list_read_batch(buckets->list, b, buckets->buffer, &places, &count, err))
            return false;
        if (byte_counters)
            take_records(pass, 4, buckets->buffer, places, count, buckets->fresh);
        else
            take_records(pass, 2, buckets->buffer, places, count, buckets->fresh);
    }
    return true;
}

/* Whether what [pass] saw was one state of the target; [before] is the moment it began with. */
static bool pass_holds(struct buckets *buckets, const struct pass *pass, struct moment *after,
                       bool *holds, struct error *err)
{
    if (!read_moment(buckets, pass->canary, after, err))
        return false;
    *holds = after->cycle_word >> 1 == pass->cycle && lock_is_free(buckets, after) &&
             (pass->canary == SIZE_MAX || is_canary(buckets, after->canary, pass->cycle));
    return true;
}

enum attempt { ATTEMPT_GOOD, ATTEMPT_MOVED, ATTEMPT_FAILED };

/* A pass, checked; with [twice] a second one must agree. */
static enum attempt attempt(struct buckets *buckets, struct pass *pass, bool twice,
                            struct error *err)
{
    struct moment after;
    bool holds = false;

    if (!make_pass(buckets, pass, err) ||
        !pass_holds(buckets, pass, &after, &holds, err))
        return ATTEMPT_FAILED;
    if (!holds || pass->impossible)
        return ATTEMPT_MOVED;
    if (!twice)
        return ATTEMPT_GOOD;

    struct pass again = *pass;
    if (!make_pass(buckets, &again, err) ||
        !pass_holds(buckets, &again, &after, &holds, err))
        return ATTEMPT_FAILED;
    if (!holds || again.differs)
        return ATTEMPT_MOVED;
    pass->canary = again.canary;
    return ATTEMPT_GOOD;
}

/* The sites as of [moment]; [count_before]: how many were known before this read, whose bound it is. */
static bool learn_sites(struct buckets *buckets, const struct moment *moment, size_t count_before,
                        enum bucket_walk *walk, struct error *err)
{
    const size_t learned = bucket_list_count(buckets->list) - count_before;
    *walk = bucket_list_extend(buckets->list, moment->head, buckets->limits.records_a_read - learned,
                               buckets->limits.records, err);
    return *walk != BUCKET_WALK_FAILED && reserve(buckets, err);
}

/* Repeats until a pass holds.  A GC that was in the way may have published sites that came since the list
 * was walked: it is walked on for each new moment.  [*given_up]: values are of one cycle but may mix two states. */
static bool read_values(struct buckets *buckets, struct moment *moment, struct pass *pass,
                        enum bucket_walk *walk, uint64_t *retries, bool *given_up,
                        struct error *err)
{
    const size_t count_before = bucket_list_count(buckets->list);

    enum sum_mode mode = moment->cycle_word >> 1 == 0 ? SUM_ALL : SUM_PUBLISHED;
    bool one_cycle = false;
    bool wrong_mode = false;

    if (buckets->settled && buckets->last_cycle == moment->cycle_word >> 1)
        mode = buckets->last_mode;

    *given_up = false;
    if (!learn_sites(buckets, moment, count_before, walk, err))
        return false;
    for (uint64_t tries = 0; tries <= buckets->limits.retries; tries++) {
        if (tries > 0 && !wrong_mode) {
            (*retries)++;
            pause_before_retry(tries);
            if (!read_moment(buckets, SIZE_MAX, moment, err) ||
                (*walk == BUCKET_WALK_DONE &&
                 !learn_sites(buckets, moment, count_before, walk, err)))
                return false;
        }
        const bool settled = is_settled(buckets, moment);
        if (!settled && tries < buckets->limits.retries)
            continue;
        *pass = (struct pass){.cycle = moment->cycle_word >> 1, .mode = mode};
        /* Once all is swept future[C+1] of a record that was empty stays empty, and the canary tells all. */
        bool twice = mode == SUM_PUBLISHED && moment->forced_gcs != buckets->last_forced_gcs &&
                     moment->sweep_state != SWEEP_DONE;
        enum attempt outcome = attempt(buckets, pass, twice, err);
        if (outcome == ATTEMPT_FAILED)
            return false;
        /* All or nothing over the whole list: one published count, and sums are out. */
        enum sum_mode right_mode = pass->any_published ? SUM_PUBLISHED : SUM_ALL;
        wrong_mode = bucket_list_count(buckets->list) > 0 && right_mode != mode;
        if (wrong_mode) {
            mode = right_mode;
            continue;
        }
        if (outcome == ATTEMPT_GOOD && settled) /* else a flush may have begun and ended meanwhile */
            return true;
        one_cycle = !pass->impossible;
    }
    if (pass->impossible)
        return error_set(err, ERROR_CORRUPT,
                         "heap profile: the record at 0x%llx contradicts itself",
                         (unsigned long long)bucket_list_record_address(buckets->list,
                                                                        pass->impossible_index));
    struct moment after;
    if (!read_moment(buckets, SIZE_MAX, &after, err))
        return false;
    if (!one_cycle || after.cycle_word >> 1 != pass->cycle)
        return error_set(err, ERROR_BUSY,
                         "heap profile: a GC moved it during each of %zu attempts",
                         buckets->limits.retries + 1);
    *given_up = true;
    return true;
}

/* The profile. */

/* The entries of [profile], which holds what [kept] of them said before: only those whose counters moved
 * since are scaled anew. */
static void fill_entries(struct buckets *buckets, struct profile *profile, size_t count,
                         size_t kept)
{
    struct profile_scaler scaler;
    profile_scaler_init(&scaler, profile->rate, buckets->from.layout->size_exact);
    for (size_t i = 0; i < count; i++) {
        if (i < kept && same_value(&buckets->values[i], &buckets->fresh[i]))
            continue;
        profile->entries[i].site = bucket_list_site(buckets->list, i);
        profile_scaler_scale(&scaler, &profile->entries[i], &buckets->fresh[i],
                             bucket_list_object_bytes(buckets->list, i));
    }
    profile->entry_count = count;
}

/* All buckets are in it, the ones without a count too, as in the runtime's own. */
static bool build(struct buckets *buckets, const struct moment *moment, uint64_t taken_realtime_ns,
                  bool partial, const char *partial_reason, const struct profile **sealed,
                  struct error *err)
{
    size_t count = moment->rate == 0 ? 0 : bucket_list_count(buckets->list);
    const bool same_rate = buckets->last != NULL && buckets->last->rate == moment->rate;
    size_t kept = 0;
    struct profile *profile =
        profile_begin_from(buckets->from.sites, count, same_rate ? buckets->last : NULL, &kept);

    if (profile == NULL)
        return error_set(err, ERROR_NO_MEMORY, "heap profile: no memory for %zu sites", count);
    profile->taken_realtime_ns = taken_realtime_ns;
    profile->start_realtime_ns = buckets->from.start_realtime_ns;
    profile->cycle = moment->cycle_word >> 1;
    profile->rate = moment->rate;
    profile->partial = partial;
    profile->partial_reason = partial_reason;
    profile->mappings = buckets->from.mappings;
    profile->mapping_count = buckets->from.mapping_count;
    fill_entries(buckets, profile, count, kept);
    struct profile_raw *published = buckets->fresh;
    buckets->fresh = buckets->values;
    buckets->values = published;
    *sealed = profile_seal(profile);
    return true;
}

static bool is_unchanged(const struct buckets *buckets, const struct moment *moment)
{
    if (!buckets->settled || buckets->last->rate != moment->rate ||
        buckets->last_cycle != moment->cycle_word >> 1 || buckets->last_mode != SUM_PUBLISHED)
        return false;
    if (buckets->last_head != moment->head) /* new sites show at once, with nothing counted yet */
        return false;
    if (buckets->last_canary == SIZE_MAX)
        return buckets->last_swept;
    return lock_is_free(buckets, moment) &&
           is_canary(buckets, moment->canary, moment->cycle_word >> 1);
}

/* What the next read compares with. */
static void note_moment(struct buckets *buckets, const struct moment *moment,
                        const struct pass *pass)
{
    buckets->last_cycle = moment->cycle_word >> 1;
    buckets->last_mode = pass->mode;
    buckets->last_canary = pass->canary;
    buckets->last_forced_gcs = moment->forced_gcs;
    buckets->last_head = moment->head;
    buckets->last_swept = moment->sweep_state == SWEEP_DONE;
}

/* The same numbers, read anew: the old profile says the same. */
static bool says_the_same(const struct buckets *buckets, const struct moment *moment,
                          const struct pass *pass)
{
    size_t count = bucket_list_count(buckets->list);
    return buckets->settled && buckets->last->rate == moment->rate &&
           buckets->last_cycle == pass->cycle && buckets->last->entry_count == count &&
           (count == 0 ||
            memcmp(buckets->values, buckets->fresh, count * sizeof(*buckets->values)) == 0);
}

static bool read_anew(struct buckets *buckets, struct moment *moment, uint64_t taken_realtime_ns,
                      uint64_t *retries, struct error *err)
{
    struct pass pass = {.canary = SIZE_MAX};
    bool given_up = false;
    enum bucket_walk walk = BUCKET_WALK_DONE;
    const struct profile *fresh = NULL;

    if (moment->rate != 0) {
        if (!read_values(buckets, moment, &pass, &walk, retries, &given_up, err))
            return false;
        if (!given_up && walk == BUCKET_WALK_DONE && says_the_same(buckets, moment, &pass)) {
            note_moment(buckets, moment, &pass);
            return true;
        }
    } else if (buckets->settled && buckets->last->rate == 0)
        return true;

    const char *reason = walk == BUCKET_WALK_PAUSED
                             ? "the list of allocation sites is still being read"
                         : walk == BUCKET_WALK_FULL ? "more allocation sites than goprofd keeps"
                         : given_up ? "garbage collections kept moving the profile"
                                    : NULL;
    if (!build(buckets, moment, taken_realtime_ns, reason != NULL, reason, &fresh, err))
        return false;
    profile_unref(buckets->last);
    buckets->last = fresh;
    note_moment(buckets, moment, &pass);
    buckets->settled = !given_up && walk != BUCKET_WALK_PAUSED;
    return true;
}

bool buckets_read(struct buckets *buckets, uint64_t taken_realtime_ns,
                  const struct profile **profile, int64_t *rate, uint64_t *retries,
                  struct error *err)
{
    struct moment moment;

    if (!read_moment(buckets, buckets->settled ? buckets->last_canary : SIZE_MAX, &moment, err))
        return error_wrap(err, "heap profile");
    if (moment.rate < 0) /* the runtime samples only if it is above 0 */
        moment.rate = 0;
    *rate = moment.rate;
    if (!is_unchanged(buckets, &moment) &&
        !read_anew(buckets, &moment, taken_realtime_ns, retries, err))
        return false;
    *profile = profile_ref(buckets->last);
    return true;
}
