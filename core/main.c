/* main.c - subcommands, and what is wired to what; the only file that sees lua/ and http/.
 *
 *   sampler --beats--> board <--reads-- http, engine, capturer
 *      \--"published"--> engine --capture requests--> capturer <-- http, SIGUSR1
 *
 * The main thread owns config and signals (sigwait; no handlers) and the order of start and stop. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/capture/capture.h"
#include "core/cli.h"
#include "core/cli_flags.h"
#include "core/export/notifier.h"
#include "core/own_process.h"
#include "core/profile_jobs.h"
#include "core/sampler.h"
#include "core/service_notify.h"
#include "core/store/board.h"
#include "core/store/journal.h"
#include "core/store/site_tagger.h"
#include "core/track/tracker.h"
#include "core/watchdog.h"
#include "http/server.h"
#include "lua/cli_replay.h"
#include "lua/cli_test.h"
#include "lua/config_load.h"
#include "lua/engine.h"
#include "lua/rules_watch.h"
#include "lua/tagger.h"

enum { PROBLEMS_MAX_BYTES = 1 << 20, RELOAD_WAIT_S = 120 };

struct daemon {
    const struct cli_flags *flags;
    struct config *config;   /* of the start: sampler and server hold on to it */
    struct config *reloaded; /* of the last good SIGHUP, used by the rule thread; or NULL */
    struct mailbox *outcomes; /* of reloads */
    struct board *board;
    struct journal *journal; /* NULL: history is in memory only */
    struct capturer *capturer;
    struct engine *engine;
    struct rules_watch *rules_watch; /* NULL: not wanted */
    struct site_tagger tagger;    /* of the config of the start */
    struct tagger *tags_function; /* NULL: the config has none */
    struct tracker *tracker;
    struct sampler *sampler;
    struct notifier *notifier;
    struct server *server;
    struct watchdog *watchdog; /* NULL: the service manager wants none */
};

/* Problems go to [problems]. */
static struct config *load_config(const struct cli_flags *flags, struct buffer *problems)
{
    return config_load(
        &(struct config_sources){.path = flags->config_path, .options = flags->options}, problems);
}

static void print_problems(struct buffer *problems)
{
    const char *text = buffer_text(problems);
    fputs(text != NULL ? text : "goprofd: too many problems to list\n", stderr);
}

static int check_config(const struct cli_flags *flags)
{
    struct buffer problems;
    buffer_init(&problems, PROBLEMS_MAX_BYTES);
    struct config *config = load_config(flags, &problems);
    const bool ok = config != NULL && engine_check(config, &problems) == 0;
    print_problems(&problems);
    if (ok)
        printf("%s: config and rules are fine\n",
               flags->config_path != NULL ? flags->config_path : "defaults");
    config_free(config);
    buffer_release(&problems);
    return ok ? EXIT_FINE : EXIT_FAILED;
}

static struct capture_settings capture_settings_of(const struct config *config)
{
    return (struct capture_settings){
        .automatic = config->profile_capture_enabled,
        .dir = config->profile_capture_dir,
        .limits = {.max_files = config->profile_capture_max_files,
                   .max_bytes = config->profile_capture_max_bytes,
                   .max_age_ns = config->profile_capture_max_age_sec * CLOCK_NS_PER_S},
        .min_interval_ns = config->profile_capture_min_interval_sec * CLOCK_NS_PER_S,
        .on_severities = config->profile_capture_on_severities,
        .on_exit = config->profile_capture_on_exit,
        .before_ns = config->profile_capture_before_sec * CLOCK_NS_PER_S,
    };
}

/* How a reload ended; posted by the rule thread, taken by main. */
struct reload_outcome {
    struct message message;
    bool ok;
    char problem[512];
};

static void release_outcome(struct message *message)
{
    free(message);
}

