/* journal.c - what the journal makes of a folder that it finds: of another boot, another clock, a newer goprofd; what it
 * deletes from it, and what a full disk leaves behind. */
#include "core/store/journal.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/store/board.h"
#include "core/store/journal_files.h"
#include "core/store/pack.h"
#include "core/store/segment.h"
#include "core/store/snapshot.h"
#include "tests/unit/pprof/temp_dir.h"
#include "tests/unit/store/samples.h"

enum { SHOWN_MAX = 16, PLAIN_BYTES = 1 << 20, PATIENCE_MS = 60000 };

static const char other_boot[] = "11111111-2222-3333-4444-555555555555";

static struct temp_dir dir;
static struct board *board;
static struct journal *journal;

static struct journal *journal_of(uint64_t max_age_ns)
{
    struct error err;
    const struct journal_settings settings = {.dir = dir.path,
                                              .max_bytes = 64 << 20,
                                              .max_age_ns = max_age_ns,
                                              .flush_ns = 0,
                                              .segment_bytes = 1, /* each flush is a segment */
                                              .segment_age_ns = CLOCK_NS_PER_S};
    struct journal *made = journal_new(&settings, board, &err);
    cr_assert_not_null(made, "%s", err.message);
    return made;
}

static void set_up(void)
{
    temp_dir_init(&dir);
    board = board_new(100);
    journal = journal_of(3600 * CLOCK_NS_PER_S);
}

static void tear_down(void)
{
    board_free(board);
    journal_free(journal);
    temp_dir_release(&dir);
}

TestSuite(journal, .init = set_up, .fini = tear_down);

/* ---- what is on disk ---- */

static char *segment_path(uint64_t number)
{
    static char path[TEMP_PATH_BYTES];
    char name[JOURNAL_NAME_BYTES];
    journal_file_name(number, name);
    return (char *)(uintptr_t)temp_dir_path(&dir, name, path);
}

struct moment {
    uint64_t realtime_ns;
    uint64_t monotonic_ns;
};

static void pack_moments(struct buffer *plain, const char *boot_id, uint64_t first_sequence,
                         const struct moment *moments, size_t count)
{
    struct error err;
    struct packer *packer = packer_new(boot_id);
    const struct target_info *info = sample_info("1", "app");
    buffer_init(plain, PLAIN_BYTES);
    for (size_t i = 0; i < count; i++) {
        struct snapshot *snapshot = snapshot_begin(moments[i].realtime_ns, moments[i].monotonic_ns);
        cr_assert_not_null(snapshot);
        snapshot->sequence = first_sequence + i;
        snapshot->generation = 1;
        SNAPSHOT_SET(&snapshot->values, heap_alloc_bytes, 1000 * (first_sequence + i));
        const struct snapshot *sealed = snapshot_seal(snapshot);
        cr_assert(packer_add(packer, info, sealed, NULL, plain, &err), "%s", err.message);
        snapshot_unref(sealed);
    }
    target_info_unref(info);
    packer_free(packer);
}

static void write_segment(uint64_t number, const struct buffer *plain)
{
    struct error err;
    struct segment_writer *writer = segment_create(segment_path(number), &err);
    cr_assert_not_null(writer, "%s", err.message);
    cr_assert(segment_append(writer, plain->data, plain->length, &err), "%s", err.message);
    segment_close(writer);
}

static void record(uint64_t number, const char *boot_id, uint64_t first_sequence, const struct moment *moments,
                   size_t count)
{
    struct buffer plain;
    pack_moments(&plain, boot_id, first_sequence, moments, count);
    write_segment(number, &plain);
    buffer_release(&plain);
}

/* ---- what is shown ---- */

static void publish(uint64_t sequence)
{
    struct error err;
    struct snapshot *snapshot = snapshot_begin(clock_realtime_ns(), clock_monotonic_ns());
    cr_assert_not_null(snapshot);
    snapshot->sequence = sequence;
    snapshot->generation = 1;
    const struct target_view view = {.info = sample_info("1", "app"), .snapshot = snapshot_seal(snapshot)};
    cr_assert(board_publish(board, &view, 1, 77, &err), "%s", err.message);
}

/* Fills [shown] with the history on the board, once the next snapshot, number [sequence], is there. */
static size_t show_with(uint64_t sequence, const struct snapshot *shown[SHOWN_MAX])
{
    bool found = false;
    publish(sequence);
    const size_t count = board_history(board, "1", 0, UINT64_MAX, shown, SHOWN_MAX, &found);
    cr_assert(found);
    return count;
}

