/* profile_history.c - the heap profiles of one target over time, as differences.
 *
 * A record is a run of bytes: for each entry whose numbers changed the distance to the entry before it, a
 * mask of the numbers that changed, and their differences.  Varints, zigzag. */
#include "core/store/profile_history.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/store/profile.h"

enum { VALUES = 7, FIRST_SLOTS = 64, VARINT_MAX_BYTES = 10 };

/* All of a profile but its entries.  Holds nothing: an anchor does. */
struct about {
    const struct site_table *sites;
    uint64_t taken_realtime_ns;
    uint64_t start_realtime_ns;
    uint64_t cycle;
    int64_t rate;
    bool partial;
    const char *partial_reason;
    const struct mapping *mappings;
    size_t mapping_count;
    size_t entry_count;
};

struct record {
    _Atomic uint32_t refs;
    bool key; /* starts a run: differences from nothing */
    struct about about;
    const struct profile *whole; /* instead of bytes, where entries do not follow on; one hold */
    size_t length;
    unsigned char bytes[];
};

/* The process of a site table is over, or shrank: this names the sites of its records. */
struct anchor {
    const struct profile *profile; /* one hold */
    struct anchor *next;
};

struct profile_history {
    struct record **slots; /* a ring: oldest at [first] */
    size_t capacity;       /* a power of two */
    size_t first;
    size_t count;
    size_t bytes; /* of records */
    size_t since_key;
    const struct profile *newest; /* one hold; names the sites of the present process */
    struct anchor *anchors;       /* of processes before */
};

struct profile_push {
    struct record *record;
    const struct profile *profile; /* one hold: the newest to be; then what was the newest */
    struct anchor *anchor;         /* ready to take what was the newest; NULL where it is not needed */
    struct record **slots;         /* larger ones, or NULL; then the old ones */
    size_t capacity;
};

struct profile_run {
    const struct profile *anchor; /* one hold */
    struct record *records[PROFILE_HISTORY_RUN];
    size_t count;
    struct anchor *anchors; /* that nobody needs any more */
};

/* ---- numbers ---- */

/* The numbers of an entry, one after the other. */
static void get_values(const struct profile_entry *entry, int64_t values[VALUES])
{
    values[0] = (int64_t)entry->allocs;
    values[1] = (int64_t)entry->frees;
    values[2] = entry->alloc_objects;
    values[3] = entry->alloc_bytes;
    values[4] = entry->inuse_objects;
    values[5] = entry->inuse_bytes;
    values[6] = entry->block_bytes;
}

static void set_values(struct profile_entry *entry, const int64_t values[VALUES])
{
    entry->allocs = (uint64_t)values[0];
    entry->frees = (uint64_t)values[1];
    entry->alloc_objects = values[2];
    entry->alloc_bytes = values[3];
    entry->inuse_objects = values[4];
    entry->inuse_bytes = values[5];
    entry->block_bytes = values[6];
}

/* Differences wrap around and back, so any two numbers have one. */
static uint64_t zigzag(int64_t before, int64_t after)
{
    const uint64_t difference = (uint64_t)after - (uint64_t)before;
    return (difference << 1) ^ (0 - (difference >> 63));
}

static int64_t apply(int64_t before, uint64_t zigzagged)
{
    const uint64_t difference = (zigzagged >> 1) ^ (0 - (zigzagged & 1));
    return (int64_t)((uint64_t)before + difference);
}

static unsigned char *put_varint(unsigned char *at, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (unsigned char)(value | 0x80);
    *at++ = (unsigned char)value;
    return at;
}

static const unsigned char *get_varint(const unsigned char *at, uint64_t *value)
{
    *value = 0;
    for (unsigned shift = 0;; shift += 7) {
        const unsigned char byte = *at++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if ((byte & 0x80) == 0)
            return at;
    }
}

/* ---- records ---- */

/* Whether the entries of [after] are those of [before], in the same order, and maybe more. */
static bool follows_on(const struct profile *before, const struct profile *after)
{
    if (before->sites != after->sites || before->entry_count > after->entry_count)
        return false;
    for (size_t i = 0; i < before->entry_count; i++) {
        if (before->entries[i].site != after->entries[i].site)
            return false;
    }
    return true;
}

