/* A program that lies in memory and nowhere else becomes a file again. */
#include "core/goproc/image_copy.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <string.h>
#include <unistd.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/memory.h"
#include "core/goproc/procfs.h"

enum { START = 0x400000, CODE_BYTES = 200 << 10, DATA_BYTES = 64 << 10, DATA_AT = 0x500000 };

static unsigned char code[CODE_BYTES];
static unsigned char data[DATA_BYTES];
static Elf64_Ehdr header;
static Elf64_Phdr segments[2];

static void make_image(void)
{
    memset(code, 0xcc, sizeof(code));
    memset(data, 0x11, sizeof(data));
    header = (Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                          .e_type = ET_EXEC,
                          .e_machine = EM_X86_64,
                          .e_version = EV_CURRENT,
                          .e_phoff = sizeof(header),
                          .e_ehsize = sizeof(header),
                          .e_phentsize = sizeof(Elf64_Phdr),
                          .e_phnum = 2,
                          .e_shoff = 0x999999, /* not loaded */
                          .e_shnum = 30,
                          .e_shentsize = sizeof(Elf64_Shdr),
                          .e_shstrndx = 29};
    segments[0] = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_flags = PF_R | PF_X,
                               .p_vaddr = START,
                               .p_filesz = CODE_BYTES,
                               .p_memsz = CODE_BYTES};
    segments[1] = (Elf64_Phdr){.p_type = PT_LOAD,
                               .p_flags = PF_R | PF_W,
                               .p_offset = CODE_BYTES,
                               .p_vaddr = DATA_AT,
                               .p_filesz = DATA_BYTES,
                               .p_memsz = 2 * DATA_BYTES};
}

static int copy(const char *maps_text, uint64_t *start, struct error *err)
{
    memcpy(code, &header, sizeof(header));
    memcpy(code + sizeof(header), segments, sizeof(segments));
    const struct memory_segment pieces[] = {{START, code, sizeof(code)},
                                            {DATA_AT, data, sizeof(data)}};
    const struct memory_image image = {pieces, 2};
    struct memory memory;
    struct procfs_maps maps = {0};
    memory_open_image(&memory, &image);
    cr_assert(procfs_maps_parse(maps_text, strlen(maps_text), &maps, err), "%s", err->message);
    int fd = image_copy_open(&memory, &maps, start, err);
    procfs_maps_release(&maps);
    memory_close(&memory);
    return fd;
}

#define OTHERS "00200000-00300000 rw-p 00000000 00:00 0\n"
#define UNPACKED                                                                                   \
    "00400000-00432000 r-xp 00000000 00:00 0\n"                                                    \
    "00500000-00520000 rw-p 00000000 00:00 0\n"

static void expect_none(const char *maps_text)
{
    uint64_t start;
    struct error err = {0};
    cr_assert_eq(copy(maps_text, &start, &err), -1);
    cr_assert_eq(err.code, ERROR_NOT_FOUND, "%s", err.message);
}

Test(image_copy, makes_a_file_of_a_program_in_anonymous_memory, .init = make_image)
{
    uint64_t start = 0;
    struct error err = {0};
    unsigned char byte[2];
    int fd = copy(OTHERS UNPACKED, &start, &err);
    cr_assert_neq(fd, -1, "%s", err.message);
    cr_assert_eq(start, START);
    struct elf_file *elf = elf_file_open(fd, &err);
    cr_assert_not_null(elf, "%s", err.message);
    cr_assert(elf_file_read_address(elf, START + CODE_BYTES - 1, byte, 1, &err), "%s", err.message);
    cr_assert(elf_file_read_address(elf, DATA_AT + 100, byte + 1, 1, &err), "%s", err.message);
    cr_assert_eq(byte[0], 0xcc);
    cr_assert_eq(byte[1], 0x11);
    cr_assert_null(elf_file_section(elf, ".text"));
    elf_file_close(elf);
}

Test(image_copy, takes_memory_files_too_but_no_file_on_disk, .init = make_image)
{
    uint64_t start;
    struct error err = {0};
    int fd = copy("00400000-00432000 r-xp 00000000 00:01 9 /memfd:upx (deleted)\n", &start, &err);
    cr_assert_neq(fd, -1, "%s", err.message);
    close(fd);
    expect_none("00400000-00432000 r-xp 00000000 08:01 9 /usr/bin/something\n");
    expect_none("00400000-00432000 ---p 00000000 00:00 0\n");
}

