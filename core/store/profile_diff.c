/* profile_diff.c - what changed from one heap profile to another. */
#include "core/store/profile_diff.h"

#include <stdlib.h>
#include <string.h>

#include "core/store/profile.h"

/* The entries of a profile by their stacks. */
struct stack_index {
    const struct profile *profile;
    uint32_t *slots; /* index + 1; 0: free */
    size_t slot_count;
    bool *taken;
};

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0xff51afd7ed558ccd);
    return hash ^ (hash >> 33);
}

static uint64_t hash_text(const char *text)
{
    uint64_t hash = UINT64_C(14695981039346656037);
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    return hash;
}

/* The leaf and the depth tell most stacks apart; the rest is compared. */
static uint64_t hash_site(const struct site *site)
{
    const struct frame *leaf = site->frames[0];
    uint64_t hash = mix(hash_text(leaf->function), leaf->line);
    hash = mix(hash, site->frame_count);
    if (site->frame_count > 1)
        hash = mix(hash, hash_text(site->frames[1]->function) + site->frames[1]->line);
    return mix(hash, site->object_bytes);
}

static bool same_stack(const struct site *a, const struct site *b)
{
    if (a->frame_count != b->frame_count || a->object_bytes != b->object_bytes)
        return false;
    for (uint32_t i = 0; i < a->frame_count; i++) {
        if (a->frames[i]->line != b->frames[i]->line ||
            strcmp(a->frames[i]->function, b->frames[i]->function) != 0 ||
            strcmp(a->frames[i]->file, b->frames[i]->file) != 0)
            return false;
    }
    return true;
}

static void index_free(struct stack_index *index)
{
    free(index->slots);
    free(index->taken);
}

static bool index_build(struct stack_index *index, const struct profile *profile)
{
    *index = (struct stack_index){.profile = profile, .slot_count = 64};
    while (index->slot_count < profile->entry_count * 2)
        index->slot_count *= 2;
    index->slots = calloc(index->slot_count, sizeof(index->slots[0]));
    index->taken = calloc(profile->entry_count + 1, sizeof(index->taken[0]));
    if (index->slots == NULL || index->taken == NULL) {
        index_free(index);
        return false;
    }
    for (size_t i = 0; i < profile->entry_count; i++) {
        size_t at = hash_site(profile->entries[i].site) & (index->slot_count - 1);
        while (index->slots[at] != 0)
            at = (at + 1) & (index->slot_count - 1);
        index->slots[at] = (uint32_t)i + 1;
    }
    return true;
}

/* The entry with the stack of [site] that was not given out before, or NULL. */
static const struct profile_entry *index_take(struct stack_index *index, const struct site *site)
{
    size_t at = hash_site(site) & (index->slot_count - 1);
    for (; index->slots[at] != 0; at = (at + 1) & (index->slot_count - 1)) {
        const size_t i = index->slots[at] - 1;
        const struct profile_entry *entry = &index->profile->entries[i];
        if (!index->taken[i] && (entry->site == site || same_stack(entry->site, site))) {
            index->taken[i] = true;
            return entry;
        }
    }
    return NULL;
}

/* The range's end where a target's numbers are so absurd that the difference leaves it. */
static int64_t minus(int64_t a, int64_t b)
{
    int64_t difference = 0;
    if (__builtin_sub_overflow(a, b, &difference))
        return a < b ? INT64_MIN : INT64_MAX;
    return difference;
}

static void add_difference(struct profile *diff, const struct profile_entry *from,
                           const struct profile_entry *to)
{
    static const struct profile_entry nothing;
    const struct profile_entry *a = from != NULL ? from : &nothing;
    const struct profile_entry *b = to != NULL ? to : &nothing;
    struct profile_entry entry = {
        .site = to != NULL ? to->site : from->site,
        .alloc_objects = minus(b->alloc_objects, a->alloc_objects),
        .alloc_bytes = minus(b->alloc_bytes, a->alloc_bytes),
        .inuse_objects = minus(b->inuse_objects, a->inuse_objects),
        .inuse_bytes = minus(b->inuse_bytes, a->inuse_bytes),
        .block_bytes = to != NULL ? b->block_bytes : a->block_bytes,
    };
    if (entry.alloc_objects != 0 || entry.alloc_bytes != 0 || entry.inuse_objects != 0 ||
        entry.inuse_bytes != 0)
        diff->entries[diff->entry_count++] = entry;
}

const struct profile *profile_diff_new(const struct profile *from, const struct profile *to)
{
    struct stack_index index;
    if (!index_build(&index, from))
        return NULL;
    struct profile *diff = profile_begin(to->sites, from->entry_count + to->entry_count);
    if (diff == NULL) {
        index_free(&index);
        return NULL;
    }
    diff->taken_realtime_ns = to->taken_realtime_ns;
    diff->start_realtime_ns = to->start_realtime_ns;
    diff->cycle = to->cycle;
    diff->rate = to->rate;
    diff->partial = from->partial || to->partial;
    diff->partial_reason = to->partial ? to->partial_reason : from->partial_reason;
    diff->mappings = to->mappings;
    diff->mapping_count = to->mapping_count;
    for (size_t i = 0; i < to->entry_count; i++)
        add_difference(diff, index_take(&index, to->entries[i].site), &to->entries[i]);
    for (size_t i = 0; i < from->entry_count; i++) {
        if (!index.taken[i])
            add_difference(diff, &from->entries[i], NULL);
    }
    index_free(&index);
    return profile_seal_past(diff);
}
