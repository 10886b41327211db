/* columns.c - snapshots come back from their block as they went in. */
#include "core/store/columns.h"

#include <criterion/criterion.h>

#include "core/store/heap_classes.h"
#include "tests/unit/store/samples.h"

enum { SITES = 8, ROUNDS = 60 };

static void compare_entries(const struct top_entry *a, const struct top_entry *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert_eq(a[i].type_name, b[i].type_name);
        cr_assert_eq(a[i].tag, b[i].tag);
        cr_assert_eq(a[i].package, b[i].package);
        cr_assert_eq(a[i].site, b[i].site);
        cr_assert_eq(a[i].alloc_objects, b[i].alloc_objects);
        cr_assert_eq(a[i].alloc_bytes, b[i].alloc_bytes);
        cr_assert_eq(a[i].inuse_objects, b[i].inuse_objects);
        cr_assert_eq(a[i].inuse_bytes, b[i].inuse_bytes);
        cr_assert_eq(a[i].site_count, b[i].site_count);
        for (size_t f = 0; f < RETENTION_FIGURE_COUNT; f++) {
            const struct retention_field *field = &retention_fields[f];
            const size_t bytes = field->kind == RETENTION_FLAG ? sizeof(bool) : sizeof(double);
            cr_assert_arr_eq((const char *)&a[i].retention + field->offset,
                             (const char *)&b[i].retention + field->offset, bytes);
        }
    }
}

static void compare_snapshots(const struct snapshot *a, const struct snapshot *b)
{
    cr_assert_eq(a->sequence, b->sequence);
    cr_assert_eq(a->realtime_ns, b->realtime_ns);
    cr_assert_eq(a->monotonic_ns, b->monotonic_ns);
    cr_assert_eq(a->generation, b->generation);
    cr_assert_eq(a->partial, b->partial);
    cr_assert_eq(a->partial_reason, b->partial_reason);
    cr_assert_arr_eq(&a->values, &b->values, sizeof(a->values));
    cr_assert_eq(a->tops == NULL, b->tops == NULL);
    if (a->tops != NULL) {
        cr_assert_eq(a->tops->sites, b->tops->sites);
        cr_assert_eq(a->tops->allocation_count, b->tops->allocation_count);
        cr_assert_eq(a->tops->retention_count, b->tops->retention_count);
        compare_entries(a->tops->allocations, b->tops->allocations, a->tops->allocation_count);
        compare_entries(a->tops->retentions, b->tops->retentions, a->tops->retention_count);
    }
    cr_assert_eq(a->heap_classes == NULL, b->heap_classes == NULL);
    if (a->heap_classes != NULL) {
        cr_assert_eq(a->heap_classes->taken_realtime_ns, b->heap_classes->taken_realtime_ns);
        cr_assert_eq(a->heap_classes->count, b->heap_classes->count);
        cr_assert_arr_eq(a->heap_classes->classes, b->heap_classes->classes,
                         sizeof(a->heap_classes->classes[0]) * a->heap_classes->count);
    }
}

static const struct tops *random_tops(struct site_table *table, const struct site *const *sites,
                                      uint64_t *random)
{
    struct profile *profile = profile_begin(table, SITES);
    cr_assert_not_null(profile);
    const size_t count = sample_random(random) % (SITES + 1);
    for (size_t i = 0; i < count; i++)
        sample_entry(profile, sites[i], (int64_t)(sample_random(random) % 100000),
                     (int64_t)(sample_random(random) % 3 * 5000));
    const struct profile *sealed = profile_seal(profile);
    const struct tops *tops = tops_new(sealed, GROUP_SITE, SNAPSHOT_TOP_MAX);
    cr_assert_not_null(tops);
    profile_unref(sealed);
    return tops;
}

static const struct heap_classes *random_classes(uint64_t *random)
{
    struct heap_class classes[5];
    for (size_t i = 0; i < 5; i++)
        classes[i] = (struct heap_class){sample_random(random), sample_random(random) % 2 + 1,
                                         sample_random(random), sample_random(random) % 900,
                                         sample_random(random) % 3};
    const struct heap_classes *made = heap_classes_new(classes, 5, sample_random(random));
    cr_assert_not_null(made);
    return made;
}

