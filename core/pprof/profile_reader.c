/* profile_reader.c - checks a pprof file and takes it apart.
 *
 * Messages may come in any order and refer to later ones, so the file is walked several times: counting,
 * then strings, then each kind of record after those it refers to. */
#include "core/pprof/profile_reader.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/pprof/gunzip.h"
#include "core/pprof/profile_reader_parts.h"
#include "core/store/site.h"

enum { CHUNK_BYTES = 256 << 10 };

/* ---- walking ---- */

bool reader_no_message(struct error *err)
{
    return error_set(err, ERROR_CORRUPT, "not a profile: no protobuf message of profile.proto");
}

static bool no_memory(struct error *err)
{
    return error_set(err, ERROR_LIMIT, "the profile takes more than the %zu MiB that are kept",
                     PARSED_PROFILE_MAX_BYTES >> 20);
}

void *reader_alloc(struct profile_parse *parse, size_t count, size_t bytes_each, struct error *err)
{
    void *memory = arena_alloc_array(parse->arena, count > 0 ? count : 1, bytes_each);
    if (memory == NULL)
        (void)no_memory(err);
    return memory;
}

/* Calls [read] on each top-level field [number] that is a message. */
static bool each_message(struct profile_parse *parse, uint32_t number,
                         bool (*read)(struct profile_parse *parse, const struct proto_field *field,
                                      struct error *err),
                         struct error *err)
{
    struct proto_reader reader;
    struct proto_field field;
    proto_reader_init(&reader, parse->bytes, parse->length);
    while (proto_reader_next(&reader, &field)) {
        if (field.number == number && field.wire == PROTO_BYTES && !read(parse, &field, err))
            return false;
    }
    return !reader.failed || reader_no_message(err);
}

/* ---- counting ---- */

static bool check_count(size_t count, size_t max, const char *what, struct error *err)
{
    return count <= max || error_set(err, ERROR_LIMIT, "a profile of %zu %s; at most %zu are read",
                                     count, what, max);
}

static bool count_records(struct profile_parse *parse, struct error *err)
{
    struct proto_reader reader;
    struct proto_field field;
    proto_reader_init(&reader, parse->bytes, parse->length);
    while (proto_reader_next(&reader, &field)) {
        if (field.wire == PROTO_BYTES && field.number < READER_FIELDS)
            parse->counts[field.number]++;
        else if (field.wire == PROTO_VARINT && field.number < READER_FIELDS)
            parse->numbers[field.number] = field.value;
    }
    if (reader.failed)
        return reader_no_message(err);
    if (parse->counts[READER_STRING] == 0 || parse->counts[READER_SAMPLE_TYPE] == 0)
        return error_set(err, ERROR_CORRUPT, "not a profile: no %s in it",
                         parse->counts[READER_STRING] == 0 ? "strings" : "types of samples");
    return check_count(parse->counts[READER_SAMPLE_TYPE], PARSED_VALUES_MAX, "values each", err) &&
           check_count(parse->counts[READER_SAMPLE], PARSED_RECORDS_MAX, "samples", err) &&
           check_count(parse->counts[READER_MAPPING], PARSED_MAPPINGS_MAX, "mappings", err) &&
           check_count(parse->counts[READER_LOCATION], PARSED_RECORDS_MAX, "locations", err) &&
           check_count(parse->counts[READER_FUNCTION], PARSED_RECORDS_MAX, "functions", err) &&
           check_count(parse->counts[READER_STRING], PARSED_RECORDS_MAX, "strings", err);
}

/* ---- strings ---- */

static bool read_string(struct profile_parse *parse, const struct proto_field *field,
                        struct error *err)
{
    if (field->length > PARSED_TEXT_MAX_BYTES)
        return error_set(err, ERROR_LIMIT, "a text of %zu bytes in a profile; at most %d are read",
                         field->length, PARSED_TEXT_MAX_BYTES);
    if (memchr(field->bytes, '\0', field->length) != NULL)
        return error_set(err, ERROR_CORRUPT, "not a profile: a text with a NUL in it");
    const char *copy =
        arena_copy_string(parse->arena, (const char *)field->bytes, field->length);
    if (copy == NULL)
        return no_memory(err);
    parse->strings[parse->string_count++] = copy;
    return true;
}

bool reader_text(const struct profile_parse *parse, uint64_t index, const char **text,
                 struct error *err)
{
    if (index >= parse->string_count)
        return error_set(err, ERROR_CORRUPT, "not a profile: text %llu of %zu",
                         (unsigned long long)index, parse->string_count);
    *text = parse->strings[index];
    return true;
}

/* ---- types of values ---- */

static bool read_type(const struct profile_parse *parse, const struct proto_field *field,
                      struct parsed_type *type, struct error *err)
{
    struct proto_reader reader;
    struct proto_field member;
    *type = (struct parsed_type){.type = "", .unit = ""};
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        if ((member.number == 1 && !reader_text(parse, member.value, &type->type, err)) ||
            (member.number == 2 && !reader_text(parse, member.value, &type->unit, err)))
            return false;
    }
    return !reader.failed || reader_no_message(err);
}

