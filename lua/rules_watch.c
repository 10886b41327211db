/* rules_watch.c - see rules_watch.h. */
#include "lua/rules_watch.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"

enum { QUIET_MS = 300, LOOK_AGAIN_MS = 1000, EVENTS_BYTES = 4096 };

struct rules_watch {
    char *dir;
    void (*changed)(void *context);
    void *context;
    int inotify_fd;
    int stop_fd;
    int watched; /* of inotify; -1: the folder is not there */
    pthread_t thread;
};

static bool look_at_folder(struct rules_watch *watch)
{
    watch->watched = inotify_add_watch(watch->inotify_fd, watch->dir,
                                       IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE |
                                           IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR);
    return watch->watched != -1;
}

static bool is_rule(const struct inotify_event *event)
{
    const size_t length = event->len > 0 ? strlen(event->name) : 0;
    return length > 4 && event->name[0] != '.' && strcmp(event->name + length - 4, ".lua") == 0;
}

/* Takes what inotify has; whether a rule is among it. */
static bool take_events(struct rules_watch *watch)
{
    _Alignas(struct inotify_event) char events[EVENTS_BYTES];
    bool rules = false;
    const ssize_t length = read(watch->inotify_fd, events, sizeof(events));
    for (ssize_t at = 0; at < length;) {
        const struct inotify_event *event = (const struct inotify_event *)(const void *)(events + at);
        rules = rules || is_rule(event) || (event->mask & IN_Q_OVERFLOW) != 0;
        if ((event->mask & IN_MOVE_SELF) != 0 && watch->watched != -1)
            (void)inotify_rm_watch(watch->inotify_fd, watch->watched);
        if ((event->mask & IN_IGNORED) != 0)
            watch->watched = -1;
        at += (ssize_t)(sizeof(*event) + event->len);
    }
    return rules;
}

static void *run(void *context)
{
    struct rules_watch *watch = context;
    struct pollfd waits[2] = {{.fd = watch->stop_fd, .events = POLLIN},
                              {.fd = watch->inotify_fd, .events = POLLIN}};
    bool pending = false;
    for (;;) {
        const int timeout_ms = pending ? QUIET_MS : watch->watched == -1 ? LOOK_AGAIN_MS : -1;
        const int ready = poll(waits, 2, timeout_ms);
        if (ready == -1 && errno != EINTR)
            break;
        if (waits[0].revents != 0)
            break;
        if (ready > 0 && waits[1].revents != 0) {
            pending = take_events(watch) || pending;
            continue;
        }
        if (ready != 0)
            continue;
        if (watch->watched == -1 && look_at_folder(watch))
            pending = true; /* a new folder: what is in it has changed */
        else if (pending) {
            pending = false;
            log_info(log_msg("rules changed on disk: reloading"), log_str("dir", watch->dir));
            watch->changed(watch->context);
        }
    }
    return NULL;
}

static void release(struct rules_watch *watch)
{
    if (watch->inotify_fd != -1)
        (void)close(watch->inotify_fd);
    if (watch->stop_fd != -1)
        (void)close(watch->stop_fd);
    free(watch->dir);
    free(watch);
}

struct rules_watch *rules_watch_start(const char *dir, void (*changed)(void *context), void *context,
                                      struct error *err)
{
    struct rules_watch *watch = calloc(1, sizeof(*watch));
    if (watch == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory to watch %.100s", dir);
        return NULL;
    }
    watch->changed = changed;
    watch->context = context;
    watch->dir = strdup(dir);
    watch->inotify_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    watch->stop_fd = eventfd(0, EFD_CLOEXEC);
    if (watch->dir == NULL || watch->inotify_fd == -1 || watch->stop_fd == -1 || !look_at_folder(watch)) {
        (void)error_set(err, ERROR_SYSTEM, "watch %.100s: %s", dir, error_errno_text(errno));
        release(watch);
        return NULL;
    }
    const int status = pthread_create(&watch->thread, NULL, run, watch);
    if (status != 0) {
        (void)error_set(err, ERROR_SYSTEM, "start the thread that watches %.100s: %s", dir,
                        error_errno_text(status));
        release(watch);
        return NULL;
    }
    (void)pthread_setname_np(watch->thread, "goprofd-watch");
    return watch;
}

void rules_watch_stop(struct rules_watch *watch)
{
    if (watch == NULL)
        return;
    const uint64_t one = 1;
    while (write(watch->stop_fd, &one, sizeof(one)) == -1 && errno == EINTR)
        continue;
    (void)pthread_join(watch->thread, NULL);
    release(watch);
}
