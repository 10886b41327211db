/* profile_reader.h - a pprof file that somebody else wrote, checked and taken apart.
 *
 *   bytes --gunzip--> message --> strings, functions, mappings, locations, samples
 *
 * Whoever wrote it is not trusted: each count, length, depth and text is bounded, each reference is
 * resolved or refused, so that who walks the result needs no checks.  Read once, then const; any thread.
 *
 *   sample --locations--> location --lines--> function     leaf first; a location has several lines where
 *                            \--> mapping                  calls were inlined, the innermost first */
#ifndef GOPROFD_PPROF_PROFILE_READER_H
#define GOPROFD_PPROF_PROFILE_READER_H

#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

/* Of the message, after decompression; and of what it becomes. */
#define PROFILE_READER_MAX_BYTES ((size_t)128 << 20)
#define PARSED_PROFILE_MAX_BYTES ((size_t)256 << 20)

enum {
    PARSED_VALUES_MAX = 16,           /* sample types */
    PARSED_RECORDS_MAX = 1 << 20,     /* strings, functions, locations or samples */
    PARSED_MAPPINGS_MAX = 1 << 16,
    PARSED_TEXT_MAX_BYTES = 64 << 10, /* of one string */
    PARSED_LABELS_MAX = 256,          /* of one sample */
    PARSED_FRAMES_MAX = 8 << 20,      /* of all samples together, inlined ones too */
};

struct parsed_function {
    const char *name;
    const char *file;
    uint32_t start_line; /* 0: not known */
};

struct parsed_line {
    const struct parsed_function *function;
    uint32_t line;
};

struct parsed_mapping {
    uint64_t start;
    uint64_t limit;
    uint64_t offset;
    const char *file;
    const char *build_id;
};

struct parsed_location {
    uint64_t address;
    const struct parsed_line *lines; /* none where nobody knew the symbols */
    uint32_t line_count;
};

struct parsed_label {
    const char *key;
    const char *text; /* "": a number */
    int64_t number;
};

struct parsed_sample {
    const struct parsed_location *const *locations; /* leaf first */
    uint32_t location_count;
    uint32_t frame_count; /* what its locations come to; one without lines counts as one */
    uint32_t label_count;
    const int64_t *values; /* value_count of the profile */
    const struct parsed_label *labels;
};

struct parsed_type {
    const char *type; /* "inuse_space" */
    const char *unit; /* "bytes" */
};

struct parsed_profile {
    struct arena *arena_; /* all else lives in it */
    size_t value_count;
    const struct parsed_type *types; /* of the values */
    size_t sample_count;
    const struct parsed_sample *samples;
    size_t mapping_count;
    const struct parsed_mapping *mappings;
    size_t function_count;
    const struct parsed_function *functions; /* lines point into this */
    struct parsed_type period_type;
    int64_t period;
    int64_t time_ns; /* by the clock of whoever wrote it; 0: not said */
};

/* Reads [bytes], gzip or not.  The caller owns the result.  NULL with ERROR_CORRUPT (it is no profile, and
 * why), ERROR_LIMIT or ERROR_NO_MEMORY. */
const struct parsed_profile *profile_reader_parse(const void *bytes, size_t length,
                                                  struct error *err);
void profile_reader_free(const struct parsed_profile *profile); /* NULL is allowed */

/* Which value of its samples is called [type], or value_count if none is. */
size_t profile_reader_value(const struct parsed_profile *profile, const char *type);

#endif
