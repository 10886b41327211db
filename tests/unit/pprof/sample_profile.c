/* sample_profile.c - small profiles for the tests of this folder, built by hand. */
#include "sample_profile.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/store/profile.h"

enum { SAMPLE_FRAMES_MAX = 64 };

const struct site *sample_site(struct site_table *table, const struct sample_frame *frames,
                               size_t count, size_t hidden, uint64_t object_bytes)
{
    struct frame copy[SAMPLE_FRAMES_MAX];
    struct error err = {0};
    cr_assert_leq(count, SAMPLE_FRAMES_MAX);
    for (size_t i = 0; i < count; i++) {
        copy[i] = (struct frame){
            .function = site_table_string(table, frames[i].function, strlen(frames[i].function)),
            .file = site_table_string(table, frames[i].file, strlen(frames[i].file)),
            .address = frames[i].address,
            .line = frames[i].line,
            .start_line = frames[i].start_line,
            .starts_location = frames[i].inlined_callee_before == 0};
    }
    const struct site *site = site_table_add(
        table,
        &(struct site_facts){.frames = copy,
                              .frame_count = count,
                              .hidden_count = hidden,
                              .object_bytes = object_bytes},
        &err);
    cr_assert_not_null(site, "%s", err.message);
    return site;
}

struct profile *sample_profile_begin(struct site_table *table, size_t capacity)
{
    static const struct mapping mapping = {.start = 0x400000,
                                           .limit = 0x800000,
                                           .offset = 0x1000,
                                           .file = "/srv/app",
                                           .build_id = "0123456789abcdef"};
    struct error err = {0};
    struct profile *profile = profile_begin(table, capacity);
    cr_assert_not_null(profile);
    profile->rate = 524288;
    profile->taken_realtime_ns = UINT64_C(1764000000000000000);
    profile->mappings = site_table_copy_mappings(table, &mapping, 1, &err);
    profile->mapping_count = 1;
    cr_assert_not_null(profile->mappings, "%s", err.message);
    return profile;
}

void sample_entry(struct profile *profile, const struct site *site, uint64_t allocs, uint64_t frees)
{
    cr_assert_lt(profile->entry_count, profile->entry_capacity);
    profile->entries[profile->entry_count++] =
        (struct profile_entry){.site = site,
                               .allocs = allocs,
                               .frees = frees,
                               .alloc_objects = (int64_t)(allocs * 10),
                               .alloc_bytes = (int64_t)(allocs * site->object_bytes * 10),
                               .inuse_objects = (int64_t)((allocs - frees) * 10),
                               .inuse_bytes = (int64_t)((allocs - frees) * site->object_bytes * 10),
                               .block_bytes = (int64_t)site->object_bytes};
}

const struct profile *sample_profile_small(void)
{
    static const struct sample_frame frames[] = {
        {"main.leak", "/src/app/leak.go", 0x401234, 17, 12, 0},
        {"main.main", "/src/app/main.go", 0x402345, 30, 20, 0},
    };
    struct site_table *table = site_table_new();
    cr_assert_not_null(table);
    struct profile *profile = sample_profile_begin(table, 1);
    sample_entry(profile, sample_site(table, frames, 2, 0, 64), 3, 1);
    site_table_unref(table); /* the profile has its own hold */
    return profile_seal(profile);
}

int sample_run(const char *command, struct buffer *out)
{
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    char chunk[4096];
    size_t length;
    while ((length = fread(chunk, 1, sizeof(chunk), pipe)) > 0)
        buffer_append(out, chunk, length);
    return pclose(pipe);
}

void sample_pprof_raw(const struct buffer *bytes, struct buffer *out)
{
    char path[] = "/tmp/goprofd-test-XXXXXX";
    char command[512];
    const int fd = mkstemp(path);
    cr_assert_neq(fd, -1);
    cr_assert_eq(write(fd, bytes->data, bytes->length), (ssize_t)bytes->length);
    close(fd);
    (void)snprintf(command, sizeof(command),
                   "GO=$(sh '%s/tests/support/go_toolchain.sh' path) && "
                   "PPROF_TMPDIR=/tmp GOTOOLCHAIN=local \"$GO\" tool pprof -raw %s 2>&1",
                   GOPROFD_SOURCE_DIR, path);
    const int status = sample_run(command, out);
    unlink(path);
    cr_assert_eq(status, 0, "go tool pprof: %.4000s", buffer_text(out));
}
