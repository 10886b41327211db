/* site_match.c - see site_match.h. */
#include "lua/site_match.h"

#include "core/store/site.h"
#include "lua/matcher.h"

/* Whether a pattern matches a function.  Directly mapped: when patterns are asked one after the other, each of
 * all sites, there is room for the functions of one. */
enum { FUNCTION_SLOTS = 4096 }; /* a power of two */
struct function_slot {
    const char *function; /* NULL: free */
    uint32_t entry;       /* its number */
    bool matches;
};

struct site_match_entry {
    struct site_match *owner;
    uint32_t number; /* never used again for another */
    char kind;
    size_t length;
    size_t count;
    uint8_t *verdicts; /* by site id */
    uint64_t used;     /* the least recently used one goes first */
    char pattern[];
};

struct site_match {
    struct site_table *sites; /* one hold, so that its address stays ours; NULL before the first */
    uint64_t uses;
    uint32_t numbers;
    struct function_slot *functions; /* NULL: there are not many sites */
    size_t entry_count;
    uint32_t hashes[SITE_MATCH_PATTERNS_MAX]; /* of the entries, beside each other: looked up for each pattern asked */
    struct site_match_entry *entries[SITE_MATCH_PATTERNS_MAX];
};

struct site_match *site_match_new(void)
{
    return calloc(1, sizeof(struct site_match));
}

static void free_entry(struct site_match_entry *entry)
{
    free(entry->verdicts);
    free(entry);
}

static void forget_all(struct site_match *match)
{
    for (size_t i = 0; i < match->entry_count; i++)
        free_entry(match->entries[i]);
    match->entry_count = 0;
    free(match->functions);
    match->functions = NULL;
    if (match->sites != NULL)
        site_table_unref(match->sites);
    match->sites = NULL;
}

void site_match_free(struct site_match *match)
{
    if (match == NULL)
        return;
    forget_all(match);
    free(match);
}

size_t site_match_bytes(const struct site_match *match)
{
    size_t bytes = sizeof(*match);
    if (match->functions != NULL)
        bytes += FUNCTION_SLOTS * sizeof(*match->functions);
    for (size_t i = 0; i < match->entry_count; i++)
        bytes += sizeof(struct site_match_entry) + match->entries[i]->length +
                 match->entries[i]->count;
    return bytes;
}

static uint32_t hash_of(char kind, const char *pattern, size_t length)
{
    uint32_t hash = UINT32_C(2166136261) ^ (uint8_t)kind; /* FNV-1a */
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)pattern[i]) * UINT32_C(16777619);
    return hash;
}

static struct site_match_entry *find_entry(const struct site_match *match, char kind, const char *pattern,
                                size_t length)
{
    const uint32_t hash = hash_of(kind, pattern, length);
    for (size_t i = 0; i < match->entry_count; i++) {
        struct site_match_entry *entry = match->entries[i];
        if (match->hashes[i] == hash && entry->kind == kind && entry->length == length &&
            memcmp(entry->pattern, pattern, length) == 0)
            return entry;
    }
    return NULL;
}

static struct site_match_entry *add_entry(struct site_match *match, char kind, const char *pattern,
                               size_t length)
{
    struct site_match_entry *entry = calloc(1, sizeof(*entry) + length);
    if (entry == NULL)
        return NULL;
    size_t at = match->entry_count;
    if (at == SITE_MATCH_PATTERNS_MAX) {
        at = 0;
        for (size_t i = 1; i < match->entry_count; i++) {
            if (match->entries[i]->used < match->entries[at]->used)
                at = i;
        }
        free_entry(match->entries[at]);
    } else {
        match->entry_count++;
    }
    entry->owner = match;
    entry->number = ++match->numbers;
    entry->kind = kind;
    entry->length = length;
    memcpy(entry->pattern, pattern, length);
    match->entries[at] = entry;
    match->hashes[at] = hash_of(kind, pattern, length);
    return entry;
}

struct site_match_entry *site_match_find(struct site_match *match, struct site_table *sites,
                                         char kind, const char *pattern, size_t length, bool *fresh)
{
    if (match->sites != sites) {
        forget_all(match);
        match->sites = site_table_ref(sites);
    }
    if (match->functions == NULL && site_table_count(sites) >= SITE_MATCH_MANY_SITES)
        match->functions = calloc(FUNCTION_SLOTS, sizeof(*match->functions)); /* without it: slower */
    if (length > MATCHER_PATTERN_MAX_BYTES)
        return NULL;
    struct site_match_entry *entry = find_entry(match, kind, pattern, length);
    *fresh = entry == NULL;
    if (entry == NULL)
        entry = add_entry(match, kind, pattern, length);
    if (entry != NULL)
        entry->used = ++match->uses;
    return entry;
}

uint8_t *site_match_verdict(struct site_match_entry *entry, uint32_t site_id)
{
    if (site_id >= SITE_MATCH_SITES_MAX)
        return NULL;
    if (site_id >= entry->count) {
        const size_t count = (size_t)site_id + site_id / 4 + 64;
        uint8_t *verdicts = realloc(entry->verdicts, count);
        if (verdicts == NULL)
            return NULL;
        memset(verdicts + entry->count, SITE_UNKNOWN, count - entry->count);
        entry->verdicts = verdicts;
        entry->count = count;
    }
    return &entry->verdicts[site_id];
}

/* ---- functions ---- */

static struct function_slot *slot_of(const struct site_match_entry *entry, const char *function)
{
    const uint64_t mixed = ((uint64_t)(uintptr_t)function ^ (uint64_t)entry->number << 48) *
                           UINT64_C(0x9e3779b97f4a7c15);
    return &entry->owner->functions[(mixed >> 40) & (FUNCTION_SLOTS - 1)];
}

enum site_verdict site_match_function(const struct site_match_entry *entry, const char *function)
{
    if (entry->owner->functions == NULL)
        return SITE_UNKNOWN;
    const struct function_slot *slot = slot_of(entry, function);
    if (slot->function != function || slot->entry != entry->number)
        return SITE_UNKNOWN;
    return slot->matches ? SITE_YES : SITE_NO;
}

void site_match_note_function(struct site_match_entry *entry, const char *function, bool matches)
{
    if (entry->owner->functions != NULL)
        *slot_of(entry, function) = (struct function_slot){function, entry->number, matches};
}
