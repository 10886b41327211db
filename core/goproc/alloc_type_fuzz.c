/* alloc_type_fuzz.c - libFuzzer harness: any bytes as code that calls, as type data and as dictionaries.
 *
 * Built with -DGOPROFD_FUZZ=ON.  Of the head of five bytes the first chooses processor and Go version, the
 * second the function that is called, the others where the call ends and its function begins; the rest is the
 * program, code and types at once.  Also judges manners: a name must end, be short and hold no control
 * characters. */
#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/goproc/alloc_type.h"
#include "core/goproc/call_argument.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/memory.h"

#define IMAGE_ADDRESS UINT64_C(0x500000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD_BYTES = 5, TYPES_MAX = 256, FRAMES = 3 };

static struct elf_file *file_of(uint16_t machine, const uint8_t *bytes, size_t length)
{
    struct {
        Elf64_Ehdr header;
        Elf64_Phdr segment;
    } front = {
        .header = {.e_type = ET_EXEC,
                   .e_machine = machine,
                   .e_phoff = sizeof(Elf64_Ehdr),
                   .e_phentsize = sizeof(Elf64_Phdr),
                   .e_phnum = 1},
        .segment = {.p_type = PT_LOAD,
                    .p_flags = PF_R | PF_X,
                    .p_offset = sizeof(front),
                    .p_vaddr = IMAGE_ADDRESS,
                    .p_filesz = length,
                    .p_memsz = length},
    };
    memcpy(front.header.e_ident, ELFMAG "\2\1\1", 7);
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd == -1 || write(fd, &front, sizeof(front)) != (ssize_t)sizeof(front) ||
        write(fd, bytes, length) != (ssize_t)length) {
        close(fd);
        return NULL;
    }
    return elf_file_open(fd, NULL);
}

static void judge(const char *name, size_t room)
{
    const size_t length = strnlen(name, room);

    if (length == room)
        __builtin_trap();
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7f)
            __builtin_trap();
}

static void read_types(const struct elf_file *elf, const struct module_range *types)
{
    struct go_type type;

    for (uint64_t i = 0; i < TYPES_MAX; i++)
        if (go_type_read(elf, 0, types, types->start + 8 * i, &type))
            judge(type.name, sizeof(type.name));
}

/* The call in code of its own, with not a byte to spare around it. */
static void trace(const uint8_t *head, const uint8_t *code, size_t length)
{
    struct call_tracer *tracer = call_tracer_new();
    const size_t call_end = head[2] | (size_t)head[3] << 8;

    if (tracer == NULL)
        return;
    for (unsigned argument = 0; argument <= CALL_ARGUMENTS_MAX; argument++) {
        (void)call_argument_amd64(tracer, code, call_end, length, IMAGE_ADDRESS, argument);
        (void)call_argument_amd64_near(tracer, code, call_end, length, head[4], length,
                                       IMAGE_ADDRESS, argument);
        (void)call_argument_arm64(tracer, code, call_end, length, IMAGE_ADDRESS, argument);
    }
    call_tracer_free(tracer);
}

static void find(const uint8_t *head, const struct elf_file *elf, struct memory *memory,
                 const struct module_range *types)
{
    static const char *const functions[] = {"runtime.newobject", "runtime.makeslice",
                                            "runtime.growslice", "runtime.makechan",
                                            "runtime.mapassign_faststr",
                                            "runtime.mallocgcSmallScanNoHeaderSC4"};
    const struct alloc_types_source source = {.elf = elf,
                                              .types = *types,
                                              .minor = 19 + (head[0] >> 1) % 9,
                                              .memory = memory};
    struct alloc_types *found = alloc_types_new(&source);
    struct alloc_frame frames[FRAMES];
    char name[ALLOC_TYPE_NAME_BYTES];
    bool callers_matter;

    for (uint64_t i = 0; i < FRAMES; i++)
        frames[i] = (struct alloc_frame){
            .return_pc = IMAGE_ADDRESS + (head[2] | (uint64_t)head[3] << 8) + i * head[4],
            .entry = IMAGE_ADDRESS + i * head[4]};
    for (size_t i = 0; found != NULL && i < 2; i++) /* the second time from what is kept */
        if (alloc_types_find(found, functions[head[1] % (sizeof(functions) / sizeof(functions[0]))],
                             frames, FRAMES, i == 0 ? 0 : 48, name, &callers_matter))
            judge(name, sizeof(name));
    alloc_types_free(found);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct memory memory;

    if (size < HEAD_BYTES + 1 || size > CALL_CODE_MAX_BYTES)
        return 0;
    const uint8_t *bytes = data + HEAD_BYTES;
    const size_t length = size - HEAD_BYTES;
    const struct module_range types = {IMAGE_ADDRESS, IMAGE_ADDRESS + length};
    const struct memory_segment segment = {IMAGE_ADDRESS, bytes, length};
    const struct memory_image image = {&segment, 1};
    memory_open_image(&memory, &image);
    struct elf_file *elf = file_of((data[0] & 1) != 0 ? EM_AARCH64 : EM_X86_64, bytes, length);
    trace(data, bytes, length);
    if (elf != NULL) {
        read_types(elf, &types);
        find(data, elf, &memory, &types);
    }
    elf_file_close(elf);
    memory_close(&memory);
    return 0;
}
