/* core_program.c - the program that wrote a core file. */
#include "core/goproc/core_program.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/goproc/core_file.h"
#include "core/goproc/go_program.h"

enum { ID_SHOWN_BYTES = 20 };

/* Paths in a core are anybody's: never wait for a FIFO, never open a device. */
static bool open_file(const char *path, struct go_program *program, struct error *err)
{
    struct stat status;
    *program = (struct go_program){0};
    if (stat(path, &status) == -1)
        return error_set(err, errno == EACCES ? ERROR_DENIED : ERROR_NOT_FOUND, "%.100s: %s", path,
                         error_errno_text(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(err, ERROR_UNSUPPORTED, "%.100s is not a file", path);
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd == -1)
        return error_set(err, errno == EACCES ? ERROR_DENIED : ERROR_SYSTEM, "%.100s: %s", path,
                         error_errno_text(errno));
    return go_program_open_fd(fd, program, err) || error_wrap(err, "%.80s", path);
}

static bool check_ids(const struct core_file *core, const char *image,
                      const struct go_program *program, const char *path, struct error *err)
{
    char gnu[sizeof(program->build_id)];
    char go[sizeof(program->go_build_id)];
    core_file_build_ids(core, image, gnu, sizeof(gnu), go, sizeof(go));
    const bool by_go = go[0] != '\0' && program->go_build_id[0] != '\0';
    const char *of_core = by_go ? go : gnu;
    const char *of_file = by_go ? program->go_build_id : program->build_id;
    if (of_core[0] == '\0' || of_file[0] == '\0' || strcmp(of_core, of_file) == 0)
        return true;
    return error_set(err, ERROR_USAGE,
                     "%.80s is not the program that wrote the core: its build id is %.*s..., that "
                     "of the core %.*s...: name the right one",
                     path, ID_SHOWN_BYTES, of_file, ID_SHOWN_BYTES, of_core);
}

/* A Go file that was mapped for execution besides the executable. */
static bool open_mapped(const struct procfs_maps *maps, struct go_program *program,
                        char image[PROCFS_PATH_MAX_BYTES])
{
    for (size_t i = 0; i < maps->count; i++) {
        const struct procfs_mapping *mapping = &maps->mappings[i];
        const size_t length = strlen(mapping->path);
        if (!go_program_may_be_mapped(mapping) || length >= PROCFS_PATH_MAX_BYTES ||
            !open_file(mapping->path, program, NULL))
            continue;
        memcpy(image, mapping->path, length + 1);
        return true;
    }
    return false;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Which mapped file the file [exe] stands for: the one of its name, which may be a library, else the
 * executable. */
static const char *mapped_path_of(const struct core_file *core, const struct procfs_maps *maps,
                                  const char *exe)
{
    const char *main_path = core_file_exe(core);
    if (strcmp(base_name(exe), base_name(main_path)) == 0)
        return main_path;
    for (size_t i = 0; i < maps->count; i++) {
        const char *path = maps->mappings[i].path;
        if (path[0] == '/' && strcmp(base_name(path), base_name(exe)) == 0)
            return path;
    }
    return main_path;
}

static bool open_as_noted(const struct core_file *core, const struct procfs_maps *maps,
                          struct go_program *program, char image[PROCFS_PATH_MAX_BYTES],
                          struct error *err)
{
    struct error cause;
    const char *path = core_file_exe(core);

    if (path[0] == '\0')
        return error_set(err, ERROR_NOT_FOUND,
                         "the core does not name the program that wrote it: add its path after the "
                         "core file");
    (void)snprintf(image, PROCFS_PATH_MAX_BYTES, "%s", path);
    if (open_file(path, program, &cause))
        return true;
    if (cause.code == ERROR_UNSUPPORTED && open_mapped(maps, program, image))
        return true;
    if (cause.code == ERROR_NOT_FOUND || cause.code == ERROR_DENIED)
        return error_set(err, cause.code,
                         "the program that wrote the core cannot be opened (%.100s): add the path of "
                         "a copy after the core file",
                         cause.message);
    return error_set(err, cause.code, "%s", cause.message);
}

bool core_program_open(struct core_file *core, const char *exe, const struct procfs_maps *maps,
                       struct go_program *program, char image[PROCFS_PATH_MAX_BYTES],
                       struct error *err)
{
    if (exe == NULL) {
        if (!open_as_noted(core, maps, program, image, err))
            return false;
    } else {
        (void)snprintf(image, PROCFS_PATH_MAX_BYTES, "%s", mapped_path_of(core, maps, exe));
        if (!open_file(exe, program, err))
            return false;
    }
    if (!check_ids(core, image, program, exe != NULL ? exe : image, err)) {
        go_program_close(program);
        return false;
    }
    core_file_set_image(core, image, program->elf);
    return true;
}