/* Quiet, busy or wild, with members that are absent and clocks that are set back. */
static const struct snapshot *random_snapshot(const struct snapshot *before, struct site_table *table,
                                              const struct site *const *sites, uint64_t *random)
{
    static const char reason[] = "a reason";
    const uint64_t before_ns = before != NULL ? before->monotonic_ns : 0;
    struct snapshot *snapshot =
        snapshot_begin(sample_random(random) % 9 == 0 ? sample_random(random) : before_ns + 7,
                       before_ns + 1000000000 + sample_random(random) % 1000);
    cr_assert_not_null(snapshot);
    snapshot->sequence = before != NULL ? before->sequence + 1 : sample_random(random);
    snapshot->generation = sample_random(random) % 3;
    snapshot->partial = sample_random(random) % 2 != 0;
    snapshot->partial_reason = snapshot->partial ? reason : NULL;
    if (before != NULL)
        snapshot->values = before->values;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const uint64_t kind = sample_random(random) % 4;
        uint64_t value = kind == 0 ? sample_random(random) : sample_random(random) % 1000;
        if (kind > 1)
            continue;
        memcpy((char *)&snapshot->values + snapshot_fields[i].offset, &value, sizeof(value));
        snapshot->values.present[i / 64] ^= sample_random(random) % 2 << i % 64;
    }
    const uint64_t tops = sample_random(random) % 4;
    if (tops == 0)
        snapshot->tops = random_tops(table, sites, random);
    else if (tops != 1 && before != NULL && before->tops != NULL)
        snapshot->tops = tops_ref(before->tops);
    const uint64_t classes = sample_random(random) % 4;
    if (classes == 0)
        snapshot->heap_classes = random_classes(random);
    else if (classes != 1 && before != NULL && before->heap_classes != NULL)
        snapshot->heap_classes = heap_classes_ref(before->heap_classes);
    return snapshot_seal(snapshot);
}

static void round_trip(uint64_t *random)
{
    const struct snapshot *in[COLUMNS_SNAPSHOTS_MAX];
    const struct snapshot *out[COLUMNS_SNAPSHOTS_MAX];
    const size_t count = sample_random(random) % COLUMNS_SNAPSHOTS_MAX + 1;
    struct site_table *table = NULL;
    const struct site *sites[SITES];
    for (size_t i = 0; i < count; i++) {
        if (i % 40 == 0) { /* the process was restarted: other sites */
            if (table != NULL)
                site_table_unref(table);
            table = site_table_new();
            cr_assert_not_null(table);
            for (size_t s = 0; s < SITES; s++)
                sites[s] = sample_site(table, "main.work main.main", 0, 16 * (s + 1));
        }
        in[i] = random_snapshot(i % 40 > 0 ? in[i - 1] : NULL, table, sites, random);
    }
    site_table_unref(table);
    const struct columns *columns = columns_new(in, count);
    cr_assert_not_null(columns);
    cr_assert_eq(columns_count(columns), count);
    cr_assert(columns_decode(columns, out));
    for (size_t i = 0; i < count; i++) {
        compare_snapshots(in[i], out[i]);
        cr_assert(columns_overlap(columns, in[i]->realtime_ns, in[i]->realtime_ns));
        snapshot_unref(in[i]); /* from here on the block alone holds the sites */
        snapshot_unref(out[i]);
    }
    cr_assert(columns_decode(columns, out));
    columns_unref(columns);
    for (size_t i = 0; i < count; i++)
        snapshot_unref(out[i]);
}

Test(columns, give_back_every_bit_of_random_snapshots)
{
    uint64_t random = 11;
    for (size_t i = 0; i < ROUNDS; i++)
        round_trip(&random);
}

Test(columns, share_the_top_lists_of_one_gc_after_unpacking)
{
    struct site_table *table = site_table_new();
    const struct site *sites[SITES];
    for (size_t s = 0; s < SITES; s++)
        sites[s] = sample_site(table, "main.work main.main", 0, 16 * (s + 1));
    uint64_t random = 3;
    const struct tops *tops = random_tops(table, sites, &random);
    const struct snapshot *in[2];
    for (size_t i = 0; i < 2; i++) {
        struct snapshot *snapshot = snapshot_begin(i, i);
        snapshot->tops = tops_ref(tops);
        in[i] = snapshot_seal(snapshot);
    }
    const struct columns *columns = columns_new(in, 2);
    const struct snapshot *out[COLUMNS_SNAPSHOTS_MAX];
    cr_assert(columns_decode(columns, out));
    cr_assert_eq(out[0]->tops, out[1]->tops);
    size_t tables = 0;
    cr_assert_eq(columns_site_tables(columns, &tables)[0], table);
    cr_assert_eq(tables, 1);
    for (size_t i = 0; i < 2; i++) {
        snapshot_unref(in[i]);
        snapshot_unref(out[i]);
    }
    columns_unref(columns);
    tops_unref(tops);
    site_table_unref(table);
}

Test(columns, of_a_steady_target_take_a_small_part_of_what_the_snapshots_took)
{
    const struct snapshot *in[COLUMNS_SNAPSHOTS_MAX];
    for (uint64_t i = 0; i < COLUMNS_SNAPSHOTS_MAX; i++)
        in[i] = sample_snapshot(i + 1);
    const struct columns *columns = columns_new(in, COLUMNS_SNAPSHOTS_MAX);
    cr_assert_lt(columns_bytes(columns), COLUMNS_SNAPSHOTS_MAX * sizeof(struct snapshot) / 20);
    for (size_t i = 0; i < COLUMNS_SNAPSHOTS_MAX; i++)
        snapshot_unref(in[i]);
    columns_unref(columns);
}

Test(columns, of_nothing_or_of_too_many_do_not_exist)
{
    cr_assert_null(columns_new(NULL, 0));
    cr_assert_null(columns_new(NULL, COLUMNS_SNAPSHOTS_MAX + 1));
    columns_unref(NULL);
}
