/* exits.c - how the end of a watched process is noticed, and what is kept of it. */
#include <criterion/criterion.h>
#include <glob.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 20000 };

static unsigned elapsed_ms(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (unsigned)((now.tv_sec - begin->tv_sec) * 1000 +
                      (now.tv_nsec - begin->tv_nsec) / 1000000);
}

/* Far shorter than the interval of the daemon here: no beat can have told it. */
Test(exits, a_process_that_ends_is_gone_before_the_next_beat_and_its_numbers_stay)
{
    enum { INTERVAL_MS = 15000, AT_ONCE_MS = 3000 };
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "profile_target", NULL, folder, "target.log", NULL);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = %d,"
                   " targets = { { name = 'target', pid = %d } } }",
                   INTERVAL_MS, (int)program.process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    static const char *const up[] = {"name", "target", "state", "up", NULL};
    static const char *const gone[] = {"name", "target", "state", "gone", NULL};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, up, SOON_MS));

    struct timespec begin;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    cr_assert_eq(process_stop(&program.process, SIGKILL, SOON_MS), 128 + SIGKILL);
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, gone, AT_ONCE_MS));
    cr_assert_lt(elapsed_ms(&begin), AT_ONCE_MS);
    json_t *last = http_json(daemon.port, 200, "/v1/metrics/latest?target=target");
    cr_assert_gt(answer_number(last, "heap_alloc_bytes"), 0);
    json_decref(last);
    http_touch(daemon.port, "/debug/pprof/heap?target=target");
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

/* ---- the last profile ---- */

struct scene {
    struct go_program program;
    struct daemon daemon;
    char *folder;
};

static struct scene open_scene(const char *options)
{
    const struct go_version newest = go_version_newest();
    struct scene scene = {.folder = scratch_new()};
    scene.program =
        go_program_start(&newest, "profile_target", NULL, scene.folder, "target.log", NULL);
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 200, %s,"
                   " targets = { { name = 'target', pid = %d } } }",
                   options, (int)scene.program.process.pid);
    scene.daemon = daemon_start(daemon_folder_new(), config);
    json_decref(daemon_wait_for_snapshot(&scene.daemon, "target", 0));
    return scene;
}

static void close_scene(struct scene *scene)
{
    daemon_stop(&scene->daemon);
    go_program_release(&scene->program);
    scratch_remove(scene->folder);
}

static void wait_until_gone(const struct scene *scene)
{
    static const char *const gone[] = {"name", "target", "state", "gone", NULL};
    json_decref(daemon_wait_for(&scene->daemon, "/v1/targets", answer_has, gone, SOON_MS));
}

static glob_t find_captures(const struct daemon *daemon, const char *pattern)
{
    char *path = path_join(daemon->folder, pattern);
    glob_t found = {0};
    const int outcome = glob(path, 0, NULL, &found);
    cr_assert(outcome == 0 || outcome == GLOB_NOMATCH, "glob %s", path);
    free(path);
    return found;
}

/* The sidecar of the only capture there is, once it is there. */
static json_t *wait_for_sidecar(const struct daemon *daemon)
{
    for (unsigned waited_ms = 0;; waited_ms += 50) {
        glob_t found = find_captures(daemon, "profiles/target/heap-*Z.json");
        if (found.gl_pathc > 0) {
            cr_assert_eq(found.gl_pathc, 1);
            json_t *sidecar = json_load_file(found.gl_pathv[0], 0, NULL);
            cr_assert_not_null(sidecar, "%s", found.gl_pathv[0]);
            globfree(&found);
            return sidecar;
        }
        globfree(&found);
        if (waited_ms >= SOON_MS) {
            char *log = process_output(&daemon->process);
            cr_assert_fail("no capture; goprofd's log:\n%s", log);
        }
        sleep_ms(50);
    }
}

static void assert_no_capture(const struct daemon *daemon)
{
    sleep_ms(1000);
    glob_t found = find_captures(daemon, "profiles/target/*");
    cr_assert_eq(found.gl_pathc, 0, "%s", found.gl_pathv[0]);
    globfree(&found);
}

static void end_by_itself(const struct scene *scene)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/end", (unsigned)scene->program.port);
    struct http_reply reply = http_request(url, NULL); /* nobody is left to answer */
    http_reply_release(&reply);
}

