/* watchdog.h - the thread that tells the service manager, twice in each WatchdogSec, that goprofd gets on.
 *
 * It tells so only while the one that is watched does: the sampler, asked how long it is overdue.  Overdue by
 * half of WatchdogSec it is stuck; then nothing is told, and the manager ends and restarts goprofd.  Runs only
 * where $WATCHDOG_USEC asks for it. */
#ifndef GOPROFD_WATCHDOG_H
#define GOPROFD_WATCHDOG_H

#include <stdint.h>

#include "core/base/error.h"

struct watchdog;

struct watchdog_settings {
    const char *socket_path; /* $NOTIFY_SOCKET; borrowed until the stop */
    uint64_t period_ns;      /* within what the manager wants to hear from us; not 0 */
    /* Since when what [context] does should have been done, as an age at [now_ns]; 0: all is in time. */
    uint64_t (*overdue_ns)(const void *context, uint64_t now_ns);
    const void *context;
};

/* NULL with [err] set if there is no thread or no memory for it. */
struct watchdog *watchdog_start(const struct watchdog_settings *settings, struct error *err);
void watchdog_stop(struct watchdog *watchdog); /* joins and frees; NULL is fine */

#endif
