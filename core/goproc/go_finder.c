/* go_finder.c - which processes run Go code. */
#include "core/goproc/go_finder.h"

#include <sys/stat.h>

#include "core/goproc/go_program.h"
#include "core/goproc/image_copy.h"
#include "core/goproc/memory.h"
#include "core/goproc/procfs_file.h"

/* An inode number may come to name another file: nothing is believed for longer than this. */
#define REMEMBERED_NS (UINT64_C(600) * 1000000000)

/* Device numbers of stat(2) are other ones than those of maps (btrfs, overlayfs; and another encoding):
 * they are kept apart. */
#define DEVICE_OF_STAT (UINT64_C(1) << 63)

enum { FILES_MAX = 4096 }; /* a power of two: a table with open addresses, at most half full */

struct known_file {
    uint64_t device; /* 0, 0: free */
    uint64_t inode;
};

struct go_finder {
    const struct procfs *fs;
    uint64_t begun_ns;
    size_t count;
    struct known_file without_go[FILES_MAX];
};

struct go_finder *go_finder_new(const struct procfs *fs)
{
    struct go_finder *finder = calloc(1, sizeof(*finder));
    if (finder != NULL)
        finder->fs = fs;
    return finder;
}

void go_finder_free(struct go_finder *finder)
{
    free(finder);
}

bool go_finder_is_loader(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    return (strncmp(name, "ld-", 3) == 0 && strstr(name, ".so") != NULL) ||
           strncmp(name, "ld.so", 5) == 0 || strncmp(name, "ld64.so", 7) == 0;
}

/* The entry of that file, or the free one where it belongs. */
static struct known_file *slot_of(struct go_finder *finder, uint64_t device, uint64_t inode)
{
    size_t at = (size_t)((inode ^ device << 40) * UINT64_C(0x9E3779B97F4A7C15) >> 40);
    for (;; at++) {
        struct known_file *file = &finder->without_go[at % FILES_MAX];
        if ((file->device == 0 && file->inode == 0) ||
            (file->device == device && file->inode == inode))
            return file;
    }
}

static void forget_old(struct go_finder *finder, uint64_t now_ns)
{
    if (finder->count < FILES_MAX / 2 && now_ns - finder->begun_ns < REMEMBERED_NS)
        return;
    memset(finder->without_go, 0, sizeof(finder->without_go));
    finder->count = 0;
    finder->begun_ns = now_ns;
}

static void remember(struct go_finder *finder, uint64_t device, uint64_t inode)
{
    struct known_file *file = slot_of(finder, device, inode);
    if (finder->count >= FILES_MAX / 2 || file->inode == inode)
        return;
    *file = (struct known_file){.device = device, .inode = inode};
    finder->count++;
}

static bool is_remembered(struct go_finder *finder, uint64_t device, uint64_t inode)
{
    return inode != 0 && slot_of(finder, device, inode)->inode == inode;
}

static void copy_version(struct go_found *found, const struct go_program *program)
{
    (void)snprintf(found->go_version, sizeof(found->go_version), "%.63s",
                   program->info.go_version);
}

static bool look_at_exe(struct go_finder *finder, pid_t pid, struct go_found *found,
                        struct error *err)
{
    char relative[48];
    char path[PROCFS_PATH_MAX_BYTES];
    struct stat file = {0};
    struct go_program program;

    (void)snprintf(relative, sizeof(relative), "proc/%d/exe", (int)pid);
    if (procfs_path(finder->fs, path, relative) && stat(path, &file) == 0 &&
        is_remembered(finder, (uint64_t)file.st_dev | DEVICE_OF_STAT, (uint64_t)file.st_ino))
        return error_set(err, ERROR_UNSUPPORTED, "not a Go program");
    if (!go_program_open(finder->fs, pid, &program, err)) {
        if (err->code == ERROR_UNSUPPORTED && file.st_ino != 0)
            remember(finder, (uint64_t)file.st_dev | DEVICE_OF_STAT, (uint64_t)file.st_ino);
        return false;
    }
    copy_version(found, &program);
    go_program_close(&program);
    return procfs_exe_read(finder->fs, pid, found->image, err);
}

static bool look_at_mapping(struct go_finder *finder, pid_t pid,
                            const struct procfs_mapping *mapping, struct go_found *found)
{
    struct go_program program;
    struct error err;
    const size_t length = strlen(mapping->path);

    if (!go_program_may_be_mapped(mapping) || length >= sizeof(found->image) ||
        is_remembered(finder, mapping->device, mapping->inode))
        return false;
    if (!go_program_open_mapping(finder->fs, pid, mapping, &program, &err)) {
        if (err.code == ERROR_UNSUPPORTED)
            remember(finder, mapping->device, mapping->inode);
        return false;
    }
    copy_version(found, &program);
    memcpy(found->image, mapping->path, length + 1);
    go_program_close(&program);
    return true;
}

/* What a packer has unpacked is in no file.  The process is asked only if code runs in it that comes from
 * none either: packed programs, and those with a compiler of their own (Java, JavaScript). */
static bool look_at_memory(pid_t pid, const struct procfs_maps *maps, struct go_found *found)
{
    struct memory memory;
    struct go_program program;
    uint64_t start = 0;

    if (!image_copy_may_be_there(maps) || !memory_open_process(&memory, pid, NULL))
        return false;
    const int fd = image_copy_open(&memory, maps, &start, NULL);
    memory_close(&memory);
    if (fd == -1 || !go_program_open_fd(fd, &program, NULL))
        return false;
    copy_version(found, &program);
    go_program_close(&program);
    return true;
}

static bool look_further(struct go_finder *finder, pid_t pid, struct go_found *found)
{
    struct procfs_maps maps = {0};
    bool ok = false;

    if (!procfs_maps_read(finder->fs, pid, &maps, NULL))
        return false;
    for (size_t i = 0; !ok && i < maps.count; i++)
        ok = look_at_mapping(finder, pid, &maps.mappings[i], found);
    ok = ok || look_at_memory(pid, &maps, found);
    procfs_maps_release(&maps);
    return ok;
}

bool go_finder_look(struct go_finder *finder, pid_t pid, uint64_t now_monotonic_ns,
                    struct go_found *found, struct error *err)
{
    struct error cause = {0};
    char exe[PROCFS_PATH_MAX_BYTES];

    found->go_version[0] = found->image[0] = '\0';
    found->through_loader = false;
    forget_old(finder, now_monotonic_ns);
    if (look_at_exe(finder, pid, found, &cause))
        return true;
    /* Who may not be read has a reason already; a kernel thread maps nothing. */
    const bool ok = cause.code == ERROR_UNSUPPORTED && look_further(finder, pid, found);
    if (ok && procfs_exe_read(finder->fs, pid, exe, NULL))
        found->through_loader = go_finder_is_loader(exe);
    return ok || error_set(err, cause.code, "%s", cause.message);
}
