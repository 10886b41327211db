/* stack_writer.c - a struct stack_profile as gzipped profile.proto. */
#include "core/pprof/stack_writer.h"

#include "core/pprof/profile_encoder.h"
#include "core/pprof/proto.h"
#include "core/store/stack_profile.h"

static const char TEXT_COUNT[] = "count";
static const char TEXT_CONTENTIONS[] = "contentions";

static size_t value_count(const struct stack_profile *profile)
{
    return stack_kind_is_contention(profile->kind) && profile->has_delay ? 2 : 1;
}

static void write_comments(struct encoder *encoder, const struct stack_profile *profile,
                           char running[static 128])
{
    if (profile->partial)
        encoder_text(encoder, PROFILE_COMMENT, profile->partial_reason);
    if (profile->without_stack > 0) {
        (void)snprintf(running, 128,
                       "%llu goroutines were running: counted, but their stacks cannot be read "
                       "from outside",
                       (unsigned long long)profile->without_stack);
        encoder_text(encoder, PROFILE_COMMENT, running);
    }
    if (stack_kind_is_contention(profile->kind) && !profile->has_delay)
        encoder_text(encoder, PROFILE_COMMENT,
                     "no delays: the rate of the CPU's clock is not known");
}

static void write_head(struct encoder *encoder, const struct stack_profile *profile,
                       char running[static 128])
{
    const char *counted =
        stack_kind_is_contention(profile->kind) ? TEXT_CONTENTIONS : stack_kind_name(profile->kind);

    encoder_value_type(encoder, PROFILE_PERIOD_TYPE, counted, TEXT_COUNT);
    proto_put_u64(&encoder->chunk, PROFILE_PERIOD, 1);
    encoder_value_type(encoder, PROFILE_SAMPLE_TYPE, counted, TEXT_COUNT);
    if (value_count(profile) == 2)
        encoder_value_type(encoder, PROFILE_SAMPLE_TYPE, "delay", "nanoseconds");
    proto_put_nonzero(&encoder->chunk, PROFILE_TIME_NANOS, profile->taken_realtime_ns);
    write_comments(encoder, profile, running);
}

static bool write_entry(struct encoder *encoder, const struct stack_profile *profile,
                        const struct stack_entry *entry, struct error *err)
{
    const uint64_t values[STACK_VALUES] = {(uint64_t)entry->values[0], (uint64_t)entry->values[1]};

    if (!encoder_sample_begin(encoder, entry->stack->each, entry->stack->frame_count, values,
                              value_count(profile), err))
        return false;
    for (size_t i = 0; entry->labels != NULL && i < entry->labels->count; i++)
        encoder_label_text(encoder, entry->labels->list[i].key, entry->labels->list[i].value);
    return encoder_sample_end(encoder, err);
}

static bool write_profile(const struct stack_profile *profile, bool compressed, struct buffer *out,
                          struct error *err)
{
    const struct encoder_input input = {.mappings = profile->mappings,
                                        .mapping_count = profile->mapping_count,
                                        .sample_count = profile->entry_count};
    struct encoder encoder;
    char running[128]; /* the string table keeps pointers until the end */

    bool ok = encoder_begin(&encoder, &input, compressed, out, err);
    if (ok)
        write_head(&encoder, profile, running);
    for (size_t i = 0; ok && i < profile->entry_count; i++)
        ok = write_entry(&encoder, profile, &profile->entries[i], err);
    return encoder_end(&encoder, ok, err);
}

bool stack_write_gzip(const struct stack_profile *profile, struct buffer *out, struct error *err)
{
    return write_profile(profile, true, out, err);
}

bool stack_write_proto(const struct stack_profile *profile, struct buffer *out, struct error *err)
{
    return write_profile(profile, false, out, err);
}
