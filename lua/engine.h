/* engine.h - the rule thread: evaluates every rule against every target after each beat.
 *
 * Woken by the sampler through its inbox; reads pages and history from the board; publishes
 * findings and the report of rules there; asks the capturer for captures.  Owns all Lua states. */
#ifndef GOPROFD_LUA_ENGINE_H
#define GOPROFD_LUA_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct board;
struct buffer;
struct capturer;
struct config;
struct engine;
struct mailbox;

struct engine *engine_new(const struct config *config, struct board *board,
                          struct capturer *capturer, struct error *err);
struct mailbox *engine_inbox(struct engine *engine); /* for sampler_subscribe */

/* Loads the rules for the first time, on the caller's thread; false with "FILE:LINE: text" of the
 * first broken file ([problems], if not NULL, gets a line for each). */
bool engine_load(struct engine *engine, struct buffer *problems, struct error *err)
    GOPROFD_MUST_CHECK;
bool engine_start(struct engine *engine, struct error *err) GOPROFD_MUST_CHECK;
void engine_stop(struct engine *engine); /* joins */
void engine_free(struct engine *engine);

/* Asks for a reload; any thread; returns at once.  [config] (may be NULL: as before) carries new rules
 * settings and must outlive the engine or the next reload.  [done], if not NULL, is called on the
 * rule thread with the outcome: ok, or the first problem. */
void engine_reload(struct engine *engine, const struct config *config,
                   void (*done)(void *context, bool ok, const char *problem), void *context);

/* Asks what the last evaluations of [rule] on [target] (NULL: on every one) looked at; any thread; returns
 * at once.  [done] is called once, on the rule thread or here: [json] is an object to take over; false
 * if there is no such rule or target, or the engine is too busy or stopping ([json] then is empty). */
void engine_explain(struct engine *engine, const char *rule, const char *target,
                    void (*done)(void *context, bool found, struct buffer *json), void *context);

/* Compiles every rule of [config], runs the tests they carry, and throws them away: `goprofd -t`.  Returns problems found. */
size_t engine_check(const struct config *config, struct buffer *problems);

#endif
