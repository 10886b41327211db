/* curl_library.h - libcurl, loaded when it is first needed.
 *
 * It brings some thirty libraries with it (two of TLS, Kerberos, LDAP, SSH): 4 MiB of resident memory and 15 ms of each
 * start, for a daemon that tells nobody and fetches nothing, and for every `goprofd ps`.  So it is no
 * dependency of the program, but one of its transports.  Private to transport.c. */
#ifndef GOPROFD_TRANSPORT_CURL_LIBRARY_H
#define GOPROFD_TRANSPORT_CURL_LIBRARY_H

#include <curl/curl.h>
#include <stdbool.h>

#include "core/base/error.h"

/* What we call of it: curl_easy_init is curl->easy_init. */
#define CURL_LIBRARY_FUNCTIONS(X)                                                                  \
    X(easy_cleanup)                                                                                \
    X(easy_getinfo)                                                                                \
    X(easy_init)                                                                                   \
    X(easy_setopt)                                                                                 \
    X(easy_strerror)                                                                               \
    X(global_cleanup)                                                                              \
    X(global_init)                                                                                 \
    X(multi_add_handle)                                                                            \
    X(multi_cleanup)                                                                               \
    X(multi_info_read)                                                                             \
    X(multi_init)                                                                                  \
    X(multi_perform)                                                                               \
    X(multi_poll)                                                                                  \
    X(multi_remove_handle)                                                                         \
    X(multi_wakeup)                                                                                \
    X(slist_append)                                                                                \
    X(slist_free_all)

struct curl_library {
#define CURL_LIBRARY_DECLARE(name) __typeof__(curl_##name) *name;
    CURL_LIBRARY_FUNCTIONS(CURL_LIBRARY_DECLARE)
#undef CURL_LIBRARY_DECLARE
};

/* Loads it, once for the process however often it is asked for, and leaves it loaded.  ERROR_NOT_FOUND with the
 * package to install.  Any thread. */
bool curl_library_load(struct curl_library *curl, struct error *err) GOPROFD_MUST_CHECK;

#endif
