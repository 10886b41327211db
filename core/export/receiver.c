/* receiver.c - one Alertmanager or webhook: its queue, its pauses, what it is told next. */
#include "core/export/receiver.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/clock.h"
#include "core/base/config.h"
#include "core/base/log.h"
#include "core/export/alert_changes.h"
#include "core/export/notify_message.h"
#include "core/export/spool.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/transport/transport.h"

enum {
    BATCH_ALERTS = 64, /* in one message; one that is refused takes no more with it */
    EXPIRE_RESENDS = 4, /* as Prometheus: an alert not told again for so many intervals is over */
    PAUSE_DOUBLINGS_MAX = 9,
    SAY_EVERY_FAILURES = 20,
};
#define PAUSE_FIRST_NS CLOCK_NS_PER_S
#define PAUSE_LAST_NS (300 * CLOCK_NS_PER_S)
#define RETRY_AFTER_MAX_NS (3600 * CLOCK_NS_PER_S)

struct receiver {
    struct receiver_wiring wiring;
    char *url;
    struct spool *spool;
    struct buffer body;
    bool busy;       /* a request is under way */
    bool from_queue; /* and it is the message [number]; else what fires was told again */
    uint64_t number;
    unsigned failures; /* in a row */
    uint64_t retry_at_ns;  /* monotonic */
    uint64_t resend_at_ns;
    uint64_t dropped_seen;
    bool spool_failing;
};

/* ---- life ---- */

static bool is_alertmanager(const struct receiver *receiver)
{
    return receiver->wiring.config->kind == CONFIG_NOTIFY_ALERTMANAGER;
}

/* The URL that is posted to. */
static char *make_url(const struct config_notify *config)
{
    static const char path[] = "/api/v2/alerts";
    struct buffer url;
    buffer_init(&url, 8 << 10);
    buffer_append_string(&url, config->url);
    if (config->kind == CONFIG_NOTIFY_ALERTMANAGER) {
        while (url.length > 0 && url.data[url.length - 1] == '/')
            url.length--;
        const size_t length = sizeof(path) - 1;
        if (url.length < length || memcmp(url.data + url.length - length, path, length) != 0)
            buffer_append_string(&url, path);
    }
    buffer_append_byte(&url, '\0');
    size_t ignored = 0;
    char *text = buffer_detach(&url, &ignored);
    buffer_release(&url);
    return text;
}

static struct spool *open_spool(const struct receiver_wiring *wiring, struct error *err)
{
    struct buffer path;
    if (wiring->queue_dir == NULL)
        return spool_open(NULL, wiring->queue_max_bytes, err);
    buffer_init(&path, 16 << 10);
    buffer_printf(&path, "%s/%s", wiring->queue_dir, wiring->config->name);
    const char *text = buffer_text(&path);
    struct spool *spool = NULL;
    if (text == NULL)
        (void)error_set(err, ERROR_LIMIT, "notify_queue_dir: the path is too long");
    else
        spool = spool_open(text, wiring->queue_max_bytes, err);
    buffer_release(&path);
    return spool;
}

struct receiver *receiver_new(const struct receiver_wiring *wiring, struct error *err)
{
    struct receiver *receiver = calloc(1, sizeof(*receiver));
    if (receiver == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for receivers of alerts");
        return NULL;
    }
    receiver->wiring = *wiring;
    buffer_init(&receiver->body, SPOOL_MESSAGE_MAX_BYTES);
    receiver->url = make_url(wiring->config);
    if (receiver->url == NULL)
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for receivers of alerts");
    else
        receiver->spool = open_spool(wiring, err);
    if (receiver->spool != NULL)
        return receiver;
    receiver_free(receiver);
    return NULL;
}

void receiver_free(struct receiver *receiver)
{
    if (receiver == NULL)
        return;
    spool_close(receiver->spool);
    buffer_release(&receiver->body);
    free(receiver->url);
    free(receiver);
}

/* ---- what it hears of ---- */

static bool wants(const struct config_notify *config, const struct notify_item *item)
{
    return (config->severities & (1U << item->finding->severity)) != 0 &&
           (item->ended_realtime_ns == 0 || config->send_resolved);
}

static void write_message(struct receiver *receiver, const struct notify_item *items, size_t count,
                          uint64_t now_realtime_ns)
{
    const struct receiver_wiring *wiring = &receiver->wiring;
    buffer_clear(&receiver->body);
    if (is_alertmanager(receiver))
        notify_message_alertmanager(&receiver->body, items, count, wiring->origin,
                                    now_realtime_ns + EXPIRE_RESENDS * wiring->config->resend_ns);
    else
        notify_message_webhook(&receiver->body, items, count, wiring->origin,
                               wiring->config->name);
}

