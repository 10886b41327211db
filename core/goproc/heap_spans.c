/* heap_spans.c - reads every span of a Go heap.
 *
 * runtime.mspan, mheap.go: states 0 dead, 1 in use, 2 manual (stacks and work buffers), unchanged from
 * Go 1.19 to 1.27. */
#include "core/goproc/heap_spans.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/memory.h"
#include "core/goproc/symbols.h"

enum { STATE_IN_USE = 1, STATE_MANUAL = 2 };
/* mspans lie side by side in chunks; small gaps are read along. */
enum { GAP_MAX_BYTES = 512, READ_MAX_BYTES = 256 << 10, FALLS_SHARE = 16 };
enum { DIGIT_BITS = 16, DIGITS = 3, DIGIT_VALUES = 1 << DIGIT_BITS, FEW_SPANS = 8192 };
#define SPAN_PAGES_MAX (UINT64_C(1) << 31)
#define ADDRESS_MAX (UINT64_C(1) << 56)

static uint64_t number_at(const unsigned char *bytes, size_t offset, size_t width)
{
    uint64_t value = 0;
    memcpy(&value, bytes + offset, width); /* both machines are little-endian */
    return value;
}

static int compare_addresses(const void *a, const void *b)
{
    const uint64_t left = *(const uint64_t *)a;
    const uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static int compare_spans(const void *a, const void *b)
{
    const uint64_t left = ((const struct heap_span *)a)->start;
    const uint64_t right = ((const struct heap_span *)b)->start;
    return (left > right) - (left < right);
}

/* The runtime appends a span when it takes it from a chunk for the first time, in the order of the chunk.
 * Only if it should ever do otherwise must they be sorted. */
static void sort_pointers(uint64_t *pointers, size_t count)
{
    size_t falls = 0;
    for (size_t i = 1; i < count; i++)
        falls += pointers[i] < pointers[i - 1];
    if (falls > count / FALLS_SHARE)
        qsort(pointers, count, sizeof(*pointers), compare_addresses);
}

/* The pointers of allspans, in ascending runs.  The array is replaced when it grows, and the old one then freed: the
 * slice is read again afterwards and must still be there. */
static uint64_t *read_pointers(struct memory *memory, uint64_t address, size_t *count,
                               struct error *err)
{
    uint64_t slice[2], again[2];
    if (!memory_read(memory, address, slice, sizeof(slice), err))
        return NULL;
    if (slice[1] > HEAP_SPANS_MAX) {
        error_set(err, ERROR_LIMIT, "runtime.mheap_.allspans: %llu spans are too many to read",
                  (unsigned long long)slice[1]);
        return NULL;
    }
    *count = (size_t)slice[1];
    uint64_t *pointers = calloc(*count + 1, sizeof(*pointers));
    if (pointers == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory for %zu spans", *count);
        return NULL;
    }
    const bool ok = (*count == 0 || memory_read(memory, slice[0], pointers,
                                                *count * sizeof(*pointers), err)) &&
                    memory_read(memory, address, again, sizeof(again), err);
    if (ok && again[0] != slice[0]) {
        error_set(err, ERROR_BUSY, "runtime.mheap_.allspans moved while it was read");
        free(pointers);
        return NULL;
    }
    if (!ok) {
        free(pointers);
        return NULL;
    }
    sort_pointers(pointers, *count);
    return pointers;
}

/* ---- one span ---- */

static void count_objects(struct heap_spans *spans, unsigned span_class, uint64_t pages,
                          uint64_t allocated)
{
    const size_t size_class = span_class >> 1;
    struct heap_class *class = &spans->classes[size_class];
    const uint64_t bytes = pages * GO_PAGE_BYTES;
    const uint64_t object_bytes = go_size_class_bytes[size_class];
    const uint64_t taken = size_class == 0 ? bytes : allocated * object_bytes;
    class->object_bytes = object_bytes;
    class->spans++;
    class->span_bytes += bytes;
    class->objects += size_class == 0 ? 1 : allocated;
    class->wasted_bytes += taken < bytes ? bytes - taken : 0;
}

/* False if [bytes] cannot be a span: another thread of the target may be writing it. */
static bool take_span(struct heap_spans *spans, const struct go_layout *layout,
                      const unsigned char *bytes)
{
    const uint64_t start = number_at(bytes, layout->mspan_start, 8);
    const uint64_t pages = number_at(bytes, layout->mspan_npages, 8);
    const unsigned state = bytes[layout->mspan_state];
    const unsigned span_class = bytes[layout->mspan_spanclass];
    if (state != STATE_IN_USE && state != STATE_MANUAL)
        return state == 0;
    if (pages == 0 || pages > SPAN_PAGES_MAX || start % GO_PAGE_BYTES != 0 ||
        start > ADDRESS_MAX || span_class >= GO_SPAN_CLASSES)
        return false;
    const enum heap_span_kind kind = state == STATE_MANUAL ? HEAP_SPAN_MANUAL
                                     : span_class >> 1 == 0 ? HEAP_SPAN_LARGE
                                                            : HEAP_SPAN_SMALL;
    if (state == STATE_IN_USE)
        count_objects(spans, span_class, pages, number_at(bytes, layout->mspan_alloc_count, 2));
    spans->spans[spans->count++] =
        (struct heap_span){.start = start, .pages = (uint32_t)pages, .kind = kind};
    return true;
}

/* ---- all of them ---- */

static size_t span_bytes(const struct go_layout *layout)
{
    const size_t ends[] = {layout->mspan_start + 8, layout->mspan_npages + 8,
                           layout->mspan_alloc_count + 2, layout->mspan_spanclass + 1,
                           layout->mspan_state + 1};
    size_t bytes = 0;
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
        bytes = ends[i] > bytes ? ends[i] : bytes;
    return bytes;
}

static bool read_all(struct memory *memory, const struct go_layout *layout,
                     const uint64_t *pointers, size_t count, unsigned char *chunk,
                     struct heap_spans *spans, struct error *err)
{
    const size_t each = span_bytes(layout);
    size_t strange = 0;
    for (size_t i = 0; i < count;) {
        size_t end = i + 1;
        while (end < count && pointers[end] > pointers[end - 1] &&
               pointers[end] - pointers[end - 1] <= each + GAP_MAX_BYTES &&
               pointers[end] - pointers[i] + each <= READ_MAX_BYTES)
            end++;
        const size_t length = (size_t)(pointers[end - 1] - pointers[i]) + each;
        if (!memory_read(memory, pointers[i], chunk, length, err))
            return false;
        for (size_t k = i; k < end; k++)
            if (!take_span(spans, layout, chunk + (pointers[k] - pointers[i])))
                strange++;
        i = end;
    }
    /* A few may be torn, since the target runs. */
    return strange <= count / 64 + 1 ||
           error_set(err, ERROR_CORRUPT, "%zu of %zu spans of the Go heap make no sense", strange,
                     count);
}

/* ---- by address ---- */

/* Page numbers of addresses have 48 bits at most: three digits, least significant first.  A comparing
 * sort of many spans takes longer than reading them did. */
static void sort_by_digit(const struct heap_span *from, struct heap_span *to, size_t count,
                          unsigned shift, uint32_t *places)
{
    memset(places, 0, DIGIT_VALUES * sizeof(*places));
    for (size_t i = 0; i < count; i++)
        places[(from[i].start / GO_PAGE_BYTES >> shift) % DIGIT_VALUES]++;
    uint32_t place = 0;
    for (size_t digit = 0; digit < DIGIT_VALUES; digit++) {
        const uint32_t here = places[digit];
        places[digit] = place;
        place += here;
    }
    for (size_t i = 0; i < count; i++)
        to[places[(from[i].start / GO_PAGE_BYTES >> shift) % DIGIT_VALUES]++] = from[i];
}

/* Spans that were read at different instants may overlap: the earlier one is cut. */
static void cut_overlaps(struct heap_spans *spans)
{
    for (size_t i = 0; i + 1 < spans->count; i++) {
        struct heap_span *span = &spans->spans[i];
        const uint64_t room = (spans->spans[i + 1].start - span->start) / GO_PAGE_BYTES;
        if (span->pages > room)
            span->pages = (uint32_t)room;
    }
}

static bool sort_spans(struct heap_spans *spans, struct error *err)
{
    if (spans->count < FEW_SPANS) {
        qsort(spans->spans, spans->count, sizeof(spans->spans[0]), compare_spans);
        cut_overlaps(spans);
        return true;
    }
    struct heap_span *other = calloc(spans->count + 1, sizeof(*other));
    uint32_t *places = calloc(DIGIT_VALUES, sizeof(*places));
    const bool ok = other != NULL && places != NULL;
    for (unsigned digit = 0; ok && digit < DIGITS; digit++) {
        sort_by_digit(spans->spans, other, spans->count, digit * DIGIT_BITS, places);
        struct heap_span *const sorted = other;
        other = spans->spans;
        spans->spans = sorted;
    }
    free(other);
    free(places);
    if (!ok)
        return error_set(err, ERROR_NO_MEMORY, "no memory to sort %zu spans", spans->count);
    cut_overlaps(spans);
    return true;
}

bool heap_spans_read(struct memory *memory, const struct go_layout *layout,
                     const struct symbols *symbols, struct heap_spans *spans, struct error *err)
{
    size_t count = 0;
    *spans = (struct heap_spans){0};
    uint64_t *pointers = read_pointers(
        memory, symbols->address[SYMBOL_MHEAP] + layout->mheap_allspans, &count, err);
    if (pointers == NULL)
        return false;
    unsigned char *chunk = malloc(READ_MAX_BYTES);
    spans->spans = calloc(count + 1, sizeof(spans->spans[0]));
    bool ok = chunk != NULL && spans->spans != NULL;
    if (!ok)
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for %zu spans", count);
    ok = ok && read_all(memory, layout, pointers, count, chunk, spans, err) &&
         sort_spans(spans, err);
    free(chunk);
    free(pointers);
    if (!ok) {
        heap_spans_release(spans);
        return false;
    }
    return true;
}

void heap_spans_release(struct heap_spans *spans)
{
    free(spans->spans);
    *spans = (struct heap_spans){0};
}
