/* bench_history.c RUNS [FOLDER] - what packing a snapshot for the history on disk costs, and reading it back.
 *
 * Snapshots are those recorded in FOLDER (history_dir of a daemon), or made up: half of the fields walk, as those of a
 * busy service do.  CPU of this thread. */
#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/store/journal_reader.h"
#include "core/store/pack.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "tests/bench/bench.h"

enum { ROWS_MAX = 3600 };

static size_t make_up(const struct snapshot **rows)
{
    uint64_t random = 88172645463325252;
    for (size_t i = 0; i < ROWS_MAX; i++) {
        struct snapshot *row =
            snapshot_begin(i * CLOCK_NS_PER_S + random % 300000, i * CLOCK_NS_PER_S + random % 200000);
        if (row == NULL)
            bench_fail("no memory");
        if (i > 0)
            row->values = rows[i - 1]->values;
        row->sequence = i + 1;
        row->generation = 1;
        for (size_t f = 0; f < SNAPSHOT_FIELD_COUNT; f++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            uint64_t value = 0;
            char *member = (char *)&row->values + snapshot_fields[f].offset;
            row->values.present[f / 64] |= UINT64_C(1) << f % 64;
            if (f % 2 == 0 && snapshot_fields[f].type != FIELD_F64) {
                memcpy(&value, member, sizeof(value));
                value += random % 65536;
                memcpy(member, &value, sizeof(value));
            }
        }
        rows[i] = snapshot_seal(row);
    }
    return ROWS_MAX;
}

static size_t load(const char *folder, const struct snapshot **rows, struct journal_reader **reader)
{
    struct error err;
    struct history_row row;
    size_t count = 0;
    *reader = journal_reader_open(folder, &err);
    if (*reader == NULL)
        bench_fail("%s", err.message);
    while (count < ROWS_MAX && journal_reader_next(*reader, &row))
        rows[count++] = snapshot_ref(row.snapshot);
    return count;
}

static void unpack_all(const struct buffer *bytes, size_t expected)
{
    struct unpacker *unpacker = unpacker_new();
    const unsigned char *at = (const unsigned char *)bytes->data;
    struct history_row row;
    struct error err;
    size_t count = 0;
    if (unpacker == NULL)
        bench_fail("no memory");
    while (unpacker_next(unpacker, &at, (const unsigned char *)bytes->data + bytes->length, &row,
                         &err) == UNPACK_ROW)
        count++;
    if (count != expected)
        bench_fail("%zu of %zu snapshots came back", count, expected);
    unpacker_free(unpacker);
}

int main(int argc, char **argv)
{
    static const struct snapshot *rows[ROWS_MAX];
    static struct bench_series packing, unpacking;
    struct journal_reader *reader = NULL;
    struct buffer bytes;
    struct error err;
    if (argc < 2)
        bench_fail("usage: bench_history RUNS [FOLDER]");
    const long runs = strtol(argv[1], NULL, 10);
    const size_t count = argc > 2 ? load(argv[2], rows, &reader) : make_up(rows);
    const struct target_facts facts = {.id = "bench", .name = "bench"};
    const struct target_info *info = target_info_new(&facts, NULL, 0);
    if (count == 0 || info == NULL)
        bench_fail("no snapshots");
    buffer_init(&bytes, 256 << 20);
    for (long run = 0; run < runs; run++) {
        struct packer *packer = packer_new("");
        buffer_clear(&bytes);
        uint64_t begun_ns = clock_thread_cpu_ns();
        for (size_t i = 0; i < count; i++) {
            if (packer == NULL || !packer_add(packer, info, rows[i], NULL, &bytes, &err))
                bench_fail("%s", err.message);
        }
        bench_add(&packing, (double)(clock_thread_cpu_ns() - begun_ns) / (double)count / 1000);
        packer_free(packer);
        begun_ns = clock_thread_cpu_ns();
        unpack_all(&bytes, count);
        bench_add(&unpacking, (double)(clock_thread_cpu_ns() - begun_ns) / (double)count / 1000);
    }
    bench_print("history: pack a snapshot", "us CPU", &packing);
    bench_print("history: unpack a snapshot", "us CPU", &unpacking);
    printf("history: %zu snapshots, %.1f bytes each before deflate\n", count,
           (double)bytes.length / (double)count);
    for (size_t i = 0; i < count; i++)
        snapshot_unref(rows[i]);
    target_info_unref(info);
    journal_reader_close(reader);
    buffer_release(&bytes);
    return 0;
}
