/* service_notify.h - tells the service manager how goprofd is doing (systemd's Type=notify-reload).
 *
 *   start:      READY=1 STATUS=...
 *   SIGHUP:     RELOADING=1 MONOTONIC_USEC=...  then READY=1, with STATUS=why it changed nothing if so
 *   stop:       STOPPING=1
 *   meanwhile:  WATCHDOG=1 (watchdog.h)
 *
 * One datagram to the socket that $NOTIFY_SOCKET names: a path, or '@' and an abstract name; without it
 * nothing happens.  Main and watchdog thread.  A manager that does not take it holds us up for a second. */
#ifndef GOPROFD_SERVICE_NOTIFY_H
#define GOPROFD_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

/* True if it was told, or there is nobody to tell.  [status] is for people, "systemctl status" shows it; what
 * the protocol has no place for in it (line ends, other control characters) is told as spaces. */
bool service_notify_ready(const char *socket_path, const char *status, struct error *err) GOPROFD_MUST_CHECK;
/* [monotonic_ns] is of CLOCK_MONOTONIC, from before anything was read again. */
bool service_notify_reloading(const char *socket_path, uint64_t monotonic_ns,
                              struct error *err) GOPROFD_MUST_CHECK;
bool service_notify_stopping(const char *socket_path, struct error *err) GOPROFD_MUST_CHECK;
bool service_notify_alive(const char *socket_path, struct error *err) GOPROFD_MUST_CHECK;

/* What $WATCHDOG_USEC and $WATCHDOG_PID (NULL: not set) ask of the process [pid]: [*period_ns] gets within
 * what time the manager wants to hear WATCHDOG=1, 0 if it does not.  False: they make no sense. */
bool service_notify_watchdog_period(const char *usec, const char *for_pid, int64_t pid, uint64_t *period_ns,
                                    struct error *err) GOPROFD_MUST_CHECK;

#endif
