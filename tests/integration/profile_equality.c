/* profile_equality.c - what goprofd reads from outside is what the program says of itself.
 *
 * For each Go version: a program with allocations of every shape, its own /debug/pprof/heap, and
 * the same profile as goprofd serves it and as `goprofd heap PID` writes it.  Same stacks, function names,
 * files, lines, labels and values of every sample; not close, equal. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"
#include "tests/support/raw_profile.h"

/* No GC but the ones that the test asks for: the published profile then stands still between them. */
static const char *const no_background_gc[] = {"GOGC=off", NULL};

static void free_versions(struct criterion_test_params *params)
{
    cr_free(params->params);
}

static struct criterion_test_params every_go_version(void)
{
    size_t count = 0;
    struct go_version *versions = go_versions(&count);
    return cr_make_param_array(struct go_version, versions, count, free_versions);
}

static json_int_t number_of_gcs(uint16_t port)
{
    json_t *stats = http_json(port, 200, "/memstats");
    const json_int_t num_gc = json_integer_value(json_object_get(stats, "NumGC"));
    json_decref(stats);
    return num_gc;
}

static struct raw_profile read_own(const struct go_version *judge, const struct go_program *program,
                                   const char *folder, const char *name)
{
    char *path = path_join(folder, name);
    http_save(program->port, "/debug/pprof/heap", path);
    struct raw_profile profile = raw_profile_read(judge->go, path);
    free(path);
    return profile;
}

static struct raw_profile read_with_command(const struct go_version *judge,
                                            const struct go_program *program, const char *folder)
{
    char *path = path_join(folder, "command.pb.gz");
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)program->process.pid);
    const char *arguments[] = {"heap", pid, "-o", path, NULL};
    char *output = NULL;
    const int status = goprofd_run(arguments, NULL, &output);
    cr_assert_eq(status, 0, "goprofd heap: %s", output);
    struct raw_profile profile = raw_profile_read(judge->go, path);
    free(output);
    free(path);
    return profile;
}

/* The daemon's profile is of its last beat: wait for one after the GC that made the profile. */
static struct raw_profile read_from_daemon(const struct go_version *judge,
                                           const struct daemon *daemon,
                                           const struct go_program *program)
{
    char *path = path_join(daemon->folder, "daemon.pb.gz");
    json_decref(daemon_wait_for_snapshot(daemon, "target", number_of_gcs(program->port)));
    http_save(daemon->port, "/debug/pprof/heap?target=target", path);
    struct raw_profile profile = raw_profile_read(judge->go, path);
    free(path);
    return profile;
}

static struct daemon start_daemon_on(const struct go_program *program)
{
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100,"
                   " targets = { { name = 'target', pid = %d } } }",
                   (int)program->process.pid);
    return daemon_start(daemon_folder_new(), config);
}

static void compare_once(const struct go_version *version, const struct go_version *judge,
                         const struct daemon *daemon, const struct go_program *program)
{
    struct raw_profile own = read_own(judge, program, daemon->folder, "own.pb.gz");
    struct raw_profile command = read_with_command(judge, program, daemon->folder);
    struct raw_profile served = read_from_daemon(judge, daemon, program);
    struct raw_profile own_after = read_own(judge, program, daemon->folder, "own_after.pb.gz");

    cr_assert_gt(own.count, 20, "the target has too few samples (%zu) to prove anything", own.count);
    raw_profile_assert_equal(&command, &own_after, version->name);
    raw_profile_assert_equal(&served, &own_after, version->name);
    /* And nothing that was there before has gone. */
    raw_profile_assert_equal(&own, &served, version->name);

    raw_profile_release(&own);
    raw_profile_release(&command);
    raw_profile_release(&served);
    raw_profile_release(&own_after);
}

static void compare_in_all_states(const struct go_version *version, const char *name,
                                  const char *const *arguments)
{
    const struct go_version judge = go_version_newest();
    const struct process_options options = {.environment = no_background_gc};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(version, name, arguments, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);

    /* Before any GC the runtime publishes all allocations as they happen, those of serving the profile
     * included: no two reads are equal then, not even its own. */
    http_touch(program.port, "/gc");
    compare_once(version, &judge, &daemon, &program);
    /* New allocations belong to a cycle that is not published yet. */
    http_touch(program.port, "/alloc?kept=0");
    http_touch(program.port, "/alloc");
    compare_once(version, &judge, &daemon, &program);
    http_touch(program.port, "/gc?n=2");
    compare_once(version, &judge, &daemon, &program);

    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

ParameterizedTestParameters(profile_equality, equals_the_programs_own_profile)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, profile_equality, equals_the_programs_own_profile)
{
    compare_in_all_states(version, "profile_target", NULL);
    fprintf(stderr, "profile equality holds for go%s\n", version->name);
}

