/* test_series.h - numbers over time as tests of rules write them.
 *
 *   12            a number: always this
 *   "64MiB"       the same with a unit
 *   "5 7 9"       one a beat; the last one stays
 *   "5x10"        ten times
 *   "5+2x10"      5, then ten steps of 2 up (as promtool writes it); "50-2x10" down
 *   "+2x10"       ten steps on from the value before
 *   "_"  "_x10"   not known
 *   { 5, "7x3" }  a list of these, one after the other */
#ifndef GOPROFD_LUA_TEST_SERIES_H
#define GOPROFD_LUA_TEST_SERIES_H

#include <stddef.h>

#include "core/base/error.h"

struct config_node;

/* Fills [values] for [count] beats; NAN where not known.  False with what is wrong. */
bool test_series_read(const struct config_node *node, double *values, size_t count,
                      struct error *err) GOPROFD_MUST_CHECK;

#endif
