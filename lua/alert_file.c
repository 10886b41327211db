/* alert_file.c - see alert_file.h.  Read before the rule thread starts, written by it. */
#include "lua/alert_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "lua/judge.h"
#include "lua/source_file.h"

enum { FILE_MAX_BYTES = 32 << 20, PATH_MAX_BYTES = 4096 };

static bool path_of(const char *state_dir, const char *name, char path[PATH_MAX_BYTES],
                    struct error *err)
{
    const int length = snprintf(path, PATH_MAX_BYTES, "%s/%s", state_dir, name);
    return (length > 0 && length < PATH_MAX_BYTES) ||
           error_set(err, ERROR_USAGE, "state_dir: the path is too long");
}

static bool write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(fd, data, length);
        if (written == -1 && errno == EINTR)
            continue;
        if (written <= 0)
            return false;
        data += written;
        length -= (size_t)written;
    }
    return true;
}

bool alert_file_write(const char *state_dir, const struct judge *judge, struct error *err)
{
    char path[PATH_MAX_BYTES];
    char temporary[PATH_MAX_BYTES];
    struct buffer text;
    if (!path_of(state_dir, "alerts.json", path, err) ||
        !path_of(state_dir, ".alerts.json.new", temporary, err))
        return false;
    buffer_init(&text, FILE_MAX_BYTES);
    judge_write_alerts(judge, &text);
    if (text.failed) {
        buffer_release(&text);
        return error_set(err, ERROR_NO_MEMORY, "no memory for open alerts");
    }
    (void)mkdir(state_dir, 0755); /* if that fails, open says why */
    const int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    bool ok = fd != -1 && write_all(fd, text.data, text.length);
    if (fd != -1 && close(fd) == -1)
        ok = false;
    ok = ok && rename(temporary, path) == 0;
    if (!ok)
        (void)error_set(err, ERROR_SYSTEM, "state_dir: %s: %s", path, error_errno_text(errno));
    buffer_release(&text);
    return ok;
}

bool alert_file_read(const char *state_dir, struct judge *judge, uint64_t now_ns,
                     struct error *err)
{
    char path[PATH_MAX_BYTES];
    size_t length = 0;
    if (!path_of(state_dir, "alerts.json", path, err))
        return false;
    if (access(path, F_OK) == -1 && errno == ENOENT)
        return true;
    char *text = source_file_read(path, FILE_MAX_BYTES, &length, err);
    if (text == NULL)
        return false;
    const bool ok = judge_restore_alerts(judge, text, length, now_ns, err) ||
                    error_wrap(err, "%s", path);
    free(text);
    return ok;
}
