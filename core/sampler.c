/* sampler.c - reads every target each interval and publishes the beat.
 *
 *   start ----+----+----+----+---->   beats are due at start + k x interval
 *             1    2    3 late 5      a beat that overruns runs on; whole missed ones are
 *                                     skipped and counted, never caught up
 *
 * Between the beats it waits for three things at once: the next beat, its mailbox, and the exit of any
 * process that is watched, which is published when it happens.  Processes whose cgroup is nearly full
 * are read there too, so that their last profile is fresh should the OOM killer come; nobody is told
 * of those reads, and unless it comes the next beat's take their place. */
#include "core/sampler.h"

#include <errno.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/base/mailbox.h"
#include "core/capture/capture.h"
#include "core/goproc/process_usage.h"
#include "core/goproc/procfs.h"
#include "core/goproc/table_copies.h"
#include "core/look_schedule.h"
#include "core/profile_jobs.h"
#include "core/scrape/scraper.h"
#include "core/store/board.h"
#include "core/target.h"
#include "core/target_set.h"

struct sampler {
    struct board *board;
    struct mailbox *control; /* requests for profiles; closing it ends the thread */
    struct mailbox *subscriber;
    struct capturer *capturer; /* NULL: nobody keeps last profiles */
    struct procfs procfs;
    struct usage_context usage;
    struct look_budget look_budget;
    struct target_context context;
    struct scraper *scraper; /* NULL: no target has a URL */
    struct target_set *targets;
    struct profile_jobs *jobs;
    struct target_view *views; /* TARGET_SET_MAX of them, filled anew each beat */
    struct pollfd *waits;      /* the mailbox's, then one of each target that has one */
    size_t *wait_targets;      /* which target each of [waits] belongs to */
    int control_fd;
    uint64_t interval_ns;
    uint64_t dense_at_ns; /* when those short of memory are read again; UINT64_MAX: no one is */
    uint64_t known_targets; /* what targets_mark() said at the last beat */
    unsigned trim_in_beats; /* 0: not planned */
    _Atomic uint64_t awake_at_ns; /* it got on then, or sleeps until then; read by the watchdog */
    pthread_t thread;
    bool started;
};

/* Work on profiles goes on for so long at a time, between looks at exits and messages, and ends so
 * early before a beat that it is not late because of it. */
#define JOB_SLICE_NS (20 * CLOCK_NS_PER_MS)
#define JOB_MARGIN_NS (5 * CLOCK_NS_PER_MS)
/* What a profile gets after each beat where beats leave no time at all. */
#define JOB_LEAST_NS (2 * CLOCK_NS_PER_MS)

/* By then those that a beat opened have been read twice, and given back what finding their stacks out took. */
enum { TRIM_AFTER_BEATS = 3 };

/* Processes that may run out of memory are read so many times as often, but not more often than that. */
#define DENSE_READS 4
#define DENSE_PAUSE_MIN_NS (100 * CLOCK_NS_PER_MS)

static void refuse_request(struct message *message)
{
    profile_job_refuse(message, ERROR_BUSY,
                       "the sampler takes no requests: it is stopping, or has too many");
}

/* Whoever is scraped is fetched by another thread: the beat waits for no network. */
static bool add_scraper(struct sampler *sampler, const struct config *config, struct error *err)
{
    bool wanted = false;
    for (size_t i = 0; i < config->target_count; i++)
        wanted = wanted || config->targets[i].kind == CONFIG_TARGET_URL;
    if (!wanted)
        return true;
    sampler->scraper = scraper_new(err);
    sampler->context.scraper = sampler->scraper;
    sampler->context.scrape_interval_ns = sampler->interval_ns > SCRAPE_INTERVAL_MIN_NS
                                              ? sampler->interval_ns
                                              : SCRAPE_INTERVAL_MIN_NS;
    return sampler->scraper != NULL;
}

