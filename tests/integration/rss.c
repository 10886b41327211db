/* rss.c - what goprofd says of resident memory, on programs that grow by one kind of it.
 *
 * The truth is the kernel's: smaps of the program, read by the test itself before and after it grew.  The
 * part that is named after the kind must have as much as the process gained, and whatever happens
 * the parts of each snapshot add up to its RSS. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

#define MIB (1024.0 * 1024.0)

enum { WAIT_MS = 60000, PARTS = 11, OF_ALL = 2 };

static const char *const part_fields[PARTS] = {
    "rss_part_heap_live_bytes",   "rss_part_heap_garbage_bytes", "rss_part_heap_fragmentation_bytes",
    "rss_part_heap_idle_bytes",   "rss_part_stacks_bytes",       "rss_part_runtime_bytes",
    "rss_part_globals_bytes",     "rss_part_non_go_bytes",       "rss_part_unexplained_bytes",
    "rss_part_files_bytes",       "rss_part_shared_bytes"};

struct growth {
    char kind[16];
    char program[16];
    char field[40];      /* the part that it is */
    double least_share; /* of what the process gained; the rest is what comes along with it */
    double most_share;
};

/* Objects bring spans and mark bits with them, stacks are not used to their end.  Where neither C's memory
 * nor the runtime's own says whose it is, the runtime may have up to what it counts. */
static struct growth growths[] = {
    {"live", "rss_target", "rss_part_heap_live_bytes", 0.9, 1.0},
    {"garbage", "rss_target", "rss_part_heap_garbage_bytes", 0.9, 1.0},
    {"fragmentation", "rss_target", "rss_part_heap_fragmentation_bytes", 0.75, 0.9},
    {"idle", "rss_target", "rss_part_heap_idle_bytes", 0.9, 1.02},
    {"stacks", "rss_target", "rss_part_stacks_bytes", 0.9, 1.0},
    {"globals", "rss_target", "rss_part_globals_bytes", 0.97, 1.0},
    {"anonymous", "rss_target", "rss_part_non_go_bytes", 0.85, 1.0},
    {"shared", "rss_target", "rss_part_shared_bytes", 0.97, 1.0},
    {"file", "rss_target", "rss_part_files_bytes", 0.97, 1.1},
    {"malloc", "rss_target_c", "rss_part_non_go_bytes", 0.85, 1.05},
    {"live", "rss_target_c", "rss_part_heap_live_bytes", 0.9, 1.0},
};

/* Sum of [key] over all mappings of [pid]. */
static double smaps_bytes(pid_t pid, const char *key)
{
    char path[64];
    char line[512];
    const size_t key_length = strlen(key);
    unsigned long long sum = 0;
    (void)snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    while (fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, key_length) == 0 && line[key_length] == ':')
            sum += strtoull(line + key_length + 1, NULL, 10);
    fclose(file);
    return (double)sum * 1024;
}

/* The oldest and the newest Go of this run. */
static void pick_versions(struct go_version picked[OF_ALL])
{
    struct go_version versions[GO_VERSIONS_MAX];
    const size_t count = go_versions_read(versions);
    picked[0] = versions[0];
    picked[1] = versions[count - 1];
}

static double sum_of_parts(const json_t *snapshot)
{
    double sum = 0;
    for (size_t i = 0; i < PARTS; i++)
        sum += answer_number(snapshot, part_fields[i]);
    return sum;
}

static void assert_adds_up(const json_t *snapshot)
{
    cr_assert_eq(sum_of_parts(snapshot), answer_number(snapshot, "rss_bytes"),
                 "the parts add up to %.0f, RSS is %.0f", sum_of_parts(snapshot),
                 answer_number(snapshot, "rss_bytes"));
}

static bool has_parts(const json_t *answer, const void *context)
{
    (void)context;
    return json_object_get(answer, "rss_part_heap_live_bytes") != NULL;
}

static struct daemon watch(const struct go_program *programs, size_t count)
{
    char config[512];
    int length = snprintf(config, sizeof(config), "return { sampling_interval_ms = 100, targets = {");
    for (size_t i = 0; i < count; i++)
        length += snprintf(config + length, sizeof(config) - (size_t)length,
                           " { name = 'target-%zu', pid = %d },", i,
                           (int)programs[i].process.pid);
    (void)snprintf(config + length, sizeof(config) - (size_t)length, " } }");
    return daemon_start(daemon_folder_new(), config);
}

