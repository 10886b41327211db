/* journal.c - the thread that keeps the history on disk.
 *
 *   look: what is newer on the board than what was packed -> plain   (every LOOK_EVERY_NS)
 *   flush: plain -> one frame of the open segment                    (every flush_ns)
 *
 * What was packed and not flushed when the disk fails is taken from the board again once it works. */
#include "core/store/journal.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/journal_files.h"
#include "core/store/journal_parts.h"
#include "core/store/pack.h"
#include "core/store/problems.h"
#include "core/store/profile.h"
#include "core/store/segment.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum {
    CATCH_UP_MAX = 1024, /* snapshots of one target that are taken at one look */
    PLAIN_FLUSH_BYTES = 1 << 20,
    PLAIN_MAX_BYTES = 48 << 20,
    CREATE_TRIES = 100,
};
#define LOOK_EVERY_NS (250 * CLOCK_NS_PER_MS)
#define RETRY_NS (5 * CLOCK_NS_PER_S)

/* ---- what the other files of the journal need ---- */

struct journal_target *journal_target(struct journal *journal, const char *id)
{
    for (size_t i = 0; i < journal->target_count; i++) {
        if (strcmp(journal->targets[i].id, id) == 0)
            return &journal->targets[i];
    }
    if (journal->target_count == journal->target_room) {
        const size_t room = journal->target_room == 0 ? 16 : 2 * journal->target_room;
        struct journal_target *grown = realloc(journal->targets, room * sizeof(*grown));
        if (grown == NULL)
            return NULL;
        journal->targets = grown;
        journal->target_room = room;
    }
    struct journal_target *target = &journal->targets[journal->target_count];
    *target = (struct journal_target){.id = strdup(id)};
    if (target->id == NULL)
        return NULL;
    journal->target_count++;
    return target;
}

/* ---- life ---- */

