/* capture.c - who gets a capture, what it says, and what becomes of every request. */
#include "core/capture/capture.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <semaphore.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/capture/capture_cooldown.h"
#include "core/store/board.h"
#include "core/store/profile.h"
#include "core/store/target_info.h"
#include "sample_profile.h"
#include "temp_dir.h"
#include "tests/support/failing_allocator.h"

enum { ANSWER_PATHS_MAX = 8, QUEUE_REQUESTS = 64 };

struct answer {
    sem_t arrived;
    sem_t *wait_first; /* NULL, or the reply blocks here */
    unsigned calls;
    bool ok;
    enum error_code code;
    char message[ERROR_MESSAGE_MAX_BYTES];
    size_t path_count;
    char paths[ANSWER_PATHS_MAX][512];
    pthread_t thread;
};

static void answer_init(struct answer *answer)
{
    *answer = (struct answer){0};
    sem_init(&answer->arrived, 0, 0);
}

static void take_answer(void *context, const struct capture_result *result)
{
    struct answer *answer = context;
    answer->calls++;
    answer->ok = result->ok;
    answer->code = result->err.code;
    (void)snprintf(answer->message, sizeof(answer->message), "%s", result->err.message);
    answer->path_count = result->path_count;
    for (size_t i = 0; i < result->path_count && i < ANSWER_PATHS_MAX; i++)
        (void)snprintf(answer->paths[i], sizeof(answer->paths[i]), "%s", result->paths[i]);
    answer->thread = pthread_self();
    sem_t *gate = answer->wait_first;
    sem_post(&answer->arrived); /* from here the asker may use it anew */
    while (gate != NULL && sem_wait(gate) == -1)
        continue;
}

static void await(struct answer *answer)
{
    while (sem_wait(&answer->arrived) == -1)
        continue;
}

/* A board with targets "demo" and "other", which have profiles, and "young", which has none. */
struct scene {
    struct temp_dir dir;
    struct board *board;
    struct capturer *capturer;
    struct capture_settings settings;
};

static struct target_view view_of(const char *id, enum target_state state, const char *reason,
                                  const struct profile *profile)
{
    const struct target_facts facts = {.id = id,
                                       .name = id,
                                       .source = SOURCE_PROCESS,
                                       .state = state,
                                       .reason = reason,
                                       .pid = 4711,
                                       .exe = "/srv/app",
                                       .go_version = "go1.27.3"};
    const struct target_info *info = target_info_new(&facts, NULL, 0);
    cr_assert_not_null(info);
    return (struct target_view){.info = info, .profile = profile};
}

static void scene_init(struct scene *scene)
{
    struct error err = {0};
    *scene = (struct scene){0};
    log_set_level(LOG_LEVEL_ERROR);
    temp_dir_init(&scene->dir);
    scene->board = board_new(8);
    cr_assert_not_null(scene->board);
    const struct target_view views[] = {
        view_of("demo", TARGET_UP, "", sample_profile_small()),
        view_of("young", TARGET_DENIED, "no permission", NULL),
        view_of("other", TARGET_UP, "", sample_profile_small()),
    };
    cr_assert(board_publish(scene->board, views, 3, 1, &err), "%s", err.message);
    scene->settings = (struct capture_settings){.automatic = true,
                                                .dir = scene->dir.path,
                                                .limits.max_files = 10,
                                                .min_interval_ns = 3600 * CLOCK_NS_PER_S,
                                                .on_severities = 1U << SEVERITY_CRITICAL};
    scene->capturer = capturer_new(&scene->settings, scene->board, &err);
    cr_assert_not_null(scene->capturer, "%s", err.message);
}

static void scene_start(struct scene *scene)
{
    struct error err = {0};
    scene_init(scene);
    cr_assert(capturer_start(scene->capturer, &err), "%s", err.message);
}

static void scene_release(struct scene *scene)
{
    capturer_stop(scene->capturer);
    capturer_free(scene->capturer);
    board_free(scene->board);
    temp_dir_release(&scene->dir);
}

/* Asks and waits for the answer. */
static void ask(struct scene *scene, struct capture_request request, struct answer *answer)
{
    answer_init(answer);
    request.reply = take_answer;
    request.context = answer;
    capturer_request(scene->capturer, &request);
    await(answer);
}

static void ask_alert(struct scene *scene, const char *id, enum severity severity,
                      struct answer *answer)
{
    ask(scene,
        (struct capture_request){.target_id = id,
                                 .reason = CAPTURE_ALERT,
                                 .rule = "retention",
                                 .finding = "demo/retention/main.leak",
                                 .message = "main.leak holds 80 % of the heap",
                                 .severity = severity},
        answer);
}

