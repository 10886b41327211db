/* capture.c - profiles kept as files: the thread, the queue and who may have one.
 *
 *   capturer_request --copy--> mailbox --take--> judge -> encode -> capture_file_write -> rotate
 *   (any thread)                 |               (capture thread)                  \-> reply
 *                                +-- pushed out --> refused list --> reply "busy"
 *
 * The lock guards the settings, the refused list and `running`; it is a leaf. */
#include "core/capture/capture.h"

#include <pthread.h>
#include <signal.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/capture/capture_cooldown.h"
#include "core/capture/capture_file.h"
#include "core/capture/capture_job.h"
#include "core/capture/capture_list.h"
#include "core/capture/capture_take.h"
#include "core/store/board.h"
#include "core/store/problems.h"
#include "core/store/profile.h"
#include "core/store/target_info.h"

enum {
    CAPTURE_QUEUE_REQUESTS = 64,
    CAPTURE_PROBE_BYTES = 256 << 10, /* more than most captures have */
    CAPTURE_ANSWER_MAX_BYTES = 256 << 20,
};

static const uint64_t PROBE_EVERY_NS = UINT64_C(5) * CLOCK_NS_PER_S;

struct capturer {
    struct board *board;
    struct mailbox *requests;
    struct capture_cooldown cooldown; /* these two are the capture thread's alone */
    char failed_id[CAPTURE_TARGET_ID_MAX_BYTES]; /* the target of which a capture failed last */
    pthread_t thread;
    bool started; /* the owner's alone */

    pthread_mutex_t lock;
    bool running; /* the thread will still look at `refused` */
    struct capture_job *refused;
    struct capture_settings settings; /* `dir` points to the member below */
    char dir[CAPTURE_PATH_MAX_BYTES];
};

/* What one request comes to. */
struct outcome {
    const struct capture_request *request;
    struct capture_settings settings;
    char dir[CAPTURE_PATH_MAX_BYTES];
    struct error first_error;
    char *paths[CAPTURE_PATHS_MAX];
    size_t path_count;
    size_t written; /* may be more than path_count has room for */
};

const char *capture_reason_name(enum capture_reason reason)
{
    switch (reason) {
    case CAPTURE_MANUAL:
        return "manual";
    case CAPTURE_ALERT:
        return "alert";
    case CAPTURE_RULE:
        return "rule";
    case CAPTURE_SIGNAL:
        return "signal";
    case CAPTURE_EXIT:
        return "exit";
    case CAPTURE_OOM:
        return "oom";
    }
    return "unknown";
}

/* ---- what is refused ---- */

static void reply_failure(const struct capture_request *request, enum error_code code,
                          const char *text)
{
    struct capture_result result = {.ok = false};
    error_set(&result.err, code, "%s", text);
    if (request->reply != NULL)
        request->reply(request->context, &result);
}

