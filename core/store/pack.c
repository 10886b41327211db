/* pack.c - snapshots as a history stream.
 *
 * Used by the journal's thread and by whoever exports; a row costs a pass over its columns, and only what changed
 * is written. */
#include "core/store/pack.h"

#include <stdlib.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/store/msgpack_bytes.h"
#include "core/store/pack_format.h"
#include "core/store/pack_names.h"
#include "core/store/snapshot.h"

enum {
    STRINGS_MAX = 1 << 16,
    SITES_MAX = 1 << 15,
    TARGETS_MAX = 1 << 12,
    LAYOUT_ROWS = 600, /* then columns that have not changed since are left out again */
};

/* What the stream has said of one target. */
struct packed_target {
    uint64_t number;
    const struct target_info *info; /* one hold */
    struct site_table *sites;       /* one hold; NULL: no site yet */
    struct pack_names site_names;   /* by pointer */
    struct pack_names group_names;  /* by the pointers to type and tag */
    struct buffer group_words;      /* GROUP_WORDS of each group */
    struct buffer site_words;       /* SITE_WORDS of each site */
    const struct tops *tops;        /* one hold: the newest that was written */
    const struct profile *profile;  /* one hold */
    int64_t profile_bytes_left;     /* PACK_PROFILE_BYTES_PER_ROW for each row, less what profiles took */
    uint64_t generation;
    bool has_row;
    uint64_t row[PACK_COLUMNS];
    uint64_t step[COLUMN_MONOTONIC + 1]; /* last difference of the first columns */
    bool in_layout[PACK_COLUMNS];
    bool used[PACK_COLUMNS]; /* changed since the layout was made */
    size_t layout_rows;
};

struct packer {
    char boot_id[64];
    bool has_header;
    struct pack_names strings; /* by content */
    struct buffer fresh;       /* strings that the next record needs */
    size_t fresh_count;
    struct buffer masks;
    struct buffer values;
    struct packed_target **targets;
    size_t target_count;
    size_t target_room;
    size_t site_count;
    bool full;
};

/* ---- life ---- */

static void target_free(struct packed_target *target)
{
    if (target == NULL)
        return;
    target_info_unref(target->info);
    tops_unref(target->tops);
    profile_unref(target->profile);
    site_table_unref(target->sites);
    pack_names_release(&target->site_names);
    pack_names_release(&target->group_names);
    buffer_release(&target->group_words);
    buffer_release(&target->site_words);
    free(target);
}

struct packer *packer_new(const char *boot_id)
{
    struct packer *packer = calloc(1, sizeof(*packer));
    if (packer == NULL)
        return NULL;
    (void)snprintf(packer->boot_id, sizeof(packer->boot_id), "%.60s", boot_id);
    buffer_init(&packer->fresh, 8 << 20);
    buffer_init(&packer->masks, 1 << 20);
    buffer_init(&packer->values, 1 << 20);
    return packer;
}

void packer_restart(struct packer *packer)
{
    for (size_t i = 0; i < packer->target_count; i++)
        target_free(packer->targets[i]);
    packer->target_count = 0;
    packer->site_count = 0;
    packer->has_header = false;
    packer->full = false;
    pack_names_release(&packer->strings);
}

void packer_free(struct packer *packer)
{
    if (packer == NULL)
        return;
    packer_restart(packer);
    free(packer->targets);
    buffer_release(&packer->fresh);
    buffer_release(&packer->masks);
    buffer_release(&packer->values);
    free(packer);
}

bool packer_is_full(const struct packer *packer)
{
    return packer->full;
}

/* ---- dictionaries ---- */

/* The number of [text]; a new one is written before the record that is being made. */
static uint64_t string_number(struct packer *packer, const char *text)
{
    bool is_new = false;
    if (text == NULL || text[0] == '\0')
        return 0;
    const size_t length = strlen(text);
    const uint64_t number = pack_names_text(&packer->strings, text, length, &is_new);
    if (is_new) {
        msgpack_put_text(&packer->fresh, text, length);
        packer->fresh_count++;
    }
    return number;
}

