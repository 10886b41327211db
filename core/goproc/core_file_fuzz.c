/* core_file_fuzz.c - libFuzzer harness: any bytes as a core file.
 *
 * Built with -DGOPROFD_FUZZ=ON.  What the core tells is asked for, and its memory read where it says that
 * there is some, and around.  Also judges manners: mappings that end before they start, and failures without a
 * message, are bugs. */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/core_file.h"
#include "core/goproc/memory.h"
#include "core/goproc/procfs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Messages name the file: always the same one. */
enum { CORE_FD = 100, MAPPINGS_READ_MAX = 64 };

static void read_memory(const struct core_file *core, const struct procfs_maps *maps)
{
    struct memory memory;
    unsigned char bytes[64];
    struct error err = {0};

    core_file_memory((struct core_file *)(uintptr_t)core, &memory);
    for (size_t i = 0; i < maps->count && i < MAPPINGS_READ_MAX; i++) {
        const uint64_t addresses[] = {maps->mappings[i].start, maps->mappings[i].end - 8,
                                      maps->mappings[i].start - 8, UINT64_MAX - 8};
        for (size_t a = 0; a < sizeof(addresses) / sizeof(addresses[0]); a++)
            if (!memory_read(&memory, addresses[a], bytes, sizeof(bytes), &err) &&
                err.message[0] == '\0')
                __builtin_trap();
    }
    memory_close(&memory);
}

static void use(struct core_file *core)
{
    struct procfs_maps maps = {0};
    struct error err = {0};
    char gnu[48], go[96];

    if (strlen(core_file_command(core)) > 79)
        __builtin_trap();
    if (!core_file_maps(core, &maps, &err)) {
        fuzz_case_refused(&err);
        return;
    }
    for (size_t i = 0; i < maps.count; i++)
        if (maps.mappings[i].end <= maps.mappings[i].start)
            __builtin_trap();
    read_memory(core, &maps);
    core_file_build_ids(core, core_file_exe(core), gnu, sizeof(gnu), go, sizeof(go));
    if (strnlen(gnu, sizeof(gnu)) == sizeof(gnu) || strnlen(go, sizeof(go)) == sizeof(go))
        __builtin_trap();
    if (core_file_missing_bytes(core) > 0)
        fuzz_case_partial("it is truncated");
    procfs_maps_release(&maps);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    char path[48];
    const int made = memfd_create("fuzz", MFD_CLOEXEC);
    const int fd = made == -1 ? -1 : fcntl(made, F_DUPFD_CLOEXEC, CORE_FD);

    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (fd != -1 && write(fd, data, size) == (ssize_t)size) {
        struct core_file *core = core_file_open(path, &err);
        if (core != NULL)
            use(core);
        else
            fuzz_case_refused(&err);
        core_file_close(core);
    }
    if (fd != -1)
        close(fd);
    if (made != -1)
        close(made);
    return 0;
}
