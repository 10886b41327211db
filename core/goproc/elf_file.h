/* elf_file.h - an ELF executable on disk, read with bounds and never mapped.
 *
 * The file belongs to the target and may be truncated, replaced or malicious; pread(2) meets a
 * file that shrinks with an error where a mapping would meet it with SIGBUS.  64-bit little-endian
 * only.  One thread.
 *
 *   +------+-----------------+---- ... ----+------------------+
 *   | Ehdr | program headers |  contents   | section headers  |   headers are copied at open;
 *   +------+-----------------+---- ... ----+------------------+   contents are read on demand */
#ifndef GOPROFD_GOPROC_ELF_FILE_H
#define GOPROFD_GOPROC_ELF_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum {
    ELF_SEGMENTS_MAX = 1024,
    ELF_SECTIONS_MAX = 65536,
    ELF_BUILD_ID_MAX_BYTES = 64,
    ELF_GO_BUILD_ID_MAX_BYTES = 256,
};

enum elf_machine { ELF_MACHINE_X86_64, ELF_MACHINE_AARCH64, ELF_MACHINE_OTHER };

struct elf_segment { /* PT_LOAD */
    uint64_t address; /* as linked; add the load bias for a live address */
    uint64_t offset;
    uint64_t file_bytes;
    uint64_t memory_bytes;
    bool readable;
    bool writable;
    bool executable;
};

struct elf_section {
    const char *name; /* "" if it has none */
    uint64_t address;
    uint64_t offset;
    uint64_t bytes;
    uint32_t type;
    uint32_t link;
};

struct elf_file;

/* Takes over [fd] in every case.  ERROR_UNSUPPORTED if it is no ELF file of our kind, ERROR_CORRUPT
 * if it lies about itself. */
struct elf_file *elf_file_open(int fd, struct error *err);
void elf_file_close(struct elf_file *elf); /* NULL is allowed */

enum elf_machine elf_file_machine(const struct elf_file *elf);
bool elf_file_is_relocatable(const struct elf_file *elf); /* ET_DYN: loaded where it pleases */
uint64_t elf_file_bytes(const struct elf_file *elf);      /* size when it was opened */
int elf_file_descriptor(const struct elf_file *elf);      /* for reading with offsets; stays its own */

const struct elf_segment *elf_file_segments(const struct elf_file *elf, size_t *count);
/* The section called [name], or NULL. */
const struct elf_section *elf_file_section(const struct elf_file *elf, const char *name);

/* All of [length] bytes at [offset] of the file, or ERROR_CORRUPT. */
bool elf_file_read(const struct elf_file *elf, uint64_t offset, void *into, size_t length,
                   struct error *err) GOPROFD_MUST_CHECK;
/* The same by linked address, through the segments; the range must lie in one of them and in
 * the part of it that the file holds. */
bool elf_file_read_address(const struct elf_file *elf, uint64_t address, void *into, size_t length,
                           struct error *err) GOPROFD_MUST_CHECK;

/* How many bytes the file holds from linked [address] to the end of its segment; 0 if none. */
uint64_t elf_file_room(const struct elf_file *elf, uint64_t address);

/* Address minus linked address, from the lowest mapping of the file: [lowest_start] is its start
 * and [lowest_offset] its file offset. */
uint64_t elf_file_load_bias(const struct elf_file *elf, uint64_t lowest_start,
                            uint64_t lowest_offset);

/* One name to look up in .symtab; `found` and the rest are results. */
struct elf_symbol {
    const char *name;
    uint64_t address;
    uint64_t bytes;
    bool found;
};
bool elf_file_has_symbols(const struct elf_file *elf);
/* Looks up all of [wanted] in one pass over .symtab; names that are not there stay !found.  False
 * only when there is no usable symbol table. */
bool elf_file_find_symbols(const struct elf_file *elf, struct elf_symbol *wanted, size_t count,
                           struct error *err) GOPROFD_MUST_CHECK;

/* GNU build id as hex, and Go's build id as text; "" if the file has none. */
/* Which file it is, and in which state. */
struct elf_identity {
    uint64_t device;
    uint64_t inode;
    uint64_t file_bytes;
    uint64_t modified_ns;
    uint64_t changed_ns;
};
void elf_file_identity(const struct elf_file *elf, struct elf_identity *identity);

void elf_file_gnu_build_id(const struct elf_file *elf, char out[2 * ELF_BUILD_ID_MAX_BYTES + 1]);
void elf_file_go_build_id(const struct elf_file *elf, char out[ELF_GO_BUILD_ID_MAX_BYTES]);

#endif
