/* judge.h - one beat of the rule engine, without thread and clock: every rule on every target.
 *
 *   page --> history per target --> rule x target --> ledger --> findings, report
 *
 * engine.c runs it on the rule thread; tests and replay.c drive it beat by beat. */
#ifndef GOPROFD_LUA_JUDGE_H
#define GOPROFD_LUA_JUDGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct board;
struct board_page;
struct buffer;
struct capture_request;
struct config;
struct judge;
struct rule;
struct rule_set;

struct judge_wiring {
    struct board *board;
    /* Asks for a capture; may be NULL.  The request lives only during the call. */
    void (*request_capture)(void *context, const struct capture_request *request);
    void *context;
    bool rest_when_idle; /* a target at which nothing happens is judged each tenth beat: see judge_idle.c */
    bool quiet;    /* a test or a replay: nothing is logged, and rules are not hurried: RULE_UNHURRIED */
    bool recorded; /* a replay: pages come from recorded history, as fast as they can be judged; nobody asks how rules are
                    * doing, and rules that fail may take as long as they want */
};

struct judge *judge_new(const struct judge_wiring *wiring); /* NULL without memory */
void judge_free(struct judge *judge);                       /* NULL is allowed */

/* Puts [set] (loaded for [config], taken over, also on failure) in place of the old rules, with the
 * state they kept, after showing each rule the newest snapshot of every target.  If one fails at that the old
 * ones stay and the report says so.  [config] must outlive the judge or the next success. */
bool judge_adopt(struct judge *judge, struct rule_set *set, const struct config *config,
                 uint64_t now_realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* Notes that a load failed before there was a set. */
void judge_note_failed_load(struct judge *judge, const struct error *err);

/* Loads the rules of [config] here and now, without the tests they carry, and adopts them. */
bool judge_load(struct judge *judge, const struct config *config, uint64_t now_realtime_ns,
                struct buffer *problems, struct error *err) GOPROFD_MUST_CHECK;

/* Puts [rule], which is taken over (also on failure), in place of all rules: for tests of one rule. */
bool judge_use_rule(struct judge *judge, struct rule *rule, const struct config *config,
                    uint64_t now_realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* Why a rule did or did not fire: its evaluations on [target] (NULL: on every one) as a JSON object.
 * False if there is no such rule or target. */
bool judge_explain(const struct judge *judge, const char *rule, const char *target,
                   struct buffer *out);

/* Open alerts as text, and back: see ledger.h.  Restored before the first beat. */
void judge_write_alerts(const struct judge *judge, struct buffer *out);
bool judge_restore_alerts(struct judge *judge, const char *text, size_t length,
                          uint64_t now_realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* Puts how the rules are doing on the board; each beat does, unless the judge's history is recorded. */
void judge_publish_report(struct judge *judge);

/* Judges what is new in [page] and publishes findings and report on the board. */
void judge_beat(struct judge *judge, const struct board_page *page);

/* The config of the last successful load; NULL before it. */
const struct config *judge_config(const struct judge *judge);

#endif
