/* profile_writer.c - the real `go tool pprof` reads what we wrote and says what it saw. */
#include "core/pprof/profile_writer.h"

#include <criterion/criterion.h>
#include <zlib.h>

#include "core/base/json.h"
#include "core/store/profile.h"
#include "sample_profile.h"
#include "tests/support/failing_allocator.h"

enum { TEST_BUFFER_MAX_BYTES = 64 << 20 };

/* The profile as `go tool pprof -raw` shows it; takes over the hold. */
static char *raw_text(const struct profile *profile, enum profile_default_type type,
                      const char *const *comments, size_t comment_count)
{
    struct buffer bytes;
    struct buffer text;
    struct error err = {0};
    size_t length;
    buffer_init(&bytes, TEST_BUFFER_MAX_BYTES);
    buffer_init(&text, TEST_BUFFER_MAX_BYTES);
    cr_assert(profile_write_gzip(profile, type, comments, comment_count, &bytes, &err), "%s",
              err.message);
    sample_pprof_raw(&bytes, &text);
    buffer_append_byte(&text, '\0');
    buffer_release(&bytes);
    profile_unref(profile);
    char *detached = buffer_detach(&text, &length);
    cr_assert_not_null(detached);
    return detached;
}

static void assert_has(const char *text, const char *part)
{
    /* Criterion 2.4.1 hangs on messages larger than a pipe. */
    cr_assert_not_null(strstr(text, part), "no \"%.200s\" in:\n%.4000s", part, text);
}

static size_t occurrences(const char *text, const char *part)
{
    size_t count = 0;
    for (const char *at = strstr(text, part); at != NULL; at = strstr(at + 1, part))
        count++;
    return count;
}

Test(profile_writer, is_read_by_go_tool_pprof_with_every_number_name_and_line)
{
    static const struct sample_frame leak[] = {
        {"runtime.mallocgc", "/go/src/runtime/malloc.go", 0x400100, 1000, 900, 0},
        {"main.inner", "/src/app/leak.go", 0x401001, 7, 5, 0},
        {"main.outer", "/src/app/leak.go", 0x401001, 12, 11, 1},
        {"main.main", "/src/app/main.go", 0x402001, 30, 20, 0},
    };
    static const struct sample_frame other[] = {
        {"main.churn", "/src/app/churn.go", 0x403001, 9, 8, 0},
        {"main.main", "/src/app/main.go", 0x402001, 30, 20, 0},
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 2);
    sample_entry(profile, sample_site(table, leak, 4, 1, 64), 3, 1);
    sample_entry(profile, sample_site(table, other, 2, 0, 4096), 5, 5);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    cr_assert_str_eq(text, "PeriodType: space bytes\n"
                           "Period: 524288\n"
                           "Time: 2025-11-24 16:00:00 +0000 UTC\n"
                           "Samples:\n"
                           "alloc_objects/count alloc_space/bytes inuse_objects/count "
                           "inuse_space/bytes\n"
                           "         30       1920         20       1280: 1 2 \n"
                           "                bytes:[64]\n"
                           "         50     204800          0          0: 3 2 \n"
                           "                bytes:[4096]\n"
                           "Locations\n"
                           "     1: 0x401000 M=1 main.inner /src/app/leak.go:7:0 s=5\n"
                           "             main.outer /src/app/leak.go:12:0 s=11\n"
                           "     2: 0x402000 M=1 main.main /src/app/main.go:30:0 s=20\n"
                           "     3: 0x403000 M=1 main.churn /src/app/churn.go:9:0 s=8\n"
                           "Mappings\n"
                           "1: 0x400000/0x800000/0x1000 /srv/app 0123456789abcdef [FN]\n");
    free(text);
}

Test(profile_writer, marks_alloc_space_as_the_default_of_an_allocs_profile)
{
    char *text = raw_text(sample_profile_small(), PROFILE_DEFAULT_ALLOC_SPACE, NULL, 0);
    assert_has(text, "alloc_objects/count alloc_space/bytes[dflt] inuse_objects/count "
                     "inuse_space/bytes\n");
    free(text);
}

Test(profile_writer, keeps_comments)
{
    const char *const comments[] = {"why: a test", "and \"more\""};
    char *text = raw_text(sample_profile_small(), PROFILE_DEFAULT_INUSE_SPACE, comments, 2);
    assert_has(text, "Comment: why: a test\nComment: and \"more\"\n");
    free(text);
}

