/* columns.c - snapshots as columns of small differences.
 *
 *   [ one column for each of the snapshot's own numbers | one for each field | tops | size classes ]
 *
 * Called by the sampler's thread once for every COLUMNS_SNAPSHOTS_MAX beats, and by whoever reads the
 * history.  The bytes never leave the process, so that pointers may be named by their place in
 * `pointers`; they are read with bounds all the same. */
#include "core/store/columns.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/store/heap_classes.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"

#define COLUMNS_MAX_BYTES ((size_t)16 << 20)

/* A snapshot's own numbers, before its fields. */
enum own_column {
    OWN_SEQUENCE,
    OWN_MONOTONIC,
    OWN_REALTIME_OFFSET, /* from the monotonic clock: seldom changes */
    OWN_GENERATION,
    OWN_PARTIAL,
    OWN_REASON,  /* 0: none; else its place in `pointers`, from 1 */
    OWN_TOPS,    /* 0: none; else the number of its tops, from 1 */
    OWN_CLASSES, /* the same */
    OWN_COUNT,
    OWN_PRESENT_FIRST = OWN_COUNT,
    FIELDS_FIRST = OWN_PRESENT_FIRST + SNAPSHOT_PRESENT_WORDS,
    COLUMN_COUNT = FIELDS_FIRST + SNAPSHOT_FIELD_COUNT
};

struct columns {
    _Atomic uint32_t refs_;
    size_t count;
    uint64_t realtime_first_ns; /* the smallest */
    uint64_t realtime_last_ns;  /* the largest */
    uint64_t oldest_monotonic_ns;
    size_t tops_count;
    size_t classes_count;
    size_t pointer_count;
    const void **pointers; /* sites and strings of the tables; constant texts */
    size_t table_count;
    struct site_table **tables; /* one hold each */
    size_t length;
    char *bytes;
};

/* ---- numbers ---- */

static uint64_t zigzag(uint64_t difference)
{
    return difference << 1 ^ (0 - (difference >> 63));
}

static uint64_t unzigzag(uint64_t value)
{
    return value >> 1 ^ (0 - (value & 1));
}

static void put(struct buffer *out, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        buffer_append_byte(out, (char)(value | 0x80));
    buffer_append_byte(out, (char)value);
}

struct reader {
    const unsigned char *at;
    const unsigned char *end;
    bool failed; /* read past the end: sticks */
};

static uint64_t get(struct reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at == reader->end)
            break;
        const unsigned char byte = *reader->at++;
        value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->failed = true;
    return 0;
}

enum column_form { FORM_DELTA, FORM_DELTA2, FORM_XOR };

/* What [form] puts down at [i] of [values]. */
static uint64_t token(const uint64_t *values, size_t i, enum column_form form)
{
    const uint64_t before = i > 0 ? values[i - 1] : 0;
    const uint64_t before2 = i > 1 ? values[i - 2] : before;
    switch (form) {
    case FORM_DELTA:
        return zigzag(values[i] - before);
    case FORM_DELTA2:
        return zigzag(values[i] - before - (before - before2));
    case FORM_XOR:
        break;
    }
    return values[i] ^ before;
}

static size_t put_length(uint64_t value)
{
    size_t length = 1;
    for (; value >= 0x80; value >>= 7)
        length++;
    return length;
}

static size_t form_length(const uint64_t *values, size_t count, enum column_form form)
{
    size_t length = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t value = token(values, i, form);
        if (value != 0 || i == 0 || token(values, i - 1, form) != 0)
            length += value != 0 ? put_length(value) : 2;
    }
    return length;
}

static void put_column(struct buffer *out, const uint64_t *values, size_t count)
{
    enum column_form best = FORM_DELTA;
    size_t best_length = SIZE_MAX;
    for (enum column_form form = FORM_DELTA; form <= FORM_XOR; form++) {
        const size_t length = form_length(values, count, form);
        if (length < best_length) {
            best = form;
            best_length = length;
        }
    }
    put(out, best);
    for (size_t i = 0; i < count;) {
        const uint64_t value = token(values, i, best);
        put(out, value);
        size_t run = 1;
        while (value == 0 && i + run < count && token(values, i + run, best) == 0)
            run++;
        if (value == 0)
            put(out, run - 1);
        i += run;
    }
}

