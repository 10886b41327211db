/* go_program.c - opens an executable and decides whether it is Go.
 *
 * Called by probes (each new process of the host, so it must be cheap) and at open. */
#include "core/goproc/go_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/arena.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"

/* The runtime alone has more code than this; most libraries of a C program have less. */
enum { GO_CODE_MIN_BYTES = 128 << 10 };
#define PROGRAM_ARENA_MAX_BYTES ((size_t)8 << 20)

/* Build info may be missing, so it is the function table that makes a program Go.  Where there are
 * section names they decide; scanning each C program of a host for a magic would be dear. */
static bool has_function_table(const struct elf_file *elf)
{
    uint64_t address;
    uint32_t magic;
    size_t count;

    if (elf_file_section(elf, ".gopclntab") != NULL ||
        elf_file_section(elf, ".data.rel.ro.gopclntab") != NULL ||
        elf_file_section(elf, ".go.module") != NULL ||
        elf_file_section(elf, ".note.go.buildid") != NULL)
        return true;
    if (elf_file_section(elf, ".text") != NULL)
        return false;
    (void)elf_file_segments(elf, &count);
    return count > 0 && moduledata_find_pclntab(elf, 0, &address, &magic);
}

/* gccgo keeps the exports of packages there, which strip leaves in place.  Its runtime is another one:
 * it is named as its version is, so that whoever asks for the layout is told. */
static bool is_by_gccgo(const struct elf_file *elf)
{
    return elf_file_section(elf, ".go_export") != NULL;
}

static bool read_program(struct go_program *program, struct error *err)
{
    struct error cause = {0};

    if (!buildinfo_read(program->elf, program->arena_, &program->info, &cause)) {
        if (cause.code == ERROR_NO_MEMORY)
            return error_set(err, cause.code, "%s", cause.message);
        /* Missing or broken: the version is then taken from the process. */
        program->info = (struct buildinfo){.go_version = "",
                                           .path = "",
                                           .module_path = "",
                                           .module_version = "",
                                           .vcs_revision = "",
                                           .vcs_time = "",
                                           .vcs_modified = ""};
        if (is_by_gccgo(program->elf))
            program->info.go_version = GO_VERSION_GCCGO;
        else if (!has_function_table(program->elf))
            return error_set(err, ERROR_UNSUPPORTED, "not a Go program");
    }
    elf_file_gnu_build_id(program->elf, program->build_id);
    elf_file_go_build_id(program->elf, program->go_build_id);
    return true;
}

bool go_program_open_fd(int fd, struct go_program *program, struct error *err)
{
    *program = (struct go_program){0};
    program->elf = elf_file_open(fd, err);
    if (program->elf == NULL)
        return false;
    program->arena_ = arena_new(PROGRAM_ARENA_MAX_BYTES, 4096);
    if (program->arena_ == NULL) {
        error_set(err, ERROR_NO_MEMORY, "build info: no memory");
        goto fail;
    }
    if (!read_program(program, err))
        goto fail;
    return true;

fail:
    go_program_close(program);
    return false;
}

bool go_program_open(const struct procfs *fs, pid_t pid, struct go_program *program,
                     struct error *err)
{
    char relative[64];
    char path[PROCFS_PATH_MAX_BYTES];

    *program = (struct go_program){0};
    snprintf(relative, sizeof(relative), "proc/%d/exe", (int)pid);
    if (!procfs_path(fs, path, relative))
        return error_set(err, ERROR_LIMIT, "the path of /proc/%d/exe is too long", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd == -1) {
        int cause = errno;
        struct procfs_identity identity;
        /* A kernel thread is there but has no executable. */
        if (cause == ENOENT && procfs_identity_read(fs, pid, &identity, NULL) &&
            identity.state != 'Z')
            return error_set(err, ERROR_UNSUPPORTED, "not a Go program: a kernel thread");
        return procfs_pid_error(fs, pid, "exe", cause, err);
    }
    return go_program_open_fd(fd, program, err);
}

/* Opens what is mapped at [mapping], by the kernel's own link to it where we may, else by its path
 * in the target's root.  -1 if it is no regular file, or gone. */
static int open_mapped(const struct procfs *fs, pid_t pid, const struct procfs_mapping *mapping)
{
    char relative[PROCFS_PATH_MAX_BYTES];
    char path[PROCFS_PATH_MAX_BYTES];
    struct stat status;
    int fd = -1;

    snprintf(relative, sizeof(relative), "proc/%d/map_files/%llx-%llx", (int)pid,
             (unsigned long long)mapping->start, (unsigned long long)mapping->end);
    if (procfs_path(fs, path, relative) && stat(path, &status) == 0 && S_ISREG(status.st_mode))
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd != -1)
        return fd;
    int length = snprintf(relative, sizeof(relative), "proc/%d/root%s", (int)pid, mapping->path);
    /* The path is the target's choice: never wait for a FIFO, never open a device. */
    if (length < 0 || (size_t)length >= sizeof(relative) || !procfs_path(fs, path, relative) ||
        stat(path, &status) == -1 || !S_ISREG(status.st_mode))
        return -1;
    return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

bool go_program_may_be_mapped(const struct procfs_mapping *mapping)
{
    return mapping->executable && mapping->inode != 0 && mapping->path[0] == '/' &&
           mapping->end - mapping->start >= GO_CODE_MIN_BYTES;
}

bool go_program_open_mapping(const struct procfs *fs, pid_t pid,
                             const struct procfs_mapping *mapping, struct go_program *program,
                             struct error *err)
{
    *program = (struct go_program){0};
    int fd = open_mapped(fs, pid, mapping);
    if (fd == -1)
        return error_set(err, ERROR_NOT_FOUND, "%.100s cannot be opened", mapping->path);
    return go_program_open_fd(fd, program, err);
}

bool go_program_open_mapped(const struct procfs *fs, pid_t pid, const struct procfs_maps *maps,
                            struct go_program *program, char image[PROCFS_PATH_MAX_BYTES],
                            struct error *err)
{
    struct error cause;

    if (go_program_open(fs, pid, program, &cause))
        return procfs_exe_read(fs, pid, image, err);
    for (size_t i = 0; cause.code == ERROR_UNSUPPORTED && i < maps->count; i++) {
        const struct procfs_mapping *mapping = &maps->mappings[i];
        size_t length = strlen(mapping->path);
        if (!go_program_may_be_mapped(mapping) || length >= PROCFS_PATH_MAX_BYTES)
            continue;
        if (go_program_open_mapping(fs, pid, mapping, program, NULL)) {
            memcpy(image, mapping->path, length + 1);
            return true;
        }
    }
    return error_set(err, cause.code, "%s", cause.message);
}

void go_program_close(struct go_program *program)
{
    elf_file_close(program->elf);
    arena_free(program->arena_);
    *program = (struct go_program){0};
}