/* What changed from [before] (NULL: nothing was there) to [after]; with [out] NULL only the length. */
static size_t encode(const struct profile *before, const struct profile *after, unsigned char *out)
{
    static const int64_t nothing[VALUES];
    unsigned char scratch[VARINT_MAX_BYTES * (VALUES + 2)];
    size_t length = 0;
    size_t next = 0; /* behind the last one written */
    for (size_t i = 0; i < after->entry_count; i++) {
        int64_t old[VALUES];
        int64_t new[VALUES];
        unsigned mask = 0;
        if (before != NULL && i < before->entry_count)
            get_values(&before->entries[i], old);
        else
            memcpy(old, nothing, sizeof(old));
        get_values(&after->entries[i], new);
        for (unsigned v = 0; v < VALUES; v++)
            mask |= (unsigned)(old[v] != new[v]) << v;
        if (mask == 0)
            continue;
        unsigned char *at = out != NULL ? out + length : scratch;
        const unsigned char *begin = at;
        at = put_varint(at, i - next);
        *at++ = (unsigned char)mask;
        for (unsigned v = 0; v < VALUES; v++) {
            if (mask >> v & 1)
                at = put_varint(at, zigzag(old[v], new[v]));
        }
        length += (size_t)(at - begin);
        next = i + 1;
    }
    return length;
}

static struct record *record_new(const struct profile *before, const struct profile *after, bool key,
                                 bool whole)
{
    const size_t length = whole ? 0 : encode(key ? NULL : before, after, NULL);
    struct record *record = malloc(sizeof(*record) + length);
    if (record == NULL)
        return NULL;
    *record = (struct record){.key = key,
                              .length = length,
                              .about = {.sites = after->sites,
                                        .taken_realtime_ns = after->taken_realtime_ns,
                                        .start_realtime_ns = after->start_realtime_ns,
                                        .cycle = after->cycle,
                                        .rate = after->rate,
                                        .partial = after->partial,
                                        .partial_reason = after->partial_reason,
                                        .mappings = after->mappings,
                                        .mapping_count = after->mapping_count,
                                        .entry_count = after->entry_count}};
    atomic_init(&record->refs, 1);
    if (whole)
        record->whole = profile_ref(after);
    else
        (void)encode(key ? NULL : before, after, record->bytes);
    return record;
}

static void record_unref(struct record *record)
{
    if (record == NULL ||
        atomic_fetch_sub_explicit(&record->refs, 1, memory_order_acq_rel) != 1)
        return;
    profile_unref(record->whole);
    free(record);
}

static size_t record_bytes(const struct record *record)
{
    const size_t whole = record->whole == NULL
                             ? 0
                             : sizeof(struct profile) +
                                   record->whole->entry_count * sizeof(struct profile_entry);
    return sizeof(*record) + record->length + whole;
}

static struct record *record_at(const struct profile_history *history, size_t index)
{
    return history->slots[(history->first + index) & (history->capacity - 1)];
}

/* ---- life ---- */

struct profile_history *profile_history_new(void)
{
    return calloc(1, sizeof(struct profile_history));
}

static void anchors_free(struct anchor *anchor)
{
    while (anchor != NULL) {
        struct anchor *next = anchor->next;
        profile_unref(anchor->profile);
        free(anchor);
        anchor = next;
    }
}

void profile_history_free(struct profile_history *history)
{
    if (history == NULL)
        return;
    for (size_t i = 0; i < history->count; i++)
        record_unref(record_at(history, i));
    free(history->slots);
    profile_unref(history->newest);
    anchors_free(history->anchors);
    free(history);
}

/* ---- adding ---- */

static bool prepare_slots(const struct profile_history *history, struct profile_push *push)
{
    if (history->count < history->capacity)
        return true;
    if (history->count >= PROFILE_HISTORY_MAX)
        return false;
    push->capacity = history->capacity == 0 ? FIRST_SLOTS : history->capacity * 2;
    push->slots = calloc(push->capacity, sizeof(struct record *));
    return push->slots != NULL;
}

