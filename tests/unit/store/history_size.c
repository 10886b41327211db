/* history_size.c - how much room the history of a busy service takes, in memory and on disk.
 *
 * Sizes do not depend on the machine, so they are asserted.  The service is made up like the demo's: a GC every other
 * second, new top lists and a new profile with each, two dozen numbers that change every second. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/store/board.h"
#include "core/store/pack.h"
#include "core/store/segment.h"
#include "tests/unit/store/samples.h"

enum { SECONDS = 1800, SITES = 24, FLUSH_SECONDS = 10 };
#define SECOND_NS UINT64_C(1000000000)

struct service {
    struct site_table *table;
    const struct site *sites[SITES];
    int64_t allocated[SITES];
    int64_t held[SITES];
    uint64_t random;
    const struct profile *profile;
    const struct tops *tops;
    struct snapshot_values values;
};

static uint64_t below(struct service *service, uint64_t limit)
{
    return sample_random(&service->random) % limit;
}

static void open_service(struct service *service)
{
    *service = (struct service){.table = site_table_new(), .random = 88172645463325252};
    for (size_t i = 0; i < SITES; i++) {
        char functions[128];
        (void)snprintf(functions, sizeof(functions),
                       "main.(*store%zu).put main.(*shop).handle%zu net/http.serve runtime.goexit", i, i % 7);
        service->sites[i] = sample_site(service->table, functions, 0, 16 * (i + 1));
        cr_assert_not_null(service->sites[i]);
    }
}

static void close_service(struct service *service)
{
    profile_unref(service->profile);
    tops_unref(service->tops);
    site_table_unref(service->table);
}

/* A third of the sites are busy, some hold more each time. */
static void collect(struct service *service, uint64_t second)
{
    struct snapshot_values *values = &service->values;
    site_table_begin_read(service->table, second * SECOND_NS, 600 * SECOND_NS);
    struct profile *profile = profile_begin(service->table, SITES);
    cr_assert_not_null(profile);
    profile->taken_realtime_ns = second * SECOND_NS;
    profile->cycle = second;
    profile->rate = 512 * 1024;
    for (size_t i = 0; i < SITES; i++) {
        if (i % 3 == 0) {
            service->allocated[i] += (int64_t)below(service, 4 << 20);
            service->held[i] += i % 6 == 0 ? (int64_t)below(service, 65536) : 0;
        }
        sample_entry(profile, service->sites[i], service->allocated[i], service->held[i]);
    }
    profile_unref(service->profile);
    tops_unref(service->tops);
    service->profile = profile_seal(profile);
    service->tops = tops_new(service->profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    SNAPSHOT_SET(values, num_gc, values->num_gc + 1);
    SNAPSHOT_SET(values, last_gc_unix, (int64_t)second);
    SNAPSHOT_SET(values, next_gc_bytes, (80 << 20) + below(service, 1 << 20));
    SNAPSHOT_SET(values, heap_live_bytes, (40 << 20) + second * 4096 + below(service, 65536));
    SNAPSHOT_SET(values, gc_pause_total_ns, values->gc_pause_total_ns + 20000 + below(service, 80000));
    SNAPSHOT_SET(values, last_gc_pause_ns, 20000 + below(service, 80000));
    SNAPSHOT_SET(values, profile_sites, SITES);
    SNAPSHOT_SET(values, profile_inuse_bytes, (uint64_t)service->profile->totals.inuse_bytes);
    SNAPSHOT_SET(values, profile_alloc_bytes, (uint64_t)service->profile->totals.alloc_bytes);
    SNAPSHOT_SET(values, profile_inuse_objects, (uint64_t)service->profile->totals.inuse_objects);
    SNAPSHOT_SET(values, profile_alloc_objects, (uint64_t)service->profile->totals.alloc_objects);
}

static const struct snapshot *next_second(struct service *service, uint64_t second)
{
    struct snapshot_values *values = &service->values;
    if (second % 2 == 0)
        collect(service, second);
    const uint64_t allocated = below(service, 24 << 20);
    SNAPSHOT_SET(values, total_alloc_bytes, values->total_alloc_bytes + allocated);
    SNAPSHOT_SET(values, mallocs, values->mallocs + allocated / 64);
    SNAPSHOT_SET(values, frees, values->frees + allocated / 70);
    SNAPSHOT_SET(values, heap_alloc_bytes, (40 << 20) + allocated);
    SNAPSHOT_SET(values, heap_objects, 500000 + allocated / 64);
    SNAPSHOT_SET(values, heap_inuse_bytes, (44 << 20) + allocated / 8192 * 8192);
    SNAPSHOT_SET(values, heap_idle_bytes, (60 << 20) - allocated / 8192 * 8192);
    SNAPSHOT_SET(values, heap_sys_bytes, 104 << 20);
    SNAPSHOT_SET(values, goroutines, 40 + below(service, 4));
    SNAPSHOT_SET(values, cpu_ns, values->cpu_ns + 200000000 + below(service, 30000000));
    SNAPSHOT_SET(values, rss_bytes, (110 << 20) + below(service, 64) * 4096);
    SNAPSHOT_SET(values, rss_anon_bytes, (100 << 20) + below(service, 64) * 4096);
    SNAPSHOT_SET(values, memory_growth_bytes_per_second, (double)below(service, 100000));
    SNAPSHOT_SET(values, rss_parts_age_ns, second % 60 * SECOND_NS + below(service, 100000));
    SNAPSHOT_SET(values, read_duration_ns, 300000 + below(service, 500000));
    SNAPSHOT_SET(values, read_bytes, 20000 + below(service, 2) * 4096);
    struct snapshot *snapshot = snapshot_begin(second * SECOND_NS + below(service, 300000),
                                               (second - 5) * SECOND_NS + below(service, 200000));
    cr_assert_not_null(snapshot);
    snapshot->sequence = second - 9;
    snapshot->generation = 1;
    snapshot->values = *values;
    if (service->tops != NULL)
        snapshot->tops = tops_ref(service->tops);
    return snapshot_seal(snapshot);
}

Test(history_size, in_memory_is_at_most_300_bytes_a_snapshot_with_its_top_lists)
{
    struct service service;
    struct error err;
    struct board *board = board_new(SECONDS);
    open_service(&service);
    for (uint64_t second = 10; second < SECONDS + 10; second++) {
        const struct target_view view = {.info = sample_info("shop", "shop"),
                                         .snapshot = next_second(&service, second)};
        cr_assert(board_publish(board, &view, 1, second * SECOND_NS, &err), "%s", err.message);
    }
    const uint64_t bytes = atomic_load(&board_counters(board)->history_bytes);
    cr_log_info("%.1f bytes a snapshot", (double)bytes / SECONDS);
    cr_expect_leq(bytes, 300 * SECONDS, "%.1f bytes a snapshot", (double)bytes / SECONDS);
    close_service(&service);
    board_free(board);
}

Test(history_size, on_disk_is_at_most_120_bytes_a_snapshot_with_top_lists_and_largest_sites)
{
    struct service service;
    struct buffer plain;
    struct error err;
    char folder[] = "/tmp/goprofd-history-size-XXXXXX";
    char path[64];
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/segment", folder);
    struct segment_writer *segment = segment_create(path, &err);
    struct packer *packer = packer_new("a-boot");
    const struct target_info *info = sample_info("shop", "shop");
    cr_assert(segment != NULL && packer != NULL, "%s", err.message);
    buffer_init(&plain, 1 << 20);
    open_service(&service);
    for (uint64_t second = 10; second < SECONDS + 10; second++) {
        const struct snapshot *snapshot = next_second(&service, second);
        cr_assert(packer_add(packer, info, snapshot, service.profile, &plain, &err), "%s", err.message);
        snapshot_unref(snapshot);
        if (second % FLUSH_SECONDS == 0) {
            cr_assert(segment_append(segment, plain.data, plain.length, &err), "%s", err.message);
            buffer_clear(&plain);
        }
    }
    const uint64_t bytes = segment_bytes(segment);
    cr_log_info("%.1f bytes a snapshot", (double)bytes / SECONDS);
    cr_expect_leq(bytes, 120 * SECONDS, "%.1f bytes a snapshot", (double)bytes / SECONDS);
    segment_close(segment);
    packer_free(packer);
    target_info_unref(info);
    close_service(&service);
    buffer_release(&plain);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rmdir(folder), 0);
}