static void put_fresh_strings(struct packer *packer, struct buffer *out)
{
    if (packer->fresh_count == 0)
        return;
    msgpack_put_array(out, packer->fresh_count + 1);
    msgpack_put_u64(out, RECORD_STRINGS);
    buffer_append(out, packer->fresh.data, packer->fresh.length);
    out->failed = out->failed || packer->fresh.failed;
    buffer_clear(&packer->fresh);
    packer->fresh_count = 0;
}

/* ---- header and target ---- */

static const char *type_name(enum field_type type)
{
    return type == FIELD_U64 ? "u64" : type == FIELD_I64 ? "i64" : "f64";
}

static void put_header(struct packer *packer, struct buffer *out)
{
    msgpack_put_array(out, 6);
    msgpack_put_string(out, PACK_MAGIC);
    msgpack_put_u64(out, PACK_VERSION);
    msgpack_put_string(out, GOPROFD_VERSION);
    msgpack_put_string(out, packer->boot_id);
    msgpack_put_array(out, SNAPSHOT_FIELD_COUNT);
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const struct field *field = &snapshot_fields[i];
        msgpack_put_array(out, 4);
        msgpack_put_string(out, field->name);
        msgpack_put_string(out, type_name(field->type));
        msgpack_put_string(out, field_unit_name(field->unit));
        msgpack_put_string(out, field->kind == FIELD_COUNTER ? "counter" : "gauge");
    }
    msgpack_put_array(out, RETENTION_FIGURE_COUNT);
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        const struct retention_field *field = &retention_fields[i];
        msgpack_put_array(out, 2);
        msgpack_put_string(out, field->name);
        msgpack_put_string(out, field->kind == RETENTION_FLAG ? "flag"
                                : field->unit == UNIT_SECONDS ? "ms"
                                                              : field_unit_name(field->unit));
    }
    packer->has_header = true;
}

