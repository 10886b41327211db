/* core_program.h - the program that wrote a core file; for go_process.c. */
#ifndef GOPROFD_GOPROC_CORE_PROGRAM_H
#define GOPROFD_GOPROC_CORE_PROGRAM_H

#include "core/base/error.h"
#include "core/goproc/procfs.h"

struct core_file;
struct go_program;

/* Opens the file with the Go code whose memory is in [core]: [exe], which may also be the library or the
 * program that ld.so was given; or if that is NULL the file at the path the core names, and if that is
 * not Go, the first Go file mapped for execution in [maps].  [image] gets its path as in maps.  What the core did not keep of it is then read from there.
 * ERROR_NOT_FOUND if the file is gone, ERROR_USAGE if it is not the one that wrote the core: by build
 * ids, where the core holds them. */
bool core_program_open(struct core_file *core, const char *exe, const struct procfs_maps *maps,
                       struct go_program *program, char image[PROCFS_PATH_MAX_BYTES],
                       struct error *err) GOPROFD_MUST_CHECK;

#endif
