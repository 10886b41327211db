/* address.h - what metrics_listen_addr and pprof_listen_addr may say.
 *
 *   host:port   127.0.0.1:8080   localhost:0    one interface
 *   [ip6]:port  [::1]:8080
 *   :port       :8080            every interface, IPv6 and IPv4
 *   unix:/path                   a socket file
 *
 * Pure text; nothing is resolved or opened here. */
#ifndef GOPROFD_HTTP_ADDRESS_H
#define GOPROFD_HTTP_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

enum { ADDRESS_HOST_MAX_BYTES = 256, ADDRESS_PATH_MAX_BYTES = 108 };

enum address_kind { ADDRESS_TCP, ADDRESS_UNIX };

struct address {
    enum address_kind kind;
    char host[ADDRESS_HOST_MAX_BYTES]; /* "" for every interface; no brackets */
    uint16_t port;
    char path[ADDRESS_PATH_MAX_BYTES]; /* of a unix socket; terminated */
};

bool address_parse(const char *text, struct address *address, struct error *err) GOPROFD_MUST_CHECK;

#endif
