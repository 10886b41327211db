/* scraped_heap.c - profiles that programs wrote of themselves become profiles like our own.
 *
 * What is scraped here was written by our own writer, whose files are proven equal to Go's elsewhere. */
#include "core/scrape/scraped_heap.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/pprof/profile_reader.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "tests/unit/pprof/sample_profile.h"

#define S UINT64_C(1000000000)

static const struct sample_frame handler[] = {
    {"bytes.growSlice", "/go/src/bytes/buffer.go", 0x401001, 7, 5, 0},
    {"main.(*shop).checkout", "/src/shop.go", 0x401001, 12, 11, 1},
    {"net/http.HandlerFunc.ServeHTTP", "/go/src/net/http/server.go", 0x402001, 30, 20, 0},
    {"net/http.(*ServeMux).ServeHTTP", "/go/src/net/http/server.go", 0x403001, 30, 20, 0},
    {"main.main", "/src/main.go", 0x404001, 3, 1, 0},
};
static const struct sample_frame text[] = {
    {"runtime.slicebytetostring", "/go/src/runtime/string.go", 0x405001, 9, 8, 0},
    {"main.main", "/src/main.go", 0x404001, 5, 1, 0},
};

/* The bytes of a profile of both sites; [allocs] and [frees] of the first. */
static void write_sample(struct buffer *bytes, uint64_t allocs, uint64_t frees)
{
    struct error err;
    struct site_table *table = site_table_new();
    cr_assert_not_null(table);
    struct profile *profile = sample_profile_begin(table, 2);
    sample_entry(profile, sample_site(table, handler, 5, 0, 64), allocs, frees);
    sample_entry(profile, sample_site(table, text, 2, 0, 32), 3, 1);
    const struct profile *sealed = profile_seal(profile);
    buffer_init(bytes, 1 << 20);
    cr_assert(profile_write_gzip(sealed, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, bytes, &err));
    profile_unref(sealed);
    site_table_unref(table);
}

static const struct profile *scrape(struct scraped_heap *heap, uint64_t allocs, uint64_t frees,
                                    uint64_t realtime_ns)
{
    struct buffer bytes;
    struct error err = {0};
    write_sample(&bytes, allocs, frees);
    const struct parsed_profile *parsed = profile_reader_parse(bytes.data, bytes.length, &err);
    cr_assert_not_null(parsed, "%s", err.message);
    const struct profile *profile = scraped_heap_read(heap, parsed, realtime_ns, 600 * S, &err);
    cr_assert_not_null(profile, "%s", err.message);
    profile_reader_free(parsed);
    buffer_release(&bytes);
    return profile;
}

Test(scraped_heap, keeps_values_stacks_and_mappings_as_they_came)
{
    struct scraped_heap *heap = scraped_heap_new(NULL);
    const struct profile *profile = scrape(heap, 10, 4, 7 * S);
    cr_assert_eq(profile->entry_count, 2);
    cr_assert_eq(profile->taken_realtime_ns, 7 * S);
    cr_assert(profile->scaled);
    cr_assert_not(profile->partial);
    cr_assert_eq(profile->mapping_count, 1);
    const struct profile_entry *entry = &profile->entries[0];
    cr_assert_eq(entry->alloc_objects, 100, "ten times: it came scaled");
    cr_assert_eq(entry->inuse_objects, 60);
    cr_assert_eq(entry->allocs, 0, "how many samples there were is not known");
    cr_assert_eq(entry->site->object_bytes, (uint64_t)entry->block_bytes);
    cr_assert_eq(entry->site->frame_count, 5);
    for (size_t i = 0; i < 5; i++) {
        const struct frame *frame = entry->site->frames[i];
        cr_assert_str_eq(frame->function, handler[i].function);
        cr_assert_str_eq(frame->file, handler[i].file);
        cr_assert_eq(frame->address, handler[i].address);
        cr_assert_eq(frame->line, handler[i].line);
        cr_assert_eq(frame->start_line, handler[i].start_line);
        cr_assert_eq(frame->starts_location, handler[i].inlined_callee_before == 0);
    }
    profile_unref(profile);
    scraped_heap_free(heap);
}