static void put_target(const struct packed_target *target, const struct target_info *info,
                       struct buffer *out)
{
    const struct target_facts *facts = &info->facts;
    size_t count = 0;
#define COUNT(member) count += facts->member != NULL && facts->member[0] != '\0';
    PACK_TARGET_TEXTS(COUNT)
#undef COUNT
#define COUNT(member) count += facts->member != 0;
    PACK_TARGET_NUMBERS(COUNT)
#undef COUNT
    msgpack_put_array(out, 3);
    msgpack_put_u64(out, RECORD_TARGET);
    msgpack_put_u64(out, target->number);
    msgpack_put_map(out, count);
#define PUT(member)                                                                                \
    if (facts->member != NULL && facts->member[0] != '\0') {                                       \
        msgpack_put_string(out, #member);                                                          \
        msgpack_put_string(out, facts->member);                                                    \
    }
    PACK_TARGET_TEXTS(PUT)
#undef PUT
#define PUT(member)                                                                                \
    if (facts->member != 0) {                                                                      \
        msgpack_put_string(out, #member);                                                          \
        msgpack_put_u64(out, (uint64_t)facts->member);                                             \
    }
    PACK_TARGET_NUMBERS(PUT)
#undef PUT
}

static struct packed_target *add_target(struct packer *packer)
{
    if (packer->target_count == packer->target_room) {
        const size_t room = packer->target_room == 0 ? 16 : 2 * packer->target_room;
        struct packed_target **grown = realloc(packer->targets, room * sizeof(struct packed_target *));
        if (grown == NULL)
            return NULL;
        packer->targets = grown;
        packer->target_room = room;
    }
    struct packed_target *target = calloc(1, sizeof(*target));
    if (target == NULL)
        return NULL;
    buffer_init(&target->group_words, 64 << 20);
    buffer_init(&target->site_words, 64 << 20);
    target->profile_bytes_left = PACK_PROFILE_BYTES_SAVED_MAX;
    packer->targets[packer->target_count++] = target;
    target->number = packer->target_count;
    return target;
}

static struct packed_target *find_target(struct packer *packer, const struct target_info *info)
{
    for (size_t i = 0; i < packer->target_count; i++) {
        if (packer->targets[i]->info == info ||
            strcmp(packer->targets[i]->info->facts.id, info->facts.id) == 0)
            return packer->targets[i];
    }
    return NULL;
}

/* Sites, groups and the profile start over: those of another process are others. */
static void begin_process(struct packed_target *target, struct site_table *sites, struct buffer *out)
{
    msgpack_put_array(out, 2);
    msgpack_put_u64(out, RECORD_PROCESS);
    msgpack_put_u64(out, target->number);
    if (sites != NULL)
        site_table_ref(sites);
    site_table_unref(target->sites);
    target->sites = sites;
    pack_names_release(&target->site_names);
    pack_names_release(&target->group_names);
    buffer_clear(&target->group_words);
    buffer_clear(&target->site_words);
    tops_unref(target->tops);
    profile_unref(target->profile);
    target->tops = NULL;
    target->profile = NULL;
}

/* ---- sites and groups ---- */

/* Room for the words of member [number] of a list; NULL without memory. */
static uint64_t *words_at(struct buffer *list, uint64_t number, size_t words)
{
    const size_t bytes = words * sizeof(uint64_t);
    while (!list->failed && list->length < (size_t)number * bytes) {
        char *room = buffer_reserve(list, bytes);
        if (room == NULL)
            return NULL;
        memset(room, 0, bytes);
        list->length += bytes;
    }
    return list->failed ? NULL : (uint64_t *)(void *)(list->data + ((size_t)number - 1) * bytes);
}

static void put_site(struct packer *packer, const struct packed_target *target,
                     const struct site *site, struct buffer *out)
{
    size_t frames = site->frame_count < PACK_FRAMES_MAX ? site->frame_count : PACK_FRAMES_MAX;
    size_t blame = 0;
    while (blame < site->frame_count && site->frames[blame] != site->blame)
        blame++;
    /* The blamed frame is kept even if it lies behind those that are left out. */
    const bool far = blame >= frames;
    if (far)
        blame = frames - 1;
    struct buffer *record = &packer->values;
    buffer_clear(record);
    msgpack_put_array(record, 9 + 4 * frames);
    msgpack_put_u64(record, RECORD_SITE);
    msgpack_put_u64(record, target->number);
    msgpack_put_u64(record, site->object_bytes);
    msgpack_put_u64(record, site->first_seen_realtime_ns);
    msgpack_put_u64(record, string_number(packer, site->primitive));
    msgpack_put_u64(record, string_number(packer, site->type_name));
    msgpack_put_u64(record, string_number(packer, site->tag));
    msgpack_put_u64(record, string_number(packer, site->package));
    msgpack_put_u64(record, blame);
    for (size_t i = 0; i < frames; i++) {
        const struct frame *frame = far && i == blame ? site->blame : site->frames[i];
        msgpack_put_u64(record, string_number(packer, frame->function));
        msgpack_put_u64(record, string_number(packer, frame->file));
        msgpack_put_u64(record, frame->line);
        msgpack_put_u64(record, frame->start_line);
    }
    put_fresh_strings(packer, out);
    buffer_append(out, record->data, record->length);
    out->failed = out->failed || record->failed;
}

static uint64_t site_number(struct packer *packer, struct packed_target *target,
                            const struct site *site, struct buffer *out)
{
    bool is_new = false;
    if (site == NULL)
        return 0;
    const uint64_t number = pack_names_pair(&target->site_names, (uint64_t)(uintptr_t)site, 0, &is_new);
    if (is_new) {
        packer->site_count++;
        put_site(packer, target, site, out);
    }
    return number;
}

static uint64_t group_number(struct packer *packer, struct packed_target *target,
                             const struct top_entry *entry, struct buffer *out)
{
    bool is_new = false;
    /* Equal texts of one site table are equal pointers: no need to look at them at every row. */
    const uint64_t number =
        pack_names_pair(&target->group_names, (uint64_t)(uintptr_t)entry->type_name,
                        (uint64_t)(uintptr_t)entry->tag, &is_new);
    if (is_new) {
        const uint64_t type = string_number(packer, entry->type_name);
        const uint64_t tag = string_number(packer, entry->tag);
        put_fresh_strings(packer, out);
        msgpack_put_array(out, 4);
        msgpack_put_u64(out, RECORD_GROUP);
        msgpack_put_u64(out, target->number);
        msgpack_put_u64(out, type);
        msgpack_put_u64(out, tag);
    }
    return number;
}

/* ---- top lists ---- */

/* What changed of [words] since [known], as a mask and differences; [known] becomes them. */
static size_t put_changes(struct packer *packer, uint64_t *known, const uint64_t *words, size_t count)
{
    uint64_t mask = 0;
    size_t changes = 0;
    for (size_t i = 0; i < count; i++) {
        if (words[i] == known[i])
            continue;
        mask |= UINT64_C(1) << i;
        msgpack_put_i64(&packer->values, (int64_t)(words[i] - known[i]));
        known[i] = words[i];
        changes++;
    }
    msgpack_put_u64(&packer->masks, mask);
    return changes;
}

struct top_list {
    const struct top_entry *entries;
    size_t count;
    size_t words; /* of each entry that are told */
    uint64_t groups[SNAPSHOT_TOP_MAX];
    uint64_t sites[SNAPSHOT_TOP_MAX];
};

static void name_list(struct packer *packer, struct packed_target *target, struct top_list *list,
                      struct buffer *out)
{
    if (list->count > SNAPSHOT_TOP_MAX)
        list->count = SNAPSHOT_TOP_MAX;
    for (size_t i = 0; i < list->count; i++) {
        list->sites[i] = site_number(packer, target, list->entries[i].site, out);
        list->groups[i] = group_number(packer, target, &list->entries[i], out);
    }
}

static size_t list_changes(struct packer *packer, struct packed_target *target,
                           const struct top_list *list)
{
    size_t changes = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct top_entry *entry = &list->entries[i];
        uint64_t words[GROUP_WORDS] = {
            list->sites[i],
            (uint64_t)entry->alloc_objects,
            (uint64_t)entry->alloc_bytes,
            (uint64_t)entry->inuse_objects,
            (uint64_t)entry->inuse_bytes,
            entry->site_count,
        };
        for (size_t f = 0; f < RETENTION_FIGURE_COUNT; f++)
            words[GROUP_NUMBERS + f] = pack_figure(&entry->retention, &retention_fields[f]);
        uint64_t *known = words_at(&target->group_words, list->groups[i], GROUP_WORDS);
        if (known != NULL)
            changes += put_changes(packer, known, words, list->words);
    }
    return changes;
}

static void put_numbers(struct buffer *out, const uint64_t *numbers, size_t count)
{
    msgpack_put_array(out, count);
    for (size_t i = 0; i < count; i++)
        msgpack_put_u64(out, numbers[i]);
}

static void put_masks_and_values(struct packer *packer, size_t masks, size_t values,
                                 struct buffer *out)
{
    msgpack_put_array(out, masks);
    buffer_append(out, packer->masks.data, packer->masks.length);
    msgpack_put_array(out, values);
    buffer_append(out, packer->values.data, packer->values.length);
    out->failed = out->failed || packer->masks.failed || packer->values.failed;
}

static void put_tops(struct packer *packer, struct packed_target *target, const struct tops *tops,
                     struct buffer *out)
{
    struct top_list allocations = {
        .entries = tops->allocations, .count = tops->allocation_count, .words = GROUP_NUMBERS};
    struct top_list retentions = {
        .entries = tops->retentions, .count = tops->retention_count, .words = GROUP_WORDS};
    name_list(packer, target, &allocations, out);
    name_list(packer, target, &retentions, out);
    buffer_clear(&packer->masks);
    buffer_clear(&packer->values);
    size_t changes = list_changes(packer, target, &allocations);
    changes += list_changes(packer, target, &retentions);
    msgpack_put_array(out, 6);
    msgpack_put_u64(out, RECORD_TOPS);
    msgpack_put_u64(out, target->number);
    put_numbers(out, allocations.groups, allocations.count);
    put_numbers(out, retentions.groups, retentions.count);
    put_masks_and_values(packer, allocations.count + retentions.count, changes, out);
    out->failed = out->failed || target->group_words.failed;
    tops_unref(target->tops);
    target->tops = tops_ref(tops);
}

/* ---- the largest sites ---- */

static int compare_inuse(const void *a, const void *b)
{
    const struct profile_entry *left = *(const struct profile_entry *const *)a;
    const struct profile_entry *right = *(const struct profile_entry *const *)b;
    if (left->inuse_bytes != right->inuse_bytes)
        return left->inuse_bytes > right->inuse_bytes ? -1 : 1;
    return (left->site->id > right->site->id) - (left->site->id < right->site->id);
}

static int compare_alloc(const void *a, const void *b)
{
    const struct profile_entry *left = *(const struct profile_entry *const *)a;
    const struct profile_entry *right = *(const struct profile_entry *const *)b;
    if (left->alloc_bytes != right->alloc_bytes)
        return left->alloc_bytes > right->alloc_bytes ? -1 : 1;
    return (left->site->id > right->site->id) - (left->site->id < right->site->id);
}

/* The largest of [profile] in use, then of the others those that allocated most; [out] has room for
 * PACK_PROFILE_SITES_MAX. */
static size_t pick_largest(const struct profile *profile, const struct profile_entry **out)
{
    size_t count = 0;
    const struct profile_entry **all = calloc(profile->entry_count + 1, sizeof(*all));
    if (all == NULL)
        return 0;
    for (size_t i = 0; i < profile->entry_count; i++) {
        if (profile->entries[i].inuse_bytes > 0 || profile->entries[i].alloc_bytes > 0)
            all[count++] = &profile->entries[i];
    }
    if (count > PACK_PROFILE_SITES_MAX) {
        qsort(all, count, sizeof(*all), compare_inuse);
        qsort(all + PACK_PROFILE_SITES_INUSE, count - PACK_PROFILE_SITES_INUSE, sizeof(*all),
              compare_alloc);
        count = PACK_PROFILE_SITES_MAX;
    }
    memcpy(out, all, count * sizeof(*all));
    free(all);
    return count;
}

static void put_profile(struct packer *packer, struct packed_target *target,
                        const struct profile *profile, struct buffer *out)
{
    const struct profile_entry *largest[PACK_PROFILE_SITES_MAX];
    uint64_t sites[PACK_PROFILE_SITES_MAX];
    const size_t before = out->length;
    const size_t count = pick_largest(profile, largest);
    for (size_t i = 0; i < count; i++)
        sites[i] = site_number(packer, target, largest[i]->site, out);
    buffer_clear(&packer->masks);
    buffer_clear(&packer->values);
    size_t changes = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t words[SITE_WORDS] = {
            (uint64_t)largest[i]->alloc_objects, (uint64_t)largest[i]->alloc_bytes,
            (uint64_t)largest[i]->inuse_objects, (uint64_t)largest[i]->inuse_bytes,
            (uint64_t)largest[i]->block_bytes};
        uint64_t *known = words_at(&target->site_words, sites[i], SITE_WORDS);
        if (known != NULL)
            changes += put_changes(packer, known, words, SITE_WORDS);
    }
    msgpack_put_array(out, 10);
    msgpack_put_u64(out, RECORD_PROFILE);
    msgpack_put_u64(out, target->number);
    msgpack_put_u64(out, profile->taken_realtime_ns);
    msgpack_put_u64(out, profile->start_realtime_ns);
    msgpack_put_u64(out, profile->cycle);
    msgpack_put_i64(out, profile->rate);
    msgpack_put_u64(out, profile->partial);
    put_numbers(out, sites, count);
    put_masks_and_values(packer, count, changes, out);
    out->failed = out->failed || target->site_words.failed;
    target->profile_bytes_left -= (int64_t)(out->length - before);
    profile_unref(target->profile);
    target->profile = profile_ref(profile);
}

