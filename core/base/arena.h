/* arena.h - allocate, never free one, discard all.
 *
 * An arena has a cap in bytes; an allocation past it, or one the system refuses, returns
 * NULL and the caller reports ERROR_LIMIT or ERROR_NO_MEMORY.  Memory never moves and
 * is zeroed.  One writer; readers may use what they were handed under their own order. */
#ifndef GOPROFD_BASE_ARENA_H
#define GOPROFD_BASE_ARENA_H

#include <stddef.h>

struct arena;

/* [chunk_bytes]: size of one malloc, once so much is in use; large requests get a chunk of their own. */
struct arena *arena_new(size_t max_bytes, size_t chunk_bytes);
void arena_free(struct arena *arena); /* NULL is allowed */

void *arena_alloc(struct arena *arena, size_t bytes); /* aligned for any type */
void *arena_alloc_array(struct arena *arena, size_t count, size_t bytes_each);

/* A terminated copy of [length] bytes of [text]. */
const char *arena_copy_string(struct arena *arena, const char *text, size_t length);

size_t arena_used_bytes(const struct arena *arena); /* what was taken from malloc; any thread */

#endif
