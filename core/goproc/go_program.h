/* go_program.h - what the executable file alone tells: is it Go, which version, which layout.
 *
 * No memory of a process is read.  Used by probes and, as the first step, when a process is opened.
 * Immutable after opening. */
#ifndef GOPROFD_GOPROC_GO_PROGRAM_H
#define GOPROFD_GOPROC_GO_PROGRAM_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/goproc/buildinfo.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/procfs.h"

struct arena;

struct go_program {
    struct elf_file *elf;
    struct arena *arena_;
    struct buildinfo info; /* go_version "" if the linker noted none, or GO_VERSION_GCCGO */
    char build_id[2 * ELF_BUILD_ID_MAX_BYTES + 1]; /* GNU, hex */
    char go_build_id[ELF_GO_BUILD_ID_MAX_BYTES];
};

/* Opens /proc/PID/exe.  ERROR_UNSUPPORTED "not a Go program" and the like, ERROR_GONE, ERROR_DENIED
 * with the cure, ERROR_CORRUPT. */
bool go_program_open(const struct procfs *fs, pid_t pid, struct go_program *program,
                     struct error *err) GOPROFD_MUST_CHECK;
/* The same; if the program itself is not Go (the loader ld.so, a C program with a Go library in
 * it), the first file among [maps] that is mapped for execution and is Go.  [image] gets its path
 * as in maps. */
bool go_program_open_mapped(const struct procfs *fs, pid_t pid, const struct procfs_maps *maps,
                            struct go_program *program, char image[PROCFS_PATH_MAX_BYTES],
                            struct error *err) GOPROFD_MUST_CHECK;
/* Whether [mapping] is large enough for a Go runtime's code and backed by a file; and that file,
 * opened as by go_program_open. */
bool go_program_may_be_mapped(const struct procfs_mapping *mapping);
bool go_program_open_mapping(const struct procfs *fs, pid_t pid,
                             const struct procfs_mapping *mapping, struct go_program *program,
                             struct error *err) GOPROFD_MUST_CHECK;
/* The same from an open file, which is taken over in every case. */
bool go_program_open_fd(int fd, struct go_program *program, struct error *err) GOPROFD_MUST_CHECK;
void go_program_close(struct go_program *program); /* harmless when zeroed */

#endif