Test(scraped_heap, says_tags_and_only_those_types_that_the_stack_tells)
{
    struct scraped_heap *heap = scraped_heap_new(NULL);
    const struct profile *profile = scrape(heap, 10, 4, S);
    cr_assert_str_eq(profile->entries[0].site->type_name, "unknown");
    cr_assert_not_null(strstr(profile->entries[0].site->tag, "checkout"), "%s",
                       profile->entries[0].site->tag);
    cr_assert_str_eq(profile->entries[1].site->type_name, "string");
    cr_assert_str_eq(profile->entries[1].site->primitive, "runtime.slicebytetostring");
    profile_unref(profile);
    scraped_heap_free(heap);
}

Test(scraped_heap, knows_its_sites_again)
{
    struct scraped_heap *heap = scraped_heap_new(NULL);
    const struct profile *first = scrape(heap, 10, 4, S);
    const struct profile *second = scrape(heap, 20, 4, 16 * S);
    cr_assert_eq(first->entries[0].site, second->entries[0].site);
    cr_assert_eq(first->entries[1].site, second->entries[1].site);
    cr_assert_eq(first->mappings, second->mappings);
    cr_assert_eq(second->entries[0].site->first_seen_realtime_ns, S);
    cr_assert_eq(second->entries[0].inuse_objects, 160);

    const struct tops *tops = tops_new(second, GROUP_SITE, 10);
    cr_assert_eq(tops->retention_count, 2);
    cr_assert_gt(tops->retentions[0].retention.growth_bytes_per_second, 0, "over 15 s");
    cr_assert_float_eq(tops->retentions[0].retention.age_seconds, 15, 1e-9);
    tops_unref(tops);
    profile_unref(first);
    profile_unref(second);
    scraped_heap_free(heap);
}

Test(scraped_heap, shows_as_text_what_it_shows_as_pprof)
{
    struct scraped_heap *heap = scraped_heap_new(NULL);
    const struct profile *profile = scrape(heap, 10, 4, S);
    struct buffer out;
    struct error err;
    buffer_init(&out, 1 << 20);
    cr_assert(profile_write_text(profile, &out, &err));
    buffer_append_byte(&out, '\0');
    char line[128];
    (void)snprintf(line, sizeof(line), "\n%lld: %lld [%lld: %lld] @",
                   (long long)profile->entries[0].inuse_objects,
                   (long long)profile->entries[0].inuse_bytes,
                   (long long)profile->entries[0].alloc_objects,
                   (long long)profile->entries[0].alloc_bytes);
    cr_assert_not_null(strstr(out.data, line), "%s", out.data);
    cr_assert_not_null(strstr(out.data, "@ heap/2\n"), "rate 1: nobody may scale it again");
    buffer_release(&out);
    profile_unref(profile);
    scraped_heap_free(heap);
}

Test(scraped_heap, refuses_profiles_of_other_things)
{
    /* The smallest file there is: one sample type "cpu" in "count". */
    static const unsigned char cpu[] = {0x0A, 0x04, 0x08, 0x01, 0x10, 0x02, 0x32, 0x00, 0x32, 0x03,
                                        'c',  'p',  'u',  0x32, 0x05, 'c',  'o',  'u',  'n',  't'};
    struct error err = {0};
    struct scraped_heap *heap = scraped_heap_new(NULL);
    const struct parsed_profile *parsed = profile_reader_parse(cpu, sizeof(cpu), &err);
    cr_assert_not_null(parsed, "%s", err.message);
    cr_assert_null(scraped_heap_read(heap, parsed, S, S, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not_null(strstr(err.message, "no Go heap profile"), "%s", err.message);
    profile_reader_free(parsed);
    scraped_heap_free(heap);
}