static void get_column(struct reader *in, uint64_t *values, size_t count)
{
    const uint64_t form = get(in);
    uint64_t zeros = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = 0;
        if (zeros > 0) {
            zeros--;
        } else {
            value = get(in);
            if (value == 0)
                zeros = get(in);
        }
        const uint64_t before = i > 0 ? values[i - 1] : 0;
        const uint64_t before2 = i > 1 ? values[i - 2] : before;
        if (form == FORM_XOR)
            values[i] = value ^ before;
        else if (form == FORM_DELTA2)
            values[i] = unzigzag(value) + before + (before - before2);
        else
            values[i] = unzigzag(value) + before;
    }
}

/* ---- packing ---- */

struct packer {
    struct buffer out;
    struct buffer pointers; /* of const void * */
    struct buffer tables;   /* of struct site_table *, each with a hold */
};

/* The place of [pointer] in [list], from 0; appended if it is new. */
static size_t place_of(struct buffer *list, const void *pointer)
{
    const size_t count = list->length / sizeof(pointer);
    for (size_t i = 0; i < count; i++) {
        const void *known = NULL;
        memcpy(&known, list->data + i * sizeof(known), sizeof(known));
        if (known == pointer)
            return i;
    }
    buffer_append(list, &pointer, sizeof(pointer));
    return count;
}

/* The numbers of an entry; what follows them are the retention figures. */
enum { ENTRY_NUMBERS = 5, ENTRY_WORDS = ENTRY_NUMBERS + RETENTION_FIGURE_COUNT };

static void entry_words(const struct top_entry *entry, uint64_t *words)
{
    words[0] = (uint64_t)entry->alloc_objects;
    words[1] = (uint64_t)entry->alloc_bytes;
    words[2] = (uint64_t)entry->inuse_objects;
    words[3] = (uint64_t)entry->inuse_bytes;
    words[4] = entry->site_count;
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        const char *member = (const char *)&entry->retention + retention_fields[i].offset;
        uint64_t *word = &words[ENTRY_NUMBERS + i];
        if (retention_fields[i].kind == RETENTION_FLAG)
            *word = *(const bool *)member;
        else
            memcpy(word, member, sizeof(*word));
    }
}

static void entry_set_words(struct top_entry *entry, const uint64_t *words)
{
    entry->alloc_objects = (int64_t)words[0];
    entry->alloc_bytes = (int64_t)words[1];
    entry->inuse_objects = (int64_t)words[2];
    entry->inuse_bytes = (int64_t)words[3];
    entry->site_count = words[4];
    for (size_t i = 0; i < RETENTION_FIGURE_COUNT; i++) {
        char *member = (char *)&entry->retention + retention_fields[i].offset;
        if (retention_fields[i].kind == RETENTION_FLAG)
            *(bool *)member = words[ENTRY_NUMBERS + i] != 0;
        else
            memcpy(member, &words[ENTRY_NUMBERS + i], sizeof(words[0]));
    }
}

static bool same_group(const struct top_entry *a, const struct top_entry *b)
{
    return a->site == b->site && a->type_name == b->type_name && a->tag == b->tag &&
           a->package == b->package;
}

/* A fraction's low bits are seldom alike, so that its XOR rarely gets short; but it is often the same. */
static uint64_t word_token(uint64_t word, uint64_t before, size_t index)
{
    return index < ENTRY_NUMBERS ? zigzag(word - before) : word ^ before;
}

/* Each word that changed has a bit in front. */
static void put_words(struct buffer *out, const uint64_t *words, const uint64_t *before)
{
    uint64_t changed = 0;
    for (size_t i = 0; i < ENTRY_WORDS; i++)
        changed |= (uint64_t)(words[i] != before[i]) << i;
    put(out, changed);
    for (size_t i = 0; i < ENTRY_WORDS; i++) {
        if (words[i] == before[i])
            continue;
        const uint64_t value = word_token(words[i], before[i], i);
        if (i < ENTRY_NUMBERS || retention_fields[i - ENTRY_NUMBERS].kind == RETENTION_FLAG)
            put(out, value);
        else
            buffer_append(out, &value, sizeof(value));
    }
}

