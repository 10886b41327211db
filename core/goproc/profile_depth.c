/* profile_depth.c - finds profstackdepth in the environment of a process.
 *
 * Called by go_process_open.c.  The text is the target's: anything may be in it. */
#include "core/goproc/profile_depth.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/go_layout.h"
#include "core/goproc/procfs_environ.h"

enum { SETTING_SINCE_MINOR = 23 };

size_t profile_depth_default(const struct go_layout *layout)
{
    return layout->minor >= SETTING_SINCE_MINOR ? PROFILE_DEPTH_DEFAULT : PROFILE_DEPTH_OLD;
}

/* One setting of GODEBUG: "profstackdepth=" and a number, as runtime.parsegodebug takes it.  A program with
 * 0 or less does not start, or shows nothing. */
static void take_setting(const char *setting, size_t length, size_t *depth)
{
    static const char key[] = "profstackdepth=";
    const size_t key_length = sizeof(key) - 1;
    char *end = NULL;

    if (length <= key_length || memcmp(setting, key, key_length) != 0)
        return;
    const char *digits = setting + key_length;
    if (*digits < '0' || *digits > '9')
        return;
    errno = 0;
    const unsigned long number = strtoul(digits, &end, 10);
    if (errno != 0 || end != setting + length || number == 0 || number > INT32_MAX)
        return;
    *depth = number < PROFILE_DEPTH_MAX ? (size_t)number : PROFILE_DEPTH_MAX;
}

size_t profile_depth_parse(const struct go_layout *layout, const char *godebug)
{
    size_t depth = profile_depth_default(layout);

    if (layout->minor < SETTING_SINCE_MINOR || godebug == NULL)
        return depth;
    for (const char *setting = godebug;; setting++) { /* the last one counts */
        const size_t length = strcspn(setting, ",");
        take_setting(setting, length, &depth);
        setting += length;
        if (*setting == '\0')
            return depth;
    }
}

size_t profile_depth_read(const struct procfs *fs, pid_t pid, const struct go_layout *layout)
{
    struct buffer variables;
    size_t depth = profile_depth_default(layout);

    if (layout->minor < SETTING_SINCE_MINOR)
        return depth;
    procfs_environ_init(&variables);
    if (procfs_environ_read(fs, pid, &variables, NULL))
        depth = profile_depth_parse(layout, procfs_environ_get(&variables, "GODEBUG"));
    buffer_release(&variables);
    return depth;
}