static uint64_t written(struct scene *scene)
{
    return atomic_load(&board_counters(scene->board)->captures_written);
}

Test(capture, writes_a_profile_that_pprof_opens_and_counts_it)
{
    struct scene scene;
    struct answer answer;
    struct buffer bytes;
    struct buffer raw;
    scene_start(&scene);
    ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_MANUAL}, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    cr_assert_eq(answer.path_count, 1);
    cr_assert_eq(strncmp(answer.paths[0], scene.dir.path, strlen(scene.dir.path)), 0);
    cr_assert_not_null(strstr(answer.paths[0], "/demo/heap-"), "%s", answer.paths[0]);
    cr_assert_eq(written(&scene), 1);
    cr_assert_eq(board_capture_count(scene.board, "demo"), 1);
    cr_assert_eq(board_capture_count(scene.board, "other"), 0);

    char command[1024];
    buffer_init(&bytes, 1 << 20);
    buffer_init(&raw, 1 << 20);
    (void)snprintf(command, sizeof(command), "cat '%s'", answer.paths[0]);
    cr_assert_eq(sample_run(command, &bytes), 0);
    sample_pprof_raw(&bytes, &raw);
    const char *text = buffer_text(&raw);
    cr_assert_not_null(strstr(text, "main.leak /src/app/leak.go:17:0 s=12"), "%.4000s", text);
    cr_assert_not_null(strstr(text, "Comment: goprofd "), "%.4000s", text);
    buffer_release(&raw);
    buffer_release(&bytes);
    scene_release(&scene);
}

Test(capture, says_in_the_sidecar_why_it_was_taken)
{
    struct scene scene;
    struct answer answer;
    char path[1024];
    scene_start(&scene);
    ask_alert(&scene, "demo", SEVERITY_CRITICAL, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    const size_t stem = strlen(answer.paths[0]) - strlen(".pb.gz");
    (void)snprintf(path, sizeof(path), "%.*s.json", (int)stem, answer.paths[0]);
    char *text = temp_dir_read(path);
    static const char *const parts[] = {
        "\"reason\":\"alert\"",
        "\"severity\":\"critical\"",
        "\"rule\":\"retention\"",
        "\"finding\":\"demo/retention/main.leak\"",
        "\"message\":\"main.leak holds 80 % of the heap\"",
        "\"target\":\"demo\"",
        "\"pid\":4711",
        "\"go_version\":\"go1.27.3\"",
        "\"time\":\"20",
        "\"bytes\":",
        "\"totals\":{\"alloc_objects\":30,\"alloc_bytes\":1920",
        "\"inuse_objects\":20,\"inuse_bytes\":1280}",
    };
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        cr_assert_not_null(strstr(text, parts[i]), "no %s in %s", parts[i], text);
    free(text);
    scene_release(&scene);
}

Test(capture, without_a_target_takes_every_one_that_has_a_profile)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    ask(&scene, (struct capture_request){.reason = CAPTURE_SIGNAL}, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    cr_assert_eq(answer.path_count, 2);
    cr_assert_not_null(strstr(answer.paths[0], "/demo/"));
    cr_assert_not_null(strstr(answer.paths[1], "/other/"));
    cr_assert_not(temp_dir_has(&scene.dir, "young"));
    cr_assert_eq(written(&scene), 2);
    scene_release(&scene);
}

Test(capture, tells_an_unknown_target_from_one_without_a_profile)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    ask(&scene, (struct capture_request){.target_id = "nobody", .reason = CAPTURE_MANUAL}, &answer);
    cr_assert_not(answer.ok);
    cr_assert_eq(answer.code, ERROR_NOT_FOUND);
    cr_assert_str_eq(answer.message, "no target \"nobody\"");
    ask(&scene, (struct capture_request){.target_id = "young", .reason = CAPTURE_MANUAL}, &answer);
    cr_assert_not(answer.ok);
    cr_assert_eq(answer.code, ERROR_NOT_FOUND);
    cr_assert_str_eq(answer.message, "no profile of young yet: it is denied, no permission");
    cr_assert_eq(written(&scene), 0);
    scene_release(&scene);
}

Test(capture, finds_no_target_under_an_id_that_is_too_long)
{
    struct scene scene;
    struct answer answer;
    char id[2 * CAPTURE_TARGET_ID_MAX_BYTES];
    memset(id, 'x', sizeof(id));
    id[sizeof(id) - 1] = '\0';
    scene_start(&scene);
    ask(&scene, (struct capture_request){.target_id = id, .reason = CAPTURE_MANUAL}, &answer);
    cr_assert_eq(answer.code, ERROR_NOT_FOUND);
    scene_release(&scene);
}

