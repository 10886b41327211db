/* service_notify.h - tells the service manager how goprofd is doing (systemd's Type=notify-reload).
 *
 *   start:   READY=1
 *   SIGHUP:  RELOADING=1 MONOTONIC_USEC=...  then READY=1
 *   stop:    STOPPING=1
 *
 * One datagram to the socket that $NOTIFY_SOCKET names; without it nothing happens.  Main thread. */
#ifndef GOPROFD_SERVICE_NOTIFY_H
#define GOPROFD_SERVICE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

/* True if it was told, or there is nobody to tell. */
bool service_notify_ready(const char *socket_path, struct error *err) GOPROFD_MUST_CHECK;
bool service_notify_reloading(const char *socket_path, uint64_t monotonic_ns,
                              struct error *err) GOPROFD_MUST_CHECK;
bool service_notify_stopping(const char *socket_path, struct error *err) GOPROFD_MUST_CHECK;

#endif
