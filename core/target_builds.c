/* target_builds.c - tells a deploy from a restart.
 *
 * Called by target.c when it has opened a process. */
#include "core/target_builds.h"

#include <string.h>

bool target_builds_note(struct target_builds *builds, const char *id, uint64_t start_realtime_ns)
{
    const size_t length = strlen(id);
    if (length == 0 || length >= BUILD_ID_ROOM || strcmp(builds->id, id) == 0)
        return false;
    const bool deployed = builds->id[0] != '\0';
    if (deployed) {
        memcpy(builds->previous, builds->id, sizeof(builds->previous));
        builds->deployed_realtime_ns = start_realtime_ns;
    }
    memcpy(builds->id, id, length + 1);
    builds->generation++;
    return deployed;
}
