/* healthy_day_test.c - all shipped rules, at their defaults, through a day of a healthy service, and one leak.
 *
 *   a model of a service (load, caches, garbage, GC, jobs, deploys) --20 s a beat--> stage --> no finding
 *
 * The day has what made other tools cry wolf: start-up ramps, a cache that fills and stays, sessions that follow the
 * hour, sawtooth garbage, a batch each hour, a large report at night, hours of idleness, deploys. */
#include <criterion/criterion.h>
#include <math.h>

#include "stage.h"

static const double MIB = 1024.0 * 1024.0;
static const double DAY_S = 86400;
static const double BEAT_S = 20;

enum { CACHE, SESSIONS, REQUESTS, JSON, LINES, CONNECTIONS, BATCH, REPORT, SITES };

struct service {
    struct stage stage;
    struct stage_target *target;
    struct stage_site *sites[SITES];
    double inuse[SITES];
    double alloc[SITES];
    double started_s;
    double garbage; /* since the last GC */
    double gcs;
    double last_gc_s;
    double cpu_s;
    double peak_heap;
};

static void open_service(struct service *service, double beat_s)
{
    memset(service, 0, sizeof(*service));
    struct stage *stage = &service->stage;
    stage_open(stage);
    stage->beat_ns = (uint64_t)(beat_s * 1e9);
    stage->config->rules_dir = GOPROFD_SOURCE_DIR "/rules";
    stage_load(stage);
    service->target = stage_add_target(stage, "shop");
    service->target->age_s = 0;
    service->target->go_version = "go1.25.3";
    static const struct {
        const char *function;
        const char *primitive;
    } sites[SITES] = {
        [CACHE] = {"shop.(*Cache).Put", "runtime.mapassign"},
        [SESSIONS] = {"shop.(*Sessions).Open", "runtime.newobject"},
        [REQUESTS] = {"shop.(*Server).Handle", "runtime.newobject"},
        [JSON] = {"encoding/json.(*decodeState).literalStore", "runtime.slicebytetostring"},
        [LINES] = {"shop.readLines", "runtime.growslice"},
        [CONNECTIONS] = {"bufio.NewReaderSize", "runtime.makeslice"},
        [BATCH] = {"shop.nightlyIndex", "runtime.makeslice"},
        [REPORT] = {"shop.(*Report).Build", "runtime.growslice"},
    };
    for (int i = 0; i < SITES; i++)
        service->sites[i] =
            stage_add_site(service->target, sites[i].function, "/src/shop/shop.go", 40 + (uint32_t)i,
                           sites[i].primitive);
}

/* From 0.15 at three in the morning to 1 in the afternoon; nothing at all between 3 and 5. */
static double load_at(double second)
{
    const double hour = second / 3600;
    if (hour >= 3 && hour < 5)
        return 0;
    return 0.575 - 0.425 * cos((hour - 3) / 24 * 2 * 3.14159265);
}

static void allocate(struct service *service, int site, double bytes)
{
    service->alloc[site] += bytes;
    service->garbage += bytes;
}

/* What each part of the service holds and allocates in the [seconds] up to [now_s] of the day. */
static void work(struct service *service, double now_s, double seconds)
{
    const double age_s = now_s - service->started_s;
    const double load = load_at(now_s);
    const double ripple = sin(now_s / 37);
    const double cache = 120 * MIB * (1 - exp(-age_s / 300)) + MIB * ripple;
    allocate(service, CACHE, fmax(cache - service->inuse[CACHE], 0) + 0.02 * MIB * load * seconds);
    service->inuse[CACHE] = cache;
    const double sessions = 40 * MIB * load * (1 - exp(-age_s / 120));
    allocate(service, SESSIONS, fmax(sessions - service->inuse[SESSIONS], 0) + 0.1 * MIB * load * seconds);
    service->inuse[SESSIONS] = sessions;
    allocate(service, REQUESTS, 18 * MIB * load * seconds);
    service->inuse[REQUESTS] = (3 + ripple) * MIB * load;
    allocate(service, JSON, 1.5 * MIB * load * seconds);
    service->inuse[JSON] = 0.5 * MIB * load;
    allocate(service, LINES, MIB * load * seconds);
    service->inuse[LINES] = 0.5 * MIB * load;
    const double connections = 6 * MIB * load;
    allocate(service, CONNECTIONS, fmax(connections - service->inuse[CONNECTIONS], 0));
    service->inuse[CONNECTIONS] = connections;

    /* Each hour at twenty past, for three minutes: 80 MiB are read, worked on, and dropped. */
    const bool batch = fmod(now_s, 3600) >= 1200 && fmod(now_s, 3600) < 1380 && age_s > 600;
    if (batch)
        allocate(service, BATCH, service->inuse[BATCH] > 0 ? 20 * MIB * seconds : 80 * MIB);
    service->inuse[BATCH] = batch ? 80 * MIB : 0;
    /* At two in the morning: a report of 200 MiB, for ten minutes. */
    const bool report = now_s >= 7200 && now_s < 7800 && age_s > 600;
    if (report)
        allocate(service, REPORT, service->inuse[REPORT] > 0 ? 5 * MIB * seconds : 400 * MIB);
    service->inuse[REPORT] = report ? 200 * MIB : 0;
    service->cpu_s += (0.02 + 0.8 * load + (batch ? 0.5 : 0)) * seconds;
}

