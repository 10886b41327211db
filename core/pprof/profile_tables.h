/* profile_tables.h - the strings, functions and locations of one pprof file while it is written.
 *
 * Used by profile_encoder.c only.  Each table numbers what it is shown, in the order it first
 * sees it, as runtime/pprof's profileBuilder does:
 *   strings    by pointer (the site table interns them), 0 is ""
 *   functions  by name alone: a name seen with a second file keeps its first (main.init, whose
 *              parts come from several files), since that is what the process itself would say
 *   locations  by address and the frames at it
 * Ids start at 1; 0 is "nothing".  Pointers are borrowed from the profile. */
#ifndef GOPROFD_PPROF_PROFILE_TABLES_H
#define GOPROFD_PPROF_PROFILE_TABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct frame;
struct mapping;

/* Numbers pointers: open addressing, keys[i] == NULL is an empty slot. */
struct pointer_index {
    const void **keys;
    uint32_t *ids;
    size_t capacity; /* 0 or a power of two */
    size_t count;
};

struct profile_function {
    const char *name;
    const char *file;
    uint32_t start_line;
};

struct profile_location {
    uint64_t address;           /* return pc */
    const struct frame *const *frames; /* innermost first */
    uint32_t frame_count;
    uint32_t line; /* of the innermost frame, with [function] and [file]: most have no other, and */
    const char *function; /* comparing them here spares a look at another site's memory */
    const char *file;
    size_t mapping; /* index into the mappings, or SIZE_MAX */
    uint32_t id;    /* 0: left out of the file */
};

struct profile_tables {
    struct pointer_index string_index;
    const char **strings; /* [0] is the string with id 1 */
    size_t string_count;
    size_t string_capacity;

    struct pointer_index function_index;
    struct profile_function *functions;
    size_t function_count;
    size_t function_capacity;

    struct profile_location *locations;
    size_t location_count;
    size_t location_capacity;
    uint32_t *location_slots; /* index + 1 into locations; 0 is empty */
    size_t location_slot_count;
    uint32_t location_ids;

    const struct mapping *mappings;
    size_t mapping_count;
    size_t last_mapping; /* most locations lie in the one mapping of the program's text */

    bool failed; /* no memory, sticks; ids handed out since are worthless */
};

void profile_tables_init(struct profile_tables *tables, const struct mapping *mappings,
                         size_t mapping_count);
void profile_tables_release(struct profile_tables *tables);

uint32_t profile_tables_string(struct profile_tables *tables, const char *text);
uint32_t profile_tables_function(struct profile_tables *tables, const struct frame *frame);

/* The location of [frame_count] frames that begin with an innermost one at [frames]; 0 for
 * runtime.goexit, which no profile shows. */
uint32_t profile_tables_location(struct profile_tables *tables, const struct frame *const *frames,
                                 uint32_t frame_count);

#endif
