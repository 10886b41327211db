/* capture_job.c - a capture request on its way to the capture thread, with its own copies. */
#include "core/capture/capture_job.h"

#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum {
    JOB_NAME_MAX_BYTES = 512,  /* rule, finding */
    JOB_TEXT_MAX_BYTES = 8192, /* message */
};

void capture_job_free(struct capture_job *job)
{
    target_info_unref(job->view.info);
    snapshot_unref(job->view.snapshot);
    profile_unref(job->view.profile);
    free(job->target_id);
    free(job->rule);
    free(job->finding);
    free(job->text);
    free(job);
}

/* Points [*slot] to a copy of at most [max_bytes] of its text; false without memory. */
static bool copy_text(char **copy, const char **slot, size_t max_bytes)
{
    if (*slot == NULL)
        return true;
    const size_t length = strnlen(*slot, max_bytes);
    *copy = malloc(length + 1);
    if (*copy == NULL)
        return false;
    memcpy(*copy, *slot, length);
    (*copy)[length] = '\0';
    *slot = *copy;
    return true;
}

static void hold_view(struct capture_job *job)
{
    const struct target_view *view = job->request.view;
    if (view == NULL)
        return;
    job->view.info = target_info_ref(view->info);
    job->view.snapshot = view->snapshot == NULL ? NULL : snapshot_ref(view->snapshot);
    job->view.profile = view->profile == NULL ? NULL : profile_ref(view->profile);
    job->request.view = &job->view;
}

struct capture_job *capture_job_new(struct capturer *capturer,
                                    const struct capture_request *request)
{
    struct capture_job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    job->capturer = capturer;
    job->request = *request;
    hold_view(job);
    /* One byte more than allowed shows that an id is too long to be any target's. */
    if (copy_text(&job->target_id, &job->request.target_id, CAPTURE_TARGET_ID_MAX_BYTES + 1) &&
        copy_text(&job->rule, &job->request.rule, JOB_NAME_MAX_BYTES) &&
        copy_text(&job->finding, &job->request.finding, JOB_NAME_MAX_BYTES) &&
        copy_text(&job->text, &job->request.message, JOB_TEXT_MAX_BYTES))
        return job;
    capture_job_free(job);
    return NULL;
}

struct capture_job *capture_job_new_query(struct capturer *capturer,
                                          const struct capture_query *query)
{
    struct capture_job *job = calloc(1, sizeof(*job));
    if (job == NULL)
        return NULL;
    job->capturer = capturer;
    job->query = *query;
    if (copy_text(&job->target_id, &job->query.target_id, CAPTURE_TARGET_ID_MAX_BYTES + 1) &&
        copy_text(&job->text, &job->query.name, JOB_NAME_MAX_BYTES))
        return job;
    capture_job_free(job);
    return NULL;
}
