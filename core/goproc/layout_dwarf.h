/* layout_dwarf.h - where a program's own debug information says that the runtime keeps things.
 *
 * For a Go version without a column in go_layout.h.  Called once per process at open, on the file.
 */
#ifndef GOPROFD_GOPROC_LAYOUT_DWARF_H
#define GOPROFD_GOPROC_LAYOUT_DWARF_H

#include <stdbool.h>

#include "core/base/error.h"

struct elf_file;
struct go_layout;

/* Overwrites in [layout] each offset that the debug information of [elf] knows; what the runtime
 * does with it (struct go_layout's flags) stays as it was, except that the size of records tells
 * whether they hold bytes.  ERROR_NOT_FOUND if there is no debug information ([layout] is then
 * untouched); ERROR_UNSUPPORTED, naming it, if something that never moved has, or is gone. */
bool layout_dwarf_apply(const struct elf_file *elf, struct go_layout *layout,
                        struct error *err) GOPROFD_MUST_CHECK;

#endif
