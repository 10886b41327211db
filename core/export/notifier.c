/* notifier.c - the export thread: tells receivers when alerts open and close. */
#include "core/export/notifier.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/export/alert_changes.h"
#include "core/export/notify_message.h"
#include "core/export/receiver.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/transport/transport.h"

enum { LOOK_EVERY_MS = 250, HOST_NAME_BYTES = 256, URL_BYTES = 2304 };

/* How long a stop waits for receivers that answer; what is queued on disk is not lost by going. */
#define STOP_PATIENCE_NS (2 * CLOCK_NS_PER_S)

struct notifier {
    struct board *board;
    struct transport *transport;
    struct receiver **receivers;
    size_t receiver_count;
    const struct finding_set *seen; /* what the receivers were told about; NULL: nothing yet */
    uint64_t started_realtime_ns;
    char instance[HOST_NAME_BYTES];
    char external_url[URL_BYTES];
    struct notify_origin origin;
    pthread_t thread;
    bool started;
    atomic_bool stopping;
};

/* ---- setting up ---- */

/* What links point to: as configured, else where we listen. */
static void find_origin(struct notifier *notifier, const struct config *config)
{
    if (gethostname(notifier->instance, sizeof(notifier->instance) - 1) == -1)
        notifier->instance[0] = '\0';
    const char *address = config->metrics_listen_addr;
    if (config->external_url[0] != '\0')
        (void)snprintf(notifier->external_url, sizeof(notifier->external_url), "%.2048s",
                       config->external_url);
    else if (strncmp(address, "unix:", 5) != 0)
        (void)snprintf(notifier->external_url, sizeof(notifier->external_url), "http://%s%.2000s",
                       address[0] == ':' ? notifier->instance : "", address);
    size_t length = strlen(notifier->external_url);
    while (length > 0 && notifier->external_url[length - 1] == '/')
        notifier->external_url[--length] = '\0';
    notifier->origin = (struct notify_origin){.external_url = notifier->external_url,
                                              .instance = notifier->instance};
}

