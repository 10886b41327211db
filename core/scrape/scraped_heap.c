/* scraped_heap.c - heap profiles that a program wrote of itself, as the ones goprofd reads.
 *
 * A site is known again by its frames and object size.  Texts of one site table are equal exactly if their
 * pointers are, so each function is looked up once per profile and stacks compare without touching a text. */
#include "core/scrape/scraped_heap.h"

#include <stdlib.h>
#include <string.h>

#include "core/pprof/profile_reader.h"
#include "core/store/profile.h"
#include "core/store/site.h"

enum {
    SLOTS_FIRST = 1024, /* a power of two, as all sizes of the set */
    PROBES_MAX = 256,   /* whoever makes that many stacks collide does it on purpose */
};

struct known {
    uint64_t hash;
    const struct site *site; /* NULL: free */
};

/* Texts of a function, in the site table. */
struct kept_function {
    const char *name; /* NULL: not looked up yet */
    const char *file;
};

struct scraped_heap {
    struct site_table *sites;
    struct known *known;
    size_t slot_count;
    size_t known_count;
    const struct mapping *mappings; /* in [sites], of the last profile */
    size_t mapping_count;
    struct frame *frames; /* scratch: SITE_FRAMES_MAX */
};

struct scraped_heap *scraped_heap_new(const struct site_tagger *tagger)
{
    struct scraped_heap *heap = calloc(1, sizeof(*heap));
    if (heap == NULL)
        return NULL;
    heap->sites = site_table_new();
    heap->known = calloc(SLOTS_FIRST, sizeof(*heap->known));
    heap->slot_count = SLOTS_FIRST;
    heap->frames = calloc(SITE_FRAMES_MAX, sizeof(*heap->frames));
    if (heap->sites == NULL || heap->known == NULL || heap->frames == NULL) {
        scraped_heap_free(heap);
        return NULL;
    }
    site_table_use_tagger(heap->sites, tagger);
    return heap;
}

void scraped_heap_free(struct scraped_heap *heap)
{
    if (heap == NULL)
        return;
    site_table_unref(heap->sites);
    free(heap->known);
    free(heap->frames);
    free(heap);
}

/* ---- sites ---- */

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

static uint64_t hash_of(const struct frame *frames, size_t count, uint64_t object_bytes)
{
    uint64_t hash = mix(count, object_bytes);
    for (size_t i = 0; i < count; i++) {
        hash = mix(hash, frames[i].address);
        hash = mix(hash, (uint64_t)(uintptr_t)frames[i].function);
        hash = mix(hash, frames[i].line);
    }
    return hash;
}

static bool is_site(const struct site *site, const struct frame *frames, size_t count,
                    uint64_t object_bytes)
{
    if (site->frame_count != count || site->object_bytes != object_bytes)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct frame *known = site->frames[i];
        if (known->address != frames[i].address || known->function != frames[i].function ||
            known->file != frames[i].file || known->line != frames[i].line ||
            known->start_line != frames[i].start_line ||
            known->starts_location != frames[i].starts_location)
            return false;
    }
    return true;
}

static bool grow(struct scraped_heap *heap)
{
    const size_t slots = heap->slot_count * 2;
    struct known *fresh = calloc(slots, sizeof(*fresh));
    if (fresh == NULL)
        return false;
    for (size_t i = 0; i < heap->slot_count; i++) {
        if (heap->known[i].site == NULL)
            continue;
        size_t at = (size_t)heap->known[i].hash & (slots - 1);
        while (fresh[at].site != NULL)
            at = (at + 1) & (slots - 1);
        fresh[at] = heap->known[i];
    }
    free(heap->known);
    heap->known = fresh;
    heap->slot_count = slots;
    return true;
}