static double live_of(const struct service *service)
{
    double live = 2 * MIB;
    for (int i = 0; i < SITES; i++)
        live += service->inuse[i];
    return live;
}

/* GOGC=100: a GC when as much was allocated as is live, and at least each two minutes. */
static bool collect(struct service *service, double now_s)
{
    const double live = live_of(service);
    const double cycles = floor(service->garbage / fmax(live, 4 * MIB));
    const bool due = cycles >= 1 || now_s - service->last_gc_s >= 120;
    if (!due)
        return false;
    service->gcs += fmax(cycles, 1);
    service->garbage = fmod(service->garbage, fmax(live, 4 * MIB));
    service->last_gc_s = now_s;
    return true;
}

static void set_memory(struct service *service)
{
    struct stage_target *target = service->target;
    const double live = live_of(service);
    const double heap = live + service->garbage;
    service->peak_heap = fmax(service->peak_heap * 0.93, 2 * live); /* the scavenger works in the background */
    const double peak = fmax(service->peak_heap, heap);
    const double released = peak * 0.1;
    const double anon = peak * 1.02 - released + 14 * MIB;
    stage_set(target, "heap_alloc_bytes", heap);
    stage_set(target, "heap_live_bytes", live);
    stage_set(target, "heap_inuse_bytes", heap * 1.05);
    stage_set(target, "heap_idle_bytes", peak * 1.15 - heap * 1.05);
    stage_set(target, "heap_released_bytes", released);
    stage_set(target, "heap_sys_bytes", peak * 1.15);
    stage_set(target, "sys_bytes", peak * 1.15 + 20 * MIB);
    stage_set(target, "heap_objects", heap / 180);
    stage_set(target, "next_gc_bytes", 2 * live);
    stage_set(target, "stack_inuse_bytes", 2 * MIB);
    stage_set(target, "stack_sys_bytes", 2 * MIB);
    stage_set(target, "mspan_inuse_bytes", 0.8 * MIB);
    stage_set(target, "mspan_sys_bytes", MIB);
    stage_set(target, "mcache_inuse_bytes", 9600);
    stage_set(target, "mcache_sys_bytes", 16384);
    stage_set(target, "buck_hash_sys_bytes", 1.6 * MIB);
    stage_set(target, "gc_sys_bytes", 8 * MIB);
    stage_set(target, "other_sys_bytes", 3 * MIB);
    stage_set(target, "rss_anon_bytes", anon);
    stage_set(target, "rss_file_bytes", 12 * MIB);
    stage_set(target, "rss_shmem_bytes", 0);
    stage_set(target, "rss_bytes", anon + 12 * MIB);
    stage_set(target, "swap_bytes", 0);
    stage_set(target, "cgroup_memory_current_bytes", anon + 20 * MIB);
    stage_set(target, "cgroup_memory_max_used_bytes", anon + 20 * MIB);
    stage_set(target, "cgroup_memory_max_bytes", 1536 * MIB);
    stage_set(target, "gomemlimit_bytes", 1382 * MIB);
}

