/* moduledata.h - the linker's description of one Go module: where its tables and data are.
 *
 * Found through its symbol, or without one by the chain
 *
 *   pclntab header (magic, in the file) <--- first word of runtime.moduledata (in live data)
 *
 * and believed only when its other words agree with that header.  Plain record; read once at open. */
#ifndef GOPROFD_GOPROC_MODULEDATA_H
#define GOPROFD_GOPROC_MODULEDATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;
struct go_layout;
struct memory;

/* Bytes of the pclntab header, and its magics: src/internal/abi/symtab.go, src/debug/gosym. */
enum { PCLNTAB_HEADER_BYTES = 72 };
#define PCLNTAB_MAGIC_1_2 UINT32_C(0xfffffffb)
#define PCLNTAB_MAGIC_1_16 UINT32_C(0xfffffffa)
#define PCLNTAB_MAGIC_1_18 UINT32_C(0xfffffff0) /* 1.18 and 1.19 */
#define PCLNTAB_MAGIC_1_20 UINT32_C(0xfffffff1) /* 1.20 to at least 1.27 */

struct module_range {
    uint64_t start; /* live address */
    uint64_t end;
};

struct module_table {
    uint64_t address; /* live */
    uint64_t count;   /* of elements: bytes, 4-byte words or 8-byte pairs */
};

struct moduledata {
    uint64_t address;
    uint64_t pcheader;
    unsigned quantum; /* bytes that one unit of pc delta stands for: 1 on amd64, 4 on arm64 */
    struct module_table funcnames; /* bytes */
    struct module_table cutab;     /* u32 */
    struct module_table files;     /* bytes */
    struct module_table pctab;     /* bytes */
    struct module_table pclntable; /* bytes */
    struct module_table ftab;      /* pairs of u32; the last one only ends the table */
    uint64_t minpc;
    uint64_t maxpc;
    uint64_t text;
    uint64_t etext;
    struct module_range noptrdata;
    struct module_range data;
    struct module_range bss;
    struct module_range noptrbss;
    struct module_range types;   /* type data; empty until the version is known */
    uint64_t gofunc; /* base of function data (inline trees) */
};

/* Reads and checks the one at [address].  ERROR_CORRUPT if it cannot be one.  Without [layout] (the
 * version is not known yet) `gofunc` stays 0; everything else is the same in all versions. */
bool moduledata_read(struct memory *memory, uint64_t address, const struct go_layout *layout,
                     struct moduledata *module, struct error *err) GOPROFD_MUST_CHECK;

/* Finds and reads it without symbols or section names.  ERROR_UNSUPPORTED if there is none. */
bool moduledata_find(const struct elf_file *elf, struct memory *memory, uint64_t bias,
                     const struct go_layout *layout, struct moduledata *module, struct error *err)
    GOPROFD_MUST_CHECK;

/* Linked address and magic of the pclntab header in [elf], searched by section name, then in all
 * segments from linked address [*from] on (0 to begin).  False when there is no further one. */
bool moduledata_find_pclntab(const struct elf_file *elf, uint64_t from, uint64_t *address,
                             uint32_t *magic);

#endif
