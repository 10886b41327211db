/* memory_gather.h - reads many small pieces that may lie close together.
 *
 * The kernel pins pages anew for each piece: about a microsecond, more than copying the bytes between two
 * of them.  So neighbours are copied as one run.
 *
 *   pieces  [a]..[b]...........................[c].[d]
 *   runs    [a..b]                             [c.d]       gaps are less than a page: no page is
 *                                                          touched that no piece lies in */
#ifndef GOPROFD_GOPROC_MEMORY_GATHER_H
#define GOPROFD_GOPROC_MEMORY_GATHER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/error.h"

struct memory;
struct memory_part;

/* Copies all of [parts] or fails; in which order is not defined, and [parts] is sorted by address
 * afterwards. */
bool memory_gather(struct memory *memory, struct memory_part *parts, size_t count,
                   struct error *err) GOPROFD_MUST_CHECK;

#endif
