/* judge.h - one beat of the rule engine, without thread and clock: every rule on every target.
 *
 *   page --> history per target --> rule x target --> ledger --> findings, report
 *
 * engine.c runs it on the rule thread; tests (and later a replay) drive it beat by beat. */
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

struct judge_wiring {
    struct board *board;
    /* Asks for a capture; may be NULL.  The request lives only during the call. */
    void (*request_capture)(void *context, const struct capture_request *request);
    void *context;
    bool quiet; /* a test or a replay: nothing is logged */
};

struct judge *judge_new(const struct judge_wiring *wiring); /* NULL without memory */
void judge_free(struct judge *judge);                       /* NULL is allowed */

/* Loads the rules of [config] and puts them in place of the old ones, with the state they kept.  If
 * any is wrong the old ones stay and the report says so.  [config] must outlive the judge or the
 * next successful load. */
bool judge_load(struct judge *judge, const struct config *config, uint64_t now_realtime_ns,
                struct buffer *problems, struct error *err) GOPROFD_MUST_CHECK;

/* Puts [rule], which is taken over (also on failure), in place of all rules: for tests of one rule. */
bool judge_use_rule(struct judge *judge, struct rule *rule, const struct config *config,
                    uint64_t now_realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* Open alerts as text, and back: see ledger.h.  Restored before the first beat. */
void judge_write_alerts(const struct judge *judge, struct buffer *out);
bool judge_restore_alerts(struct judge *judge, const char *text, size_t length,
                          uint64_t now_realtime_ns, struct error *err) GOPROFD_MUST_CHECK;

/* Judges what is new in [page] and publishes findings and report on the board. */
void judge_beat(struct judge *judge, const struct board_page *page);

/* The config of the last successful load; NULL before it. */
const struct config *judge_config(const struct judge *judge);

#endif