static void get_words(struct reader *in, uint64_t *words, const uint64_t *before)
{
    const uint64_t changed = get(in);
    for (size_t i = 0; i < ENTRY_WORDS; i++) {
        uint64_t value = 0;
        words[i] = before[i];
        if ((changed >> i & 1) == 0)
            continue;
        if (i < ENTRY_NUMBERS || retention_fields[i - ENTRY_NUMBERS].kind == RETENTION_FLAG) {
            value = get(in);
        } else if ((size_t)(in->end - in->at) >= sizeof(value)) {
            memcpy(&value, in->at, sizeof(value));
            in->at += sizeof(value);
        } else {
            in->failed = true;
        }
        words[i] = i < ENTRY_NUMBERS ? before[i] + unzigzag(value) : before[i] ^ value;
    }
}

/* Each entry says first where its group was in the list before, from 1; 0: it was not there. */
static void put_entries(struct packer *packer, const struct top_entry *entries, size_t count,
                        const struct top_entry *before, size_t before_count)
{
    struct buffer *out = &packer->out;
    put(out, count);
    for (size_t i = 0; i < count; i++) {
        const struct top_entry *entry = &entries[i];
        uint64_t words[ENTRY_WORDS];
        uint64_t old[ENTRY_WORDS] = {0};
        entry_words(entry, words);
        size_t at = 0;
        while (at < before_count && !same_group(entry, &before[at]))
            at++;
        if (at < before_count) {
            put(out, at + 1);
            entry_words(&before[at], old);
        } else {
            put(out, 0);
            put(out, place_of(&packer->pointers, entry->site));
            put(out, place_of(&packer->pointers, entry->type_name));
            put(out, place_of(&packer->pointers, entry->tag));
            put(out, place_of(&packer->pointers, entry->package));
        }
        put_words(out, words, old);
    }
}

static void put_tops(struct packer *packer, const struct tops *tops, const struct tops *before)
{
    const size_t known = packer->tables.length;
    put(&packer->out, place_of(&packer->tables, tops->sites));
    if (packer->tables.length > known)
        site_table_ref(tops->sites);
    put_entries(packer, tops->allocations, tops->allocation_count,
                before != NULL ? before->allocations : NULL,
                before != NULL ? before->allocation_count : 0);
    put_entries(packer, tops->retentions, tops->retention_count,
                before != NULL ? before->retentions : NULL,
                before != NULL ? before->retention_count : 0);
}

static void put_classes(struct buffer *out, const struct heap_classes *classes)
{
    put(out, classes->taken_realtime_ns);
    put(out, classes->count);
    for (size_t i = 0; i < classes->count; i++) {
        const struct heap_class *class = &classes->classes[i];
        put(out, class->object_bytes);
        put(out, class->spans);
        put(out, class->span_bytes);
        put(out, class->objects);
        put(out, class->wasted_bytes);
    }
}

/* One row of numbers of each snapshot, by column. */
struct grid {
    uint64_t values[COLUMN_COUNT][COLUMNS_SNAPSHOTS_MAX];
};

static void fill_grid(struct grid *grid, size_t row, const struct snapshot *snapshot)
{
    grid->values[OWN_SEQUENCE][row] = snapshot->sequence;
    grid->values[OWN_MONOTONIC][row] = snapshot->monotonic_ns;
    grid->values[OWN_REALTIME_OFFSET][row] = snapshot->realtime_ns - snapshot->monotonic_ns;
    grid->values[OWN_GENERATION][row] = snapshot->generation;
    grid->values[OWN_PARTIAL][row] = snapshot->partial;
    for (size_t i = 0; i < SNAPSHOT_PRESENT_WORDS; i++)
        grid->values[OWN_PRESENT_FIRST + i][row] = snapshot->values.present[i];
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        memcpy(&grid->values[FIELDS_FIRST + i][row],
               (const char *)&snapshot->values + snapshot_fields[i].offset, sizeof(uint64_t));
}

