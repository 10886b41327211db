/* targets.c - who is watched: several at once, by pid, by name, all; and what happens when one dies
 * and comes back. */
#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 30000 };

static struct go_program start_target(const char *folder, const char *log_name,
                                      const char *const *arguments)
{
    const struct go_version newest = go_version_newest();
    return go_program_start(&newest, "profile_target", arguments, folder, log_name, NULL);
}

static double heap_of(const struct daemon *daemon, const char *target)
{
    json_t *snapshot = daemon_wait_for_snapshot(daemon, target, 0);
    cr_assert_str_eq(answer_text(snapshot, "target"), target);
    const double bytes = answer_number(snapshot, "heap_alloc_bytes");
    json_decref(snapshot);
    return bytes;
}

Test(targets, each_has_its_own_snapshots_history_and_profile)
{
    static const char *const with_many_sites[] = {"-rate", "1", "-sites", "2000", NULL};
    char *folder = scratch_new();
    struct go_program small = start_target(folder, "small.log", NULL);
    struct go_program large = start_target(folder, "large.log", with_many_sites);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, max_history_samples = 5,"
                   " targets = { { name = 'small', pid = %d }, { name = 'large', pid = %d } } }",
                   (int)small.process.pid, (int)large.process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);

    /* What the one does is not seen in the other. */
    const double small_before = heap_of(&daemon, "small");
    const double large_before = heap_of(&daemon, "large");
    cr_assert_neq(small_before, large_before);
    json_t *one = daemon_wait_for_snapshot(&daemon, "small", 0);
    json_t *other = daemon_wait_for_snapshot(&daemon, "large", 0);
    cr_assert_eq(answer_number(one, "mem_profile_rate"), 512 << 10);
    cr_assert_eq(answer_number(other, "mem_profile_rate"), 1);
    cr_assert_lt(answer_number(one, "profile_sites") + 1500, answer_number(other, "profile_sites"));
    json_decref(one);
    json_decref(other);

    /* Each ring holds its own, no more than its capacity, in order. */
    for (int i = 0; i < 2; i++) {
        const char *name = i == 0 ? "small" : "large";
        for (int beats = 0; beats < 3; beats++)
            json_decref(daemon_wait_for_snapshot(&daemon, name, 0));
        json_t *history =
            http_json(daemon.port, 200, "/v1/metrics/history?limit=100&target=%s", name);
        cr_assert_eq(json_array_size(history), 5);
        for (size_t k = 0; k < json_array_size(history); k++) {
            cr_assert_str_eq(answer_text(json_array_get(history, k), "target"), name);
            if (k > 0)
                cr_assert_eq(answer_number(json_array_get(history, k), "sequence"),
                             answer_number(json_array_get(history, k - 1), "sequence") + 1);
        }
        json_decref(history);
    }
    daemon_stop(&daemon);
    go_program_release(&small);
    go_program_release(&large);
    scratch_remove(folder);
}

/* A copy of the target under a name that no other test uses, to be found by its executable. */
static char *copy_of_target(const char *folder, const char *name)
{
    const struct go_version newest = go_version_newest();
    char *from = go_program_path(&newest, "profile_target");
    char *to = path_join(folder, name);
    const char *argv[] = {"cp", from, to, NULL};
    char *output = NULL;
    cr_assert_eq(process_run(argv, NULL, &output), 0, "%s", output);
    free(output);
    free(from);
    return to;
}

static struct process start_copy(const char *path, const char *folder, const char *log_name)
{
    const char *argv[] = {path, NULL};
    char *log_path = path_join(folder, log_name);
    struct process process = process_start(argv, log_path, NULL);
    free(process_wait_for(&process, "listening", SOON_MS));
    free(log_path);
    return process;
}

struct wanted_target {
    const char *state;
    json_int_t generation;
    json_int_t pid; /* 0: whichever */
};

static bool is_target_as_wanted(const json_t *answer, const void *context)
{
    const struct wanted_target *wanted = context;
    const json_t *target = json_array_get(answer, 0);
    return strcmp(answer_text(target, "state"), wanted->state) == 0 &&
           json_integer_value(json_object_get(target, "generation")) == wanted->generation &&
           (wanted->pid == 0 ||
            json_integer_value(json_object_get(target, "pid")) == wanted->pid);
}

