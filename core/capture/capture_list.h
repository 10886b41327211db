/* capture_list.h - which captures there are, and one of them to read.
 *
 * Reads the capture folder as it is: also what an earlier run left, or what was copied there.  Only names
 * that capture_name_parse() accepts count, links are never followed, sidecars are hostile input.  Called on
 * the capture thread, where a slow disk delays nobody. */
#ifndef GOPROFD_CAPTURE_CAPTURE_LIST_H
#define GOPROFD_CAPTURE_CAPTURE_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct buffer;

enum { CAPTURE_LIST_MAX = 1000, CAPTURE_LIST_SCAN_MAX = 100000 };

/* Appends a JSON array of captures, newest first, at most [limit]: name ("FOLDER/FILE"), target, time,
 * bytes, reason, and what else the sidecar says about why.  [target_id] NULL: of all targets.  A folder that
 * does not exist holds none. */
bool capture_list_write(const char *dir, const char *target_id, size_t limit, struct buffer *out,
                        struct error *err) GOPROFD_MUST_CHECK;

/* Appends the bytes of the capture called [name], as the list shows it.  ERROR_NOT_FOUND if there is none or
 * [name] cannot be one. */
bool capture_list_read(const char *dir, const char *name, struct buffer *out,
                       struct error *err) GOPROFD_MUST_CHECK;

#endif
