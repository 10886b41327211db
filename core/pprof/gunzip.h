/* gunzip.h - a gzip member in, its bytes out, at most so many of them.
 *
 * For what came from elsewhere: a few kilobytes can stand for gigabytes, so the limit is on what comes out. */
#ifndef GOPROFD_PPROF_GUNZIP_H
#define GOPROFD_PPROF_GUNZIP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct buffer;

/* Whether [bytes] begin as a gzip file does. */
bool gunzip_is_gzip(const void *bytes, size_t length);

/* Appends what [bytes] hold to [out], whose max_bytes is the limit.  ERROR_LIMIT beyond it, ERROR_CORRUPT for
 * what is no complete gzip member, or more than one. */
bool gunzip(const void *bytes, size_t length, struct buffer *out,
            struct error *err) GOPROFD_MUST_CHECK;

#endif