Test(targets, one_that_dies_is_gone_and_under_the_same_name_comes_back_as_the_next_generation)
{
    char *folder = daemon_folder_new();
    char *copy = copy_of_target(folder, "comes-and-goes");
    struct process first = start_copy(copy, folder, "first.log");
    struct daemon daemon =
        daemon_start(folder, "return { sampling_interval_ms = 100,"
                             " targets = { { name = 'service', exe = 'comes-and-goes' } } }");

    struct wanted_target wanted = {.state = "up", .generation = 1, .pid = first.pid};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", is_target_as_wanted, &wanted, SOON_MS));
    json_t *last = daemon_wait_for_snapshot(&daemon, "service", 0);
    const double sequence = answer_number(last, "sequence");
    json_decref(last);

    cr_assert_eq(process_stop(&first, SIGKILL, SOON_MS), 128 + SIGKILL);
    wanted = (struct wanted_target){.state = "gone", .generation = 1};
    json_t *targets =
        daemon_wait_for(&daemon, "/v1/targets", is_target_as_wanted, &wanted, SOON_MS);
    cr_assert_str_neq(answer_text(json_array_get(targets, 0), "reason"), "");
    json_decref(targets);
    /* What was known of it is kept. */
    json_decref(http_json(daemon.port, 200, "/v1/metrics/latest?target=service"));

    struct process second = start_copy(copy, folder, "second.log");
    wanted = (struct wanted_target){.state = "up", .generation = 2, .pid = second.pid};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", is_target_as_wanted, &wanted, SOON_MS));
    json_t *fresh = daemon_wait_for_snapshot(&daemon, "service", 0);
    cr_assert_eq(answer_number(fresh, "generation"), 2);
    cr_assert_gt(answer_number(fresh, "sequence"), sequence);
    json_decref(fresh);

    process_release(&first);
    process_release(&second);
    free(copy);
    daemon_stop(&daemon);
}

Test(targets, one_that_replaces_itself_by_exec_is_read_anew)
{
    char *folder = scratch_new();
    struct go_program program = start_target(folder, "target.log", NULL);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100,"
                   " targets = { { name = 'target', pid = %d } } }",
                   (int)program.process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    struct wanted_target wanted = {
        .state = "up", .generation = 1, .pid = program.process.pid};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", is_target_as_wanted, &wanted, SOON_MS));

    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/exec", (unsigned)program.port);
    struct http_reply reply = http_request(url, NULL); /* nobody is left to answer */
    http_reply_release(&reply);
    wanted.generation = 2;
    json_decref(daemon_wait_for(&daemon, "/v1/targets", is_target_as_wanted, &wanted, SOON_MS));
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

Test(targets, without_a_list_every_readable_go_process_is_found_and_others_are_not)
{
    char *folder = daemon_folder_new();
    char *one = copy_of_target(folder, "found-one");
    char *two = copy_of_target(folder, "found-two");
    struct process first = start_copy(one, folder, "one.log");
    struct process second = start_copy(two, folder, "two.log");
    struct daemon daemon = daemon_start(folder, "return { sampling_interval_ms = 200 }");

    static const char *const found_one[] = {"name", "found-one", "state", "up", NULL};
    static const char *const found_two[] = {"name", "found-two", "state", "up", NULL};
    json_decref(daemon_wait_for(&daemon, "/v1/targets", answer_has, found_one, SOON_MS));
    json_t *targets = daemon_wait_for(&daemon, "/v1/targets", answer_has, found_two, SOON_MS);
    for (size_t i = 0; i < json_array_size(targets); i++)
        cr_assert_neq(json_integer_value(json_object_get(json_array_get(targets, i), "pid")),
                      daemon.process.pid, "goprofd takes itself for a Go program");
    json_decref(targets);

    process_release(&first);
    process_release(&second);
    free(one);
    free(two);
    daemon_stop(&daemon);
}