Test(exits, the_last_profile_is_captured_with_what_was_known_then)
{
    struct scene scene =
        open_scene("profile_capture_enabled = true, profile_capture_on_exit = 'all'");
    const pid_t pid = scene.program.process.pid;
    end_by_itself(&scene);
    wait_until_gone(&scene);
    json_t *sidecar = wait_for_sidecar(&scene.daemon);
    char message[64];
    (void)snprintf(message, sizeof(message), "process %d exited with status 3", (int)pid);
    cr_assert_str_eq(answer_text(sidecar, "reason"), "exit");
    cr_assert_str_eq(answer_text(sidecar, "message"), message);
    cr_assert_eq(answer_number(sidecar, "pid"), pid);
    cr_assert_str_eq(answer_text(sidecar, "target"), "target");
    const json_t *snapshot = json_object_get(sidecar, "snapshot");
    cr_assert_gt(answer_number(snapshot, "rss_bytes"), 0);
    cr_assert_gt(answer_number(snapshot, "heap_alloc_bytes"), 0);
    json_decref(sidecar);

    glob_t profiles = find_captures(&scene.daemon, "profiles/target/heap-*Z.pb.gz");
    cr_assert_eq(profiles.gl_pathc, 1);
    const struct go_version newest = go_version_newest();
    const char *argv[] = {newest.go, "tool", "pprof", "-top", profiles.gl_pathv[0], NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "main."), "%s", output);
    free(output);
    globfree(&profiles);
    close_scene(&scene);
}

/* Tells how it ended in /v1/targets too; an ordinary end is no OOM kill, nor is an ordinary SIGKILL. */
Test(exits, by_default_only_victims_of_the_oom_killer_are_captured)
{
    struct scene scene = open_scene("profile_capture_enabled = true");
    cr_assert_eq(process_stop(&scene.program.process, SIGKILL, SOON_MS), 128 + SIGKILL);
    wait_until_gone(&scene);
    json_t *targets = http_json(scene.daemon.port, 200, "/v1/targets");
    cr_assert_not_null(strstr(answer_text(json_array_get(targets, 0), "reason"),
                              "was ended by signal 9 (SIGKILL)"),
                       "%s", answer_text(json_array_get(targets, 0), "reason"));
    json_decref(targets);
    assert_no_capture(&scene.daemon);
    close_scene(&scene);
}

Test(exits, nothing_is_captured_while_captures_are_off)
{
    struct scene scene =
        open_scene("profile_capture_enabled = false, profile_capture_on_exit = 'all'");
    end_by_itself(&scene);
    wait_until_gone(&scene);
    assert_no_capture(&scene.daemon);
    close_scene(&scene);
}

/* ---- the OOM killer ---- */

/* A memory cgroup of our own below the test's, limited to [bytes]; owned.  It needs cgroup v1, or v2 with
 * the memory controller delegated, and the right to make groups. */
static char *limited_cgroup_new(unsigned long bytes)
{
    static const char script[] =
        "set -e\n"
        "v1=$(sed -n 's/^[0-9]*:[a-z,_]*\\bmemory\\b[a-z,_]*://p' /proc/self/cgroup)\n"
        "if [ -n \"$v1\" ]; then\n"
        "  top=$(awk '$3 == \"cgroup\" && $4 ~ /memory/ { print $2; exit }' /proc/mounts)\n"
        "  group=$(mktemp -d \"$top$v1/goprofd-test-XXXXXX\")\n"
        "  echo \"$0\" >\"$group/memory.limit_in_bytes\"\n"
        "  echo \"$0\" >\"$group/memory.memsw.limit_in_bytes\" 2>/dev/null || true\n"
        "else\n"
        "  top=$(awk '$3 == \"cgroup2\" { print $2; exit }' /proc/mounts)\n"
        "  group=$(mktemp -d \"$top/goprofd-test-XXXXXX\")\n"
        "  echo \"$0\" >\"$group/memory.max\"\n"
        "  echo 0 >\"$group/memory.swap.max\" 2>/dev/null || true\n"
        "fi\n"
        "printf %s \"$group\"";
    char limit[32];
    char *output = NULL;
    (void)snprintf(limit, sizeof(limit), "%lu", bytes);
    const char *argv[] = {"sh", "-c", script, limit, NULL};
    const int status = process_run(argv, NULL, &output);
    if (status != 0)
        cr_skip_test("this machine lets us make no memory cgroup: %s", output);
    return output;
}

static void cgroup_remove(char *group)
{
    for (int i = 0; i < 100 && rmdir(group) == -1; i++)
        sleep_ms(50);
    free(group);
}

