/* capture_rotate.c - a target's folder keeps its newest captures.
 *
 * Runs on the capture thread after each capture.  Only regular files whose names
 * capture_name_parse() accepts, and temporary files of ours that a crash left, are deleted; age
 * is what the name says, so copying a folder does not reshuffle it. */
#include "core/capture/capture_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/capture/capture_name.h"

enum {
    SCAN_FILES_MAX = 100000, /* of ours in one folder; more is not rotation's doing */
    SCAN_FIRST_FILES = 64,
    TMP_STALE_SECONDS = 3600, /* no write takes this long */
};

struct scanned {
    struct capture_name name;
    uint64_t bytes;
};

struct scan {
    int folder_fd; /* borrowed */
    uint64_t now_realtime_ns;
    struct scanned *files;
    size_t count;
    size_t capacity;
    size_t profiles;
    uint64_t bytes;
};

static bool scan_add(struct scan *scan, const struct scanned *file, struct error *err)
{
    if (scan->count == SCAN_FILES_MAX)
        return error_set(err, ERROR_LIMIT,
                         "more than %d captures in one folder; move the old ones away",
                         SCAN_FILES_MAX);
    if (scan->count == scan->capacity) {
        const size_t wanted = scan->capacity == 0 ? SCAN_FIRST_FILES : scan->capacity * 2;
        struct scanned *grown = realloc(scan->files, wanted * sizeof(*grown));
        if (grown == NULL)
            return error_set(err, ERROR_NO_MEMORY, "no memory to rotate captures");
        scan->files = grown;
        scan->capacity = wanted;
    }
    scan->files[scan->count++] = *file;
    scan->bytes += file->bytes;
    if (file->name.kind == CAPTURE_FILE_PROFILE)
        scan->profiles++;
    return true;
}

/* ".goprofd-PID-N.tmp" */
static bool is_temporary_name(const char *text)
{
    static const char prefix[] = ".goprofd-";
    static const char suffix[] = ".tmp";
    const size_t length = strlen(text);
    if (length < sizeof(prefix) + sizeof(suffix) ||
        strncmp(text, prefix, sizeof(prefix) - 1) != 0 ||
        strcmp(text + length - (sizeof(suffix) - 1), suffix) != 0)
        return false;
    const size_t middle = length - (sizeof(prefix) - 1) - (sizeof(suffix) - 1);
    return strspn(text + sizeof(prefix) - 1, "0123456789-") == middle;
}

static void drop_if_stale(const struct scan *scan, const char *name, const struct stat *status)
{
    const int64_t now_seconds = (int64_t)(scan->now_realtime_ns / CLOCK_NS_PER_S);
    if (now_seconds - status->st_mtim.tv_sec > TMP_STALE_SECONDS)
        (void)unlinkat(scan->folder_fd, name, 0); /* next time, if not now */
}

static bool scan_entry(struct scan *scan, const char *text, struct error *err)
{
    struct scanned file = {.bytes = 0};
    struct stat status;
    const bool ours = capture_name_parse(text, &file.name);
    if (!ours && !is_temporary_name(text))
        return true;
    if (fstatat(scan->folder_fd, text, &status, AT_SYMLINK_NOFOLLOW) == -1 ||
        !S_ISREG(status.st_mode))
        return true; /* gone meanwhile, or a link or folder that borrows our name */
    file.bytes = (uint64_t)status.st_size;
    if (ours)
        return scan_add(scan, &file, err);
    drop_if_stale(scan, text, &status);
    return true;
}

