/* stack_profile.c - a profile read on demand: built by one thread, sealed, shared.
 *
 * Equal stacks are kept once: of 100,000 goroutines most stand at the same few places.  Called by
 * goroutines.c and contention.c on the sampler thread; read by anyone after the seal. */
#include "core/store/stack_profile.h"

#include "core/base/arena.h"

enum { CHUNK_BYTES = 64 << 10, INDEX_FIRST_SLOTS = 256 };

static const char *const kind_names[STACK_KIND_COUNT] = {
#define STACK_KINDS_NAME(id, name) [STACK_##id] = name,
    STACK_KINDS(STACK_KINDS_NAME)
#undef STACK_KINDS_NAME
};

const char *stack_kind_name(enum stack_kind kind)
{
    return kind_names[kind];
}

bool stack_kind_parse(const char *text, enum stack_kind *kind)
{
    for (int i = 0; i < STACK_KIND_COUNT; i++)
        if (strcmp(text, kind_names[i]) == 0) {
            *kind = (enum stack_kind)i;
            return true;
        }
    return false;
}

bool stack_kind_is_contention(enum stack_kind kind)
{
    return kind == STACK_BLOCK || kind == STACK_MUTEX;
}

/* An open-addressing set of things that know how to compare themselves. */
struct stack_index {
    struct index_slot {
        uint64_t hash;
        size_t thing; /* pointer, or number of an entry + 1; 0: free */
    } * slots;
    size_t slot_count; /* a power of two */
    size_t used;
};

static struct stack_index *index_new(void)
{
    struct stack_index *index = calloc(1, sizeof(*index));
    if (index == NULL)
        return NULL;
    index->slots = calloc(INDEX_FIRST_SLOTS, sizeof(*index->slots));
    index->slot_count = INDEX_FIRST_SLOTS;
    if (index->slots == NULL) {
        free(index);
        return NULL;
    }
    return index;
}

static void index_free(struct stack_index *index)
{
    if (index != NULL)
        free(index->slots);
    free(index);
}

static void index_put(struct index_slot *slots, size_t slot_count, struct index_slot slot)
{
    size_t at = (size_t)slot.hash & (slot_count - 1);
    while (slots[at].thing != 0)
        at = (at + 1) & (slot_count - 1);
    slots[at] = slot;
}

/* False without memory; the index stays as it was. */
static bool index_add(struct stack_index *index, uint64_t hash, size_t thing)
{
    if ((index->used + 1) * 2 > index->slot_count) {
        const size_t larger_count = index->slot_count * 2;
        struct index_slot *larger = calloc(larger_count, sizeof(*larger));
        if (larger == NULL)
            return false;
        for (size_t i = 0; i < index->slot_count; i++)
            if (index->slots[i].thing != 0)
                index_put(larger, larger_count, index->slots[i]);
        free(index->slots);
        index->slots = larger;
        index->slot_count = larger_count;
    }
    index_put(index->slots, index->slot_count, (struct index_slot){hash, thing});
    index->used++;
    return true;
}

