/* site.c - the append-only table of a target's allocation sites.
 *
 *   arena:   strings, frames, sites; nothing in it ever moves
 *   strings: open-addressing set over the arena's strings, so that equal texts are equal pointers
 *
 * Filled by the sampler thread while it reads a target; followed by any thread through a
 * sealed profile. */
#include "core/store/site.h"

#include <stdatomic.h>

#include "core/base/arena.h"
#include "core/store/primitive.h"
#include "core/store/retention.h"
#include "core/store/tag_book.h"

enum {
    CHUNK_BYTES = 64 << 10,
    STRING_SLOTS_FIRST = 256, /* a power of two, as all sizes of the set */
};

struct string_slot {
    const char *text; /* NULL: free */
    uint32_t hash;
    uint32_t length;
};

/* Texts that follow from other texts, by the other's address: many sites ask for the same few.  A later one
 * takes the place of an earlier one. */
enum { TEXTS_KEPT = 32 }; /* a power of two */
struct known_text {
    const char *of; /* never freed before the table; NULL: none */
    const char *text;
};

struct site_table {
    _Atomic uint32_t refs;
    struct arena *arena;
    struct string_slot *strings;
    size_t string_slots;
    size_t string_count;
    _Atomic size_t strings_bytes; /* of the slots; this and the next are written by one thread, counted by any */
    _Atomic uint32_t site_count;
    struct tag_book *tags;
    struct retention_book *retention; /* NULL until somebody reads regularly */
    struct known_text packages[TEXTS_KEPT]; /* by function */
    struct known_text copies[TEXTS_KEPT];   /* of constants */
    uint64_t now_realtime_ns;
    uint64_t window_ns;
};

struct site_table *site_table_new(void)
{
    struct site_table *table = calloc(1, sizeof(*table));
    if (table == NULL)
        return NULL;
    atomic_init(&table->refs, 1);
    table->arena = arena_new(SITE_TABLE_MAX_BYTES, CHUNK_BYTES);
    table->strings = calloc(STRING_SLOTS_FIRST, sizeof(*table->strings));
    table->string_slots = STRING_SLOTS_FIRST;
    atomic_init(&table->strings_bytes, STRING_SLOTS_FIRST * sizeof(*table->strings));
    table->tags = tag_book_new();
    if (table->arena == NULL || table->strings == NULL || table->tags == NULL) {
        site_table_unref(table);
        return NULL;
    }
    return table;
}

struct site_table *site_table_ref(struct site_table *table)
{
    atomic_fetch_add_explicit(&table->refs, 1, memory_order_relaxed);
    return table;
}

void site_table_unref(struct site_table *table)
{
    if (table == NULL || atomic_fetch_sub_explicit(&table->refs, 1, memory_order_acq_rel) != 1)
        return;
    tag_book_free(table->tags);
    retention_book_free(table->retention);
    free(table->strings);
    arena_free(table->arena);
    free(table);
}

void site_table_use_tagger(struct site_table *table, const struct site_tagger *tagger)
{
    tag_book_use(table->tags, tagger);
}

void site_table_begin_read(struct site_table *table, uint64_t realtime_ns, uint64_t window_ns)
{
    tag_book_rest(table->tags);
    table->now_realtime_ns = realtime_ns;
    table->window_ns = window_ns;
}

const struct retention_history *site_table_history(struct site_table *table,
                                                   const struct profile *profile)
{
    if (table->window_ns == 0)
        return NULL;
    if (table->retention == NULL)
        table->retention = retention_book_new();
    return table->retention == NULL
               ? NULL
               : retention_book_add(table->retention, profile, table->window_ns);
}

/* ---- strings ---- */

/* FNV-1a, 32 bits.  The target chooses the texts and could make them collide; the table's cap
 * bounds how many there are, and the probe length below how long one look-up takes. */
static uint32_t hash_text(const char *text, size_t length)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < length; i++) {
        hash ^= (unsigned char)text[i];
        hash *= UINT32_C(16777619);
    }
    return hash;
}

/* Doubles the set.  False if memory is short or the table's cap is reached. */
static bool grow_strings(struct site_table *table)
{
    const size_t slots = table->string_slots * 2;
    if (slots * sizeof(struct string_slot) > SITE_TABLE_MAX_BYTES / 4)
        return false;
    struct string_slot *fresh = calloc(slots, sizeof(*fresh));
    if (fresh == NULL)
        return false;
    for (size_t i = 0; i < table->string_slots; i++) {
        if (table->strings[i].text == NULL)
            continue;
        size_t at = table->strings[i].hash & (slots - 1);
        while (fresh[at].text != NULL)
            at = (at + 1) & (slots - 1);
        fresh[at] = table->strings[i];
    }
    free(table->strings);
    table->strings = fresh;
    table->string_slots = slots;
    atomic_store_explicit(&table->strings_bytes, slots * sizeof(*fresh), memory_order_relaxed);
    return true;
}