ParameterizedTestParameters(profile_equality, equals_it_with_every_allocation_sampled)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, profile_equality,
                  equals_it_with_every_allocation_sampled)
{
    const char *const arguments[] = {"-rate", "1", "-sites", "500", NULL};
    compare_in_all_states(version, "profile_target", arguments);
    fprintf(stderr, "profile equality at rate 1 holds for go%s\n", version->name);
}

ParameterizedTestParameters(profile_equality, equals_it_for_a_program_without_symbol_table)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, profile_equality,
                  equals_it_for_a_program_without_symbol_table)
{
    compare_in_all_states(version, "profile_target_stripped", NULL);
    fprintf(stderr, "profile equality, stripped, holds for go%s\n", version->name);
}

/* The modes that Go programs ship in, as go_programs.sh builds them, and ways to start one. */
struct build_mode {
    const char *name;
    const char *launcher;  /* in front of the program; NULL: none.  "c-host": of this version */
    const char *program;   /* of this version */
    bool is_library;       /* then the C program's own mapping comes first in the program's profile */
    bool of_every_version; /* else of the newest Go only, unless all are asked for */
};

static const char loader[] = "/lib64/ld-linux-x86-64.so.2";

static const struct build_mode build_modes[] = {
    {.of_every_version = true, .name = "default", .program = "profile_target"},
    {.of_every_version = true, .name = "-s -w", .program = "profile_target_stripped"},
    {.name = "static", .program = "modes/static"},
    {.name = "-trimpath", .program = "modes/trimpath"},
    {.name = "strip(1)", .program = "modes/strip"},
    {.name = "no section headers", .program = "modes/no-sections"},
    {.of_every_version = true, .name = "PIE", .program = "modes/pie"},
    {.name = "cgo, dynamic", .program = "modes/cgo"},
    {.of_every_version = true, .name = "cgo, dynamic, strip(1)", .program = "modes/cgo-strip"},
    {.name = "cgo, PIE, -s -w", .program = "modes/cgo-pie-s-w"},
    {.name = "through ld.so", .launcher = loader, .program = "modes/cgo"},
    {.name = "through ld.so, strip(1)", .launcher = loader, .program = "modes/cgo-strip"},
    {.name = "c-shared", .launcher = "c-host", .program = "modes/library.so", .is_library = true},
    {.name = "c-shared, strip(1)",
     .launcher = "c-host",
     .program = "modes/library-stripped.so",
     .is_library = true},
};

enum { BUILD_MODES = sizeof(build_modes) / sizeof(build_modes[0]), START_TIMEOUT_MS = 60000 };

static struct go_program start_in_mode(const struct go_version *version,
                                       const struct build_mode *mode, const char *folder)
{
    const struct process_options options = {.environment = no_background_gc};
    char *program = go_program_path(version, mode->program);
    char *launcher = mode->launcher == NULL        ? NULL
                     : mode->launcher[0] == '/' ? strdup(mode->launcher)
                                                   : go_program_path(version, mode->launcher);
    const char *const launched[] = {launcher, program, NULL};
    char log_name[32]; /* of its own: the line with the port is not to be another's */
    (void)snprintf(log_name, sizeof(log_name), "mode-%td.log", mode - build_modes);
    char *log_path = path_join(folder, log_name);
    struct go_program started = {
        .process = process_start(launched + (launcher == NULL), log_path, &options)};
    char *address = process_wait_for(&started.process, "listening", START_TIMEOUT_MS);
    const char *colon = strrchr(address, ':');
    cr_assert_not_null(colon, "no port in '%s'", address);
    started.port = (uint16_t)strtoul(colon + 1, NULL, 10);
    free(address);
    free(log_path);
    free(launcher);
    free(program);
    return started;
}

