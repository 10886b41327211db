/* group_growth.c - see group_growth.h.  Called by history.c for each snapshot. */
#include "lua/group_growth.h"

#include <stdlib.h>

#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "lua/site_growth.h"

enum { GROUPS_MAX = 256, ENTRIES_MAX = 2 * SNAPSHOT_TOP_MAX };

/* The first of its sites that was seen as the largest stands for the group from then on: another would look as if it
 * were new. */
struct stand_in {
    const char *type_name; /* texts of the site table */
    const char *tag;
    const struct site *site;
};

struct group_growth {
    struct site_growth *sites;
    const struct tops *last; /* one hold: of the newest column */
    uint64_t last_gc;
    size_t count;
    struct stand_in groups[GROUPS_MAX];
};

struct group_growth *group_growth_new(void)
{
    struct group_growth *growth = calloc(1, sizeof(*growth));
    if (growth == NULL)
        return NULL;
    growth->sites = site_growth_new();
    if (growth->sites == NULL) {
        free(growth);
        return NULL;
    }
    return growth;
}

void group_growth_free(struct group_growth *growth)
{
    if (growth == NULL)
        return;
    site_growth_free(growth->sites);
    tops_unref(growth->last);
    free(growth);
}

const struct site_growth *group_growth_sites(const struct group_growth *growth)
{
    return growth->sites;
}

size_t group_growth_bytes(const struct group_growth *growth)
{
    return sizeof(*growth) + site_growth_bytes(growth->sites);
}

/* NULL: there are too many groups. */
static const struct site *stand_in_for(struct group_growth *growth, const struct top_entry *entry)
{
    for (size_t i = 0; i < growth->count; i++) {
        if (growth->groups[i].type_name == entry->type_name && growth->groups[i].tag == entry->tag)
            return growth->groups[i].site;
    }
    if (growth->count == GROUPS_MAX)
        return NULL;
    growth->groups[growth->count++] = (struct stand_in){entry->type_name, entry->tag, entry->site};
    return entry->site;
}

static void add_entries(struct group_growth *growth, struct profile *profile,
                        const struct top_entry *entries, size_t count)
{
    for (size_t i = 0; i < count && profile->entry_count < profile->entry_capacity; i++) {
        const struct site *site = stand_in_for(growth, &entries[i]);
        bool known = site == NULL;
        for (size_t j = 0; j < profile->entry_count && !known; j++)
            known = profile->entries[j].site == site;
        if (!known)
            profile->entries[profile->entry_count++] =
                (struct profile_entry){.site = site,
                                       .alloc_objects = entries[i].alloc_objects,
                                       .alloc_bytes = entries[i].alloc_bytes,
                                       .inuse_objects = entries[i].inuse_objects,
                                       .inuse_bytes = entries[i].inuse_bytes};
    }
}

bool group_growth_add(struct group_growth *growth, const struct snapshot *snapshot,
                      uint64_t since_ns)
{
    const struct tops *tops = snapshot->tops;
    /* A profile may change without a GC, as the first ones do; the daemon does not count that either. */
    const uint64_t gc = SNAPSHOT_HAS(&snapshot->values, num_gc) ? snapshot->values.num_gc
                                                                : growth->last_gc + 1;
    if (tops == NULL || tops == growth->last ||
        (growth->last != NULL && growth->last->sites == tops->sites && gc == growth->last_gc))
        return true;
    if (growth->last != NULL && growth->last->sites != tops->sites)
        growth->count = 0; /* another process */
    struct profile *profile = profile_begin(tops->sites, ENTRIES_MAX);
    if (profile == NULL)
        return false;
    profile->cycle = gc;
    profile->scaled = true;
    profile->largest_only = true;
    add_entries(growth, profile, tops->retentions, tops->retention_count);
    add_entries(growth, profile, tops->allocations, tops->allocation_count);
    const struct profile *sealed = profile_seal_past(profile);
    const bool ok = site_growth_add(growth->sites, sealed, snapshot->monotonic_ns, since_ns);
    profile_unref(sealed);
    tops_unref(growth->last);
    growth->last = tops_ref(tops);
    growth->last_gc = gc;
    return ok;
}
