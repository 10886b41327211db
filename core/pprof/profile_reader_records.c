/* profile_reader_records.c - functions, mappings, locations and samples of a pprof file.
 *
 * Called by profile_reader.c for each message, in that order. */
#include "core/pprof/profile_reader_parts.h"

#include <stdlib.h>
#include <string.h>

#include "core/store/site.h"

/* Field numbers of the nested messages of profile.proto. */
enum function_field { FUNCTION_ID = 1, FUNCTION_NAME = 2, FUNCTION_FILE = 4, FUNCTION_START_LINE = 5 };
enum mapping_field { MAPPING_START = 2, MAPPING_LIMIT = 3, MAPPING_OFFSET = 4, MAPPING_FILE = 5, MAPPING_BUILD_ID = 6 };
enum location_field { LOCATION_ID = 1, LOCATION_ADDRESS = 3, LOCATION_LINE = 4 };
enum line_field { LINE_FUNCTION = 1, LINE_LINE = 2 };
enum sample_field { SAMPLE_LOCATION = 1, SAMPLE_VALUE = 2, SAMPLE_LABEL = 3 };
enum label_field { LABEL_KEY = 1, LABEL_TEXT = 2, LABEL_NUMBER = 3 };

/* ---- ids ---- */

bool reader_ids_init(struct reader_ids *ids, size_t capacity, struct error *err)
{
    ids->list = calloc(capacity + 1, sizeof(*ids->list));
    return ids->list != NULL || error_set(err, ERROR_NO_MEMORY, "no memory to read a profile");
}

void reader_ids_release(struct reader_ids *ids)
{
    free(ids->list);
}

static void add_id(struct reader_ids *ids, uint64_t id)
{
    ids->list[ids->count] = (struct reader_id){.id = id, .index = (uint32_t)ids->count};
    ids->count++;
}

static int compare_ids(const void *a, const void *b)
{
    const uint64_t left = ((const struct reader_id *)a)->id;
    const uint64_t right = ((const struct reader_id *)b)->id;
    return (left > right) - (left < right);
}

bool reader_ids_sort(struct reader_ids *ids, const char *what, struct error *err)
{
    qsort(ids->list, ids->count, sizeof(*ids->list), compare_ids);
    for (size_t i = 0; i < ids->count; i++) {
        if (ids->list[i].id == 0 || (i > 0 && ids->list[i].id == ids->list[i - 1].id))
            return error_set(err, ERROR_CORRUPT, "not a profile: two %s have the id %llu, or it is 0",
                             what, (unsigned long long)ids->list[i].id);
    }
    return true;
}

static bool find_id(const struct reader_ids *ids, uint64_t id, const char *what, uint32_t *index,
                    struct error *err)
{
    const struct reader_id wanted = {.id = id};
    const struct reader_id *found = id >= 1 && id <= ids->count && ids->list[id - 1].id == id
                                        ? &ids->list[id - 1]
                                        : bsearch(&wanted, ids->list, ids->count,
                                                  sizeof(*ids->list), compare_ids);
    if (found == NULL)
        return error_set(err, ERROR_CORRUPT, "not a profile: no %s has the id %llu", what,
                         (unsigned long long)id);
    *index = found->index;
    return true;
}

/* Lines of files are small; what is not one is not known. */
static uint32_t line_of(uint64_t value)
{
    return value > INT32_MAX ? 0 : (uint32_t)value;
}

/* ---- functions and mappings ---- */

bool reader_function(struct profile_parse *parse, const struct proto_field *field,
                     struct error *err)
{
    struct parsed_function *function = &parse->functions[parse->profile->function_count++];
    struct proto_reader reader;
    struct proto_field member;
    uint64_t id = 0;
    *function = (struct parsed_function){.name = "", .file = ""};
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        if (member.number == FUNCTION_ID)
            id = member.value;
        else if (member.number == FUNCTION_START_LINE)
            function->start_line = line_of(member.value);
        else if ((member.number == FUNCTION_NAME &&
                  !reader_text(parse, member.value, &function->name, err)) ||
                 (member.number == FUNCTION_FILE &&
                  !reader_text(parse, member.value, &function->file, err)))
            return false;
    }
    add_id(&parse->function_ids, id);
    return !reader.failed || reader_no_message(err);
}

