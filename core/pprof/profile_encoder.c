/* profile_encoder.c - messages and tables of a pprof file.
 *
 * One pass over the samples writes them and numbers what they refer to; then come locations,
 * functions, mappings and strings.  (runtime/pprof interleaves them; readers take any order.) */
#include "core/pprof/profile_encoder.h"

#include "core/pprof/gzip_stream.h"
#include "core/pprof/profile_writer.h"
#include "core/pprof/proto.h"
#include "core/store/site.h"

enum value_type_field { VALUE_TYPE_TYPE = 1, VALUE_TYPE_UNIT = 2 };
enum sample_field { SAMPLE_LOCATION_ID = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum label_field { LABEL_KEY = 1, LABEL_STR = 2, LABEL_NUM = 3 };
enum mapping_field {
    MAPPING_ID = 1,
    MAPPING_START = 2,
    MAPPING_LIMIT = 3,
    MAPPING_OFFSET = 4,
    MAPPING_FILENAME = 5,
    MAPPING_BUILD_ID = 6,
    MAPPING_HAS_FUNCTIONS = 7,
};
enum location_field {
    LOCATION_ID = 1,
    LOCATION_MAPPING_ID = 2,
    LOCATION_ADDRESS = 3,
    LOCATION_LINE = 4
};
enum line_field { LINE_FUNCTION_ID = 1, LINE_LINE = 2 };
enum function_field {
    FUNCTION_ID = 1,
    FUNCTION_NAME = 2,
    FUNCTION_SYSTEM_NAME = 3,
    FUNCTION_FILENAME = 4,
    FUNCTION_START_LINE = 5,
};

enum { CHUNK_BYTES = 64 << 10 };

/* What became of a mapping's symbols; runtime/pprof's symbolizeFlag. */
enum symbolized { SYMBOLS_TRIED = 1, SYMBOLS_MISSING = 2 };

static void encoder_release(struct encoder *encoder)
{
    free(encoder->symbolized);
    free(encoder->location_ids);
    buffer_release(&encoder->nested);
    buffer_release(&encoder->message);
    buffer_release(&encoder->chunk);
    gzip_stream_free(encoder->gzip);
    profile_tables_release(&encoder->tables);
}

bool encoder_begin(struct encoder *encoder, const struct encoder_input *input, bool compressed,
                   struct buffer *out, struct error *err)
{
    *encoder = (struct encoder){.input = *input, .out = out, .length_before = out->length};
    profile_tables_init(&encoder->tables, input->mappings, input->mapping_count);
    buffer_init(&encoder->chunk, PROFILE_WRITER_MAX_BYTES);
    buffer_init(&encoder->message, PROFILE_WRITER_MAX_BYTES);
    buffer_init(&encoder->nested, PROFILE_WRITER_MAX_BYTES);
    encoder->location_ids = calloc(SITE_FRAMES_MAX, sizeof(*encoder->location_ids));
    encoder->symbolized = calloc(input->mapping_count + 1, 1);
    if (encoder->location_ids == NULL || encoder->symbolized == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to write a profile");
    if (compressed) {
        encoder->gzip = gzip_stream_new(out, err);
        if (encoder->gzip == NULL)
            return false;
    }
    return true;
}

/* Sends the chunk on its way once it is large enough to be worth it, or [all] of it. */
static bool flush(struct encoder *encoder, bool all, struct error *err)
{
    struct buffer *chunk = &encoder->chunk;
    if (chunk->failed || encoder->tables.failed)
        return error_set(err, ERROR_NO_MEMORY, "no memory to write a profile of %zu samples",
                         encoder->input.sample_count);
    if (!all && chunk->length < CHUNK_BYTES)
        return true;
    if (chunk->length > PROFILE_WRITER_MAX_BYTES - encoder->written_bytes)
        return error_set(err, ERROR_LIMIT, "profile of %zu samples is larger than %d bytes",
                         encoder->input.sample_count, PROFILE_WRITER_MAX_BYTES);
    encoder->written_bytes += chunk->length;
    if (encoder->gzip != NULL) {
        if (!gzip_stream_write(encoder->gzip, chunk->data, chunk->length, err))
            return false;
    } else {
        buffer_append(encoder->out, chunk->data, chunk->length);
        if (encoder->out->failed)
            return error_set(err, ERROR_LIMIT, "profile does not fit into %zu bytes, or no memory",
                             encoder->out->max_bytes);
    }
    buffer_clear(chunk);
    return true;
}

static void put_text_index(struct encoder *encoder, struct buffer *message, uint32_t field,
                           const char *text)
{
    proto_put_nonzero(message, field, profile_tables_string(&encoder->tables, text));
}

/* Head. */

void encoder_value_type(struct encoder *encoder, enum profile_field field, const char *type,
                        const char *unit)
{
    buffer_clear(&encoder->message);
    put_text_index(encoder, &encoder->message, VALUE_TYPE_TYPE, type);
    put_text_index(encoder, &encoder->message, VALUE_TYPE_UNIT, unit);
    proto_put_message(&encoder->chunk, field, &encoder->message);
}

void encoder_text(struct encoder *encoder, enum profile_field field, const char *text)
{
    put_text_index(encoder, &encoder->chunk, field, text);
}

/* Samples. */

/* Splits the stack into its locations and puts their ids into encoder->location_ids.  Hidden
 * runtime frames may have taken the innermost frames of the first location with them. */
static size_t locate_stack(struct encoder *encoder, const struct frame *const *frames,
                           uint32_t frame_count)
{
    size_t count = 0;
    uint32_t start = 0;
    while (start < frame_count) {
        uint32_t end = start + 1;
        while (end < frame_count && !frames[end]->starts_location)
            end++;
        const uint32_t id = profile_tables_location(&encoder->tables, &frames[start], end - start);
        if (id != 0)
            encoder->location_ids[count++] = id;
        start = end;
    }
    return count;
}

bool encoder_sample_begin(struct encoder *encoder, const struct frame *const *frames,
                          uint32_t frame_count, const uint64_t *values, size_t value_count, struct error *err)
{
    if (frame_count > SITE_FRAMES_MAX)
        return error_set(err, ERROR_CORRUPT, "a stack of %u frames; at most %d are possible",
                         frame_count, SITE_FRAMES_MAX);
    buffer_clear(&encoder->message);
    const size_t location_count = locate_stack(encoder, frames, frame_count);
    proto_put_packed(&encoder->message, SAMPLE_LOCATION_ID, encoder->location_ids, location_count);
    proto_put_packed(&encoder->message, SAMPLE_VALUE, values, value_count);
    return true;
}

void encoder_label_number(struct encoder *encoder, const char *key, uint64_t number)
{
    buffer_clear(&encoder->nested);
    put_text_index(encoder, &encoder->nested, LABEL_KEY, key);
    proto_put_u64(&encoder->nested, LABEL_NUM, number);
    proto_put_message(&encoder->message, SAMPLE_LABEL, &encoder->nested);
}

void encoder_label_text(struct encoder *encoder, const char *key, const char *text)
{
    buffer_clear(&encoder->nested);
    put_text_index(encoder, &encoder->nested, LABEL_KEY, key);
    put_text_index(encoder, &encoder->nested, LABEL_STR, text);
    proto_put_message(&encoder->message, SAMPLE_LABEL, &encoder->nested);
}

bool encoder_sample_end(struct encoder *encoder, struct error *err)
{
    proto_put_message(&encoder->chunk, PROFILE_SAMPLE, &encoder->message);
    return flush(encoder, false, err);
}

/* Tables. */

static bool write_location(struct encoder *encoder, const struct profile_location *location,
                           struct error *err)
{
    /* Without any mapping all locations belong to the one that is made up. */
    const bool no_mappings = encoder->input.mapping_count == 0;
    const size_t mapping = no_mappings ? 0 : location->mapping;
    struct buffer *message = &encoder->message;
    unsigned symbols = SYMBOLS_TRIED;

