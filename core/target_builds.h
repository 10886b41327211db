/* target_builds.h - which build of its program a target runs: a restart is not a deploy.
 *
 *   attach: same build id -> a restart; another one -> a deploy, which begins a new build generation
 *
 * Pure; part of struct target, on the sampler thread. */
#ifndef GOPROFD_TARGET_BUILDS_H
#define GOPROFD_TARGET_BUILDS_H

#include <stdbool.h>
#include <stdint.h>

enum { BUILD_ID_ROOM = 256 }; /* Go's have 83 bytes, GNU's in hex 40 */

struct target_builds {
    char id[BUILD_ID_ROOM];       /* "" while none is known */
    char previous[BUILD_ID_ROOM]; /* the one before; "" if there was none */
    uint64_t generation;          /* 1, 2, ...; 0 while none is known */
    uint64_t deployed_realtime_ns; /* when [id] was first started after [previous]; 0: never seen */
};

/* Notes that a process of the build [id], started at [start_realtime_ns], runs now.  One without an id
 * (or with one too long to be one) tells nothing.  Returns whether it is a deploy. */
bool target_builds_note(struct target_builds *builds, const char *id, uint64_t start_realtime_ns);

#endif
