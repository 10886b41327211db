/* engine.c - the rule thread: waits for beats, judges them, reloads when asked.
 *
 *   sampler --"published"--> inbox --> judge_beat(newest page)
 *   main, http --engine_reload--> [pending] + a poke --> a loader thread: compile, run the tests
 *                                                         --> [loaded] + a poke --> judge_adopt
 *   http --engine_explain--> [questions] + a poke --> judge_explain
 *
 * The thread owns the judge from engine_start to engine_stop; before and after it is the caller's.  The
 * loader touches nothing of it, so that beats go on while a hundred rules are tested. */
#include "lua/engine.h"

#include <pthread.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/capture/capture.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "lua/alert_file.h"
#include "lua/judge.h"
#include "lua/rule_header.h"
#include "lua/rule_set.h"

enum {
    RELOAD_WAITERS_MAX = 16,
    QUESTIONS_MAX = 32,
    INBOX_CAPACITY = 4,
    PROBLEMS_MAX_BYTES = 64 * 1024,
};
static const uint64_t KEEP_ALERTS_EVERY_NS = UINT64_C(5) * CLOCK_NS_PER_S;

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

/* A load under way: the loader thread's until [finished], then the rule thread's. */
struct load {
    struct engine *engine;
    struct reload wanted;
    const struct config *config;
    struct rule_set *set; /* NULL: it failed */
    struct buffer problems;
    struct error err;
};

/* Who wants to know why a rule did not fire. */
struct question {
    char rule[RULE_NAME_MAX_BYTES + 1];
    char *target; /* NULL: all */
    void (*done)(void *context, bool found, struct buffer *json);
    void *context;
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
    bool loading; /* a loader thread is there */
    pthread_t loader;
    uint64_t alerts_kept_ns;   /* monotonic */
    uint64_t alerts_kept_sequence; /* of the findings that were kept last */
    pthread_mutex_t lock; /* guards the members below */
    struct reload pending;
    struct load *loaded; /* what the loader finished */
    size_t question_count;
    struct question questions[QUESTIONS_MAX];
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
        .board = board, .request_capture = request_capture, .context = engine, .rest_when_idle = true};
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
    const struct config *config = engine->config;
    if (!judge_load(engine->judge, config, clock_realtime_ns(), problems, err))
        return false;
    if (config->state_dir[0] != '\0' && !alert_file_read(config->state_dir, engine->judge,
                                                         clock_realtime_ns(), err))
        log_warn(log_msg("alerts of before are lost"), log_str("error", err->message));
    return true;
}

/* ---- reload ---- */

static void answer(const struct reload *reload, bool ok, const char *problem)
{
    for (size_t i = 0; i < reload->waiter_count; i++)
        reload->waiters[i].done(reload->waiters[i].context, ok, problem);
}

