/* transport.h - HTTP(S) POSTs to receivers, several at once, none waiting for another: libcurl.
 *
 * The only file that knows curl.  One thread runs it; any thread may wake it.  Certificates are always
 * verified; redirects are not followed: a receiver that moved is a config to be mended. */
#ifndef GOPROFD_EXPORT_TRANSPORT_H
#define GOPROFD_EXPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct config_notify;
struct transport;

struct transfer_result {
    long status;             /* of HTTP; 0: no answer */
    uint64_t retry_after_ns; /* as the receiver asked; 0: it did not */
    char detail[ERROR_MESSAGE_MAX_BYTES]; /* why there is no answer, or the answer's first words */
};

typedef void (*transfer_done)(void *context, const struct transfer_result *result);

struct transport *transport_new(struct error *err);
void transport_free(struct transport *transport); /* drops what is under way; NULL is allowed */

/* Begins to POST a copy of [body] as JSON to [url], with [receiver]'s credentials, certificates and time
 * limit.  [done] is called once from transport_run(), unless the transport is freed before.  False if
 * it could not begin: a file of the receiver cannot be read, for example. */
bool transport_post(struct transport *transport, const struct config_notify *receiver,
                    const char *url, const void *body, size_t length, transfer_done done,
                    void *context, struct error *err) GOPROFD_MUST_CHECK;

/* Moves all transfers on, for at most [timeout_ms]; returns early when something happened. */
void transport_run(struct transport *transport, int timeout_ms);
void transport_wake(struct transport *transport); /* any thread: makes transport_run return */
size_t transport_active(const struct transport *transport);

#endif
