/* board.h - the published, current view: where threads meet.
 *
 * Writers: sampler (pages, rings), rule engine (findings, report), capturer (captures).
 * Readers: http loops, rule engine, capturer, exporters.  What is handed out is sealed and held;
 * drop each hold with the matching unref.  The lock is a leaf: inside it nothing is allocated,
 * freed, logged or called.
 *
 *   page (one per beat)  -> [ info | newest snapshot | newest profile ] x targets
 *   ring (one per target) -> history; its older part is packed (archive.h) */
#ifndef GOPROFD_STORE_BOARD_H
#define GOPROFD_STORE_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/fields.h"

struct board;
struct finding_set;
struct problems;
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

/* clang-format off */
/*    member                metric                                        kind           unit        help */
#define BOARD_COUNTERS(X) \
    X(sampler_beats,          "goprofd_sampler_beats_total",                FIELD_COUNTER, UNIT_COUNT, "Beats of the sampler that ran") \
    X(sampler_late_beats,     "goprofd_sampler_late_beats_total",           FIELD_COUNTER, UNIT_COUNT, "Beats skipped because the one before ran past them") \
    X(sampler_late_ns_max,    "goprofd_sampler_late_max_seconds",           FIELD_GAUGE,   UNIT_NS,    "Worst lateness of a beat that ran") \
    X(sampler_late_ns_total,  "goprofd_sampler_late_seconds_total",         FIELD_COUNTER, UNIT_NS,    "Summed lateness of the beats that ran") \
    X(sampler_busy_ns,        "goprofd_sampler_busy_seconds_total",         FIELD_COUNTER, UNIT_NS,    "CPU time of the sampler thread") \
    X(history_bytes,          "goprofd_history_bytes",                      FIELD_GAUGE,   UNIT_BYTES, "Memory of the history of all targets") \
    X(history_dropped,        "goprofd_history_dropped_total",              FIELD_COUNTER, UNIT_COUNT, "Snapshots dropped early to stay within history_max_bytes") \
    X(history_disk_bytes,     "goprofd_history_disk_bytes",                 FIELD_GAUGE,   UNIT_BYTES, "Size of the segments in history_dir") \
    X(history_disk_snapshots, "goprofd_history_disk_snapshots_total",       FIELD_COUNTER, UNIT_COUNT, "Snapshots written to history_dir") \
    X(history_disk_dropped,   "goprofd_history_disk_dropped_total",         FIELD_COUNTER, UNIT_COUNT, "Snapshots that left the memory before they could be written to history_dir") \
    X(history_disk_errors,    "goprofd_history_disk_errors_total",          FIELD_COUNTER, UNIT_COUNT, "Tries to write to history_dir that failed; each is tried again") \
    X(history_segments_bad,   "goprofd_history_segments_bad_total",         FIELD_COUNTER, UNIT_COUNT, "Segments in history_dir that were torn, corrupt or foreign at the start") \
    X(profiles_dropped,       "goprofd_history_profile_runs_dropped_total", FIELD_COUNTER, UNIT_COUNT, "Runs of up to 32 heap profiles dropped early, so that profiles take at most half of history_max_bytes") \
    X(reads,                  "goprofd_reads_total",                        FIELD_COUNTER, UNIT_COUNT, "Reads of a target that were tried") \
    X(reads_failed,           "goprofd_reads_failed_total",                 FIELD_COUNTER, UNIT_COUNT, "Reads of a target that failed") \
    X(read_bytes,             "goprofd_read_bytes_total",                   FIELD_COUNTER, UNIT_BYTES, "Bytes copied from targets") \
    X(read_retries,           "goprofd_read_retries_total",                 FIELD_COUNTER, UNIT_COUNT, "Times a part was read again because a GC was moving it") \
    X(reads_given_up,         "goprofd_reads_given_up_total",               FIELD_COUNTER, UNIT_COUNT, "Profiles left out of a beat because a GC never let go") \
    X(tag_errors,             "goprofd_tag_errors_total",                   FIELD_COUNTER, UNIT_COUNT, "Stacks that got their default tag because the config's function failed or used up its time") \
    X(tags_dropped,           "goprofd_tags_dropped_total",                 FIELD_COUNTER, UNIT_COUNT, "Allocation sites tagged 'other' because their target has 1000 tags already") \
    X(rule_evaluations,       "goprofd_rule_evaluations_total",             FIELD_COUNTER, UNIT_COUNT, "Evaluations of a rule on a target") \
    X(rule_errors,            "goprofd_rule_errors_total",                  FIELD_COUNTER, UNIT_COUNT, "Evaluations that ended in an error or ran past a budget") \
    X(rule_beats_dropped,     "goprofd_rule_beats_dropped_total",           FIELD_COUNTER, UNIT_COUNT, "Published beats that the rule engine was too busy to see") \
    X(rules_reloads_failed,   "goprofd_rules_reloads_failed_total",         FIELD_COUNTER, UNIT_COUNT, "Reloads of the rules that failed and left the old set running") \
    X(captures_written,       "goprofd_captures_written_total",             FIELD_COUNTER, UNIT_COUNT, "Profiles written to the capture folder") \
    X(captures_failed,        "goprofd_captures_failed_total",              FIELD_COUNTER, UNIT_COUNT, "Captures that could not be written") \
    X(captures_dropped,       "goprofd_captures_dropped_total",             FIELD_COUNTER, UNIT_COUNT, "Capture requests lost to a full queue") \
    X(notifications_sent,     "goprofd_notifications_sent_total",           FIELD_COUNTER, UNIT_COUNT, "Messages about alerts that a receiver took") \
    X(notifications_failed,   "goprofd_notifications_failed_total",         FIELD_COUNTER, UNIT_COUNT, "Tries to deliver such a message that failed; each is tried again") \
    X(notifications_dropped,  "goprofd_notifications_dropped_total",        FIELD_COUNTER, UNIT_COUNT, "Messages that a receiver refused for good or that a full queue pushed out") \
    X(notifications_queued,   "goprofd_notifications_queued",               FIELD_GAUGE,   UNIT_COUNT, "Messages that wait to be delivered") \
    X(streams_dropped,        "goprofd_streams_dropped_total",              FIELD_COUNTER, UNIT_COUNT, "Clients of /v1/stream that were dropped because they did not keep up") \
    X(track_batches,          "goprofd_track_batches_total",                FIELD_COUNTER, UNIT_COUNT, "Batches of tracked allocations that were taken") \
    X(track_records,          "goprofd_track_records_total",                FIELD_COUNTER, UNIT_COUNT, "Records in these batches") \
    X(track_refused,          "goprofd_track_refused_total",                FIELD_COUNTER, UNIT_COUNT, "Batches that were refused: not understood, or no room for them") \
    X(http_requests,          "goprofd_http_requests_total",                FIELD_COUNTER, UNIT_COUNT, "HTTP requests answered") \
    X(http_errors,            "goprofd_http_errors_total",                  FIELD_COUNTER, UNIT_COUNT, "HTTP answers with status 500 or above")