Test(profile_writer, gives_each_level_of_a_recursion_its_place_in_the_stack)
{
    static const struct sample_frame frames[] = {
        {"main.dive", "/src/dive.go", 0x401001, 5, 3, 0},
        {"main.dive", "/src/dive.go", 0x401011, 6, 3, 0},
        {"main.dive", "/src/dive.go", 0x401011, 6, 3, 0},
        {"main.main", "/src/dive.go", 0x402001, 20, 18, 0},
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 4, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, ": 1 2 2 3 \n");
    assert_has(text, "     2: 0x401010 M=1 main.dive /src/dive.go:6:0 s=3\n");
    free(text);
}

Test(profile_writer, starts_a_location_where_hidden_frames_cut_one)
{
    static const struct sample_frame frames[] = {
        {"runtime.newobject", "/go/src/runtime/malloc.go", 0x401001, 1, 1, 0},
        {"main.caller", "/src/a.go", 0x401001, 5, 3, 1},
        {"main.main", "/src/a.go", 0x402001, 20, 18, 0},
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 3, 1, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, ": 1 2 \n");
    assert_has(text, "     1: 0x401000 M=1 main.caller /src/a.go:5:0 s=3\n"
                     "     2: 0x402000 M=1 main.main /src/a.go:20:0 s=18\n");
    free(text);
}

Test(profile_writer, leaves_out_runtime_goexit)
{
    static const struct sample_frame frames[] = {
        {"main.work", "/src/a.go", 0x401001, 5, 3, 0},
        {"runtime.goexit", "/go/src/runtime/asm_amd64.s", 0x402001, 1700, 1698, 0},
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 2, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    cr_assert_null(strstr(text, "goexit"));
    assert_has(text, ": 1 \n");
    free(text);
}

Test(profile_writer, names_a_function_of_several_files_by_its_first_as_go_does)
{
    static const struct sample_frame first[] = {{"main.init", "/src/a.go", 0x401001, 5, 3, 0}};
    static const struct sample_frame second[] = {{"main.init", "/src/b.go", 0x401101, 9, 3, 0}};
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 2);
    sample_entry(profile, sample_site(table, first, 1, 0, 8), 1, 0);
    sample_entry(profile, sample_site(table, second, 1, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, "main.init /src/a.go:5:0 s=3\n");
    assert_has(text, "main.init /src/a.go:9:0 s=3\n");
    free(text);
}

Test(profile_writer, keeps_frames_apart_that_share_an_address_but_not_a_line)
{
    static const struct sample_frame first[] = {{"main.a", "/src/a.go", 0x401001, 5, 3, 0}};
    static const struct sample_frame second[] = {{"main.a", "/src/a.go", 0x401001, 6, 3, 0}};
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 2);
    sample_entry(profile, sample_site(table, first, 1, 0, 8), 1, 0);
    sample_entry(profile, sample_site(table, second, 1, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, "main.a /src/a.go:5:0 s=3\n");
    assert_has(text, "main.a /src/a.go:6:0 s=3\n");
    free(text);
}

Test(profile_writer, says_nothing_about_functions_of_a_mapping_with_an_unknown_line)
{
    static const struct sample_frame frames[] = {{"main.a", "", 0x401001, 0, 0, 0}};
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 1, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    cr_assert_null(strstr(text, "[FN]"));
    assert_has(text, "main.a");
    free(text);
}

Test(profile_writer, gives_a_pc_outside_every_mapping_no_mapping)
{
    static const struct sample_frame frames[] = {
        {"main.a", "/src/a.go", 0x900001, 5, 3, 0},
        {"main.b", "/src/a.go", 0x400000, 6, 3, 0}, /* first byte: inside */
        {"main.c", "/src/a.go", 0x800000, 7, 3, 0}, /* limit: outside */
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 3, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, "1: 0x900000 main.a");
    assert_has(text, "2: 0x3fffff M=1 main.b");
    assert_has(text, "3: 0x7fffff main.c");
    free(text);
}

Test(profile_writer, makes_up_a_mapping_when_there_is_none)
{
    static const struct sample_frame frames[] = {{"main.a", "/src/a.go", 0x401001, 5, 3, 0}};
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    profile->mapping_count = 0;
    profile->mappings = NULL;
    sample_entry(profile, sample_site(table, frames, 1, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, "1: 0x401000 M=1 main.a");
    assert_has(text, "Mappings\n1: 0x0/0x0/0x0   [FN]\n");
    free(text);
}

Test(profile_writer, writes_an_empty_profile_that_pprof_opens)
{
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, "Period: 524288\n");
    assert_has(text, "Samples:\nalloc_objects/count");
    free(text);
}

/* Inflates [bytes]; fails the test unless they are exactly one good gzip member. */
static void gunzip(const struct buffer *bytes, struct buffer *out)
{
    z_stream zlib = {0};
    int status = inflateInit2(&zlib, 15 + 16);
    cr_assert_eq(status, Z_OK);
    zlib.next_in = (unsigned char *)bytes->data;
    zlib.avail_in = (unsigned)bytes->length;
    while (status == Z_OK) {
        char *room = buffer_reserve(out, 65536);
        cr_assert_not_null(room);
        zlib.next_out = (unsigned char *)room;
        zlib.avail_out = 65536;
        status = inflate(&zlib, Z_NO_FLUSH);
        out->length += 65536 - zlib.avail_out;
    }
    cr_assert_eq(status, Z_STREAM_END, "inflate: %s", zError(status));
    cr_assert_eq(zlib.avail_in, 0, "something comes after the gzip member");
    inflateEnd(&zlib);
}

/* Many sites: deep stacks that share callers, and more bytes than one chunk holds. */
static const struct profile *large_profile(size_t sites)
{
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, sites);
    for (size_t i = 0; i < sites; i++) {
        struct sample_frame frames[20];
        char leaf[64];
        (void)snprintf(leaf, sizeof(leaf), "example.com/app/pkg.(*Type%zu).Method", i / 4);
        for (size_t depth = 0; depth < 20; depth++)
            frames[depth] =
                (struct sample_frame){.function = depth == 0 ? leaf : "net/http.(*conn).serve",
                                      .file = "/src/some/where/file.go",
                                      .address = 0x400000 + 16 * (depth == 0 ? 1000 + i : depth),
                                      .line = (uint32_t)(depth == 0 ? i : depth) + 1};
        sample_entry(profile, sample_site(table, frames, 20, 0, 16 + i % 512), i + 1, i / 2);
    }
    site_table_unref(table);
    return profile_seal(profile);
}

