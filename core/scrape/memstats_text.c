/* memstats_text.c - runtime.MemStats from the text of /debug/pprof/heap?debug=1. */
#include "core/scrape/memstats_text.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char heading[] = "\n# runtime.MemStats\n";

/* One line of the block; `second`: of "Stack = inuse / sys", else the first of that line. */
enum { NUMBERS_MAX = 2 };

/* Where the block begins: after the last heading, since names in the profile above are the target's. */
static const char *find_block(const char *text, size_t length)
{
    const size_t heading_length = sizeof(heading) - 1;
    const char *found = NULL;
    for (const char *at = text; (size_t)(text + length - at) >= heading_length;) {
        at = memchr(at, '\n', (size_t)(text + length - at));
        if (at == NULL || (size_t)(text + length - at) < heading_length)
            break;
        if (memcmp(at, heading, heading_length) == 0)
            found = at + heading_length;
        at++;
    }
    return found;
}

/* The text after "# NAME = " in the line [at, end), or NULL. */
static const char *value_of(const char *at, const char *end, const char *name)
{
    const size_t length = strlen(name);
    if ((size_t)(end - at) < length + 5 || memcmp(at, "# ", 2) != 0 ||
        memcmp(at + 2, name, length) != 0 || memcmp(at + 2 + length, " = ", 3) != 0)
        return NULL;
    return at + 2 + length + 3;
}

static bool take_u64(const char **at, const char *end, uint64_t *value)
{
    const char *const start = *at;
    uint64_t sum = 0;
    for (; *at < end && **at >= '0' && **at <= '9'; (*at)++) {
        if (__builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, (uint64_t)(**at - '0'), &sum))
            return false;
    }
    *value = sum;
    return *at > start;
}

/* "N" or "N / M"; returns how many numbers the line has, 0 if it is neither. */
static size_t take_numbers(const char *at, const char *end, uint64_t numbers[NUMBERS_MAX])
{
    if (!take_u64(&at, end, &numbers[0]))
        return 0;
    if (at == end)
        return 1;
    if (end - at < 3 || memcmp(at, " / ", 3) != 0)
        return 0;
    at += 3;
    return take_u64(&at, end, &numbers[1]) && at == end ? 2 : 0;
}

static void take_pauses(const char *at, const char *end, struct memstats_text *stats)
{
    size_t count = 0;
    if (at == end || *at++ != '[')
        return;
    while (count < MEMSTATS_PAUSES && take_u64(&at, end, &stats->pause_ns[count])) {
        count++;
        if (at < end && *at == ' ')
            at++;
    }
    if (count == MEMSTATS_PAUSES && at < end && *at == ']')
        stats->pause_count = count;
}

static void take_fraction(const char *at, const char *end, struct memstats_text *stats)
{
    char number[64];
    char *after = NULL;
    const size_t length = (size_t)(end - at);
    if (length == 0 || length >= sizeof(number))
        return;
    memcpy(number, at, length);
    number[length] = '\0';
    const double value = strtod(number, &after);
    if (*after == '\0' && isfinite(value) && value >= 0 && value <= 1)
        SNAPSHOT_SET(&stats->values, gc_cpu_fraction, value);
}

/*    name in the text   what its first number is     what its second is, after " / " */
#define MEMSTATS_LINES(ONE, TWO)                                                                   \
    ONE("TotalAlloc", total_alloc_bytes)                                                           \
    ONE("Sys", sys_bytes)                                                                          \
    ONE("Mallocs", mallocs)                                                                        \
    ONE("Frees", frees)                                                                            \
    ONE("HeapAlloc", heap_alloc_bytes)                                                             \
    ONE("HeapSys", heap_sys_bytes)                                                                 \
    ONE("HeapIdle", heap_idle_bytes)                                                               \
    ONE("HeapInuse", heap_inuse_bytes)                                                             \
    ONE("HeapReleased", heap_released_bytes)                                                       \
    ONE("HeapObjects", heap_objects)                                                               \
    TWO("Stack", stack_inuse_bytes, stack_sys_bytes)                                               \
    TWO("MSpan", mspan_inuse_bytes, mspan_sys_bytes)                                               \
    TWO("MCache", mcache_inuse_bytes, mcache_sys_bytes)                                            \
    ONE("BuckHashSys", buck_hash_sys_bytes)                                                        \
    ONE("GCSys", gc_sys_bytes)                                                                     \
    ONE("OtherSys", other_sys_bytes)                                                               \
    ONE("NextGC", next_gc_bytes)                                                                   \
    ONE("NumGC", num_gc)                                                                           \
    ONE("NumForcedGC", num_forced_gc)

