/* pack.c - snapshots come back from a history stream as they went in, whole or cut anywhere. */
#include "core/store/pack.h"

#include <criterion/criterion.h>

#include "core/base/buffer.h"
#include "core/store/unpack.h"
#include "tests/unit/store/samples.h"

enum { SITES = 8, ROUNDS = 40, ROWS = 60 };

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
    const struct tops *tops = tops_new(sealed, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    cr_assert_not_null(tops);
    profile_unref(sealed);
    return tops;
}

/* Quiet, busy or wild: members that come and go, clocks that are set back, any bits as a fraction. */
static const struct snapshot *random_snapshot(const struct snapshot *before, struct site_table *table,
                                              const struct site *const *sites, uint64_t *random)
{
    const bool wild = sample_random(random) % 8 == 0;
    const uint64_t last_ns = before != NULL ? before->monotonic_ns : 5;
    struct snapshot *snapshot =
        snapshot_begin(wild ? sample_random(random) : last_ns + 1000, last_ns + 1000000000);
    cr_assert_not_null(snapshot);
    snapshot->sequence = wild ? sample_random(random) : before != NULL ? before->sequence + 1 : 1;
    snapshot->generation = before != NULL ? before->generation : 1;
    snapshot->partial = sample_random(random) % 4 == 0;
    snapshot->partial_reason = snapshot->partial ? "a reason" : NULL;
    if (before != NULL)
        snapshot->values = before->values;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        if (sample_random(random) % 3 != 0)
            continue;
        const uint64_t value = wild ? sample_random(random) : sample_random(random) % 70000;
        memcpy((char *)&snapshot->values + snapshot_fields[i].offset, &value, sizeof(value));
        snapshot->values.present[i / 64] ^= (sample_random(random) & 1) << i % 64;
    }
    if (sample_random(random) % 3 == 0)
        snapshot->tops = random_tops(table, sites, random);
    else if (before != NULL && before->tops != NULL)
        snapshot->tops = tops_ref(before->tops);
    return snapshot_seal(snapshot);
}

static void compare_lists(const struct top_entry *a, const struct top_entry *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cr_assert_str_eq(a[i].type_name, b[i].type_name);
        cr_assert_str_eq(a[i].tag, b[i].tag);
        cr_assert_str_eq(a[i].package, b[i].package);
        cr_assert_str_eq(a[i].site->blame->function, b[i].site->blame->function);
        cr_assert_eq(a[i].site->object_bytes, b[i].site->object_bytes);
        cr_assert_eq(a[i].site->frame_count, b[i].site->frame_count);
        cr_assert_eq(a[i].alloc_objects, b[i].alloc_objects);
        cr_assert_eq(a[i].alloc_bytes, b[i].alloc_bytes);
        cr_assert_eq(a[i].inuse_objects, b[i].inuse_objects);
        cr_assert_eq(a[i].inuse_bytes, b[i].inuse_bytes);
        cr_assert_eq(a[i].site_count, b[i].site_count);
    }
}

static void compare(const struct snapshot *a, const struct snapshot *b)
{
    cr_assert_eq(a->sequence, b->sequence);
    cr_assert_eq(a->realtime_ns, b->realtime_ns);
    cr_assert_eq(a->monotonic_ns, b->monotonic_ns);
    cr_assert_eq(a->generation, b->generation);
    cr_assert_eq(a->partial, b->partial);
    cr_assert_eq(a->partial_reason == NULL, b->partial_reason == NULL);
    cr_assert_arr_eq(&a->values, &b->values, sizeof(a->values));
    cr_assert_eq(a->tops == NULL, b->tops == NULL);
    if (a->tops == NULL)
        return;
    cr_assert_eq(a->tops->allocation_count, b->tops->allocation_count);
    cr_assert_eq(a->tops->retention_count, b->tops->retention_count);
    compare_lists(a->tops->allocations, b->tops->allocations, a->tops->allocation_count);
    compare_lists(a->tops->retentions, b->tops->retentions, a->tops->retention_count);
}

