/* call_target.c - what the call before a return address calls, and what is no such call. */
#include "core/goproc/call_target.h"

#include <criterion/criterion.h>

#include "core/goproc/elf_file.h"
#include "tests/unit/goproc/elf_image.h"

enum { TEXT = 0x401000 };

static struct elf_file *elf_of(uint16_t machine, const void *code, size_t length)
{
    static unsigned char bytes[ELF_IMAGE_MAX_BYTES];
    const struct elf_image image = {
        .machine = machine,
        .parts = {{.name = ".text", .bytes = code, .length = length, .address = TEXT}},
        .part_count = 1,
    };
    struct error err = {0};
    struct elf_file *elf =
        elf_file_open(elf_image_fd(bytes, elf_image_build(&image, bytes)), &err);
    cr_assert_not_null(elf, "%s", err.message);
    return elf;
}

Test(call_target, follows_a_direct_call_forward_and_back)
{
    const unsigned char code[] = {0xE8, 0x00, 0x01, 0x00, 0x00, 0xE8, 0xF6, 0xFF, 0xFF, 0xFF};
    struct elf_file *elf = elf_of(EM_X86_64, code, sizeof(code));
    uint64_t target = 0;
    cr_assert(call_target_before(elf, 0, TEXT + 5, &target));
    cr_assert_eq(target, TEXT + 5 + 0x100);
    cr_assert(call_target_before(elf, 0, TEXT + 10, &target));
    cr_assert_eq(target, TEXT, "rel32 is signed");
    elf_file_close(elf);
}

Test(call_target, moves_with_the_load_bias_of_a_position_independent_program)
{
    const unsigned char code[] = {0xE8, 0x10, 0x00, 0x00, 0x00};
    const uint64_t bias = 0x555500000000;
    struct elf_file *elf = elf_of(EM_X86_64, code, sizeof(code));
    uint64_t target = 0;
    cr_assert(call_target_before(elf, bias, bias + TEXT + 5, &target));
    cr_assert_eq(target, bias + TEXT + 5 + 0x10);
    cr_assert_not(call_target_before(elf, bias, TEXT + 5, &target), "below the image");
    elf_file_close(elf);
}

Test(call_target, refuses_what_is_no_direct_call_or_lies_outside_the_file)
{
    const unsigned char code[] = {0xFF, 0xD0, 0x90, 0x90, 0x90, 0x90}; /* CALL through AX */
    struct elf_file *elf = elf_of(EM_X86_64, code, sizeof(code));
    uint64_t target = 0;
    cr_assert_not(call_target_before(elf, 0, TEXT + 5, &target));
    cr_assert_not(call_target_before(elf, 0, TEXT + 2, &target));
    cr_assert_not(call_target_before(elf, 0, TEXT + 4096, &target));
    cr_assert_not(call_target_before(elf, 0, 3, &target));
    elf_file_close(elf);
}

Test(call_target, knows_the_branch_with_link_of_arm64)
{
    /* BL +8, BL -4, NOP */
    const unsigned char code[] = {0x02, 0x00, 0x00, 0x94, 0xFF, 0xFF,
                                  0xFF, 0x97, 0x1F, 0x20, 0x03, 0xD5};
    struct elf_file *elf = elf_of(EM_AARCH64, code, sizeof(code));
    uint64_t target = 0;
    cr_assert(call_target_before(elf, 0, TEXT + 4, &target));
    cr_assert_eq(target, TEXT + 8);
    cr_assert(call_target_before(elf, 0, TEXT + 8, &target));
    cr_assert_eq(target, TEXT);
    cr_assert_not(call_target_before(elf, 0, TEXT + 12, &target));
    elf_file_close(elf);
}