/* clang-format on */

/* What goprofd counts about itself.  Any thread may add with relaxed atomics, any view may read;
 * the list declares the members and the table that /metrics and the docs loop over. */
struct board_counters {
#define DECLARE_MEMBER(member, metric, kind, unit, help) _Atomic uint64_t member;
    BOARD_COUNTERS(DECLARE_MEMBER)
#undef DECLARE_MEMBER
};

enum board_counter_index {
#define DECLARE_INDEX(member, metric, kind, unit, help) BOARD_COUNTER_##member,
    BOARD_COUNTERS(DECLARE_INDEX)
#undef DECLARE_INDEX
        BOARD_COUNTER_COUNT
};

struct board_counter_field {
    const char *name;   /* the member's */
    const char *metric; /* Prometheus name; base units: the view turns ns into seconds */
    enum field_kind kind;
    enum field_unit unit;
    const char *help;
    size_t offset; /* into struct board_counters */
};

extern const struct board_counter_field board_counter_fields[BOARD_COUNTER_COUNT];

uint64_t board_counter_get(const struct board_counters *counters,
                           const struct board_counter_field *field);

struct board *board_new(size_t ring_capacity_snapshots); /* NULL without memory */
/* Bounds all rings together, before the first beat: past it the oldest snapshots of all go first,
 * counted in history_dropped; each target keeps at least its newest.  Without it: no bound. */
