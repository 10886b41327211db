/* go_program.c - opens an executable and decides whether it is Go.
 *
 * Called by probes (each new process of the host, so it must be cheap) and at open. */
#include "core/goproc/go_program.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "core/base/arena.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/procfs.h"
#include "core/goproc/procfs_file.h"

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
                                           .vcs_revision = ""};
        if (!has_function_table(program->elf))
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
        if (cause == ENOENT && procfs_identity_read(fs, pid, &identity, NULL))
            return error_set(err, ERROR_UNSUPPORTED, "not a Go program: a kernel thread");
        return procfs_pid_error(fs, pid, "exe", cause, err);
    }
    return go_program_open_fd(fd, program, err);
}

void go_program_close(struct go_program *program)
{
    elf_file_close(program->elf);
    arena_free(program->arena_);
    *program = (struct go_program){0};
}
