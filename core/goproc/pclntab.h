/* pclntab.h - program counters to functions, files and lines, as the Go runtime itself does it.
 *
 * The tables are copied from the executable's file (position independent, and reading them from the
 * process would fault its file pages in), whole, once per binary.  Immutable after loading except
 * for the cache of inline trees and the plugins that come later; one thread.
 *
 *   ftab: (entry offset, func offset) sorted     pc - text --search--> _func
 *   _func: name, pcfile, pcln, pcdata[], funcdata[]
 *   pctab: runs of (value delta, pc delta)       _func.pcln at pc --> line
 *   inline tree: nodes (name, parent pc)         pcdata[2] at pc --> node of the innermost call
 */
#ifndef GOPROFD_GOPROC_PCLNTAB_H
#define GOPROFD_GOPROC_PCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;
struct go_layout;
struct moduledata;
struct pclntab;
struct table_copies;

enum { PCLNTAB_INLINE_DEPTH_MAX = 256, PCLNTAB_CODE_BYTES = 16 << 10 };

/* A name inside the tables; not terminated by us but followed by a NUL in every case. */
struct pclntab_text {
    const char *text;
    size_t length;
};

struct pclntab_frame {
    struct pclntab_text function;
    struct pclntab_text file; /* "?" if the tables have none */
    uint32_t line;
    uint32_t start_line; /* 0 before Go 1.20 */
    uint64_t entry;      /* of the physical function */
    bool inlined;        /* the call was inlined into the function at `entry` */
};

/* Copies the tables.  [bias]: live address minus linked address.  All addresses in [module] are
 * live; the file is read through [elf]'s segments. */
struct pclntab *pclntab_load(const struct elf_file *elf, uint64_t bias,
                             const struct moduledata *module, const struct go_layout *layout,
                             struct error *err);
/* The same, with tables shared among processes; [copies] outlives it.  NULL: not shared. */
struct pclntab *pclntab_load_shared(struct table_copies *copies, const struct elf_file *elf,
                                    uint64_t bias, const struct moduledata *module,
                                    const struct go_layout *layout, struct error *err);
void pclntab_free(struct pclntab *table); /* NULL is allowed; not those appended */

/* From now on what is asked of [table] is also looked for in [plugin], which is borrowed and must outlive
 * [table].  Only pclntab_find_functions() asks [table] alone. */
void pclntab_append(struct pclntab *table, struct pclntab *plugin);
size_t pclntab_bytes(const struct pclntab *table);

/* The innermost logical frame at return address [pc], as runtime.CallersFrames gives it: looked up at
 * pc - 1 unless pc is the entry of its function.  False if pc is in no Go function. */
bool pclntab_frame_at(struct pclntab *table, uint64_t pc, struct pclntab_frame *frame);

/* The name runtime.FuncForPC gives for [pc] itself (not pc - 1).  False if pc is in no Go function. */
bool pclntab_name_at(struct pclntab *table, uint64_t pc, struct pclntab_text *name);

/* Expands the last pc of a stack to itself and the callers it was inlined into, as
 * runtime_expandFinalInlineFrame does.  Writes at most [capacity] return addresses to [pcs] and
 * returns how many; 0 means that there is nothing to expand and [pc] stays as it is. */
size_t pclntab_expand_last(struct pclntab *table, uint64_t pc, uint64_t *pcs, size_t capacity);

/* Where code of the function at [pc] lies: it ends at [*end], or goes on after that if that is
 * PCLNTAB_CODE_BYTES or more behind [before]; at [*start], the last such place up to [before] that the tables
 * tell, an instruction begins. */
bool pclntab_code_at(const struct pclntab *table, uint64_t pc, uint64_t before, uint64_t *start,
                     uint64_t *end);

/* Functions looked up by name; `end` 0 where there is none.  One pass for all of them. */
struct pclntab_named {
    const char *name;
    uint64_t start;
    uint64_t end;
};
void pclntab_find_functions(const struct pclntab *table, struct pclntab_named *wanted,
                            size_t count);

#endif
