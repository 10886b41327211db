/* samples.c - see the header. */
#include "tests/unit/store/samples.h"

enum { SAMPLE_FRAMES_MAX = 64 };

const struct site *sample_site(struct site_table *table, const char *functions, size_t hidden,
                               uint64_t object_bytes)
{
    struct frame frames[SAMPLE_FRAMES_MAX] = {0};
    size_t count = 0;
    for (const char *at = functions; *at != '\0' && count < SAMPLE_FRAMES_MAX;) {
        const size_t length = strcspn(at, " ");
        frames[count] = (struct frame){
            .function = site_table_string(table, at, length),
            .file = site_table_string(table, "main.go", 7),
            .address = 0x400000 + count,
            .line = (uint32_t)count + 1,
            .starts_location = true,
        };
        if (frames[count].function == NULL || frames[count].file == NULL)
            return NULL;
        count++;
        at += length;
        at += strspn(at, " ");
    }
    struct error err;
    return site_table_add(
        table,
        &(struct site_facts){.frames = frames,
                              .frame_count = count,
                              .hidden_count = hidden,
                              .object_bytes = object_bytes},
        &err);
}

void sample_entry(struct profile *profile, const struct site *site, int64_t alloc_bytes,
                  int64_t inuse_bytes)
{
    profile->entries[profile->entry_count++] = (struct profile_entry){
        .site = site,
        .allocs = 1,
        .alloc_objects = alloc_bytes / 16,
        .alloc_bytes = alloc_bytes,
        .inuse_objects = inuse_bytes / 16,
        .inuse_bytes = inuse_bytes,
    };
}

const struct snapshot *sample_snapshot(uint64_t second)
{
    const uint64_t start_ns = UINT64_C(1700000000) * 1000000000;
    struct snapshot *snapshot = snapshot_begin(start_ns + second * 1000000000, second * 1000000000);
    if (snapshot == NULL)
        return NULL;
    snapshot->sequence = second;
    snapshot->generation = 1;
    SNAPSHOT_SET(&snapshot->values, heap_alloc_bytes, second * 1000);
    return snapshot_seal(snapshot);
}

const struct target_info *sample_info(const char *id, const char *name)
{
    const struct target_facts facts = {
        .id = id, .name = name, .source = SOURCE_PROCESS, .state = TARGET_UP, .pid = 7};
    return target_info_new(&facts, NULL, 0);
}

uint64_t sample_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}
