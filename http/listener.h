/* listener.h - one bound socket, TCP or unix, before and after the loops use it.
 *
 * Main thread.  Bound once, so that a port in use is an error at start; each loop accepts on a
 * duplicate of the descriptor.  SO_REUSEPORT is not used: with it a second daemon of the same
 * user would share the port silently instead of being told. */
#ifndef GOPROFD_HTTP_LISTENER_H
#define GOPROFD_HTTP_LISTENER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "http/address.h"

struct listener {
    int fd; /* -1: not open */
    struct address address;
    uint16_t port;        /* really bound; 0 for a unix socket */
    dev_t socket_device_; /* of the socket file, so that only our own is unlinked */
    ino_t socket_inode_;
};

/* [text] as in config; [key] names the setting in errors.  A socket file that nobody listens on is
 * replaced; one in use, or a file of another kind, is an error. */
bool listener_open(struct listener *listener, const char *text, const char *key,
                   struct error *err) GOPROFD_MUST_CHECK;

/* Closes, and unlinks the socket file if it is still ours.  A listener that is not open is fine. */
void listener_close(struct listener *listener);

#endif
