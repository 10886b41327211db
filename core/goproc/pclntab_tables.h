/* pclntab_tables.h - the function tables of one module as pclntab_load.c leaves them for pclntab.c.
 *
 * No one else includes it. */
#ifndef GOPROFD_GOPROC_PCLNTAB_TABLES_H
#define GOPROFD_GOPROC_PCLNTAB_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct elf_file;
struct go_layout;
struct table_copy;
struct tree_pages;

/* A table as a span of our copy. */
struct span {
    const unsigned char *bytes;
    size_t length;
};

struct pclntab {
    const struct elf_file *elf; /* borrowed: lives as long as the process that opened it */
    const struct go_layout *layout;
    unsigned quantum;
    uint64_t bias;
    uint64_t minpc;
    uint64_t maxpc;
    uint64_t text;
    uint64_t gofunc;
    const struct table_copy *copy;
    struct span funcnames;
    struct span cutab;
    struct span files;
    struct span pctab;
    struct span pclntable;
    struct span ftab;
    size_t function_count;
    struct tree_pages *trees; /* read in pages of the file, as they are needed */
    struct pclntab *next;     /* of a plugin, borrowed; NULL: there is none */
};

#endif
