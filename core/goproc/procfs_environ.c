/* procfs_environ.c - the environment a process was started with. */
#include "core/goproc/procfs_environ.h"

#include <errno.h>

#include "core/goproc/procfs_file.h"

#define ENVIRON_MAX_BYTES ((size_t)256 << 10)

void procfs_environ_init(struct buffer *variables)
{
    buffer_init(variables, ENVIRON_MAX_BYTES);
}

bool procfs_environ_read(const struct procfs *fs, pid_t pid, struct buffer *variables,
                         struct error *err)
{
    char relative[32];
    (void)snprintf(relative, sizeof(relative), "proc/%d/environ", (int)pid);
    const int failed = procfs_load(fs, relative, variables);
    if (failed == 0 || failed == EFBIG)
        return true;
    return procfs_pid_error(fs, pid, "environ", failed, err);
}

const char *procfs_environ_get(const struct buffer *variables, const char *name)
{
    const size_t name_length = strlen(name);
    if (variables->length == 0)
        return NULL;
    const char *end = variables->data + variables->length;
    for (const char *variable = variables->data; variable < end;) {
        const char *nul = memchr(variable, '\0', (size_t)(end - variable));
        if (nul == NULL) /* cut off, or the last one without its NUL: not a whole value */
            return NULL;
        if ((size_t)(nul - variable) > name_length && variable[name_length] == '=' &&
            memcmp(variable, name, name_length) == 0)
            return variable + name_length + 1;
        variable = nul + 1;
    }
    return NULL;
}
