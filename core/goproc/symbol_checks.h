/* symbol_checks.h - are these addresses what they are said to be, on the live process?
 *
 * Addresses from a symbol table are facts; addresses from rules, or a layout assumed for a new
 * version, are claims until the values found there make sense.  Called once at open, after which
 * heap_stats_check() proves the sums. */
#ifndef GOPROFD_GOPROC_SYMBOL_CHECKS_H
#define GOPROFD_GOPROC_SYMBOL_CHECKS_H

#include <stdbool.h>

#include "core/base/error.h"

struct go_layout;
struct memory;
struct moduledata;
struct symbols;

/* ERROR_UNSUPPORTED names the first variable that holds what it cannot hold, and the value. */
bool symbol_checks_run(struct memory *memory, const struct go_layout *layout,
                       const struct moduledata *module, const struct symbols *symbols,
                       struct error *err) GOPROFD_MUST_CHECK;

/* Whether heap profile records are what [layout] says, by those at the head of the list: for a
 * layout that was assumed, since sums elsewhere do not depend on them.  ERROR_UNSUPPORTED says what
 * is wrong. Proves nothing while the list is empty. */
bool symbol_checks_records(struct memory *memory, const struct go_layout *layout,
                           const struct moduledata *module, const struct symbols *symbols,
                           struct error *err) GOPROFD_MUST_CHECK;

#endif