static void compare_in_mode(const struct go_version *version, const struct go_version *judge,
                            const struct build_mode *mode, const char *folder)
{
    struct go_program program = start_in_mode(version, mode, folder);
    http_touch(program.port, "/gc");
    http_touch(program.port, "/alloc?kept=0");
    http_touch(program.port, "/gc?n=2");
    struct raw_profile ours = read_with_command(judge, &program, folder);
    struct raw_profile own = read_own(judge, &program, folder, "own.pb.gz");
    cr_assert_gt(own.count, 20, "%s: too few samples (%zu) to prove anything", mode->name, own.count);
    if (mode->is_library) {
        free(own.mapping);
        own.mapping = strdup(ours.mapping);
    }
    raw_profile_assert_equal(&ours, &own, version->name);
    fprintf(stderr, "equal: go%-8s %-24s %zu samples\n", version->name, mode->name, ours.count);
    raw_profile_release(&ours);
    raw_profile_release(&own);
    go_program_release(&program);
}

ParameterizedTestParameters(profile_equality, equals_it_in_every_build_mode)
{
    return every_go_version();
}

/* The listing that this prints is the matrix, version x build mode: whole with tests/run.sh --full, else
 * all modes of the newest Go and the commonest of the others. */
ParameterizedTest(struct go_version *version, profile_equality, equals_it_in_every_build_mode)
{
    const struct go_version judge = go_version_newest();
    char *folder = scratch_new();
    const bool all_modes =
        getenv("GOPROFD_TEST_FULL") != NULL || strcmp(version->name, judge.name) == 0;
    for (size_t i = 0; i < BUILD_MODES; i++)
        if (all_modes || build_modes[i].of_every_version)
            compare_in_mode(version, &judge, &build_modes[i], folder);
    scratch_remove(folder);
}

static bool has_function(const struct raw_profile *profile, const char *name)
{
    for (size_t i = 0; i < profile->count; i++)
        if (strstr(profile->samples[i], name) != NULL)
            return true;
    return false;
}

ParameterizedTestParameters(profile_equality, equals_it_for_plugins_that_are_loaded_later)
{
    return every_go_version();
}

/* The functions of a plugin stand in tables of its own; host and plugin are stripped. */
ParameterizedTest(struct go_version *version, profile_equality,
                  equals_it_for_plugins_that_are_loaded_later)
{
    const struct go_version judge = go_version_newest();
    const struct process_options options = {.environment = no_background_gc};
    char *folder = scratch_new();
    char *file = go_program_path(version, "plugin.so");
    struct go_program program =
        go_program_start(version, "plugin_host", NULL, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);
    http_touch(program.port, "/gc");
    compare_once(version, &judge, &daemon, &program);

    http_touch(program.port, "/plugin?path=%s", file);
    http_touch(program.port, "/gc?n=2");
    compare_once(version, &judge, &daemon, &program);
    struct raw_profile served = read_from_daemon(&judge, &daemon, &program);
    cr_assert(has_function(&served, ".grow "), "no sample is the plugin's");
    raw_profile_release(&served);

    daemon_stop(&daemon);
    go_program_release(&program);
    free(file);
    scratch_remove(folder);
}

/* The comparison itself: it must see a single sample that is not the same. */
Test(profile_equality, a_profile_that_changed_is_seen_to_differ)
{
    const struct go_version newest = go_version_newest();
    const struct process_options options = {.environment = no_background_gc};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "profile_target", NULL, folder, "target.log", &options);
    http_touch(program.port, "/gc");
    struct raw_profile before = read_own(&newest, &program, folder, "before.pb.gz");
    struct raw_profile again = read_own(&newest, &program, folder, "again.pb.gz");
    http_touch(program.port, "/alloc");
    http_touch(program.port, "/gc?n=2");
    struct raw_profile after = read_own(&newest, &program, folder, "after.pb.gz");

    struct raw_difference same = raw_profile_compare(&before, &again);
    cr_expect_eq(same.only_ours_count, 0);
    struct raw_difference changed = raw_profile_compare(&before, &after);
    cr_expect_gt(changed.only_ours_count, 0);
    cr_expect_gt(changed.only_theirs_count, 0);

    raw_difference_release(&same);
    raw_difference_release(&changed);
    raw_profile_release(&before);
    raw_profile_release(&again);
    raw_profile_release(&after);
    go_program_release(&program);
    scratch_remove(folder);
}