static bool read_sample_type(struct profile_parse *parse, const struct proto_field *field,
                             struct error *err)
{
    return read_type(parse, field, &parse->types[parse->profile->value_count++], err);
}

static bool read_period_type(struct profile_parse *parse, const struct proto_field *field,
                             struct error *err)
{
    return read_type(parse, field, &parse->profile->period_type, err);
}

/* ---- all of it ---- */

static bool reserve(struct profile_parse *parse, struct error *err)
{
    const size_t *counts = parse->counts;
    struct parsed_profile *profile = parse->profile;
    parse->strings = reader_alloc(parse, counts[READER_STRING], sizeof(*parse->strings), err);
    if (parse->strings == NULL)
        return false;
    parse->types = reader_alloc(parse, counts[READER_SAMPLE_TYPE], sizeof(*parse->types), err);
    if (parse->types == NULL)
        return false;
    parse->functions =
        reader_alloc(parse, counts[READER_FUNCTION], sizeof(*parse->functions), err);
    if (parse->functions == NULL)
        return false;
    parse->mappings = reader_alloc(parse, counts[READER_MAPPING], sizeof(*parse->mappings), err);
    if (parse->mappings == NULL)
        return false;
    parse->locations =
        reader_alloc(parse, counts[READER_LOCATION], sizeof(*parse->locations), err);
    if (parse->locations == NULL)
        return false;
    parse->samples = reader_alloc(parse, counts[READER_SAMPLE], sizeof(*parse->samples), err);
    if (parse->samples == NULL)
        return false;
    profile->types = parse->types;
    profile->functions = parse->functions;
    profile->mappings = parse->mappings;
    profile->samples = parse->samples;
    profile->period_type = (struct parsed_type){.type = "", .unit = ""};
    return reader_ids_init(&parse->function_ids, counts[READER_FUNCTION], err) &&
           reader_ids_init(&parse->location_ids, counts[READER_LOCATION], err);
}

static bool read_all(struct profile_parse *parse, struct error *err)
{
    if (!count_records(parse, err) || !reserve(parse, err) ||
        !each_message(parse, READER_STRING, read_string, err))
        return false;
    if (parse->strings[0][0] != '\0')
        return error_set(err, ERROR_CORRUPT, "not a profile: its first text is not empty");
    parse->profile->period = (int64_t)parse->numbers[READER_PERIOD];
    parse->profile->time_ns = (int64_t)parse->numbers[READER_TIME_NANOS];
    return each_message(parse, READER_SAMPLE_TYPE, read_sample_type, err) &&
           each_message(parse, READER_PERIOD_TYPE, read_period_type, err) &&
           each_message(parse, READER_FUNCTION, reader_function, err) &&
           reader_ids_sort(&parse->function_ids, "functions", err) &&
           each_message(parse, READER_MAPPING, reader_mapping, err) &&
           each_message(parse, READER_LOCATION, reader_location, err) &&
           reader_ids_sort(&parse->location_ids, "locations", err) &&
           each_message(parse, READER_SAMPLE, reader_sample, err);
}

static const struct parsed_profile *parse_message(const void *bytes, size_t length,
                                                  struct error *err)
{
    struct profile_parse parse = {.bytes = bytes, .length = length};
    parse.arena = arena_new(PARSED_PROFILE_MAX_BYTES, CHUNK_BYTES);
    parse.frames = calloc(SITE_FRAMES_MAX, sizeof(*parse.frames));
    if (parse.arena != NULL)
        parse.profile = arena_alloc(parse.arena, sizeof(*parse.profile));
    bool ok = parse.profile != NULL && parse.frames != NULL;
    if (ok)
        ok = read_all(&parse, err);
    else
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to read a profile");
    reader_ids_release(&parse.function_ids);
    reader_ids_release(&parse.location_ids);
    free(parse.frames);
    if (ok) {
        parse.profile->arena_ = parse.arena;
        return parse.profile;
    }
    arena_free(parse.arena);
    return NULL;
}

const struct parsed_profile *profile_reader_parse(const void *bytes, size_t length,
                                                  struct error *err)
{
    if (!gunzip_is_gzip(bytes, length))
        return parse_message(bytes, length, err);
    struct buffer message;
    const struct parsed_profile *profile = NULL;
    buffer_init(&message, PROFILE_READER_MAX_BYTES);
    if (gunzip(bytes, length, &message, err))
        profile = parse_message(message.data, message.length, err);
    buffer_release(&message);
    return profile;
}

void profile_reader_free(const struct parsed_profile *profile)
{
    if (profile != NULL)
        arena_free(profile->arena_);
}

size_t profile_reader_value(const struct parsed_profile *profile, const char *type)
{
    size_t i = 0;
    while (i < profile->value_count && strcmp(profile->types[i].type, type) != 0)
        i++;
    return i;
}
