/* stacks.c - goroutine, block, mutex and threadcreate profiles read from outside are the program's
 * own.
 *
 * For each Go version, with and without a symbol table: a program whose goroutines stand still in
 * every way there is, its own /debug/pprof, and the same profile as goprofd serves it and as the
 * command writes it. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"
#include "tests/support/raw_profile.h"

enum { GROUPS_MIN = 40, SETTLE_MS = 300 };

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

/* ---- reading the three ways ---- */

static struct raw_profile read_url(const struct go_version *judge, uint16_t port,
                                   const char *folder, const char *kind, const char *query)
{
    char url_path[128];
    (void)snprintf(url_path, sizeof(url_path), "/debug/pprof/%s%s", kind, query);
    char *path = path_join(folder, "url.pb.gz");
    http_save(port, url_path, path);
    struct raw_profile profile = raw_profile_read(judge->go, path);
    free(path);
    return profile;
}

static struct raw_profile read_own(const struct go_version *judge, const struct go_program *program,
                                   const char *folder, const char *kind)
{
    return read_url(judge, program->port, folder, kind, "");
}

static struct raw_profile read_with_command(const struct go_version *judge,
                                            const struct go_program *program, const char *folder,
                                            const char *kind)
{
    char *path = path_join(folder, "command.pb.gz");
    char pid[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)program->process.pid);
    const char *arguments[] = {kind, pid, "-o", path, NULL};
    char *output = NULL;
    const int status = goprofd_run(arguments, NULL, &output);
    cr_assert_eq(status, 0, "goprofd %s: %s", kind, output);
    struct raw_profile profile = raw_profile_read(judge->go, path);
    free(output);
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

/* ---- comparing ---- */

/*
 * Goroutines that serve the program's own profile: others each time. The
 * one that accepts connections is among them: when the program looks at
 * itself it may still be busy with the connection that asks.
 */
static bool is_serving(const char *sample)
{
    return strstr(sample, "net/http.(*conn") != NULL ||
           strstr(sample, "net/http.(*Server).Serve ") != NULL ||
           strstr(sample, "goroutine_target") == NULL;
}

/* Leaves only what stands still. */
static void keep_parked(struct raw_profile *profile)
{
    size_t kept = 0;
    for (size_t i = 0; i < profile->count; i++) {
        if (is_serving(profile->samples[i]))
            free(profile->samples[i]);
        else
            profile->samples[kept++] = profile->samples[i];
    }
    profile->count = kept;
}

static void print_samples(const char *title, const char *const *samples, size_t count)
{
    enum { PRINTED_MAX = 2 };
    for (size_t i = 0; i < count && i < PRINTED_MAX; i++)
        fprintf(stderr, "--- %s, %zu of %zu:\n%s", title, i + 1, count, samples[i]);
}

static void assert_same_samples(const struct raw_profile *ours, const struct raw_profile *theirs,
                                const struct go_version *version)
{
    struct raw_difference difference = raw_profile_compare(ours, theirs);
    print_samples("only goprofd has", difference.only_ours, difference.only_ours_count);
    print_samples("only the program has", difference.only_theirs, difference.only_theirs_count);
    cr_assert_eq(difference.only_ours_count, 0,
                 "go%s: %zu samples of %zu are not in the program's own", version->name,
                 difference.only_ours_count, ours->count);
    cr_assert_eq(difference.only_theirs_count, 0, "go%s: %zu samples of %zu are missing",
                 version->name, difference.only_theirs_count, theirs->count);
    raw_difference_release(&difference);
}

/* ---- goroutines ---- */

static void compare_goroutines(const struct go_version *version, const struct go_version *judge,
                               const struct daemon *daemon, const struct go_program *program)
{
    struct raw_profile own = read_own(judge, program, daemon->folder, "goroutine");
    struct raw_profile command = read_with_command(judge, program, daemon->folder, "goroutine");
    struct raw_profile served =
        read_url(judge, daemon->port, daemon->folder, "goroutine", "?target=target");

    cr_assert_str_eq(command.header, own.header);
    cr_assert_str_eq(served.header, own.header);
    cr_assert_str_eq(served.mapping, own.mapping);
    keep_parked(&own);
    keep_parked(&command);
    keep_parked(&served);
    cr_assert_geq(own.count, GROUPS_MIN,
                  "the target has too few goroutines (%zu) to prove anything", own.count);
    assert_same_samples(&command, &own, version);
    assert_same_samples(&served, &own, version);
    raw_profile_release(&own);
    raw_profile_release(&command);
    raw_profile_release(&served);
}