static json_t *snapshot_with_parts(const struct daemon *daemon, size_t target)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "/v1/metrics/latest?target=target-%zu", target);
    return daemon_wait_for(daemon, path, has_parts, NULL, WAIT_MS);
}

/* ---- each kind ---- */

static void assert_is_the_part(const json_t *snapshot, const struct growth *growth,
                               const char *version, double gained)
{
    const double part = answer_number(snapshot, growth->field);
    cr_assert(part >= growth->least_share * gained && part <= growth->most_share * gained + 3 * MIB,
              "go%s %s: %s is %.1f MiB, the process gained %.1f MiB", version, growth->kind,
              growth->field, part / MIB, gained / MIB);
    for (size_t i = 0; i < PARTS; i++) {
        const double other = answer_number(snapshot, part_fields[i]);
        cr_assert(strcmp(part_fields[i], growth->field) == 0 || other < part / 2,
                  "go%s %s: %s has %.1f MiB of %.1f", version, growth->kind, part_fields[i],
                  other / MIB, answer_number(snapshot, "rss_bytes") / MIB);
    }
}

ParameterizedTestParameters(rss, what_a_program_grew_by_is_its_largest_part)
{
    return cr_make_param_array(struct growth, growths,
                               sizeof(growths) / sizeof(growths[0]), NULL);
}

ParameterizedTest(struct growth *growth, rss, what_a_program_grew_by_is_its_largest_part)
{
    struct go_version versions[OF_ALL];
    struct go_program programs[OF_ALL];
    double gained[OF_ALL];
    char *folder = scratch_new();
    pick_versions(versions);
    for (size_t i = 0; i < OF_ALL; i++) {
        char log_name[32];
        (void)snprintf(log_name, sizeof(log_name), "target-%zu.log", i);
        programs[i] =
            go_program_start(&versions[i], growth->program, NULL, folder, log_name, NULL);
        const double before = smaps_bytes(programs[i].process.pid, "Rss");
        http_touch(programs[i].port, "/grow?kind=%s", growth->kind);
        gained[i] = smaps_bytes(programs[i].process.pid, "Rss") - before;
        cr_assert_gt(gained[i], 48 * MIB, "the program did not grow");
    }
    struct daemon daemon = watch(programs, OF_ALL);
    for (size_t i = 0; i < OF_ALL; i++) {
        json_t *snapshot = snapshot_with_parts(&daemon, i);
        assert_adds_up(snapshot);
        assert_is_the_part(snapshot, growth, versions[i].name, gained[i]);
        json_decref(snapshot);
    }
    daemon_stop(&daemon);
    for (size_t i = 0; i < OF_ALL; i++)
        go_program_release(&programs[i]);
    scratch_remove(folder);
}

/* ---- the rest ---- */

struct watched {
    char *folder;
    struct go_program program;
    struct daemon daemon;
};

static struct watched watch_one(const char *program, const char *kind_before)
{
    const struct go_version version = go_version_newest();
    struct watched watched = {.folder = scratch_new()};
    watched.program =
        go_program_start(&version, program, NULL, watched.folder, "target.log", NULL);
    if (kind_before != NULL)
        http_touch(watched.program.port, "/grow?kind=%s", kind_before);
    watched.daemon = watch(&watched.program, 1);
    return watched;
}

static void unwatch(struct watched *watched)
{
    daemon_stop(&watched->daemon);
    go_program_release(&watched->program);
    scratch_remove(watched->folder);
}

Test(rss, a_ballast_that_was_never_touched_is_in_use_and_not_resident)
{
    struct watched watched = watch_one("rss_target", "ballast");
    json_t *snapshot = snapshot_with_parts(&watched.daemon, 0);
    cr_assert_gt(answer_number(snapshot, "heap_live_bytes"), 64 * MIB);
    cr_assert_lt(answer_number(snapshot, "rss_part_heap_live_bytes"), 4 * MIB);
    assert_adds_up(snapshot);
    json_decref(snapshot);
    unwatch(&watched);
}

static bool is_explained(const json_t *answer, const void *context)
{
    (void)context;
    return answer_number(answer, "rss_part_non_go_bytes") > 48 * MIB;
}

