/* sampler.h - the thread that reads every target each interval and publishes the beat.
 *
 * Absolute schedule on the monotonic clock: beat k is due at start + k x interval.  A late beat runs
 * at once; whole missed beats are skipped and counted.  Owns all sources. */
#ifndef GOPROFD_SAMPLER_H
#define GOPROFD_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct board;
struct capturer;
struct config;
struct mailbox;
struct profile_request;
struct sampler;
struct site_tagger;
struct tracker;

/* [config] must outlive the sampler. */
struct sampler *sampler_new(const struct config *config, struct board *board, struct error *err);
/* Before the start: after each beat a struct message (calloc'ed, nothing in it) is posted. */
void sampler_subscribe(struct sampler *sampler, struct mailbox *inbox);
/* Before the start: the last profile of each process that ends is offered to [capturer], which decides
 * by its settings. */
void sampler_capture_exits(struct sampler *sampler, struct capturer *capturer);
/* Before the start: programs that push are targets, too; borrowed, outlives the sampler. */
void sampler_use_tracker(struct sampler *sampler, struct tracker *tracker);
/* Before the start: who says the tags of sites; borrowed, outlives the sampler. */
void sampler_use_tagger(struct sampler *sampler, const struct site_tagger *tagger);
/* Any thread: the horizon of the retention estimates, from the next beat on. */
void sampler_set_retention_window(struct sampler *sampler, uint64_t window_ns);
/* Any thread: for how long the sampler should have got on by [now_ns] and has not; 0: it does, or sleeps until a
 * time that is to come, or was stopped.  Each read of a target counts as getting on, and so may take its time. */
uint64_t sampler_overdue_ns(const struct sampler *sampler, uint64_t now_ns);
bool sampler_start(struct sampler *sampler, struct error *err) GOPROFD_MUST_CHECK;
void sampler_stop(struct sampler *sampler); /* joins */
void sampler_free(struct sampler *sampler);

/* Any thread: asks for a profile of a target (profile_jobs.h).  Answered once in every case, maybe before
 * this returns. */
void sampler_request_profile(struct sampler *sampler, const struct profile_request *request);

/* When the beat after the one due at [due_ns] is due, seen from [now_ns]: the first of the schedule
 * that is not more than one interval in the past.  [*missed_beats] gets how many were skipped. */
uint64_t sampler_next_due_ns(uint64_t due_ns, uint64_t interval_ns, uint64_t now_ns,
                             uint64_t *missed_beats);

#endif
