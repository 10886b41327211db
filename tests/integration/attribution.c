/* attribution.c - who allocates and who retains, compared with a program that knows: tags of handlers,
 * goroutines and start-up, growth of a leak and of a healthy sawtooth, and sums that add up.
 *
 * tests/fixtures/go/attribution_target built with the oldest and the newest Go, and stripped, watched by one
 * goprofd at the same time. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

enum { PROGRAMS = 3, WAIT_MS = 60000 };
static const double OBSERVED_S = 8;

struct watched {
    const char *name;
    struct go_program program;
    json_t *before; /* what it said of itself when goprofd began to look */
};

static void start_programs(struct watched watched[PROGRAMS], const char *folder)
{
    struct go_version versions[GO_VERSIONS_MAX];
    const size_t count = go_versions_read(versions);
    static const struct {
        const char *name;
        bool newest;
        const char *program;
    } kinds[PROGRAMS] = {{"oldest", false, "attribution_target"},
                         {"newest", true, "attribution_target"},
                         {"stripped", true, "attribution_target_stripped"}};
    for (size_t i = 0; i < PROGRAMS; i++) {
        char log_name[64];
        (void)snprintf(log_name, sizeof(log_name), "%s.log", kinds[i].name);
        watched[i].name = kinds[i].name;
        watched[i].program =
            go_program_start(&versions[kinds[i].newest ? count - 1 : 0], kinds[i].program, NULL,
                             folder, log_name, NULL);
    }
}

static json_t *truth_of(const struct watched *watched)
{
    return http_json(watched->program.port, 200, "/truth");
}

static const json_t *job_of(const json_t *truth, const char *name)
{
    const char *const wanted[] = {"name", name, NULL};
    const json_t *job = answer_find(json_object_get(truth, "jobs"), wanted);
    cr_assert_not_null(job, "the program has no job %s", name);
    return job;
}

/* Bytes a second of a job between two truths. */
static double rate_of(const json_t *before, const json_t *after, const char *name)
{
    return (answer_number(job_of(after, name), "allocated") -
            answer_number(job_of(before, name), "allocated")) /
           (answer_number(after, "seconds") - answer_number(before, "seconds"));
}

/* The cart has all that it will keep, and the profile of that is published: from here on it stands. */
static void wait_until_filled(const struct watched *watched)
{
    enum { CART_BYTES = 64 * (16 << 10), POLL_MS = 50, PUBLISHED_MS = 1000 };
    for (int waited_ms = 0; waited_ms < WAIT_MS; waited_ms += POLL_MS) {
        json_t *truth = truth_of(watched);
        const bool filled = answer_number(job_of(truth, "cart"), "retained") >= CART_BYTES;
        json_decref(truth);
        if (filled) {
            sleep_ms(PUBLISHED_MS);
            return;
        }
        sleep_ms(POLL_MS);
    }
    cr_assert_fail("%s never filled its cart", watched->name);
}

static json_t *top_of(const struct daemon *daemon, const char *list, const char *target,
                      const char *by)
{
    return http_json(daemon->port, 200, "/v1/metrics/%s/top?target=%s&by=%s&limit=1000", list,
                     target, by);
}

static const json_t *entry_of(const json_t *top, const json_t *truth, const char *job)
{
    const char *tag = answer_text(job_of(truth, job), "tag");
    const char *const wanted[] = {"tag", tag, NULL};
    const json_t *entry = answer_find(top, wanted);
    char *text = entry == NULL ? json_dumps(top, JSON_INDENT(1)) : NULL;
    cr_assert_not_null(entry, "nothing is tagged %s:\n%s", tag, text);
    return entry;
}

static bool was_observed(const json_t *answer, const void *context)
{
    static const char *const leak[] = {"tag", "main.(*shop).checkout", NULL};
    (void)context;
    const json_t *entry = answer_find(answer, leak);
    return entry != NULL && json_is_number(json_object_get(entry, "growth_window_seconds")) &&
           answer_number(entry, "growth_window_seconds") >= OBSERVED_S;
}

static void wait_until_observed(const struct daemon *daemon, const char *target)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "/v1/metrics/retentions/top?target=%s&by=tag&limit=1000", target);
    json_decref(daemon_wait_for(daemon, path, was_observed, NULL, WAIT_MS));
}

