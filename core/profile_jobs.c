/* profile_jobs.c - the queue of profiles that were asked for.
 *
 * A reading borrows from the process of its target.  It is bound to that opening of it: when the
 * target has let go of the process since, the reading is dropped without looking at it. */
#include "core/profile_jobs.h"

#include "core/base/clock.h"
#include "core/goproc/stack_reading.h"
#include "core/target.h"
#include "core/target_set.h"

/* As long as a client can be expected to wait. */
#define JOB_MAX_NS (UINT64_C(30) * CLOCK_NS_PER_S)

struct profile_job {
    struct message message; /* first: the mailbox's link */
    struct profile_job *next;
    enum stack_kind kind;
    profile_reply reply;
    void *context;
    uint64_t expires_ns;
    struct stack_reading *reading; /* NULL: not begun */
    uint64_t opening;              /* of the target's process that [reading] reads */
    char target_id[];
};

struct profile_jobs {
    struct profile_job *oldest;
    struct profile_job *newest;
    size_t count;
};

struct message *profile_job_new(const struct profile_request *request)
{
    const size_t id_bytes = strlen(request->target_id) + 1;
    struct profile_job *job = calloc(1, sizeof(*job) + id_bytes);
    if (job == NULL)
        return NULL;
    job->kind = request->kind;
    job->reply = request->reply;
    job->context = request->context;
    memcpy(job->target_id, request->target_id, id_bytes);
    return &job->message;
}

static struct profile_job *job_of(struct message *message)
{
    return (struct profile_job *)(void *)message;
}

/* Answers and frees. */
static void finish(struct profile_job *job, const struct stack_profile *profile,
                   const struct error *err)
{
    stack_reading_free(job->reading);
    job->reply(job->context, profile, err);
    free(job);
}

void profile_job_refuse(struct message *message, enum error_code code, const char *reason)
{
    struct error err;
    (void)error_set(&err, code, "%s", reason);
    finish(job_of(message), NULL, &err);
}

struct profile_jobs *profile_jobs_new(void)
{
    return calloc(1, sizeof(struct profile_jobs));
}

static struct profile_job *take_oldest(struct profile_jobs *jobs)
{
    struct profile_job *job = jobs->oldest;
    jobs->oldest = job->next;
    if (jobs->oldest == NULL)
        jobs->newest = NULL;
    jobs->count--;
    return job;
}

void profile_jobs_free(struct profile_jobs *jobs)
{
    if (jobs == NULL)
        return;
    while (jobs->oldest != NULL)
        profile_job_refuse(&take_oldest(jobs)->message, ERROR_BUSY, "goprofd is stopping");
    free(jobs);
}

void profile_jobs_add(struct profile_jobs *jobs, struct message *message, uint64_t now_monotonic_ns)
{
    struct profile_job *job = job_of(message);
    if (jobs->count == PROFILE_JOBS_MAX) {
        profile_job_refuse(message, ERROR_BUSY, "too many profiles are being read already");
        return;
    }
    job->expires_ns = now_monotonic_ns + JOB_MAX_NS;
    if (jobs->newest == NULL)
        jobs->oldest = job;
    else
        jobs->newest->next = job;
    jobs->newest = job;
    jobs->count++;
}

bool profile_jobs_waiting(const struct profile_jobs *jobs)
{
    return jobs->oldest != NULL;
}

static struct target *find_target(struct target_set *targets, const char *id)
{
    for (size_t i = 0; i < target_set_count(targets); i++)
        if (strcmp(target_id(target_set_at(targets, i)), id) == 0)
            return target_set_at(targets, i);
    return NULL;
}

/* One slice of [job]. */
static enum reading_step work_on(struct profile_job *job, struct target_set *targets,
                                 uint64_t deadline_ns, const struct stack_profile **profile,
                                 struct error *err)
{
    struct stack_source source;
    uint64_t opening = 0;
    struct target *target = find_target(targets, job->target_id);

    if (target == NULL) {
        error_set(err, ERROR_GONE, "target \"%.100s\" is not watched any more", job->target_id);
        return READING_FAILED;
    }
    if (!target_stack_source(target, &source, &opening, err))
        return READING_FAILED;
    if (job->reading == NULL) {
        job->opening = opening;
        job->reading = stack_reading_begin(&source, job->kind, clock_realtime_ns(), err);
        if (job->reading == NULL)
            return READING_FAILED;
    } else if (job->opening != opening) {
        error_set(err, ERROR_GONE, "target \"%.100s\" was replaced while it was read",
                  job->target_id);
        return READING_FAILED;
    }
    const enum reading_step step = stack_reading_step(job->reading, deadline_ns, profile, err);
    /* Whatever was read counts only if it was read from this process. */
    if (step == READING_DONE && !target_stack_source(target, &source, &opening, err)) {
        stack_profile_unref(*profile);
        *profile = NULL;
        return READING_FAILED;
    }
    return step;
}

void profile_jobs_work(struct profile_jobs *jobs, struct target_set *targets, uint64_t deadline_ns)
{
    uint64_t now_ns = clock_monotonic_ns();
    while (jobs->oldest != NULL && now_ns < deadline_ns) {
        const struct stack_profile *profile = NULL;
        struct error err = {.code = ERROR_NONE};
        if (now_ns >= jobs->oldest->expires_ns) {
            profile_job_refuse(&take_oldest(jobs)->message, ERROR_BUSY,
                               "reading this profile took too long");
        } else if (work_on(jobs->oldest, targets, deadline_ns, &profile, &err) != READING_MORE) {
            finish(take_oldest(jobs), profile, &err);
        }
        now_ns = clock_monotonic_ns();
    }
}
