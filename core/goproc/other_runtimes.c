/* other_runtimes.c - looks into the files that a process has mapped for execution. */
#include "core/goproc/other_runtimes.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/goproc/go_program.h"
#include "core/goproc/procfs.h"

/* A list of mappings is read in a fraction of a millisecond, but not for nothing. */
#define LOOK_AGAIN_NS (10 * CLOCK_NS_PER_S)

/* The files that were looked into, so that each is opened once however many pieces it is mapped in. */
struct seen {
    struct {
        uint32_t device;
        uint64_t inode;
    } files[OTHER_RUNTIMES_FILES_MAX];
    size_t count;
};

static bool is_new(struct seen *seen, const struct procfs_mapping *mapping)
{
    for (size_t i = 0; i < seen->count; i++)
        if (seen->files[i].inode == mapping->inode && seen->files[i].device == mapping->device)
            return false;
    if (seen->count == OTHER_RUNTIMES_FILES_MAX)
        return false;
    seen->files[seen->count].inode = mapping->inode;
    seen->files[seen->count++].device = mapping->device;
    return true;
}

static bool is_plugin(const struct go_program *program)
{
    for (size_t i = 0; i < program->info.setting_count; i++)
        if (strcmp(program->info.settings[i].key, "-buildmode") == 0)
            return strcmp(program->info.settings[i].value, "plugin") == 0;
    return false;
}

static bool has_runtime(const struct procfs *fs, pid_t pid, const struct procfs_mapping *mapping)
{
    struct go_program program;
    if (!go_program_may_be_mapped(mapping) ||
        !go_program_open_mapping(fs, pid, mapping, &program, NULL))
        return false;
    const bool has = !is_plugin(&program);
    go_program_close(&program);
    return has;
}

/* The end of a path says more than its beginning. */
static void keep_path(struct other_runtimes *others, const char *path)
{
    const size_t length = strlen(path);
    const size_t room = sizeof(others->first) - sizeof("...");
    if (length < sizeof(others->first))
        memcpy(others->first, path, length + 1);
    else
        (void)snprintf(others->first, sizeof(others->first), "...%.*s", (int)room,
                       path + length - room);
}

static bool is_mapped(const struct procfs_maps *maps, const char *path)
{
    for (size_t i = 0; i < maps->count; i++)
        if (strcmp(maps->mappings[i].path, path) == 0)
            return true;
    return false;
}

void other_runtimes_look(struct other_runtimes *others, const struct procfs *fs, pid_t pid,
                         const struct procfs_maps *maps, const char *image,
                         uint64_t now_monotonic_ns)
{
    struct seen seen = {.count = 0};

    *others = (struct other_runtimes){.looked_at_ns_ = now_monotonic_ns};
    if (!is_mapped(maps, image))
        return; /* then it might be taken for another one */
    for (size_t i = 0; i < maps->count; i++) {
        const struct procfs_mapping *mapping = &maps->mappings[i];
        if (!mapping->executable || mapping->inode == 0 || strcmp(mapping->path, image) == 0)
            continue;
        others->has_libraries_ = true;
        if (is_new(&seen, mapping) && has_runtime(fs, pid, mapping) && others->count++ == 0)
            keep_path(others, mapping->path);
    }
}

void other_runtimes_look_again(struct other_runtimes *others, const struct procfs *fs, pid_t pid,
                               const char *image, uint64_t now_monotonic_ns)
{
    struct procfs_maps maps = {0};

    if (!others->has_libraries_ || now_monotonic_ns - others->looked_at_ns_ < LOOK_AGAIN_NS)
        return;
    others->looked_at_ns_ = now_monotonic_ns;
    if (!procfs_maps_read(fs, pid, &maps, NULL))
        return;
    other_runtimes_look(others, fs, pid, &maps, image, now_monotonic_ns);
    procfs_maps_release(&maps);
}

bool other_runtimes_tell(const struct other_runtimes *others, struct error *note)
{
    if (others->count == 0)
        return false;
    if (others->count == 1)
        (void)error_set(note, ERROR_NONE, "2 Go runtimes in this process; %s is not read",
                        others->first);
    else
        (void)error_set(note, ERROR_NONE,
                        "%llu Go runtimes in this process; %s and %llu more are not read",
                        (unsigned long long)others->count + 1, others->first,
                        (unsigned long long)others->count - 1);
    return true;
}