static void pack(struct packer *packer, struct columns *columns, struct grid *grid,
                 const struct snapshot *const *snapshots)
{
    const size_t count = columns->count;
    for (size_t i = 0; i < count; i++) {
        const struct snapshot *snapshot = snapshots[i];
        const struct snapshot *before = i > 0 ? snapshots[i - 1] : NULL;
        fill_grid(grid, i, snapshot);
        if (snapshot->realtime_ns < columns->realtime_first_ns)
            columns->realtime_first_ns = snapshot->realtime_ns;
        if (snapshot->realtime_ns > columns->realtime_last_ns)
            columns->realtime_last_ns = snapshot->realtime_ns;
        if (snapshot->partial_reason != NULL)
            grid->values[OWN_REASON][i] = place_of(&packer->pointers, snapshot->partial_reason) + 1;
        if (snapshot->tops != NULL) {
            if (before == NULL || before->tops != snapshot->tops)
                columns->tops_count++;
            grid->values[OWN_TOPS][i] = columns->tops_count;
        }
        if (snapshot->heap_classes != NULL) {
            if (before == NULL || before->heap_classes != snapshot->heap_classes)
                columns->classes_count++;
            grid->values[OWN_CLASSES][i] = columns->classes_count;
        }
    }
    for (size_t column = 0; column < COLUMN_COUNT; column++)
        put_column(&packer->out, grid->values[column], count);
    const struct tops *last_tops = NULL;
    for (size_t i = 0; i < count; i++) {
        const struct tops *tops = snapshots[i]->tops;
        if (tops == NULL || (i > 0 && snapshots[i - 1]->tops == tops))
            continue;
        put_tops(packer, tops, last_tops);
        last_tops = tops;
    }
    for (size_t i = 0; i < count; i++) {
        const struct heap_classes *classes = snapshots[i]->heap_classes;
        if (classes != NULL && (i == 0 || snapshots[i - 1]->heap_classes != classes))
            put_classes(&packer->out, classes);
    }
}

/* The content of [buffer] in storage of exactly its size; NULL without memory or if it is empty. */
static void *copy_of(const struct buffer *buffer)
{
    void *copy = buffer->length > 0 ? malloc(buffer->length) : NULL;
    if (copy != NULL)
        memcpy(copy, buffer->data, buffer->length);
    return copy;
}

static void destroy(struct columns *columns)
{
    for (size_t i = 0; i < columns->table_count; i++)
        site_table_unref(columns->tables[i]);
    free(columns->tables);
    free(columns->pointers);
    free(columns->bytes);
    free(columns);
}

/* Moves what was packed to [columns]; the holds on the tables go with it or are dropped. */
static bool keep(struct packer *packer, struct columns *columns)
{
    const bool complete = !packer->out.failed && !packer->pointers.failed && !packer->tables.failed;
    columns->bytes = copy_of(&packer->out);
    columns->length = packer->out.length;
    columns->pointers = copy_of(&packer->pointers);
    columns->pointer_count = packer->pointers.length / sizeof(columns->pointers[0]);
    columns->tables = copy_of(&packer->tables);
    columns->table_count = packer->tables.length / sizeof(columns->tables[0]);
    if (columns->tables == NULL) {
        for (size_t i = 0; i < columns->table_count; i++) {
            struct site_table *table = NULL;
            memcpy(&table, packer->tables.data + i * sizeof(table), sizeof(table));
            site_table_unref(table);
        }
        columns->table_count = 0;
    }
    return complete && columns->bytes != NULL &&
           (columns->pointers != NULL || packer->pointers.length == 0) &&
           (columns->tables != NULL || packer->tables.length == 0);
}

const struct columns *columns_new(const struct snapshot *const *snapshots, size_t count)
{
    if (count == 0 || count > COLUMNS_SNAPSHOTS_MAX)
        return NULL;
    struct columns *columns = calloc(1, sizeof(*columns));
    struct grid *grid = calloc(1, sizeof(*grid));
    if (columns == NULL || grid == NULL) {
        free(columns);
        free(grid);
        return NULL;
    }
    atomic_init(&columns->refs_, 1);
    columns->count = count;
    columns->realtime_first_ns = UINT64_MAX;
    columns->oldest_monotonic_ns = snapshots[0]->monotonic_ns;
    struct packer packer;
    buffer_init(&packer.out, COLUMNS_MAX_BYTES);
    buffer_init(&packer.pointers, COLUMNS_MAX_BYTES);
    buffer_init(&packer.tables, COLUMNS_MAX_BYTES);
    pack(&packer, columns, grid, snapshots);
    const bool kept = keep(&packer, columns);
    buffer_release(&packer.out);
    buffer_release(&packer.pointers);
    buffer_release(&packer.tables);
    free(grid);
    if (!kept) {
        destroy(columns);
        return NULL;
    }
    return columns;
}

