/* bench_rules.c RULES_DIR TARGETS RULES BEATS - what the rule engine costs: the rules that ship and as many
 * of the usual kinds as are wanted, on made-up targets with 200 sites each, a GC every other beat.
 *
 * No thread and no target: one judge, beat by beat; only judge_beat() is measured, as CPU time of its thread.
 * To be within 10 % of a core for 100 rules on 100 targets once a second, 10 us an evaluation. */
#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/judge.h"
#include "tests/bench/bench.h"

enum { SITES = 200, STACK_FRAMES = 24, WARM_BEATS = 120, PATH_BYTES = 512 };
static const uint64_t START_NS = UINT64_C(1800000000000000000);

/* What rules usually do: compare fields, look at a trend, ask for sites. */
static const char *const bodies[] = {
    "local used, limit = target.rss_anon_bytes, target.cgroup_memory_max_bytes\n"
    "if used and limit and used > 0.9 * limit then alert { message = 'near the limit' } end\n",
    "local median = target:percentile('goroutines', '1m', 50)\n"
    "if median and target.goroutines > 10 * median then alert { message = 'many goroutines' } end\n",
    "local trend = target:trend('heap_live_bytes', { window = '10m', per_gc = true })\n"
    "if trend and trend.falls == 0 and trend.per_second > 1e9 then alert { message = 'grows' } end\n",
    "local gcs, pause = target:rate('num_gc', '1m'), target:delta('gc_pause_total_ns', '1m')\n"
    "if gcs and pause and gcs > 50 and pause > 1e9 then suggest { message = 'GC is busy' } end\n",
    "local sites = target:sites { sort = 'churn', window = '1m', limit = 3, frame = 'encoding/json' }\n"
    "if sites and sites[1] and sites[1].churn_per_second > 1e12 then suggest { message = 'json' } end\n",
};

struct target {
    char id[32];
    struct site_table *sites;
    const struct site *site[SITES];
    const struct profile *profile;
};

static const char *keep(struct site_table *table, const char *text)
{
    const char *kept = site_table_string(table, text, strlen(text));
    if (kept == NULL)
        bench_fail("the site table is full");
    return kept;
}

static void add_sites(struct target *target)
{
    target->sites = site_table_new();
    if (target->sites == NULL)
        bench_fail("no memory");
    for (size_t i = 0; i < SITES; i++) {
        struct frame frames[STACK_FRAMES];
        struct error err;
        for (size_t depth = 0; depth < STACK_FRAMES; depth++) {
            char text[128];
            (void)snprintf(text, sizeof(text), "example.com/shop/level%zu.(*Service%zu).Handle", depth,
                           depth < 2 ? i : i % 7);
            frames[depth] = (struct frame){.function = keep(target->sites, text),
                                           .file = keep(target->sites, "/src/shop/service.go"),
                                           .address = 0x400000 + i * 64 + depth,
                                           .line = (uint32_t)i + 1,
                                           .starts_location = true};
        }
        const struct site_facts facts = {
            .frames = frames, .frame_count = STACK_FRAMES, .object_bytes = 512};
        target->site[i] = site_table_add(target->sites, &facts, &err);
        if (target->site[i] == NULL)
            bench_fail("site: %s", err.message);
    }
}

static void take_profile(struct target *target, uint64_t beat)
{
    struct profile *profile = profile_begin(target->sites, SITES);
    if (profile == NULL)
        bench_fail("no memory");
    profile->cycle = beat;
    profile->rate = 512 * 1024;
    profile->taken_realtime_ns = START_NS + beat * CLOCK_NS_PER_S;
    for (size_t i = 0; i < SITES; i++) {
        const int64_t inuse = (int64_t)((i + 1) * 4096 + (beat * 977 + i * 131) % 65536);
        const int64_t alloc = (int64_t)(beat * (i + 1) * 8192);
        profile->entries[profile->entry_count++] =
            (struct profile_entry){.site = target->site[i],
                                   .alloc_objects = alloc / 512,
                                   .alloc_bytes = alloc,
                                   .inuse_objects = inuse / 512,
                                   .inuse_bytes = inuse};
    }
    profile_unref(target->profile);
    target->profile = profile_seal(profile);
}

