/* kept_file.c - a small kernel file that is read each beat, kept open in between. */
#include "core/goproc/kept_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/base/buffer.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"

enum { READ_STEP_BYTES = 4096, DESCRIPTORS_FALLBACK = 256, DESCRIPTORS_MAX = 65536 };

void kept_files_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    const rlim_t wanted = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = wanted;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* refused: files are opened for each read */
}

void kept_files_init(struct kept_files *files)
{
    struct rlimit limit;
    const rlim_t descriptors =
        getrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : DESCRIPTORS_FALLBACK;
    *files = (struct kept_files){
        .open_max = descriptors == RLIM_INFINITY || descriptors > SIZE_MAX ? SIZE_MAX
                                                                           : (size_t)descriptors / 2};
}

/* Kernel files of this kind are made as a whole at the first byte: a short read is the end. */
static int read_from_start(int fd, struct buffer *out)
{
    for (;;) {
        size_t step = out->max_bytes - out->length;
        if (step == 0)
            return EFBIG;
        if (step > READ_STEP_BYTES)
            step = READ_STEP_BYTES;
        char *room = buffer_reserve(out, step);
        if (room == NULL)
            return ENOMEM;
        const ssize_t n = pread(fd, room, step, (off_t)out->length);
        if (n == -1 && errno == EINTR)
            continue;
        if (n == -1)
            return errno;
        out->length += (size_t)n;
        if ((size_t)n < step)
            return 0;
    }
}

static int open_file(struct kept_file *file, struct kept_files *files, const struct procfs *fs,
                     const char *relative)
{
    char path[PROCFS_PATH_MAX_BYTES];
    if (!procfs_path(fs, path, relative))
        return ENAMETOOLONG;
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (file->fd == -1)
        return errno;
    files->open++;
    return 0;
}

int kept_file_load(struct kept_file *file, struct kept_files *files, const struct procfs *fs,
                   const char *relative, struct buffer *out)
{
    buffer_clear(out);
    int failed = file->fd == -1 ? open_file(file, files, fs, relative) : 0;
    if (failed == 0)
        failed = read_from_start(file->fd, out);
    if (buffer_text(out) == NULL)
        failed = ENOMEM;
    if (failed != 0 || files->open > files->open_max)
        kept_file_close(file, files);
    return failed;
}

bool kept_file_is_open(const struct kept_file *file)
{
    return file->fd != -1;
}

void kept_file_close(struct kept_file *file, struct kept_files *files)
{
    if (file->fd == -1)
        return;
    (void)close(file->fd);
    file->fd = -1;
    files->open--;
}
