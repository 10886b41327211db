/* pclntab_fuzz.c - libFuzzer harness: any bytes as moduledata, function tables and inline trees.
 *
 * Built with -DGOPROFD_FUZZ=ON.  The first byte picks the Go version; the rest lies at one address, in the
 * file and in memory, and begins with the moduledata. */
#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab.h"

#define IMAGE_ADDRESS UINT64_C(0x500000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct elf_file *file_of(const uint8_t *data, size_t size)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
    } front = {
        .header = {.e_type = ET_EXEC,
                   .e_machine = EM_X86_64,
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_W,
                    .p_offset = sizeof(front),
                    .p_vaddr = IMAGE_ADDRESS,
                    .p_filesz = size,
                    .p_memsz = size},
    };
    memcpy(front.header.e_ident, ELFMAG "\2\1\1", 7);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd == -1 || write(fd, &front, sizeof(front)) != (ssize_t)sizeof(front) ||
        write(fd, data, size) != (ssize_t)size) {
        close(fd);
        return NULL;
    }
    return elf_file_open(fd, NULL);
}

static void ask(struct pclntab *table, const struct moduledata *module)
{
    for (uint64_t i = 0; i < 64; i++) {
        uint64_t pcs[16];
        struct pclntab_frame frame;
        struct pclntab_text name;
        uint64_t pc = module->minpc + i * ((module->maxpc - module->minpc) / 64 + 1) + i % 3;
        if (pclntab_frame_at(table, pc, &frame) &&
            (frame.function.text[frame.function.length] != '\0' ||
             frame.file.text[frame.file.length] != '\0'))
            __builtin_trap();
        (void)pclntab_name_at(table, pc, &name);
        (void)pclntab_expand_last(table, pc, pcs, sizeof(pcs) / sizeof(pcs[0]));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct error err = {0};
    struct moduledata module;
    struct memory memory;

    if (size < 2)
        return 0;
    const struct go_layout *layout =
        go_layout_find(data[0] % 3 == 0 ? "go1.19" : data[0] % 3 == 1 ? "go1.24" : "go1.27", &err);
    const struct memory_segment segment = {IMAGE_ADDRESS, data + 1, size - 1};
    const struct memory_image image = {&segment, 1};
    memory_open_image(&memory, &image);
    struct elf_file *elf = file_of(data + 1, size - 1);
    if (elf != NULL && !moduledata_read(&memory, IMAGE_ADDRESS, layout, &module, &err)) {
        fuzz_case_refused(&err);
    } else if (elf != NULL) {
        struct pclntab *table = pclntab_load(elf, 0, &module, layout, &err);
        if (table != NULL)
            ask(table, &module);
        else
            fuzz_case_refused(&err);
        pclntab_free(table);
    }
    elf_file_close(elf);
    memory_close(&memory);
    return 0;
}