static struct target_view view_of(struct target *target, uint64_t beat)
{
    const struct target_facts facts = {.id = target->id,
                                       .name = target->id,
                                       .state = TARGET_UP,
                                       .generation = 1,
                                       .start_realtime_ns = START_NS - 3600 * CLOCK_NS_PER_S,
                                       .go_version = "go1.24.0"};
    if (beat % 2 == 1)
        take_profile(target, beat);
    struct snapshot *snapshot =
        snapshot_begin(START_NS + beat * CLOCK_NS_PER_S, (1000 + beat) * CLOCK_NS_PER_S);
    if (snapshot == NULL)
        bench_fail("no memory");
    snapshot->sequence = beat;
    snapshot->generation = 1;
    for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++) {
        const uint64_t value = 100000000 + (beat * 7919 + i * 104729) % 1000003;
        memcpy((char *)&snapshot->values + snapshot_fields[i].offset, &value, sizeof(value));
        snapshot->values.present[i / 64] |= UINT64_C(1) << (i % 64);
    }
    SNAPSHOT_SET(&snapshot->values, num_gc, beat / 2);
    SNAPSHOT_SET(&snapshot->values, cgroup_memory_max_bytes, UINT64_C(4) << 30);
    snapshot->tops = tops_new(target->profile, GROUP_TYPE_TAG, SNAPSHOT_TOP_MAX);
    return (struct target_view){.info = target_info_new(&facts, "", 0),
                                .snapshot = snapshot_seal(snapshot),
                                .profile = profile_ref(target->profile)};
}

static void publish(struct board *board, struct target *targets, size_t count, uint64_t beat)
{
    struct error err;
    struct target_view *views = calloc(count, sizeof(*views));
    if (views == NULL)
        bench_fail("no memory");
    for (size_t i = 0; i < count; i++)
        views[i] = view_of(&targets[i], beat);
    if (!board_publish(board, views, count, START_NS + beat * CLOCK_NS_PER_S, &err))
        bench_fail("publish: %s", err.message);
    free(views);
}

/* ---- rules ---- */

static void write_text(const char *dir, const char *name, const char *text)
{
    char path[2 * PATH_BYTES];
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    FILE *out = fopen(path, "w");
    if (out == NULL || fputs(text, out) < 0 || fclose(out) != 0)
        bench_fail("cannot write %s", path);
}

static size_t link_shipped(const char *from, const char *dir)
{
    size_t count = 0;
    DIR *folder = opendir(from);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL) {
        char old[2 * PATH_BYTES];
        char new[2 * PATH_BYTES];
        const size_t length = strlen(entry->d_name);
        if (length < 5 || strcmp(entry->d_name + length - 4, ".lua") != 0)
            continue;
        (void)snprintf(old, sizeof(old), "%s/%s", from, entry->d_name);
        (void)snprintf(new, sizeof(new), "%s/%s", dir, entry->d_name);
        if (symlink(old, new) != 0)
            bench_fail("cannot link %s", new);
        count++;
    }
    if (folder == NULL)
        bench_fail("no folder %s", from);
    (void)closedir(folder);
    return count;
}

static void make_rules(const char *shipped, const char *dir, size_t wanted)
{
    for (size_t i = link_shipped(shipped, dir); i < wanted; i++) {
        char name[64];
        char text[1024];
        (void)snprintf(name, sizeof(name), "x%04zu.lua", i);
        (void)snprintf(text, sizeof(text),
                       "return { name = 'x%04zu', evaluate = function(target, params)\n%send }\n", i,
                       bodies[i % (sizeof(bodies) / sizeof(bodies[0]))]);
        write_text(dir, name, text);
    }
}

static void remove_rules(const char *dir)
{
    DIR *folder = opendir(dir);
    const struct dirent *entry;
    while (folder != NULL && (entry = readdir(folder)) != NULL)
        (void)unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder != NULL)
        (void)closedir(folder);
    (void)rmdir(dir);
}

