/* arena.c - a list of chunks, the newest first.
 *
 *   arena -> [chunk | used........free..] -> [chunk, full] -> [chunk of one big request]
 */
#include "core/base/arena.h"

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct chunk {
    struct chunk *next;
    size_t capacity; /* bytes after this header */
    size_t used;
    max_align_t bytes[];
};

struct arena {
    struct chunk *chunks;
    size_t max_bytes;
    size_t chunk_bytes;
    _Atomic size_t used_bytes; /* written by one thread, counted by any */
};

struct arena *arena_new(size_t max_bytes, size_t chunk_bytes)
{
    struct arena *arena = calloc(1, sizeof(*arena));
    if (arena == NULL)
        return NULL;
    arena->max_bytes = max_bytes;
    arena->chunk_bytes = chunk_bytes;
    return arena;
}

void arena_free(struct arena *arena)
{
    if (arena == NULL)
        return;
    for (struct chunk *chunk = arena->chunks; chunk != NULL;) {
        struct chunk *next = chunk->next;
        free(chunk);
        chunk = next;
    }
    free(arena);
}

static size_t used_bytes(const struct arena *arena)
{
    return atomic_load_explicit(&arena->used_bytes, memory_order_relaxed);
}

static struct chunk *add_chunk(struct arena *arena, size_t capacity)
{
    const size_t total = sizeof(struct chunk) + capacity;
    if (total > arena->max_bytes || used_bytes(arena) > arena->max_bytes - total)
        return NULL;
    struct chunk *chunk = calloc(1, total);
    if (chunk == NULL)
        return NULL;
    chunk->capacity = capacity;
    atomic_store_explicit(&arena->used_bytes, used_bytes(arena) + total, memory_order_relaxed);
    return chunk;
}

/* The first are small, since hundreds of targets have hardly a site: each as large as all before it, up to
 * chunk_bytes.  The last takes what is left below the cap, if [bytes] fit into that. */
static size_t chunk_size(const struct arena *arena, size_t bytes)
{
    enum { FIRST_SHARE = 16 };
    const size_t first = arena->chunk_bytes / FIRST_SHARE;
    const size_t used = used_bytes(arena);
    const size_t wanted = used < first ? first : used;
    if (wanted < arena->chunk_bytes && wanted >= bytes && wanted <= arena->max_bytes / 4)
        return wanted;
    const size_t taken = used + sizeof(struct chunk);
    const size_t left = taken < arena->max_bytes ? arena->max_bytes - taken : 0;
    return left < arena->chunk_bytes && left >= bytes ? left : arena->chunk_bytes;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    const size_t unit = alignof(max_align_t);
    if (bytes > SIZE_MAX / 2)
        return NULL;
    bytes = (bytes + unit - 1) / unit * unit;

    struct chunk *chunk = arena->chunks;
    if (chunk != NULL && chunk->capacity - chunk->used >= bytes) {
        void *result = (char *)chunk->bytes + chunk->used;
        chunk->used += bytes;
        return result;
    }

    const bool big = bytes > arena->chunk_bytes / 4;
    struct chunk *fresh = add_chunk(arena, big ? bytes : chunk_size(arena, bytes));
    if (fresh == NULL)
        return NULL;
    fresh->used = bytes;
    if (big && chunk != NULL) {
        /* A request of its own size is full at once: keep filling the present chunk. */
        fresh->next = chunk->next;
        chunk->next = fresh;
    } else {
        fresh->next = chunk;
        arena->chunks = fresh;
    }
    return fresh->bytes;
}

void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, bytes_each, &bytes))
        return NULL;
    return arena_alloc(arena, bytes);
}

const char *arena_copy_string(struct arena *arena, const char *text, size_t length)
{
    if (length == SIZE_MAX)
        return NULL;
    char *copy = arena_alloc(arena, length + 1);
    if (copy == NULL)
        return NULL;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return copy;
}

size_t arena_used_bytes(const struct arena *arena)
{
    return used_bytes(arena);
}