    buffer_clear(message);
    proto_put_u64(message, LOCATION_ID, location->id);
    if (mapping != SIZE_MAX)
        proto_put_u64(message, LOCATION_MAPPING_ID, mapping + 1);
    /* The call itself is before the pc it returns to. */
    proto_put_nonzero(message, LOCATION_ADDRESS,
                      location->address == 0 ? 0 : location->address - 1);
    for (uint32_t i = 0; i < location->frame_count; i++) {
        const struct frame *frame = location->frames[i];
        buffer_clear(&encoder->nested);
        proto_put_nonzero(&encoder->nested, LINE_FUNCTION_ID,
                          profile_tables_function(&encoder->tables, frame));
        proto_put_nonzero(&encoder->nested, LINE_LINE, frame->line);
        proto_put_message(message, LOCATION_LINE, &encoder->nested);
        if (frame->function[0] == '\0' || frame->file[0] == '\0' || frame->line == 0)
            symbols |= SYMBOLS_MISSING;
    }
    if (mapping != SIZE_MAX)
        encoder->symbolized[mapping] |= (unsigned char)symbols;
    proto_put_message(&encoder->chunk, PROFILE_LOCATION, message);
    return flush(encoder, false, err);
}

static bool write_function(struct encoder *encoder, uint32_t id, struct error *err)
{
    const struct profile_function *function = &encoder->tables.functions[id - 1];
    struct buffer *message = &encoder->message;

    buffer_clear(message);
    proto_put_u64(message, FUNCTION_ID, id);
    put_text_index(encoder, message, FUNCTION_NAME, function->name);
    put_text_index(encoder, message, FUNCTION_SYSTEM_NAME, function->name);
    put_text_index(encoder, message, FUNCTION_FILENAME, function->file);
    proto_put_nonzero(message, FUNCTION_START_LINE, function->start_line);
    proto_put_message(&encoder->chunk, PROFILE_FUNCTION, message);
    return flush(encoder, false, err);
}

static bool write_mapping(struct encoder *encoder, size_t index, const struct mapping *mapping,
                          struct error *err)
{
    struct buffer *message = &encoder->message;

