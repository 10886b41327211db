/* profile.c - a heap profile: begun by a source, sealed, then shared.
 *
 * The sampler's source fills it; from the seal on nobody writes. */
#include "core/store/profile.h"

#include "core/store/retention.h"

struct profile *profile_begin(struct site_table *sites, size_t capacity)
{
    size_t kept;
    return profile_begin_from(sites, capacity, NULL, &kept);
}

/* Entries that are copied need not be zeroed before: with many sites that is what a profile costs. */
struct profile *profile_begin_from(struct site_table *sites, size_t capacity,
                                   const struct profile *previous, size_t *kept)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(capacity, sizeof(struct profile_entry), &bytes) ||
        __builtin_add_overflow(bytes, sizeof(struct profile), &bytes))
        return NULL;
    const size_t before = previous == NULL ? 0 : previous->entry_count;
    *kept = before < capacity ? before : capacity;
    struct profile *profile = *kept == 0 ? calloc(1, bytes) : malloc(bytes);
    if (profile == NULL)
        return NULL;
    if (*kept > 0) {
        memset(profile, 0, sizeof(*profile));
        memcpy(profile->entries, previous->entries, *kept * sizeof(profile->entries[0]));
        memset(profile->entries + *kept, 0, (capacity - *kept) * sizeof(profile->entries[0]));
    }
    atomic_init(&profile->refs_, 1);
    profile->sites = site_table_ref(sites);
    profile->entry_capacity = capacity;
    return profile;
}

/* The target's counters are input: a sum that leaves the range stays at its end. */
static void add(int64_t *total, int64_t value)
{
    if (__builtin_add_overflow(*total, value, total))
        *total = value < 0 ? INT64_MIN : INT64_MAX;
}

const struct profile *profile_seal_past(struct profile *profile)
{
    struct profile_totals totals = {0};
    for (size_t i = 0; i < profile->entry_count; i++) {
        const struct profile_entry *entry = &profile->entries[i];
        add(&totals.alloc_objects, entry->alloc_objects);
        add(&totals.alloc_bytes, entry->alloc_bytes);
        add(&totals.inuse_objects, entry->inuse_objects);
        add(&totals.inuse_bytes, entry->inuse_bytes);
    }
    profile->totals = totals;
    return profile;
}

const struct profile *profile_seal(struct profile *profile)
{
    (void)profile_seal_past(profile);
    profile->history = site_table_history(profile->sites, profile);
    return profile;
}

static void destroy(struct profile *profile)
{
    retention_history_unref(profile->history);
    site_table_unref(profile->sites);
    free(profile);
}

void profile_discard(struct profile *profile)
{
    if (profile != NULL)
        destroy(profile);
}

/* The count is the one part of a sealed profile that changes: hence the casts. */
static struct profile *counted(const struct profile *profile)
{
    return (struct profile *)(uintptr_t)profile;
}

const struct profile *profile_ref(const struct profile *profile)
{
    atomic_fetch_add_explicit(&counted(profile)->refs_, 1, memory_order_relaxed);
    return profile;
}

void profile_unref(const struct profile *profile)
{
    if (profile == NULL ||
        atomic_fetch_sub_explicit(&counted(profile)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    destroy(counted(profile));
}
