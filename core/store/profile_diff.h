/* profile_diff.h - what changed from one heap profile to another.
 *
 * Of one process sites are compared with themselves; over a restart or a deploy by their stacks: the same
 * functions, files and lines.  A stack that only one of them has counts whole. */
#ifndef GOPROFD_STORE_PROFILE_DIFF_H
#define GOPROFD_STORE_PROFILE_DIFF_H

struct profile;

/* A profile with the differences [to] - [from], which may be negative; entries without one are left out.  It
 * points to sites of both: unref it before them.  NULL without memory.  Any thread. */
const struct profile *profile_diff_new(const struct profile *from, const struct profile *to);

#endif
