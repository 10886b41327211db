/* cache.c - rendered once, sent often.  One loop thread. */
#include "http/cache.h"

#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "http/reply.h"

struct cache_entry {
    struct cache_key key;
    struct body *body; /* NULL: the slot is free */
    char *text;        /* what key.text points to; owned */
    uint64_t used_ms;
};

struct tops_entry {
    const struct profile *profile;
    enum group_by by;
    const struct tops *tops; /* NULL: the slot is free */
    uint64_t used_ms;
};

struct cache {
    size_t bytes; /* of the plain bodies; their gzip forms are smaller still */
    struct cache_entry entries[CACHE_ENTRIES_MAX];
    struct tops_entry tops[CACHE_TOPS_MAX];
};

struct cache *cache_new(void)
{
    return calloc(1, sizeof(struct cache));
}

static void entry_clear(struct cache *cache, struct cache_entry *entry)
{
    if (entry->body == NULL)
        return;
    cache->bytes -= entry->body->length;
    body_unref(entry->body);
    target_info_unref(entry->key.info);
    snapshot_unref(entry->key.snapshot);
    profile_unref(entry->key.profile);
    board_page_unref(entry->key.page);
    finding_set_unref(entry->key.findings);
    free(entry->text);
    *entry = (struct cache_entry){0};
}

static void tops_entry_clear(struct tops_entry *entry)
{
    if (entry->tops == NULL)
        return;
    tops_unref(entry->tops);
    profile_unref(entry->profile);
    *entry = (struct tops_entry){0};
}

void cache_free(struct cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < CACHE_ENTRIES_MAX; i++)
        entry_clear(cache, &cache->entries[i]);
    for (size_t i = 0; i < CACHE_TOPS_MAX; i++)
        tops_entry_clear(&cache->tops[i]);
    free(cache);
}

static bool same_key(const struct cache_key *a, const struct cache_key *b)
{
    return a->kind == b->kind && a->snapshot == b->snapshot && a->info == b->info &&
           a->profile == b->profile && a->page == b->page && a->findings == b->findings &&
           (a->text == b->text ||
            (a->text != NULL && b->text != NULL && strcmp(a->text, b->text) == 0));
}

static struct cache_entry *find_entry(struct cache *cache, const struct cache_key *key)
{
    for (size_t i = 0; i < CACHE_ENTRIES_MAX; i++) {
        if (cache->entries[i].body != NULL && same_key(&cache->entries[i].key, key))
            return &cache->entries[i];
    }
    return NULL;
}

struct body *cache_find(struct cache *cache, const struct cache_key *key, uint64_t now_ms)
{
    struct cache_entry *entry = find_entry(cache, key);
    if (entry == NULL)
        return NULL;
    entry->used_ms = now_ms;
    return entry->body;
}

/* The free slot, or the least recently used. */
static struct cache_entry *oldest_entry(struct cache *cache)
{
    struct cache_entry *oldest = &cache->entries[0];
    for (size_t i = 0; i < CACHE_ENTRIES_MAX; i++) {
        if (cache->entries[i].body == NULL)
            return &cache->entries[i];
        if (cache->entries[i].used_ms < oldest->used_ms)
            oldest = &cache->entries[i];
    }
    return oldest;
}

static struct cache_entry *oldest_used_entry(struct cache *cache)
{
    struct cache_entry *oldest = NULL;
    for (size_t i = 0; i < CACHE_ENTRIES_MAX; i++) {
        struct cache_entry *entry = &cache->entries[i];
        if (entry->body != NULL && (oldest == NULL || entry->used_ms < oldest->used_ms))
            oldest = entry;
    }
    return oldest;
}

void cache_put(struct cache *cache, const struct cache_key *key, struct body *body, uint64_t now_ms)
{
    struct cache_entry *entry = find_entry(cache, key);
    if (entry != NULL)
        entry_clear(cache, entry);
    char *text = key->text != NULL ? strdup(key->text) : NULL;
    if (body->length > CACHE_MAX_BYTES / 2 || (key->text != NULL && text == NULL)) {
        free(text);
        return;
    }
    while (cache->bytes + body->length > CACHE_MAX_BYTES)
        entry_clear(cache, oldest_used_entry(cache));

    entry = oldest_entry(cache);
    entry_clear(cache, entry);
    *entry = (struct cache_entry){
        .key = *key, .body = body_ref(body), .text = text, .used_ms = now_ms};
    entry->key.text = text;
    cache->bytes += body->length;
    if (key->info != NULL)
        target_info_ref(key->info);
    if (key->snapshot != NULL)
        snapshot_ref(key->snapshot);
    if (key->profile != NULL)
        profile_ref(key->profile);
    if (key->page != NULL)
        board_page_ref(key->page);
    if (key->findings != NULL)
        finding_set_ref(key->findings);
}

const struct tops *cache_tops(struct cache *cache, const struct profile *profile, enum group_by by,
                              uint64_t now_ms)
{
    struct tops_entry *slot = &cache->tops[0];
    for (size_t i = 0; i < CACHE_TOPS_MAX; i++) {
        struct tops_entry *entry = &cache->tops[i];
        if (entry->tops != NULL && entry->profile == profile && entry->by == by) {
            entry->used_ms = now_ms;
            return entry->tops;
        }
        if (slot->tops != NULL && (entry->tops == NULL || entry->used_ms < slot->used_ms))
            slot = entry;
    }
    const struct tops *tops = tops_new(profile, by, CACHE_TOPS_LIMIT);
    if (tops == NULL)
        return NULL;
    tops_entry_clear(slot);
    *slot = (struct tops_entry){
        .profile = profile_ref(profile), .by = by, .tops = tops, .used_ms = now_ms};
    return tops;
}

size_t cache_expire(struct cache *cache, uint64_t now_ms, uint64_t idle_ms)
{
    size_t left = 0;
    for (size_t i = 0; i < CACHE_ENTRIES_MAX; i++) {
        struct cache_entry *entry = &cache->entries[i];
        if (entry->body != NULL && entry->used_ms + idle_ms <= now_ms)
            entry_clear(cache, entry);
        left += entry->body != NULL;
    }
    for (size_t i = 0; i < CACHE_TOPS_MAX; i++) {
        struct tops_entry *entry = &cache->tops[i];
        if (entry->tops != NULL && entry->used_ms + idle_ms <= now_ms)
            tops_entry_clear(entry);
        left += entry->tops != NULL;
    }
    return left;
}