static bool scan_folder(struct scan *scan, struct error *err)
{
    const int fd = openat(scan->folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fd == -1 ? NULL : fdopendir(fd);
    if (stream == NULL) {
        const int why = errno;
        if (fd != -1)
            (void)close(fd);
        return error_set(err, ERROR_SYSTEM, "list captures: %s", error_errno_text(why));
    }
    bool ok = true;
    errno = 0;
    for (struct dirent *entry = readdir(stream); ok && entry != NULL; entry = readdir(stream)) {
        ok = scan_entry(scan, entry->d_name, err);
        errno = 0;
    }
    if (ok && errno != 0)
        ok = error_set(err, ERROR_SYSTEM, "list captures: %s", error_errno_text(errno));
    (void)closedir(stream);
    return ok;
}

static int oldest_first(const void *a, const void *b)
{
    const struct capture_name *left = &((const struct scanned *)a)->name;
    const struct capture_name *right = &((const struct scanned *)b)->name;
    const int order = capture_name_compare(left, right);
    /* the profile goes before its sidecar, so that none is ever seen without its reason */
    return order != 0 ? order : (int)left->kind - (int)right->kind;
}

static bool delete_file(const struct scan *scan, const struct capture_name *name, struct error *err)
{
    char text[CAPTURE_NAME_MAX_BYTES];
    capture_name_format(name, name->kind, text);
    if (unlinkat(scan->folder_fd, text, 0) == -1 && errno != ENOENT)
        return error_set(err, ERROR_SYSTEM, "delete old capture %s: %s", text,
                         error_errno_text(errno));
    return true;
}

/* Whether [file] has to go, with [profiles] and [bytes] left. */
static bool is_too_much(const struct capture_limits *limits, const struct capture_name *oldest_kept,
                        const struct capture_name *file, size_t profiles, uint64_t bytes)
{
    return (limits->max_files > 0 && profiles > limits->max_files) ||
           (limits->max_bytes > 0 && bytes > limits->max_bytes) ||
           (limits->max_age_ns > 0 && capture_name_compare(file, oldest_kept) < 0);
}

/* Walks from the oldest until what is left is within the limits; sidecars on the way go along, also
 * those whose profile is no more. */
static bool delete_oldest(struct scan *scan, const struct capture_limits *limits,
                          const struct capture_name *keep, size_t *deleted, struct error *err)
{
    const struct capture_name *last_deleted = NULL;
    struct capture_name oldest_kept;
    capture_name_set(&oldest_kept,
                     scan->now_realtime_ns > limits->max_age_ns
                         ? scan->now_realtime_ns - limits->max_age_ns
                         : 0,
                     1);
    for (size_t i = 0; i < scan->count; i++) {
        const struct capture_name *name = &scan->files[i].name;
        const bool paired = last_deleted != NULL && capture_name_compare(last_deleted, name) == 0;
        if (!paired && !is_too_much(limits, &oldest_kept, name, scan->profiles, scan->bytes))
            break;
        if (keep != NULL && capture_name_compare(keep, name) == 0)
            continue;
        if (!delete_file(scan, name, err))
            return false;
        scan->bytes -= scan->files[i].bytes;
        if (name->kind == CAPTURE_FILE_PROFILE) {
            last_deleted = name;
            scan->profiles--;
            ++*deleted;
        }
    }
    return true;
}

static bool rotate_folder(struct scan *scan, const struct capture_limits *limits,
                          const char *keep_path, size_t *deleted, struct error *err)
{
    struct capture_name keep;
    const char *slash = keep_path == NULL ? NULL : strrchr(keep_path, '/');
    const bool keeps =
        keep_path != NULL && capture_name_parse(slash ? slash + 1 : keep_path, &keep);

    bool ok = scan_folder(scan, err);
    if (ok) {
        if (scan->count > 0)
            qsort(scan->files, scan->count, sizeof(*scan->files), oldest_first);
        ok = delete_oldest(scan, limits, keeps ? &keep : NULL, deleted, err);
    }
    free(scan->files);
    return ok;
}

bool capture_file_rotate(const char *dir, const char *target_id,
                         const struct capture_limits *limits, const char *keep_path,
                         uint64_t now_realtime_ns, size_t *deleted, struct error *err)
{
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    capture_name_folder(target_id, folder);
    *deleted = 0;

    const int dir_fd = capture_file_open_dir(dir, err);
    if (dir_fd == -1)
        return false;
    struct scan scan = {
        .now_realtime_ns = now_realtime_ns,
        .folder_fd = openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)};
    const int why = errno;
    (void)close(dir_fd);
    if (scan.folder_fd == -1)
        return error_set(err, ERROR_SYSTEM, "open folder %s/%s: %s", dir, folder,
                         error_errno_text(why));
    const bool ok = rotate_folder(&scan, limits, keep_path, deleted, err);
    (void)close(scan.folder_fd);
    return ok || error_wrap(err, "folder %s/%s", dir, folder);
}
