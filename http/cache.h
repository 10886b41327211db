/* cache.h - what one loop rendered and may send again: bytes per snapshot, page or profile.
 *
 * A key is the sealed things the bytes were made from; the cache holds them, so an address cannot
 * be reused while an entry names it.  Bounded in entries and bytes; the least recently used goes.
 * One loop thread. */
#ifndef GOPROFD_HTTP_CACHE_H
#define GOPROFD_HTTP_CACHE_H

#include <stddef.h>
#include <stdint.h>

#include "core/store/profile.h"

struct board_page;
struct body;
struct cache;
struct finding_set;
struct snapshot;
struct target_info;

enum cache_kind { CACHE_LATEST, CACHE_HISTORY, CACHE_METRICS, CACHE_OPENMETRICS, CACHE_HEAP, CACHE_ALLOCS };

enum { CACHE_ENTRIES_MAX = 64, CACHE_TOPS_MAX = 8, CACHE_TOPS_LIMIT = 1000 };
#define CACHE_MAX_BYTES ((size_t)64 << 20)

struct cache_key { /* unused members are NULL */
    enum cache_kind kind;
    const struct target_info *info;
    const struct snapshot *snapshot;
    const struct profile *profile;
    const struct board_page *page;
    const struct finding_set *findings;
    const char *text; /* the query; the cache keeps a copy */
};

struct cache *cache_new(void); /* NULL without memory */
void cache_free(struct cache *cache);

/* NULL if not there.  The hold stays with the cache; good until the next call. */
struct body *cache_find(struct cache *cache, const struct cache_key *key, uint64_t now_ms);

/* Takes its own holds on [body] and on what [key] names.  A body too large to keep is not kept.  An
 * entry with an equal key is replaced. */
void cache_put(struct cache *cache, const struct cache_key *key, struct body *body,
               uint64_t now_ms);

/* The CACHE_TOPS_LIMIT largest groups of [profile]; NULL without memory.  The hold stays here. */
const struct tops *cache_tops(struct cache *cache, const struct profile *profile, enum group_by by,
                              uint64_t now_ms);

/* Drops what nobody asked for since [idle_ms]; returns how many entries are left. */
size_t cache_expire(struct cache *cache, uint64_t now_ms, uint64_t idle_ms);

#endif
