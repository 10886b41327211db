/* consistency.c - no read is torn, however much the target collects meanwhile.
 *
 * A program that allocates in every shape and calls runtime.GC() without end is read 10,000 times by
 * goprofd's own reader (support/consistency_reader.c, which judges each profile).  Then it is paused
 * between two cycles, and what the same reader reads next is the program's own profile, sample for
 * sample: nothing that went by in between was lost or counted twice. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"
#include "tests/support/raw_profile.h"

enum {
    READS = 10000,
    PROFILES = 200, /* different ones: fewer would prove nothing */
    READS_TIMEOUT_MS = 300000,
    PAUSE_MS = 5,
    TIMEOUT_MS = 60000,
};

static const char reader_path[] = GOPROFD_BINARY_DIR "/tests/consistency_reader";

static void free_versions(struct criterion_test_params *params)
{
    cr_free(params->params);
}

static struct process start_reader(const struct go_program *program, const char *folder,
                                   const char *profile_path)
{
    char pid[16], reads[16], profiles[16];
    (void)snprintf(pid, sizeof(pid), "%d", (int)program->process.pid);
    (void)snprintf(reads, sizeof(reads), "%d", READS);
    (void)snprintf(profiles, sizeof(profiles), "%d", PROFILES);
    const char *argv[] = {reader_path, pid, reads, profiles, profile_path, NULL};
    char *log = path_join(folder, "reader.log");
    struct process reader = process_start(argv, log, NULL);
    free(log);
    return reader;
}

/* Has the program allocate until the reader has read enough; returns what that one says. */
static char *allocate_until_read(const struct go_program *program, const struct process *reader)
{
    for (unsigned waited_ms = 0; waited_ms < READS_TIMEOUT_MS; waited_ms += PAUSE_MS) {
        char *output = process_output(reader);
        const bool done = strstr(output, "read ") != NULL || strstr(output, "reader:") != NULL;
        free(output);
        if (done)
            break;
        http_touch(program->port, "/alloc?kept=0");
        sleep_ms(PAUSE_MS);
    }
    return process_wait_for(reader, "read ", TIMEOUT_MS);
}

/* "10000 times: 812 profiles of 60 sites, 5 retries, 0 reads given up, ..." */
static void assert_it_proves_something(const char *report)
{
    uint64_t reads = 0, profiles = 0, sites = 0, retries = 0, given_up = 0;
    cr_assert_eq(sscanf(report,
                        " %" SCNu64 " times: %" SCNu64 " profiles of %" SCNu64 " sites, %" SCNu64
                        " retries, %" SCNu64 " reads given up",
                        &reads, &profiles, &sites, &retries, &given_up),
                 5, "%s", report);
    cr_expect_geq(reads, READS, "%s", report);
    cr_expect_geq(profiles, PROFILES, "%s", report);
    cr_expect_gt(sites, 20, "%s", report);
    cr_expect_lt(given_up, READS / 2, "most reads are given up: %s", report);
}

static void assert_same_samples(const struct raw_profile *ours, const struct raw_profile *theirs)
{
    struct raw_difference difference = raw_profile_compare(ours, theirs);
    size_t missing = 0;
    for (size_t i = 0; i < difference.only_theirs_count; i++)
        missing += !raw_sample_is_zero(difference.only_theirs[i]);
    cr_expect_eq(difference.only_ours_count, 0, "%zu samples of %zu are not the program's, as\n%s",
                 difference.only_ours_count, ours->count,
                 difference.only_ours_count > 0 ? difference.only_ours[0] : "");
    cr_expect_eq(missing, 0, "%zu samples of %zu are missing", missing, theirs->count);
    raw_difference_release(&difference);
}

static void compare_with_own(const struct go_program *program, const char *folder,
                             const char *profile_path)
{
    const struct go_version judge = go_version_newest();
    char *own_path = path_join(folder, "own.pb.gz");
    http_save(program->port, "/debug/pprof/heap", own_path);
    struct raw_profile own = raw_profile_read(judge.go, own_path);
    struct raw_profile ours = raw_profile_read(judge.go, profile_path);
    cr_expect_gt(own.count, 20);
    assert_same_samples(&ours, &own);
    raw_profile_release(&ours);
    raw_profile_release(&own);
    free(own_path);
}

ParameterizedTestParameters(consistency, no_record_is_torn_in_10000_reads_of_a_collecting_program)
{
    size_t count = 0;
    struct go_version *versions = go_versions(&count);
    return cr_make_param_array(struct go_version, versions, count, free_versions);
}

ParameterizedTest(struct go_version *version, consistency,
                  no_record_is_torn_in_10000_reads_of_a_collecting_program)
{
    const char *const arguments[] = {"-rate", "4096", NULL};
    /* No cycle but the ones that it is told to make: it can be paused between two. */
    const char *const environment[] = {"GOGC=off", NULL};
    const struct process_options options = {.environment = environment};
    char *folder = scratch_new();
    char *profile_path = path_join(folder, "read.pb.gz");
    struct go_program program =
        go_program_start(version, "profile_target", arguments, folder, "target.log", &options);
    http_touch(program.port, "/gc");
    http_touch(program.port, "/collect");

    struct process reader = start_reader(&program, folder, profile_path);
    char *report = allocate_until_read(&program, &reader);
    fprintf(stderr, "go%s, collecting without end: read %.*s\n", version->name,
            (int)strcspn(report, "\n"), report);
    assert_it_proves_something(report);

    http_touch(program.port, "/quiet");
    http_touch(program.port, "/gc?n=2");
    cr_assert_eq(kill(reader.pid, SIGUSR1), 0);
    const int status = process_wait(&reader, TIMEOUT_MS);
    char *output = process_output(&reader);
    cr_assert_eq(status, 0, "go%s: %s", version->name, output);
    assert_no_sanitizer_report(output);
    compare_with_own(&program, folder, profile_path);

    free(output);
    free(report);
    free(profile_path);
    process_release(&reader);
    go_program_release(&program);
    scratch_remove(folder);
}