/* Room for some GCs while it leaks: a profile shows what there was at the last one. */
Test(exits, the_last_profile_of_a_victim_of_the_oom_killer_is_captured_and_shows_the_leak)
{
    char *group = limited_cgroup_new(192UL << 20);
    char *folder = scratch_new();
    const struct go_version newest = go_version_newest();
    char *program = go_program_path(&newest, "profile_target");
    char *log_path = path_join(folder, "target.log");
    const char *argv[] = {"sh", "-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$1\"", group,
                          program, NULL};
    struct process process = process_start(argv, log_path, NULL);
    char *address = process_wait_for(&process, "listening ", SOON_MS);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 200, profile_capture_enabled = true,"
                   " targets = { { name = 'target', pid = %d } } }",
                   (int)process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));

    const char *colon = strrchr(address, ':');
    const unsigned long port = strtoul(colon != NULL ? colon + 1 : address, NULL, 10);
    http_touch((uint16_t)port, "/leak");
    json_t *sidecar = wait_for_sidecar(&daemon);
    cr_assert_str_eq(answer_text(sidecar, "reason"), "oom");
    cr_assert_not_null(strstr(answer_text(sidecar, "message"), "killed by the OOM killer"));
    const json_t *snapshot = json_object_get(sidecar, "snapshot");
    cr_assert_eq(answer_number(snapshot, "cgroup_memory_max_bytes"), 192 << 20);
    cr_assert_gt(answer_number(snapshot, "rss_bytes"), 100 << 20);
    json_decref(sidecar);

    glob_t profiles = find_captures(&daemon, "profiles/target/heap-*Z.pb.gz");
    cr_assert_eq(profiles.gl_pathc, 1);
    const char *pprof[] = {newest.go, "tool", "pprof", "-top", profiles.gl_pathv[0], NULL};
    char *output = NULL;
    cr_assert_eq(process_run(pprof, NULL, &output), 0, "%s", output);
    cr_assert_not_null(strstr(output, "main.leak"), "%s", output);
    free(output);
    globfree(&profiles);
    free(address);
    free(log_path);
    free(program);
    daemon_stop(&daemon);
    process_release(&process);
    cgroup_remove(group);
    scratch_remove(folder);
}

static double daemon_count(const struct daemon *daemon, const char *metric)
{
    char url[64];
    char line[128];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/metrics", daemon->port);
    struct http_reply reply = http_request(url, NULL);
    cr_assert_eq(reply.status, 200);
    (void)snprintf(line, sizeof(line), "\n%s ", metric);
    const char *found = strstr(reply.body, line);
    cr_assert_not_null(found, "%s", metric);
    const double value = strtod(found + strlen(line), NULL);
    http_reply_release(&reply);
    return value;
}

/* So that what [group] uses is 97 % of it. */
static void cgroup_narrow(const char *group)
{
    static const char script[] =
        "set -e; cd \"$0\"\n"
        "if [ -e memory.max ]; then use=memory.current limit=memory.max\n"
        "else use=memory.usage_in_bytes limit=memory.limit_in_bytes; fi\n"
        "echo $(($(cat $use) * 100 / 97)) >$limit";
    const char *argv[] = {"sh", "-c", script, group, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    free(output);
}

Test(exits, a_process_near_its_limit_is_read_between_the_beats_and_its_history_stays_one_per_beat)
{
    char *group = limited_cgroup_new(192UL << 20);
    char *folder = scratch_new();
    const struct go_version newest = go_version_newest();
    char *program = go_program_path(&newest, "profile_target");
    char *log_path = path_join(folder, "target.log");
    const char *argv[] = {"sh", "-c", "echo $$ >\"$0/cgroup.procs\" && exec \"$1\"", group,
                          program, NULL};
    struct process process = process_start(argv, log_path, NULL);
    free(process_wait_for(&process, "listening ", SOON_MS));
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 800,"
                   " targets = { { name = 'target', pid = %d } } }",
                   (int)process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    double reads = daemon_count(&daemon, "goprofd_reads_total");
    double beats = daemon_count(&daemon, "goprofd_sampler_beats_total");
    cr_assert_leq(reads, beats, "with room enough there is one read a beat");

    cgroup_narrow(group);
    for (int i = 0; i < 600 && reads < beats + 6; i++) {
        sleep_ms(100);
        beats = daemon_count(&daemon, "goprofd_sampler_beats_total");
        reads = daemon_count(&daemon, "goprofd_reads_total");
    }
    cr_assert_geq(reads, beats + 6, "%.0f reads in %.0f beats", reads, beats);
    json_t *history = http_json(daemon.port, 200, "/v1/metrics/history?limit=1000");
    cr_assert_gt(json_array_size(history), 0);
    cr_assert_leq((double)json_array_size(history),
                  daemon_count(&daemon, "goprofd_sampler_beats_total"));
    json_decref(history);
    free(log_path);
    free(program);
    daemon_stop(&daemon);
    process_release(&process);
    cgroup_remove(group);
    scratch_remove(folder);
}