/* The leak grows as the program says, what comes and goes does not, and what is kept stays. */
static void assert_growth(const struct daemon *daemon, const struct watched *watched)
{
    static const char *const steady[] = {"cart", "refresher", "table", "startup"};
    json_t *truth = truth_of(watched);
    json_t *top = top_of(daemon, "retentions", watched->name, "tag");
    const double leak = rate_of(watched->before, truth, "checkout");
    const double seen =
        answer_number(entry_of(top, truth, "checkout"), "growth_bytes_per_second");
    cr_assert_float_eq(seen, leak, 0.25 * leak, "%s: %g bytes/s, not %g", watched->name, seen, leak);

    const double filled = rate_of(watched->before, truth, "cache");
    const char *const cache[] = {"tag", answer_text(job_of(truth, "cache"), "tag"), NULL};
    const json_t *entry = answer_find(top, cache);
    if (entry != NULL) { /* else it has just been flushed */
        const double growth = answer_number(entry, "growth_bytes_per_second");
        cr_assert_leq(fabs(growth), 0.15 * filled, "%s: a sawtooth filled with %g bytes/s grows by %g",
                      watched->name, filled, growth);
    }
    for (size_t i = 0; i < sizeof(steady) / sizeof(steady[0]); i++) {
        const double growth =
            answer_number(entry_of(top, truth, steady[i]), "growth_bytes_per_second");
        cr_assert_leq(fabs(growth), 0.05 * leak, "%s: %s grows by %g", watched->name, steady[i],
                      growth);
    }
    json_decref(top);
    json_decref(truth);
}

static double sum_of(const json_t *top, const char *member)
{
    double sum = 0;
    for (size_t i = 0; i < json_array_size(top); i++)
        sum += answer_number(json_array_get(top, i), member);
    return sum;
}

/* One look at all groupings; false if a new profile came in between. */
static bool sums_agree(const struct daemon *daemon, const char *target, bool *settled)
{
    static const char *const ways[] = {"type_tag", "site", "type", "tag", "package"};
    json_t *before = http_json(daemon->port, 200, "/v1/metrics/latest?target=%s", target);
    double retained[5];
    double allocated[5];
    for (size_t i = 0; i < 5; i++) {
        json_t *top = top_of(daemon, "retentions", target, ways[i]);
        retained[i] = sum_of(top, "retained_bytes");
        json_decref(top);
        top = top_of(daemon, "allocations", target, ways[i]);
        allocated[i] = sum_of(top, "total_alloc_bytes");
        json_decref(top);
    }
    json_t *after = http_json(daemon->port, 200, "/v1/metrics/latest?target=%s", target);
    *settled = answer_number(before, "num_gc") == answer_number(after, "num_gc") &&
               answer_number(before, "profile_alloc_bytes") == answer_number(after, "profile_alloc_bytes");
    bool agree = true;
    for (size_t i = 0; i < 5; i++)
        agree = agree && retained[i] == answer_number(after, "profile_inuse_bytes") &&
                allocated[i] == answer_number(after, "profile_alloc_bytes");
    json_decref(before);
    json_decref(after);
    return agree;
}

static void assert_sums(const struct daemon *daemon, const char *target)
{
    for (int tries = 0; tries < WAIT_MS / 100; tries++) {
        bool settled = false;
        const bool agree = sums_agree(daemon, target, &settled);
        if (settled) {
            cr_assert(agree, "%s: the groups do not add up to the profile", target);
            return;
        }
        sleep_ms(100);
    }
    cr_assert_fail("%s never came to rest", target);
}

/* Small things that run along: a handler's request, the slice that holds what is kept. */
static const double SMALL_BYTES = 256 << 10;

static void assert_near(const struct watched *watched, const char *job, const char *what,
                        double seen, double truth)
{
    cr_assert_float_eq(seen, truth, 0.1 * truth + SMALL_BYTES, "%s: %s %s %g, not %g", watched->name,
                       job, what, seen, truth);
}

static const json_t *typed_entry_of(const json_t *top, const struct watched *watched,
                                    const json_t *job)
{
    const char *const wanted[] = {"tag", answer_text(job, "tag"), "type_name",
                                  answer_text(job, "type"), NULL};
    const json_t *entry = answer_find(top, wanted);
    char *text = entry == NULL ? json_dumps(top, JSON_INDENT(1)) : NULL;
    cr_assert_not_null(entry, "%s: nothing of type %s is tagged %s:\n%s", watched->name, wanted[3],
                       wanted[1], text);
    return entry;
}

