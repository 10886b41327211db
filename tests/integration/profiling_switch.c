/* profiling_switch.c - enable_heap_profiling: a program without a heap profile gets one, and is left as
 * it was found. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { SOON_MS = 30000, DEFAULT_RATE = 524288 };

static struct process start_unprofiled(const struct go_version *version, const char *folder)
{
    char *program = go_program_path(version, "unprofiled_target");
    char *log_path = path_join(folder, "target.log");
    const char *argv[] = {program, NULL};
    struct process process = process_start(argv, log_path, NULL);
    free(process_wait_for(&process, "ready", SOON_MS));
    free(log_path);
    free(program);
    return process;
}

static struct daemon watch(pid_t pid, const char *options)
{
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = { { name = 'target', pid = %d%s } } }",
                   (int)pid, options);
    return daemon_start(daemon_folder_new(), config);
}

static json_int_t rate_of(const struct daemon *daemon)
{
    json_t *snapshot = daemon_wait_for_snapshot(daemon, "target", 0);
    const json_int_t rate = (json_int_t)answer_number(snapshot, "mem_profile_rate");
    json_decref(snapshot);
    return rate;
}

static bool log_says(const struct daemon *daemon, const char *text)
{
    char *log = process_output(&daemon->process);
    const bool says = strstr(log, text) != NULL;
    free(log);
    return says;
}

static bool has_kept(const json_t *answer, const void *context)
{
    (void)context;
    return answer_mentions(answer, "main.keep");
}

/* What goprofd says that is asked for the profile of [pid] now. */
static char *asked_once(pid_t pid, const char *folder)
{
    char number[16];
    (void)snprintf(number, sizeof(number), "%d", (int)pid);
    char *path = path_join(folder, "once.pb.gz");
    const char *arguments[] = {"heap", number, "-o", path, NULL};
    char *output = NULL;
    cr_assert_eq(goprofd_run(arguments, NULL, &output), 0, "%s", output);
    free(path);
    return output;
}

ParameterizedTestParameters(profiling_switch, is_set_on_request_shows_sites_and_is_undone)
{
    size_t count = 0;
    struct go_version *versions = go_versions(&count);
    return cr_make_param_array(struct go_version, versions, count);
}

ParameterizedTest(struct go_version *version, profiling_switch,
                  is_set_on_request_shows_sites_and_is_undone)
{
    char *folder = scratch_new();
    struct process process = start_unprofiled(version, folder);
    struct daemon daemon = watch(process.pid, ", enable_heap_profiling = true");
    cr_assert_eq(rate_of(&daemon), DEFAULT_RATE);
    cr_assert(log_says(&daemon, "level=warn msg=\"heap profiling enabled: runtime.MemProfileRate was "
                                "written\""));
    cr_assert(log_says(&daemon, "old=0 new=524288"));
    json_decref(daemon_wait_for(&daemon, "/v1/metrics/allocations/top?by=site", has_kept, NULL,
                                SOON_MS));
    daemon_stop(&daemon);

    char *said = asked_once(process.pid, folder);
    cr_assert_not_null(strstr(said, "switched off"), "still on: %s", said);
    free(said);
    process_release(&process);
    scratch_remove(folder);
}

Test(profiling_switch, is_not_touched_without_a_word_of_the_config)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct process process = start_unprofiled(&newest, folder);
    struct daemon daemon = watch(process.pid, "");
    cr_assert_eq(rate_of(&daemon), 0);
    sleep_ms(500);
    cr_assert_eq(rate_of(&daemon), 0);
    cr_assert_not(log_says(&daemon, "was written"));
    daemon_stop(&daemon);
    process_release(&process);
    scratch_remove(folder);
}

Test(profiling_switch, leaves_a_rate_of_the_programs_own_alone)
{
    const struct go_version newest = go_version_newest();
    static const char *const arguments[] = {"-rate", "4096", NULL};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "profile_target", arguments, folder, "target.log", NULL);
    struct daemon daemon = watch(program.process.pid, ", enable_heap_profiling = true");
    cr_assert_eq(rate_of(&daemon), 4096);
    daemon_stop(&daemon);
    json_t *runtime = http_json(program.port, 200, "/runtime");
    cr_assert_eq(answer_number(runtime, "mem_profile_rate"), 4096);
    json_decref(runtime);
    go_program_release(&program);
    scratch_remove(folder);
}

/* The finding names both cures, and goes once one of them is in force. */
Test(profiling_switch, is_what_the_shipped_rule_advises)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct process process = start_unprofiled(&newest, folder);
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, rules_dir = '%s',"
                   " targets = { { name = 'target', pid = %d } } }",
                   shipped_rules, (int)process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    json_t *suggestions = daemon_wait_for(&daemon, "/v1/suggestions?rule=profiling_disabled",
                                          answer_says, "enable_heap_profiling = true", SOON_MS);
    cr_assert(answer_mentions(suggestions, "net/http/pprof"));
    json_decref(suggestions);
    daemon_stop(&daemon);
    process_release(&process);
    scratch_remove(folder);
}