/* The site of the stack in heap->frames, added if it is new; NULL if there is no room for it. */
static const struct site *find_site(struct scraped_heap *heap, size_t frame_count,
                                    uint64_t object_bytes)
{
    const struct frame *frames = heap->frames;
    struct error err;
    if (heap->known_count * 2 >= heap->slot_count && !grow(heap))
        return NULL;
    const uint64_t hash = hash_of(frames, frame_count, object_bytes);
    size_t at = (size_t)hash & (heap->slot_count - 1);
    for (unsigned probes = 0; heap->known[at].site != NULL;
         at = (at + 1) & (heap->slot_count - 1)) {
        if (heap->known[at].hash == hash &&
            is_site(heap->known[at].site, frames, frame_count, object_bytes))
            return heap->known[at].site;
        if (++probes == PROBES_MAX)
            return NULL;
    }
    const struct site_facts facts = {
        .frames = frames, .frame_count = frame_count, .object_bytes = object_bytes};
    const struct site *site = site_table_add(heap->sites, &facts, &err);
    if (site == NULL)
        return NULL;
    heap->known[at] = (struct known){.hash = hash, .site = site};
    heap->known_count++;
    return site;
}

/* ---- stacks ---- */

/* One profile while it is made. */
struct making {
    struct scraped_heap *heap;
    const struct parsed_profile *parsed;
    struct kept_function *functions; /* of parsed->functions */
    const char *nothing;             /* "" in the site table */
    size_t values[4];                /* where alloc objects, bytes, in-use objects, bytes are */
};

static bool keep_function(const struct making *making, const struct parsed_function *function,
                          struct frame *frame)
{
    struct kept_function *kept = &making->functions[function - making->parsed->functions];
    struct site_table *sites = making->heap->sites;
    if (kept->name == NULL) {
        kept->file = site_table_string(sites, function->file, strlen(function->file));
        if (kept->file != NULL)
            kept->name = site_table_string(sites, function->name, strlen(function->name));
    }
    frame->function = kept->name;
    frame->file = kept->file;
    frame->start_line = function->start_line;
    return kept->name != NULL;
}

/* Fills heap->frames; false if the site table is full. */
static bool fill_frames(const struct making *making, const struct parsed_sample *sample)
{
    struct frame *frame = making->heap->frames;
    for (uint32_t i = 0; i < sample->location_count; i++) {
        const struct parsed_location *location = sample->locations[i];
        uint32_t line = 0;
        do {
            /* A location's address is the return pc - 1; a frame keeps the pc itself. */
            *frame = (struct frame){.function = making->nothing,
                                    .file = making->nothing,
                                    .address = location->address + 1,
                                    .starts_location = line == 0};
            if (location->line_count > 0) {
                frame->line = location->lines[line].line;
                if (!keep_function(making, location->lines[line].function, frame))
                    return false;
            }
            frame++;
        } while (++line < location->line_count);
    }
    return true;
}

/* pprof's label "bytes"; 0 if there is none. */
static int64_t block_bytes_of(const struct parsed_sample *sample)
{
    for (uint32_t i = 0; i < sample->label_count; i++) {
        if (sample->labels[i].text[0] == '\0' && strcmp(sample->labels[i].key, "bytes") == 0)
            return sample->labels[i].number;
    }
    return 0;
}

static int64_t object_bytes_of(const struct profile_entry *entry)
{
    if (entry->block_bytes > 0)
        return entry->block_bytes;
    if (entry->alloc_objects > 0)
        return entry->alloc_bytes / entry->alloc_objects;
    return entry->inuse_objects > 0 ? entry->inuse_bytes / entry->inuse_objects : 0;
}

/* False if there is no room for its site, or it has no stack. */
static bool fill_entry(const struct making *making, const struct parsed_sample *sample,
                       struct profile_entry *entry)
{
    *entry = (struct profile_entry){.alloc_objects = sample->values[making->values[0]],
                                    .alloc_bytes = sample->values[making->values[1]],
                                    .inuse_objects = sample->values[making->values[2]],
                                    .inuse_bytes = sample->values[making->values[3]],
                                    .block_bytes = block_bytes_of(sample)};
    if (sample->frame_count == 0 || !fill_frames(making, sample))
        return false;
    const int64_t object_bytes = object_bytes_of(entry);
    entry->site = find_site(making->heap, sample->frame_count,
                            object_bytes > 0 ? (uint64_t)object_bytes : 0);
    return entry->site != NULL;
}

/* ---- the whole ---- */

