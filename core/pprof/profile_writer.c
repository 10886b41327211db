/* profile_writer.c - a struct profile as pprof: gzipped profile.proto. */
#include "core/pprof/profile_writer.h"

#include "core/pprof/profile_encoder.h"
#include "core/pprof/proto.h"
#include "core/store/profile.h"

/* Strings of every profile; the site table's own come after them. */
static const char TEXT_SPACE[] = "space";
static const char TEXT_BYTES[] = "bytes";
static const char TEXT_COUNT[] = "count";
static const char TEXT_ALLOC_SPACE[] = "alloc_space";

static const struct sample_type {
    const char *type;
    const char *unit;
} sample_types[] = {
    {"alloc_objects", TEXT_COUNT},
    {TEXT_ALLOC_SPACE, TEXT_BYTES},
    {"inuse_objects", TEXT_COUNT},
    {"inuse_space", TEXT_BYTES},
};
enum { SAMPLE_TYPE_COUNT = sizeof(sample_types) / sizeof(sample_types[0]) };

static void write_head(struct encoder *encoder, const struct profile *profile,
                       enum profile_default_type default_type, const char *const *comments,
                       size_t comment_count)
{
    struct buffer *chunk = &encoder->chunk;

    encoder_value_type(encoder, PROFILE_PERIOD_TYPE, TEXT_SPACE, TEXT_BYTES);
    proto_put_nonzero(chunk, PROFILE_PERIOD, (uint64_t)profile->rate);
    for (size_t i = 0; i < SAMPLE_TYPE_COUNT; i++)
        encoder_value_type(encoder, PROFILE_SAMPLE_TYPE, sample_types[i].type,
                           sample_types[i].unit);
    /* In-use space is what pprof shows without being told; runtime/pprof leaves it unsaid too. */
    if (default_type == PROFILE_DEFAULT_ALLOC_SPACE)
        encoder_text(encoder, PROFILE_DEFAULT_SAMPLE_TYPE, TEXT_ALLOC_SPACE);
    proto_put_nonzero(chunk, PROFILE_TIME_NANOS, profile->taken_realtime_ns);
    for (size_t i = 0; i < comment_count; i++)
        encoder_text(encoder, PROFILE_COMMENT, comments[i]);
}

static bool write_sample(struct encoder *encoder, const struct profile_entry *entry,
                         struct error *err)
{
    const uint64_t values[SAMPLE_TYPE_COUNT] = {
        (uint64_t)entry->alloc_objects, (uint64_t)entry->alloc_bytes,
        (uint64_t)entry->inuse_objects, (uint64_t)entry->inuse_bytes};

    if (!encoder_sample_begin(encoder, entry->site->frames, entry->site->frame_count, values,
                              SAMPLE_TYPE_COUNT, err))
        return error_wrap(err, "site %u", entry->site->id);
    if (entry->block_bytes != 0)
        encoder_label_number(encoder, TEXT_BYTES, (uint64_t)entry->block_bytes);
    return encoder_sample_end(encoder, err);
}

static bool profile_write(const struct profile *profile, enum profile_default_type default_type,
                          const char *const *comments, size_t comment_count, bool compressed,
                          struct buffer *out, struct error *err)
{
    const struct encoder_input input = {.mappings = profile->mappings,
                                        .mapping_count = profile->mapping_count,
                                        .sample_count = profile->entry_count};
    struct encoder encoder;

    bool ok = encoder_begin(&encoder, &input, compressed, out, err);
    if (ok)
        write_head(&encoder, profile, default_type, comments, comment_count);
    for (size_t i = 0; ok && i < profile->entry_count; i++)
        ok = write_sample(&encoder, &profile->entries[i], err);
    return encoder_end(&encoder, ok, err);
}

bool profile_write_gzip(const struct profile *profile, enum profile_default_type default_type,
                        const char *const *comments, size_t comment_count, struct buffer *out,
                        struct error *err)
{
    return profile_write(profile, default_type, comments, comment_count, true, out, err);
}

bool profile_write_proto(const struct profile *profile, enum profile_default_type default_type,
                         const char *const *comments, size_t comment_count, struct buffer *out,
                         struct error *err)
{
    return profile_write(profile, default_type, comments, comment_count, false, out, err);
}