/* The count is the one part of finished columns that changes: hence the casts. */
static struct columns *counted(const struct columns *columns)
{
    return (struct columns *)(uintptr_t)columns;
}

const struct columns *columns_ref(const struct columns *columns)
{
    atomic_fetch_add_explicit(&counted(columns)->refs_, 1, memory_order_relaxed);
    return columns;
}

void columns_unref(const struct columns *columns)
{
    if (columns != NULL &&
        atomic_fetch_sub_explicit(&counted(columns)->refs_, 1, memory_order_acq_rel) == 1)
        destroy(counted(columns));
}

/* ---- unpacking ---- */

static const void *pointer_at(const struct columns *columns, struct reader *in, uint64_t place)
{
    if (place < columns->pointer_count)
        return columns->pointers[place];
    in->failed = true;
    return NULL;
}

/* An empty list has no storage. */
static struct top_entry *get_entries(const struct columns *columns, struct reader *in, size_t *count,
                                     const struct top_entry *before, size_t before_count)
{
    *count = 0;
    const uint64_t wanted = get(in);
    if (wanted == 0 || wanted > (uint64_t)(in->end - in->at)) { /* each takes two bytes or more */
        in->failed = in->failed || wanted != 0;
        return NULL;
    }
    struct top_entry *entries = calloc(wanted, sizeof(*entries));
    if (entries == NULL) {
        in->failed = true;
        return NULL;
    }
    for (size_t i = 0; i < wanted && !in->failed; i++) {
        uint64_t words[ENTRY_WORDS];
        uint64_t old[ENTRY_WORDS] = {0};
        const uint64_t at = get(in);
        if (at > before_count) {
            in->failed = true;
        } else if (at > 0) {
            entries[i] = before[at - 1];
            entry_words(&before[at - 1], old);
        } else {
            entries[i].site = pointer_at(columns, in, get(in));
            entries[i].type_name = pointer_at(columns, in, get(in));
            entries[i].tag = pointer_at(columns, in, get(in));
            entries[i].package = pointer_at(columns, in, get(in));
        }
        get_words(in, words, old);
        entry_set_words(&entries[i], words);
    }
    *count = wanted;
    return entries;
}

static const struct tops *get_tops(const struct columns *columns, struct reader *in,
                                   const struct tops *before)
{
    const uint64_t table = get(in);
    struct tops *tops = table < columns->table_count ? calloc(1, sizeof(*tops)) : NULL;
    if (tops == NULL) {
        in->failed = true;
        return NULL;
    }
    atomic_init(&tops->refs_, 1);
    tops->sites = site_table_ref(columns->tables[table]);
    tops->allocations =
        get_entries(columns, in, &tops->allocation_count, before != NULL ? before->allocations : NULL,
                    before != NULL ? before->allocation_count : 0);
    tops->retentions =
        get_entries(columns, in, &tops->retention_count, before != NULL ? before->retentions : NULL,
                    before != NULL ? before->retention_count : 0);
    return tops;
}

static const struct heap_classes *get_classes(struct reader *in)
{
    struct heap_classes *classes = calloc(1, sizeof(*classes));
    if (classes == NULL) {
        in->failed = true;
        return NULL;
    }
    atomic_init(&classes->refs_, 1);
    classes->taken_realtime_ns = get(in);
    const uint64_t count = get(in);
    in->failed = in->failed || count > HEAP_CLASSES_MAX;
    for (size_t i = 0; i < count && !in->failed; i++) {
        classes->classes[i].object_bytes = get(in);
        classes->classes[i].spans = get(in);
        classes->classes[i].span_bytes = get(in);
        classes->classes[i].objects = get(in);
        classes->classes[i].wasted_bytes = get(in);
        classes->count++;
    }
    return classes;
}

