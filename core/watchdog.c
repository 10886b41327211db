/* watchdog.c - see watchdog.h. */
#include "core/watchdog.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/service_notify.h"

struct watchdog {
    struct watchdog_settings settings;
    int stop_fd;
    bool stuck;    /* said so */
    bool not_told; /* said so */
    pthread_t thread;
};

/* Each change is logged, once. */
static bool is_stuck(struct watchdog *watchdog)
{
    const uint64_t overdue_ns =
        watchdog->settings.overdue_ns(watchdog->settings.context, clock_monotonic_ns());
    const bool stuck = overdue_ns > watchdog->settings.period_ns / 2;
    if (stuck && !watchdog->stuck)
        log_error(log_msg("the sampler is stuck; the service manager is told nothing until it gets on"),
                  log_u64("overdue_ms", overdue_ns / CLOCK_NS_PER_MS),
                  log_u64("watchdog_ms", watchdog->settings.period_ns / CLOCK_NS_PER_MS));
    else if (!stuck && watchdog->stuck)
        log_info(log_msg("the sampler gets on again"));
    watchdog->stuck = stuck;
    return stuck;
}

static void tell_alive(struct watchdog *watchdog)
{
    struct error err;
    const bool told = service_notify_alive(watchdog->settings.socket_path, &err);
    if (!told && !watchdog->not_told)
        log_warn(log_msg("the service manager's watchdog was not told"), log_str("error", err.message));
    watchdog->not_told = !told;
}

static void *run(void *context)
{
    struct watchdog *watchdog = context;
    struct pollfd stop = {.fd = watchdog->stop_fd, .events = POLLIN};
    do {
        const bool stuck = is_stuck(watchdog);
        if (!stuck)
            tell_alive(watchdog);
        /* The manager's patience is running out: that it gets on again is news for now, not for later. */
        const uint64_t pause_ns = watchdog->settings.period_ns / (stuck ? 16 : 2);
        const struct timespec pause = {.tv_sec = (time_t)(pause_ns / CLOCK_NS_PER_S),
                                       .tv_nsec = (long)(pause_ns % CLOCK_NS_PER_S)};
        if (ppoll(&stop, 1, &pause, NULL) == -1 && errno != EINTR)
            clock_sleep_until_ns(clock_monotonic_ns() + pause_ns);
    } while (stop.revents == 0);
    return NULL;
}

struct watchdog *watchdog_start(const struct watchdog_settings *settings, struct error *err)
{
    struct watchdog *watchdog = calloc(1, sizeof(*watchdog));
    if (watchdog == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for the watchdog");
        return NULL;
    }
    watchdog->settings = *settings;
    watchdog->stop_fd = eventfd(0, EFD_CLOEXEC);
    int failed = watchdog->stop_fd == -1 ? errno : 0;
    if (failed == 0)
        failed = pthread_create(&watchdog->thread, NULL, run, watchdog);
    if (failed != 0) {
        (void)error_set(err, ERROR_SYSTEM, "start the watchdog thread: %s", error_errno_text(failed));
        if (watchdog->stop_fd != -1)
            (void)close(watchdog->stop_fd);
        free(watchdog);
        return NULL;
    }
    (void)pthread_setname_np(watchdog->thread, "watchdog");
    return watchdog;
}

void watchdog_stop(struct watchdog *watchdog)
{
    if (watchdog == NULL)
        return;
    const uint64_t one = 1;
    while (write(watchdog->stop_fd, &one, sizeof(one)) == -1 && errno == EINTR)
        continue;
    (void)pthread_join(watchdog->thread, NULL);
    (void)close(watchdog->stop_fd);
    free(watchdog);
}
