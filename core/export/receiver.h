/* receiver.h - one Alertmanager or webhook: its queue, its pauses, what it is told next.
 *
 *   queued message --> POST --> 2xx: done   4xx: refused, dropped   else: again after a pause
 *   queue empty, Alertmanager, resend due --> POST of all that fires
 *
 * Owned by the export thread. */
#ifndef GOPROFD_EXPORT_RECEIVER_H
#define GOPROFD_EXPORT_RECEIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct board_counters;
struct config_notify;
struct finding_set;
struct notify_item;
struct notify_origin;
struct receiver;
struct transport;

/* All of it outlives the receiver. */
struct receiver_wiring {
    const struct config_notify *config;
    const char *queue_dir; /* its queue is a folder in there; NULL: in memory */
    uint64_t queue_max_bytes;
    const struct notify_origin *origin;
    struct transport *transport;
    struct board_counters *counters;
};

struct receiver *receiver_new(const struct receiver_wiring *wiring, struct error *err);
/* After its transport was freed, so that no answer can come any more.  NULL is allowed. */
void receiver_free(struct receiver *receiver);

/* Queues those of [items] that it wants to hear of. */
void receiver_tell(struct receiver *receiver, const struct notify_item *items, size_t count,
                   uint64_t now_realtime_ns);

/* Begins the next request, if one is due and none is under way.  [firing]: the newest findings. */
void receiver_deliver(struct receiver *receiver, const struct finding_set *firing,
                      uint64_t now_monotonic_ns, uint64_t now_realtime_ns);

size_t receiver_queued(const struct receiver *receiver);
/* Whether there is something to send and nothing that speaks against trying now. */
bool receiver_is_eager(const struct receiver *receiver);
/* Says in the log what stays undelivered. */
void receiver_say_farewell(const struct receiver *receiver);

/* How long to wait after the [failures]th failure in a row (from 1); [random] spreads receivers. */
uint64_t receiver_pause_ns(unsigned failures, uint64_t random);

#endif
