/* elf_file_fuzz.c - libFuzzer harness: any bytes as an executable.
 *
 * Built with -DGOPROFD_FUZZ=ON.  Also judges manners: a failure without a message is a bug. */
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_program.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct elf_file *elf)
{
    struct elf_symbol wanted[] = {{.name = "runtime.mbuckets"}, {.name = "main.main"}};
    struct error err = {0};
    unsigned char bytes[64];
    size_t count;

    if (!elf_file_find_symbols(elf, wanted, 2, &err))
        fuzz_case_refused(&err);
    const struct elf_segment *segments = elf_file_segments(elf, &count);
    for (size_t i = 0; i < count; i++)
        (void)!elf_file_read_address(elf, segments[i].address, bytes, sizeof(bytes), NULL);
    (void)elf_file_load_bias(elf, 0x7f0000000000, 0x1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct go_program program;
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd == -1 || write(fd, data, size) != (ssize_t)size) {
        close(fd);
        return 0;
    }
    struct elf_file *elf = elf_file_open(dup(fd), &err);
    if (elf != NULL)
        use(elf);
    else
        fuzz_case_refused(&err);
    elf_file_close(elf);
    err = (struct error){0};
    if (go_program_open_fd(fd, &program, &err))
        go_program_close(&program);
    else
        fuzz_case_refused(&err);
    return 0;
}
