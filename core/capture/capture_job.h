/* capture_job.h - a capture request on its way to the capture thread, with its own copies.
 *
 * Made by capturer_request() on any thread; the mailbox hands it to the capture thread. */
#ifndef GOPROFD_CAPTURE_CAPTURE_JOB_H
#define GOPROFD_CAPTURE_CAPTURE_JOB_H

#include "core/base/mailbox.h"
#include "core/capture/capture.h"
#include "core/store/board.h"

struct capture_job {
    struct message message; /* first: what the mailbox sees */
    struct capturer *capturer;
    struct capture_job *next_refused;
    struct capture_query query;     /* answer NULL: it is a request */
    struct capture_request request; /* its texts are the copies below, as the query's are */
    struct target_view view;        /* a hold on each; what request.view points to, if anything */
    char *target_id;
    char *rule;
    char *finding;
    char *text;
};

/* NULL without memory. */
struct capture_job *capture_job_new(struct capturer *capturer,
                                    const struct capture_request *request);
struct capture_job *capture_job_new_query(struct capturer *capturer,
                                          const struct capture_query *query);
void capture_job_free(struct capture_job *job);

#endif
