/* engine.c - the rule thread: waits for beats, judges them, reloads when asked.
 *
 *   sampler --"published"--> inbox --> judge_beat(newest page)
 *   main, http --engine_reload--> [pending] + a poke into the inbox --> judge_load
 *
 * The thread owns the judge from engine_start to engine_stop; before and after it is the caller's. */
#include "lua/engine.h"

#include <pthread.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/capture/capture.h"
#include "core/store/board.h"
#include "lua/judge.h"
#include "lua/rule_set.h"

enum { RELOAD_WAITERS_MAX = 16, INBOX_CAPACITY = 4, PROBLEMS_MAX_BYTES = 64 * 1024 };

struct reload_waiter {
    void (*done)(void *context, bool ok, const char *problem);
    void *context;
};

/* What was asked for and not yet begun. */
struct reload {
    bool wanted;
    const struct config *config; /* NULL: the one in force */
    struct reload_waiter waiters[RELOAD_WAITERS_MAX];
    size_t waiter_count;
};

struct engine {
    const struct config *config; /* of engine_new, until judge_load succeeded */
    struct board *board;
    struct capturer *capturer;
    struct judge *judge;
    struct mailbox *inbox;
    uint64_t judged_sequence; /* of the last page */
    uint64_t dropped_seen;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* guards [pending] only */
    struct reload pending;
};

static void release_message(struct message *message)
{
    free(message);
}

static void request_capture(void *context, const struct capture_request *request)
{
    const struct engine *engine = context;
    if (engine->capturer != NULL)
        capturer_request(engine->capturer, request);
}

struct engine *engine_new(const struct config *config, struct board *board,
                          struct capturer *capturer, struct error *err)
{
    struct engine *engine = calloc(1, sizeof(*engine));
    if (engine == NULL)
        goto no_memory;
    engine->config = config;
    engine->board = board;
    engine->capturer = capturer;
    if (pthread_mutex_init(&engine->lock, NULL) != 0) {
        free(engine);
        engine = NULL;
        goto no_memory;
    }
    const struct judge_wiring wiring = {
        .board = board, .request_capture = request_capture, .context = engine};
    engine->judge = judge_new(&wiring);
    engine->inbox = mailbox_new(INBOX_CAPACITY, release_message);
    if (engine->judge == NULL || engine->inbox == NULL)
        goto no_memory;
    return engine;

no_memory:
    (void)error_set(err, ERROR_NO_MEMORY, "no memory for the rule engine");
    engine_free(engine);
    return NULL;
}

struct mailbox *engine_inbox(struct engine *engine)
{
    return engine->inbox;
}

bool engine_load(struct engine *engine, struct buffer *problems, struct error *err)
{
    return judge_load(engine->judge, engine->config, clock_realtime_ns(), problems, err);
}

/* ---- reload ---- */

static void answer(const struct reload *reload, bool ok, const char *problem)
{
    for (size_t i = 0; i < reload->waiter_count; i++)
        reload->waiters[i].done(reload->waiters[i].context, ok, problem);
}

static struct reload take_pending(struct engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    const struct reload pending = engine->pending;
    engine->pending = (struct reload){.wanted = false};
    (void)pthread_mutex_unlock(&engine->lock);
    return pending;
}

/* A request that comes while another waits joins it: one load answers both, and whoever brought a
 * config hears nothing before the rule thread is through with it. */