/* ---- block and mutex ---- */

/* Values, and the rest of a sample. */
static const char *split_sample(const char *sample, int64_t *count, int64_t *delay_ns)
{
    cr_assert_eq(sscanf(sample, "%" SCNd64 " %" SCNd64, count, delay_ns), 2, "no two values: %s",
                 sample);
    return strchr(sample, '\n');
}

/* Sums over all samples with [frames]: different records may come to the same frames. */
static bool find_sample(const struct raw_profile *profile, const char *frames, int64_t *count,
                        int64_t *delay_ns)
{
    bool found = false;
    *count = *delay_ns = 0;
    for (size_t i = 0; i < profile->count; i++) {
        int64_t more = 0, more_ns = 0;
        if (strcmp(split_sample(profile->samples[i], &more, &more_ns), frames) != 0)
            continue;
        *count += more;
        *delay_ns += more_ns;
        found = true;
    }
    return found;
}

/* What the runtime's own goroutines wait for goes on while we look: so each of our values must lie
 * between those that the program gave before and after, which for its own goroutines are the same.
 * Delays within the tolerance of two clocks that were measured apart. */
static void assert_between(const struct raw_profile *before, const struct raw_profile *ours,
                           const struct raw_profile *after, const struct go_version *version)
{
    size_t exact = 0;
    cr_assert_geq(ours->count, before->count);
    for (size_t i = 0; i < ours->count; i++) {
        int64_t count, delay_ns, least, least_ns, most, most_ns;
        const char *frames = split_sample(ours->samples[i], &count, &delay_ns);
        (void)find_sample(ours, frames, &count, &delay_ns);
        (void)find_sample(before, frames, &least, &least_ns);
        cr_assert(find_sample(after, frames, &most, &most_ns),
                  "go%s: not in the program's own:\n%s", version->name, ours->samples[i]);
        cr_expect(least <= count && count <= most, "go%s: %" PRId64 " contentions:\n%s",
                  version->name, count, ours->samples[i]);
        cr_expect((double)delay_ns >= (double)least_ns * 0.999 - 1 &&
                      (double)delay_ns <= (double)most_ns * 1.001 + 1,
                  "go%s: %" PRId64 " ns:\n%s", version->name, delay_ns, ours->samples[i]);
        exact += least == most;
    }
    cr_assert_geq(exact, 3, "go%s: too few records (%zu) stood still", version->name, exact);
    for (size_t i = 0; i < before->count; i++) {
        int64_t count, delay_ns;
        const char *frames = split_sample(before->samples[i], &count, &delay_ns);
        cr_expect(find_sample(ours, frames, &count, &delay_ns), "go%s: missing:\n%s", version->name,
                  before->samples[i]);
    }
}

static void compare_contention(const struct go_version *version, const struct go_version *judge,
                               const struct daemon *daemon, const struct go_program *program,
                               const char *kind)
{
    struct raw_profile before = read_own(judge, program, daemon->folder, kind);
    struct raw_profile command = read_with_command(judge, program, daemon->folder, kind);
    struct raw_profile served =
        read_url(judge, daemon->port, daemon->folder, kind, "?target=target");
    struct raw_profile after = read_own(judge, program, daemon->folder, kind);

    cr_assert_str_eq(command.header, after.header);
    cr_assert_str_eq(served.header, after.header);
    assert_between(&before, &command, &after, version);
    assert_between(&before, &served, &after, version);
    raw_profile_release(&before);
    raw_profile_release(&command);
    raw_profile_release(&served);
    raw_profile_release(&after);
}

/* ---- all of it ---- */

static int64_t total_of(const struct raw_profile *profile)
{
    int64_t total = 0;
    for (size_t i = 0; i < profile->count; i++)
        total += strtoll(profile->samples[i], NULL, 10);
    return total;
}

