/* profile_tables.c - the strings, functions and locations of one pprof file. */
#include "core/pprof/profile_tables.h"

#include "core/store/site.h"

enum { TABLE_FIRST_CAPACITY = 1024 };

void profile_tables_init(struct profile_tables *tables, const struct mapping *mappings,
                         size_t mapping_count)
{
    *tables = (struct profile_tables){.mappings = mappings, .mapping_count = mapping_count};
}

void profile_tables_release(struct profile_tables *tables)
{
    free(tables->string_index.keys);
    free(tables->string_index.ids);
    free(tables->strings);
    free(tables->function_index.keys);
    free(tables->function_index.ids);
    free(tables->functions);
    free(tables->locations);
    free(tables->location_slots);
    profile_tables_init(tables, NULL, 0);
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

/* [array] with room for one more than [count]: itself, or moved.  NULL without memory, and then
 * [array] is still good. */
static void *roomy(void *array, size_t bytes_each, size_t count, size_t *capacity)
{
    if (count < *capacity)
        return array;
    const size_t wanted = *capacity == 0 ? TABLE_FIRST_CAPACITY : *capacity * 2;
    if (wanted >= UINT32_MAX)
        return NULL;
    void *moved = realloc(array, wanted * bytes_each); /* both far from overflow */
    if (moved != NULL)
        *capacity = wanted;
    return moved;
}

/* ---- pointers ---- */

static size_t pointer_slot(const struct pointer_index *index, const void *key)
{
    size_t at = (size_t)mix(0, (uint64_t)(uintptr_t)key) & (index->capacity - 1);
    while (index->keys[at] != NULL && index->keys[at] != key)
        at = (at + 1) & (index->capacity - 1);
    return at;
}

static bool pointer_index_grow(struct pointer_index *index)
{
    struct pointer_index wider = {.capacity = index->capacity == 0 ? 2 * TABLE_FIRST_CAPACITY
                                                                   : index->capacity * 2,
                                  .count = index->count};
    wider.keys = calloc(wider.capacity, sizeof(*wider.keys));
    wider.ids = calloc(wider.capacity, sizeof(*wider.ids));
    if (wider.keys == NULL || wider.ids == NULL) {
        free(wider.keys);
        free(wider.ids);
        return false;
    }
    for (size_t i = 0; i < index->capacity; i++) {
        if (index->keys[i] == NULL)
            continue;
        const size_t at = pointer_slot(&wider, index->keys[i]);
        wider.keys[at] = index->keys[i];
        wider.ids[at] = index->ids[i];
    }
    free(index->keys);
    free(index->ids);
    *index = wider;
    return true;
}

/* The id kept for [key]: 0 when it is new, and the caller is to fill it in.  NULL: no memory. */
static uint32_t *pointer_id(struct pointer_index *index, const void *key)
{
    if (index->count >= index->capacity / 2 && !pointer_index_grow(index))
        return NULL;
    const size_t at = pointer_slot(index, key);
    if (index->keys[at] == NULL) {
        index->keys[at] = key;
        index->count++;
    }
    return &index->ids[at];
}

/* ---- strings and functions ---- */

uint32_t profile_tables_string(struct profile_tables *tables, const char *text)
{
    if (text == NULL || text[0] == '\0' || tables->failed)
        return 0;
    uint32_t *id = pointer_id(&tables->string_index, text);
    const char **strings =
        roomy(tables->strings, sizeof(*strings), tables->string_count, &tables->string_capacity);
    if (strings != NULL)
        tables->strings = strings;
    if (id == NULL || strings == NULL) {
        tables->failed = true;
        return 0;
    }
    if (*id == 0) {
        strings[tables->string_count++] = text;
        *id = (uint32_t)tables->string_count;
    }
    return *id;
}

uint32_t profile_tables_function(struct profile_tables *tables, const struct frame *frame)
{
    if (tables->failed)
        return 0;
    uint32_t *id = pointer_id(&tables->function_index, frame->function);
    struct profile_function *functions = roomy(tables->functions, sizeof(*functions),
                                               tables->function_count, &tables->function_capacity);
    if (functions != NULL)
        tables->functions = functions;
    if (id == NULL || functions == NULL) {
        tables->failed = true;
        return 0;
    }
    if (*id == 0) {
        functions[tables->function_count++] = (struct profile_function){
            .name = frame->function, .file = frame->file, .start_line = frame->start_line};
        *id = (uint32_t)tables->function_count;
    }
    return *id;
}

/* ---- locations ---- */

static size_t find_mapping(struct profile_tables *tables, uint64_t address)
{
    const struct mapping *mappings = tables->mappings;
    if (tables->last_mapping < tables->mapping_count &&
        mappings[tables->last_mapping].start <= address &&
        address < mappings[tables->last_mapping].limit)
        return tables->last_mapping;
    for (size_t i = 0; i < tables->mapping_count; i++) {
        if (mappings[i].start <= address && address < mappings[i].limit) {
            tables->last_mapping = i;
            return i;
        }
    }
    return SIZE_MAX;
}

/* The address all but decides; the innermost frame is there for a target that lies about it. */
static size_t location_hash(const struct frame *innermost)
{
    const uint64_t hash = mix(innermost->address, (uint64_t)(uintptr_t)innermost->function);
    return (size_t)mix(hash, innermost->line);
}

static bool location_is(const struct profile_location *known, const struct frame *const *frames,
                        uint32_t frame_count)
{
    if (known->address != frames[0]->address || known->frame_count != frame_count ||
        known->line != frames[0]->line || known->function != frames[0]->function ||
        known->file != frames[0]->file)
        return false;
    for (uint32_t i = 1; i < frame_count; i++) {
        const struct frame *a = known->frames[i];
        const struct frame *b = frames[i];
        if (a->line != b->line || a->function != b->function || a->file != b->file)
            return false;
    }
    return true;
}

static size_t location_slot(const struct profile_tables *tables, const struct frame *const *frames,
                            uint32_t frame_count)
{
    const size_t mask = tables->location_slot_count - 1;
    size_t at = location_hash(frames[0]) & mask;
    while (tables->location_slots[at] != 0 &&
           !location_is(&tables->locations[tables->location_slots[at] - 1], frames, frame_count))
        at = (at + 1) & mask;
    return at;
}

static bool location_slots_grow(struct profile_tables *tables)
{
    const size_t wanted = tables->location_slot_count == 0 ? 2 * TABLE_FIRST_CAPACITY
                                                           : tables->location_slot_count * 2;
    uint32_t *slots = calloc(wanted, sizeof(*slots));
    if (slots == NULL)
        return false;
    free(tables->location_slots);
    tables->location_slots = slots;
    tables->location_slot_count = wanted;
    for (size_t i = 0; i < tables->location_count; i++) {
        const struct profile_location *location = &tables->locations[i];
        slots[location_slot(tables, location->frames, location->frame_count)] = (uint32_t)i + 1;
    }
    return true;
}

uint32_t profile_tables_location(struct profile_tables *tables, const struct frame *const *frames,
                                 uint32_t frame_count)
{
    if (tables->failed)
        return 0;
    const bool hashed =
        tables->location_count < tables->location_slot_count / 2 || location_slots_grow(tables);
    struct profile_location *locations = roomy(tables->locations, sizeof(*locations),
                                               tables->location_count, &tables->location_capacity);
    if (locations != NULL)
        tables->locations = locations;
    if (!hashed || locations == NULL) {
        tables->failed = true;
        return 0;
    }
    const size_t at = location_slot(tables, frames, frame_count);
    if (tables->location_slots[at] != 0)
        return tables->locations[tables->location_slots[at] - 1].id;

    struct profile_location *location = &tables->locations[tables->location_count++];
    tables->location_slots[at] = (uint32_t)tables->location_count;
    const bool shown = strcmp(frames[0]->function, "runtime.goexit") != 0;
    *location = (struct profile_location){.address = frames[0]->address,
                                          .frames = frames,
                                          .frame_count = frame_count,
                                          .line = frames[0]->line,
                                          .function = frames[0]->function,
                                          .file = frames[0]->file,
                                          .mapping = find_mapping(tables, frames[0]->address),
                                          .id = shown ? ++tables->location_ids : 0};
    return location->id;
}