static bool find_values(struct making *making, struct error *err)
{
    static const struct parsed_type wanted[4] = {{"alloc_objects", "count"},
                                                 {"alloc_space", "bytes"},
                                                 {"inuse_objects", "count"},
                                                 {"inuse_space", "bytes"}};
    const struct parsed_profile *parsed = making->parsed;
    for (size_t i = 0; i < 4; i++) {
        making->values[i] = profile_reader_value(parsed, wanted[i].type);
        if (making->values[i] == parsed->value_count ||
            strcmp(parsed->types[making->values[i]].unit, wanted[i].unit) != 0)
            return error_set(err, ERROR_CORRUPT,
                             "a profile, but no Go heap profile: its samples have no %s in %s",
                             wanted[i].type, wanted[i].unit);
    }
    return true;
}

static bool same_mappings(const struct scraped_heap *heap, const struct parsed_profile *parsed)
{
    if (heap->mapping_count != parsed->mapping_count)
        return false;
    for (size_t i = 0; i < heap->mapping_count; i++) {
        const struct mapping *known = &heap->mappings[i];
        const struct parsed_mapping *told = &parsed->mappings[i];
        if (known->start != told->start || known->limit != told->limit ||
            known->offset != told->offset || strcmp(known->file, told->file) != 0 ||
            strcmp(known->build_id, told->build_id) != 0)
            return false;
    }
    return true;
}

/* Copies the mappings if they are not those of last time.  Without room there are none: addresses then
 * belong to no file, which is true as far as it goes. */
static void keep_mappings(struct scraped_heap *heap, const struct parsed_profile *parsed)
{
    if (same_mappings(heap, parsed))
        return;
    struct error err;
    struct mapping *list = calloc(parsed->mapping_count + 1, sizeof(*list));
    heap->mappings = NULL;
    heap->mapping_count = 0;
    if (list == NULL)
        return;
    for (size_t i = 0; i < parsed->mapping_count; i++) {
        const struct parsed_mapping *told = &parsed->mappings[i];
        list[i] = (struct mapping){.start = told->start,
                                   .limit = told->limit,
                                   .offset = told->offset,
                                   .file = told->file,
                                   .build_id = told->build_id};
    }
    heap->mappings = site_table_copy_mappings(heap->sites, list, parsed->mapping_count, &err);
    if (heap->mappings != NULL)
        heap->mapping_count = parsed->mapping_count;
    free(list);
}

static void fill_profile(const struct making *making, struct profile *profile)
{
    const struct parsed_profile *parsed = making->parsed;
    for (size_t i = 0; i < parsed->sample_count; i++) {
        if (fill_entry(making, &parsed->samples[i], &profile->entries[profile->entry_count])) {
            profile->entry_count++;
        } else {
            profile->partial = true;
            profile->partial_reason = "some samples have no stack, or no room for one more site";
        }
    }
    keep_mappings(making->heap, parsed);
    profile->mappings = making->heap->mappings;
    profile->mapping_count = making->heap->mapping_count;
    profile->scaled = true;
    profile->rate = parsed->period > 0 ? parsed->period : 0;
}

const struct profile *scraped_heap_read(struct scraped_heap *heap,
                                        const struct parsed_profile *parsed, uint64_t realtime_ns,
                                        uint64_t window_ns, struct error *err)
{
    struct making making = {.heap = heap, .parsed = parsed};
    if (!find_values(&making, err))
        return NULL;
    site_table_begin_read(heap->sites, realtime_ns, window_ns);
    making.nothing = site_table_string(heap->sites, "", 0);
    making.functions = calloc(parsed->function_count + 1, sizeof(*making.functions));
    struct profile *profile = profile_begin(heap->sites, parsed->sample_count + 1);
    if (making.nothing == NULL || making.functions == NULL || profile == NULL) {
        profile_discard(profile);
        free(making.functions);
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a profile of %zu samples",
                        parsed->sample_count);
        return NULL;
    }
    profile->taken_realtime_ns = realtime_ns;
    fill_profile(&making, profile);
    free(making.functions);
    return profile_seal(profile);
}
