/* code_mappings.h - the executable mappings of a process, as pprof lists them.
 *
 * Chosen as src/runtime/pprof/proto.go (parseProcSelfMaps) chooses them, Go 1.19 to 1.27.  Read at
 * open. */
#ifndef GOPROFD_GOPROC_CODE_MAPPINGS_H
#define GOPROFD_GOPROC_CODE_MAPPINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/base/error.h"

struct mapping;
struct procfs;
struct procfs_maps;
struct site_table;

enum { CODE_MAPPINGS_MAX = 1024 };

/* [exe_path] and [exe_build_id] are those of the program itself; build ids of other files are
 * read through /proc/PID/root.  The result lives in [sites]. */
bool code_mappings_build(const struct procfs *fs, pid_t pid, const struct procfs_maps *maps,
                         const char *exe_path, const char *exe_build_id, struct site_table *sites,
                         const struct mapping **mappings, size_t *count, struct error *err)
    GOPROFD_MUST_CHECK;

#endif