static void post_outcome(void *context, bool ok, const char *problem)
{
    struct mailbox *outcomes = context;
    struct reload_outcome *outcome = calloc(1, sizeof(*outcome));
    if (outcome == NULL) {
        log_error(log_msg("no memory to report the outcome of a reload"));
        return;
    }
    outcome->ok = ok;
    (void)snprintf(outcome->problem, sizeof(outcome->problem), "%.500s",
                   problem == NULL ? "" : problem);
    (void)mailbox_post(outcomes, &outcome->message);
}

/* http asks for a reload of the rules alone; the config file is SIGHUP's business. */
static void reload_rules(void *context, void (*done)(void *, bool, const char *),
                         void *done_context)
{
    struct daemon *daemon = context;
    engine_reload(daemon->engine, NULL, done, done_context);
}

/* http asks why a rule did not fire. */
static void explain_rule(void *context, const char *rule, const char *target,
                         void (*done)(void *, bool, struct buffer *), void *done_context)
{
    const struct daemon *daemon = context;
    engine_explain(daemon->engine, rule, target, done, done_context);
}

/* http asks for a profile; it knows no sampler. */
static void read_stacks(void *context, const char *target_id, enum stack_kind kind,
                        profile_reply reply, void *reply_context)
{
    const struct daemon *daemon = context;
    const struct profile_request request = {
        .target_id = target_id, .kind = kind, .reply = reply, .context = reply_context};
    sampler_request_profile(daemon->sampler, &request);
}

static bool open_capture_dir(const struct config *config, struct error *err)
{
    if (capture_dir_check(config->profile_capture_dir, err))
        return true;
    if (config->profile_capture_enabled)
        return error_wrap(err, "profile_capture_dir");
    /* Nobody asked for captures yet; a manual one will get this error as its answer. */
    log_debug(log_msg("profile_capture_dir cannot be written"), log_str("reason", err->message));
    return true;
}

/* Sites keep the tag they get when they are met: tags are those of the start. */
static bool use_tags(struct daemon *daemon, struct error *err)
{
    const struct config *config = daemon->config;
    daemon->tagger = (struct site_tagger){.rules = config->tags,
                                          .rule_count = config->tag_count,
                                          .counters = board_counters(daemon->board)};
    if (!config->tags_by_function) {
        sampler_use_tagger(daemon->sampler, &daemon->tagger);
        return true;
    }
    daemon->tags_function =
        tagger_new(daemon->flags->config_path, board_counters(daemon->board), err);
    if (daemon->tags_function == NULL)
        return false;
    sampler_use_tagger(daemon->sampler, tagger_site_tagger(daemon->tags_function));
    return true;
}

/* A segment is an hour's, or 8 MiB, but so small that there are several within the bound. */
static bool open_journal(struct daemon *daemon, struct error *err)
{
    const struct config *config = daemon->config;
    if (config->history_dir[0] == '\0')
        return true;
    const uint64_t share = config->history_disk_max_bytes / 8;
    const struct journal_settings settings = {
        .dir = config->history_dir,
        .max_bytes = config->history_disk_max_bytes,
        .max_age_ns = config->history_disk_max_age_sec * CLOCK_NS_PER_S,
        .flush_ns = config->history_flush_sec * CLOCK_NS_PER_S,
        .segment_bytes = share < (8 << 20) ? share : 8 << 20,
        .segment_age_ns = 3600 * CLOCK_NS_PER_S,
    };
    daemon->journal = journal_new(&settings, daemon->board, err);
    if (daemon->journal == NULL)
        return false;
    journal_load(daemon->journal);
    return true;
}

static void note_reload(void *context, bool ok, const char *problem)
{
    (void)context;
    if (!ok)
        log_error(log_msg("reload failed; the old rules stay in force"), log_str("problem", problem));
}

static void rules_changed(void *context)
{
    struct daemon *daemon = context;
    engine_reload(daemon->engine, NULL, note_reload, NULL);
}

static bool watch_rules(struct daemon *daemon, struct error *err)
{
    if (!daemon->config->rules_watch)
        return true;
    daemon->rules_watch = rules_watch_start(daemon->config->rules_dir, rules_changed, daemon, err);
    return daemon->rules_watch != NULL || error_wrap(err, "rules_watch");
}