static void report(struct board *board, struct bench_series *beats, uint64_t evaluations,
                   uint64_t beat_count)
{
    const struct rules_report *rules = board_rules(board);
    uint64_t memory = 0;
    uint64_t worst = 0;
    uint64_t errors = 0;
    for (size_t i = 0; i < rules->count; i++) {
        memory += rules->rules[i].memory_bytes;
        worst = rules->rules[i].memory_bytes > worst ? rules->rules[i].memory_bytes : worst;
        errors += rules->rules[i].errors;
        if (rules->rules[i].errors > 0)
            printf("  %s: %s\n", rules->rules[i].name, rules->rules[i].last_error);
    }
    const double median_ms = bench_percentile(beats, 50);
    bench_print("a beat", "ms", beats);
    printf("%-40s %.1f %% of a core at one beat a second\n", "that is", median_ms / 10);
    printf("%-40s %.2f us (%llu in %llu beats, %llu errors)\n", "an evaluation",
           median_ms * 1000 * (double)beat_count / (double)evaluations,
           (unsigned long long)evaluations, (unsigned long long)beat_count,
           (unsigned long long)errors);
    printf("%-40s %llu KiB in all, %llu KiB at most\n", "memory of the rules",
           (unsigned long long)memory / 1024, (unsigned long long)worst / 1024);
    printf("%-40s %llu MiB\n", "resident memory of this program",
           (unsigned long long)bench_status_kib(getpid(), "VmRSS:") / 1024);
    rules_report_unref(rules);
}

int main(int argc, char **argv)
{
    if (argc != 5)
        bench_fail("usage: bench_rules RULES_DIR TARGETS RULES BEATS");
    const size_t target_count = (size_t)bench_number(argv[2], "TARGETS", 1, 10000);
    const size_t rule_count = (size_t)bench_number(argv[3], "RULES", 1, 2000);
    const uint64_t beat_count = (uint64_t)bench_number(argv[4], "BEATS", 1, 5000);
    char dir[] = "/tmp/goprofd-bench-rules-XXXXXX";
    char shipped[PATH_BYTES * 8];
    struct error err;
    if (realpath(argv[1], shipped) == NULL || mkdtemp(dir) == NULL)
        bench_fail("no folder for rules");
    make_rules(shipped, dir, rule_count);
    log_set_level(LOG_LEVEL_ERROR);

    struct config *config = config_new();
    struct board *board = board_new(700);
    struct target *targets = calloc(target_count, sizeof(*targets));
    const struct judge_wiring wiring = {.board = board, .quiet = true};
    struct judge *judge = board != NULL ? judge_new(&wiring) : NULL;
    if (config == NULL || targets == NULL || judge == NULL)
        bench_fail("no memory");
    config->rules_dir = dir;
    const bool loaded = judge_load(judge, config, START_NS, NULL, &err);
    remove_rules(dir);
    if (!loaded)
        bench_fail("rules: %s", err.message);
    for (size_t i = 0; i < target_count; i++) {
        (void)snprintf(targets[i].id, sizeof(targets[i].id), "target-%zu", i);
        add_sites(&targets[i]);
    }
    static struct bench_series beats;
    uint64_t evaluations = 0;
    for (uint64_t beat = 1; beat <= WARM_BEATS + beat_count; beat++) {
        publish(board, targets, target_count, beat);
        const struct board_page *page = board_page(board);
        const uint64_t done = atomic_load(&board_counters(board)->rule_evaluations);
        const uint64_t before_ns = clock_thread_cpu_ns();
        judge_beat(judge, page);
        const uint64_t took_ns = clock_thread_cpu_ns() - before_ns;
        board_page_unref(page);
        if (beat <= WARM_BEATS)
            continue;
        bench_add(&beats, (double)took_ns / 1e6);
        evaluations += atomic_load(&board_counters(board)->rule_evaluations) - done;
    }
    report(board, &beats, evaluations, beat_count);
    judge_free(judge);
    board_free(board);
    for (size_t i = 0; i < target_count; i++) {
        profile_unref(targets[i].profile);
        site_table_unref(targets[i].sites);
    }
    free(targets);
    config_free(config);
    return 0;
}
