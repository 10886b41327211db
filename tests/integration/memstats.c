/* memstats.c - goprofd's numbers against runtime.ReadMemStats of the same program.
 *
 * goprofd's reading lies in time between two of the program's own.  While it idles without GC every
 * number is therefore between those two.  While it works, counters still must be; the heap
 * itself breathes, and is held to what the program's own numbers allow. */
#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdio.h>

#include "tests/support/answers.h"
#include "tests/support/daemon.h"
#include "tests/support/go_program.h"
#include "tests/support/http.h"

/* Answering /memstats takes goroutine stacks, and these come from and go back to the heap's idle
 * spans between our two readings: up to one span of each of a few sizes. */
enum { STACK_SLACK_BYTES = 128 * 1024 };
/* The runtime takes memory for its own tables in chunks of this size (persistentChunkSize in malloc.go),
 * counts them as OtherSys, and moves each piece to its proper count when it is used: OtherSys falls by a little
 * at a time and rises by a chunk. */
enum { PERSISTENT_CHUNK_BYTES = 256 * 1024 };
/* After a GC the sweeper gives back the collector's work buffers, spans of 32 KiB (workbufAlloc in mgcwork.go), when it
 * comes to it, while the rest of GCSys only rises: between two equal readings there may be a lower one. */
enum { WORK_BUFFERS_SLACK_BYTES = 2 * 32 * 1024 };

struct pair {
    const char *ours;
    const char *theirs;
    double idle_slack;
};

static const struct pair pairs[] = {
    {"heap_alloc_bytes", "HeapAlloc", 0},
    {"heap_inuse_bytes", "HeapInuse", 0},
    {"heap_idle_bytes", "HeapIdle", STACK_SLACK_BYTES},
    {"heap_released_bytes", "HeapReleased", STACK_SLACK_BYTES},
    {"heap_sys_bytes", "HeapSys", STACK_SLACK_BYTES},
    {"heap_objects", "HeapObjects", 0},
    {"num_gc", "NumGC", 0},
    {"num_forced_gc", "NumForcedGC", 0},
    {"next_gc_bytes", "NextGC", 0},
    {"total_alloc_bytes", "TotalAlloc", 0},
    {"mallocs", "Mallocs", 0},
    {"frees", "Frees", 0},
    {"stack_inuse_bytes", "StackInuse", STACK_SLACK_BYTES},
    {"stack_sys_bytes", "StackSys", STACK_SLACK_BYTES},
    {"mspan_inuse_bytes", "MSpanInuse", 0},
    {"mspan_sys_bytes", "MSpanSys", 0},
    {"mcache_inuse_bytes", "MCacheInuse", 0},
    {"mcache_sys_bytes", "MCacheSys", 0},
    {"buck_hash_sys_bytes", "BuckHashSys", 0},
    {"gc_sys_bytes", "GCSys", WORK_BUFFERS_SLACK_BYTES},
    {"other_sys_bytes", "OtherSys", PERSISTENT_CHUNK_BYTES},
    {"sys_bytes", "Sys", 0},
    {"gc_pause_total_ns", "PauseTotalNs", 0},
    {"gc_cpu_fraction", "GCCPUFraction", 0},
};

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

struct watched {
    struct go_program program;
    struct daemon daemon;
    char *folder;
};

static struct watched watch(const struct go_version *version, const char *const *environment)
{
    const struct process_options options = {.environment = environment};
    struct watched watched = {.folder = scratch_new()};
    watched.program = go_program_start(version, "profile_target", NULL, watched.folder,
                                       "target.log", &options);
    char config[256];
    (void)snprintf(config, sizeof(config),
                   "return { sampling_interval_ms = 100,"
                   " targets = { { name = 'target', pid = %d } } }",
                   (int)watched.program.process.pid);
    watched.daemon = daemon_start(daemon_folder_new(), config);
    return watched;
}

static void unwatch(struct watched *watched)
{
    daemon_stop(&watched->daemon);
    go_program_release(&watched->program);
    scratch_remove(watched->folder);
}

static json_t *own_memstats(const struct watched *watched)
{
    return http_json(watched->program.port, 200, "/memstats");
}

static json_t *our_snapshot(const struct watched *watched)
{
    return daemon_wait_for_snapshot(&watched->daemon, "target", 0);
}

static void assert_between(const char *version, const char *name, double low, double value,
                           double high, double slack)
{
    if (low > high) {
        const double swapped = low;
        low = high;
        high = swapped;
    }
    cr_assert(value >= low - slack && value <= high + slack,
              "go%s: %s is %.17g, the program itself says %.17g to %.17g (slack %.0f)", version,
              name, value, low, high, slack);
}

