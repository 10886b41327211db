/* table_copies.h - the function tables of programs: one copy for all processes that run a program.
 *
 *   process --.                          .-- tables: the same bytes, compared (or the same file)
 *   process ---> pclntab (addresses) ---<
 *   process --'                          '-- inline trees: the same file (device, inode, times, size)
 *
 * Build ids only say what to compare: a program that bears another's id gets its own copy.  Things are counted
 * and go with their last user.  One thread, as everything of the processes that share them. */
#ifndef GOPROFD_GOPROC_TABLE_COPIES_H
#define GOPROFD_GOPROC_TABLE_COPIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;
struct table_copies;

/* The bytes of a program's function tables, and a NUL behind them. */
struct table_copy {
    const unsigned char *bytes;
    size_t length;
};

/* Pages of a program's inline trees, filled as they are needed; NULL where not yet. */
enum { TREE_PAGE_BYTES = 32 << 10, TREE_PAGES_MAX = 16384 };
struct tree_pages {
    unsigned char **pages; /* TREE_PAGES_MAX */
    size_t bytes;
};

struct table_copies *table_copies_new(void); /* NULL without memory */
void table_copies_free(struct table_copies *copies); /* no process that uses it may be left; NULL is allowed */

/* What is at [address] (as linked) of [elf].  [copies] NULL: a copy of its own.  NULL with the reason. */
const struct table_copy *table_copies_take(struct table_copies *copies, const struct elf_file *elf,
                                           uint64_t address, size_t length, struct error *err);
void table_copy_release(const struct table_copy *copy); /* NULL is allowed */

struct tree_pages *tree_pages_take(struct table_copies *copies, const struct elf_file *elf,
                                   struct error *err);
void tree_pages_release(struct tree_pages *pages); /* NULL is allowed */

size_t table_copies_count(const struct table_copies *copies); /* tables, for tests */

#endif