/* ---- rows ---- */

static void fill_row(struct packer *packer, const struct packed_target *target,
                     const struct snapshot *snapshot, uint64_t *row)
{
    row[COLUMN_SEQUENCE] = snapshot->sequence;
    row[COLUMN_MONOTONIC] = snapshot->monotonic_ns;
    row[COLUMN_REALTIME_OFFSET] = snapshot->realtime_ns - snapshot->monotonic_ns;
    row[COLUMN_GENERATION] = snapshot->generation;
    row[COLUMN_PARTIAL] = snapshot->partial;
    row[COLUMN_REASON] = string_number(packer, snapshot->partial_reason);
    row[COLUMN_TOPS] = snapshot->tops != NULL;
    row[COLUMN_PROFILE] = target->profile != NULL;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        uint64_t *pair = &row[COLUMN_FIELDS + PACK_FIELD_COLUMNS * i];
        pair[0] = snapshot->values.present[i / 64] >> (i % 64) & 1;
        memcpy(&pair[1], (const char *)&snapshot->values + snapshot_fields[i].offset, sizeof(pair[1]));
    }
}

static bool is_fraction(size_t column)
{
    return column >= COLUMN_FIELDS && (column - COLUMN_FIELDS) % PACK_FIELD_COLUMNS == 1 &&
           snapshot_fields[(column - COLUMN_FIELDS) / PACK_FIELD_COLUMNS].type == FIELD_F64;
}

