/* tops.c - the largest groups of a heap profile.
 *
 *   entries -> groups (hash table over interned pointers) -> two heaps of the largest -> lists
 *
 * Called by the sampler once for each new profile, and by whoever wants another grouping. */
#include "core/store/group_key.h"
#include "core/store/retention.h"

static const char *const group_names[] = {
    [GROUP_TYPE_TAG] = "type_tag", [GROUP_SITE] = "site",       [GROUP_TYPE] = "type",
    [GROUP_TAG] = "tag",           [GROUP_PACKAGE] = "package",
};

const char *group_by_name(enum group_by by)
{
    return group_names[by];
}

bool group_by_parse(const char *text, enum group_by *by)
{
    for (size_t i = 0; i < sizeof(group_names) / sizeof(group_names[0]); i++) {
        if (strcmp(group_names[i], text) == 0) {
            *by = (enum group_by)i;
            return true;
        }
    }
    return false;
}

/* ---- groups ---- */

struct group {
    struct group_key key;
    const struct site *largest_alloc; /* NULL only before the first entry is added */
    const struct site *largest_inuse;
    int64_t largest_alloc_bytes;
    int64_t largest_inuse_bytes;
    int64_t alloc_objects;
    int64_t alloc_bytes;
    int64_t inuse_objects;
    int64_t inuse_bytes;
    uint64_t site_count;
};

/* Groups lie side by side in order of discovery; the hash slots hold their number, from 1. */
struct group_table {
    uint32_t *slots;
    size_t slot_count; /* a power of two, at least twice the entries */
    struct group *groups;
    size_t group_count;
};

/* The group of [key], made if it is new. */
static struct group *find_group(struct group_table *table, struct group_key key)
{
    size_t at = (size_t)group_key_hash(key) & (table->slot_count - 1);
    for (; table->slots[at] != 0; at = (at + 1) & (table->slot_count - 1)) {
        struct group *group = &table->groups[table->slots[at] - 1];
        if (group_key_equal(group->key, key))
            return group;
    }
    struct group *fresh = &table->groups[table->group_count++];
    fresh->key = key;
    table->slots[at] = (uint32_t)table->group_count;
    return fresh;
}

/* More was freed than allocated while the counters were torn: nothing is in use then. */
static int64_t not_negative(int64_t value)
{
    return value < 0 ? 0 : value;
}

static void add(int64_t *total, int64_t value)
{
    if (__builtin_add_overflow(*total, not_negative(value), total))
        *total = INT64_MAX;
}

/* Of what add() made: no underflow. */
static void subtract(int64_t *total, int64_t value)
{
    if (__builtin_sub_overflow(*total, not_negative(value), total))
        *total = INT64_MIN;
}

/* Whether [bytes] at [site] replaces the largest so far; the older site stays on a tie. */
static bool is_larger(int64_t bytes, const struct site *site, int64_t largest_bytes,
                      const struct site *largest)
{
    return largest == NULL || bytes > largest_bytes ||
           (bytes == largest_bytes && site->id < largest->id);
}

static void add_entry(struct group *group, const struct profile_entry *entry)
{
    const struct site *site = entry->site;
    const int64_t inuse_bytes = not_negative(entry->inuse_bytes);
    const int64_t alloc_bytes = not_negative(entry->alloc_bytes);
    if (is_larger(alloc_bytes, site, group->largest_alloc_bytes, group->largest_alloc)) {
        group->largest_alloc = site;
        group->largest_alloc_bytes = alloc_bytes;
    }
    if (is_larger(inuse_bytes, site, group->largest_inuse_bytes, group->largest_inuse)) {
        group->largest_inuse = site;
        group->largest_inuse_bytes = inuse_bytes;
    }
    add(&group->alloc_objects, entry->alloc_objects);
    add(&group->alloc_bytes, entry->alloc_bytes);
    add(&group->inuse_objects, entry->inuse_objects);
    add(&group->inuse_bytes, entry->inuse_bytes);
    group->site_count++;
}

