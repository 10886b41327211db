/* board.h - the published, current view: where threads meet.
 *
 * Writers: sampler (pages, rings), rule engine (findings, report), capturer (captures).
 * Readers: http loops, rule engine, capturer, exporters.  What is handed out is sealed and held;
 * drop each hold with the matching unref.  The lock is a leaf: inside it nothing is allocated,
 * freed, logged or called.
 *
 *   page (one per beat)  -> [ info | newest snapshot | newest profile ] x targets
 *   ring (one per target) -> history */
#ifndef GOPROFD_STORE_BOARD_H
#define GOPROFD_STORE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct board;
struct finding_set;
struct profile;
struct rules_report;
struct snapshot;
struct target_info;

struct target_view {
    const struct target_info *info;
    const struct snapshot *snapshot; /* newest, or NULL before the first */
    const struct profile *profile;   /* newest, or NULL */
};

struct board_page {
    _Atomic uint32_t refs_;
    uint64_t sequence; /* rises with each publication */
    uint64_t published_realtime_ns;
    size_t target_count;
    struct target_view targets[]; /* in the order they were found; each pointer a hold */
};

/* Counters that any thread may add to with relaxed atomics and any view may read. */
struct board_counters {
    _Atomic uint64_t sampler_beats;
    _Atomic uint64_t sampler_late_beats;  /* started more than one interval late: skipped */
    _Atomic uint64_t sampler_late_ns_max; /* worst lateness of a beat that ran */
    _Atomic uint64_t sampler_late_ns_total;
    _Atomic uint64_t sampler_busy_ns; /* CPU time of the sampler thread */
    _Atomic uint64_t reads;           /* target reads tried, failed, and bytes copied */
    _Atomic uint64_t reads_failed;
    _Atomic uint64_t read_bytes;
    _Atomic uint64_t read_retries;
    _Atomic uint64_t reads_given_up;
    _Atomic uint64_t rule_evaluations;
    _Atomic uint64_t rule_errors;
    _Atomic uint64_t rule_beats_dropped; /* "published" messages the engine never saw */
    _Atomic uint64_t rules_reloads_failed;
    _Atomic uint64_t captures_written;
    _Atomic uint64_t captures_failed;
    _Atomic uint64_t captures_dropped; /* requests lost to a full queue */
    _Atomic uint64_t http_requests;
    _Atomic uint64_t http_errors; /* answers with status >= 500 */
};

struct board *board_new(size_t ring_capacity_snapshots); /* NULL without memory */
void board_free(struct board *board);                    /* no other user may remain */

struct board_counters *board_counters(struct board *board);

/* Publishes one beat.  [views]: all targets now watched; their holds are taken over, also on
 * failure.  Each view whose snapshot is newer than its ring's newest is pushed into the ring of its
 * id.  Rings of ids that are not in [views] are dropped. */
bool board_publish(struct board *board, const struct target_view *views, size_t count,
                   uint64_t realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* The newest page; never NULL after board_new (an empty page before the first beat). */
const struct board_page *board_page(struct board *board);
const struct board_page *board_page_ref(const struct board_page *page);
void board_page_unref(const struct board_page *page); /* NULL is allowed */

/* The view of target [id] (or name) in [page], or NULL. */
const struct target_view *board_page_find(const struct board_page *page, const char *id);

/* Up to [max] snapshots of target [id] with since <= realtime_ns <= until, oldest first: the newest
 * [max] of them.  Each in [out] carries a hold.  *[found] false if no such target. */
size_t board_history(struct board *board, const char *id, uint64_t since_realtime_ns,
                     uint64_t until_realtime_ns, const struct snapshot **out, size_t max,
                     bool *found);

void board_publish_findings(struct board *board, const struct finding_set *set); /* takes over */
const struct finding_set *board_findings(struct board *board); /* never NULL: maybe empty */

void board_publish_rules(struct board *board, const struct rules_report *report); /* takes over */
const struct rules_report *board_rules(struct board *board); /* NULL before the first load */

/* Captures per target, counted by the capturer; [id] need not exist (then 0). */
void board_count_capture(struct board *board, const char *id);
uint64_t board_capture_count(struct board *board, const char *id);

#endif