static bool make_queue_folder(const char *path, struct error *err)
{
    struct stat status;
    if (mkdir(path, 0700) == 0 || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
        return true;
    return error_set(err, ERROR_SYSTEM, "notify_queue_dir: '%.200s' cannot be made a folder", path);
}

static bool add_receivers(struct notifier *notifier, const struct config *config, struct error *err)
{
    notifier->receivers = calloc(config->notify_count, sizeof(notifier->receivers[0]));
    if (notifier->receivers == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for receivers of alerts");
    const bool on_disk = config->notify_queue_dir[0] != '\0';
    if (on_disk && !make_queue_folder(config->notify_queue_dir, err))
        return false;
    for (size_t i = 0; i < config->notify_count; i++) {
        const struct receiver_wiring wiring = {
            .config = &config->notify[i],
            .queue_dir = on_disk ? config->notify_queue_dir : NULL,
            .queue_max_bytes = config->notify_queue_max_bytes,
            .origin = &notifier->origin,
            .transport = notifier->transport,
            .counters = board_counters(notifier->board),
        };
        struct receiver *receiver = receiver_new(&wiring, err);
        if (receiver == NULL)
            return false;
        notifier->receivers[notifier->receiver_count++] = receiver;
    }
    return true;
}

struct notifier *notifier_new(const struct config *config, struct board *board, struct error *err)
{
    struct notifier *notifier = calloc(1, sizeof(*notifier));
    if (notifier == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for the notifier");
        return NULL;
    }
    notifier->board = board;
    notifier->started_realtime_ns = clock_realtime_ns();
    find_origin(notifier, config);
    if (config->notify_count == 0)
        return notifier;
    notifier->transport = transport_new(err);
    if (notifier->transport != NULL && add_receivers(notifier, config, err))
        return notifier;
    notifier_free(notifier);
    return NULL;
}

void notifier_free(struct notifier *notifier)
{
    if (notifier == NULL)
        return;
    transport_free(notifier->transport);
    for (size_t i = 0; i < notifier->receiver_count; i++)
        receiver_free(notifier->receivers[i]);
    free(notifier->receivers);
    finding_set_unref(notifier->seen);
    free(notifier);
}

/* ---- the thread ---- */

/* What was told before this daemon started, as a state that was restored says: a receiver of single
 * messages has heard it, or finds it in its queue. */
static bool is_old_news(const struct notifier *notifier, const struct notify_item *item)
{
    const uint64_t at = item->ended_realtime_ns != 0 ? item->ended_realtime_ns
                                                     : item->finding->since_realtime_ns;
    return notifier->seen == NULL && at < notifier->started_realtime_ns;
}

static void drop_old_news(const struct notifier *notifier, struct alert_changes *changes)
{
    size_t kept = 0;
    for (size_t i = 0; i < changes->count; i++) {
        if (!is_old_news(notifier, &changes->items[i]))
            changes->items[kept++] = changes->items[i];
    }
    changes->count = kept;
}

static void look(struct notifier *notifier)
{
    const struct finding_set *now = board_findings(notifier->board);
    struct alert_changes changes;
    if (notifier->seen != NULL && notifier->seen->sequence == now->sequence) {
        finding_set_unref(now);
        return;
    }
    if (!alert_changes_find(&changes, notifier->seen, now, clock_realtime_ns())) {
        log_error(log_msg("no memory to tell receivers of alerts; trying again"));
        finding_set_unref(now);
        return;
    }
    drop_old_news(notifier, &changes);
    for (size_t i = 0; i < notifier->receiver_count; i++)
        receiver_tell(notifier->receivers[i], changes.items, changes.count, clock_realtime_ns());
    alert_changes_release(&changes);
    finding_set_unref(notifier->seen);
    notifier->seen = now;
}

static void deliver(struct notifier *notifier)
{
    uint64_t queued = 0;
    for (size_t i = 0; i < notifier->receiver_count; i++) {
        receiver_deliver(notifier->receivers[i], notifier->seen, clock_monotonic_ns(),
                         clock_realtime_ns());
        queued += receiver_queued(notifier->receivers[i]);
    }
    atomic_store_explicit(&board_counters(notifier->board)->notifications_queued, queued,
                          memory_order_relaxed);
}

static bool is_anything_to_do(const struct notifier *notifier)
{
    bool busy = transport_active(notifier->transport) > 0;
    for (size_t i = 0; i < notifier->receiver_count; i++)
        busy = busy || receiver_is_eager(notifier->receivers[i]);
    return busy;
}

static void *run(void *argument)
{
    struct notifier *notifier = argument;
    (void)pthread_setname_np(pthread_self(), "goprofd-export");
    while (!atomic_load(&notifier->stopping)) {
        look(notifier);
        deliver(notifier);
        transport_run(notifier->transport, LOOK_EVERY_MS);
    }
    look(notifier);
    const uint64_t until_ns = clock_monotonic_ns() + STOP_PATIENCE_NS;
    while (is_anything_to_do(notifier) && clock_monotonic_ns() < until_ns) {
        deliver(notifier);
        transport_run(notifier->transport, LOOK_EVERY_MS);
    }
    for (size_t i = 0; i < notifier->receiver_count; i++)
        receiver_say_farewell(notifier->receivers[i]);
    return NULL;
}

bool notifier_start(struct notifier *notifier, struct error *err)
{
    if (notifier->receiver_count == 0)
        return true;
    const int status = pthread_create(&notifier->thread, NULL, run, notifier);
    if (status != 0)
        return error_set(err, ERROR_SYSTEM, "start the export thread: %s",
                         error_errno_text(status));
    notifier->started = true;
    return true;
}

void notifier_stop(struct notifier *notifier)
{
    if (!notifier->started)
        return;
    atomic_store(&notifier->stopping, true);
    transport_wake(notifier->transport);
    (void)pthread_join(notifier->thread, NULL);
    notifier->started = false;
}