static void subtract_entry(struct group *group, const struct profile_entry *entry)
{
    subtract(&group->alloc_objects, entry->alloc_objects);
    subtract(&group->alloc_bytes, entry->alloc_bytes);
    subtract(&group->inuse_objects, entry->inuse_objects);
    subtract(&group->inuse_bytes, entry->inuse_bytes);
}

/* [before] NULL, or of the same process: what is told then is the change since. */
static bool build_groups(struct group_table *table, const struct profile *profile,
                         const struct profile *before, enum group_by by)
{
    const size_t before_count = before != NULL ? before->entry_count : 0;
    if (profile->entry_count > UINT32_MAX / 8 || before_count > UINT32_MAX / 8)
        return false;
    const size_t entries = profile->entry_count + before_count;
    size_t slots = 16;
    while (slots < entries * 2)
        slots *= 2;
    table->slot_count = slots;
    table->slots = calloc(slots, sizeof(*table->slots));
    /* One for each entry at most; pages that no group reaches are never touched. */
    table->groups = calloc(entries + 1, sizeof(*table->groups));
    if (table->slots == NULL || table->groups == NULL)
        return false;
    for (size_t i = 0; i < profile->entry_count; i++)
        add_entry(find_group(table, group_key_of(profile->entries[i].site, by)), &profile->entries[i]);
    for (size_t i = 0; i < before_count; i++)
        subtract_entry(find_group(table, group_key_of(before->entries[i].site, by)),
                       &before->entries[i]);
    return true;
}

static void release_groups(struct group_table *table)
{
    free(table->slots);
    free(table->groups);
}

/* ---- the largest ---- */

static struct top_entry entry_of(const struct group *group, enum group_by by, bool by_inuse)
{
    const struct site *site = by_inuse ? group->largest_inuse : group->largest_alloc;
    const bool has_type = by == GROUP_TYPE_TAG || by == GROUP_SITE || by == GROUP_TYPE;
    const bool has_tag = by == GROUP_TYPE_TAG || by == GROUP_SITE || by == GROUP_TAG;
    return (struct top_entry){
        .type_name = has_type ? site->type_name : "",
        .tag = has_tag ? site->tag : "",
        .package = site->package,
        .site = site,
        .alloc_objects = group->alloc_objects,
        .alloc_bytes = group->alloc_bytes,
        .inuse_objects = group->inuse_objects,
        .inuse_bytes = group->inuse_bytes,
        .site_count = group->site_count,
    };
}

static int compare_names(const struct top_entry *a, const struct top_entry *b)
{
    int order = strcmp(a->tag, b->tag);
    if (order == 0)
        order = strcmp(a->type_name, b->type_name);
    if (order == 0)
        order = strcmp(a->package, b->package);
    if (order == 0)
        order = (a->site->id > b->site->id) - (a->site->id < b->site->id);
    return order;
}

/* Negative: [a] comes first in the list. */
static int compare_alloc(const void *a, const void *b)
{
    const struct top_entry *left = a;
    const struct top_entry *right = b;
    if (left->alloc_bytes != right->alloc_bytes)
        return left->alloc_bytes > right->alloc_bytes ? -1 : 1;
    return compare_names(left, right);
}

static int compare_inuse(const void *a, const void *b)
{
    const struct top_entry *left = a;
    const struct top_entry *right = b;
    if (left->inuse_bytes != right->inuse_bytes)
        return left->inuse_bytes > right->inuse_bytes ? -1 : 1;
    return compare_names(left, right);
}

/* A heap whose root is the entry that would leave the list first. */
struct top_heap {
    struct top_entry *entries;
    size_t count;
    size_t limit;
    int (*compare)(const void *a, const void *b);
};

