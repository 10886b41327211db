/* source_file.c - reads Lua files and makes their errors begin with FILE:LINE.
 *
 * Called when config or rules are loaded, and when a rule fails. */
#include "lua/source_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

char *source_file_read(const char *path, size_t max_bytes, size_t *length, struct error *err)
{
    char *text = NULL;
    struct stat info;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a fifo must not block us */
    if (fd == -1) {
        (void)error_set(err, ERROR_SYSTEM, "%s: %s", path, error_errno_text(errno));
        return NULL;
    }
    if (fstat(fd, &info) == -1 || !S_ISREG(info.st_mode)) {
        (void)error_set(err, ERROR_USAGE, "%s: not a regular file", path);
        goto fail;
    }
    text = malloc(max_bytes + 1);
    if (text == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "%s: no memory to read it", path);
        goto fail;
    }
    *length = 0;
    for (;;) {
        const ssize_t got = read(fd, text + *length, max_bytes + 1 - *length);
        if (got == -1 && errno == EINTR)
            continue;
        if (got == -1) {
            (void)error_set(err, ERROR_SYSTEM, "%s: %s", path, error_errno_text(errno));
            goto fail;
        }
        if (got == 0)
            break;
        *length += (size_t)got;
        if (*length > max_bytes) {
            (void)error_set(err, ERROR_LIMIT, "%s: larger than %zu KiB", path,
                            max_bytes / 1024);
            goto fail;
        }
    }
    (void)close(fd);
    return text;

fail:
    (void)close(fd);
    free(text);
    return NULL;
}

const char *source_file_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

void source_file_name_error(const char *path, struct error *err)
{
    const char *base = source_file_base(path);
    const size_t length = strlen(base);
    if (strncmp(err->message, base, length) == 0 && err->message[length] == ':') {
        const struct error before = *err;
        (void)error_set(err, before.code, "%.*s%s", (int)(base - path), path, before.message);
    } else {
        (void)error_wrap(err, "%s", path);
    }
}
