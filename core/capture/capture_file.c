/* capture_file.c - one capture on disk: profile and sidecar appear whole, or not at all. */
#include "core/capture/capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/capture/capture.h"
#include "core/capture/capture_name.h"

enum {
    DIR_MODE = 0750,
    FILE_MODE = 0640, /* profiles name code paths: not for everyone on the host */
    REPEATS_MAX = 10000,
    TMP_NAMES_MAX = 100,
    TMP_NAME_BYTES = 64,
};

/* ---- folders ---- */

static enum error_code code_of(int errno_value)
{
    return errno_value == EACCES || errno_value == EPERM || errno_value == EROFS ? ERROR_DENIED
                                                                                 : ERROR_SYSTEM;
}

static const char *cure_of(int errno_value)
{
    switch (errno_value) {
    case EACCES:
    case EPERM:
        return "; give the daemon's user write access or set profile_capture_dir";
    case EROFS:
        return "; set profile_capture_dir to a writable place";
    case ENOTDIR:
    case EEXIST:
        return "; a file is in the way: move it or set profile_capture_dir";
    case ENOSPC:
    case EDQUOT:
        return "; free some space or lower profile_capture_max_files or profile_capture_max_bytes";
    default:
        return "";
    }
}

static bool fail(struct error *err, int errno_value, const char *what, const char *dir,
                 const char *name)
{
    return error_set(err, code_of(errno_value), "%s %s%s%s: %s%s", what, dir,
                     name[0] == '\0' ? "" : "/", name, error_errno_text(errno_value),
                     cure_of(errno_value));
}

/* mkdir -p; a component that exists is fine, whatever it is: opening it will tell. */
static bool make_dirs(const char *dir, struct error *err)
{
    char path[CAPTURE_PATH_MAX_BYTES];
    const size_t length = strlen(dir);
    if (length == 0 || length >= sizeof(path))
        return error_set(err, ERROR_USAGE, "profile_capture_dir has %zu bytes; allowed are 1 to %d",
                         length, CAPTURE_PATH_MAX_BYTES - 1);
    for (size_t i = 1; i <= length; i++) {
        if (dir[i] != '/' && dir[i] != '\0')
            continue;
        memcpy(path, dir, i);
        path[i] = '\0';
        if (mkdir(path, DIR_MODE) == -1 && errno != EEXIST) {
            const int why = errno;
            /* a parent we may not write to may still hold the folder that is asked for */
            if (i == length || (why != EACCES && why != EROFS && why != EPERM))
                return fail(err, why, "create folder", path, "");
        }
    }
    return true;
}

int capture_file_open_dir(const char *dir, struct error *err)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1 && errno == ENOENT) {
        if (!make_dirs(dir, err))
            return -1;
        fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd == -1)
        fail(err, errno, "open folder", dir, "");
    return fd;
}

/* The target's folder below [dir_fd], created if missing.  A link in its place is refused. */
static int open_folder(int dir_fd, const char *dir, const char *folder, struct error *err)
{
    if (mkdirat(dir_fd, folder, DIR_MODE) == -1 && errno != EEXIST) {
        fail(err, errno, "create folder", dir, folder);
        return -1;
    }
    const int fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd == -1)
        fail(err, errno, "open folder", dir, folder);
    return fd;
}

/* ---- whole files under a temporary name ---- */

/* Says where, and lets go of errno: for the message of a failed step. */
struct place {
    const char *dir;
    const char *folder;
    int folder_fd;
};

static bool fail_in(struct error *err, int errno_value, const char *what, const struct place *place,
                    const char *name)
{
    char inner[CAPTURE_FOLDER_MAX_BYTES + CAPTURE_NAME_MAX_BYTES + 2];
    (void)snprintf(inner, sizeof(inner), "%s/%s", place->folder, name);
    return fail(err, errno_value, what, place->dir, inner);
}

static int create_temporary(const struct place *place, char name[TMP_NAME_BYTES], struct error *err)
{
    for (int i = 0; i < TMP_NAMES_MAX; i++) {
        (void)snprintf(name, TMP_NAME_BYTES, ".goprofd-%ld-%d.tmp", (long)getpid(), i);
        const int fd = openat(place->folder_fd, name,
                              O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
        if (fd != -1 || errno != EEXIST) {
            if (fd == -1)
                fail_in(err, errno, "create", place, name);
            return fd;
        }
    }
    fail_in(err, EEXIST, "create", place, name);
    return -1;
}

/* Returns 0 or the errno of what failed. */
static int write_all(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        const ssize_t written = write(fd, bytes, length);
        if (written == -1) {
            if (errno == EINTR)
                continue;
            return errno;
        }
        bytes += written;
        length -= (size_t)written;
    }
    return fsync(fd) == -1 ? errno : 0;
}

/* Leaves a complete, synced file in the folder, or none. */
static bool write_temporary(const struct place *place, const void *bytes, size_t length,
                            char name[TMP_NAME_BYTES], struct error *err)
{
    const int fd = create_temporary(place, name, err);
    if (fd == -1)
        return false;
    int why = write_all(fd, bytes, length);
    if (close(fd) == -1 && why == 0)
        why = errno; /* a disk quota may speak up this late */
    if (why == 0)
        return true;
    fail_in(err, why, "write", place, name);
    (void)unlinkat(place->folder_fd, name, 0);
    return false;
}

/* ---- names ---- */

