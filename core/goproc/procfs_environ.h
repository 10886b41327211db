/* procfs_environ.h - the environment a process was started with.
 *
 * It may hold secrets: only single variables are looked up, the text is dropped at once, and
 * nothing of it is shown but what a caller names.  The process can overwrite it: hostile text. */
#ifndef GOPROFD_GOPROC_PROCFS_ENVIRON_H
#define GOPROFD_GOPROC_PROCFS_ENVIRON_H

#include <stdbool.h>
#include <sys/types.h>

#include "core/base/buffer.h"
#include "core/base/error.h"
#include "core/goproc/procfs.h"

void procfs_environ_init(struct buffer *variables);
/* What is longer than the buffer takes is cut.  The kernel asks for the same rights as for memory. */
bool procfs_environ_read(const struct procfs *fs, pid_t pid, struct buffer *variables,
                         struct error *err) GOPROFD_MUST_CHECK;
/* The value of the first variable called [name], or NULL; lives in [variables]. */
const char *procfs_environ_get(const struct buffer *variables, const char *name);

#endif
