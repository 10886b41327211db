/* profile_reader.c - pprof files of others: what is in them, and what is refused.
 *
 * The files are those of tests/corpus/profile_reader, made by hand; each is named after what is odd about it. */
#include "core/pprof/profile_reader.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/pprof/gzip_stream.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "sample_profile.h"

static void read_file(const char *name, struct buffer *bytes)
{
    char path[512];
    char part[4096];
    size_t length;
    (void)snprintf(path, sizeof(path), GOPROFD_SOURCE_DIR "/tests/corpus/profile_reader/%s", name);
    FILE *file = fopen(path, "rbe");
    cr_assert_not_null(file, "%s", path);
    buffer_init(bytes, 1 << 24);
    while ((length = fread(part, 1, sizeof(part), file)) > 0)
        buffer_append(bytes, part, length);
    (void)fclose(file);
}

static const struct parsed_profile *parse_file(const char *name, struct error *err)
{
    struct buffer bytes;
    read_file(name, &bytes);
    const struct parsed_profile *profile = profile_reader_parse(bytes.data, bytes.length, err);
    buffer_release(&bytes);
    return profile;
}

/* main.leak, line 5, inlined into main.main, line 22; called by main.main, line 30. */
static void assert_whole(const char *name)
{
    struct error err = {0};
    const struct parsed_profile *profile = parse_file(name, &err);
    cr_assert_not_null(profile, "%s: %s", name, err.message);
    cr_assert_eq(profile->value_count, 4);
    cr_assert_eq(profile_reader_value(profile, "inuse_space"), 3);
    cr_assert_eq(profile_reader_value(profile, "cpu"), 4, "there is none");
    cr_assert_str_eq(profile->types[3].unit, "bytes");
    cr_assert_eq(profile->period, 524288);
    cr_assert_str_eq(profile->period_type.type, "space");
    cr_assert_eq(profile->time_ns, 1700000000);

    cr_assert_eq(profile->sample_count, 1);
    const struct parsed_sample *sample = &profile->samples[0];
    static const int64_t values[] = {10, 1000, 5, 500};
    cr_assert_eq(memcmp(sample->values, values, sizeof(values)), 0);
    cr_assert_eq(sample->location_count, 2);
    cr_assert_eq(sample->frame_count, 3);
    const struct parsed_location *leaf = sample->locations[0];
    cr_assert_eq(leaf->address, 0x1000);
    cr_assert_eq(leaf->line_count, 2);
    cr_assert_str_eq(leaf->lines[0].function->name, "main.leak");
    cr_assert_str_eq(leaf->lines[0].function->file, "/src/main.go");
    cr_assert_eq(leaf->lines[0].function->start_line, 3);
    cr_assert_eq(leaf->lines[0].line, 5);
    cr_assert_str_eq(leaf->lines[1].function->name, "main.main");
    cr_assert_eq(leaf->lines[1].line, 22);
    cr_assert_eq(sample->locations[1]->lines[0].line, 30);
    cr_assert_eq(sample->label_count, 1);
    cr_assert_str_eq(sample->labels[0].key, "bytes");
    cr_assert_eq(sample->labels[0].number, 100);
    cr_assert_eq(profile->mapping_count, 1);
    cr_assert_eq(profile->mappings[0].limit, 0x9000);
    cr_assert_str_eq(profile->mappings[0].file, "/bin/app");
    cr_assert_str_eq(profile->mappings[0].build_id, "af09");
    profile_reader_free(profile);
}

Test(profile_reader, reads_everything_of_a_profile_in_any_order_and_compressed_or_not)
{
    assert_whole("plain");
    assert_whole("gzipped");
    assert_whole("strings-first");
}

Test(profile_reader, takes_numbers_that_are_not_packed_ids_that_are_not_small_and_values_below_zero)
{
    static const char *const names[] = {"unpacked-numbers", "wide-ids", "negative-values"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct error err = {0};
        const struct parsed_profile *profile = parse_file(names[i], &err);
        cr_assert_not_null(profile, "%s: %s", names[i], err.message);
        cr_assert_eq(profile->sample_count, 1);
        cr_assert_eq(profile->samples[0].location_count, 2);
        profile_reader_free(profile);
    }
}