bool reader_mapping(struct profile_parse *parse, const struct proto_field *field, struct error *err)
{
    struct parsed_mapping *mapping = &parse->mappings[parse->profile->mapping_count++];
    struct proto_reader reader;
    struct proto_field member;
    *mapping = (struct parsed_mapping){.file = "", .build_id = ""};
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        if (member.number == MAPPING_START)
            mapping->start = member.value;
        else if (member.number == MAPPING_LIMIT)
            mapping->limit = member.value;
        else if (member.number == MAPPING_OFFSET)
            mapping->offset = member.value;
        else if ((member.number == MAPPING_FILE &&
                  !reader_text(parse, member.value, &mapping->file, err)) ||
                 (member.number == MAPPING_BUILD_ID &&
                  !reader_text(parse, member.value, &mapping->build_id, err)))
            return false;
    }
    return !reader.failed || reader_no_message(err);
}

/* ---- locations ---- */

static bool read_line(const struct profile_parse *parse, const struct proto_field *field,
                      struct parsed_line *line, struct error *err)
{
    struct proto_reader reader;
    struct proto_field member;
    uint64_t function = 0;
    uint32_t index = 0;
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        if (member.number == LINE_FUNCTION)
            function = member.value;
        else if (member.number == LINE_LINE)
            line->line = line_of(member.value);
    }
    if (reader.failed)
        return reader_no_message(err);
    if (!find_id(&parse->function_ids, function, "function", &index, err))
        return false;
    line->function = &parse->functions[index];
    return true;
}

static size_t count_members(const struct proto_field *message, uint32_t number)
{
    struct proto_reader reader;
    struct proto_field member;
    size_t count = 0;
    proto_reader_init(&reader, message->bytes, message->length);
    while (proto_reader_next(&reader, &member))
        count += member.number == number && member.wire == PROTO_BYTES;
    return count;
}

bool reader_location(struct profile_parse *parse, const struct proto_field *field,
                     struct error *err)
{
    struct parsed_location *location = &parse->locations[parse->location_ids.count];
    struct proto_reader reader;
    struct proto_field member;
    uint64_t id = 0;
    const size_t line_count = count_members(field, LOCATION_LINE);
    if (line_count > SITE_FRAMES_MAX)
        return error_set(err, ERROR_LIMIT, "a location of %zu calls in a profile; at most %d are read",
                         line_count, SITE_FRAMES_MAX);
    struct parsed_line *lines = reader_alloc(parse, line_count, sizeof(*lines), err);
    if (lines == NULL)
        return false;
    location->lines = lines;
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        if (member.number == LOCATION_ID)
            id = member.value;
        else if (member.number == LOCATION_ADDRESS)
            location->address = member.value;
        else if (member.number == LOCATION_LINE && member.wire == PROTO_BYTES &&
                 !read_line(parse, &member, &lines[location->line_count++], err))
            return false;
    }
    add_id(&parse->location_ids, id);
    return !reader.failed || reader_no_message(err);
}

/* ---- samples ---- */

/* One occurrence of the field; the stack so far is in parse->frames. */
static bool read_stack(struct profile_parse *parse, const struct proto_field *member,
                       struct parsed_sample *sample, struct error *err)
{
    struct proto_numbers ids;
    uint64_t id = 0;
    proto_numbers_begin(&ids, member);
    while (proto_numbers_next(&ids, &id)) {
        uint32_t index = 0;
        if (!find_id(&parse->location_ids, id, "location", &index, err))
            return false;
        const struct parsed_location *location = &parse->locations[index];
        const uint32_t frames = location->line_count == 0 ? 1 : location->line_count;
        if (sample->frame_count + frames > SITE_FRAMES_MAX)
            return error_set(err, ERROR_LIMIT,
                             "a stack of more than %d frames in a profile, which is no Go program's",
                             SITE_FRAMES_MAX);
        sample->frame_count += frames;
        parse->frames[sample->location_count++] = location;
    }
    return !ids.packed.failed || reader_no_message(err);
}