void board_limit_history(struct board *board, uint64_t max_bytes);
void board_free(struct board *board);                    /* no other user may remain */

struct board_counters *board_counters(struct board *board);
struct problems *board_problems(struct board *board); /* of goprofd itself; never NULL */

/* Publishes one beat.  [views]: all targets now watched; their holds are taken over, also on
 * failure.  Each view whose snapshot is newer than its ring's newest is pushed into the ring of its
 * id.  Rings of ids that are not in [views] are dropped.  One thread publishes.  False with
 * ERROR_NO_MEMORY or, if two views have one id, ERROR_USAGE: the last page then stays. */
bool board_publish(struct board *board, const struct target_view *views, size_t count,
                   uint64_t realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* What a target was when an earlier goprofd saw it last. */
struct board_past {
    uint64_t sequence;
    uint64_t generation;
    int pid;              /* of a process that may still run; 0: none, or the machine was started again */
    uint64_t start_ticks;
};

/* Before the first beat: [snapshot] of an earlier run, each target's oldest first.  [kept] is what the history shows of
 * it (taken over), or NULL; the ring waits for the target of that id to be found. */
void board_restore(struct board *board, const struct target_info *info,
                   const struct snapshot *snapshot, const struct snapshot *kept, bool same_boot);
/* What was restored of [id]; false: nothing.  The publishing thread. */
bool board_past(const struct board *board, const char *id, struct board_past *past);

/* The newest page; never NULL after board_new (an empty page before the first beat). */
const struct board_page *board_page(struct board *board);
const struct board_page *board_page_ref(const struct board_page *page);
void board_page_unref(const struct board_page *page); /* NULL is allowed */

/* The view of target [id] (or name) in [page], or NULL. */
const struct target_view *board_page_find(const struct board_page *page, const char *id);

/* Up to [max] snapshots of target [id] with since <= realtime_ns <= until, oldest first: the newest
 * [max] of them.  Each in [out] carries a hold.  *[found] false if no such target.  Packed ones are unpacked
 * here, outside the lock; without memory for that the history is shorter. */
size_t board_history(struct board *board, const char *id, uint64_t since_realtime_ns,
                     uint64_t until_realtime_ns, const struct snapshot **out, size_t max,
                     bool *found);

/* The next snapshots of target [id], oldest first, with realtime_ns >= since and a sequence above [after]: at least one
 * if there is any, at most [max], which is BOARD_HISTORY_STEP_MAX or more.  Each in [out] carries a hold. */
enum { BOARD_HISTORY_STEP_MAX = 128 };
size_t board_history_after(struct board *board, const char *id, uint64_t since_realtime_ns,
                           uint64_t after, const struct snapshot **out, size_t max, bool *found);

/* The heap profile of target [id] as it was at [realtime_ns]: the newest taken until then.  One hold for the
 * caller.  NULL with ERROR_NOT_FOUND (no such target, or nothing so old) or ERROR_NO_MEMORY. */
const struct profile *board_profile_at(struct board *board, const char *id, uint64_t realtime_ns,
                                       struct error *err);

/* The same, or, if none is so old, the oldest that is kept. */
const struct profile *board_profile_before(struct board *board, const char *id,
                                           uint64_t realtime_ns, struct error *err);

/* Takes over the hold; NULL leaves the last set in place. */
void board_publish_findings(struct board *board, const struct finding_set *set);
const struct finding_set *board_findings(struct board *board); /* never NULL: maybe empty */

void board_publish_rules(struct board *board, const struct rules_report *report); /* takes over */
const struct rules_report *board_rules(struct board *board); /* NULL before the first load */

/* Captures per target, counted by the capturer; [id] need not exist (then 0). */
void board_count_capture(struct board *board, const char *id);
uint64_t board_capture_count(struct board *board, const char *id);

#endif