const char *site_table_string(struct site_table *table, const char *text, size_t length)
{
    if (length >= UINT32_MAX)
        return NULL;
    if ((table->string_count + 1) * 4 > table->string_slots * 3 && !grow_strings(table))
        return NULL;
    const uint32_t hash = hash_text(text, length);
    size_t at = hash & (table->string_slots - 1);
    for (; table->strings[at].text != NULL; at = (at + 1) & (table->string_slots - 1)) {
        const struct string_slot *slot = &table->strings[at];
        if (slot->hash == hash && slot->length == length && memcmp(slot->text, text, length) == 0)
            return slot->text;
    }
    const char *copy = arena_copy_string(table->arena, text, length);
    if (copy == NULL)
        return NULL;
    table->strings[at] = (struct string_slot){copy, hash, (uint32_t)length};
    table->string_count++;
    return copy;
}

static const char *intern(struct site_table *table, const char *text)
{
    return site_table_string(table, text, strlen(text));
}

static struct known_text *known_text_of(struct known_text known[TEXTS_KEPT], const char *of)
{
    const uint64_t mixed = (uint64_t)(uintptr_t)of * UINT64_C(0x9E3779B97F4A7C15);
    return &known[(mixed >> 40) % TEXTS_KEPT];
}

/* The package of [function], a string of the table. */
static const char *package_of(struct site_table *table, const char *function)
{
    struct known_text *known = known_text_of(table->packages, function);
    if (known->of != function) {
        const char *text = site_table_string(table, function, go_package_length(function));
        if (text == NULL)
            return NULL;
        *known = (struct known_text){function, text};
    }
    return known->text;
}

/* The copy of a [text] that is a constant or a string of the table. */
static const char *intern_lasting(struct site_table *table, const char *text)
{
    struct known_text *known = known_text_of(table->copies, text);
    if (known->of != text) {
        const char *copy = intern(table, text);
        if (copy == NULL)
            return NULL;
        *known = (struct known_text){text, copy};
    }
    return known->text;
}

/* ---- sites ---- */

static bool set_full(struct error *err)
{
    return error_set(err, ERROR_LIMIT,
                     "site table is full (%zu MiB): no new allocation site of this process can be "
                     "kept until it restarts",
                     SITE_TABLE_MAX_BYTES >> 20);
}

/* Innermost frame of code that a reader can change; without one, the innermost visible. */
static const struct frame *find_blame(const struct frame *const *frames, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if ((frames[i]->role.traits & FRAME_IS_STANDARD) == 0 && frames[i]->function[0] != '\0')
            return frames[i];
    }
    return frames[0];
}

/* Everything that the frames imply.  False if the table is full. */
static bool derive(struct site_table *table, struct site *site, const struct site_facts *facts)
{
    const struct primitive primitive =
        primitive_of_stack(site->runtime_frames, facts->frame_count);
    site->blame = find_blame(site->frames, site->frame_count);
    site->tag = tag_book_tag(table->tags, table, site->frames, site->frame_count);
    site->first_seen_realtime_ns = table->now_realtime_ns;
    site->package = package_of(table, site->blame->function);
    site->primitive = intern_lasting(table, primitive.name);
    site->type_name = facts->type_name == NULL ? intern_lasting(table, primitive.type_name)
                      : facts->kept != NULL    ? facts->type_name
                                               : intern(table, facts->type_name);
    return site->tag != NULL && site->package != NULL && site->primitive != NULL &&
           site->type_name != NULL;
}

const struct frame *site_table_frame(struct site_table *table, const struct frame *frame)
{
    struct frame *copy = arena_alloc(table->arena, sizeof(*copy));
    if (copy == NULL)
        return NULL;
    *copy = *frame;
    copy->role = tag_book_role(table->tags, frame);
    return copy;
}

/* The frames of a site, all of them, hidden ones first; NULL if the table is full. */
static const struct frame *const *keep_frames(struct site_table *table,
                                              const struct site_facts *facts)
{
    const struct frame **kept =
        arena_alloc_array(table->arena, facts->frame_count, sizeof(*kept));
    if (kept == NULL)
        return NULL;
    if (facts->kept != NULL) {
        memcpy(kept, facts->kept, facts->frame_count * sizeof(*kept));
        return kept;
    }
    for (size_t i = 0; i < facts->frame_count; i++)
        if ((kept[i] = site_table_frame(table, &facts->frames[i])) == NULL)
            return NULL;
    return kept;
}

