/* journal_load.c - the history of earlier runs, put on the board before the first beat.
 *
 * Times of the monotonic clock belong to one boot of the machine.  Snapshots of another boot get those that they would
 * have in this one, by the system's clock; such as lie before this boot have none and stay on disk, and so do those
 * stamped by a clock that was ahead of ours, or that would come before what is there already. */
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/heap_classes.h"
#include "core/store/journal_parts.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

#include <stdlib.h>
#include <string.h>

/* At the start at most so much is read, from the newest back. */
#define LOAD_MAX_BYTES ((uint64_t)64 << 20)

struct load {
    struct journal *journal;
    uint64_t now_monotonic_ns;
    uint64_t now_realtime_ns;
    uint64_t loaded;
    uint64_t before_boot;
    uint64_t misdated;
};

/* The time of this boot's monotonic clock at which [snapshot] was taken; 0: there is none. */
static uint64_t place(struct load *load, const struct snapshot *snapshot, bool same_boot)
{
    if (same_boot)
        return snapshot->monotonic_ns;
    if (snapshot->realtime_ns > load->now_realtime_ns) {
        load->misdated++;
        return 0;
    }
    const uint64_t age_ns = load->now_realtime_ns - snapshot->realtime_ns;
    if (age_ns < load->now_monotonic_ns)
        return load->now_monotonic_ns - age_ns;
    load->before_boot++;
    return 0;
}

static void load_row(struct load *load, const struct history_row *row)
{
    struct journal *journal = load->journal;
    const struct snapshot *snapshot = row->snapshot;
    const bool same_boot = journal->boot_id[0] != '\0' &&
                           strcmp(journal_reader_boot_id(journal->loaded), journal->boot_id) == 0 &&
                           snapshot->monotonic_ns <= load->now_monotonic_ns;
    struct journal_target *target = journal_target(journal, row->info->facts.id);
    if (target == NULL)
        return;
    /* Told even if it cannot be shown: a number is never given twice. */
    if (snapshot->sequence > target->packed_sequence)
        target->packed_sequence = target->flushed_sequence = snapshot->sequence;
    const struct snapshot *kept = NULL;
    const uint64_t monotonic_ns = place(load, snapshot, same_boot);
    if (monotonic_ns > target->placed_ns) {
        kept = same_boot ? snapshot_ref(snapshot) : snapshot_at(snapshot, monotonic_ns);
        target->placed_ns = monotonic_ns;
    } else if (monotonic_ns != 0) {
        load->misdated++; /* a clock was set back: a history does not run backwards */
    }
    load->loaded += kept != NULL;
    board_restore(journal->board, row->info, snapshot, kept, same_boot);
}

void journal_load(struct journal *journal)
{
    struct error err;
    struct history_row row;
    struct load load = {.journal = journal,
                        .now_monotonic_ns = clock_monotonic_ns(),
                        .now_realtime_ns = clock_realtime_ns()};
    journal->loaded = journal_reader_open_newest(journal->dir, LOAD_MAX_BYTES, &err);
    if (journal->loaded == NULL) {
        if (err.code != ERROR_NOT_FOUND)
            log_warn(log_msg("the history on disk cannot be read"), log_str("reason", err.message));
        return;
    }
    size_t problems = 0;
    bool more = true;
    while (more) {
        more = journal_reader_next(journal->loaded, &row);
        if (more)
            load_row(&load, &row);
        for (; problems < journal_reader_problems(journal->loaded); problems++)
            log_warn(log_msg("a segment of the history ends early; the others are used"),
                     log_str("problem", journal_reader_problem_at(journal->loaded, problems)));
    }
    atomic_fetch_add_explicit(&journal->counters->history_segments_bad, problems,
                              memory_order_relaxed);
    log_info(log_msg("history loaded"), log_str("dir", journal->dir),
             log_u64("snapshots", load.loaded), log_u64("before_boot", load.before_boot),
             log_u64("misdated", load.misdated),
             log_u64("problems", problems));
}
