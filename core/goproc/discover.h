/* discover.h - which processes are new since the last look, cheaply.
 *
 * Called by the sampler thread each interval.  While no pid was given out since the last scan, /proc is
 * not even listed; and a listing opens nothing for a process already judged, which is recognised by
 * pid and inode of its /proc folder.  Since exec() keeps both, each scan asks which file a judged
 * process runs, and looks at it closely (start time, name) at the next scan, after 1 s, and then at
 * growing ages up to a minute; if its image changed it is offered again.
 *
 *   listing of /proc  --new, changed or asked again-->  visit(): take it? ask again? */
#ifndef GOPROFD_GOPROC_DISCOVER_H
#define GOPROFD_GOPROC_DISCOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

struct procfs;
struct discover;

enum discover_verdict {
    DISCOVER_REMEMBER,  /* judged: do not offer it again while it runs this program */
    DISCOVER_ASK_AGAIN, /* not yet: offer it at the next scan, then at growing intervals */
};

/* [fs] is borrowed.  NULL without memory. */
struct discover *discover_new(const struct procfs *fs);
void discover_free(struct discover *discover); /* NULL is allowed */

/* Looks at /proc once and calls [visit] for each process that is not judged, in order of pid.
 * Vanished ones are forgotten.  False if /proc cannot be listed (ERROR_SYSTEM) or there is no
 * memory; what was known stays known. */
bool discover_scan(struct discover *discover, uint64_t now_monotonic_ns,
                   enum discover_verdict (*visit)(pid_t pid, uint64_t start_ticks, void *context),
                   void *context, struct error *err) GOPROFD_MUST_CHECK;

/* Processes at the last listing, which is at most ten seconds old. */
size_t discover_known_count(const struct discover *discover);

/* Whether the path [exe] matches [glob] by fnmatch(3).  '*' and '?' stand for '/' as well: all of a
 * folder is "/srv/" and a '*'.  A glob without '/' is matched with the base name.  A trailing
 * " (deleted)" of the kernel's does not count. */
bool discover_glob_matches(const char *glob, const char *exe);

#endif
