/* pclntab_parts.h - what pclntab.c lends to stack_walk.c: records of functions and their tables.
 *
 * No one else includes it.  All of it is checked against the tables' bounds by pclntab.c. */
#ifndef GOPROFD_GOPROC_PCLNTAB_PARTS_H
#define GOPROFD_GOPROC_PCLNTAB_PARTS_H

#include "core/goproc/pclntab.h"

/* A function, found by pc: its record lies within pclntable, fixed part and arrays. */
struct pclntab_function {
    const struct pclntab *module; /* whose tables hold it */
    const unsigned char *record;
    size_t room_bytes; /* from the record to the end of the table */
    uint64_t entry;
    uint32_t npcdata;
    uint32_t nfuncdata;
};

/* One step outwards from an inlined call. */
struct pclntab_inlining {
    struct pclntab_text name;
    uint32_t start_line;
    uint32_t func_id;
    uint64_t parent_pc;
};

const struct go_layout *pclntab_layout(const struct pclntab *table);
unsigned pclntab_quantum(const struct pclntab *table);

/* The last function that starts at or before [pc], as findfunc does. */
bool pclntab_find_function(const struct pclntab *table, uint64_t pc,
                           struct pclntab_function *function);

/* Its name, terminated; false if it has none. */
bool pclntab_physical_name(const struct pclntab_function *function, struct pclntab_text *name);

/* The value of the table at [offset] for [pc]; -1 if it has none. */
int32_t pclntab_value_at(const struct pclntab_function *function, uint32_t offset, uint64_t pc);

/* The innermost inlined call at [pc], if any. */
bool pclntab_inlined_at(const struct pclntab_function *function, uint64_t pc,
                        struct pclntab_inlining *inlining);

#endif