static void read_boot_id(char out[JOURNAL_BOOT_ID_BYTES])
{
    out[0] = '\0';
    const int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return;
    const ssize_t got = read(fd, out, JOURNAL_BOOT_ID_BYTES - 1);
    close(fd);
    out[got > 0 ? got : 0] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

/* Two daemons in one folder would delete each other's segments, and load each the other's targets as its own.  The lock
 * goes with the process, however that ends.  False with ERROR_BUSY if somebody else has it; a folder that cannot be
 * opened is another matter, and told when it is to be written. */
static bool lock_folder(struct journal *journal, struct error *err)
{
    if (journal->lock_fd != -1)
        return true;
    const int fd = open(journal->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return true;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0) {
        journal->lock_fd = fd;
        return true;
    }
    const int why = errno;
    (void)close(fd);
    return why != EWOULDBLOCK || /* a file system without locks */
           error_set(err, ERROR_BUSY, "history_dir %.150s: another goprofd writes there; give each its own",
                     journal->dir);
}

struct journal *journal_new(const struct journal_settings *settings, struct board *board,
                            struct error *err)
{
    struct journal *journal = calloc(1, sizeof(*journal));
    if (journal == NULL)
        goto no_memory;
    journal->lock_fd = -1;
    journal->settings = *settings;
    journal->board = board;
    journal->counters = board_counters(board);
    read_boot_id(journal->boot_id);
    buffer_init(&journal->plain, PLAIN_MAX_BYTES);
    journal->dir = strdup(settings->dir);
    journal->packer = packer_new(journal->boot_id);
    journal->taken = calloc(CATCH_UP_MAX, sizeof(const struct snapshot *));
    if (journal->dir == NULL || journal->packer == NULL || journal->taken == NULL)
        goto no_memory;
    if (mkdir(journal->dir, 0700) == -1 && errno != EEXIST)
        log_warn(log_msg("history_dir cannot be made; history is kept in memory only until it can"),
                 log_str("dir", journal->dir), log_str("reason", error_errno_text(errno)));
    if (!lock_folder(journal, err)) {
        journal_free(journal);
        return NULL;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    const bool made = pthread_mutex_init(&journal->lock, NULL) == 0 &&
                      pthread_cond_init(&journal->wake, &attributes) == 0;
    pthread_condattr_destroy(&attributes);
    if (made)
        return journal;

no_memory:
    (void)error_set(err, ERROR_NO_MEMORY, "no memory for the history on disk");
    journal_free(journal);
    return NULL;
}

void journal_free(struct journal *journal)
{
    if (journal == NULL)
        return;
    segment_close(journal->segment);
    if (journal->lock_fd != -1)
        (void)close(journal->lock_fd);
    packer_free(journal->packer);
    for (size_t i = 0; i < journal->target_count; i++)
        free(journal->targets[i].id);
    journal_reader_close(journal->loaded);
    free(journal->targets);
    free(journal->taken);
    buffer_release(&journal->plain);
    free(journal->dir);
    free(journal);
}

/* ---- the disk ---- */

static void count(_Atomic uint64_t *counter, uint64_t number)
{
    atomic_fetch_add_explicit(counter, number, memory_order_relaxed);
}

/* What was packed since the last flush is not on disk: it is taken again. */
static void forget_plain(struct journal *journal)
{
    buffer_clear(&journal->plain);
    journal->plain_rows = 0;
    packer_restart(journal->packer);
    for (size_t i = 0; i < journal->target_count; i++)
        journal->targets[i].packed_sequence = journal->targets[i].flushed_sequence;
}

static void close_segment(struct journal *journal)
{
    segment_close(journal->segment);
    journal->segment = NULL;
    packer_restart(journal->packer);
}

static void fail(struct journal *journal, const struct error *err, uint64_t now_ns)
{
    count(&journal->counters->history_disk_errors, 1);
    if (!journal->failing)
        log_error(log_msg("history cannot be written to disk; it goes on in memory and is tried again"),
                  log_str("dir", journal->dir), log_str("reason", err->message));
    problems_set(board_problems(journal->board), PROBLEM_HISTORY_DISK, err->message);
    journal->failing = true;
    journal->retry_at_ns = now_ns + RETRY_NS;
    close_segment(journal);
    forget_plain(journal);
}

/* How many of the oldest are too old: up to the first that is young.  One that a clock ahead of ours has stamped says
 * nothing, and goes with those after it. */
static size_t count_old(const struct journal *journal, const struct journal_file *files, size_t file_count,
                        uint64_t now_realtime_ns)
{
    size_t old = 0;
    if (journal->settings.max_age_ns == 0)
        return 0;
    for (size_t i = 0; i < file_count; i++) {
        if (files[i].changed_realtime_ns > now_realtime_ns)
            continue;
        if (now_realtime_ns - files[i].changed_realtime_ns <= journal->settings.max_age_ns)
            break;
        old = i + 1;
    }
    return old;
}

/* Deletes the oldest segments until those that stay, with one more, keep within the bounds. */
static void trim(struct journal *journal, uint64_t now_realtime_ns)
{
    struct journal_file *files = NULL;
    size_t file_count = 0;
    struct error err;
    uint64_t bytes = 0;
    if (!journal_files_list(journal->dir, &files, &file_count, &err))
        return;
    for (size_t i = 0; i < file_count; i++)
        bytes += files[i].bytes;
    const size_t old_count = count_old(journal, files, file_count, now_realtime_ns);
    for (size_t i = 0; i < file_count; i++) {
        if (i >= old_count && bytes + journal->settings.segment_bytes <= journal->settings.max_bytes)
            break;
        char path[SEGMENT_PATH_MAX_BYTES];
        char name[JOURNAL_NAME_BYTES];
        journal_file_name(files[i].number, name);
        (void)snprintf(path, sizeof(path), "%.4100s/%s", journal->dir, name);
        if (unlink(path) == -1 && errno != ENOENT) {
            log_warn(log_msg("an old segment of the history cannot be deleted"), log_str("file", path),
                     log_str("reason", error_errno_text(errno)));
            break;
        }
        bytes -= files[i].bytes;
    }
    if (file_count > 0 && files[file_count - 1].number >= journal->next_number)
        journal->next_number = files[file_count - 1].number + 1;
    journal->other_bytes = bytes;
    free(files);
}

static bool open_segment(struct journal *journal, struct error *err)
{
    trim(journal, clock_realtime_ns());
    if (mkdir(journal->dir, 0700) == -1 && errno != EEXIST)
        return error_set(err, ERROR_SYSTEM, "make the folder: %s", error_errno_text(errno));
    if (!lock_folder(journal, err))
        return false;
    for (int tries = 0; tries < CREATE_TRIES && journal->segment == NULL; tries++) {
        char path[SEGMENT_PATH_MAX_BYTES];
        char name[JOURNAL_NAME_BYTES];
        journal_file_name(journal->next_number++, name);
        (void)snprintf(path, sizeof(path), "%.4100s/%s", journal->dir, name);
        if (access(path, F_OK) == 0)
            continue;
        journal->segment = segment_create(path, err);
        if (journal->segment == NULL)
            return false;
    }
    if (journal->segment == NULL)
        return error_set(err, ERROR_LIMIT, "no free name for a segment");
    journal->opened_ns = clock_monotonic_ns();
    return true;
}

static void flush(struct journal *journal)
{
    struct error err;
    const uint64_t now_ns = clock_monotonic_ns();
    journal->flushed_ns = now_ns;
    if (journal->plain.length == 0)
        return;
    if ((journal->segment == NULL && !open_segment(journal, &err)) ||
        !segment_append(journal->segment, journal->plain.data, journal->plain.length, &err)) {
        fail(journal, &err, now_ns);
        return;
    }
    if (journal->failing)
        log_info(log_msg("history is written to disk again"), log_str("dir", journal->dir));
    journal->failing = false;
    problems_clear(board_problems(journal->board), PROBLEM_HISTORY_DISK);
    buffer_clear(&journal->plain);
    count(&journal->counters->history_disk_snapshots, journal->plain_rows);
    journal->plain_rows = 0;
    for (size_t i = 0; i < journal->target_count; i++)
        journal->targets[i].flushed_sequence = journal->targets[i].packed_sequence;
    atomic_store_explicit(&journal->counters->history_disk_bytes,
                          journal->other_bytes + segment_bytes(journal->segment),
                          memory_order_relaxed);
    if (segment_bytes(journal->segment) >= journal->settings.segment_bytes ||
        clock_monotonic_ns() - journal->opened_ns >= journal->settings.segment_age_ns ||
        packer_is_full(journal->packer))
        close_segment(journal);
}

/* ---- looking at the board ---- */

/* Packs one snapshot; on failure the whole batch is taken again later. */
static bool pack(struct journal *journal, const struct target_view *view,
                 const struct snapshot *snapshot)
{
    struct error err;
    if (packer_add(journal->packer, view->info, snapshot, view->profile, &journal->plain, &err)) {
        journal->plain_rows++;
        return true;
    }
    fail(journal, &err, clock_monotonic_ns());
    journal->plain_rows = 0;
    return false;
}

/* What is newer of one target than what was packed. */
static bool take(struct journal *journal, const struct target_view *view)
{
    if (view->snapshot == NULL)
        return true;
    struct journal_target *target = journal_target(journal, view->info->facts.id);
    /* A target that was forgotten and found again counts from 1. */
    if (target != NULL && view->snapshot->sequence < target->packed_sequence)
        target->packed_sequence = target->flushed_sequence = 0;
    if (target == NULL || view->snapshot->sequence <= target->packed_sequence)
        return true;
    uint64_t wanted = view->snapshot->sequence - target->packed_sequence;
    if (wanted > CATCH_UP_MAX)
        wanted = CATCH_UP_MAX;
    bool found = false;
    bool ok = true;
    const size_t taken = board_history(journal->board, target->id, 0, UINT64_MAX, journal->taken,
                                       (size_t)wanted, &found);
    for (size_t i = 0; i < taken; i++) {
        const struct snapshot *snapshot = journal->taken[i];
        if (ok && snapshot->sequence > target->packed_sequence) {
            count(&journal->counters->history_disk_dropped,
                  snapshot->sequence - target->packed_sequence - 1);
            ok = pack(journal, view, snapshot);
            if (ok)
                target->packed_sequence = snapshot->sequence;
        }
        snapshot_unref(snapshot);
    }
    return ok;
}

static void look(struct journal *journal)
{
    const struct board_page *page = board_page(journal->board);
    bool ok = true;
    for (size_t i = 0; ok && i < page->target_count; i++) {
        ok = take(journal, &page->targets[i]);
        if (ok && journal->plain.length > PLAIN_FLUSH_BYTES) {
            flush(journal);
            ok = !journal->failing;
        }
    }
    board_page_unref(page);
}

static void look_and_flush(struct journal *journal, bool flush_now)
{
    const uint64_t now_ns = clock_monotonic_ns();
    if (journal->failing && now_ns < journal->retry_at_ns && !flush_now)
        return;
    look(journal);
    if (flush_now || now_ns - journal->flushed_ns >= journal->settings.flush_ns ||
        (journal->failing && now_ns >= journal->retry_at_ns))
        flush(journal);
}

/* Waits for the next look; false: the journal stops. */
static bool wait_for_look(struct journal *journal)
{
    const uint64_t until_ns = clock_monotonic_ns() + LOOK_EVERY_NS;
    const struct timespec until = {.tv_sec = (time_t)(until_ns / CLOCK_NS_PER_S),
                                   .tv_nsec = (long)(until_ns % CLOCK_NS_PER_S)};
    pthread_mutex_lock(&journal->lock);
    int status = 0;
    while (!journal->stopping && status == 0)
        status = pthread_cond_timedwait(&journal->wake, &journal->lock, &until);
    const bool stopping = journal->stopping;
    pthread_mutex_unlock(&journal->lock);
    return !stopping;
}

static void *run(void *argument)
{
    struct journal *journal = argument;
    journal->flushed_ns = clock_monotonic_ns();
    while (wait_for_look(journal))
        look_and_flush(journal, false);
    look_and_flush(journal, true);
    return NULL;
}

bool journal_start(struct journal *journal, struct error *err)
{
    const int status = pthread_create(&journal->thread, NULL, run, journal);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "start the journal's thread: %s",
                         error_errno_text(status));
    (void)pthread_setname_np(journal->thread, "goprofd-journal");
    journal->started = true;
    return true;
}

void journal_stop(struct journal *journal)
{
    if (!journal->started)
        return;
    pthread_mutex_lock(&journal->lock);
    journal->stopping = true;
    pthread_cond_signal(&journal->wake);
    pthread_mutex_unlock(&journal->lock);
    pthread_join(journal->thread, NULL);
    journal->started = false;
}