Test(image_copy, knows_where_a_relocated_program_was_put, .init = make_image)
{
    uint64_t start = 0;
    struct error err = {0};
    header.e_type = ET_DYN;
    segments[0].p_vaddr = 0;
    segments[1].p_vaddr = DATA_AT - START;
    int fd = copy(UNPACKED, &start, &err);
    cr_assert_neq(fd, -1, "%s", err.message);
    struct elf_file *elf = elf_file_open(fd, &err);
    cr_assert_not_null(elf, "%s", err.message);
    cr_assert_eq(elf_file_load_bias(elf, start, 0), START);
    unsigned char byte;
    cr_assert(elf_file_read_address(elf, DATA_AT - START, &byte, 1, &err), "%s", err.message);
    cr_assert_eq(byte, 0x11);
    elf_file_close(elf);
}

Test(image_copy, passes_over_what_only_looks_like_a_program, .init = make_image)
{
    header.e_ident[0] = 0;
    expect_none(UNPACKED);
    make_image();
    header.e_phnum = 65000;
    expect_none(UNPACKED);
    make_image();
    header.e_phoff = UINT64_MAX - 8;
    expect_none(UNPACKED);
    make_image();
    segments[0].p_vaddr = START + 0x1000; /* it says that it is elsewhere */
    expect_none(UNPACKED);
    make_image();
    segments[1].p_filesz = UINT64_MAX;
    expect_none(UNPACKED);
    make_image();
    segments[0].p_filesz = segments[1].p_filesz = 100; /* too little for a Go runtime */
    expect_none(UNPACKED);
}

Test(image_copy, leaves_holes_where_nothing_can_be_read, .init = make_image)
{
    uint64_t start;
    struct error err = {0};
    unsigned char byte = 1;
    segments[1].p_vaddr = 0x700000; /* nothing is there */
    int fd = copy(UNPACKED, &start, &err);
    cr_assert_neq(fd, -1, "%s", err.message);
    struct elf_file *elf = elf_file_open(fd, &err);
    if (elf != NULL)
        cr_assert(!elf_file_read_address(elf, 0x700000, &byte, 1, &err) || byte == 0);
    elf_file_close(elf);
}

/* The bytes of [pieces] once more against a copy of them. */
static bool is_whole(const struct elf_file *elf, uint64_t start, struct error *err)
{
    const struct memory_segment pieces[] = {{START, code, sizeof(code)},
                                            {DATA_AT, data, sizeof(data)}};
    const struct memory_image image = {pieces, 2};
    struct memory memory;
    memory_open_image(&memory, &image);
    const bool whole = image_copy_is_whole(elf, start, &memory, err);
    memory_close(&memory);
    return whole;
}

static struct elf_file *open_copy(uint64_t *start)
{
    struct error err = {0};
    const int fd = copy(UNPACKED, start, &err);
    cr_assert_neq(fd, -1, "%s", err.message);
    struct elf_file *elf = elf_file_open(fd, &err);
    cr_assert_not_null(elf, "%s", err.message);
    return elf;
}

Test(image_copy, is_whole_while_only_its_variables_change, .init = make_image)
{
    uint64_t start;
    struct error err = {0};
    struct elf_file *elf = open_copy(&start);
    cr_assert(is_whole(elf, start, &err), "%s", err.message);
    data[7]++;
    cr_assert(is_whole(elf, start, &err), "%s", err.message);
    elf_file_close(elf);
}

Test(image_copy, made_while_the_packer_was_at_work_is_not_whole, .init = make_image)
{
    uint64_t start;
    memset(code + CODE_BYTES / 2, 0, CODE_BYTES / 2);
    struct elf_file *elf = open_copy(&start);
    for (size_t at = CODE_BYTES / 2; at < CODE_BYTES; at += CODE_BYTES / 2 - 1) { /* first and last */
        struct error err = {0};
        code[at] = 0xcc;
        cr_assert_not(is_whole(elf, start, &err));
        cr_assert_eq(err.code, ERROR_BUSY);
        cr_assert_not_null(strstr(err.message, "being unpacked"), "%s", err.message);
        code[at] = 0;
    }
    elf_file_close(elf);
}

Test(image_copy, of_a_relocated_program_is_compared_where_it_was_put, .init = make_image)
{
    uint64_t start;
    struct error err = {0};
    header.e_type = ET_DYN;
    segments[0].p_vaddr = 0;
    segments[1].p_vaddr = DATA_AT - START;
    struct elf_file *elf = open_copy(&start);
    cr_assert(is_whole(elf, start, &err), "%s", err.message);
    code[CODE_BYTES - 1]++;
    cr_assert_not(is_whole(elf, start, &err));
    elf_file_close(elf);
}