Test(capture, takes_automatic_ones_of_a_wanted_severity_only)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    ask_alert(&scene, "demo", SEVERITY_WARNING, &answer);
    cr_assert_not(answer.ok);
    cr_assert_eq(answer.code, ERROR_USAGE);
    cr_assert_not_null(strstr(answer.message, "warning"), "%s", answer.message);
    ask_alert(&scene, "demo", SEVERITY_CRITICAL, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    scene_release(&scene);
}

Test(capture, takes_one_of_any_severity_that_the_rule_wants)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    ask(&scene,
        (struct capture_request){.target_id = "demo",
                                 .reason = CAPTURE_ALERT,
                                 .rule = "retention",
                                 .whatever_severity = true,
                                 .severity = SEVERITY_INFO},
        &answer);
    cr_assert(answer.ok, "%s", answer.message);
    scene_release(&scene);
}

Test(capture, takes_no_automatic_one_while_they_are_off_but_manual_ones)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    scene.settings.automatic = false;
    capturer_configure(scene.capturer, &scene.settings);
    ask_alert(&scene, "demo", SEVERITY_CRITICAL, &answer);
    cr_assert_eq(answer.code, ERROR_USAGE);
    cr_assert_not_null(strstr(answer.message, "profile_capture_enabled"), "%s", answer.message);
    ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_MANUAL}, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    cr_assert_eq(written(&scene), 1);
    scene_release(&scene);
}

Test(capture, cools_down_after_an_automatic_one_each_target_for_itself)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    ask_alert(&scene, "demo", SEVERITY_CRITICAL, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    ask_alert(&scene, "demo", SEVERITY_CRITICAL, &answer);
    cr_assert_not(answer.ok);
    cr_assert_eq(answer.code, ERROR_LIMIT);
    ask_alert(&scene, "other", SEVERITY_CRITICAL, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_RULE}, &answer);
    cr_assert_eq(answer.code, ERROR_LIMIT);
    ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_MANUAL}, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    scene_release(&scene);
}

/* The last profile of "demo", which the board does not have any more. */
static void ask_last(struct scene *scene, enum capture_reason reason, struct answer *answer)
{
    const struct target_view view =
        view_of("demo", TARGET_GONE, "process 4711 exited with status 2", sample_profile_small());
    ask(scene,
        (struct capture_request){.target_id = "demo",
                                 .reason = reason,
                                 .message = view.info->facts.reason,
                                 .view = &view},
        answer);
    target_info_unref(view.info);
    profile_unref(view.profile);
}

Test(capture, takes_the_last_profile_of_the_processes_that_the_settings_name)
{
    static const struct {
        enum capture_on_exit on_exit;
        bool automatic;
        enum capture_reason reason;
        bool wanted;
    } cases[] = {
        {CAPTURE_ON_EXIT_NONE, true, CAPTURE_EXIT, false},
        {CAPTURE_ON_EXIT_NONE, true, CAPTURE_OOM, false},
        {CAPTURE_ON_EXIT_OOM, true, CAPTURE_EXIT, false},
        {CAPTURE_ON_EXIT_OOM, true, CAPTURE_OOM, true},
        {CAPTURE_ON_EXIT_ALL, true, CAPTURE_EXIT, true},
        {CAPTURE_ON_EXIT_ALL, true, CAPTURE_OOM, true},
        {CAPTURE_ON_EXIT_ALL, false, CAPTURE_EXIT, false},
        {CAPTURE_ON_EXIT_ALL, false, CAPTURE_OOM, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct scene scene;
        struct answer answer;
        scene_start(&scene);
        scene.settings.on_exit = cases[i].on_exit;
        scene.settings.automatic = cases[i].automatic;
        capturer_configure(scene.capturer, &scene.settings);
        ask_last(&scene, cases[i].reason, &answer);
        cr_expect_eq(answer.ok, cases[i].wanted, "case %zu: %s", i, answer.message);
        if (!answer.ok)
            cr_expect_eq(answer.code, ERROR_USAGE);
        scene_release(&scene);
    }
}

Test(capture, takes_a_last_profile_shortly_after_an_alert_but_not_after_another_one)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    scene.settings.on_exit = CAPTURE_ON_EXIT_ALL;
    capturer_configure(scene.capturer, &scene.settings);
    ask_alert(&scene, "demo", SEVERITY_CRITICAL, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    ask_last(&scene, CAPTURE_OOM, &answer);
    cr_assert(answer.ok, "%s", answer.message);
    ask_last(&scene, CAPTURE_EXIT, &answer);
    cr_assert_eq(answer.code, ERROR_LIMIT);
    scene_release(&scene);
}

Test(capture, rotates_each_target_for_itself)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    scene.settings.limits.max_files = 2;
    capturer_configure(scene.capturer, &scene.settings);
    for (int i = 0; i < 5; i++)
        ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_MANUAL},
            &answer);
    ask(&scene, (struct capture_request){.target_id = "other", .reason = CAPTURE_MANUAL}, &answer);
    capturer_stop(scene.capturer);
    cr_assert_eq(temp_dir_count(&scene.dir, "demo"), 4);
    cr_assert_eq(temp_dir_count(&scene.dir, "other"), 2);
    cr_assert_eq(board_capture_count(scene.board, "demo"), 5);
    scene_release(&scene);
}

