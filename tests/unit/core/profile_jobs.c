/* profile_jobs.c - whoever asks for a profile is answered once, whatever happens. */
#include "core/profile_jobs.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/goproc/process_usage.h"
#include "core/goproc/procfs.h"
#include "core/sampler.h"
#include "core/store/board.h"
#include "core/target.h"
#include "core/target_set.h"

struct answers {
    int count;
    int profiles;
    enum error_code code; /* of the last */
    char message[192];
};

static void note(void *context, const struct stack_profile *profile, const struct error *err)
{
    struct answers *answers = context;
    answers->count++;
    if (profile != NULL) {
        answers->profiles++;
        stack_profile_unref(profile);
        return;
    }
    answers->code = err->code;
    (void)snprintf(answers->message, sizeof(answers->message), "%.190s", err->message);
}

static struct profile_request ask(struct answers *answers)
{
    return (struct profile_request){
        .target_id = "nobody", .kind = STACK_GOROUTINE, .reply = note, .context = answers};
}

Test(profile_jobs, that_are_left_at_the_end_are_refused)
{
    struct answers answers = {0};
    const struct profile_request request = ask(&answers);
    struct profile_jobs *jobs = profile_jobs_new();
    cr_expect_not(profile_jobs_waiting(jobs));
    for (int i = 0; i < 3; i++)
        profile_jobs_add(jobs, profile_job_new(&request), 0);
    cr_expect(profile_jobs_waiting(jobs));
    cr_expect_eq(answers.count, 0);
    profile_jobs_free(jobs);
    cr_expect_eq(answers.count, 3);
    cr_expect_eq(answers.code, ERROR_BUSY);
}

Test(profile_jobs, beyond_the_cap_are_refused_at_once)
{
    struct answers answers = {0};
    const struct profile_request request = ask(&answers);
    struct profile_jobs *jobs = profile_jobs_new();
    for (int i = 0; i < PROFILE_JOBS_MAX + 2; i++)
        profile_jobs_add(jobs, profile_job_new(&request), 0);
    cr_expect_eq(answers.count, 2);
    profile_jobs_free(jobs);
    cr_expect_eq(answers.count, PROFILE_JOBS_MAX + 2);
}

struct watch {
    struct board *board;
    struct procfs procfs;
    struct config *config;
    struct usage_context usage;
    struct target_context context;
    struct target_set *targets;
};

static void watch_nothing(struct watch *watch)
{
    struct error err = {0};
    watch->board = board_new(4);
    watch->procfs = (struct procfs){.root = ""};
    watch->config = config_new();
    usage_context_init(&watch->usage, &watch->procfs);
    watch->context = (struct target_context){.procfs = &watch->procfs,
                                             .usage = &watch->usage,
                                             .counters = board_counters(watch->board)};
    watch->targets = target_set_new(watch->config, &watch->context, &err);
    cr_assert_not_null(watch->targets, "%s", err.message);
}

static void watch_end(struct watch *watch)
{
    target_set_free(watch->targets);
    usage_context_release(&watch->usage);
    config_free(watch->config);
    board_free(watch->board);
}

Test(profile_jobs, of_a_target_that_is_not_watched_fail_by_its_name)
{
    struct answers answers = {0};
    const struct profile_request request = ask(&answers);
    struct watch watch;
    watch_nothing(&watch);
    struct profile_jobs *jobs = profile_jobs_new();
    profile_jobs_add(jobs, profile_job_new(&request), clock_monotonic_ns());
    profile_jobs_work(jobs, watch.targets, 0); /* no time: nothing happens */
    cr_expect_eq(answers.count, 0);
    profile_jobs_work(jobs, watch.targets, UINT64_MAX);
    cr_expect_eq(answers.count, 1);
    cr_expect_eq(answers.code, ERROR_GONE);
    cr_expect_not_null(strstr(answers.message, "nobody"));
    profile_jobs_free(jobs);
    cr_expect_eq(answers.count, 1);
    watch_end(&watch);
}

Test(profile_jobs, that_are_too_old_are_refused)
{
    struct answers answers = {0};
    const struct profile_request request = ask(&answers);
    struct watch watch;
    watch_nothing(&watch);
    struct profile_jobs *jobs = profile_jobs_new();
    profile_jobs_add(jobs, profile_job_new(&request), 0);
    if (clock_monotonic_ns() > 31 * CLOCK_NS_PER_S) { /* the machine has been up that long */
        profile_jobs_work(jobs, watch.targets, UINT64_MAX);
        cr_expect_eq(answers.code, ERROR_BUSY);
    }
    profile_jobs_free(jobs);
    cr_expect_eq(answers.count, 1);
    watch_end(&watch);
}

Test(sampler_requests, are_answered_before_during_and_after_its_life)
{
    struct error err = {0};
    struct answers answers = {0};
    const struct profile_request request = ask(&answers);
    struct config *config = config_new();
    struct board *board = board_new(4);
    struct sampler *sampler = sampler_new(config, board, &err);
    cr_assert_not_null(sampler, "%s", err.message);
    for (int i = 0; i < 3; i++)
        sampler_request_profile(sampler, &request);
    sampler_stop(sampler); /* never started */
    sampler_free(sampler);
    cr_expect_eq(answers.count, 3);

    struct answers during = {0};
    const struct profile_request late = ask(&during);
    sampler = sampler_new(config, board, &err);
    cr_assert(sampler_start(sampler, &err), "%s", err.message);
    sampler_request_profile(sampler, &late);
    sampler_stop(sampler);
    sampler_request_profile(sampler, &late); /* refused at once: it is closed */
    sampler_free(sampler);
    cr_expect_eq(during.count, 2);
    cr_expect_eq(during.profiles, 0);
    board_free(board);
    config_free(config);
}
