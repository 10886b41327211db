/* profile_jobs.h - profiles that someone asked for, read one after the other between the beats.
 *
 *   http, any thread --message--> sampler's mailbox --> jobs: [oldest] [next] ...
 *                                                         | a slice of time now and then
 *   reply(context, profile or error) <--------------------+
 *
 * Owned by the sampler thread.  Whoever asked is answered once in every case, on the sampler thread
 * or on the one that stops it. */
#ifndef GOPROFD_PROFILE_JOBS_H
#define GOPROFD_PROFILE_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/base/mailbox.h"
#include "core/store/stack_profile.h"

struct profile_jobs;
struct target_set;

/* [profile] is a hold for the callee; NULL after a failure, with the reason in [err].  Must be
 * quick: the next beat waits for it. */
typedef void (*profile_reply)(void *context, const struct stack_profile *profile,
                              const struct error *err);

struct profile_request {
    const char *target_id; /* copied */
    enum stack_kind kind;
    profile_reply reply;
    void *context;
};

enum { PROFILE_JOBS_MAX = 64 };

/* The message for a mailbox; NULL without memory. */
struct message *profile_job_new(const struct profile_request *request);
/* Answers it with an error and frees it: nobody will do it. */
void profile_job_refuse(struct message *message, enum error_code code, const char *reason);

struct profile_jobs *profile_jobs_new(void);       /* NULL without memory */
void profile_jobs_free(struct profile_jobs *jobs); /* refuses what is left; NULL is allowed */

/* Takes over [message], made by profile_job_new(). */
void profile_jobs_add(struct profile_jobs *jobs, struct message *message,
                      uint64_t now_monotonic_ns);
bool profile_jobs_waiting(const struct profile_jobs *jobs);
/* Works on the oldest until [deadline_ns] (monotonic); answers those that are done, failed, or too
 * old. */
void profile_jobs_work(struct profile_jobs *jobs, struct target_set *targets, uint64_t deadline_ns);

#endif