/* Gives the unpacker all of [bytes], but cut into two at [cut]. */
static size_t unpack(const struct buffer *bytes, size_t cut, const struct snapshot **out)
{
    struct unpacker *unpacker = unpacker_new();
    const unsigned char *at = (const unsigned char *)bytes->data;
    const unsigned char *const ends[] = {at + cut, at + bytes->length};
    size_t count = 0;
    cr_assert_not_null(unpacker);
    for (size_t i = 0; i < 2; i++) {
        struct history_row row;
        struct error err;
        enum unpack_result result;
        while ((result = unpacker_next(unpacker, &at, ends[i], &row, &err)) == UNPACK_ROW) {
            cr_assert_str_eq(row.info->facts.id, "demo");
            out[count++] = snapshot_ref(row.snapshot);
        }
        cr_assert_eq(result, UNPACK_MORE, "%s", err.message);
    }
    cr_assert_eq(at, ends[1], "bytes are left over");
    for (size_t i = 0; i < count; i++) { /* the texts live with the unpacker */
        if (out[i]->partial_reason != NULL)
            cr_assert_str_eq(out[i]->partial_reason, "a reason");
    }
    unpacker_free(unpacker);
    return count;
}

static void round_trip(uint64_t *random)
{
    const struct snapshot *in[ROWS];
    const struct snapshot *out[ROWS];
    const struct site *sites[SITES];
    struct site_table *table = site_table_new();
    struct buffer bytes;
    struct error err;
    for (size_t s = 0; s < SITES; s++)
        sites[s] = sample_site(table, s % 2 == 0 ? "main.work main.main" : "main.leak main.main", 0,
                               16 * (s + 1));
    buffer_init(&bytes, 64 << 20);
    struct packer *packer = packer_new("a-boot");
    const struct target_info *info = sample_info("demo", "demo");
    for (size_t i = 0; i < ROWS; i++) {
        in[i] = random_snapshot(i > 0 ? in[i - 1] : NULL, table, sites, random);
        if (i == ROWS / 2)
            packer_restart(packer); /* a stream may hold a second one */
        cr_assert(packer_add(packer, info, in[i], NULL, &bytes, &err), "%s", err.message);
    }
    packer_free(packer);
    target_info_unref(info);
    const size_t count = unpack(&bytes, sample_random(random) % bytes.length, out);
    cr_assert_eq(count, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        compare(in[i], out[i]);
        snapshot_unref(in[i]);
        snapshot_unref(out[i]);
    }
    buffer_release(&bytes);
    site_table_unref(table);
}

Test(pack, gives_back_every_number_bit_for_bit_wherever_the_stream_is_cut)
{
    uint64_t random = 42;
    for (int i = 0; i < ROUNDS; i++)
        round_trip(&random);
}

Test(pack, refuses_what_is_no_stream_and_survives_any_changed_byte)
{
    uint64_t random = 7;
    struct buffer bytes;
    struct error err;
    struct packer *packer = packer_new("");
    const struct target_info *info = sample_info("demo", "demo");
    buffer_init(&bytes, 1 << 20);
    for (uint64_t second = 1; second < 20; second++) {
        const struct snapshot *snapshot = sample_snapshot(second);
        cr_assert(packer_add(packer, info, snapshot, NULL, &bytes, &err));
        snapshot_unref(snapshot);
    }
    for (int i = 0; i < 3000; i++) {
        char *changed = malloc(bytes.length);
        memcpy(changed, bytes.data, bytes.length);
        changed[sample_random(&random) % bytes.length] = (char)sample_random(&random);
        struct unpacker *unpacker = unpacker_new();
        const unsigned char *at = (const unsigned char *)changed;
        const unsigned char *end = at + bytes.length;
        struct history_row row;
        enum unpack_result result;
        err.message[0] = '\0';
        while ((result = unpacker_next(unpacker, &at, end, &row, &err)) == UNPACK_ROW)
            cr_assert_not_null(row.info);
        if (result == UNPACK_CORRUPT)
            cr_assert_neq(err.message[0], '\0');
        unpacker_free(unpacker);
        free(changed);
    }
    buffer_release(&bytes);
    target_info_unref(info);
    packer_free(packer);
}