/* At rest: what each job allocated and kept has its type besides. */
static void assert_typed_amounts(const struct daemon *daemon, const struct watched *watched)
{
    json_t *truth = truth_of(watched);
    json_t *allocations = top_of(daemon, "allocations", watched->name, "type_tag");
    json_t *retentions = top_of(daemon, "retentions", watched->name, "type_tag");
    const json_t *jobs = json_object_get(truth, "jobs");
    cr_assert_geq(json_array_size(jobs), 7);
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);
        const char *name = answer_text(job, "name");
        const double retained = answer_number(job, "retained");
        assert_near(watched, name, "allocated of its type",
                    answer_number(typed_entry_of(allocations, watched, job), "total_alloc_bytes"),
                    answer_number(job, "allocated"));
        if (retained >= SMALL_BYTES)
            assert_near(watched, name, "retained of its type",
                        answer_number(typed_entry_of(retentions, watched, job), "retained_bytes"),
                        retained);
    }
    json_decref(retentions);
    json_decref(allocations);
    json_decref(truth);
}

/* At rest: everything that a job allocated and kept is under its tag. */
static void assert_amounts(const struct daemon *daemon, const struct watched *watched)
{
    json_t *truth = truth_of(watched);
    json_t *allocations = top_of(daemon, "allocations", watched->name, "tag");
    json_t *retentions = top_of(daemon, "retentions", watched->name, "tag");
    const json_t *jobs = json_object_get(truth, "jobs");
    for (size_t i = 0; i < json_array_size(jobs); i++) {
        const json_t *job = json_array_get(jobs, i);
        const char *name = answer_text(job, "name");
        assert_near(watched, name, "allocated",
                    answer_number(entry_of(allocations, truth, name), "total_alloc_bytes"),
                    answer_number(job, "allocated"));
        if (answer_number(job, "retained") < SMALL_BYTES)
            continue;
        const json_t *entry = entry_of(retentions, truth, name);
        assert_near(watched, name, "retained", answer_number(entry, "retained_bytes"),
                    answer_number(job, "retained"));
        cr_assert_not(json_is_true(json_object_get(entry, "sampling_blind")));
        cr_assert_geq(answer_number(entry, "age_seconds"), OBSERVED_S);
    }
    json_decref(retentions);
    json_decref(allocations);
    json_decref(truth);
}

Test(attribution, of_a_program_that_knows_it_is_right_by_type_tag_growth_and_sum)
{
    struct watched watched[PROGRAMS];
    char *folder = scratch_new();
    start_programs(watched, folder);
    for (size_t i = 0; i < PROGRAMS; i++)
        wait_until_filled(&watched[i]);
    char config[512];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = {"
                   " { name = 'oldest', pid = %d }, { name = 'newest', pid = %d },"
                   " { name = 'stripped', pid = %d } } }",
                   (int)watched[0].program.process.pid, (int)watched[1].program.process.pid,
                   (int)watched[2].program.process.pid);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    for (size_t i = 0; i < PROGRAMS; i++)
        watched[i].before = truth_of(&watched[i]);
    for (size_t i = 0; i < PROGRAMS; i++)
        wait_until_observed(&daemon, watched[i].name);
    for (size_t i = 0; i < PROGRAMS; i++)
        assert_growth(&daemon, &watched[i]);
    for (size_t i = 0; i < PROGRAMS; i++) {
        http_touch(watched[i].program.port, "/quiet");
        json_t *at_rest = http_json(watched[i].program.port, 200, "/truth");
        json_decref(at_rest);
        json_t *latest = http_json(daemon.port, 200, "/v1/metrics/latest?target=%s", watched[i].name);
        json_decref(daemon_wait_for_snapshot(&daemon, watched[i].name,
                                             (json_int_t)answer_number(latest, "num_gc")));
        json_decref(latest);
        assert_sums(&daemon, watched[i].name);
        assert_amounts(&daemon, &watched[i]);
        assert_typed_amounts(&daemon, &watched[i]);
    }
    daemon_stop(&daemon);
    for (size_t i = 0; i < PROGRAMS; i++) {
        json_decref(watched[i].before);
        go_program_release(&watched[i].program);
    }
    scratch_remove(folder);
}

/* ---- tags of the config ---- */

static void assert_tags(const char *tags, const char *const *expected)
{
    const struct go_version newest = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&newest, "attribution_target", NULL, folder, "program.log", NULL);
    char config[1024];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = { { name = 't', pid = %d } }, tags = %s }",
                   (int)program.process.pid, tags);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);
    for (; *expected != NULL; expected++) {
        const char *const wanted[] = {"tag", *expected, NULL};
        json_decref(daemon_wait_for(&daemon, "/v1/metrics/allocations/top?by=tag&limit=1000",
                                    answer_has, wanted, WAIT_MS));
    }
    daemon_stop(&daemon);
    go_program_release(&program);
    scratch_remove(folder);
}