static void sift_down(struct top_heap *heap, size_t at)
{
    for (;;) {
        size_t last = at; /* of the three, the one that comes last in the list */
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < heap->count; child++) {
            if (heap->compare(&heap->entries[child], &heap->entries[last]) > 0)
                last = child;
        }
        if (last == at)
            return;
        const struct top_entry swapped = heap->entries[at];
        heap->entries[at] = heap->entries[last];
        heap->entries[last] = swapped;
        at = last;
    }
}

static void offer(struct top_heap *heap, const struct top_entry *entry)
{
    if (heap->count < heap->limit) {
        heap->entries[heap->count++] = *entry;
        if (heap->count == heap->limit) {
            for (size_t i = heap->count / 2; i-- > 0;)
                sift_down(heap, i);
        }
        return;
    }
    if (heap->limit > 0 && heap->compare(entry, &heap->entries[0]) < 0) {
        heap->entries[0] = *entry;
        sift_down(heap, 0);
    }
}

/* Fills [list] with the largest groups in order; returns how many. */
static size_t pick(const struct group_table *groups, enum group_by by, bool by_inuse,
                   struct top_entry *list, size_t limit)
{
    struct top_heap heap = {
        .entries = list,
        .limit = limit,
        .compare = by_inuse ? compare_inuse : compare_alloc,
    };
    for (size_t i = 0; i < groups->group_count; i++) {
        const struct group *group = &groups->groups[i];
        const int64_t bytes = by_inuse ? group->inuse_bytes : group->alloc_bytes;
        if (bytes <= 0)
            continue;
        const struct top_entry entry = entry_of(group, by, by_inuse);
        offer(&heap, &entry);
    }
    if (heap.count > 1)
        qsort(list, heap.count, sizeof(*list), heap.compare);
    return heap.count;
}

/* ---- the shared result ---- */

const struct tops *tops_since(const struct profile *profile, const struct profile *before,
                              enum group_by by, size_t limit)
{
    if (limit > profile->entry_count)
        limit = profile->entry_count; /* so that no request can ask for more memory than sites */
    struct group_table groups = {0};
    struct tops *tops = calloc(1, sizeof(*tops));
    if (tops == NULL || !build_groups(&groups, profile, before, by))
        goto fail;
    atomic_init(&tops->refs_, 1);
    if (limit > 0) {
        tops->allocations = calloc(limit, sizeof(*tops->allocations));
        tops->retentions = calloc(limit, sizeof(*tops->retentions));
        if (tops->allocations == NULL || tops->retentions == NULL)
            goto fail;
    }
    tops->allocation_count = pick(&groups, by, false, tops->allocations, limit);
    tops->retention_count = pick(&groups, by, true, tops->retentions, limit);
    if (!retention_measure(profile, by, tops->retentions, tops->retention_count))
        goto fail;
    tops->sites = site_table_ref(profile->sites);
    release_groups(&groups);
    return tops;

fail:
    release_groups(&groups);
    if (tops != NULL) {
        free(tops->allocations);
        free(tops->retentions);
    }
    free(tops);
    return NULL;
}

const struct tops *tops_new(const struct profile *profile, enum group_by by, size_t limit)
{
    return tops_since(profile, NULL, by, limit);
}

/* The count is the one part of finished tops that changes: hence the casts. */
static struct tops *counted(const struct tops *tops)
{
    return (struct tops *)(uintptr_t)tops;
}

const struct tops *tops_ref(const struct tops *tops)
{
    atomic_fetch_add_explicit(&counted(tops)->refs_, 1, memory_order_relaxed);
    return tops;
}

void tops_unref(const struct tops *tops)
{
    if (tops == NULL ||
        atomic_fetch_sub_explicit(&counted(tops)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    struct tops *last = counted(tops);
    site_table_unref(last->sites);
    free(last->allocations);
    free(last->retentions);
    free(last);
}

size_t tops_bytes(const struct tops *tops)
{
    return sizeof(*tops) +
           (tops->allocation_count + tops->retention_count) * sizeof(struct top_entry);
}
