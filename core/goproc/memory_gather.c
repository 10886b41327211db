/* memory_gather.c - reads many small pieces that may lie close together.
 *
 * Called by heap_reading.c: the spans and caches of an idle process lie on a few pages. */
#include "core/goproc/memory_gather.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/memory.h"

enum { GAP_MAX_BYTES = 2048, RUNS_MAX_BYTES = 8 << 20 };

static int compare_parts(const void *a, const void *b)
{
    const uint64_t left = ((const struct memory_part *)a)->address;
    const uint64_t right = ((const struct memory_part *)b)->address;
    return (left > right) - (left < right);
}

static bool wraps(const struct memory_part *part)
{
    return part->address > UINT64_MAX - part->length;
}

/* The runs that cover the sorted [parts], and their bytes together; 0 if they cannot be made. */
static size_t make_runs(const struct memory_part *parts, size_t count, struct memory_part *runs,
                        size_t *bytes)
{
    size_t run_count = 0;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t end = parts[i].address + parts[i].length;
        struct memory_part *run = run_count == 0 ? NULL : &runs[run_count - 1];
        const uint64_t run_end = run == NULL ? 0 : run->address + run->length;
        if (wraps(&parts[i]) || parts[i].length > RUNS_MAX_BYTES)
            return 0;
        if (run != NULL &&
            (parts[i].address <= run_end || parts[i].address - run_end <= GAP_MAX_BYTES)) {
            if (end > run_end) {
                run->length = (size_t)(end - run->address);
                *bytes += (size_t)(end - run_end);
            }
        } else {
            runs[run_count++] =
                (struct memory_part){.address = parts[i].address, .length = parts[i].length};
            *bytes += parts[i].length;
        }
        if (*bytes > RUNS_MAX_BYTES)
            return 0;
    }
    return run_count;
}

static void hand_out(struct memory_part *parts, size_t count, const struct memory_part *runs)
{
    for (size_t i = 0; i < count; i++) {
        while (parts[i].address + parts[i].length > runs->address + runs->length)
            runs++;
        if (parts[i].length > 0)
            memcpy(parts[i].into, (const char *)runs->into + (parts[i].address - runs->address),
                   parts[i].length);
    }
}

bool memory_gather(struct memory *memory, struct memory_part *parts, size_t count,
                   struct error *err)
{
    if (count == 0)
        return true;
    qsort(parts, count, sizeof(parts[0]), compare_parts);
    struct memory_part *runs = calloc(count, sizeof(*runs));
    size_t bytes = 0;
    const size_t run_count = runs == NULL ? 0 : make_runs(parts, count, runs, &bytes);
    char *copy = run_count == 0 ? NULL : malloc(bytes + 1);
    bool ok;
    if (copy != NULL) {
        char *at = copy;
        for (size_t i = 0; i < run_count; i++) {
            runs[i].into = at;
            at += runs[i].length;
        }
        ok = memory_read_parts(memory, runs, run_count, err);
        if (ok)
            hand_out(parts, count, runs);
    } else { /* too large, or no memory: piece by piece */
        ok = memory_read_parts(memory, parts, count, err);
    }
    free(copy);
    free(runs);
    return ok;
}