struct sampler *sampler_new(const struct config *config, struct board *board, struct error *err)
{
    struct sampler *sampler = calloc(1, sizeof(*sampler));
    if (sampler == NULL)
        goto no_memory;
    sampler->board = board;
    sampler->procfs = (struct procfs){.root = "", .copies = table_copies_new()};
    if (sampler->procfs.copies == NULL)
        goto no_memory;
    kept_files_raise_limit();
    usage_context_init(&sampler->usage, &sampler->procfs);
    sampler->context.procfs = &sampler->procfs;
    sampler->context.usage = &sampler->usage;
    sampler->context.look_budget = &sampler->look_budget;
    sampler->context.counters = board_counters(board);
    sampler->context.board = board;
    sampler_set_retention_window(sampler, config->retention_window_sec * CLOCK_NS_PER_S);
    sampler->interval_ns = config->sampling_interval_ms * CLOCK_NS_PER_MS;
    sampler->control = mailbox_new(PROFILE_JOBS_MAX, refuse_request);
    sampler->jobs = profile_jobs_new();
    sampler->views = calloc(TARGET_SET_MAX, sizeof(*sampler->views));
    sampler->waits = calloc(TARGET_SET_MAX + 1, sizeof(*sampler->waits));
    sampler->wait_targets = calloc(TARGET_SET_MAX + 1, sizeof(*sampler->wait_targets));
    if (sampler->control == NULL || sampler->jobs == NULL || sampler->views == NULL || sampler->waits == NULL ||
        sampler->wait_targets == NULL)
        goto no_memory;
    sampler->control_fd = mailbox_poll_fd(sampler->control, err);
    if (sampler->control_fd == -1)
        goto fail;
    if (!add_scraper(sampler, config, err))
        goto fail;
    sampler->targets = target_set_new(config, &sampler->context, err);
    if (sampler->targets == NULL)
        goto fail;
    return sampler;

no_memory:
    (void)error_set(err, ERROR_NO_MEMORY, "no memory for the sampler");
fail:
    sampler_free(sampler);
    return NULL;
}

void sampler_subscribe(struct sampler *sampler, struct mailbox *inbox)
{
    sampler->subscriber = inbox;
}

void sampler_capture_exits(struct sampler *sampler, struct capturer *capturer)
{
    sampler->capturer = capturer;
}

void sampler_use_tracker(struct sampler *sampler, struct tracker *tracker)
{
    sampler->context.tracker = tracker;
}

void sampler_use_tagger(struct sampler *sampler, const struct site_tagger *tagger)
{
    sampler->context.tagger = tagger;
}

void sampler_set_retention_window(struct sampler *sampler, uint64_t window_ns)
{
    atomic_store_explicit(&sampler->context.retention_window_ns, window_ns, memory_order_relaxed);
}

/* ---- getting on ---- */

static void get_on(struct sampler *sampler, uint64_t awake_at_ns)
{
    atomic_store_explicit(&sampler->awake_at_ns, awake_at_ns, memory_order_relaxed);
}

uint64_t sampler_overdue_ns(const struct sampler *sampler, uint64_t now_ns)
{
    const uint64_t awake_at_ns = atomic_load_explicit(&sampler->awake_at_ns, memory_order_relaxed);
    return now_ns > awake_at_ns ? now_ns - awake_at_ns : 0;
}

static void read_target(struct sampler *sampler, struct target *target)
{
    const uint64_t now_ns = clock_monotonic_ns();
    get_on(sampler, now_ns);
    target_read(target, now_ns);
}

static void tell_subscriber(const struct sampler *sampler)
{
    if (sampler->subscriber == NULL)
        return;
    struct message *published = calloc(1, sizeof(*published));
    if (published == NULL)
        log_warn(log_msg("no memory to announce a beat; rules skip it"));
    else
        (void)mailbox_post(sampler->subscriber, published); /* refused only while stopping */
}

/* Returns how many views there are. */
static size_t publish(struct sampler *sampler)
{
    size_t count = 0;
    for (size_t i = 0; i < target_set_count(sampler->targets); i++) {
        if (target_view(target_set_at(sampler->targets, i), &sampler->views[count]))
            count++;
    }
    struct error err;
    if (!board_publish(sampler->board, sampler->views, count, clock_realtime_ns(), &err))
        log_error(log_msg("a beat was not published"), log_str("reason", err.message));
    return count;
}

/* Offers the last profiles of those that ended since the last call. */
static void offer_losses(struct sampler *sampler)
{
    struct target_loss loss;
    for (size_t i = 0; i < target_set_count(sampler->targets); i++) {
        if (!target_take_loss(target_set_at(sampler->targets, i), &loss))
            continue;
        const struct target_facts *facts = &loss.view.info->facts;
        const struct capture_request request = {.target_id = facts->id,
                                                .reason = loss.by_oom ? CAPTURE_OOM : CAPTURE_EXIT,
                                                .message = facts->reason,
                                                .severity = SEVERITY_INFO,
                                                .view = &loss.view};
        if (sampler->capturer != NULL)
            capturer_request(sampler->capturer, &request);
        target_loss_release(&loss);
    }
}

/* ---- short of memory ---- */

static uint64_t dense_pause_ns(const struct sampler *sampler)
{
    const uint64_t pause_ns = sampler->interval_ns / DENSE_READS;
    return pause_ns < DENSE_PAUSE_MIN_NS ? DENSE_PAUSE_MIN_NS : pause_ns;
}