static void count_dropped(struct receiver *receiver, uint64_t count)
{
    atomic_fetch_add_explicit(&receiver->wiring.counters->notifications_dropped, count,
                              memory_order_relaxed);
}

static void note_pushed_out(struct receiver *receiver)
{
    const uint64_t dropped = spool_dropped(receiver->spool) - receiver->dropped_seen;
    if (dropped == 0)
        return;
    receiver->dropped_seen += dropped;
    count_dropped(receiver, dropped);
    log_warn(log_msg("notify: the queue is full, its oldest messages are dropped"),
             log_str("receiver", receiver->wiring.config->name), log_u64("dropped", dropped));
}

static void enqueue(struct receiver *receiver)
{
    struct error err;
    bool kept = false;
    if (receiver->body.failed) {
        count_dropped(receiver, 1);
        log_error(log_msg("notify: a message is too large and is dropped"),
                  log_str("receiver", receiver->wiring.config->name));
        return;
    }
    const bool ok =
        spool_push(receiver->spool, receiver->body.data, receiver->body.length, &kept, &err);
    if (!kept)
        count_dropped(receiver, 1);
    if (!ok && (!kept || !receiver->spool_failing))
        log_error(log_msg(kept ? "notify: messages are kept in memory only"
                               : "notify: a message is lost"),
                  log_str("receiver", receiver->wiring.config->name),
                  log_str("reason", err.message));
    else if (ok && receiver->spool_failing)
        log_info(log_msg("notify: messages are kept on disk again"),
                 log_str("receiver", receiver->wiring.config->name));
    receiver->spool_failing = !ok;
    note_pushed_out(receiver);
}

void receiver_tell(struct receiver *receiver, const struct notify_item *items, size_t count,
                   uint64_t now_realtime_ns)
{
    struct notify_item wanted[BATCH_ALERTS];
    size_t filled = 0;
    for (size_t i = 0; i < count; i++) {
        if (wants(receiver->wiring.config, &items[i]))
            wanted[filled++] = items[i];
        if (filled == BATCH_ALERTS || (i + 1 == count && filled > 0)) {
            write_message(receiver, wanted, filled, now_realtime_ns);
            enqueue(receiver);
            filled = 0;
        }
    }
}

/* ---- how it answers ---- */

uint64_t receiver_pause_ns(unsigned failures, uint64_t random)
{
    const unsigned doublings = failures == 0                        ? 0
                               : failures - 1 > PAUSE_DOUBLINGS_MAX ? PAUSE_DOUBLINGS_MAX
                                                                    : failures - 1;
    uint64_t pause = PAUSE_FIRST_NS << doublings;
    if (pause > PAUSE_LAST_NS)
        pause = PAUSE_LAST_NS;
    /* Down to four fifths, so that many daemons do not all knock at once. */
    return pause - random % (pause / 5);
}

static void note_success(struct receiver *receiver)
{
    atomic_fetch_add_explicit(&receiver->wiring.counters->notifications_sent, 1,
                              memory_order_relaxed);
    if (receiver->failures > 0)
        log_info(log_msg("notify: the receiver takes messages again"),
                 log_str("receiver", receiver->wiring.config->name),
                 log_u64("failures", receiver->failures));
    receiver->failures = 0;
    receiver->resend_at_ns = clock_monotonic_ns() + receiver->wiring.config->resend_ns;
}

static void note_failure(struct receiver *receiver, const struct transfer_result *result)
{
    const uint64_t now_ns = clock_monotonic_ns();
    uint64_t pause_ns = receiver_pause_ns(++receiver->failures, now_ns);
    if (result->retry_after_ns > pause_ns)
        pause_ns = result->retry_after_ns < RETRY_AFTER_MAX_NS ? result->retry_after_ns
                                                               : RETRY_AFTER_MAX_NS;
    receiver->retry_at_ns = now_ns + pause_ns;
    atomic_fetch_add_explicit(&receiver->wiring.counters->notifications_failed, 1,
                              memory_order_relaxed);
    if (receiver->failures % SAY_EVERY_FAILURES == 1)
        log_warn(log_msg("notify: the receiver cannot be reached; its messages wait"),
                 log_str("receiver", receiver->wiring.config->name),
                 log_str("url", receiver->url), log_i64("status", result->status),
                 log_str("reason", result->detail), log_u64("failures", receiver->failures));
}