/* The columns that [row] has changed are in the layout afterwards; false: they were. */
static bool update_layout(struct packed_target *target, const uint64_t *row)
{
    bool changed = false;
    if (++target->layout_rows > LAYOUT_ROWS) {
        memcpy(target->in_layout, target->used, sizeof(target->in_layout));
        memset(target->used, 0, sizeof(target->used));
        target->layout_rows = 0;
        changed = true;
    }
    for (size_t i = 0; i < PACK_COLUMNS; i++) {
        if (row[i] - target->row[i] == (i <= COLUMN_MONOTONIC ? target->step[i] : 0))
            continue;
        target->used[i] = true;
        changed = changed || !target->in_layout[i];
        target->in_layout[i] = true;
    }
    return changed;
}

static void put_layout(const struct packed_target *target, struct buffer *out)
{
    size_t count = 0;
    for (size_t i = 0; i < PACK_COLUMNS; i++)
        count += target->in_layout[i];
    msgpack_put_array(out, count + 2);
    msgpack_put_u64(out, RECORD_LAYOUT);
    msgpack_put_u64(out, target->number);
    for (size_t i = 0; i < PACK_COLUMNS; i++) {
        if (target->in_layout[i])
            msgpack_put_u64(out, i);
    }
}

static void put_value(struct packed_target *target, size_t column, uint64_t value, struct buffer *out)
{
    const uint64_t before = target->row[column];
    if (is_fraction(column)) {
        double number = 0;
        memcpy(&number, &value, sizeof(number));
        if (value == before)
            msgpack_put_u64(out, 0);
        else
            msgpack_put_f64(out, number);
        return;
    }
    uint64_t difference = value - before;
    if (column <= COLUMN_MONOTONIC) {
        const uint64_t step = difference;
        difference -= target->step[column];
        target->step[column] = step;
    }
    msgpack_put_i64(out, (int64_t)difference);
}