    buffer_clear(message);
    proto_put_u64(message, MAPPING_ID, index + 1);
    proto_put_nonzero(message, MAPPING_START, mapping->start);
    proto_put_nonzero(message, MAPPING_LIMIT, mapping->limit);
    proto_put_nonzero(message, MAPPING_OFFSET, mapping->offset);
    put_text_index(encoder, message, MAPPING_FILENAME, mapping->file);
    put_text_index(encoder, message, MAPPING_BUILD_ID, mapping->build_id);
    if (encoder->symbolized[index] == SYMBOLS_TRIED)
        proto_put_u64(message, MAPPING_HAS_FUNCTIONS, 1);
    proto_put_message(&encoder->chunk, PROFILE_MAPPING, message);
    return flush(encoder, false, err);
}

/* What the samples refer to; each of these adds strings, so the strings come last. */
static bool write_tables(struct encoder *encoder, struct error *err)
{
    static const struct mapping made_up = {.file = "", .build_id = ""};
    struct profile_tables *tables = &encoder->tables;
    const struct encoder_input *input = &encoder->input;

    for (size_t i = 0; i < tables->location_count; i++) {
        if (tables->locations[i].id != 0 && !write_location(encoder, &tables->locations[i], err))
            return false;
    }
    for (uint32_t id = 1; id <= tables->function_count; id++) {
        if (!write_function(encoder, id, err))
            return false;
    }
    for (size_t i = 0; i < input->mapping_count; i++) {
        if (!write_mapping(encoder, i, &input->mappings[i], err))
            return false;
    }
    if (input->mapping_count == 0 && !write_mapping(encoder, 0, &made_up, err))
        return false;

    proto_put_text(&encoder->chunk, PROFILE_STRING_TABLE, "", 0);
    for (size_t i = 0; i < tables->string_count; i++) {
        proto_put_text(&encoder->chunk, PROFILE_STRING_TABLE, tables->strings[i],
                       strlen(tables->strings[i]));
        if (!flush(encoder, false, err))
            return false;
    }
    return true;
}

bool encoder_end(struct encoder *encoder, bool ok, struct error *err)
{
    if (ok)
        ok = write_tables(encoder, err) && flush(encoder, true, err) &&
             (encoder->gzip == NULL || gzip_stream_finish(encoder->gzip, err));
    if (!ok)
        encoder->out->length = encoder->length_before;
    encoder_release(encoder);
    return ok;
}
