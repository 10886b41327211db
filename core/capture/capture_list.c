/* capture_list.c - which captures there are, and one of them to read. */
#include "core/capture/capture_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/base/json_read.h"
#include "core/capture/capture_name.h"
#include "core/capture/capture_sidecar.h"

struct found {
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    struct capture_name name;
    uint64_t bytes;
};

struct list {
    struct found *items;
    size_t count;
    size_t capacity;
};

/* ---- folders ---- */

static bool add(struct list *list, const char *folder, const struct capture_name *name,
                uint64_t bytes, struct error *err)
{
    if (list->count == CAPTURE_LIST_SCAN_MAX)
        return error_set(err, ERROR_LIMIT, "more than %d captures; move the old ones away",
                         CAPTURE_LIST_SCAN_MAX);
    if (list->count == list->capacity) {
        const size_t larger = list->capacity == 0 ? 64 : list->capacity * 2;
        struct found *items = reallocarray(list->items, larger, sizeof(items[0]));
        if (items == NULL)
            return error_set(err, ERROR_NO_MEMORY, "no memory to list captures");
        list->items = items;
        list->capacity = larger;
    }
    struct found *item = &list->items[list->count++];
    (void)snprintf(item->folder, sizeof(item->folder), "%s", folder);
    item->name = *name;
    item->bytes = bytes;
    return true;
}

