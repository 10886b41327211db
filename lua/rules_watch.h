/* rules_watch.h - notices that rules were changed on disk, and asks for a reload.
 *
 *   inotify on the folder --quiet for a moment--> changed()
 *
 * Its own thread.  Editors write in several steps, and several files are saved one after the other: it waits until
 * nothing has happened for QUIET_MS.  What is half written or wrong then fails to load, and the old rules stay. */
#ifndef GOPROFD_LUA_RULES_WATCH_H
#define GOPROFD_LUA_RULES_WATCH_H

#include "core/base/error.h"

struct rules_watch;

/* Calls [changed] on the watch's thread each time a *.lua of [dir] has come, gone or changed.  A folder that goes is
 * looked for again.  NULL with the reason. */
struct rules_watch *rules_watch_start(const char *dir, void (*changed)(void *context), void *context,
                                      struct error *err);
void rules_watch_stop(struct rules_watch *watch); /* joins and frees; NULL is allowed */

#endif
