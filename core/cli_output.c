/* cli_output.c - arguments and files of the one-shot commands. */
#include "core/cli_output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

#include "core/base/buffer.h"

bool cli_parse_pid(const char *text, pid_t *pid)
{
    char *end = NULL;
    errno = 0;
    const long value = strtol(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value <= 0 || value > INT_MAX)
        return false;
    *pid = (pid_t)value;
    return true;
}

bool cli_write_all(int fd, const char *bytes, size_t length, struct error *err)
{
    while (length > 0) {
        const ssize_t n = write(fd, bytes, length);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return error_set(err, ERROR_SYSTEM, "write: %s", error_errno_text(errno));
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

bool cli_write_file(const char *path, const struct buffer *body, struct error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd == -1)
        return error_set(err, ERROR_SYSTEM, "%s: %s", path, error_errno_text(errno));
    bool ok = cli_write_all(fd, body->data, body->length, err);
    if (close(fd) == -1 && ok)
        ok = error_set(err, ERROR_SYSTEM, "close: %s", error_errno_text(errno));
    return ok ? true : error_wrap(err, "%s", path);
}