void engine_reload(struct engine *engine, const struct config *config,
                   void (*done)(void *context, bool ok, const char *problem), void *context)
{
    bool joined = true;
    (void)pthread_mutex_lock(&engine->lock);
    struct reload *pending = &engine->pending;
    if (done != NULL && pending->waiter_count == RELOAD_WAITERS_MAX) {
        joined = false;
    } else {
        pending->wanted = true;
        if (config != NULL)
            pending->config = config;
        if (done != NULL)
            pending->waiters[pending->waiter_count++] =
                (struct reload_waiter){.done = done, .context = context};
    }
    (void)pthread_mutex_unlock(&engine->lock);
    if (!joined) {
        done(context, false, "too many reloads at once: try again");
        return;
    }

    struct message *poke = calloc(1, sizeof(*poke));
    if (poke != NULL && mailbox_post(engine->inbox, poke))
        return;
    /* The thread has ended or cannot be told.  Without memory for a message it will see the wish at
     * the next beat; when it has ended nobody else will answer. */
    if (mailbox_is_closed(engine->inbox)) {
        const struct reload refused = take_pending(engine);
        answer(&refused, false, "the rule engine is stopping");
    }
}

static void log_problems(struct buffer *problems)
{
    const char *text = buffer_text(problems);
    while (text != NULL && *text != '\0') {
        char line[ERROR_MESSAGE_MAX_BYTES];
        const size_t length = strcspn(text, "\n");
        const size_t kept = length < sizeof(line) ? length : sizeof(line) - 1;
        memcpy(line, text, kept);
        line[kept] = '\0';
        log_error(log_msg("rules not reloaded; the old ones stay"), log_str("problem", line));
        text += length + (text[length] == '\n');
    }
}

static void reload_if_wanted(struct engine *engine)
{
    const struct reload wanted = take_pending(engine);
    if (!wanted.wanted)
        return;
    const struct config *config = wanted.config != NULL ? wanted.config
                                                        : judge_config(engine->judge);
    struct buffer problems;
    struct error err;
    buffer_init(&problems, PROBLEMS_MAX_BYTES);
    const bool ok = judge_load(engine->judge, config != NULL ? config : engine->config,
                               clock_realtime_ns(), &problems, &err);
    if (ok)
        log_info(log_msg("rules reloaded"));
    else
        log_problems(&problems);
    answer(&wanted, ok, ok ? "" : err.message);
    buffer_release(&problems);
}

/* ---- the thread ---- */

static void judge_newest(struct engine *engine)
{
    const struct board_page *page = board_page(engine->board);
    if (page->sequence != engine->judged_sequence) {
        judge_beat(engine->judge, page);
        engine->judged_sequence = page->sequence;
    }
    board_page_unref(page);
    const uint64_t dropped = mailbox_dropped_messages(engine->inbox);
    atomic_fetch_add_explicit(&board_counters(engine->board)->rule_beats_dropped,
                              dropped - engine->dropped_seen, memory_order_relaxed);
    engine->dropped_seen = dropped;
}

static void *run(void *argument)
{
    struct engine *engine = argument;
    (void)pthread_setname_np(pthread_self(), "goprofd-rules");
    for (;;) {
        struct message *message = mailbox_take(engine->inbox, UINT64_MAX);
        if (message == NULL)
            break; /* closed and empty */
        free(message);
        reload_if_wanted(engine);
        if (!mailbox_is_closed(engine->inbox))
            judge_newest(engine);
    }
    const struct reload refused = take_pending(engine);
    answer(&refused, false, "the rule engine is stopping");
    return NULL;
}

bool engine_start(struct engine *engine, struct error *err)
{
    const int status = pthread_create(&engine->thread, NULL, run, engine);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "start the rule thread: %s", error_errno_text(status));
    engine->started = true;
    return true;
}

void engine_stop(struct engine *engine)
{
    mailbox_close(engine->inbox);
    if (engine->started)
        (void)pthread_join(engine->thread, NULL);
    engine->started = false;
}

void engine_free(struct engine *engine)
{
    if (engine == NULL)
        return;
    judge_free(engine->judge);
    if (engine->inbox != NULL)
        mailbox_free(engine->inbox);
    (void)pthread_mutex_destroy(&engine->lock);
    free(engine);
}

size_t engine_check(const struct config *config, struct buffer *problems)
{
    size_t problem_count = 0;
    struct error err;
    rule_set_free(rule_set_load(config, problems, &problem_count, &err));
    return problem_count;
}
