/* profile_encoder.h - one pprof file while it is written: head, samples, then what they refer to.
 *
 * Shared by profile_writer.c (heap) and stack_writer.c (all others); no one else includes it.
 * Finished bytes leave in chunks, through zlib or straight into the caller's buffer, so that
 * memory holds the compressed file and the tables, not the whole of it.
 *
 * As in Go 1.19 to 1.27: no DropFrames, KeepFrames or duration; Mapping.has_functions if every
 * location in it has function, file and line, the other flags never; a made-up empty mapping
 * when there is none; Location.address is the return pc - 1; Function.start_line where the Go
 * version records it (1.20 and later). */
#ifndef GOPROFD_PPROF_PROFILE_ENCODER_H
#define GOPROFD_PPROF_PROFILE_ENCODER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/pprof/profile_tables.h"

struct frame;
struct gzip_stream;
struct mapping;

/* Field numbers of github.com/google/pprof proto/profile.proto, as far as both writers need them.
 */
enum profile_field {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING_TABLE = 6,
    PROFILE_TIME_NANOS = 9,
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_SAMPLE_TYPE = 14,
};

/* What the file is about; all borrowed. */
struct encoder_input {
    const struct mapping *mappings;
    size_t mapping_count;
    size_t sample_count; /* for messages */
};

struct encoder {
    struct encoder_input input;
    struct profile_tables tables;
    struct buffer *out;
    struct gzip_stream *gzip;  /* NULL: not compressed */
    struct buffer chunk;       /* finished messages on their way out */
    struct buffer message;     /* one message under construction */
    struct buffer nested;      /* a message within it */
    uint64_t *location_ids;    /* of one sample: SITE_FRAMES_MAX */
    unsigned char *symbolized; /* per mapping: enum symbolized */
    size_t written_bytes;      /* before compression */
    size_t length_before;      /* of [out] */
};

/* On failure encoder_end() is still to be called. */
bool encoder_begin(struct encoder *encoder, const struct encoder_input *input, bool compressed,
                   struct buffer *out, struct error *err) GOPROFD_MUST_CHECK;
/* [ok]: everything before went well.  Writes the tables and the end of the file, releases all; on
 * any failure [out] is as long as before: half a profile is of no use to anyone. */
bool encoder_end(struct encoder *encoder, bool ok, struct error *err) GOPROFD_MUST_CHECK;

void encoder_value_type(struct encoder *encoder, enum profile_field field, const char *type,
                        const char *unit);
void encoder_text(struct encoder *encoder, enum profile_field field, const char *text);

/* A sample: begin, labels, end. */
bool encoder_sample_begin(struct encoder *encoder, const struct frame *const *frames,
                          uint32_t frame_count, const uint64_t *values, size_t value_count,
                          struct error *err) GOPROFD_MUST_CHECK;
void encoder_label_number(struct encoder *encoder, const char *key, uint64_t number);
void encoder_label_text(struct encoder *encoder, const char *key, const char *text);
bool encoder_sample_end(struct encoder *encoder, struct error *err) GOPROFD_MUST_CHECK;

#endif
