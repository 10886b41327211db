/* go_finder.h - which processes run Go code, asked for every new process of a host.
 *
 * Called by target_set.c on the sampler's thread, and by `goprofd ps`.  The executable is looked at first;
 * if that is not Go (ld.so that was given a program, a C program with a Go library in it), so are the
 * files that are mapped for execution, and then, only if it runs code that is in no file, its memory
 * (image_copy.h).  What holds no Go is remembered by device and inode for some minutes: each library
 * of a host is opened once. */
#ifndef GOPROFD_GOPROC_GO_FINDER_H
#define GOPROFD_GOPROC_GO_FINDER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"
#include "core/goproc/procfs.h"

struct go_finder;

struct go_found {
    char go_version[64]; /* "" if the linker noted none */
    /* The path of the file that holds Go, as the kernel names it (" (deleted)" and all), "" if there is
     * none; and whether
     * the executable is only the loader it was started through. */
    char image[PROCFS_PATH_MAX_BYTES];
    bool through_loader;
};

/* [fs] is borrowed.  NULL without memory. */
struct go_finder *go_finder_new(const struct procfs *fs);
void go_finder_free(struct go_finder *finder); /* NULL is allowed */

/* False: ERROR_UNSUPPORTED "not a Go program", ERROR_GONE, ERROR_DENIED, ... */
bool go_finder_look(struct go_finder *finder, pid_t pid, uint64_t now_monotonic_ns,
                    struct go_found *found, struct error *err) GOPROFD_MUST_CHECK;

/* Whether the file name of [path] is that of a dynamic loader: ld-linux-x86-64.so.2, ld-musl-... */
bool go_finder_is_loader(const char *path);

#endif
