/* other_runtimes.h - Go that is in a process besides the Go that is read.
 *
 * A C program may load several libraries made with -buildmode=c-shared, and a Go program one: each brings
 * a runtime of its own, with a heap, a garbage collector and a profile of its own.  One of
 * them is read (go_program_open_mapped says which); that there are others is found out here, and said.
 * A plugin (-buildmode=plugin) shares the runtime of its host and does not count.
 *
 * Entered by go_process.c at open and, since libraries come late, again every few seconds: only
 * for processes that have libraries at all.  At most OTHER_RUNTIMES_FILES_MAX files are looked into. */
#ifndef GOPROFD_GOPROC_OTHER_RUNTIMES_H
#define GOPROFD_GOPROC_OTHER_RUNTIMES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct procfs;
struct procfs_maps;

enum { OTHER_RUNTIMES_FILES_MAX = 256, OTHER_RUNTIMES_PATH_BYTES = 120 };

struct other_runtimes {
    uint64_t count;
    char first[OTHER_RUNTIMES_PATH_BYTES]; /* path of the first of them, its end if it is long */
    bool has_libraries_;
    uint64_t looked_at_ns_;
};

/* [image] is the path in [maps] of the one that is read. */
void other_runtimes_look(struct other_runtimes *others, const struct procfs *fs, pid_t pid,
                         const struct procfs_maps *maps, const char *image,
                         uint64_t now_monotonic_ns);
/* The same with maps of now, if it is time.  What cannot be read changes nothing. */
void other_runtimes_look_again(struct other_runtimes *others, const struct procfs *fs, pid_t pid,
                               const char *image, uint64_t now_monotonic_ns);

/* True if there are others: [*note] then says so, with ERROR_NONE, as nothing failed. */
bool other_runtimes_tell(const struct other_runtimes *others, struct error *note);

#endif
