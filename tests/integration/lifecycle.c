/* lifecycle.c - signals: stop within the grace period, capture now; and captures on request. */
#include <criterion/criterion.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 20000 };

struct scene {
    struct go_program program;
    struct daemon daemon;
    char *folder;
};

static struct scene open_scene(void)
{
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = scratch_new()};
    scene.program =
        go_program_start(&newest, "profile_target", NULL, scene.folder, "target.log", NULL);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, shutdown_grace_period_sec = 5,"
                   " profile_capture_max_files = 3,"
                   " targets = { { name = 'target', pid = %d } } }",
                   (int)scene.program.process.pid);
    scene.daemon = daemon_start(daemon_folder_new(), config);
    json_decref(daemon_wait_for_snapshot(&scene.daemon, "target", 0));
    return scene;
}

static void close_scene(struct scene *scene)
{
    if (scene->daemon.folder != NULL)
        daemon_stop(&scene->daemon);
    go_program_release(&scene->program);
    scratch_remove(scene->folder);
}

static glob_t find_files(const struct daemon *daemon, const char *pattern)
{
    char *path = path_join(daemon->folder, pattern);
    glob_t found = {0};
    const int outcome = glob(path, 0, NULL, &found);
    cr_assert(outcome == 0 || outcome == GLOB_NOMATCH, "glob %s", path);
    free(path);
    return found;
}

static size_t count_files(const struct daemon *daemon, const char *pattern)
{
    glob_t found = find_files(daemon, pattern);
    const size_t count = found.gl_pathc;
    globfree(&found);
    return count;
}

static void wait_for_files(const struct daemon *daemon, const char *pattern, size_t count)
{
    for (unsigned waited_ms = 0; count_files(daemon, pattern) != count; waited_ms += 50) {
        cr_assert(waited_ms < SOON_MS, "%zu instead of %zu files like %s",
                  count_files(daemon, pattern), count, pattern);
        sleep_ms(50);
    }
}

static void assert_ends_cleanly_on(int signal_number)
{
    struct scene scene = open_scene();
    struct timespec begin;
    struct timespec end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    cr_assert_eq(process_stop(&scene.daemon.process, signal_number, SOON_MS), 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    cr_assert_leq(end.tv_sec - begin.tv_sec, 6, "slower than its grace period");

    char *log = process_output(&scene.daemon.process);
    cr_assert_not_null(strstr(log, "msg=stopped"), "%s", log);
    assert_no_sanitizer_report(log);
    free(log);
    process_release(&scene.daemon.process);
    scratch_remove(scene.daemon.folder);
    scene.daemon.folder = NULL;
    close_scene(&scene);
}

Test(lifecycle, sigterm_ends_it_within_the_grace_period)
{
    assert_ends_cleanly_on(SIGTERM);
}

Test(lifecycle, sigint_ends_it_within_the_grace_period)
{
    assert_ends_cleanly_on(SIGINT);
}

/* The target must not notice any of this: not stopped, not traced, not ended with us. */
Test(lifecycle, the_target_is_never_stopped_or_traced)
{
    enum { LOOKS = 50 };
    struct scene scene = open_scene();
    char path[64];
    (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)scene.program.process.pid);
    for (int i = 0; i < LOOKS; i++) {
        char *status = file_read(path);
        cr_assert_not_null(strstr(status, "TracerPid:\t0\n"), "%s", status);
        cr_assert_null(strstr(status, "State:\tT"), "%s", status);
        cr_assert_null(strstr(status, "State:\tt"), "%s", status);
        free(status);
        sleep_ms(10);
    }
    daemon_stop(&scene.daemon);
    http_touch(scene.program.port, "/gc");
    close_scene(&scene);
}

Test(lifecycle, sigusr1_captures_now)
{
    struct scene scene = open_scene();
    cr_assert_eq(count_files(&scene.daemon, "profiles/target/*"), 0);
    cr_assert_eq(kill(scene.daemon.process.pid, SIGUSR1), 0);
    wait_for_files(&scene.daemon, "profiles/target/heap-*Z.pb.gz", 1);

    glob_t reasons = find_files(&scene.daemon, "profiles/target/heap-*.json");
    cr_assert_eq(reasons.gl_pathc, 1);
    json_t *reason = json_load_file(reasons.gl_pathv[0], 0, NULL);
    cr_assert_not_null(reason);
    cr_assert(answer_mentions(reason, "SIGUSR1"));
    json_decref(reason);
    globfree(&reasons);
    close_scene(&scene);
}

Test(lifecycle, a_capture_on_request_is_what_go_tool_pprof_opens_and_old_ones_are_rotated_away)
{
    enum { REQUESTS = 5, KEPT = 3 };
    struct scene scene = open_scene();
    const struct go_version newest = go_version_newest();
    char url[128];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/v1/capture/heap?target=target",
                   (unsigned)scene.daemon.port);
    char *last_path = NULL;
    for (int i = 0; i < REQUESTS; i++) {
        struct http_reply reply = http_request(url, "");
        cr_assert_eq(reply.status, 200, "status %ld: %s", reply.status, reply.body);
        json_t *answer = json_loads(reply.body, 0, NULL);
        free(last_path);
        last_path = strdup(answer_text(answer, "path"));
        json_decref(answer);
        http_reply_release(&reply);
    }
    char *full_path =
        last_path[0] == '/' ? strdup(last_path) : path_join(scene.daemon.folder, last_path);
    const char *argv[] = {newest.go, "tool", "pprof", "-top", full_path, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "inuse_space"), "%s", output);
    free(output);
    /* Never overwritten within a second, rotated by count, nothing half-written left. */
    cr_assert_eq(count_files(&scene.daemon, "profiles/target/heap-*.pb.gz"), KEPT);
    cr_assert_eq(count_files(&scene.daemon, "profiles/target/heap-*.json"), KEPT);
    cr_assert_eq(count_files(&scene.daemon, "profiles/target/.*.tmp"), 0);
    free(full_path);
    free(last_path);
    close_scene(&scene);
}
