/* image_mark.h - tells one program image of a process from the next, after exec().
 *
 * For go_process.c where /proc/PID/mem may not be opened: it belongs to the process's user, so that
 * CAP_SYS_PTRACE alone, without being root, is not enough for it, though it is for reading memory. */
#ifndef GOPROFD_GOPROC_IMAGE_MARK_H
#define GOPROFD_GOPROC_IMAGE_MARK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/goproc/procfs.h"

struct image_mark {
    uint64_t start_ticks;
    uint64_t places; /* of code, data, stack, arguments and environment, mixed; stacks are placed at random */
    uint64_t code;   /* where the code begins: something that is mapped */
};

/* False if the process is gone, or the kernel does not tell us. */
bool image_mark_read(const struct procfs *fs, pid_t pid, struct image_mark *mark);
bool image_mark_parse(const char *stat_line, struct image_mark *mark);

#endif