static bool start_daemon(struct daemon *daemon, struct buffer *problems, struct error *err)
{
    const struct config *config = daemon->config;
    const struct capture_settings captures = capture_settings_of(config);

    daemon->board = board_new((size_t)config->max_history_samples);
    if (daemon->board == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for the board");
    board_limit_history(daemon->board, config->history_max_bytes);
    if (!open_journal(daemon, err)) /* before the sampler: targets go on where they were */
        return false;
    daemon->outcomes = mailbox_new(4, release_outcome);
    if (daemon->outcomes == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for a mailbox");
    if (!open_capture_dir(config, err))
        return false;
    daemon->capturer = capturer_new(&captures, daemon->board, err);
    if (daemon->capturer == NULL)
        return false;
    daemon->engine = engine_new(config, daemon->board, daemon->capturer, err);
    if (daemon->engine == NULL || !engine_load(daemon->engine, problems, err))
        return false;
    daemon->sampler = sampler_new(config, daemon->board, err);
    if (daemon->sampler == NULL || !use_tags(daemon, err))
        return false;
    daemon->tracker = tracker_new();
    if (daemon->tracker == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for programs that push");
    sampler_use_tracker(daemon->sampler, daemon->tracker);
    sampler_subscribe(daemon->sampler, engine_inbox(daemon->engine));
    sampler_capture_exits(daemon->sampler, daemon->capturer);

    daemon->notifier = notifier_new(config, daemon->board, err);
    if (daemon->notifier == NULL)
        return false;
    const struct server_wiring wiring = {.config = config,
                                         .board = daemon->board,
                                         .capturer = daemon->capturer,
                                         .reload_rules = reload_rules,
                                         .reload_context = daemon,
                                         .explain_rule = explain_rule,
                                         .explain_context = daemon,
                                         .tracker = daemon->tracker,
                                         .read_stacks = read_stacks,
                                         .stacks_context = daemon};
    daemon->server = server_new(&wiring, err);
    return daemon->server != NULL && server_start(daemon->server, err) &&
           capturer_start(daemon->capturer, err) && engine_start(daemon->engine, err) &&
           watch_rules(daemon, err) &&
           notifier_start(daemon->notifier, err) &&
           (daemon->journal == NULL || journal_start(daemon->journal, err)) &&
           sampler_start(daemon->sampler, err);
}

/* Who asks stops first: http, then what feeds the rules, then the rules, then the writer. */
static void stop_daemon(struct daemon *daemon)
{
    if (daemon->server != NULL)
        server_stop(daemon->server, daemon->config->shutdown_grace_period_sec * CLOCK_NS_PER_S);
    rules_watch_stop(daemon->rules_watch);
    if (daemon->sampler != NULL)
        sampler_stop(daemon->sampler);
    if (daemon->journal != NULL)
        journal_stop(daemon->journal);
    if (daemon->engine != NULL)
        engine_stop(daemon->engine);
    if (daemon->notifier != NULL)
        notifier_stop(daemon->notifier);
    if (daemon->capturer != NULL)
        capturer_stop(daemon->capturer);
    watchdog_stop(daemon->watchdog);
    server_free(daemon->server);
    sampler_free(daemon->sampler);
    tracker_free(daemon->tracker);
    tagger_free(daemon->tags_function);
    engine_free(daemon->engine);
    notifier_free(daemon->notifier);
    capturer_free(daemon->capturer);
    if (daemon->board != NULL)
        board_free(daemon->board);
    journal_free(daemon->journal); /* after all that its snapshots may point into */
    config_free(daemon->config);
    config_free(daemon->reloaded);
    mailbox_free(daemon->outcomes);
}

static void log_each_line(const char *message, struct buffer *problems)
{
    const char *text = buffer_text(problems);
    while (text != NULL && *text != '\0') {
        const size_t length = strcspn(text, "\n");
        char line[512];
        (void)snprintf(line, sizeof(line), "%.*s", (int)(length < 500 ? length : 500), text);
        log_error(log_msg(message), log_str("problem", line));
        text += length + (text[length] == '\n' ? 1 : 0);
    }
}

/* Hands [fresh] to the rule thread and waits for its verdict, so that the config it used before can
 * be freed.  On failure or silence the old rules run on with the old config. */
static bool reload_engine(struct daemon *daemon, struct config *fresh, struct error *err)
{
    engine_reload(daemon->engine, fresh, post_outcome, daemon->outcomes);
    struct message *message =
        mailbox_take(daemon->outcomes, clock_monotonic_ns() + RELOAD_WAIT_S * CLOCK_NS_PER_S);
    if (message == NULL) {
        /* It may still come to use [fresh], which therefore is never freed. */
        log_error(log_msg("reload: no answer from the rule thread"),
                  log_u64("waited_s", RELOAD_WAIT_S));
        return error_set(err, ERROR_BUSY, "no answer from the rule thread in %d s", RELOAD_WAIT_S);
    }
    const struct reload_outcome *outcome = (const struct reload_outcome *)(const void *)message;
    const bool ok = outcome->ok;
    if (ok) {
        log_set_level(fresh->log_level);
        const struct capture_settings captures = capture_settings_of(fresh);
        capturer_configure(daemon->capturer, &captures);
        sampler_set_retention_window(daemon->sampler, fresh->retention_window_sec * CLOCK_NS_PER_S);
        /* Sampler and server were built from the first config, which therefore stays. */
        config_free(daemon->reloaded);
        daemon->reloaded = fresh;
        log_info(log_msg("reloaded"));
    } else {
        log_error(log_msg("reload failed; the old rules stay in force"),
                  log_str("problem", outcome->problem));
        (void)error_set(err, ERROR_USAGE, "%s", outcome->problem);
        config_free(fresh);
    }
    free(message);
    return ok;
}

/* SIGHUP: a config or rules with problems change nothing, and [err] has the first of them.  What only a
 * restart can change (listeners, targets, interval) keeps its present value until then. */
static bool reload_daemon(struct daemon *daemon, struct error *err)
{
    struct buffer problems;
    const bool tokens = server_reload_auth(daemon->server, err);
    if (!tokens)
        log_error(log_msg("reload failed; the tokens of before are in force"),
                  log_str("problem", err->message));
    buffer_init(&problems, PROBLEMS_MAX_BYTES);
    struct config *fresh = load_config(daemon->flags, &problems);
    bool loaded = false;
    if (fresh == NULL) {
        const char *text = buffer_text(&problems);
        log_each_line("reload failed; the old config stays in force", &problems);
        (void)error_set(err, ERROR_USAGE, "%.*s", text == NULL ? 0 : (int)strcspn(text, "\n"),
                        text == NULL ? "" : text);
    } else {
        loaded = reload_engine(daemon, fresh, err);
    }
    buffer_release(&problems);
    return loaded && tokens;
}

static void capture_now(struct daemon *daemon)
{
    const struct capture_request request = {
        .reason = CAPTURE_SIGNAL, .message = "SIGUSR1", .severity = SEVERITY_INFO};
    capturer_request(daemon->capturer, &request);
}

/* ---- the service manager ---- */

static uint64_t sampler_is_overdue_ns(const void *sampler, uint64_t now_ns)
{
    return sampler_overdue_ns(sampler, now_ns);
}

static bool start_watchdog(struct daemon *daemon, struct error *err)
{
    struct watchdog_settings settings = {.socket_path = getenv("NOTIFY_SOCKET"),
                                         .overdue_ns = sampler_is_overdue_ns,
                                         .context = daemon->sampler};
    if (!service_notify_watchdog_period(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"), getpid(),
                                        &settings.period_ns, err))
        return false;
    if (settings.period_ns == 0 || settings.socket_path == NULL)
        return true;
    daemon->watchdog = watchdog_start(&settings, err);
    return daemon->watchdog != NULL;
}

static void log_not_told(bool told, const struct error *err)
{
    if (!told)
        log_warn(log_msg("the service manager was not told"), log_str("error", err->message));
}

static void reload_and_tell(struct daemon *daemon, const char *manager)
{
    struct error err;
    log_info(log_msg("SIGHUP: reloading"));
    bool told = service_notify_reloading(manager, clock_monotonic_ns(), &err);
    log_not_told(told, &err);
    char status[ERROR_MESSAGE_MAX_BYTES + 64] = "reloaded";
    if (!reload_daemon(daemon, &err))
        (void)snprintf(status, sizeof(status), "reload failed, what was before is in force: %s", err.message);
    told = service_notify_ready(manager, status, &err);
    log_not_told(told, &err);
}

static void wait_for_signals(struct daemon *daemon, const sigset_t *signals)
{
    const char *manager = getenv("NOTIFY_SOCKET");
    struct error err;
    bool told = service_notify_ready(manager, "watching", &err);
    log_not_told(told, &err);
    for (;;) {
        int signal_number = 0;
        if (sigwait(signals, &signal_number) != 0)
            continue;
        switch (signal_number) {
        case SIGHUP:
            reload_and_tell(daemon, manager);
            break;
        case SIGUSR1:
            capture_now(daemon);
            break;
        default:
            log_info(log_msg("stopping"), log_i64("signal", signal_number));
            told = service_notify_stopping(manager, &err);
            log_not_told(told, &err);
            return;
        }
    }
}

static int run_daemon(const struct cli_flags *flags)
{
    struct buffer problems;
    buffer_init(&problems, PROBLEMS_MAX_BYTES);
    struct daemon daemon = {.flags = flags};
    daemon.config = load_config(flags, &problems);
    if (daemon.config == NULL) {
        print_problems(&problems);
        buffer_release(&problems);
        return EXIT_USAGE;
    }
    log_set_level(daemon.config->log_level);

    /* Blocked before any thread exists, so that every thread inherits it and sigwait gets all. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGUSR1);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a limit on the size of files (ulimit -f) is a full disk, not an end */

    own_process_raise_descriptor_limit();
    struct error err = {.code = ERROR_NONE};
    const bool started = start_daemon(&daemon, &problems, &err) && start_watchdog(&daemon, &err);
    if (started) {
        const struct rules_report *rules = board_rules(daemon.board);
        log_info(log_msg("goprofd ready"), log_str("version", GOPROFD_VERSION),
                 log_str("listen", daemon.config->metrics_listen_addr),
                 log_u64("port", server_port(daemon.server)),
                 log_str("rules_dir", daemon.config->rules_dir),
                 log_u64("rules", rules == NULL ? 0 : rules->count));
        rules_report_unref(rules);
        wait_for_signals(&daemon, &signals);
        own_process_end_within(daemon.config->shutdown_grace_period_sec);
    } else {
        print_problems(&problems);
        if (err.message[0] != '\0')
            fprintf(stderr, "goprofd: %s\n", err.message);
    }
    stop_daemon(&daemon);
    buffer_release(&problems);
    if (started)
        log_info(log_msg("stopped"));
    return started ? EXIT_FINE : EXIT_USAGE;
}

int main(int argc, char **argv)
{
    own_process_keep_memory_small();
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
    } commands[] = {
        {"ps", cli_ps},
        {"memory", cli_memory},
        {"decode", cli_decode},
        {"heap", cli_profile},
        {"allocs", cli_profile},
        {"goroutine", cli_stacks},
        {"block", cli_stacks},
        {"mutex", cli_stacks},
        {"threadcreate", cli_stacks},
        {"test", cli_test},
        {"replay", cli_replay},
    };
    if (argc > 1) {
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
            if (strcmp(argv[1], commands[i].name) == 0)
                return commands[i].run(argc - 1, argv + 1);
        }
    }

    struct cli_flags flags = {0};
    bool done = false;
    int code = cli_flags_parse(argc, argv, &flags, &done);
    if (!done)
        code = flags.check_only ? check_config(&flags) : run_daemon(&flags);
    cli_flags_release(&flags);
    return code;
}