/* From 1.23 to 1.27 Go pads these stacks with zeros, which are no frames: so the numbers are compared. */
static void compare_threads(const struct go_version *judge, const struct daemon *daemon,
                            const struct go_program *program)
{
    struct raw_profile before = read_own(judge, program, daemon->folder, "threadcreate");
    struct raw_profile served =
        read_url(judge, daemon->port, daemon->folder, "threadcreate", "?target=target");
    struct raw_profile after = read_own(judge, program, daemon->folder, "threadcreate");
    cr_assert_str_eq(served.header, after.header);
    cr_assert_geq(total_of(&served), total_of(&before));
    cr_assert_leq(total_of(&served), total_of(&after));
    raw_profile_release(&before);
    raw_profile_release(&served);
    raw_profile_release(&after);
}

static void compare_all(const struct go_version *version, const char *name,
                        const char *const *arguments)
{
    const struct go_version judge = go_version_newest();
    const struct process_options options = {0};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(version, name, arguments, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);

    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    sleep_ms(SETTLE_MS);
    compare_goroutines(version, &judge, &daemon, &program);
    compare_contention(version, &judge, &daemon, &program, "block");
    compare_contention(version, &judge, &daemon, &program, "mutex");
    compare_threads(&judge, &daemon, &program);
    http_touch(program.port, "/contend?n=2");
    compare_contention(version, &judge, &daemon, &program, "block");
    compare_contention(version, &judge, &daemon, &program, "mutex");

    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

ParameterizedTestParameters(stacks, equal_the_programs_own)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, stacks, equal_the_programs_own)
{
    compare_all(version, "goroutine_target", NULL);
    fprintf(stderr, "goroutine, block and mutex profiles are equal for go%s\n", version->name);
}

ParameterizedTestParameters(stacks, equal_the_programs_own_without_a_symbol_table)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, stacks, equal_the_programs_own_without_a_symbol_table)
{
    const char *const arguments[] = {"-block-rate", "1000", "-mutex-fraction", "2", NULL};
    compare_all(version, "goroutine_target_stripped", arguments);
    fprintf(stderr, "and for go%s stripped, with events sampled\n", version->name);
}

/* A hundred readings of goroutines that never stand still: each comes to an end, each stack that is
 * shown is one of the program's, and those that stand still are all there. */
/* GODEBUG=profstackdepth, which cuts goroutine, block and mutex stacks elsewhere. */
static void compare_with_depth(const char *setting)
{
    const struct go_version newest = go_version_newest();
    const char *const environment[] = {setting, NULL};
    const struct process_options options = {.environment = environment};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "goroutine_target_stripped", NULL, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);

    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    sleep_ms(SETTLE_MS);
    compare_goroutines(&newest, &newest, &daemon, &program);
    compare_contention(&newest, &newest, &daemon, &program, "block");
    compare_contention(&newest, &newest, &daemon, &program, "mutex");
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

Test(stacks, are_cut_where_the_process_was_told_to_cut_its_own)
{
    compare_with_depth("GODEBUG=madvdontneed=1,profstackdepth=1000");
    compare_with_depth("GODEBUG=profstackdepth=20");
}

