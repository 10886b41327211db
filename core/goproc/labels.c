/* labels.c - reads pprof labels, of both kinds.
 *
 * Called by goroutines.c for goroutines that have any. */
#include "core/goproc/labels.h"

#include <string.h>

#include "core/base/error.h"
#include "core/goproc/memory.h"

enum {
    STRING_BYTES = 16,
    PAIR_BYTES = 2 * STRING_BYTES,
    /* runtime.hmap */
    HMAP_BYTES = 48,
    HMAP_COUNT = 0,
    HMAP_FLAGS = 8,
    HMAP_B = 9,
    HMAP_BUCKETS = 16,
    HMAP_OLD_BUCKETS = 24,
    HMAP_SAME_SIZE_GROW = 8,
    HMAP_B_MAX = 4, /* 16 buckets of 8: more than STACK_LABELS_MAX fill */
    /* its buckets: tophash, keys, values, overflow */
    BUCKET_CELLS = 8,
    BUCKET_KEYS = 8,
    BUCKET_VALUES = BUCKET_KEYS + BUCKET_CELLS * STRING_BYTES,
    BUCKET_OVERFLOW = BUCKET_VALUES + BUCKET_CELLS * STRING_BYTES,
    BUCKET_BYTES = BUCKET_OVERFLOW + 8,
    BUCKET_CHAIN_MAX = 8,
    TOPHASH_FIRST_USED = 5,
};

static uint64_t word(const unsigned char *bytes)
{
    uint64_t value;
    memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Copies the text of the string header [header]; NULL if there is no room or it cannot be one. */
static const char *read_text(struct memory *memory, const unsigned char *header,
                             struct labels *labels)
{
    const uint64_t address = word(header), length = word(header + 8);
    char *text = labels->texts + labels->text_bytes;

    if (length > LABEL_TEXT_MAX_BYTES || length + 1 > sizeof(labels->texts) - labels->text_bytes)
        return NULL;
    if (length > 0 && !memory_read(memory, address, text, (size_t)length, NULL))
        return NULL;
    if (memchr(text, '\0', (size_t)length) != NULL)
        return NULL;
    text[length] = '\0';
    labels->text_bytes += (size_t)length + 1;
    return text;
}

static bool add_pair(struct memory *memory, const unsigned char *key, const unsigned char *value,
                     struct labels *labels)
{
    if (labels->count == STACK_LABELS_MAX)
        return false;
    struct stack_label *label = &labels->list[labels->count];
    label->key = read_text(memory, key, labels);
    label->value = read_text(memory, value, labels);
    if (label->key == NULL || label->value == NULL)
        return false;
    labels->count++;
    return true;
}

static bool read_slice(struct memory *memory, uint64_t address, struct labels *labels)
{
    unsigned char header[24];
    unsigned char pairs[STACK_LABELS_MAX * PAIR_BYTES];

    if (!memory_read(memory, address, header, sizeof(header), NULL))
        return false;
    const uint64_t count = word(header + 8);
    if (count > STACK_LABELS_MAX || count > word(header + 16))
        return false;
    if (count > 0 && !memory_read(memory, word(header), pairs, (size_t)count * PAIR_BYTES, NULL))
        return false;
    for (size_t i = 0; i < count; i++)
        if (!add_pair(memory, pairs + i * PAIR_BYTES, pairs + i * PAIR_BYTES + STRING_BYTES,
                      labels))
            return false;
    return true;
}

/* A bucket and those that it overflowed into. */
static bool read_chain(struct memory *memory, uint64_t address, struct labels *labels)
{
    for (int link = 0; address != 0; link++) {
        unsigned char bucket[BUCKET_BYTES];
        if (link == BUCKET_CHAIN_MAX || !memory_read(memory, address, bucket, sizeof(bucket), NULL))
            return false;
        for (size_t i = 0; i < BUCKET_CELLS; i++)
            if (bucket[i] >= TOPHASH_FIRST_USED &&
                !add_pair(memory, bucket + BUCKET_KEYS + i * STRING_BYTES,
                          bucket + BUCKET_VALUES + i * STRING_BYTES, labels))
                return false;
        address = word(bucket + BUCKET_OVERFLOW);
    }
    return true;
}

static bool read_buckets(struct memory *memory, uint64_t address, unsigned log2,
                         struct labels *labels)
{
    if (address == 0)
        return true;
    for (uint64_t i = 0; i < UINT64_C(1) << log2; i++)
        if (!read_chain(memory, address + i * BUCKET_BYTES, labels))
            return false;
    return true;
}

static bool read_map(struct memory *memory, uint64_t address, struct labels *labels)
{
    unsigned char pointer[8];
    unsigned char hmap[HMAP_BYTES];

    if (!memory_read(memory, address, pointer, sizeof(pointer), NULL))
        return false;
    if (word(pointer) == 0)
        return true; /* a nil map: no labels */
    if (!memory_read(memory, word(pointer), hmap, sizeof(hmap), NULL))
        return false;
    const unsigned log2 = hmap[HMAP_B];
    const uint64_t old = word(hmap + HMAP_OLD_BUCKETS);
    if (log2 > HMAP_B_MAX || word(hmap + HMAP_COUNT) > STACK_LABELS_MAX)
        return false;
    /* A map that was still growing when it was last written keeps its old buckets; what has moved
     * out of them is marked by a tophash below the used ones. */
    const unsigned old_log2 =
        (hmap[HMAP_FLAGS] & HMAP_SAME_SIZE_GROW) != 0 || log2 == 0 ? log2 : log2 - 1;
    return read_buckets(memory, word(hmap + HMAP_BUCKETS), log2, labels) &&
           read_buckets(memory, old, old_log2, labels) && labels->count == word(hmap + HMAP_COUNT);
}

bool labels_read(struct memory *memory, uint64_t address, bool is_slice, struct labels *labels)
{
    labels->count = labels->text_bytes = 0;
    return is_slice ? read_slice(memory, address, labels) : read_map(memory, address, labels);
}