Test(profile_writer, compresses_exactly_what_it_writes_uncompressed)
{
    const struct profile *profile = large_profile(5000);
    struct buffer packed;
    struct buffer plain;
    struct buffer unpacked;
    struct error err = {0};
    buffer_init(&packed, TEST_BUFFER_MAX_BYTES);
    buffer_init(&plain, TEST_BUFFER_MAX_BYTES);
    buffer_init(&unpacked, TEST_BUFFER_MAX_BYTES);
    cr_assert(profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &packed, &err));
    cr_assert(profile_write_proto(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &plain, &err));
    gunzip(&packed, &unpacked);
    cr_assert_gt(plain.length, 200000);
    cr_assert_lt(packed.length, plain.length / 2);
    cr_assert_eq(unpacked.length, plain.length);
    cr_assert_eq(memcmp(unpacked.data, plain.data, plain.length), 0);
    buffer_release(&unpacked);
    buffer_release(&plain);
    buffer_release(&packed);
    profile_unref(profile);
}

Test(profile_writer, writes_each_shared_location_and_function_once)
{
    char *text = raw_text(large_profile(5000), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    /* a leaf per site and 19 shared callers */
    cr_assert_eq(occurrences(text, " M=1 "), 5000 + 19);
    cr_assert_eq(occurrences(text, "net/http.(*conn).serve"), 19);
    assert_has(text, "      50000   20350000 ");
    free(text);
}

Test(profile_writer, turns_hostile_names_into_utf8_that_pprof_still_reads)
{
    static const struct sample_frame frames[] = {
        {"main.\xff\xfe\"quote\\back\n\x01", "/src/\xc3(.go", 0x401001, 5, 3, 0},
        {"main.caf\xc3\xa9.\xe6\x97\xa5", "/src/a.go", 0x402001, 6, 3, 0},
    };
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 2, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, "main.\xef\xbf\xbd\xef\xbf\xbd\"quote\\back\n\x01");
    assert_has(text, "/src/\xef\xbf\xbd(.go:5:0");
    assert_has(text, "main.caf\xc3\xa9.\xe6\x97\xa5");
    const size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        const size_t step =
            (unsigned char)text[at] < 0x80 ? 1 : json_utf8_length(text + at, length - at);
        cr_assert_neq(step, 0, "byte %zu is not UTF-8", at);
        at += step;
    }
    free(text);
}