ParameterizedTestParameters(memstats, lie_between_two_readings_of_an_idle_program)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, memstats, lie_between_two_readings_of_an_idle_program)
{
    /* Not "off": NextGC would then be what is left of the memory limit, and change with every stack. */
    enum { GOGC_FAR_AWAY = 100000 };
    static const char *const no_background_gc[] = {"GOGC=100000", NULL};
    struct watched watched = watch(version, no_background_gc);
    http_touch(watched.program.port, "/gc");

    json_t *before = own_memstats(&watched);
    json_t *ours = our_snapshot(&watched);
    json_t *after = own_memstats(&watched);
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
        assert_between(version->name, pairs[i].ours, answer_number(before, pairs[i].theirs),
                       answer_number(ours, pairs[i].ours), answer_number(after, pairs[i].theirs),
                       pairs[i].idle_slack);
    cr_assert_eq((json_int_t)answer_number(ours, "last_gc_unix"),
                 (json_int_t)(answer_number(before, "LastGC") / 1e9));
    cr_assert_eq(answer_number(ours, "gogc_percent"), GOGC_FAR_AWAY);
    json_decref(before);
    json_decref(ours);
    json_decref(after);
    unwatch(&watched);
}

ParameterizedTestParameters(memstats, counters_lie_between_two_readings_of_a_busy_program)
{
    return every_go_version();
}

/* Reading a running program takes a moment in which spans change hands between the caches of its
 * processors and the shared counters; go-runtime measurements put the skew at about 200 KB and 1000
 * objects with two processors.  Twice that is allowed. */
ParameterizedTest(struct go_version *version, memstats,
                  counters_lie_between_two_readings_of_a_busy_program)
{
    enum { ROUNDS = 10, SKEW_BYTES = 400 * 1024, SKEW_OBJECTS = 2000 };
    static const struct pair counters[] = {
        {"num_gc", "NumGC", 0},
        {"num_forced_gc", "NumForcedGC", 0},
        {"gc_pause_total_ns", "PauseTotalNs", 0},
        {"total_alloc_bytes", "TotalAlloc", SKEW_BYTES},
        {"mallocs", "Mallocs", SKEW_OBJECTS},
        {"frees", "Frees", SKEW_OBJECTS},
    };
    struct watched watched = watch(version, NULL);
    http_touch(watched.program.port, "/busy");

    for (int round = 0; round < ROUNDS; round++) {
        json_t *before = own_memstats(&watched);
        json_t *ours = our_snapshot(&watched);
        json_t *after = own_memstats(&watched);
        cr_assert_gt(answer_number(after, "NumGC"), answer_number(before, "NumGC"),
                     "the program is not busy");
        for (size_t i = 0; i < sizeof(counters) / sizeof(counters[0]); i++)
            assert_between(version->name, counters[i].ours,
                           answer_number(before, counters[i].theirs),
                           answer_number(ours, counters[i].ours),
                           answer_number(after, counters[i].theirs), counters[i].idle_slack);

        /* The parts of one snapshot fit together, and the heap is within what the runtime holds. */
        const double inuse = answer_number(ours, "heap_inuse_bytes");
        const double idle = answer_number(ours, "heap_idle_bytes");
        const double sys = answer_number(ours, "heap_sys_bytes");
        cr_assert_eq(inuse + idle, sys);
        cr_assert_leq(answer_number(ours, "heap_released_bytes"), idle);
        cr_assert_leq(answer_number(ours, "heap_alloc_bytes"), inuse + SKEW_BYTES);
        json_decref(before);
        json_decref(ours);
        json_decref(after);
    }
    http_touch(watched.program.port, "/quiet");
    unwatch(&watched);
}

ParameterizedTestParameters(memstats, the_runtimes_settings_are_read_as_set)
{
    return every_go_version();
}

ParameterizedTest(struct go_version *version, memstats, the_runtimes_settings_are_read_as_set)
{
    static const char *const settings[] = {"GOGC=37", "GOMEMLIMIT=123MiB", "GOMAXPROCS=2", NULL};
    struct watched watched = watch(version, settings);
    json_t *ours = our_snapshot(&watched);
    json_t *own = http_json(watched.program.port, 200, "/runtime");

    cr_assert_eq(answer_number(ours, "gogc_percent"), 37);
    if (strncmp(version->name, "1.18", 4) == 0) /* knows of no limit */
        cr_assert_null(json_object_get(ours, "gomemlimit_bytes"));
    else
        cr_assert_eq(answer_number(ours, "gomemlimit_bytes"), 123 << 20);
    cr_assert_eq(answer_number(ours, "gomaxprocs"), 2);
    cr_assert_eq(answer_number(ours, "mem_profile_rate"), 512 << 10);
    /* Answering takes a goroutine for the connection, and the one before may still be ending. */
    const double difference = answer_number(own, "goroutines") - answer_number(ours, "goroutines");
    cr_assert(difference >= 0 && difference <= 3, "goroutines: own %.0f, ours %.0f",
              answer_number(own, "goroutines"), answer_number(ours, "goroutines"));
    json_decref(ours);
    json_decref(own);
    unwatch(&watched);
}