/* However long reading takes there is a pause after it. */
static void plan_dense_read(struct sampler *sampler)
{
    sampler->dense_at_ns = UINT64_MAX;
    for (size_t i = 0; i < target_set_count(sampler->targets); i++) {
        if (target_is_short_of_memory(target_set_at(sampler->targets, i)))
            sampler->dense_at_ns = clock_monotonic_ns() + dense_pause_ns(sampler);
    }
}

static void read_those_short_of_memory(struct sampler *sampler)
{
    cgroup_table_next_beat(&sampler->usage.cgroups);
    for (size_t i = 0; i < target_set_count(sampler->targets); i++) {
        struct target *target = target_set_at(sampler->targets, i);
        if (target_is_short_of_memory(target))
            read_target(sampler, target);
    }
    plan_dense_read(sampler);
}

/* ---- memory ---- */

/* Changes when a target comes, goes or restarts. */
static uint64_t targets_mark(const struct sampler *sampler, size_t view_count)
{
    uint64_t mark = view_count;
    for (size_t i = 0; i < view_count; i++)
        mark = mark * UINT64_C(1099511628211) + sampler->views[i].info->facts.generation;
    return mark;
}

/* Opening a process takes some MiB for a moment; after two hundred of them a third of the daemon's memory was
 * free and still resident. */
static void give_memory_back(struct sampler *sampler, size_t view_count)
{
    const uint64_t mark = targets_mark(sampler, view_count);
    /* Once planned it happens, also where processes come and go all the time. */
    if (sampler->trim_in_beats > 0 && --sampler->trim_in_beats == 0)
        (void)malloc_trim(0);
    if (sampler->trim_in_beats == 0 && mark != sampler->known_targets)
        sampler->trim_in_beats = TRIM_AFTER_BEATS;
    sampler->known_targets = mark;
}

/* ---- a beat ---- */

static void run_beat(struct sampler *sampler)
{
    const uint64_t now_ns = clock_monotonic_ns();
    get_on(sampler, now_ns);
    cgroup_table_next_beat(&sampler->usage.cgroups);
    target_set_refresh(sampler->targets, now_ns);
    for (size_t i = 0; i < target_set_count(sampler->targets); i++)
        read_target(sampler, target_set_at(sampler->targets, i));
    get_on(sampler, clock_monotonic_ns());
    offer_losses(sampler);
    const size_t view_count = publish(sampler);
    tell_subscriber(sampler);
    give_memory_back(sampler, view_count);
    plan_dense_read(sampler);
}

/* Books how late a beat due at [due_ns] begins. */
static void count_beat(struct board_counters *counters, uint64_t due_ns, uint64_t now_ns)
{
    const uint64_t late_ns = now_ns > due_ns ? now_ns - due_ns : 0;
    atomic_fetch_add_explicit(&counters->sampler_beats, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->sampler_late_ns_total, late_ns, memory_order_relaxed);
    if (late_ns > atomic_load_explicit(&counters->sampler_late_ns_max, memory_order_relaxed))
        atomic_store_explicit(&counters->sampler_late_ns_max, late_ns, memory_order_relaxed);
}

uint64_t sampler_next_due_ns(uint64_t due_ns, uint64_t interval_ns, uint64_t now_ns,
                             uint64_t *missed_beats)
{
    due_ns += interval_ns;
    *missed_beats = 0;
    if (now_ns > due_ns) {
        *missed_beats = (now_ns - due_ns) / interval_ns;
        due_ns += *missed_beats * interval_ns;
    }
    return due_ns;
}

/* ---- between the beats ---- */

static size_t collect_waits(struct sampler *sampler)
{
    size_t count = 1;
    sampler->waits[0] = (struct pollfd){.fd = sampler->control_fd, .events = POLLIN};
    for (size_t i = 0; i < target_set_count(sampler->targets); i++) {
        const int fd = target_exit_fd(target_set_at(sampler->targets, i));
        if (fd == -1)
            continue;
        sampler->waits[count] = (struct pollfd){.fd = fd, .events = POLLIN};
        sampler->wait_targets[count++] = i;
    }
    return count;
}

/* Tells each target whose process has ended; true if there was one. */
static bool note_exits(struct sampler *sampler, size_t wait_count)
{
    bool any = false;
    for (size_t i = 1; i < wait_count; i++) {
        if (sampler->waits[i].revents == 0)
            continue;
        target_note_exit(target_set_at(sampler->targets, sampler->wait_targets[i]),
                         clock_monotonic_ns());
        any = true;
    }
    return any;
}

static void handle_messages(struct sampler *sampler)
{
    struct message *message;
    while ((message = mailbox_take(sampler->control, 0)) != NULL)
        profile_jobs_add(sampler->jobs, message, clock_monotonic_ns());
}