struct profile_push *profile_history_prepare(const struct profile_history *history,
                                             const struct profile *profile)
{
    const struct profile *before = history->newest;
    if (profile == NULL || profile == before)
        return NULL;
    struct profile_push *push = calloc(1, sizeof(*push));
    if (push == NULL)
        return NULL;
    const bool follows = before != NULL && follows_on(before, profile);
    /* Sources other than processes may order their entries anew each time: such a profile is kept whole, and
     * so is the first of a process, cheaply, as the newest. */
    const bool whole = before != NULL && before->sites == profile->sites && !follows;
    const bool key = whole || !follows || history->since_key + 1 >= PROFILE_HISTORY_RUN;
    push->profile = profile_ref(profile);
    push->record = record_new(before, profile, key, whole);
    const bool keep_anchor = before != NULL && !follows;
    if (keep_anchor)
        push->anchor = calloc(1, sizeof(*push->anchor));
    if (push->record == NULL || (keep_anchor && push->anchor == NULL) ||
        !prepare_slots(history, push)) {
        profile_push_free(push);
        return NULL;
    }
    return push;
}

static void swap_slots(struct profile_history *history, struct profile_push *push)
{
    if (push->slots == NULL)
        return;
    for (size_t i = 0; i < history->count; i++)
        push->slots[i] = record_at(history, i);
    struct record **old = history->slots;
    history->slots = push->slots;
    history->capacity = push->capacity;
    history->first = 0;
    push->slots = old;
}

void profile_history_push(struct profile_history *history, struct profile_push *push)
{
    swap_slots(history, push);
    struct record *record = push->record;
    history->slots[(history->first + history->count++) & (history->capacity - 1)] = record;
    history->bytes += record_bytes(record);
    history->since_key = record->key ? 0 : history->since_key + 1;
    push->record = NULL;
    const struct profile *before = history->newest;
    history->newest = push->profile;
    push->profile = before;
    if (push->anchor != NULL) { /* takes over the hold */
        push->anchor->profile = before;
        push->anchor->next = history->anchors;
        history->anchors = push->anchor;
        push->anchor = NULL;
        push->profile = NULL;
    }
}

void profile_push_free(struct profile_push *push)
{
    if (push == NULL)
        return;
    record_unref(push->record);
    profile_unref(push->profile);
    free(push->anchor);
    free(push->slots);
    free(push);
}

/* ---- dropping ---- */

struct profile_run *profile_run_new(void)
{
    return calloc(1, sizeof(struct profile_run));
}

void profile_run_free(struct profile_run *run)
{
    if (run == NULL)
        return;
    for (size_t i = 0; i < run->count; i++)
        record_unref(run->records[i]);
    profile_unref(run->anchor);
    anchors_free(run->anchors);
    free(run);
}

static size_t oldest_run_length(const struct profile_history *history)
{
    size_t length = 1;
    while (length < history->count && !record_at(history, length)->key)
        length++;
    return length;
}

/* Takes out the anchors whose records are all gone. */
static struct anchor *take_unused_anchors(struct profile_history *history)
{
    struct anchor *unused = NULL;
    for (struct anchor **at = &history->anchors; *at != NULL;) {
        struct anchor *anchor = *at;
        /* Records are in order of time, and an anchor is the last of its process or order. */
        if (history->count > 0 && record_at(history, 0)->about.taken_realtime_ns <=
                                      anchor->profile->taken_realtime_ns) {
            at = &anchor->next;
            continue;
        }
        *at = anchor->next;
        anchor->next = unused;
        unused = anchor;
    }
    return unused;
}

bool profile_history_drop_oldest(struct profile_history *history, struct profile_run *run)
{
    if (history->count == 0 || oldest_run_length(history) == history->count)
        return false;
    const size_t length = oldest_run_length(history);
    for (size_t i = 0; i < length; i++) {
        run->records[run->count++] = record_at(history, 0);
        history->bytes -= record_bytes(record_at(history, 0));
        history->first = (history->first + 1) & (history->capacity - 1);
        history->count--;
    }
    run->anchors = take_unused_anchors(history);
    return true;
}

/* ---- asking ---- */

size_t profile_history_count(const struct profile_history *history)
{
    return history->count;
}