/* Makes the thread look around; false without memory or when it has ended. */
static bool poke(struct engine *engine)
{
    struct message *message = calloc(1, sizeof(*message));
    return message != NULL && mailbox_post(engine->inbox, message);
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

    if (poke(engine))
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

/* The loader thread: everything that takes time and needs nothing of the judge. */
static void *run_load(void *argument)
{
    struct load *load = argument;
    struct engine *engine = load->engine;
    size_t problem_count = 0;
    (void)pthread_setname_np(pthread_self(), "goprofd-loader");
    load->set =
        rule_set_load(load->config, true, &load->problems, &problem_count, &load->err);
    (void)pthread_mutex_lock(&engine->lock);
    engine->loaded = load;
    (void)pthread_mutex_unlock(&engine->lock);
    poke(engine);
    return NULL;
}

static void free_load(struct load *load)
{
    rule_set_free(load->set);
    buffer_release(&load->problems);
    free(load);
}

static void begin_load(struct engine *engine)
{
    const struct reload wanted = take_pending(engine);
    if (!wanted.wanted)
        return;
    struct load *load = calloc(1, sizeof(*load));
    if (load == NULL) {
        answer(&wanted, false, "no memory for the rules");
        return;
    }
    const struct config *present = judge_config(engine->judge);
    load->engine = engine;
    load->wanted = wanted;
    load->config = wanted.config != NULL ? wanted.config
                   : present != NULL     ? present
                                         : engine->config;
    buffer_init(&load->problems, PROBLEMS_MAX_BYTES);
    const int status = pthread_create(&engine->loader, NULL, run_load, load);
    if (status != 0) {
        answer(&wanted, false, error_errno_text(status));
        free_load(load);
        return;
    }
    engine->loading = true;
}

static void finish_load(struct engine *engine, struct load *load)
{
    struct error err = load->err;
    bool ok = load->set != NULL;
    if (ok) {
        ok = judge_adopt(engine->judge, load->set, load->config, clock_realtime_ns(), &err);
        load->set = NULL;
        if (!ok) {
            buffer_append_string(&load->problems, err.message);
            buffer_append_byte(&load->problems, '\n');
        }
    } else {
        judge_note_failed_load(engine->judge, &err);
    }
    if (ok)
        log_info(log_msg("rules reloaded"));
    else
        log_problems(&load->problems);
    answer(&load->wanted, ok, ok ? "" : err.message);
    free_load(load);
}

static void reload_if_wanted(struct engine *engine)
{
    (void)pthread_mutex_lock(&engine->lock);
    struct load *loaded = engine->loaded;
    engine->loaded = NULL;
    (void)pthread_mutex_unlock(&engine->lock);
    if (loaded != NULL) {
        (void)pthread_join(engine->loader, NULL);
        engine->loading = false;
        finish_load(engine, loaded);
    }
    if (!engine->loading)
        begin_load(engine);
}

/* At the end: a load under way is waited for and dropped. */
static void drop_load(struct engine *engine)
{
    if (!engine->loading)
        return;
    (void)pthread_join(engine->loader, NULL);
    engine->loading = false;
    answer(&engine->loaded->wanted, false, "the rule engine is stopping");
    free_load(engine->loaded);
    engine->loaded = NULL;
}

/* ---- why did it not fire ---- */

void engine_explain(struct engine *engine, const char *rule, const char *target,
                    void (*done)(void *context, bool found, struct buffer *json), void *context)
{
    struct question question = {.done = done, .context = context};
    bool asked = strlen(rule) <= RULE_NAME_MAX_BYTES;
    if (asked)
        memcpy(question.rule, rule, strlen(rule) + 1);
    if (asked && target != NULL) {
        question.target = strdup(target);
        asked = question.target != NULL;
    }
    if (asked) {
        (void)pthread_mutex_lock(&engine->lock);
        asked = engine->question_count < QUESTIONS_MAX && !mailbox_is_closed(engine->inbox);
        if (asked)
            engine->questions[engine->question_count++] = question;
        (void)pthread_mutex_unlock(&engine->lock);
    }
    if (asked) {
        poke(engine);
        return;
    }
    struct buffer nothing;
    buffer_init(&nothing, 0);
    free(question.target);
    done(context, false, &nothing);
}

static void answer_questions(struct engine *engine)
{
    enum { EXPLANATION_MAX_BYTES = 16 << 20 };
    struct question questions[QUESTIONS_MAX];
    (void)pthread_mutex_lock(&engine->lock);
    const size_t count = engine->question_count;
    memcpy(questions, engine->questions, count * sizeof(questions[0]));
    engine->question_count = 0;
    (void)pthread_mutex_unlock(&engine->lock);
    for (size_t i = 0; i < count; i++) {
        struct buffer json;
        buffer_init(&json, EXPLANATION_MAX_BYTES);
        const bool found =
            judge_explain(engine->judge, questions[i].rule, questions[i].target, &json);
        questions[i].done(questions[i].context, found, &json);
        free(questions[i].target);
    }
}

/* ---- alerts over a restart ---- */

/* Every few seconds, if there is something new; a crash loses no more than that. */
static void keep_alerts(struct engine *engine, bool now)
{
    const struct config *config = judge_config(engine->judge);
    if (config == NULL || config->state_dir[0] == '\0')
        return;
    const uint64_t now_ns = clock_monotonic_ns();
    if (!now && now_ns - engine->alerts_kept_ns < KEEP_ALERTS_EVERY_NS)
        return;
    const struct finding_set *findings = board_findings(engine->board);
    const uint64_t sequence = findings->sequence;
    finding_set_unref(findings);
    if (sequence == engine->alerts_kept_sequence)
        return;
    struct error err;
    engine->alerts_kept_ns = now_ns;
    if (alert_file_write(config->state_dir, engine->judge, &err))
        engine->alerts_kept_sequence = sequence;
    else
        log_error(log_msg("open alerts are not kept"), log_str("error", err.message));
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
        answer_questions(engine);
        if (mailbox_is_closed(engine->inbox))
            continue;
        judge_newest(engine);
        keep_alerts(engine, false);
    }
    drop_load(engine);
    answer_questions(engine);
    keep_alerts(engine, true);
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
    rule_set_free(rule_set_load(config, true, problems, &problem_count, &err));
    return problem_count;
}