static void set_counters(struct service *service, double load)
{
    struct stage_target *target = service->target;
    double total = 0;
    for (int i = 0; i < SITES; i++)
        total += service->alloc[i];
    stage_set(target, "total_alloc_bytes", total);
    stage_set(target, "mallocs", total / 180);
    stage_set(target, "frees", (total - live_of(service) - service->garbage) / 180);
    stage_set(target, "num_gc", service->gcs);
    stage_set(target, "num_forced_gc", 0);
    stage_set(target, "gc_pause_total_ns", service->gcs * 150e3);
    stage_set(target, "last_gc_pause_ns", 150e3);
    stage_set(target, "gc_cpu_fraction", 0.008);
    stage_set(target, "gogc_percent", 100);
    stage_set(target, "gomaxprocs", 4);
    stage_set(target, "goroutines", 60 + floor(900 * load));
    stage_set(target, "threads", 14);
    stage_set(target, "cpu_ns", service->cpu_s * 1e9);
    stage_set(target, "mem_profile_rate", 524288);
    stage_set(target, "cgroup_oom_kills", 0);
}

static void restart(struct service *service, double now_s)
{
    memset(service->inuse, 0, sizeof(service->inuse));
    memset(service->alloc, 0, sizeof(service->alloc));
    service->started_s = now_s;
    service->garbage = service->gcs = service->cpu_s = service->peak_heap = 0;
    service->last_gc_s = now_s;
    service->target->generation++;
    service->target->started_ns = (uint64_t)(now_s * 1e9);
}

static void beat(struct service *service, double now_s, double seconds)
{
    work(service, now_s, seconds);
    service->target->profile_due = collect(service, now_s);
    for (int i = 0; i < SITES; i++) {
        service->sites[i]->inuse_bytes = (int64_t)service->inuse[i];
        service->sites[i]->alloc_bytes = (int64_t)fmax(service->alloc[i], service->inuse[i]);
    }
    set_memory(service);
    set_counters(service, load_at(now_s));
    stage_beat(&service->stage);
}

static void assert_nothing_open(struct service *service, double now_s)
{
    const struct finding_set *set = board_findings(service->stage.board);
    for (size_t i = 0; i < set->count; i++)
        cr_assert_fail("at %02d:%02d:%02d: %s: %s", (int)(now_s / 3600), (int)(now_s / 60) % 60,
                       (int)now_s % 60, set->findings[i].id, set->findings[i].message);
    finding_set_unref(set);
}

Test(healthy_day, raises_nothing)
{
    struct service service;
    open_service(&service, BEAT_S);
    for (double now_s = BEAT_S; now_s <= DAY_S; now_s += BEAT_S) {
        if (fabs(now_s - 9 * 3600) < 1 || fabs(now_s - 15.5 * 3600) < 1)
            restart(&service, now_s);
        beat(&service, now_s, BEAT_S);
        assert_nothing_open(&service, now_s);
    }
    const struct rules_report *report = stage_report(&service.stage);
    for (size_t i = 0; i < report->count; i++) {
        cr_expect_eq(report->rules[i].errors, 0u, "%s: %s", report->rules[i].name,
                     report->rules[i].last_error);
        cr_expect_eq(report->rules[i].state, RULE_OK);
    }
    stage_close(&service.stage);
}

/* One MiB a second, in the middle of the busy day of the same service. */
Test(healthy_day, with_a_leak_has_its_function_named_within_a_minute)
{
    struct service service;
    open_service(&service, 1);
    service.target->age_s = 86400;
    struct stage_site *leak =
        stage_add_site(service.target, "shop.(*Audit).remember", "/src/shop/audit.go", 77, "runtime.growslice");
    service.started_s = -86400;
    double named_s = 0;
    for (double now_s = 1; now_s <= 760 && named_s == 0; now_s++) {
        if (now_s > 700)
            leak->inuse_bytes = leak->alloc_bytes = (int64_t)((now_s - 700) * MIB);
        service.garbage += now_s > 700 ? 3 * MIB : 0;
        beat(&service, now_s + 43200, 1);
        if (now_s <= 700)
            assert_nothing_open(&service, now_s);
        const struct finding *finding = stage_find(&service.stage, FINDING_ALERT, "shop.(*Audit).remember");
        if (finding != NULL && finding->state == FINDING_FIRING) {
            named_s = now_s;
            cr_assert_not_null(strstr(finding->message, "shop.(*Audit).remember (/src/shop/audit.go:77)"), "%s",
                               finding->message);
        }
    }
    cr_assert_gt(named_s, 700, "never named");
    cr_assert_leq(named_s, 760, "only after %.0f s", named_s - 700);
    stage_close(&service.stage);
}