static bool read_values(const struct parsed_profile *profile, const struct proto_field *member,
                        int64_t *values, size_t *count, struct error *err)
{
    struct proto_numbers numbers;
    uint64_t value = 0;
    proto_numbers_begin(&numbers, member);
    while (proto_numbers_next(&numbers, &value)) {
        if (*count == profile->value_count)
            return error_set(err, ERROR_CORRUPT, "not a profile: a sample of more than %zu values",
                             profile->value_count);
        values[(*count)++] = (int64_t)value;
    }
    return !numbers.packed.failed || reader_no_message(err);
}

static bool read_label(const struct profile_parse *parse, const struct proto_field *field,
                       struct parsed_label *label, struct error *err)
{
    struct proto_reader reader;
    struct proto_field member;
    *label = (struct parsed_label){.key = "", .text = ""};
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        if (member.number == LABEL_NUMBER)
            label->number = (int64_t)member.value;
        else if ((member.number == LABEL_KEY &&
                  !reader_text(parse, member.value, &label->key, err)) ||
                 (member.number == LABEL_TEXT &&
                  !reader_text(parse, member.value, &label->text, err)))
            return false;
    }
    return !reader.failed || reader_no_message(err);
}

static bool read_members(struct profile_parse *parse, const struct proto_field *field,
                         struct parsed_sample *sample, int64_t *values,
                         struct parsed_label *labels, struct error *err)
{
    struct proto_reader reader;
    struct proto_field member;
    size_t value_count = 0;
    proto_reader_init(&reader, field->bytes, field->length);
    while (proto_reader_next(&reader, &member)) {
        bool ok = true;
        if (member.number == SAMPLE_LOCATION)
            ok = read_stack(parse, &member, sample, err);
        else if (member.number == SAMPLE_VALUE)
            ok = read_values(parse->profile, &member, values, &value_count, err);
        else if (member.number == SAMPLE_LABEL && member.wire == PROTO_BYTES)
            ok = read_label(parse, &member, &labels[sample->label_count++], err);
        if (!ok)
            return false;
    }
    if (reader.failed)
        return reader_no_message(err);
    return value_count == parse->profile->value_count ||
           error_set(err, ERROR_CORRUPT, "not a profile: a sample of %zu values instead of %zu",
                     value_count, parse->profile->value_count);
}

bool reader_sample(struct profile_parse *parse, const struct proto_field *field, struct error *err)
{
    struct parsed_sample *sample = &parse->samples[parse->profile->sample_count];
    const size_t label_count = count_members(field, SAMPLE_LABEL);
    if (label_count > PARSED_LABELS_MAX)
        return error_set(err, ERROR_LIMIT, "a sample of %zu labels in a profile; at most %d are read",
                         label_count, PARSED_LABELS_MAX);
    int64_t *values = reader_alloc(parse, parse->profile->value_count, sizeof(*values), err);
    if (values == NULL)
        return false;
    struct parsed_label *labels = reader_alloc(parse, label_count, sizeof(*labels), err);
    if (labels == NULL || !read_members(parse, field, sample, values, labels, err))
        return false;
    const struct parsed_location **locations = reader_alloc(
        parse, sample->location_count, sizeof(const struct parsed_location *), err);
    if (locations == NULL)
        return false;
    memcpy(locations, parse->frames,
           sample->location_count * sizeof(const struct parsed_location *));
    sample->locations = locations;
    sample->values = values;
    sample->labels = labels;
    parse->frame_count += sample->frame_count;
    if (parse->frame_count > PARSED_FRAMES_MAX)
        return error_set(err, ERROR_LIMIT, "a profile of more than %d frames", PARSED_FRAMES_MAX);
    parse->profile->sample_count++;
    return true;
}