static struct snapshot *row_of(const struct columns *columns, struct reader *in,
                               const struct grid *grid, size_t row)
{
    const uint64_t monotonic_ns = grid->values[OWN_MONOTONIC][row];
    struct snapshot *snapshot =
        snapshot_begin(monotonic_ns + grid->values[OWN_REALTIME_OFFSET][row], monotonic_ns);
    if (snapshot == NULL) {
        in->failed = true;
        return NULL;
    }
    snapshot->sequence = grid->values[OWN_SEQUENCE][row];
    snapshot->generation = grid->values[OWN_GENERATION][row];
    snapshot->partial = grid->values[OWN_PARTIAL][row] != 0;
    if (grid->values[OWN_REASON][row] != 0)
        snapshot->partial_reason = pointer_at(columns, in, grid->values[OWN_REASON][row] - 1);
    for (size_t i = 0; i < SNAPSHOT_PRESENT_WORDS; i++)
        snapshot->values.present[i] = grid->values[OWN_PRESENT_FIRST + i][row];
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
        memcpy((char *)&snapshot->values + snapshot_fields[i].offset,
               &grid->values[FIELDS_FIRST + i][row], sizeof(uint64_t));
    return snapshot;
}

/* Tops and size classes lie after the columns, in the order in which snapshots have them. */
static void share_tops(const struct columns *columns, struct reader *in, const struct grid *grid,
                       struct snapshot **rows)
{
    const struct tops *tops = NULL;
    uint64_t number = 0;
    for (size_t i = 0; i < columns->count && !in->failed; i++) {
        const uint64_t wanted = grid->values[OWN_TOPS][i];
        if (wanted == 0)
            continue;
        if (wanted != number) {
            const struct tops *next = get_tops(columns, in, tops);
            tops_unref(tops);
            tops = next;
            number = wanted;
        }
        if (tops != NULL)
            rows[i]->tops = tops_ref(tops);
    }
    tops_unref(tops);
}

static void share_classes(const struct columns *columns, struct reader *in, const struct grid *grid,
                          struct snapshot **rows)
{
    const struct heap_classes *classes = NULL;
    uint64_t number = 0;
    for (size_t i = 0; i < columns->count && !in->failed; i++) {
        const uint64_t wanted = grid->values[OWN_CLASSES][i];
        if (wanted == 0)
            continue;
        if (wanted != number) {
            heap_classes_unref(classes);
            classes = get_classes(in);
            number = wanted;
        }
        if (classes != NULL)
            rows[i]->heap_classes = heap_classes_ref(classes);
    }
    heap_classes_unref(classes);
}

bool columns_decode(const struct columns *columns, const struct snapshot **out)
{
    struct reader in = {.at = (const unsigned char *)columns->bytes,
                        .end = (const unsigned char *)columns->bytes + columns->length};
    struct snapshot *rows[COLUMNS_SNAPSHOTS_MAX] = {0};
    struct grid *grid = malloc(sizeof(*grid));
    if (grid == NULL)
        return false;
    for (size_t column = 0; column < COLUMN_COUNT; column++)
        get_column(&in, grid->values[column], columns->count);
    for (size_t i = 0; i < columns->count && !in.failed; i++)
        rows[i] = row_of(columns, &in, grid, i);
    if (!in.failed)
        share_tops(columns, &in, grid, rows);
    if (!in.failed)
        share_classes(columns, &in, grid, rows);
    free(grid);
    for (size_t i = 0; i < columns->count; i++) {
        if (in.failed)
            snapshot_discard(rows[i]);
        else
            out[i] = snapshot_seal(rows[i]);
    }
    return !in.failed;
}

/* ---- what is known without unpacking ---- */

size_t columns_count(const struct columns *columns)
{
    return columns->count;
}

size_t columns_bytes(const struct columns *columns)
{
    return sizeof(*columns) + columns->length + columns->pointer_count * sizeof(columns->pointers[0]) +
           columns->table_count * sizeof(columns->tables[0]);
}

uint64_t columns_oldest_monotonic_ns(const struct columns *columns)
{
    return columns->oldest_monotonic_ns;
}

uint64_t columns_oldest_realtime_ns(const struct columns *columns)
{
    return columns->realtime_first_ns;
}

bool columns_overlap(const struct columns *columns, uint64_t since_realtime_ns,
                     uint64_t until_realtime_ns)
{
    return columns->realtime_last_ns >= since_realtime_ns &&
           columns->realtime_first_ns <= until_realtime_ns;
}

struct site_table *const *columns_site_tables(const struct columns *columns, size_t *count)
{
    *count = columns->table_count;
    return columns->tables;
}