static void take_line(const char *at, const char *end, struct memstats_text *stats)
{
    struct snapshot_values *values = &stats->values;
    uint64_t numbers[NUMBERS_MAX] = {0};
    const char *value = NULL;
#define TAKE_ONE(name, member)                                                                     \
    if ((value = value_of(at, end, name)) != NULL && take_numbers(value, end, numbers) == 1)       \
        SNAPSHOT_SET(values, member, numbers[0]);
#define TAKE_TWO(name, first, second)                                                              \
    if ((value = value_of(at, end, name)) != NULL && take_numbers(value, end, numbers) == 2) {     \
        SNAPSHOT_SET(values, first, numbers[0]);                                                   \
        SNAPSHOT_SET(values, second, numbers[1]);                                                  \
    }
    MEMSTATS_LINES(TAKE_ONE, TAKE_TWO)
#undef TAKE_ONE
#undef TAKE_TWO
    if ((value = value_of(at, end, "LastGC")) != NULL && take_numbers(value, end, numbers) == 1)
        SNAPSHOT_SET(values, last_gc_unix, (int64_t)(numbers[0] / UINT64_C(1000000000)));
    if ((value = value_of(at, end, "PauseNs")) != NULL)
        take_pauses(value, end, stats);
    if ((value = value_of(at, end, "GCCPUFraction")) != NULL)
        take_fraction(value, end, stats);
}

static bool has_all(const struct snapshot_values *values)
{
    bool all = true;
#define HAS_ONE(name, member) all = all && SNAPSHOT_HAS(values, member);
#define HAS_TWO(name, first, second) all = all && SNAPSHOT_HAS(values, first);
    MEMSTATS_LINES(HAS_ONE, HAS_TWO)
#undef HAS_ONE
#undef HAS_TWO
    return all;
}

bool memstats_text_parse(const char *text, size_t length, struct memstats_text *stats,
                         struct error *err)
{
    *stats = (struct memstats_text){.pause_count = 0};
    const char *at = length == 0 ? NULL : find_block(text, length);
    if (at == NULL)
        return error_set(err, ERROR_CORRUPT,
                         "no runtime.MemStats in it: not what net/http/pprof answers");
    for (const char *const end = text + length; at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL)
            break; /* cut off: its number may be too */
        take_line(at, newline, stats);
        at = newline + 1;
    }
    if (!has_all(&stats->values))
        return error_set(err, ERROR_CORRUPT,
                         "runtime.MemStats are incomplete: not what net/http/pprof answers");
    const uint64_t num_gc = stats->values.num_gc;
    if (num_gc > 0 && stats->pause_count == MEMSTATS_PAUSES)
        SNAPSHOT_SET(&stats->values, last_gc_pause_ns,
                     stats->pause_ns[(num_gc + MEMSTATS_PAUSES - 1) % MEMSTATS_PAUSES]);
    return true;
}

bool memstats_text_continues(const struct memstats_text *before, const struct memstats_text *after)
{
    const uint64_t old_gcs = before->values.num_gc;
    const uint64_t new_gcs = after->values.num_gc;
    if (new_gcs < old_gcs || after->values.total_alloc_bytes < before->values.total_alloc_bytes)
        return false;
    if (before->pause_count != MEMSTATS_PAUSES || after->pause_count != MEMSTATS_PAUSES)
        return true; /* as far as can be told */
    for (uint64_t gc = new_gcs > MEMSTATS_PAUSES ? new_gcs - MEMSTATS_PAUSES : 0; gc < old_gcs; gc++) {
        if (before->pause_ns[gc % MEMSTATS_PAUSES] != after->pause_ns[gc % MEMSTATS_PAUSES])
            return false;
    }
    return true;
}

void pause_total_follow(struct pause_total *total, struct memstats_text *stats)
{
    const uint64_t num_gc = stats->values.num_gc;
    if (num_gc < total->num_gc || num_gc - total->num_gc > MEMSTATS_PAUSES ||
        stats->pause_count != MEMSTATS_PAUSES)
        total->lost = true;
    for (uint64_t gc = total->num_gc; !total->lost && gc < num_gc; gc++)
        total->total_ns += stats->pause_ns[gc % MEMSTATS_PAUSES];
    total->num_gc = num_gc;
    if (!total->lost)
        SNAPSHOT_SET(&stats->values, gc_pause_total_ns, total->total_ns);
}