Test(profile_reader, refuses_the_rest_and_says_why)
{
    static const struct {
        const char *name;
        enum error_code code;
        const char *why;
    } cases[] = {
        {"no-such-location", ERROR_CORRUPT, "no location has the id 9"},
        {"no-such-function", ERROR_CORRUPT, "no function has the id 1"},
        {"no-such-text", ERROR_CORRUPT, "text 9999 of 14"},
        {"two-same-ids", ERROR_CORRUPT, "two locations have the id 1"},
        {"too-few-values", ERROR_CORRUPT, "a sample of 2 values instead of 4"},
        {"too-many-values", ERROR_CORRUPT, "a sample of more than 4 values"},
        {"deep-stack", ERROR_LIMIT, "a stack of more than 4096 frames"},
        {"inlined-forever", ERROR_LIMIT, "a location of 4200 calls"},
        {"text-with-nul", ERROR_CORRUPT, "a text with a NUL"},
        {"length-beyond-end", ERROR_CORRUPT, "no protobuf message"},
        {"varint-too-long", ERROR_CORRUPT, "no protobuf message"},
        {"group", ERROR_CORRUPT, "no protobuf message"},
        {"field-zero", ERROR_CORRUPT, "no protobuf message"},
        {"bomb", ERROR_CORRUPT, "no types of samples"},
        {"gzip-cut", ERROR_CORRUPT, "ends too early"},
        {"gzip-and-more", ERROR_CORRUPT, "bytes after its end"},
        {"html", ERROR_CORRUPT, "not a profile"},
        {"empty", ERROR_CORRUPT, "no strings in it"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        cr_assert_null(parse_file(cases[i].name, &err), "%s", cases[i].name);
        cr_assert_eq(err.code, cases[i].code, "%s: %s", cases[i].name, err.message);
        cr_assert_not_null(strstr(err.message, cases[i].why), "%s: %s", cases[i].name, err.message);
    }
}

Test(profile_reader, stops_decompressing_where_memory_is_kept_for_others)
{
    struct buffer bytes, zeros;
    struct error err = {0};
    const size_t too_many = PROFILE_READER_MAX_BYTES + 1;
    buffer_init(&zeros, too_many);
    char *room = buffer_reserve(&zeros, too_many);
    cr_assert_not_null(room);
    memset(room, 0, too_many);
    zeros.length = too_many;
    buffer_init(&bytes, 1 << 24);
    struct gzip_stream *stream = gzip_stream_new(&bytes, &err);
    cr_assert_not_null(stream);
    cr_assert(gzip_stream_write(stream, zeros.data, zeros.length, &err));
    cr_assert(gzip_stream_finish(stream, &err));
    gzip_stream_free(stream);
    cr_assert_lt(bytes.length, (size_t)1 << 20, "a small file");
    cr_assert_null(profile_reader_parse(bytes.data, bytes.length, &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    buffer_release(&zeros);
    buffer_release(&bytes);
}

Test(profile_reader, reads_what_goprofd_writes)
{
    const struct profile *written = sample_profile_small();
    struct buffer bytes;
    struct error err = {0};
    buffer_init(&bytes, 1 << 20);
    cr_assert(profile_write_gzip(written, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &bytes, &err));
    const struct parsed_profile *read = profile_reader_parse(bytes.data, bytes.length, &err);
    cr_assert_not_null(read, "%s", err.message);
    cr_assert_eq(read->sample_count, written->entry_count);
    const struct profile_entry *entry = &written->entries[0];
    cr_assert_eq(read->samples[0].values[3], entry->inuse_bytes);
    cr_assert_eq(read->samples[0].frame_count, entry->site->frame_count);
    cr_assert_eq(read->samples[0].locations[0]->address, entry->site->frames[0]->address - 1);
    cr_assert_str_eq(read->samples[0].locations[0]->lines[0].function->name,
                     entry->site->frames[0]->function);
    profile_reader_free(read);
    profile_unref(written);
    buffer_release(&bytes);
}
