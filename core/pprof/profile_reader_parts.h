/* profile_reader_parts.h - a pprof file while it is read; for profile_reader*.c only.
 *
 *   profile_reader.c          the whole, counts, strings, types
 *   profile_reader_records.c  functions, mappings, locations, samples */
#ifndef GOPROFD_PPROF_PROFILE_READER_PARTS_H
#define GOPROFD_PPROF_PROFILE_READER_PARTS_H

#include "core/pprof/profile_reader.h"

#include "core/pprof/proto_reader.h"

/* Field numbers of github.com/google/pprof proto/profile.proto: message Profile. */
enum reader_field {
    READER_SAMPLE_TYPE = 1,
    READER_SAMPLE = 2,
    READER_MAPPING = 3,
    READER_LOCATION = 4,
    READER_FUNCTION = 5,
    READER_STRING = 6,
    READER_TIME_NANOS = 9,
    READER_PERIOD_TYPE = 11,
    READER_PERIOD = 12,
    READER_FIELDS = 16,
};

/* From the ids that a file gives its records to where these are; Go's are 1, 2, 3 in order. */
struct reader_ids {
    struct reader_id *list; /* sorted by id once reader_ids_sort() has been called */
    size_t count;
};
struct reader_id {
    uint64_t id;
    uint32_t index;
};
bool reader_ids_init(struct reader_ids *ids, size_t capacity, struct error *err) GOPROFD_MUST_CHECK;
void reader_ids_release(struct reader_ids *ids);
/* ERROR_CORRUPT if two are the same. */
bool reader_ids_sort(struct reader_ids *ids, const char *what, struct error *err) GOPROFD_MUST_CHECK;

struct profile_parse {
    const unsigned char *bytes;
    size_t length;
    struct arena *arena;
    size_t counts[READER_FIELDS];    /* messages and texts of each field of the top level */
    uint64_t numbers[READER_FIELDS]; /* its numbers */
    struct parsed_profile *profile;
    const char **strings;
    size_t string_count;
    struct parsed_type *types;
    struct parsed_function *functions;
    struct parsed_mapping *mappings;
    struct parsed_location *locations;
    struct parsed_sample *samples;
    struct reader_ids function_ids;
    struct reader_ids location_ids;
    const struct parsed_location **frames; /* scratch: SITE_FRAMES_MAX */
    size_t frame_count;                    /* of all samples so far */
};

/* Zeroed, in the arena; NULL after setting [err]. */
void *reader_alloc(struct profile_parse *parse, size_t count, size_t bytes_each, struct error *err);
bool reader_no_message(struct error *err); /* false */
bool reader_text(const struct profile_parse *parse, uint64_t index, const char **text,
                 struct error *err) GOPROFD_MUST_CHECK;

bool reader_function(struct profile_parse *parse, const struct proto_field *field,
                     struct error *err) GOPROFD_MUST_CHECK;
bool reader_mapping(struct profile_parse *parse, const struct proto_field *field,
                    struct error *err) GOPROFD_MUST_CHECK;
bool reader_location(struct profile_parse *parse, const struct proto_field *field,
                     struct error *err) GOPROFD_MUST_CHECK;
bool reader_sample(struct profile_parse *parse, const struct proto_field *field,
                   struct error *err) GOPROFD_MUST_CHECK;

#endif