Test(capture, reports_a_folder_that_cannot_be_written_and_counts_it)
{
    struct scene scene;
    struct answer answer;
    char file[TEMP_PATH_BYTES];
    scene_start(&scene);
    temp_dir_put(&scene.dir, "in-the-way", "a file");
    scene.settings.dir = temp_dir_path(&scene.dir, "in-the-way", file);
    capturer_configure(scene.capturer, &scene.settings);
    log_set_level(LOG_LEVEL_ERROR);
    ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_MANUAL}, &answer);
    cr_assert_not(answer.ok);
    cr_assert_eq(answer.code, ERROR_SYSTEM);
    cr_assert_not_null(strstr(answer.message, "capture of demo: "), "%s", answer.message);
    cr_assert_not_null(strstr(answer.message, "in-the-way"), "%s", answer.message);
    cr_assert_eq(atomic_load(&board_counters(scene.board)->captures_failed), 1);
    cr_assert_eq(written(&scene), 0);
    cr_assert_eq(board_capture_count(scene.board, "demo"), 0);
    scene_release(&scene);
}

Test(capture, answers_busy_on_its_own_thread_what_the_queue_pushed_out)
{
    enum { EXTRA = 3 };
    struct scene scene;
    struct answer first;
    struct answer answers[QUEUE_REQUESTS + EXTRA];
    sem_t gate;
    scene_start(&scene);
    sem_init(&gate, 0, 0);
    answer_init(&first);
    first.wait_first = &gate;
    struct capture_request request = {
        .target_id = "nobody", .reason = CAPTURE_MANUAL, .reply = take_answer, .context = &first};
    capturer_request(scene.capturer, &request);
    await(&first); /* the capture thread now hangs in its reply */

    for (size_t i = 0; i < QUEUE_REQUESTS + EXTRA; i++) {
        answer_init(&answers[i]);
        request.context = &answers[i];
        capturer_request(scene.capturer, &request);
    }
    sem_post(&gate);
    for (size_t i = 0; i < QUEUE_REQUESTS + EXTRA; i++) {
        await(&answers[i]);
        cr_assert_eq(answers[i].code, i < EXTRA ? ERROR_BUSY : ERROR_NOT_FOUND, "request %zu", i);
        cr_assert(pthread_equal(answers[i].thread, first.thread));
    }
    cr_assert_eq(atomic_load(&board_counters(scene.board)->captures_dropped), EXTRA);
    scene_release(&scene);
}

Test(capture, finishes_what_is_queued_before_it_stops_and_refuses_the_rest)
{
    struct scene scene;
    struct answer queued[3];
    struct answer late;
    scene_start(&scene);
    for (size_t i = 0; i < 3; i++) {
        answer_init(&queued[i]);
        const struct capture_request request = {.target_id = "demo",
                                                .reason = CAPTURE_MANUAL,
                                                .reply = take_answer,
                                                .context = &queued[i]};
        capturer_request(scene.capturer, &request);
    }
    capturer_stop(scene.capturer);
    for (size_t i = 0; i < 3; i++) {
        cr_assert_eq(queued[i].calls, 1);
        cr_assert(queued[i].ok, "%s", queued[i].message);
    }
    ask(&scene, (struct capture_request){.target_id = "demo", .reason = CAPTURE_MANUAL}, &late);
    cr_assert_eq(late.code, ERROR_BUSY);
    cr_assert_eq(late.calls, 1);
    cr_assert_eq(temp_dir_count(&scene.dir, "demo"), 6);
    scene_release(&scene);
}

