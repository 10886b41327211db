/* core_file.h - the memory of a process that is over, from its core file.
 *
 * Used by go_process.c for `goprofd heap --core`.  Cores of the kernel and of gdb's gcore: ELF with a
 * PT_LOAD for each piece of memory and notes that name the mapped files.  They may be huge and sparse:
 * headers are copied at open, memory is read with pread(2) as it is asked for, nothing is mapped.  The
 * file may be truncated or made up: bounded, checked, named.  Immutable after opening; one thread.
 *
 *   address --in a PT_LOAD, in the part the file holds--> the core
 *           \-in a mapped file that was not dumped------> that file, if core_file_set_image() gave it */
#ifndef GOPROFD_GOPROC_CORE_FILE_H
#define GOPROFD_GOPROC_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct core_file;
struct elf_file;
struct memory;
struct procfs_maps;

/* ERROR_NOT_FOUND, ERROR_DENIED; ERROR_UNSUPPORTED if [path] is no core file of amd64 or arm64;
 * ERROR_CORRUPT if it is cut off before its headers end, or they make no sense. */
struct core_file *core_file_open(const char *path, struct error *err);
void core_file_close(struct core_file *core); /* NULL is allowed */

/* As the kernel noted them: 0 and "" if it did not. */
pid_t core_file_pid(const struct core_file *core);
const char *core_file_command(const struct core_file *core); /* at most 79 bytes of the arguments */
uint64_t core_file_written_realtime_ns(const struct core_file *core);

/* How many bytes its headers promise and the file does not have: 0 if it is whole. */
uint64_t core_file_missing_bytes(const struct core_file *core);

/* Path of the executable, as it was mapped; "" if the core does not tell. */
const char *core_file_exe(const struct core_file *core);

/* The mappings, as far as the core tells: files with their paths, the rest without. */
bool core_file_maps(const struct core_file *core, struct procfs_maps *maps,
                    struct error *err) GOPROFD_MUST_CHECK;

/* The build ids in the first page of the file mapped as [image_path]: GNU's in hex and Go's; "" where
 * there is none, or the page was not dumped. */
void core_file_build_ids(const struct core_file *core, const char *image_path, char *gnu,
                         size_t gnu_bytes, char *go, size_t go_bytes);

/* What was mapped as [image_path] and not dumped is from now on taken from [elf]; both must outlive the
 * core. */
void core_file_set_image(struct core_file *core, const char *image_path,
                         const struct elf_file *elf);

/* The memory reads through [core], which must outlive it.  ERROR_CORRUPT for addresses that the core
 * does not hold and where it is truncated. */
void core_file_memory(struct core_file *core, struct memory *memory);

#endif
