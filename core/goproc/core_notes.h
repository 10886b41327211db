/* core_notes.h - the notes of a core file: whose it is, and which files were mapped; for core_file.c. */
#ifndef GOPROFD_GOPROC_CORE_NOTES_H
#define GOPROFD_GOPROC_CORE_NOTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

#define CORE_NOTES_TEXT_MAX_BYTES ((size_t)16 << 20)

struct core_mapped_file {
    uint64_t start;
    uint64_t end;
    uint64_t offset; /* in the file, bytes */
    const char *path;
};

struct core_notes {
    pid_t pid;                /* NT_PRPSINFO */
    char command[81];
    uint64_t program_headers; /* NT_AUXV: AT_PHDR, which lies in the executable; or 0 */
    uint64_t vdso;            /* AT_SYSINFO_EHDR; or 0 */
    struct core_mapped_file *files; /* NT_FILE */
    size_t file_count;
    char *file_text_;
};

struct core_notes_source {
    int fd;
    uint64_t file_bytes;
};

/* Adds what the [length] bytes of notes at [offset] say. */
bool core_notes_read(struct core_notes *notes, const struct core_notes_source *source,
                     uint64_t offset, uint64_t length, struct error *err) GOPROFD_MUST_CHECK;
void core_notes_release(struct core_notes *notes);

/* From the first page of an ELF file, with its headers; "" where it holds none. */
void core_notes_build_ids(const unsigned char *page, size_t page_bytes, char *gnu, size_t gnu_bytes,
                          char *go, size_t go_bytes);

#endif
