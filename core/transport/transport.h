/* transport.h - HTTP(S) requests to others, several at once, none waiting for another: libcurl.
 *
 * The only room that knows curl, which is loaded by the first transport.  One thread runs it; any thread may wake it.  Certificates are always
 * verified; redirects are not followed: a server that moved is a config to be mended. */
#ifndef GOPROFD_TRANSPORT_TRANSPORT_H
#define GOPROFD_TRANSPORT_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buffer;
struct transport;

/* What a request needs beside its URL.  Paths are "" where not set; files are read for each request. */
struct transport_access {
    uint64_t timeout_ns; /* of one request, from its begin to the last byte */
    const char *bearer_token_file;
    const char *basic_auth_file; /* holds user:password */
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
};

struct transfer_result {
    long status;             /* of HTTP; 0: no answer */
    uint64_t retry_after_ns; /* as the server asked; 0: it did not */
    char detail[ERROR_MESSAGE_MAX_BYTES]; /* why there is no answer, or the answer's first words */
    struct buffer *body; /* of a GET: all of it; the callee may detach it.  NULL for a POST */
};

typedef void (*transfer_done)(void *context, const struct transfer_result *result);

struct transport *transport_new(struct error *err);
void transport_free(struct transport *transport); /* drops what is under way; NULL is allowed */

/* Begins to POST a copy of [body] as JSON to [url].  [done] is called once from transport_run(), unless the
 * transport is freed before.  False if it could not begin: a file of [access] cannot be read, for
 * example. */
bool transport_post(struct transport *transport, const struct transport_access *access,
                    const char *url, const void *body, size_t length, transfer_done done,
                    void *context, struct error *err) GOPROFD_MUST_CHECK;

/* Begins to GET [url]; else as above.  An answer of more than [max_bytes], or one for which all answers under
 * way would hold more than TRANSPORT_HELD_MAX_BYTES, is no answer. */
#define TRANSPORT_HELD_MAX_BYTES ((size_t)256 << 20)
bool transport_get(struct transport *transport, const struct transport_access *access,
                   const char *url, size_t max_bytes, transfer_done done, void *context,
                   struct error *err) GOPROFD_MUST_CHECK;

/* Moves all transfers on, for at most [timeout_ms]; returns early when something happened. */
void transport_run(struct transport *transport, int timeout_ms);
void transport_wake(struct transport *transport); /* any thread: makes transport_run return */
size_t transport_active(const struct transport *transport);

#endif