static void put_row(struct packed_target *target, const uint64_t *row, struct buffer *out)
{
    size_t count = 0;
    if (update_layout(target, row))
        put_layout(target, out);
    for (size_t i = 0; i < PACK_COLUMNS; i++)
        count += target->in_layout[i];
    msgpack_put_array(out, count + 2);
    msgpack_put_u64(out, RECORD_ROW);
    msgpack_put_u64(out, target->number);
    for (size_t i = 0; i < PACK_COLUMNS; i++) {
        if (target->in_layout[i])
            put_value(target, i, row[i], out);
    }
    memcpy(target->row, row, sizeof(target->row));
    if (target->has_row)
        return;
    /* The first row names all that is not zero; most of it stays as it is. */
    target->has_row = true;
    memset(target->in_layout, 0, sizeof(target->in_layout));
    memset(target->used, 0, sizeof(target->used));
    target->layout_rows = 0;
}

/* Whether the largest sites of [profile] are due with [snapshot]. */
static bool wants_profile(const struct packed_target *target, const struct snapshot *snapshot,
                          const struct profile *profile)
{
    /* A batch of snapshots comes with one profile: it belongs to those taken since. */
    if (profile == NULL || target->profile == profile || profile->sites != target->sites ||
        profile->taken_realtime_ns > snapshot->realtime_ns)
        return false;
    return target->profile == NULL || target->profile_bytes_left > 0 ||
           profile->taken_realtime_ns >=
               target->profile->taken_realtime_ns + PACK_PROFILE_EVERY_S * CLOCK_NS_PER_S ||
           profile->taken_realtime_ns < target->profile->taken_realtime_ns;
}

