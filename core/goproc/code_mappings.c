/* code_mappings.c - /proc/PID/maps to pprof's list of mappings.
 *
 * Called once per process at open. */
#include "core/goproc/code_mappings.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"
#include "core/store/site.h"

enum { BUILD_ID_TEXT_BYTES = 2 * ELF_BUILD_ID_MAX_BYTES + 1 };
static const char deleted[] = " (deleted)";

/* The build id of a library, through the target's own root; "" if it cannot be read. */
static void library_build_id(const struct procfs *fs, pid_t pid, const char *file,
                             char out[BUILD_ID_TEXT_BYTES])
{
    char path[PROCFS_PATH_MAX_BYTES];
    char relative[PROCFS_PATH_MAX_BYTES];
    struct stat status;

    out[0] = '\0';
    if (file[0] != '/')
        return;
    int length = snprintf(relative, sizeof(relative), "proc/%d/root%s", (int)pid, file);
    if (length < 0 || (size_t)length >= sizeof(relative) || !procfs_path(fs, path, relative))
        return;
    /* The path is the target's choice: never wait for a FIFO, never open a device. */
    if (stat(path, &status) == -1 || !S_ISREG(status.st_mode))
        return;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return;
    struct elf_file *elf = elf_file_open(fd, NULL);
    if (elf == NULL)
        return;
    elf_file_gnu_build_id(elf, out);
    elf_file_close(elf);
}

static bool is_listed(const struct procfs_mapping *mapping)
{
    /* Of huge-page text the first part may be mapped but belong to nothing. */
    return mapping->executable && (mapping->inode != 0 || mapping->path[0] != '\0');
}

bool code_mappings_build(const struct procfs *fs, pid_t pid, const struct procfs_maps *maps,
                         const char *exe_path, const char *exe_build_id, struct site_table *sites,
                         const struct mapping **mappings, size_t *count, struct error *err)
{
    struct mapping *list = calloc(CODE_MAPPINGS_MAX, sizeof(*list));
    char build_id[BUILD_ID_TEXT_BYTES];
    bool ok = list != NULL || error_set(err, ERROR_NO_MEMORY, "mappings: no memory");

    *count = 0;
    for (size_t i = 0; ok && i < maps->count && *count < CODE_MAPPINGS_MAX; i++) {
        const struct procfs_mapping *from = &maps->mappings[i];
        size_t length = strlen(from->path);
        if (!is_listed(from))
            continue;
        if (strcmp(from->path, exe_path) == 0)
            snprintf(build_id, sizeof(build_id), "%s", exe_build_id);
        else
            library_build_id(fs, pid, from->path, build_id);
        if (length >= sizeof(deleted) - 1 &&
            strcmp(from->path + length - (sizeof(deleted) - 1), deleted) == 0)
            length -= sizeof(deleted) - 1;
        struct mapping *to = &list[(*count)++];
        *to = (struct mapping){.start = from->start,
                               .limit = from->end,
                               .offset = from->offset,
                               .file = site_table_string(sites, from->path, length),
                               .build_id = site_table_string(sites, build_id, strlen(build_id))};
        if (to->file == NULL || to->build_id == NULL)
            ok = error_set(err, ERROR_LIMIT, "mappings: the table of sites is full");
    }
    if (ok) {
        *mappings = site_table_copy_mappings(sites, list, *count, err);
        ok = *mappings != NULL || *count == 0;
    }
    free(list);
    return ok;
}