ParameterizedTestParameters(stacks, of_goroutines_that_move_are_whole)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, stacks, of_goroutines_that_move_are_whole)
{
    enum { READINGS = 100 };
    const struct go_version judge = go_version_newest();
    const struct process_options options = {0};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(version, "goroutine_target", NULL, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    sleep_ms(SETTLE_MS);
    struct raw_profile parked =
        read_url(&judge, daemon.port, daemon.folder, "goroutine", "?target=target");
    keep_parked(&parked);
    http_touch(program.port, "/busy");

    for (int reading = 0; reading < READINGS; reading++) {
        char url[96];
        (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/debug/pprof/goroutine?debug=1",
                       (unsigned)daemon.port);
        struct http_reply reply = http_request(url, NULL);
        cr_assert_eq(reply.status, 200, "%s", reply.body);
        cr_expect_null(strstr(reply.body, "# partial"), "%s", strstr(reply.body, "# partial"));
        http_reply_release(&reply);
    }
    struct raw_profile moving =
        read_url(&judge, daemon.port, daemon.folder, "goroutine", "?target=target");
    struct raw_difference difference = raw_profile_compare(&moving, &parked);
    print_samples("missing while others move", difference.only_theirs,
                  difference.only_theirs_count);
    cr_expect_eq(difference.only_theirs_count, 0);
    for (size_t i = 0; i < difference.only_ours_count; i++) {
        const char *sample = difference.only_ours[i];
        cr_expect(strstr(sample, "main.(*motion).start.func") != NULL ||
                      strstr(sample, "state:[running]") != NULL || is_serving(sample) ||
                      strstr(sample, "main.main") != NULL,
                  "go%s: no stack of a goroutine that moves:\n%s", version->name, sample);
    }
    raw_difference_release(&difference);
    raw_profile_release(&parked);
    raw_profile_release(&moving);
    http_touch(program.port, "/quiet");
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

static char *get_text(uint16_t port, const char *path)
{
    char url[128];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", (unsigned)port, path);
    struct http_reply reply = http_request(url, NULL);
    cr_assert_eq(reply.status, 200, "%s: %s", path, reply.body);
    char *body = strdup(reply.body);
    cr_assert_not_null(body);
    http_reply_release(&reply);
    return body;
}

Test(stacks, one_by_one_say_state_creator_and_place)
{
    const struct go_version newest = go_version_newest();
    const struct process_options options = {0};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "goroutine_target", NULL, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    sleep_ms(SETTLE_MS);
    char *text = get_text(daemon.port, "/debug/pprof/goroutine?target=target&debug=2");

    static const char *const states[] = {
        "[chan receive]:",
        "[chan send]:",
        "[select]:",
        "[select (no cases)]:",
        "[chan receive (nil chan)]:",
        "[IO wait]:",
        "[sleep]:",
        "[sync.Mutex.Lock]:",
        "[sync.RWMutex.RLock]:",
        "[sync.Cond.Wait]:",
        "[syscall]:",
        "[syscall, locked to thread]:",
    };
    for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
        cr_expect_not_null(strstr(text, states[i]), "no goroutine is in state %s", states[i]);
    cr_expect_not_null(strstr(text, "created by main.parked in goroutine 1\n"));
    cr_expect_not_null(strstr(text, "main.genericWait[...](...)\n"));
    cr_expect_not_null(strstr(text, "\npanic(...)\n"));
    cr_expect_not_null(strstr(text, "...additional frames elided...\n"));
    cr_expect_null(strstr(text, "runtime.gopark"));

    free(text);
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

/* A hundred thousand goroutines are read in slices; how late a beat may come is the bench's business, on
 * a machine that others use too. */
Test(stacks, of_many_goroutines_are_read_whole_and_the_beats_go_on)
{
    enum { PARKED = 100000 };
    const struct go_version newest = go_version_newest();
    const struct process_options options = {0};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "goroutine_target", NULL, folder, "target.log", &options);
    http_touch(program.port, "/park?n=%d", PARKED);
    struct daemon daemon = start_daemon_on(&program);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));

    struct raw_profile served =
        read_url(&newest, daemon.port, daemon.folder, "goroutine", "?target=target");
    cr_expect_gt(total_of(&served), PARKED);
    cr_expect_lt(served.count, 200);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0)); /* one taken after the dump */

    raw_profile_release(&served);
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

Test(stacks, of_a_target_that_is_gone_are_refused_with_the_reason)
{
    const struct go_version newest = go_version_newest();
    const struct process_options options = {0};
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "goroutine_target", NULL, folder, "target.log", &options);
    struct daemon daemon = start_daemon_on(&program);
    json_decref(daemon_wait_for_snapshot(&daemon, "target", 0));
    go_program_release(&program);
    sleep_ms(SETTLE_MS);

    json_t *answer = http_json(daemon.port, 503, "/debug/pprof/goroutine?target=target");
    const char *reason = json_string_value(json_object_get(answer, "error"));
    cr_expect(reason != NULL && strstr(reason, "gone") != NULL, "%s", reason);
    json_decref(answer);
    json_decref(http_json(daemon.port, 404, "/debug/pprof/goroutine?target=other"));
    json_decref(http_json(daemon.port, 400, "/debug/pprof/goroutine?debug=3"));
    daemon_stop(&daemon);
    scratch_remove(folder);
}