/* A slice of what was asked for, if there is time before the beat at [due_ns]. */
static bool work_on_jobs(struct sampler *sampler, uint64_t now_ns, uint64_t due_ns)
{
    if (!profile_jobs_waiting(sampler->jobs) || due_ns - now_ns <= JOB_MARGIN_NS)
        return false;
    const uint64_t left_ns = due_ns - now_ns - JOB_MARGIN_NS;
    profile_jobs_work(sampler->jobs, sampler->targets,
                      now_ns + (left_ns < JOB_SLICE_NS ? left_ns : JOB_SLICE_NS));
    return true;
}

static void wait_until(struct sampler *sampler, uint64_t due_ns)
{
    for (uint64_t now_ns = clock_monotonic_ns();
         now_ns < due_ns && !mailbox_is_closed(sampler->control); now_ns = clock_monotonic_ns()) {
        if (now_ns >= sampler->dense_at_ns) {
            read_those_short_of_memory(sampler);
            offer_losses(sampler);
            continue;
        }
        /* With work at hand only a look at what is ready. */
        const uint64_t wake_ns = sampler->dense_at_ns < due_ns ? sampler->dense_at_ns : due_ns;
        const uint64_t pause_ns = work_on_jobs(sampler, now_ns, wake_ns) ? 0 : wake_ns - now_ns;
        const struct timespec pause = {.tv_sec = (time_t)(pause_ns / CLOCK_NS_PER_S),
                                       .tv_nsec = (long)(pause_ns % CLOCK_NS_PER_S)};
        get_on(sampler, now_ns + pause_ns);
        const size_t count = collect_waits(sampler);
        const int ready = ppoll(sampler->waits, count, &pause, NULL);
        if (ready == -1 && errno != EINTR) {
            /* No memory for it: the next beat finds the exits. */
            clock_sleep_until_ns(wake_ns);
            continue;
        }
        if (ready <= 0)
            continue;
        handle_messages(sampler);
        if (note_exits(sampler, count)) {
            offer_losses(sampler);
            (void)publish(sampler);
            tell_subscriber(sampler);
        }
    }
}

static void *sampler_main(void *argument)
{
    struct sampler *sampler = argument;
    struct board_counters *counters = board_counters(sampler->board);
    uint64_t due_ns = clock_monotonic_ns();

    while (!mailbox_is_closed(sampler->control)) {
        count_beat(counters, due_ns, clock_monotonic_ns());
        run_beat(sampler);
        if (profile_jobs_waiting(sampler->jobs))
            profile_jobs_work(sampler->jobs, sampler->targets, clock_monotonic_ns() + JOB_LEAST_NS);
        atomic_store_explicit(&counters->sampler_busy_ns, clock_thread_cpu_ns(),
                              memory_order_relaxed);
        uint64_t missed = 0;
        due_ns = sampler_next_due_ns(due_ns, sampler->interval_ns, clock_monotonic_ns(), &missed);
        if (missed > 0)
            atomic_fetch_add_explicit(&counters->sampler_late_beats, missed, memory_order_relaxed);
        wait_until(sampler, due_ns);
    }
    return NULL;
}

void sampler_request_profile(struct sampler *sampler, const struct profile_request *request)
{
    struct message *message = profile_job_new(request);
    if (message == NULL) {
        struct error err;
        (void)error_set(&err, ERROR_NO_MEMORY, "no memory to ask for a profile");
        request->reply(request->context, NULL, &err);
        return;
    }
    (void)mailbox_post(sampler->control, message); /* what it refuses is answered */
}

bool sampler_start(struct sampler *sampler, struct error *err)
{
    if (sampler->scraper != NULL && !scraper_start(sampler->scraper, err))
        return false;
    get_on(sampler, clock_monotonic_ns());
    const int failed = pthread_create(&sampler->thread, NULL, sampler_main, sampler);
    if (failed != 0)
        return error_set(err, ERROR_SYSTEM, "start the sampler thread: %s",
                         error_errno_text(failed));
    (void)pthread_setname_np(sampler->thread, "sampler");
    sampler->started = true;
    return true;
}

void sampler_stop(struct sampler *sampler)
{
    if (sampler->scraper != NULL)
        scraper_stop(sampler->scraper);
    if (!sampler->started)
        return;
    mailbox_close(sampler->control);
    pthread_join(sampler->thread, NULL);
    get_on(sampler, UINT64_MAX);
    sampler->started = false;
}

void sampler_free(struct sampler *sampler)
{
    if (sampler == NULL)
        return;
    profile_jobs_free(sampler->jobs);
    target_set_free(sampler->targets);
    scraper_free(sampler->scraper);
    usage_context_release(&sampler->usage);
    mailbox_free(sampler->control);
    free(sampler->views);
    free(sampler->waits);
    free(sampler->wait_targets);
    table_copies_free(sampler->procfs.copies);
    free(sampler);
}
