/* profile_scale.c - from sampled counters to the numbers that pprof shows.
 *
 * The rule of src/runtime/pprof/protomem.go (writeHeapProto and scaleHeapSample).  A sample of size
 * S is seen with probability 1 - e**(-S/rate); its counts are divided by that and cut to
 * integers.  Two forms exist:
 *
 *   Go 1.19 to 1.26:  S = bytes / count, for each pair of counters; label = allocated bytes /
 * allocs Go 1.27:          S = the bucket's size; bytes = count * S;      label = S
 *
 * Compiled without contraction (see CMakeLists.txt): results are equal to Go's, not close. */
#include "core/store/profile.h"

#include "core/store/go_exp.h"

/* Go's conversion to an integer: cut towards zero.  What does not fit becomes what the machine's
 * instruction makes of it. */
static int64_t cut(double value)
{
    if (value >= -0x1p63 && value < 0x1p63)
        return (int64_t)value;
#if defined(__aarch64__)
    if (value != value)
        return 0;
    return value < 0 ? INT64_MIN : INT64_MAX; /* FCVTZS */
#else
    return INT64_MIN; /* CVTTSD2SQ */
#endif
}

static double scale_factor(double object_bytes, int64_t rate)
{
    return 1 / (1 - go_exp(-object_bytes / (double)rate));
}

/* Go's integers wrap; C's must not. */
static int64_t multiply(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a * (uint64_t)b);
}

/* The factor is a function of the size alone, bit for bit: what was worked out once holds. */
static double factor_for(struct profile_scaler *scaler, double object_bytes)
{
    uint64_t bits;
    memcpy(&bits, &object_bytes, sizeof(bits));
    const size_t at = (size_t)(bits * UINT64_C(0x9E3779B97F4A7C15) >> 40) % PROFILE_FACTORS;
    if (scaler->known_[at].object_bytes != object_bytes) {
        scaler->known_[at].object_bytes = object_bytes;
        scaler->known_[at].factor = scale_factor(object_bytes, scaler->rate);
    }
    return scaler->known_[at].factor;
}

struct pair {
    int64_t objects;
    int64_t bytes;
};

static struct pair scale_pair(struct profile_scaler *scaler, struct pair sampled, double object_bytes)
{
    if (scaler->rate <= 1)
        return sampled; /* every allocation was sampled; below 1: unknown, left as it is */
    const double factor = factor_for(scaler, object_bytes);
    return (struct pair){cut((double)sampled.objects * factor),
                         cut((double)sampled.bytes * factor)};
}

/* Go 1.27 and later. */
static struct pair scale_by_size(struct profile_scaler *scaler, int64_t count, int64_t size)
{
    if (count == 0 || size == 0)
        return (struct pair){0};
    return scale_pair(scaler, (struct pair){count, multiply(count, size)}, (double)size);
}

/* Go 1.26 and earlier. */
static struct pair scale_by_bytes(struct profile_scaler *scaler, int64_t count, int64_t bytes)
{
    if (count == 0 || bytes == 0)
        return (struct pair){0};
    return scale_pair(scaler, (struct pair){count, bytes}, (double)bytes / (double)count);
}

void profile_scaler_init(struct profile_scaler *scaler, int64_t rate, bool size_exact)
{
    *scaler = (struct profile_scaler){.rate = rate, .size_exact = size_exact};
}

void profile_scaler_scale(struct profile_scaler *scaler, struct profile_entry *entry,
                          const struct profile_raw *raw, uint64_t object_bytes)
{
    const int64_t allocs = (int64_t)raw->allocs;
    const int64_t inuse = (int64_t)(raw->allocs - raw->frees);
    struct pair alloc_pair;
    struct pair inuse_pair;
    if (scaler->size_exact) {
        const int64_t size = (int64_t)object_bytes;
        alloc_pair = scale_by_size(scaler, allocs, size);
        inuse_pair = scale_by_size(scaler, inuse, size);
        entry->block_bytes = size;
    } else {
        const int64_t alloc_bytes = (int64_t)raw->alloc_bytes;
        const int64_t inuse_bytes = (int64_t)(raw->alloc_bytes - raw->free_bytes);
        alloc_pair = scale_by_bytes(scaler, allocs, alloc_bytes);
        inuse_pair = scale_by_bytes(scaler, inuse, inuse_bytes);
        entry->block_bytes = allocs > 0 ? alloc_bytes / allocs : 0;
    }
    entry->allocs = raw->allocs;
    entry->frees = raw->frees;
    entry->alloc_objects = alloc_pair.objects;
    entry->alloc_bytes = alloc_pair.bytes;
    entry->inuse_objects = inuse_pair.objects;
    entry->inuse_bytes = inuse_pair.bytes;
}

void profile_scale(struct profile_entry *entry, const struct profile_raw *raw,
                   uint64_t object_bytes, int64_t rate, bool size_exact)
{
    struct profile_scaler scaler;
    profile_scaler_init(&scaler, rate, size_exact);
    profile_scaler_scale(&scaler, entry, raw, object_bytes);
}