/* Renames without replacing; 0 or errno.  File systems without RENAME_NOREPLACE get the old way. */
static int rename_new(int folder_fd, const char *from, const char *to)
{
    if (renameat2(folder_fd, from, folder_fd, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return errno;
    if (linkat(folder_fd, from, folder_fd, to, 0) == -1)
        return errno;
    return unlinkat(folder_fd, from, 0) == -1 ? errno : 0;
}

/* Gives both files the first free name of this second.  Sidecar first: see the header. */
static bool publish(const struct place *place, const char *tmp_profile, const char *tmp_sidecar,
                    uint64_t realtime_ns, char profile_name[CAPTURE_NAME_MAX_BYTES],
                    struct error *err)
{
    char sidecar_name[CAPTURE_NAME_MAX_BYTES];
    for (uint32_t repeat = 1; repeat <= REPEATS_MAX; repeat++) {
        struct capture_name name;
        capture_name_set(&name, realtime_ns, repeat);
        capture_name_format(&name, CAPTURE_FILE_PROFILE, profile_name);
        capture_name_format(&name, CAPTURE_FILE_SIDECAR, sidecar_name);

        int why = rename_new(place->folder_fd, tmp_sidecar, sidecar_name);
        if (why == EEXIST)
            continue;
        if (why != 0)
            return fail_in(err, why, "rename to", place, sidecar_name);
        why = rename_new(place->folder_fd, tmp_profile, profile_name);
        if (why == 0)
            return true;
        /* A profile without a sidecar has this name: take ours back and go on. */
        const int back = rename_new(place->folder_fd, sidecar_name, tmp_sidecar);
        if (back != 0)
            (void)unlinkat(place->folder_fd, sidecar_name, 0);
        if (why != EEXIST || back != 0)
            return fail_in(err, why != EEXIST ? why : back, "rename to", place, profile_name);
    }
    return error_set(err, ERROR_LIMIT, "%s/%s holds %d captures of this second", place->dir,
                     place->folder, REPEATS_MAX);
}

static bool write_in_folder(const struct place *place, const struct capture_content *content,
                            uint64_t realtime_ns, char profile_name[CAPTURE_NAME_MAX_BYTES],
                            struct error *err)
{
    char tmp_profile[TMP_NAME_BYTES];
    char tmp_sidecar[TMP_NAME_BYTES];

    if (!write_temporary(place, content->profile, content->profile_bytes, tmp_profile, err))
        return false;
    bool ok = write_temporary(place, content->sidecar, content->sidecar_bytes, tmp_sidecar, err);
    if (ok) {
        ok = publish(place, tmp_profile, tmp_sidecar, realtime_ns, profile_name, err);
        if (!ok)
            (void)unlinkat(place->folder_fd, tmp_sidecar, 0);
    }
    if (!ok)
        (void)unlinkat(place->folder_fd, tmp_profile, 0);
    return ok;
}

bool capture_file_write(const char *dir, const char *target_id,
                        const struct capture_content *content, uint64_t realtime_ns,
                        char path[CAPTURE_PATH_MAX_BYTES], struct error *err)
{
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    char profile_name[CAPTURE_NAME_MAX_BYTES];
    struct place place = {.dir = dir, .folder = folder, .folder_fd = -1};
    bool ok = false;

    capture_name_folder(target_id, folder);
    if (strlen(dir) + sizeof(folder) + sizeof(profile_name) + 2 > CAPTURE_PATH_MAX_BYTES)
        return error_set(err, ERROR_USAGE, "profile_capture_dir is too long: %zu bytes",
                         strlen(dir));
    const int dir_fd = capture_file_open_dir(dir, err);
    if (dir_fd == -1)
        return false;
    place.folder_fd = open_folder(dir_fd, dir, folder, err);
    if (place.folder_fd == -1)
        goto close_dir;

    ok = write_in_folder(&place, content, realtime_ns, profile_name, err);
    if (ok) {
        /* Makes the names last.  The data is safe; a file system that cannot do this (EINVAL)
         * does not make the capture a failure. */
        (void)fsync(place.folder_fd);
        (void)fsync(dir_fd);
        const size_t dir_length = strlen(dir);
        const bool slash = dir_length > 0 && dir[dir_length - 1] == '/';
        (void)snprintf(path, CAPTURE_PATH_MAX_BYTES, "%s%s%s/%s", dir, slash ? "" : "/", folder,
                       profile_name);
    }
    (void)close(place.folder_fd);
close_dir:
    (void)close(dir_fd);
    return ok;
}

bool capture_file_probe(const char *dir, const char *target_id, size_t bytes, struct error *err)
{
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    char name[TMP_NAME_BYTES];
    bool ok = false;
    capture_name_folder(target_id, folder);
    void *zeros = calloc(1, bytes + 1);
    if (zeros == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to try whether captures can be kept");
    const int dir_fd = capture_file_open_dir(dir, err);
    if (dir_fd != -1) {
        const struct place place = {
            .dir = dir, .folder = folder, .folder_fd = open_folder(dir_fd, dir, folder, err)};
        if (place.folder_fd != -1) {
            ok = write_temporary(&place, zeros, bytes, name, err);
            if (ok)
                (void)unlinkat(place.folder_fd, name, 0);
            (void)close(place.folder_fd);
        }
        (void)close(dir_fd);
    }
    free(zeros);
    return ok;
}

bool capture_dir_check(const char *dir, struct error *err)
{
    char name[TMP_NAME_BYTES];
    const int dir_fd = capture_file_open_dir(dir, err);
    if (dir_fd == -1)
        return false;
    const struct place place = {.dir = dir, .folder = ".", .folder_fd = dir_fd};
    const bool ok = write_temporary(&place, "", 0, name, err);
    if (ok)
        (void)unlinkat(dir_fd, name, 0);
    (void)close(dir_fd);
    return ok;
}