static void count(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void refuse_query(const struct capture_query *query, enum error_code code, const char *text)
{
    struct error err;
    error_set(&err, code, "%s", text);
    query->answer(query->context, NULL, &err);
}

static void refuse_now(struct capture_job *job)
{
    if (job->query.answer != NULL) {
        refuse_query(&job->query, ERROR_BUSY, "too many captures are waiting, or the daemon stops");
        capture_job_free(job);
        return;
    }
    count(&board_counters(job->capturer->board)->captures_dropped);
    log_warn(log_msg("capture request dropped"),
             log_str("target", job->request.target_id ? job->request.target_id : "all"),
             log_str("reason", capture_reason_name(job->request.reason)));
    reply_failure(&job->request, ERROR_BUSY,
                  "too many captures are waiting, or the daemon stops; try again");
    capture_job_free(job);
}

/* The mailbox's release: [message] was pushed out or came too late.  The capture thread answers
 * while there is one (a push-out comes with a new request, so it is awake). */
static void job_refused(struct message *message)
{
    struct capture_job *job = (struct capture_job *)message;
    struct capturer *capturer = job->capturer;

    pthread_mutex_lock(&capturer->lock);
    const bool running = capturer->running;
    if (running) {
        job->next_refused = capturer->refused;
        capturer->refused = job;
    }
    pthread_mutex_unlock(&capturer->lock);
    if (!running)
        refuse_now(job);
}

/* Answers what was refused.  With [last] nothing more is left for the thread to answer. */
static void answer_refused(struct capturer *capturer, bool last)
{
    struct capture_job *refused;
    do {
        pthread_mutex_lock(&capturer->lock);
        refused = capturer->refused;
        capturer->refused = NULL;
        if (last && refused == NULL)
            capturer->running = false;
        pthread_mutex_unlock(&capturer->lock);
        for (struct capture_job *job = refused; job != NULL;) {
            struct capture_job *next = job->next_refused;
            refuse_now(job);
            job = next;
        }
    } while (refused != NULL);
}

/* ---- one capture ---- */

/* Whether an automatic request may run at all; a person's always may. */
static bool is_wanted(const struct outcome *outcome, struct error *err)
{
    const struct capture_request *request = outcome->request;
    if (!capture_is_automatic(request->reason))
        return true;
    if (!outcome->settings.automatic)
        return error_set(err, ERROR_USAGE,
                         "automatic captures are off: set profile_capture_enabled");
    /* A rule that calls capture() has decided for itself; an alert is judged by its severity. */
    if (request->reason == CAPTURE_ALERT && !request->whatever_severity &&
        !(outcome->settings.on_severities >> request->severity & 1))
        return error_set(err, ERROR_USAGE, "severity %s is not in profile_capture_on_severities",
                         severity_name(request->severity));
    if ((request->reason == CAPTURE_EXIT && outcome->settings.on_exit != CAPTURE_ON_EXIT_ALL) ||
        (request->reason == CAPTURE_OOM && outcome->settings.on_exit == CAPTURE_ON_EXIT_NONE))
        return error_set(err, ERROR_USAGE, "profile_capture_on_exit does not ask for it");
    return true;
}

static void keep_path(struct outcome *outcome, const char *path)
{
    outcome->written++;
    if (outcome->path_count == CAPTURE_PATHS_MAX)
        return;
    char *copy = strdup(path);
    if (copy != NULL)
        outcome->paths[outcome->path_count++] = copy;
}

static bool capture_view(struct capturer *capturer, struct outcome *outcome,
                         const struct target_view *view, struct error *err)
{
    char path[CAPTURE_PATH_MAX_BYTES];
    const struct capture_taker taker = {.board = capturer->board,
                                        .cooldown = &capturer->cooldown,
                                        .settings = &outcome->settings,
                                        .request = outcome->request};
    if (!capture_take(&taker, view, path, err)) {
        if (err->code != ERROR_LIMIT) /* but a cooldown */
            (void)snprintf(capturer->failed_id, sizeof(capturer->failed_id), "%s",
                           view->info->facts.id);
        return false;
    }
    keep_path(outcome, path);
    return true;
}

/* ---- one request ---- */

static void note_error(struct outcome *outcome, const struct error *err)
{
    if (outcome->first_error.code == ERROR_NONE)
        outcome->first_error = *err;
}

static void capture_one(struct capturer *capturer, struct outcome *outcome,
                        const struct board_page *page, const char *id)
{
    struct error err = {0};
    const struct target_view *view =
        strlen(id) <= CAPTURE_TARGET_ID_MAX_BYTES ? board_page_find(page, id) : NULL;
    if (view == NULL)
        error_set(&err, ERROR_NOT_FOUND, "no target \"%.100s\"", id);
    else if (view->profile == NULL)
        error_set(&err, ERROR_NOT_FOUND, "no profile of %s yet: it is %s%s%s", view->info->facts.id,
                  target_state_name(view->info->facts.state),
                  view->info->facts.reason[0] == '\0' ? "" : ", ", view->info->facts.reason);
    else if (capture_view(capturer, outcome, view, &err))
        return;
    note_error(outcome, &err);
}

static void capture_all(struct capturer *capturer, struct outcome *outcome,
                        const struct board_page *page)
{
    struct error err = {0};
    size_t profiles = 0;
    for (size_t i = 0; i < page->target_count; i++) {
        if (page->targets[i].profile == NULL)
            continue;
        profiles++;
        if (!capture_view(capturer, outcome, &page->targets[i], &err))
            note_error(outcome, &err);
    }
    if (profiles == 0) {
        error_set(&err, ERROR_NOT_FOUND, "no target has a profile yet");
        note_error(outcome, &err);
    }
}

static void reply(struct outcome *outcome)
{
    const struct capture_request *request = outcome->request;
    const char *paths[CAPTURE_PATHS_MAX];
    for (size_t i = 0; i < outcome->path_count; i++)
        paths[i] = outcome->paths[i];
    /* With several targets some may have failed: the paths say which did not. */
    const struct capture_result result = {.ok = outcome->written > 0,
                                          .err = outcome->first_error,
                                          .path_count = outcome->path_count,
                                          .paths = paths};
    if (request->reply != NULL)
        request->reply(request->context, &result);
}

static void load_settings(struct capturer *capturer, struct outcome *outcome)
{
    pthread_mutex_lock(&capturer->lock);
    outcome->settings = capturer->settings;
    memcpy(outcome->dir, capturer->dir, sizeof(outcome->dir));
    pthread_mutex_unlock(&capturer->lock);
    outcome->settings.dir = outcome->dir;
}

static void run(struct capturer *capturer, const struct capture_request *request)
{
    struct outcome outcome = {.request = request};
    struct error err = {0};

    load_settings(capturer, &outcome);
    if (!is_wanted(&outcome, &err)) {
        note_error(&outcome, &err);
    } else if (request->view != NULL) {
        if (!capture_view(capturer, &outcome, request->view, &err))
            note_error(&outcome, &err);
    } else {
        const struct board_page *page = board_page(capturer->board);
        if (request->target_id != NULL)
            capture_one(capturer, &outcome, page, request->target_id);
        else
            capture_all(capturer, &outcome, page);
        board_page_unref(page);
    }
    if (outcome.written == 0)
        log_debug(log_msg("no capture"), log_str("reason", capture_reason_name(request->reason)),
                  log_str("error", outcome.first_error.message));
    reply(&outcome);
    for (size_t i = 0; i < outcome.path_count; i++)
        free(outcome.paths[i]);
}

static void answer_query(struct capturer *capturer, const struct capture_query *query)
{
    struct outcome outcome = {.request = NULL};
    struct error err = {0};
    struct buffer content;
    load_settings(capturer, &outcome);
    buffer_init(&content, CAPTURE_ANSWER_MAX_BYTES);
    bool ok = query->name != NULL
                  ? capture_list_read(outcome.dir, query->name, &content, &err)
                  : capture_list_write(outcome.dir, query->target_id, query->limit, &content, &err);
    if (ok && content.failed)
        ok = error_set(&err, ERROR_NO_MEMORY, "no memory for the answer");
    if (ok) {
        query->answer(query->context, &content, NULL);
    } else {
        buffer_release(&content);
        query->answer(query->context, NULL, &err);
    }
}

/* Whether captures can be kept again after one could not. */
static void probe(struct capturer *capturer)
{
    struct outcome outcome = {.request = NULL};
    struct error err;
    load_settings(capturer, &outcome);
    if (!capture_file_probe(outcome.dir, capturer->failed_id, CAPTURE_PROBE_BYTES, &err)) {
        problems_set(board_problems(capturer->board), PROBLEM_CAPTURES, err.message);
        return;
    }
    problems_clear(board_problems(capturer->board), PROBLEM_CAPTURES);
    log_info(log_msg("captures can be kept again"), log_str("dir", outcome.dir));
}

/* The next request; NULL at the end.  While captures fail, tries now and then whether they still do. */
static struct message *take_request(struct capturer *capturer)
{
    for (;;) {
        char ignored[ERROR_MESSAGE_MAX_BYTES];
        const bool failing =
            problems_get(board_problems(capturer->board), PROBLEM_CAPTURES, ignored);
        struct message *message = mailbox_take(
            capturer->requests, failing ? clock_monotonic_ns() + PROBE_EVERY_NS : UINT64_MAX);
        if (message != NULL || !failing || mailbox_is_closed(capturer->requests))
            return message;
        probe(capturer);
    }
}

static void *thread_main(void *context)
{
    struct capturer *capturer = context;
    struct message *message;
    while ((message = take_request(capturer)) != NULL) {
        struct capture_job *job = (struct capture_job *)message;
        if (job->query.answer != NULL)
            answer_query(capturer, &job->query);
        else
            run(capturer, &job->request);
        capture_job_free(job);
        answer_refused(capturer, false);
    }
    answer_refused(capturer, true);
    return NULL;
}

/* ---- life ---- */

static bool copy_settings(struct capturer *capturer, const struct capture_settings *settings,
                          struct error *err)
{
    const size_t length = settings->dir == NULL ? 0 : strlen(settings->dir);
    if (length == 0 || length >= sizeof(capturer->dir))
        return error_set(err, ERROR_USAGE,
                         "profile_capture_dir has %zu bytes; allowed are 1 to %zu", length,
                         sizeof(capturer->dir) - 1);
    pthread_mutex_lock(&capturer->lock);
    capturer->settings = *settings;
    memcpy(capturer->dir, settings->dir, length + 1);
    capturer->settings.dir = capturer->dir;
    pthread_mutex_unlock(&capturer->lock);
    return true;
}

struct capturer *capturer_new(const struct capture_settings *settings, struct board *board,
                              struct error *err)
{
    struct capturer *capturer = calloc(1, sizeof(*capturer));
    if (capturer == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory for the capture thread");
        return NULL;
    }
    capturer->board = board;
    capture_cooldown_init(&capturer->cooldown);
    pthread_mutex_init(&capturer->lock, NULL);
    if (!copy_settings(capturer, settings, err)) {
        capturer_free(capturer);
        return NULL;
    }
    capturer->requests = mailbox_new(CAPTURE_QUEUE_REQUESTS, job_refused);
    if (capturer->requests == NULL) {
        error_set(err, ERROR_NO_MEMORY, "no memory for the capture queue");
        capturer_free(capturer);
        return NULL;
    }
    return capturer;
}

static void set_running(struct capturer *capturer, bool running)
{
    pthread_mutex_lock(&capturer->lock);
    capturer->running = running;
    pthread_mutex_unlock(&capturer->lock);
}

bool capturer_start(struct capturer *capturer, struct error *err)
{
    /* Signals are main's; and with SIGXFSZ blocked a file size limit is an error of write(). */
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    set_running(capturer, true);
    const int status = pthread_create(&capturer->thread, NULL, thread_main, capturer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != 0) {
        set_running(capturer, false);
        return error_set(err, ERROR_SYSTEM, "start the capture thread: %s",
                         error_errno_text(status));
    }
    (void)pthread_setname_np(capturer->thread, "capture");
    capturer->started = true;
    return true;
}

void capturer_stop(struct capturer *capturer)
{
    mailbox_close(capturer->requests);
    if (capturer->started)
        (void)pthread_join(capturer->thread, NULL);
    capturer->started = false;
}

void capturer_free(struct capturer *capturer)
{
    if (capturer == NULL)
        return;
    if (capturer->requests != NULL) {
        capturer_stop(capturer);
        mailbox_free(capturer->requests);
    }
    capture_cooldown_release(&capturer->cooldown);
    pthread_mutex_destroy(&capturer->lock);
    free(capturer);
}

void capturer_request(struct capturer *capturer, const struct capture_request *request)
{
    struct capture_job *job = capture_job_new(capturer, request);
    if (job == NULL) {
        count(&board_counters(capturer->board)->captures_dropped);
        reply_failure(request, ERROR_NO_MEMORY, "no memory for a capture request");
        return;
    }
    (void)mailbox_post(capturer->requests, &job->message); /* a refused one is answered there */
}

void capturer_query(struct capturer *capturer, const struct capture_query *query)
{
    struct capture_job *job = capture_job_new_query(capturer, query);
    if (job == NULL)
        refuse_query(query, ERROR_NO_MEMORY, "no memory to ask about captures");
    else
        (void)mailbox_post(capturer->requests, &job->message);
}

void capturer_configure(struct capturer *capturer, const struct capture_settings *settings)
{
    struct error err = {0};
    if (!copy_settings(capturer, settings, &err))
        log_error(log_msg("capture settings not changed"), log_str("error", err.message));
}