/* The next thing with [hash] from slot [*at] on; 0: no more. */
static size_t index_next(const struct stack_index *index, uint64_t hash, size_t *at)
{
    for (;; (*at)++) {
        const struct index_slot *slot = &index->slots[*at & (index->slot_count - 1)];
        if (slot->thing == 0)
            return 0;
        if (slot->hash == hash) {
            (*at)++;
            return slot->thing;
        }
    }
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_text(uint64_t hash, const char *text)
{
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return mix(hash, 1);
}

static bool set_full(struct error *err)
{
    return error_set(err, ERROR_LIMIT, "profile: more than %zu MiB, or no memory",
                     STACK_PROFILE_MAX_BYTES >> 20);
}

/* Building. */

struct stack_profile *stack_profile_begin(enum stack_kind kind, struct site_table *sites)
{
    struct stack_profile *profile = calloc(1, sizeof(*profile));
    if (profile == NULL)
        return NULL;
    atomic_init(&profile->refs_, 1);
    profile->kind = kind;
    profile->sites_ = site_table_ref(sites);
    profile->arena_ = arena_new(STACK_PROFILE_MAX_BYTES, CHUNK_BYTES);
    profile->stack_index_ = index_new();
    profile->entry_index_ = index_new();
    profile->label_index_ = index_new();
    if (profile->arena_ == NULL || profile->stack_index_ == NULL || profile->entry_index_ == NULL ||
        profile->label_index_ == NULL) {
        stack_profile_discard(profile);
        return NULL;
    }
    return profile;
}

static uint64_t hash_pcs(const uint64_t *pcs, size_t count, bool cut)
{
    uint64_t hash = cut;
    for (size_t i = 0; i < count; i++)
        hash = mix(hash, pcs[i]);
    return mix(hash, count);
}

static bool same_pcs(const struct stack *stack, const uint64_t *pcs, size_t count, bool cut)
{
    return stack->pc_count == count && stack->cut == cut &&
           (count == 0 || memcmp(stack->pcs, pcs, count * sizeof(*pcs)) == 0);
}

const struct stack *stack_profile_find(const struct stack_profile *profile, const uint64_t *pcs,
                                       size_t pc_count, bool cut)
{
    const uint64_t hash = hash_pcs(pcs, pc_count, cut);
    size_t at = (size_t)hash;
    for (size_t thing; (thing = index_next(profile->stack_index_, hash, &at)) != 0;) {
        const struct stack *stack = (const struct stack *)thing;
        if (same_pcs(stack, pcs, pc_count, cut))
            return stack;
    }
    return NULL;
}

/* A copy of [count] elements in the arena; NULL also for none. */
static void *copy_array(struct stack_profile *profile, const void *from, size_t count, size_t bytes)
{
    void *copy = count == 0 ? NULL : arena_alloc_array(profile->arena_, count, bytes);
    if (copy != NULL)
        memcpy(copy, from, count * bytes);
    return copy;
}

/* Pointers to [count] frames in the arena; NULL also for none. */
static const struct frame *const *point_at_each(struct stack_profile *profile,
                                                const struct frame *frames, size_t count)
{
    const struct frame **each =
        count == 0 || frames == NULL ? NULL
                                     : arena_alloc_array(profile->arena_, count, sizeof(*each));
    for (size_t i = 0; each != NULL && i < count; i++)
        each[i] = &frames[i];
    return each;
}

const struct stack *stack_profile_add_stack(struct stack_profile *profile,
                                            const struct stack *stack, struct error *err)
{
    struct stack *copy = arena_alloc(profile->arena_, sizeof(*copy));
    if (copy == NULL) {
        set_full(err);
        return NULL;
    }
    *copy = *stack;
    copy->pcs = copy_array(profile, stack->pcs, stack->pc_count, sizeof(*stack->pcs));
    copy->frames = copy_array(profile, stack->frames, stack->frame_count, sizeof(*stack->frames));
    copy->each = point_at_each(profile, copy->frames, stack->frame_count);
    copy->places = copy_array(profile, stack->places, stack->frame_count, sizeof(*stack->places));
    if ((stack->pc_count > 0 && copy->pcs == NULL) ||
        (stack->frame_count > 0 && (copy->each == NULL || copy->places == NULL)) ||
        !index_add(profile->stack_index_, hash_pcs(stack->pcs, stack->pc_count, stack->cut),
                   (size_t)copy)) {
        set_full(err);
        return NULL;
    }
    return copy;
}

const char *stack_profile_text(struct stack_profile *profile, const char *text, size_t length)
{
    return arena_copy_string(profile->arena_, text, length);
}

static int by_key(const void *a, const void *b)
{
    const struct stack_label *left = a;
    const struct stack_label *right = b;
    const int order = strcmp(left->key, right->key);
    return order != 0 ? order : strcmp(left->value, right->value);
}

static bool same_labels(const struct stack_labels *a, const struct stack_label *list, size_t count)
{
    if (a->count != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (by_key(&a->list[i], &list[i]) != 0)
            return false;
    return true;
}

const struct stack_labels *stack_profile_add_labels(struct stack_profile *profile,
                                                    const struct stack_label *labels, size_t count,
                                                    struct error *err)
{
    struct stack_label sorted[STACK_LABELS_MAX];
    if (count > STACK_LABELS_MAX)
        count = STACK_LABELS_MAX;
    if (count > 0) {
        memcpy(sorted, labels, count * sizeof(sorted[0]));
        qsort(sorted, count, sizeof(sorted[0]), by_key);
    }
    uint64_t hash = count;
    for (size_t i = 0; i < count; i++)
        hash = mix_text(mix_text(hash, sorted[i].key), sorted[i].value);
    size_t at = (size_t)hash;
    for (size_t thing; (thing = index_next(profile->label_index_, hash, &at)) != 0;) {
        const struct stack_labels *known = (const struct stack_labels *)thing;
        if (same_labels(known, sorted, count))
            return known;
    }
    struct stack_labels *set =
        arena_alloc(profile->arena_, sizeof(*set) + count * sizeof(set->list[0]));
    if (set == NULL) {
        set_full(err);
        return NULL;
    }
    set->count = (uint32_t)count;
    if (count > 0)
        memcpy(set->list, sorted, count * sizeof(sorted[0]));
    for (size_t i = 0; i < count; i++) {
        struct stack_label *label = &set->list[i];
        label->key = stack_profile_text(profile, label->key, strlen(label->key));
        label->value = stack_profile_text(profile, label->value, strlen(label->value));
        if (label->key == NULL || label->value == NULL) {
            set_full(err);
            return NULL;
        }
    }
    if (!index_add(profile->label_index_, hash, (size_t)set)) {
        set_full(err);
        return NULL;
    }
    return set;
}

/* Room for one more; false without memory or at the cap. */
static bool reserve(void **array, size_t count, size_t *capacity, size_t max, size_t bytes)
{
    if (count < *capacity)
        return true;
    if (count >= max)
        return false;
    const size_t larger = *capacity == 0 ? 64 : *capacity * 2;
    void *moved = realloc(*array, larger * bytes);
    if (moved == NULL)
        return false;
    *array = moved;
    *capacity = larger;
    return true;
}

bool stack_profile_add_entry(struct stack_profile *profile, const struct stack_entry *entry,
                             struct error *err)
{
    void *entries = profile->entries;
    const bool room = reserve(&entries, profile->entry_count, &profile->entry_capacity_,
                              STACK_PROFILE_ENTRIES_MAX, sizeof(*entry));
    profile->entries = entries;
    if (!room)
        return set_full(err);
    profile->entries[profile->entry_count++] = *entry;
    return true;
}

bool stack_profile_count(struct stack_profile *profile, const struct stack *stack,
                         const struct stack_labels *labels, int64_t value, struct error *err)
{
    const uint64_t hash = mix((uint64_t)(uintptr_t)stack, (uint64_t)(uintptr_t)labels);
    size_t at = (size_t)hash;
    for (size_t thing; (thing = index_next(profile->entry_index_, hash, &at)) != 0;) {
        struct stack_entry *entry = &profile->entries[thing - 1];
        if (entry->stack == stack && entry->labels == labels) {
            entry->values[0] += value;
            return true;
        }
    }
    const struct stack_entry fresh = {.stack = stack, .labels = labels, .values = {value, 0}};
    return stack_profile_add_entry(profile, &fresh, err) &&
           (index_add(profile->entry_index_, hash, profile->entry_count) || set_full(err));
}

bool stack_profile_add_goroutine(struct stack_profile *profile, const struct goroutine *goroutine,
                                 struct error *err)
{
    void *goroutines = profile->goroutines;
    const bool room = reserve(&goroutines, profile->goroutine_count, &profile->goroutine_capacity_,
                              STACK_PROFILE_GOROUTINES_MAX, sizeof(*goroutine));
    profile->goroutines = goroutines;
    if (!room)
        return set_full(err);
    profile->goroutines[profile->goroutine_count++] = *goroutine;
    return true;
}

/* Sealing and sharing. */

static int by_value(const void *a, const void *b)
{
    const struct stack_entry *left = a;
    const struct stack_entry *right = b;
    if (left->cycles != right->cycles)
        return left->cycles > right->cycles ? -1 : 1;
    if (left->values[0] != right->values[0])
        return left->values[0] > right->values[0] ? -1 : 1;
    const size_t common = left->stack->pc_count < right->stack->pc_count ? left->stack->pc_count
                                                                         : right->stack->pc_count;
    for (size_t i = 0; i < common; i++)
        if (left->stack->pcs[i] != right->stack->pcs[i])
            return left->stack->pcs[i] < right->stack->pcs[i] ? -1 : 1;
    return left->stack->pc_count < right->stack->pc_count
               ? -1
               : left->stack->pc_count > right->stack->pc_count;
}

static void free_indexes(struct stack_profile *profile)
{
    index_free(profile->stack_index_);
    index_free(profile->entry_index_);
    index_free(profile->label_index_);
    profile->stack_index_ = profile->entry_index_ = profile->label_index_ = NULL;
}

/* The target's counters are input: a sum that leaves the range stays at its end. */
static void add_up(int64_t *total, int64_t value)
{
    if (__builtin_add_overflow(*total, value, total))
        *total = value < 0 ? INT64_MIN : INT64_MAX;
}

const struct stack_profile *stack_profile_seal(struct stack_profile *profile)
{
    free_indexes(profile);
    if (profile->entry_count > 0)
        qsort(profile->entries, profile->entry_count, sizeof(*profile->entries), by_value);
    for (size_t i = 0; i < profile->entry_count; i++)
        for (size_t v = 0; v < STACK_VALUES; v++)
            add_up(&profile->totals[v], profile->entries[i].values[v]);
    return profile;
}

static void destroy(struct stack_profile *profile)
{
    free_indexes(profile);
    free(profile->entries);
    free(profile->goroutines);
    arena_free(profile->arena_);
    site_table_unref(profile->sites_);
    free(profile);
}

void stack_profile_discard(struct stack_profile *profile)
{
    if (profile != NULL)
        destroy(profile);
}

/* The count is the one part of a sealed profile that changes: hence the casts. */
static struct stack_profile *counted(const struct stack_profile *profile)
{
    return (struct stack_profile *)(uintptr_t)profile;
}

const struct stack_profile *stack_profile_ref(const struct stack_profile *profile)
{
    atomic_fetch_add_explicit(&counted(profile)->refs_, 1, memory_order_relaxed);
    return profile;
}

void stack_profile_unref(const struct stack_profile *profile)
{
    if (profile == NULL ||
        atomic_fetch_sub_explicit(&counted(profile)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    destroy(counted(profile));
}