Test(attribution, follows_the_rules_of_the_config)
{
    static const char *const expected[] = {"shopping", "start-up", "main.refresher", NULL};
    assert_tags("{ { tag = 'shopping', match = 'main.(*shop).*' },"
                " { tag = 'shopping', match = 'main.(*cart).*' },"
                " { tag = 'start-up', match = 'main.makeTable', file = '*/main.go' },"
                " { tag = 'never', package = 'example.com/*' } }",
                expected);
}

Test(attribution, follows_a_function_of_the_config_and_keeps_defaults_where_that_fails)
{
    static const char *const expected[] = {"by-hand:main.(*shop).remember", "main.refresher", "init",
                                           NULL};
    assert_tags("function(frames)\n"
                "  for i, frame in ipairs(frames) do\n"
                "    if frame.func == 'main.(*shop).checkout' then\n"
                "      return 'by-hand:' .. frames[i - 1].func\n"
                "    end\n"
                "    if frame.func == 'main.makeTable' then error('no idea') end\n"
                "  end\n"
                "end",
                expected);
}

/* ---- builds ---- */

/* Runs [version]'s build from [path], where the one before was, until its end. */
static struct process start_build(const struct go_version *version, const char *program,
                                  const char *path, const char *folder)
{
    char *from = go_program_path(version, program);
    const char *const copy[] = {"cp", from, path, NULL};
    char *output = NULL;
    (void)remove(path); /* a program that runs cannot be written to */
    cr_assert_eq(process_run(copy, NULL, &output), 0, "%s", output);
    free(output);
    free(from);
    char *log = path_join(folder, "service.log");
    const char *const argv[] = {path, NULL};
    struct process process = process_start(argv, log, NULL);
    free(process_wait_for(&process, "listening ", WAIT_MS));
    free(log);
    return process;
}

static bool is_up_as(const json_t *answer, const void *context)
{
    const json_t *pid = json_object_get(answer, "pid");
    return strcmp(answer_text(answer, "state"), "up") == 0 && pid != NULL &&
           json_integer_value(pid) == *(const pid_t *)context;
}

/* The target once it runs as [process], with this many restarts and builds behind it. */
static json_t *wait_for_build(const struct daemon *daemon, const struct process *process,
                              double generation, double build_generation)
{
    json_t *target = daemon_wait_for(daemon, "/v1/targets/service", is_up_as, &process->pid, WAIT_MS);
    cr_assert_eq(answer_number(target, "generation"), generation);
    cr_assert_eq(answer_number(target, "build_generation"), build_generation);
    return target;
}

Test(attribution, tells_a_deploy_from_a_restart)
{
    struct go_version versions[GO_VERSIONS_MAX];
    const size_t count = go_versions_read(versions);
    char *folder = scratch_new();
    char *path = path_join(folder, "service");
    char config[1024];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100, targets = { { name = 'service', exe = '%s' } } }",
                   path);
    struct daemon daemon = daemon_start(daemon_folder_new(), config);

    struct process process = start_build(&versions[count - 1], "attribution_target", path, folder);
    json_t *first = wait_for_build(&daemon, &process, 1, 1);
    cr_assert_null(json_object_get(first, "deployed_at"));
    cr_assert_null(json_object_get(first, "previous_build_id"));
    process_release(&process);

    process = start_build(&versions[count - 1], "attribution_target", path, folder);
    json_t *restarted = wait_for_build(&daemon, &process, 2, 1);
    cr_assert_str_eq(answer_text(restarted, "build_id"), answer_text(first, "build_id"));
    cr_assert_null(json_object_get(restarted, "deployed_at"));
    process_release(&process);

    process = start_build(&versions[count - 1], "demo-shop", path, folder);
    json_t *deployed = wait_for_build(&daemon, &process, 3, 2);
    cr_assert_str_eq(answer_text(deployed, "previous_build_id"), answer_text(first, "build_id"));
    cr_assert_str_neq(answer_text(deployed, "build_id"), answer_text(first, "build_id"));
    cr_assert_str_eq(answer_text(deployed, "deployed_at"), answer_text(deployed, "started_at"));
    process_release(&process);

    json_decref(first);
    json_decref(restarted);
    json_decref(deployed);
    daemon_stop(&daemon);
    free(path);
    scratch_remove(folder);
}