/* One thread adds: a load and a store do, where an increment would lock the bus. */
static uint32_t next_id(struct site_table *table)
{
    const uint32_t id = atomic_load_explicit(&table->site_count, memory_order_relaxed) + 1;
    atomic_store_explicit(&table->site_count, id, memory_order_relaxed);
    return id;
}

const struct site *site_table_add(struct site_table *table, const struct site_facts *facts,
                                  struct error *err)
{
    const size_t frame_count = facts->frame_count;
    /* as pprof: if nothing would remain, all is shown */
    const size_t hidden_count = facts->hidden_count < frame_count ? facts->hidden_count : 0;

    if (frame_count == 0) {
        error_set(err, ERROR_CORRUPT, "an allocation site without a frame");
        return NULL;
    }
    if (frame_count > SITE_FRAMES_MAX) {
        error_set(err, ERROR_LIMIT, "a stack of %zu frames; at most %d are kept", frame_count,
                  SITE_FRAMES_MAX);
        return NULL;
    }

    const struct frame *const *frames = keep_frames(table, facts);
    struct site *site = arena_alloc(table->arena, sizeof(*site));
    if (frames == NULL || site == NULL || site_table_count(table) == UINT32_MAX) {
        set_full(err);
        return NULL;
    }
    site->runtime_frames = frames;
    site->runtime_frame_count = (uint32_t)hidden_count;
    site->frames = frames + hidden_count;
    site->frame_count = (uint32_t)(frame_count - hidden_count);
    site->object_bytes = facts->object_bytes;
    if (!derive(table, site, facts)) {
        set_full(err);
        return NULL;
    }
    site->id = next_id(table);
    return site;
}

/* Copies the frames of [past] into [frames]; false if the table is full. */
static bool copy_frames(struct site_table *table, struct site *site, const struct frame **frames,
                        const struct site *past)
{
    site->blame = NULL;
    for (size_t i = 0; i < past->frame_count; i++) {
        struct frame frame = *past->frames[i];
        frame.function = intern(table, frame.function);
        frame.file = intern(table, frame.file);
        if (frame.function == NULL || frame.file == NULL ||
            (frames[i] = site_table_frame(table, &frame)) == NULL)
            return false;
        if (site->blame == NULL && past->frames[i] == past->blame)
            site->blame = frames[i];
    }
    site->frames = frames;
    return true;
}

const struct site *site_table_add_past(struct site_table *table, const struct site *past,
                                       struct error *err)
{
    const struct frame **frames =
        arena_alloc_array(table->arena, past->frame_count, sizeof(*frames));
    struct site *site = arena_alloc(table->arena, sizeof(*site));
    if (frames == NULL || site == NULL || site_table_count(table) == UINT32_MAX) {
        set_full(err);
        return NULL;
    }
    *site = *past;
    site->runtime_frames = NULL;
    site->runtime_frame_count = 0;
    if (!copy_frames(table, site, frames, past)) {
        set_full(err);
        return NULL;
    }
    site->primitive = intern(table, past->primitive);
    site->type_name = intern(table, past->type_name);
    site->tag = intern(table, past->tag);
    site->package = intern(table, past->package);
    if (site->primitive == NULL || site->type_name == NULL || site->tag == NULL ||
        site->package == NULL) {
        set_full(err);
        return NULL;
    }
    site->id = next_id(table);
    return site;
}

const struct mapping *site_table_copy_mappings(struct site_table *table,
                                               const struct mapping *mappings, size_t count,
                                               struct error *err)
{
    struct mapping *copy = arena_alloc_array(table->arena, count, sizeof(*copy));
    if (copy == NULL) {
        set_full(err);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        copy[i] = mappings[i];
        copy[i].file = intern(table, mappings[i].file != NULL ? mappings[i].file : "");
        copy[i].build_id = intern(table, mappings[i].build_id != NULL ? mappings[i].build_id : "");
        if (copy[i].file == NULL || copy[i].build_id == NULL) {
            set_full(err);
            return NULL;
        }
    }
    return copy;
}

size_t site_table_count(const struct site_table *table)
{
    return atomic_load_explicit(&table->site_count, memory_order_relaxed);
}

size_t site_table_bytes(const struct site_table *table)
{
    return arena_used_bytes(table->arena) + atomic_load_explicit(&table->strings_bytes, memory_order_relaxed);
}