static void forget(const struct snapshot *shown[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        snapshot_unref(shown[i]);
}

static uint64_t bad_segments(void)
{
    return atomic_load(&board_counters(board)->history_segments_bad);
}

/* ---- another boot, another clock ---- */

Test(journal, what_another_boot_recorded_is_placed_in_this_one_by_its_age)
{
    const uint64_t now_ns = clock_realtime_ns();
    const uint64_t up_ns = clock_monotonic_ns();
    /* Its monotonic clock was far ahead of ours: by that alone it would come after us. */
    const struct moment moments[] = {
        {now_ns - 3 * CLOCK_NS_PER_S, up_ns + 1000 * CLOCK_NS_PER_S},
        {now_ns - 2 * CLOCK_NS_PER_S, up_ns + 1001 * CLOCK_NS_PER_S},
    };
    const struct snapshot *shown[SHOWN_MAX];
    record(0, other_boot, 41, moments, 2);
    journal_load(journal);
    const size_t count = show_with(43, shown);
    cr_assert_eq(count, 3);
    cr_assert_eq(shown[0]->sequence, 41);
    cr_assert_eq(shown[0]->realtime_ns, moments[0].realtime_ns);
    cr_assert_eq(shown[1]->monotonic_ns - shown[0]->monotonic_ns, CLOCK_NS_PER_S);
    cr_assert_lt(shown[1]->monotonic_ns, shown[2]->monotonic_ns);
    forget(shown, count);
}

Test(journal, what_lies_before_this_boot_stays_on_disk_and_its_numbers_are_not_given_again)
{
    const uint64_t before_boot_ns = clock_realtime_ns() - clock_monotonic_ns() - 3600 * CLOCK_NS_PER_S;
    const struct moment moment = {before_boot_ns, 77 * CLOCK_NS_PER_S};
    struct board_past past = {0};
    record(0, other_boot, 41, &moment, 1);
    journal_load(journal);
    cr_assert(board_past(board, "1", &past));
    cr_assert_eq(past.sequence, 41);
    cr_assert_eq(past.pid, 0, "no process lives through a boot");
    const struct snapshot *shown[SHOWN_MAX];
    const size_t count = show_with(42, shown);
    cr_assert_eq(count, 1);
    cr_assert_eq(shown[0]->sequence, 42);
    cr_assert_eq(bad_segments(), 0, "it is as good as any other");
    forget(shown, count);
}

Test(journal, what_a_clock_ahead_of_ours_has_stamped_stays_on_disk)
{
    const uint64_t now_ns = clock_realtime_ns();
    const struct moment moments[] = {
        {now_ns - CLOCK_NS_PER_S, 1},
        {now_ns + 86400 * CLOCK_NS_PER_S, 2},
        {now_ns + 86401 * CLOCK_NS_PER_S, 3},
    };
    const struct snapshot *shown[SHOWN_MAX];
    record(0, other_boot, 1, moments, 3);
    journal_load(journal);
    const size_t count = show_with(4, shown);
    cr_assert_eq(count, 2);
    cr_assert_eq(shown[0]->sequence, 1);
    cr_assert_eq(shown[1]->sequence, 4);
    forget(shown, count);
}

Test(journal, a_clock_that_was_set_back_does_not_make_the_history_run_backwards)
{
    const uint64_t now_ns = clock_realtime_ns();
    const struct moment moments[] = {
        {now_ns - 3 * CLOCK_NS_PER_S, 1 * CLOCK_NS_PER_S},
        {now_ns - 4 * CLOCK_NS_PER_S, 2 * CLOCK_NS_PER_S}, /* set back by two seconds */
        {now_ns - 3 * CLOCK_NS_PER_S, 3 * CLOCK_NS_PER_S},
        {now_ns - 2 * CLOCK_NS_PER_S, 4 * CLOCK_NS_PER_S},
    };
    const struct snapshot *shown[SHOWN_MAX];
    record(0, other_boot, 1, moments, 4);
    journal_load(journal);
    const size_t count = show_with(5, shown);
    cr_assert_eq(count, 3);
    cr_assert_eq(shown[0]->sequence, 1);
    cr_assert_eq(shown[1]->sequence, 4);
    cr_assert_eq(shown[2]->sequence, 5);
    forget(shown, count);
}

/* ---- a newer goprofd ---- */

static struct timespec of_age(uint64_t age_ns)
{
    const uint64_t at_ns = clock_realtime_ns() - age_ns;
    return (struct timespec){.tv_sec = (time_t)(at_ns / CLOCK_NS_PER_S), .tv_nsec = (long)(at_ns % CLOCK_NS_PER_S)};
}

static bool is_there(uint64_t number)
{
    return access(segment_path(number), F_OK) == 0;
}

/* Runs the journal until it has written one more snapshot. */
static void write_one(uint64_t sequence)
{
    struct error err;
    const struct timespec pause = {.tv_nsec = 10000000};
    publish(sequence);
    cr_assert(journal_start(journal, &err), "%s", err.message);
    for (unsigned waited_ms = 0; atomic_load(&board_counters(board)->history_disk_snapshots) == 0; waited_ms += 10) {
        cr_assert_lt(waited_ms, PATIENCE_MS, "nothing is written");
        nanosleep(&pause, NULL);
    }
    journal_stop(journal);
}

Test(journal, a_segment_of_a_newer_goprofd_is_named_and_kept_as_it_is)
{
    enum { NEWER = 7, VERSION_AT = 1 + 1 + 15 }; /* after the array's head, the text's head and the text */
    const struct moment moment = {clock_realtime_ns() - CLOCK_NS_PER_S, 1};
    struct buffer plain;
    pack_moments(&plain, other_boot, 1, &moment, 1);
    cr_assert_eq(plain.data[VERSION_AT], PACK_VERSION);
    plain.data[VERSION_AT] = PACK_VERSION + 1;
    write_segment(NEWER, &plain);
    buffer_release(&plain);
    struct stat before;
    struct stat after;
    cr_assert_eq(stat(segment_path(NEWER), &before), 0);

    struct error err;
    struct history_row row;
    struct journal_reader *reader = journal_reader_open(dir.path, &err);
    cr_assert_not_null(reader, "%s", err.message);
    cr_assert_not(journal_reader_next(reader, &row));
    cr_assert_str_eq(journal_reader_problem(reader), "segment-000000000007.gph: version 2 of the history format; "
                                                     "this goprofd reads version 1");
    journal_reader_close(reader);

    journal_load(journal);
    cr_assert_eq(bad_segments(), 1);
    write_one(1);
    cr_assert(is_there(NEWER + 1), "ours come after it");
    cr_assert_eq(stat(segment_path(NEWER), &after), 0);
    cr_assert_eq(after.st_ino, before.st_ino);
    cr_assert_eq(after.st_size, before.st_size);
    cr_assert_eq(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
}

/* ---- rotation by age ---- */

static void record_of_age(uint64_t number, uint64_t age_ns)
{
    const struct moment moment = {clock_realtime_ns() - CLOCK_NS_PER_S, 1};
    record(number, other_boot, number + 1, &moment, 1);
    const struct timespec times[2] = {of_age(age_ns), of_age(age_ns)};
    cr_assert_eq(utimensat(AT_FDCWD, segment_path(number), times, 0), 0);
}

#define HOURS(count) ((count) * 3600 * CLOCK_NS_PER_S)

Test(journal, segments_older_than_the_limit_go_when_the_next_is_begun_and_no_others)
{
    record_of_age(0, HOURS(3));
    record_of_age(1, HOURS(2));
    record_of_age(2, HOURS(1) / 2);
    journal_load(journal);
    cr_assert(is_there(0), "loading deletes nothing");
    write_one(4);
    cr_assert_not(is_there(0));
    cr_assert_not(is_there(1));
    cr_assert(is_there(2));
    cr_assert(is_there(3), "the one that was written");
}

Test(journal, a_segment_from_the_future_does_not_keep_those_after_it_from_growing_old)
{
    record_of_age(0, HOURS(3));
    record_of_age(1, 0 - HOURS(1000));
    record_of_age(2, HOURS(2));
    record_of_age(3, 0 - HOURS(1000));
    record_of_age(4, HOURS(1) / 2);
    record_of_age(5, HOURS(2)); /* a clock set forward, for once: what comes before it is young */
    write_one(7);
    cr_assert_not(is_there(0));
    cr_assert_not(is_there(1));
    cr_assert_not(is_there(2));
    cr_assert(is_there(3));
    cr_assert(is_there(4));
    cr_assert(is_there(5));
}

Test(journal, without_a_limit_no_segment_goes_for_its_age)
{
    journal_free(journal);
    journal = journal_of(0);
    record_of_age(0, HOURS(100000));
    write_one(2);
    cr_assert(is_there(0));
}

/* ---- a full disk ---- */

/* A limit on the size of files stands in: what fits are the first bytes of a segment and a piece of its first frame. */
Test(journal, each_try_on_a_full_disk_leaves_nothing_behind_and_the_first_that_works_has_it_all)
{
    struct error err;
    struct rlimit limit;
    const struct timespec pause = {.tv_nsec = 10000000};
    const struct board_counters *counters = board_counters(board);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    const struct rlimit full = {.rlim_cur = SEGMENT_MAGIC_BYTES + 10, .rlim_max = limit.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &full), 0);
    for (uint64_t sequence = 1; sequence <= 3; sequence++)
        publish(sequence);
    cr_assert(journal_start(journal, &err), "%s", err.message);
    for (unsigned waited_ms = 0; atomic_load(&counters->history_disk_errors) == 0; waited_ms += 10) {
        cr_assert_lt(waited_ms, PATIENCE_MS, "the disk is not full");
        nanosleep(&pause, NULL);
    }
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    journal_stop(journal); /* which writes what is left */
    cr_assert_eq(atomic_load(&counters->history_disk_snapshots), 3);

    struct history_row row;
    struct journal_reader *reader = journal_reader_open(dir.path, &err);
    cr_assert_not_null(reader, "%s", err.message);
    for (uint64_t sequence = 1; sequence <= 3; sequence++) {
        cr_assert(journal_reader_next(reader, &row));
        cr_assert_eq(row.snapshot->sequence, sequence);
    }
    cr_assert_not(journal_reader_next(reader, &row));
    cr_assert_eq(journal_reader_problems(reader), 0, "%s", journal_reader_problem(reader));
    journal_reader_close(reader);
    cr_assert_eq(temp_dir_count(&dir, "."), 1, "one segment, and no remains of others");
}