Test(rss, parts_add_up_while_a_program_grows_and_the_next_look_explains_what_it_gained)
{
    struct watched watched = watch_one("rss_target_c", NULL);
    json_decref(snapshot_with_parts(&watched.daemon, 0));
    http_touch(watched.program.port, "/grow?kind=malloc");
    json_decref(daemon_wait_for(&watched.daemon, "/v1/metrics/latest", is_explained, NULL, WAIT_MS));

    json_t *history = http_json(watched.daemon.port, 200, "/v1/metrics/history?limit=10000");
    size_t index = 0;
    const json_t *snapshot = NULL;
    json_array_foreach(history, index, snapshot)
        if (has_parts(snapshot, NULL))
            assert_adds_up(snapshot);
    cr_assert_gt(index, 1);
    json_decref(history);
    unwatch(&watched);
}

Test(rss, pss_is_what_the_kernel_says)
{
    struct watched watched = watch_one("rss_target", "file");
    json_t *snapshot = snapshot_with_parts(&watched.daemon, 0);
    const double truth = smaps_bytes(watched.program.process.pid, "Pss");
    cr_assert_float_eq(answer_number(snapshot, "pss_bytes"), truth, 2 * MIB);
    json_decref(snapshot);
    unwatch(&watched);
}

Test(rss, the_memory_page_explains_each_part_and_names_the_wasteful_size_class)
{
    struct watched watched = watch_one("rss_target", "fragmentation");
    json_decref(snapshot_with_parts(&watched.daemon, 0));
    json_t *memory = http_json(watched.daemon.port, 200, "/v1/memory?target=target-0");
    const json_t *parts = json_object_get(memory, "parts");
    cr_assert_eq(json_array_size(parts), PARTS);
    double bytes = 0, percent = 0;
    size_t index = 0;
    const json_t *part = NULL;
    json_array_foreach(parts, index, part)
    {
        bytes += answer_number(part, "bytes");
        percent += answer_number(part, "percent");
        cr_assert_not_null(json_string_value(json_object_get(part, "explanation")));
    }
    cr_assert_eq(bytes, answer_number(memory, "rss_bytes"));
    cr_assert_float_eq(percent, 100, 0.01);

    /* One object of 1 KiB is left in each span of 8 KiB. */
    const json_t *worst = json_array_get(json_object_get(memory, "size_classes"), 0);
    cr_assert_eq(answer_number(worst, "object_bytes"), 1024);
    cr_assert_float_eq(answer_number(worst, "wasted_percent"), 87.5, 2);
    cr_assert_gt(answer_number(worst, "wasted_bytes"), 50 * MIB);
    json_decref(memory);
    unwatch(&watched);
}

Test(rss, parts_are_one_prometheus_family_that_can_be_stacked)
{
    struct watched watched = watch_one("rss_target", NULL);
    json_decref(snapshot_with_parts(&watched.daemon, 0));
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/metrics", watched.daemon.port);
    struct http_reply reply = http_request(url, NULL);
    static const char sample[] = "\ngoprof_rss_part_bytes{target=\"target-0\",part=\"";
    size_t series = 0;
    double sum = 0;
    for (const char *at = strstr(reply.body, sample); at != NULL; at = strstr(at + 1, sample)) {
        sum += strtod(strchr(at, ' ') + 1, NULL);
        series++;
    }
    const char *rss = strstr(reply.body, "\ngoprof_rss_bytes{target=\"target-0\"} ");
    cr_assert_not_null(rss);
    cr_assert_eq(series, PARTS);
    cr_assert_eq(sum, strtod(strchr(rss, ' ') + 1, NULL));
    http_reply_release(&reply);
    unwatch(&watched);
}

Test(rss, is_explained_on_the_command_line)
{
    const struct go_version version = go_version_newest();
    char *folder = scratch_new();
    struct go_program program =
        go_program_start(&version, "rss_target", NULL, folder, "target.log", NULL);
    http_touch(program.port, "/grow?kind=stacks");
    char pid[16];
    char *output = NULL;
    (void)snprintf(pid, sizeof(pid), "%d", (int)program.process.pid);
    cr_assert_eq(goprofd_run((const char *const[]){"memory", pid, NULL}, NULL, &output), 0, "%s",
                 output);
    cr_assert_not_null(strstr(output, "The largest part is stacks"), "%s", output);
    free(output);
    cr_assert_eq(goprofd_run((const char *const[]){"memory", "1x", NULL}, NULL, &output), 2);
    cr_assert_not_null(strstr(output, "1x"), "%s", output);
    free(output);
    go_program_release(&program);
    scratch_remove(folder);
}
