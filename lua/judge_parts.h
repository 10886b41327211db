/* judge_parts.h - what the judge*.c files share.
 *
 *   judge.c         loading, and the beat: page -> targets -> rules
 *   judge_pair.c    one rule on one target: gates, evaluation, suspension, findings
 *   judge_watch.c   the targets that are watched
 *   judge_idle.c    which of them need not be judged at this beat
 *   judge_self.c    alerts of goprofd itself
 *   judge_report.c  what is told of rules: GET /v1/rules, "why did it not fire" */
#ifndef GOPROFD_LUA_JUDGE_PARTS_H
#define GOPROFD_LUA_JUDGE_PARTS_H

#include "core/base/clock.h"
#include "core/store/finding.h"
#include "lua/judge.h"
#include "lua/rule_header.h"
#include "lua/trace.h"

struct history;
struct ledger;
struct observation;
struct rule_set;
struct target_view;

enum pair_outcome {
    PAIR_NEVER,     /* not evaluated yet */
    PAIR_QUIET,     /* evaluated, and nothing was said */
    PAIR_RAISED,    /* it said something */
    PAIR_WARMUP,    /* what it said does not count yet */
    PAIR_SKIPPED,   /* the rule is not for this target */
    PAIR_DISABLED,  /* by the config */
    PAIR_SUSPENDED, /* after failures */
    PAIR_FAILED,
    PAIR_DEFERRED, /* it failed before, and this beat had no time left for it */
};

/* How one rule gets along with one target. */
struct pair {
    uint8_t outcome; /* enum pair_outcome, of the last beat */
    unsigned failures; /* in a row */
    unsigned suspensions;
    uint64_t suspended_until_ns; /* 0: not suspended */
    uint64_t evaluated_ns;       /* realtime of the last evaluation */
    uint32_t evaluate_ns;        /* what it took */
    uint16_t findings;           /* that it raised */
    uint16_t read_count;
    uint16_t read_capacity;
    uint16_t reads_left_out;
    struct trace_read *reads; /* of the last evaluation */
    char *reason;             /* why it was skipped or failed; NULL: it was not */
};

/* What moves in a process that does anything at all; NAN: not known. */
struct activity {
    double num_gc;
    double total_alloc_bytes;
    double goroutines;
    double rss_bytes;
    double headroom_bytes; /* below the memory limit, which others may use up */
    const struct profile *profile; /* not a hold: only compared */
};

struct watched {
    char *id;
    struct history *history;
    struct pair *pairs; /* one per rule of the set */
    uint64_t generation;       /* of the process that is there */
    uint64_t first_seen_ns;    /* realtime of the first snapshot of that generation */
    bool present;              /* in the page being judged */
    bool closed;               /* its findings were closed: nothing there to judge */
    struct activity activity;  /* when it was judged last */
    unsigned idle_beats;       /* since then */
};

/* What GET /v1/rules tells of a rule; carried over reloads by name. */
struct tally {
    char name[RULE_NAME_MAX_BYTES + 1];
    uint64_t evaluations;
    uint64_t errors;
    uint64_t limit_exceeded;
    uint64_t evaluate_ns;
    uint64_t evaluate_ns_max;
    uint64_t suspensions;
    uint64_t deferred;
    struct error last_error;
    uint64_t last_error_ns;
    bool failing; /* its last evaluation failed, on whatever target */
};

struct judge {
    struct judge_wiring wiring;
    const struct config *config;
    struct rule_set *set;
    struct tally *tallies; /* one per rule of the set */
    struct ledger *ledger;
    size_t watched_count;
    size_t watched_capacity;
    struct watched *watched;
    uint64_t generation;
    uint64_t loaded_ns;
    uint64_t reloads_failed;
    struct error reload_error;
    size_t failing_first; /* whose turn it is among the failing rules */
    unsigned failure_lines; /* logged in this beat */
};

/* ---- judge_watch.c ---- */

/* The target called [id], found or new; NULL without memory. */
struct watched *judge_watch(struct judge *judge, const char *id);
struct watched *judge_find_watched(struct judge *judge, const char *id);
void judge_forget_absent(struct judge *judge, uint64_t now_ns);
void judge_release_watched(struct judge *judge, struct watched *watched);

/* New pairs for every target, in the order of judge->watched, or NULL: all or nothing. */
struct pair **judge_new_pairs(const struct judge *judge, size_t rule_count);
void judge_free_pairs(struct pair *pairs, size_t rule_count); /* NULL is allowed */

/* ---- judge_idle.c ---- */

/* Whether [watched] may be left alone at this beat: nothing has happened since it was judged last, a short while ago, and
 * nothing is open.  If not, this is noted as the time it was judged. */
bool judge_may_rest(struct judge *judge, struct watched *watched, const struct observation *seen);

/* ---- judge_pair.c ---- */

/* Evaluates rule [index] on [watched] and takes what it says to the ledger. */
void judge_pair(struct judge *judge, size_t index, struct watched *watched,
                const struct observation *seen, uint64_t now_ns);

/* ---- judge_self.c ---- */

/* Raises what goprofd cannot do at present, and closes what it can do again. */
void judge_self(struct judge *judge, uint64_t now_ns);

/* ---- judge_report.c ---- */

enum rule_state judge_rule_state(const struct judge *judge, size_t index);

#endif