static void note_refusal(struct receiver *receiver, const struct transfer_result *result)
{
    count_dropped(receiver, 1);
    log_error(log_msg("notify: the receiver refuses a message, which is dropped"),
              log_str("receiver", receiver->wiring.config->name), log_str("url", receiver->url),
              log_i64("status", result->status), log_str("answer", result->detail));
    receiver->failures = 0;
    receiver->resend_at_ns = clock_monotonic_ns() + receiver->wiring.config->resend_ns;
}

/* A refusal that the same message would meet again. */
static bool is_final(long status)
{
    enum { REQUEST_TIMEOUT = 408, TOO_EARLY = 425, TOO_MANY = 429 };
    return status >= 400 && status < 500 && status != REQUEST_TIMEOUT && status != TOO_EARLY &&
           status != TOO_MANY;
}

static void on_done(void *context, const struct transfer_result *result)
{
    struct receiver *receiver = context;
    const bool delivered = result->status >= 200 && result->status < 300;
    receiver->busy = false;
    if (delivered)
        note_success(receiver);
    else if (is_final(result->status))
        note_refusal(receiver, result);
    else
        note_failure(receiver, result);
    if (receiver->from_queue && (delivered || is_final(result->status)))
        spool_pop(receiver->spool, receiver->number);
}

/* ---- the next request ---- */

static void post(struct receiver *receiver)
{
    struct transfer_result result = {.status = 0};
    const struct config_notify *config = receiver->wiring.config;
    const struct transport_access access = {.timeout_ns = config->timeout_ns,
                                            .bearer_token_file = config->bearer_token_file,
                                            .basic_auth_file = config->basic_auth_file,
                                            .ca_file = config->ca_file,
                                            .cert_file = config->cert_file,
                                            .key_file = config->key_file};
    struct error err;
    receiver->busy = transport_post(receiver->wiring.transport, &access, receiver->url,
                                    receiver->body.data, receiver->body.length, on_done, receiver,
                                    &err);
    if (receiver->busy)
        return;
    (void)snprintf(result.detail, sizeof(result.detail), "%s", err.message);
    note_failure(receiver, &result);
}

/* Everything that fires now, told again: Alertmanager forgets what it does not hear of. */
static bool write_resend(struct receiver *receiver, const struct finding_set *set,
                         uint64_t now_realtime_ns)
{
    struct alert_changes firing;
    if (set == NULL || !alert_changes_firing(&firing, set))
        return false;
    size_t kept = 0;
    for (size_t i = 0; i < firing.count; i++) {
        if (wants(receiver->wiring.config, &firing.items[i]))
            firing.items[kept++] = firing.items[i];
    }
    if (kept > 0)
        write_message(receiver, firing.items, kept, now_realtime_ns);
    alert_changes_release(&firing);
    return kept > 0 && !receiver->body.failed;
}

void receiver_deliver(struct receiver *receiver, const struct finding_set *firing,
                      uint64_t now_monotonic_ns, uint64_t now_realtime_ns)
{
    if (receiver->busy || now_monotonic_ns < receiver->retry_at_ns)
        return;
    if (spool_peek(receiver->spool, &receiver->body, &receiver->number)) {
        receiver->from_queue = true;
        post(receiver);
    } else if (is_alertmanager(receiver) && now_monotonic_ns >= receiver->resend_at_ns) {
        receiver->from_queue = false;
        receiver->resend_at_ns = now_monotonic_ns + receiver->wiring.config->resend_ns;
        if (write_resend(receiver, firing, now_realtime_ns))
            post(receiver);
    }
    note_pushed_out(receiver);
}

size_t receiver_queued(const struct receiver *receiver)
{
    return spool_count(receiver->spool);
}

bool receiver_is_eager(const struct receiver *receiver)
{
    return receiver->failures == 0 && spool_count(receiver->spool) > 0;
}

void receiver_say_farewell(const struct receiver *receiver)
{
    const size_t waiting = spool_count(receiver->spool);
    const size_t lost = spool_in_memory(receiver->spool);
    if (waiting > 0)
        log_warn(log_msg("notify: messages were not delivered before the stop"),
                 log_str("receiver", receiver->wiring.config->name),
                 log_u64("kept_on_disk", waiting - lost), log_u64("lost", lost));
}