Test(capture, answers_each_request_once_though_many_ask_while_it_stops)
{
    enum { REQUESTS = 500 };
    struct scene scene;
    struct answer *answers = calloc(REQUESTS, sizeof(*answers));
    scene_start(&scene);
    for (size_t i = 0; i < REQUESTS; i++) {
        answer_init(&answers[i]);
        const struct capture_request request = {.target_id = "nobody",
                                                .reason = CAPTURE_MANUAL,
                                                .reply = take_answer,
                                                .context = &answers[i]};
        capturer_request(scene.capturer, &request);
        if (i == REQUESTS / 2)
            capturer_stop(scene.capturer);
    }
    capturer_free(scene.capturer);
    for (size_t i = 0; i < REQUESTS; i++)
        cr_assert_eq(answers[i].calls, 1, "request %zu: %u answers", i, answers[i].calls);
    free(answers);
    board_free(scene.board);
    temp_dir_release(&scene.dir);
}

Test(capture, refuses_what_is_queued_when_it_never_started)
{
    struct scene scene;
    struct answer answer;
    scene_init(&scene);
    answer_init(&answer);
    const struct capture_request request = {
        .target_id = "demo", .reason = CAPTURE_MANUAL, .reply = take_answer, .context = &answer};
    capturer_request(scene.capturer, &request);
    cr_assert_eq(answer.calls, 0);
    capturer_free(scene.capturer);
    cr_assert_eq(answer.calls, 1);
    cr_assert_eq(answer.code, ERROR_BUSY);
    board_free(scene.board);
    temp_dir_release(&scene.dir);
}

Test(capture, answers_a_request_for_which_there_is_no_memory)
{
    struct scene scene;
    struct answer answer;
    scene_start(&scene);
    for (uint64_t n = 0;; n++) {
        answer_init(&answer);
        const struct capture_request request = {.target_id = "demo",
                                                .reason = CAPTURE_RULE,
                                                .rule = "rule",
                                                .finding = "finding",
                                                .message = "message",
                                                .reply = take_answer,
                                                .context = &answer};
        failing_allocator_arm(n);
        capturer_request(scene.capturer, &request);
        const bool failed = failing_allocator_disarm();
        await(&answer);
        cr_assert_eq(answer.ok, !failed, "allocation %llu: %s", (unsigned long long)n,
                     answer.message);
        if (!failed) {
            cr_assert_eq(n, 5); /* the job and its four texts */
            break;
        }
        cr_assert_eq(answer.code, ERROR_NO_MEMORY);
    }
    scene_release(&scene);
}

Test(capture, names_a_folder_that_is_empty)
{
    struct error err = {0};
    struct board *board = board_new(1);
    const struct capture_settings settings = {.dir = ""};
    cr_assert_null(capturer_new(&settings, board, &err));
    cr_assert_eq(err.code, ERROR_USAGE);
    cr_assert_not_null(strstr(err.message, "profile_capture_dir"), "%s", err.message);
    board_free(board);
}

/* ---- cooldown, with chosen times ---- */

Test(capture_cooldown, ends_after_the_interval_and_sooner_after_a_failure)
{
    const uint64_t minute_ns = 60 * CLOCK_NS_PER_S;
    const uint64_t start_ns = 1000 * CLOCK_NS_PER_S;
    struct capture_cooldown cooldown;
    capture_cooldown_init(&cooldown);
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "demo", minute_ns, start_ns), 0);
    cr_assert(capture_cooldown_note(&cooldown, "demo", false, start_ns));
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "demo", minute_ns, start_ns), minute_ns);
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "demo", minute_ns, start_ns + minute_ns - 1),
                 1);
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "demo", minute_ns, start_ns + minute_ns), 0);
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "other", minute_ns, start_ns), 0);

    cr_assert(capture_cooldown_note(&cooldown, "demo", true, start_ns));
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "demo", minute_ns, start_ns),
                 CAPTURE_COOLDOWN_FAILED_NS);
    capture_cooldown_release(&cooldown);
}

Test(capture_cooldown, forgets_the_target_of_longest_ago_when_full)
{
    struct capture_cooldown cooldown;
    capture_cooldown_init(&cooldown);
    for (uint64_t i = 0; i <= CAPTURE_COOLDOWN_TARGETS_MAX; i++) {
        char id[32];
        (void)snprintf(id, sizeof(id), "target-%llu", (unsigned long long)i);
        cr_assert(capture_cooldown_note(&cooldown, id, false, 1000 + i));
    }
    cr_assert_eq(cooldown.count_, CAPTURE_COOLDOWN_TARGETS_MAX);
    cr_assert_eq(capture_cooldown_left_ns(&cooldown, "target-0", UINT64_MAX, 10000), 0);
    cr_assert_neq(capture_cooldown_left_ns(&cooldown, "target-1", UINT64_MAX, 10000), 0);
    capture_cooldown_release(&cooldown);
}
