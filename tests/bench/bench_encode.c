/* bench_encode.c SITES RUNS - writing a profile made by hand: pprof with and without gzip, and
 * text.
 *
 * Stacks of 20 frames; each site has a leaf of its own and shares its callers with some others, as
 * in a server.  The peer is zlib alone, at the same level over the same bytes. */
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/pprof/gzip_stream.h"
#include "core/pprof/profile_writer.h"
#include "core/store/profile.h"
#include "tests/bench/bench.h"

enum { STACK_FRAMES = 20, SITES_A_LEAF = 4, FUNCTIONS_A_LEVEL = 50, TEXT_MAX_BYTES = 256 << 20 };

static const char *keep_text(struct site_table *table, const char *text, int length)
{
    const char *kept = site_table_string(table, text, (size_t)length);
    if (kept == NULL)
        bench_fail("the site table is full");
    return kept;
}

static const char *function_name(struct site_table *table, size_t depth, size_t which)
{
    char text[128];
    const int length =
        snprintf(text, sizeof(text), "example.com/shop/internal/level%zu.(*Service%zu).Handle",
                 depth, which);
    return keep_text(table, text, length);
}

static const char *file_name(struct site_table *table, size_t depth, size_t which)
{
    char text[128];
    const int length =
        snprintf(text, sizeof(text), "/src/shop/internal/level%zu/service%zu.go", depth, which);
    return keep_text(table, text, length);
}

static const struct site *add_site(struct site_table *table, size_t number)
{
    struct frame frames[STACK_FRAMES];
    struct error err = {0};
    for (size_t depth = 0; depth < STACK_FRAMES; depth++) {
        const size_t which = depth == 0 ? number / SITES_A_LEAF : number % FUNCTIONS_A_LEVEL;
        const size_t line = depth == 0 ? number : which;
        frames[depth] = (struct frame){.function = function_name(table, depth, which),
                                       .file = file_name(table, depth, which),
                                       .address = UINT64_C(0x400000) + ((depth << 20) + line) * 16,
                                       .line = (uint32_t)line + 1,
                                       .start_line = 1,
                                       .starts_location = true};
    }
    const struct site *site = site_table_add(
        table,
        &(struct site_facts){.frames = frames,
                              .frame_count = STACK_FRAMES,
                              .hidden_count = 0,
                              .object_bytes = 48},
        &err);
    if (site == NULL)
        bench_fail("%s", err.message);
    return site;
}

static const struct profile *make_profile(size_t sites)
{
    struct site_table *table = site_table_new();
    struct profile *profile = table == NULL ? NULL : profile_begin(table, sites);
    if (profile == NULL)
        bench_fail("no memory");
    profile->rate = 524288;
    for (size_t i = 0; i < sites; i++)
        profile->entries[profile->entry_count++] =
            (struct profile_entry){.site = add_site(table, i),
                                   .allocs = i + 2,
                                   .frees = i / 2,
                                   .alloc_objects = (int64_t)i * 10923,
                                   .alloc_bytes = (int64_t)i * 10923 * 48,
                                   .inuse_objects = (int64_t)i * 5000,
                                   .inuse_bytes = (int64_t)i * 5000 * 48,
                                   .block_bytes = 48};
    site_table_unref(table);
    return profile_seal(profile);
}

enum output { OUTPUT_PROTO, OUTPUT_GZIP, OUTPUT_TEXT };

static void write_once(const struct profile *profile, enum output output, struct buffer *out)
{
    struct error err = {0};
    bool ok = false;
    switch (output) {
    case OUTPUT_PROTO:
        ok = profile_write_proto(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, out, &err);
        break;
    case OUTPUT_GZIP:
        ok = profile_write_gzip(profile, PROFILE_DEFAULT_INUSE_SPACE, NULL, 0, out, &err);
        break;
    case OUTPUT_TEXT:
        ok = profile_write_text(profile, out, &err);
        break;
    }
    if (!ok)
        bench_fail("%s", err.message);
}

static void run_output(const char *name, const struct profile *profile, enum output output,
                       size_t runs, struct bench_series *series)
{
    size_t bytes = 0;
    for (size_t i = 0; i < runs; i++) {
        struct buffer out;
        buffer_init(&out, TEXT_MAX_BYTES);
        const uint64_t before_ns = clock_thread_cpu_ns();
        write_once(profile, output, &out);
        bench_add(series, (double)(clock_thread_cpu_ns() - before_ns) / (double)CLOCK_NS_PER_MS);
        bytes = out.length;
        buffer_release(&out);
    }
    bench_print(name, "ms", series);
    printf("  %-58s %zu bytes\n", "size", bytes);
}

static void run_zlib_alone(const struct profile *profile, size_t runs, struct bench_series *series)
{
    struct buffer plain;
    struct error err = {0};
    buffer_init(&plain, TEXT_MAX_BYTES);
    write_once(profile, OUTPUT_PROTO, &plain);
    for (size_t i = 0; i < runs; i++) {
        struct buffer out;
        buffer_init(&out, TEXT_MAX_BYTES);
        const uint64_t before_ns = clock_thread_cpu_ns();
        struct gzip_stream *gzip = gzip_stream_new(&out, &err);
        if (gzip == NULL || !gzip_stream_write(gzip, plain.data, plain.length, &err) ||
            !gzip_stream_finish(gzip, &err))
            bench_fail("%s", err.message);
        gzip_stream_free(gzip);
        bench_add(series, (double)(clock_thread_cpu_ns() - before_ns) / (double)CLOCK_NS_PER_MS);
        buffer_release(&out);
    }
    buffer_release(&plain);
    bench_print("peer: zlib alone over the same bytes", "ms", series);
}

int main(int argc, char **argv)
{
    static struct bench_series proto;
    static struct bench_series gzip;
    static struct bench_series text;
    static struct bench_series zlib;
    if (argc != 3)
        bench_fail("usage: bench_encode SITES RUNS");
    const size_t sites = (size_t)bench_number(argv[1], "SITES", 1, 100000);
    const size_t runs = (size_t)bench_number(argv[2], "RUNS", 1, BENCH_RUNS_MAX);

    const struct profile *profile = make_profile(sites);
    run_output("profile.proto", profile, OUTPUT_PROTO, runs, &proto);
    run_output("profile.proto, gzipped", profile, OUTPUT_GZIP, runs, &gzip);
    run_output("text (?debug=1)", profile, OUTPUT_TEXT, runs, &text);
    run_zlib_alone(profile, runs, &zlib);
    printf("  %-58s %.2f\n", "gzipped profile over zlib alone",
           bench_percentile(&gzip, 50) / bench_percentile(&zlib, 50));
    profile_unref(profile);
    return 0;
}