size_t profile_history_bytes(const struct profile_history *history)
{
    size_t bytes = history->bytes + history->capacity * sizeof(struct record *);
    for (const struct anchor *anchor = history->anchors; anchor != NULL; anchor = anchor->next) {
        bytes += anchor->profile->entry_count * sizeof(struct profile_entry);
        if (history->newest != NULL && anchor->profile->sites != history->newest->sites)
            bytes += site_table_bytes(anchor->profile->sites);
    }
    return bytes;
}

uint64_t profile_history_oldest_ns(const struct profile_history *history)
{
    return history->count == 0 ? 0 : record_at(history, 0)->about.taken_realtime_ns;
}

uint64_t profile_history_second_run_ns(const struct profile_history *history)
{
    if (history->count == 0)
        return 0;
    const size_t length = oldest_run_length(history);
    return length == history->count ? 0 : record_at(history, length)->about.taken_realtime_ns;
}

/* The profile that names the sites of record [index]: the first anchor taken at or after it, else the newest. */
static const struct profile *anchor_of(const struct profile_history *history,
                                       const struct record *record)
{
    const struct profile *found = history->newest;
    for (const struct anchor *anchor = history->anchors; anchor != NULL; anchor = anchor->next) {
        if (anchor->profile->taken_realtime_ns >= record->about.taken_realtime_ns &&
            anchor->profile->sites == record->about.sites)
            found = anchor->profile; /* the list is newest first: the last that fits is the nearest */
    }
    return found;
}

bool profile_history_find(const struct profile_history *history, uint64_t realtime_ns,
                          struct profile_run *run)
{
    size_t index = history->count;
    while (index > 0 && record_at(history, index - 1)->about.taken_realtime_ns > realtime_ns)
        index--;
    if (index == 0)
        return false;
    size_t key = --index;
    while (!record_at(history, key)->key)
        key--;
    run->anchor = profile_ref(anchor_of(history, record_at(history, index)));
    for (size_t i = key; i <= index; i++) {
        struct record *record = record_at(history, i);
        atomic_fetch_add_explicit(&record->refs, 1, memory_order_relaxed);
        run->records[run->count++] = record;
    }
    return true;
}

/* ---- putting together ---- */

static void apply_record(struct profile_entry *entries, const struct record *record)
{
    const unsigned char *at = record->bytes;
    const unsigned char *end = record->bytes + record->length;
    size_t next = 0;
    while (at < end) {
        uint64_t gap = 0;
        int64_t values[VALUES];
        at = get_varint(at, &gap);
        struct profile_entry *entry = &entries[next + gap];
        const unsigned mask = *at++;
        get_values(entry, values);
        for (unsigned v = 0; v < VALUES; v++) {
            uint64_t difference = 0;
            if ((mask >> v & 1) == 0)
                continue;
            at = get_varint(at, &difference);
            values[v] = apply(values[v], difference);
        }
        set_values(entry, values);
        next += gap + 1;
    }
}

static void copy_about(struct profile *profile, const struct about *about)
{
    profile->taken_realtime_ns = about->taken_realtime_ns;
    profile->start_realtime_ns = about->start_realtime_ns;
    profile->cycle = about->cycle;
    profile->rate = about->rate;
    profile->partial = about->partial;
    profile->partial_reason = about->partial_reason;
    profile->mappings = about->mappings;
    profile->mapping_count = about->mapping_count;
}

const struct profile *profile_run_build(const struct profile_run *run)
{
    const struct record *last = run->records[run->count - 1];
    if (last->whole != NULL)
        return profile_ref(last->whole);
    const size_t count = last->about.entry_count;
    struct profile *profile = profile_begin(run->anchor->sites, count);
    if (profile == NULL)
        return NULL;
    copy_about(profile, &last->about);
    for (size_t i = 0; i < count; i++)
        profile->entries[i].site = run->anchor->entries[i].site;
    profile->entry_count = count;
    for (size_t i = 0; i < run->count; i++) {
        const struct record *record = run->records[i];
        if (record->whole != NULL) { /* the start of the run */
            for (size_t k = 0; k < record->about.entry_count; k++)
                profile->entries[k] = record->whole->entries[k];
        } else {
            apply_record(profile->entries, record);
        }
    }
    return profile_seal_past(profile);
}