/* The profiles in one target's folder; [fd] is taken over. */
static bool scan_folder(struct list *list, int fd, const char *folder, struct error *err)
{
    DIR *stream = fdopendir(fd);
    bool ok = true;
    if (stream == NULL) {
        (void)close(fd);
        return error_set(err, ERROR_SYSTEM, "list captures: no memory");
    }
    for (const struct dirent *entry; ok && (entry = readdir(stream)) != NULL;) {
        struct capture_name name;
        struct stat status;
        if (capture_name_parse(entry->d_name, &name) && name.kind == CAPTURE_FILE_PROFILE &&
            fstatat(dirfd(stream), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(status.st_mode))
            ok = add(list, folder, &name, (uint64_t)status.st_size, err);
    }
    (void)closedir(stream);
    return ok;
}

static int open_folder(int dir_fd, const char *folder)
{
    return openat(dir_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Every folder that could be a target's; [dir_fd] stays the caller's. */
static bool scan_all(struct list *list, int dir_fd, struct error *err)
{
    DIR *stream = fdopendir(fcntl(dir_fd, F_DUPFD_CLOEXEC, 0));
    bool ok = true;
    if (stream == NULL)
        return error_set(err, ERROR_SYSTEM, "list captures: no memory");
    for (const struct dirent *entry; ok && (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] == '.' || strlen(entry->d_name) >= CAPTURE_FOLDER_MAX_BYTES)
            continue;
        const int fd = open_folder(dir_fd, entry->d_name);
        if (fd != -1)
            ok = scan_folder(list, fd, entry->d_name, err);
    }
    (void)closedir(stream);
    return ok;
}

static int newest_first(const void *a, const void *b)
{
    const struct found *left = a;
    const struct found *right = b;
    const int order = capture_name_compare(&right->name, &left->name);
    return order != 0 ? order : strcmp(left->folder, right->folder);
}

/* ---- sidecars ---- */

static bool read_file(int folder_fd, const char *name, size_t max_bytes, struct buffer *out)
{
    struct stat status;
    const int fd = openat(folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool ok = fd != -1 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
              status.st_size >= 0 && (uint64_t)status.st_size <= max_bytes;
    const size_t size = ok ? (size_t)status.st_size : 0;
    char *into = ok ? buffer_reserve(out, size) : NULL;
    size_t have = 0;
    while (into != NULL && have < size) {
        const ssize_t got = read(fd, into + have, size - have);
        if (got == -1 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    ok = ok && (size == 0 || into != NULL) && have == size;
    if (ok)
        out->length += have;
    if (fd != -1)
        (void)close(fd);
    return ok;
}

static void copy_member(struct json *json, const struct config_node *sidecar, const char *key)
{
    const struct config_node *value = json_read_member(sidecar, key);
    if (value != NULL && value->kind == NODE_STRING)
        json_member_string(json, key, value->string);
}

/* What the sidecar says of target and reason; one that cannot be read says nothing. */
static void write_sidecar(struct json *json, int folder_fd, const struct found *item)
{
    static const char *const keys[] = {"target", "reason", "severity", "rule", "finding", "message",
                                       "pair", "before", "go_version", "vcs_revision", "profile_time"};
    char name[CAPTURE_NAME_MAX_BYTES];
    struct buffer text;
    struct config_node sidecar;
    struct error ignored;
    struct arena *arena = arena_new(4 * CAPTURE_SIDECAR_MAX_BYTES, 4096);
    buffer_init(&text, CAPTURE_SIDECAR_MAX_BYTES);
    capture_name_format(&item->name, CAPTURE_FILE_SIDECAR, name);
    if (arena != NULL && read_file(folder_fd, name, CAPTURE_SIDECAR_MAX_BYTES, &text) &&
        json_read(text.data, text.length, arena, &sidecar, &ignored)) {
        for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
            copy_member(json, &sidecar, keys[i]);
    }
    buffer_release(&text);
    arena_free(arena);
}

/* "20261123-004732" as RFC 3339. */
static void write_time(struct json *json, const char stamp[CAPTURE_STAMP_BYTES])
{
    char time[24];
    (void)snprintf(time, sizeof(time), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", stamp, stamp + 4,
                   stamp + 6, stamp + 9, stamp + 11, stamp + 13);
    json_member_string(json, "time", time);
}

static void write_item(struct json *json, int dir_fd, const struct found *item)
{
    char file[CAPTURE_NAME_MAX_BYTES];
    char name[CAPTURE_FOLDER_MAX_BYTES + CAPTURE_NAME_MAX_BYTES];
    capture_name_format(&item->name, CAPTURE_FILE_PROFILE, file);
    (void)snprintf(name, sizeof(name), "%s/%s", item->folder, file);
    json_begin_object(json);
    json_member_string(json, "name", name);
    write_time(json, item->name.stamp);
    json_member_u64(json, "bytes", item->bytes);
    const int folder_fd = open_folder(dir_fd, item->folder);
    if (folder_fd != -1) {
        write_sidecar(json, folder_fd, item);
        (void)close(folder_fd);
    }
    json_end_object(json);
}

/* ---- the list ---- */

static bool scan_target(struct list *list, int dir_fd, const char *target_id, struct error *err)
{
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    capture_name_folder(target_id, folder);
    const int fd = open_folder(dir_fd, folder);
    return fd == -1 || scan_folder(list, fd, folder, err); /* no folder: no capture yet */
}

bool capture_list_write(const char *dir, const char *target_id, size_t limit, struct buffer *out,
                        struct error *err)
{
    struct list list = {.count = 0};
    struct json json;
    bool ok = true;
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir_fd == -1 && errno != ENOENT)
        return error_set(err, ERROR_SYSTEM, "open profile_capture_dir %.150s: %s", dir,
                         error_errno_text(errno));
    if (dir_fd != -1)
        ok = target_id != NULL ? scan_target(&list, dir_fd, target_id, err)
                               : scan_all(&list, dir_fd, err);
    if (list.count > 0)
        qsort(list.items, list.count, sizeof(list.items[0]), newest_first);
    json_init(&json, out);
    json_begin_array(&json);
    for (size_t i = 0; ok && i < list.count && i < limit; i++)
        write_item(&json, dir_fd, &list.items[i]);
    json_end_array(&json);
    free(list.items);
    if (dir_fd != -1)
        (void)close(dir_fd);
    return ok;
}

/* ---- one of them ---- */

/* Cuts "FOLDER/FILE"; false if it cannot be a capture's name. */
static bool split_name(const char *name, char folder[CAPTURE_FOLDER_MAX_BYTES], const char **file)
{
    struct capture_name parsed;
    const char *slash = strchr(name, '/');
    if (slash == NULL || slash == name || name[0] == '.' ||
        (size_t)(slash - name) >= CAPTURE_FOLDER_MAX_BYTES)
        return false;
    memcpy(folder, name, (size_t)(slash - name));
    folder[slash - name] = '\0';
    *file = slash + 1;
    return capture_name_parse(*file, &parsed) && parsed.kind == CAPTURE_FILE_PROFILE;
}

bool capture_list_read(const char *dir, const char *name, struct buffer *out, struct error *err)
{
    char folder[CAPTURE_FOLDER_MAX_BYTES];
    const char *file = NULL;
    if (!split_name(name, folder, &file))
        return error_set(err, ERROR_NOT_FOUND,
                         "no capture \"%.100s\"; GET /v1/captures lists them", name);
    const int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int folder_fd = dir_fd == -1 ? -1 : open_folder(dir_fd, folder);
    const bool ok = folder_fd != -1 && read_file(folder_fd, file, out->max_bytes, out);
    if (folder_fd != -1)
        (void)close(folder_fd);
    if (dir_fd != -1)
        (void)close(dir_fd);
    return ok || error_set(err, ERROR_NOT_FOUND,
                           "no capture \"%.100s\"; GET /v1/captures lists them", name);
}