static void add(struct packer *packer, struct packed_target *target, const struct target_info *info,
                const struct snapshot *snapshot, const struct profile *profile, struct buffer *out)
{
    const struct tops *tops = snapshot->tops;
    struct site_table *sites = tops != NULL ? tops->sites : profile != NULL ? profile->sites : NULL;
    if (target->info != info) {
        put_target(target, info, out);
        target_info_unref(target->info);
        target->info = target_info_ref(info);
    }
    if ((sites != NULL && sites != target->sites) ||
        (target->has_row && target->generation != snapshot->generation))
        begin_process(target, sites, out);
    target->generation = snapshot->generation;
    if (tops != NULL && tops != target->tops)
        put_tops(packer, target, tops, out);
    if (target->profile_bytes_left < PACK_PROFILE_BYTES_SAVED_MAX)
        target->profile_bytes_left += PACK_PROFILE_BYTES_PER_ROW;
    if (wants_profile(target, snapshot, profile))
        put_profile(packer, target, profile, out);
    uint64_t row[PACK_COLUMNS];
    fill_row(packer, target, snapshot, row);
    put_fresh_strings(packer, out);
    put_row(target, row, out);
}

bool packer_add(struct packer *packer, const struct target_info *info,
                const struct snapshot *snapshot, const struct profile *profile, struct buffer *out,
                struct error *err)
{
    if (!packer->has_header)
        put_header(packer, out);
    struct packed_target *target = find_target(packer, info);
    if (target == NULL)
        target = add_target(packer);
    if (target != NULL)
        add(packer, target, info, snapshot, profile, out);
    packer->full = pack_names_count(&packer->strings) > STRINGS_MAX ||
                   packer->site_count > SITES_MAX || packer->target_count > TARGETS_MAX;
    if (target != NULL && !out->failed && !packer->strings.failed && !target->site_names.failed &&
        !target->group_names.failed)
        return true;
    packer_restart(packer);
    return error_set(err, ERROR_NO_MEMORY, "no memory to pack a snapshot");
}
