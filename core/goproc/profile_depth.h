/* profile_depth.h - how many pcs of a stack the process's own goroutine, block and mutex profiles show.
 *
 *   GODEBUG=profstackdepth=N in its environment --> N     (Go 1.23 and later: runtime/extern.go)
 *
 * The runtime reads that setting once, when it starts, so what the process does to its environment later does
 * not matter; and it is not among those that a build may set (//go:debug).  Read once at open. */
#ifndef GOPROFD_GOPROC_PROFILE_DEPTH_H
#define GOPROFD_GOPROC_PROFILE_DEPTH_H

#include <stddef.h>
#include <sys/types.h>

struct go_layout;
struct procfs;

enum {
    PROFILE_DEPTH_OLD = 32,      /* runtime.maxStack, up to Go 1.22 */
    PROFILE_DEPTH_DEFAULT = 128, /* runtime: debug.profstackdepth */
    PROFILE_DEPTH_MAX = 1024,    /* runtime.maxProfStackDepth */
};

/* Of a program of that Go version, if nothing else is said. */
size_t profile_depth_default(const struct go_layout *layout);

/* What [godebug], the variable's text (NULL: not set), makes of it. */
size_t profile_depth_parse(const struct go_layout *layout, const char *godebug);

/* The default also where the environment cannot be read. */
size_t profile_depth_read(const struct procfs *fs, pid_t pid, const struct go_layout *layout);

#endif