Test(profile_writer, reads_a_name_of_a_hundred_thousand_bytes)
{
    enum { NAME_BYTES = 100000 };
    char *name = malloc(NAME_BYTES + 1);
    memset(name, 'n', NAME_BYTES);
    name[NAME_BYTES] = '\0';
    const struct sample_frame frames[] = {{name, "/src/a.go", 0x401001, 5, 3, 0}};
    struct site_table *table = site_table_new();
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 1, 0, 8), 1, 0);
    site_table_unref(table);

    char *text = raw_text(profile_seal(profile), PROFILE_DEFAULT_INUSE_SPACE, NULL, 0);
    assert_has(text, name);
    free(text);
    free(name);
}

Test(profile_writer, refuses_to_outgrow_its_buffer_and_leaves_it_as_it_was)
{
    const struct profile *profile = large_profile(2000);
    for (int compressed = 0; compressed < 2; compressed++) {
        struct buffer out;
        struct error err = {0};
        buffer_init(&out, 1000);
        buffer_append_string(&out, "before");
        const bool ok =
            compressed
                ? profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &out, &err)
                : profile_write_proto(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &out, &err);
        cr_assert_not(ok);
        cr_assert_eq(err.code, ERROR_LIMIT);
        cr_assert_not_null(strstr(err.message, "1000 bytes"), "%s", err.message);
        cr_assert_eq(out.length, 6);
        buffer_release(&out);
    }
    profile_unref(profile);
}

Test(profile_writer, fits_a_buffer_that_is_just_large_enough)
{
    const struct profile *profile = large_profile(300);
    struct buffer roomy;
    struct error err = {0};
    buffer_init(&roomy, TEST_BUFFER_MAX_BYTES);
    cr_assert(profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &roomy, &err));

    struct buffer tight;
    buffer_init(&tight, roomy.length);
    cr_assert(profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &tight, &err), "%s",
              err.message);
    buffer_release(&tight);

    buffer_init(&tight, roomy.length - 1);
    cr_assert_not(profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, &tight, &err));
    buffer_release(&tight);
    buffer_release(&roomy);
    profile_unref(profile);
}

typedef bool write_function(const struct profile *profile, struct buffer *out, struct error *err);

static bool write_gzip(const struct profile *profile, struct buffer *out, struct error *err)
{
    static const char *const comments[] = {"a comment"};
    return profile_write_gzip(profile, PROFILE_DEFAULT_ALLOC_SPACE, comments, 1, out, err);
}

static bool write_proto(const struct profile *profile, struct buffer *out, struct error *err)
{
    return profile_write_proto(profile, PROFILE_DEFAULT_ALLOC_SPACE, NULL, 0, out, err);
}

/* Fails every allocation once: each time there is an error, and no half of a profile. */
static void fail_each_allocation(write_function *write)
{
    const struct profile *profile = large_profile(3000); /* enough to grow every table */
    for (uint64_t n = 0;; n++) {
        struct buffer out;
        struct error err = {0};
        buffer_init(&out, TEST_BUFFER_MAX_BYTES);
        buffer_append_string(&out, "before");
        failing_allocator_arm(n);
        const bool ok = write(profile, &out, &err);
        const bool failed = failing_allocator_disarm();
        cr_assert_eq(ok, !failed, "allocation %llu", (unsigned long long)n);
        if (failed) {
            cr_assert(err.code == ERROR_NO_MEMORY || err.code == ERROR_LIMIT);
            cr_assert_neq(err.message[0], '\0');
            cr_assert_eq(out.length, 6);
        }
        buffer_release(&out);
        if (!failed) {
            cr_assert_gt(n, 5);
            break;
        }
    }
    profile_unref(profile);
}

Test(profile_writer, survives_the_failure_of_each_allocation)
{
    fail_each_allocation(write_gzip);
    fail_each_allocation(write_proto);
}

Test(profile_text, survives_the_failure_of_each_allocation)
{
    fail_each_allocation(profile_write_text);
}
