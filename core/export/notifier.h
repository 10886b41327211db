/* notifier.h - the export thread: tells receivers when alerts open and close.
 *
 *   board's findings --changes--> queue of each receiver (spool) --> transport --> Alertmanager, webhook
 *
 * Looks at the board a few times a second; a slow or dead receiver delays neither rules nor other
 * receivers.  A message is tried again with growing pauses until the receiver takes it, refuses it for
 * good (a 4xx), or newer ones push it out of the queue; the last two are counted and logged. */
#ifndef GOPROFD_EXPORT_NOTIFIER_H
#define GOPROFD_EXPORT_NOTIFIER_H

#include <stdbool.h>

#include "core/base/error.h"

struct board;
struct config;
struct notifier;

/* NULL with the reason: a queue's folder cannot be used, or there is no memory.  [config] must outlive
 * it.  Without receivers in [config] it is harmless and starts no thread. */
struct notifier *notifier_new(const struct config *config, struct board *board, struct error *err);
bool notifier_start(struct notifier *notifier, struct error *err) GOPROFD_MUST_CHECK;
/* Tries for a moment to deliver what is queued, then joins; what stays on disk goes out after a restart. */
void notifier_stop(struct notifier *notifier);
void notifier_free(struct notifier *notifier); /* NULL is allowed */

#endif
