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

/* String headers of keys and values in turn, as they lie in memory. */
struct pairs {
    unsigned char bytes[STACK_LABELS_MAX * PAIR_BYTES];
    size_t count;
};

/* Room for the text of the string header [header], and the piece to fill it with; false if there is none or it
 * cannot be a string. */
static bool plan_text(const unsigned char *header, struct labels *labels, const char **text,
                      struct memory_part *part)
{
    const uint64_t length = word(header + 8);
    char *room = labels->texts + labels->text_bytes;

    if (length > LABEL_TEXT_MAX_BYTES || length + 1 > sizeof(labels->texts) - labels->text_bytes)
        return false;
    labels->text_bytes += (size_t)length + 1;
    room[length] = '\0';
    *text = room;
    *part = (struct memory_part){.address = word(header), .into = room, .length = (size_t)length};
    return true;
}

/* All texts with one call: a goroutine may have a dozen, and there may be 100,000 goroutines. */
static bool read_texts(struct memory *memory, const struct pairs *pairs, struct labels *labels)
{
    struct memory_part parts[2 * STACK_LABELS_MAX];
    size_t used = 0;

    for (size_t i = 0; i < pairs->count; i++) {
        const unsigned char *pair = pairs->bytes + i * PAIR_BYTES;
        struct stack_label *label = &labels->list[i];
        struct memory_part planned[2];
        if (!plan_text(pair, labels, &label->key, &planned[0]) ||
            !plan_text(pair + STRING_BYTES, labels, &label->value, &planned[1]))
            return false;
        for (size_t k = 0; k < 2; k++)
            if (planned[k].length > 0) /* an empty string may point anywhere */
                parts[used++] = planned[k];
    }
    if (!memory_read_parts(memory, parts, used, NULL))
        return false;
    for (size_t i = 0; i < used; i++)
        if (memchr(parts[i].into, '\0', parts[i].length) != NULL)
            return false;
    labels->count = pairs->count;
    return true;
}

static bool read_slice(struct memory *memory, uint64_t address, struct pairs *pairs)
{
    unsigned char header[24];

    if (!memory_read(memory, address, header, sizeof(header), NULL))
        return false;
    const uint64_t count = word(header + 8);
    if (count > STACK_LABELS_MAX || count > word(header + 16))
        return false;
    pairs->count = (size_t)count;
    return count == 0 ||
           memory_read(memory, word(header), pairs->bytes, (size_t)count * PAIR_BYTES, NULL);
}

static bool add_pair(const unsigned char *key, const unsigned char *value, struct pairs *pairs)
{
    unsigned char *pair = pairs->bytes + pairs->count * PAIR_BYTES;

    if (pairs->count == STACK_LABELS_MAX)
        return false;
    memcpy(pair, key, STRING_BYTES);
    memcpy(pair + STRING_BYTES, value, STRING_BYTES);
    pairs->count++;
    return true;
}

/* A bucket and those that it overflowed into. */
static bool read_chain(struct memory *memory, uint64_t address, struct pairs *pairs)
{
    for (int link = 0; address != 0; link++) {
        unsigned char bucket[BUCKET_BYTES];
        if (link == BUCKET_CHAIN_MAX || !memory_read(memory, address, bucket, sizeof(bucket), NULL))
            return false;
        for (size_t i = 0; i < BUCKET_CELLS; i++)
            if (bucket[i] >= TOPHASH_FIRST_USED &&
                !add_pair(bucket + BUCKET_KEYS + i * STRING_BYTES,
                          bucket + BUCKET_VALUES + i * STRING_BYTES, pairs))
                return false;
        address = word(bucket + BUCKET_OVERFLOW);
    }
    return true;
}

static bool read_buckets(struct memory *memory, uint64_t address, unsigned log2,
                         struct pairs *pairs)
{
    if (address == 0)
        return true;
    for (uint64_t i = 0; i < UINT64_C(1) << log2; i++)
        if (!read_chain(memory, address + i * BUCKET_BYTES, pairs))
            return false;
    return true;
}

static bool read_map(struct memory *memory, uint64_t address, struct pairs *pairs)
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
    return read_buckets(memory, word(hmap + HMAP_BUCKETS), log2, pairs) &&
           read_buckets(memory, old, old_log2, pairs) && pairs->count == word(hmap + HMAP_COUNT);
}

bool labels_read(struct memory *memory, uint64_t address, bool is_slice, struct labels *labels)
{
    struct pairs pairs;

    labels->count = labels->text_bytes = pairs.count = 0;
    return (is_slice ? read_slice(memory, address, &pairs) : read_map(memory, address, &pairs)) &&
           read_texts(memory, &pairs, labels);
}
