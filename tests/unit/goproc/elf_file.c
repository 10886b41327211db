/* elf_file.c - the ELF parser on files that are right, cut short, lying or shrinking. */
#include "core/goproc/elf_file.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/goproc/elf_image.h"

static const char text[] = "code of the program, which nobody runs";
static const char names[] = "\0runtime.mbuckets\0runtime.memstats\0elsewhere";
static const Elf64_Sym symbols[] = {
    {0},
    {.st_name = 1, .st_shndx = 1, .st_value = 0x601000, .st_size = 8},
    {.st_name = 18, .st_shndx = 1, .st_value = 0x602000, .st_size = 7744},
    {.st_name = 35, .st_shndx = SHN_UNDEF, .st_value = 0x1234},
    {.st_name = 0xffffff, .st_shndx = 1, .st_value = 0x9999},
};
static const unsigned char gnu_note[] = {4, 0, 0, 0, 4, 0, 0, 0, 3,    0,    0,    0,
                                         'G', 'N', 'U', 0, 0xde, 0xad, 0xbe, 0xef};
static const unsigned char go_note[] = {4, 0, 0, 0, 5, 0, 0, 0, 4,   0,   0,   0,  'G',
                                        'o', 0, 0, 'a', '/', 'b', '/', 'c', 0, 0, 0};

static struct elf_image sample(void)
{
    return (struct elf_image){
        .parts =
            {
                {.name = ".text", .bytes = text, .length = sizeof(text), .address = 0x401000},
                {.name = ".symtab",
                 .bytes = symbols,
                 .length = sizeof(symbols),
                 .type = SHT_SYMTAB,
                 .link = 2},
                {.name = ".strtab", .bytes = names, .length = sizeof(names), .type = SHT_STRTAB},
                {.name = ".note.gnu", .bytes = gnu_note, .length = sizeof(gnu_note), .type = SHT_NOTE},
                {.name = ".note.go", .bytes = go_note, .length = sizeof(go_note), .type = SHT_NOTE},
            },
        .part_count = 5,
    };
}

static unsigned char bytes[ELF_IMAGE_MAX_BYTES];

static struct elf_file *open_bytes(size_t length, struct error *err)
{
    return elf_file_open(elf_image_fd(bytes, length), err);
}

static struct elf_file *open_image(const struct elf_image *image)
{
    struct error err = {0};
    struct elf_file *elf = open_bytes(elf_image_build(image, bytes), &err);
    cr_assert_not_null(elf, "%s", err.message);
    return elf;
}

Test(elf_file, finds_sections_segments_symbols_and_build_ids)
{
    struct elf_image image = sample();
    struct elf_file *elf = open_image(&image);
    struct error err = {0};
    struct elf_symbol wanted[] = {{.name = "runtime.memstats"}, {.name = "runtime.mbuckets"},
                                  {.name = "elsewhere"}, {.name = "runtime.none"}};
    char gnu[2 * ELF_BUILD_ID_MAX_BYTES + 1], go[ELF_GO_BUILD_ID_MAX_BYTES];
    char read[sizeof(text)];
    size_t count;

    cr_assert_not_null(elf_file_section(elf, ".text"));
    cr_assert_null(elf_file_section(elf, ".data"));
    cr_assert_not_null(elf_file_segments(elf, &count));
    cr_assert_eq(count, 1);
    cr_assert(elf_file_find_symbols(elf, wanted, 4, &err), "%s", err.message);
    cr_assert(wanted[0].found && wanted[0].address == 0x602000 && wanted[0].bytes == 7744);
    cr_assert(wanted[1].found && wanted[1].address == 0x601000);
    cr_assert(!wanted[2].found, "an undefined symbol has no address");
    cr_assert(!wanted[3].found);
    elf_file_gnu_build_id(elf, gnu);
    elf_file_go_build_id(elf, go);
    cr_assert_str_eq(gnu, "deadbeef");
    cr_assert_str_eq(go, "a/b/c");
    cr_assert(elf_file_read_address(elf, 0x401000, read, sizeof(read), &err), "%s", err.message);
    cr_assert_str_eq(read, text);
    elf_file_close(elf);
}

Test(elf_file, reads_no_byte_outside_of_a_segment)
{
    struct elf_image image = sample();
    struct elf_file *elf = open_image(&image);
    char read[64];
    struct error err = {0};

    cr_assert_not(elf_file_read_address(elf, 0x401000, read, sizeof(text) + 1, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not(elf_file_read_address(elf, 0x400fff, read, 2, &err));
    cr_assert_not(elf_file_read_address(elf, UINT64_MAX - 1, read, 8, &err));
    cr_assert_not(elf_file_read(elf, UINT64_MAX, read, 8, &err));
    elf_file_close(elf);
}

Test(elf_file, refuses_what_is_not_a_64_bit_little_endian_executable)
{
    static const struct {
        size_t offset;
        unsigned char value;
        const char *says;
    } cases[] = {{0, 'X', "not an ELF"},
                 {EI_CLASS, ELFCLASS32, "32-bit"},
                 {EI_DATA, ELFDATA2MSB, "big-endian"},
                 {offsetof(Elf64_Ehdr, e_type), ET_REL, "not an executable"}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct elf_image image = sample();
        struct error err = {0};
        size_t length = elf_image_build(&image, bytes);
        bytes[cases[i].offset] = cases[i].value;
        cr_assert_null(open_bytes(length, &err));
        cr_assert_eq(err.code, ERROR_UNSUPPORTED);
        cr_assert_not_null(strstr(err.message, cases[i].says), "%s", err.message);
    }
}

Test(elf_file, survives_being_cut_at_every_byte)
{
    struct elf_image image = sample();
    size_t length = elf_image_build(&image, bytes);

    for (size_t cut = 0; cut < length; cut++) {
        struct error err = {0};
        struct elf_symbol wanted = {.name = "runtime.mbuckets"};
        struct elf_file *elf = open_bytes(cut, &err);
        if (elf == NULL) {
            cr_assert_neq(err.code, ERROR_NONE);
            cr_assert_neq(err.message[0], '\0');
            continue;
        }
        (void)!elf_file_find_symbols(elf, &wanted, 1, &err);
        elf_file_close(elf);
    }
}

/* Each byte of the headers set to values that make offsets and counts absurd. */
Test(elf_file, survives_lies_in_every_byte_of_its_headers)
{
    static const unsigned char lies[] = {0, 1, 0x7f, 0x80, 0xff};
    struct elf_image image = sample();
    static unsigned char right[ELF_IMAGE_MAX_BYTES];
    size_t length = elf_image_build(&image, right);

    for (size_t at = 0; at < length; at++) {
        for (size_t lie = 0; lie < sizeof(lies); lie++) {
            struct error err = {0};
            struct elf_symbol wanted = {.name = "runtime.mbuckets"};
            char read[16];
            memcpy(bytes, right, length);
            bytes[at] = lies[lie];
            struct elf_file *elf = open_bytes(length, &err);
            if (elf == NULL) {
                cr_assert_neq(err.message[0], '\0', "byte %zu", at);
                continue;
            }
            (void)!elf_file_find_symbols(elf, &wanted, 1, &err);
            (void)!elf_file_read_address(elf, 0x401000, read, sizeof(read), &err);
            (void)elf_file_section(elf, ".text");
            elf_file_close(elf);
        }
    }
}

Test(elf_file, says_so_when_the_file_shrinks_under_it)
{
    struct elf_image image = sample();
    struct error err = {0};
    size_t length = elf_image_build(&image, bytes);
    int fd = elf_image_fd(bytes, length);
    struct elf_file *elf = elf_file_open(dup(fd), &err);
    char read[sizeof(text)];

    cr_assert_not_null(elf);
    cr_assert_eq(ftruncate(fd, 100), 0);
    cr_assert_not(elf_file_read_address(elf, 0x401000, read, sizeof(read), &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_not_null(strstr(err.message, "shrank"), "%s", err.message);
    elf_file_close(elf);
    close(fd);
}

Test(elf_file, reports_a_program_without_symbols)
{
    struct elf_image image = sample();
    struct elf_symbol wanted = {.name = "runtime.mbuckets"};
    struct error err = {0};

    image.part_count = 1;
    struct elf_file *elf = open_image(&image);
    cr_assert_not(elf_file_has_symbols(elf));
    cr_assert_not(elf_file_find_symbols(elf, &wanted, 1, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    elf_file_close(elf);
}

Test(elf_file, opens_a_program_whose_section_headers_are_gone)
{
    struct elf_image image = sample();
    struct error err = {0};
    char read[sizeof(text)];

    image.without_sections = true;
    struct elf_file *elf = open_image(&image);
    cr_assert_null(elf_file_section(elf, ".text"));
    cr_assert(elf_file_read_address(elf, 0x401000, read, sizeof(read), &err), "%s", err.message);
    elf_file_close(elf);
}

Test(elf_file, computes_the_load_bias_of_relocatable_programs_only)
{
    struct elf_image image = sample();
    struct elf_file *fixed = open_image(&image);
    cr_assert_eq(elf_file_load_bias(fixed, 0x7f0000000000, 0), 0);
    elf_file_close(fixed);

    image.type = ET_DYN;
    struct elf_file *moved = open_image(&image);
    uint64_t offset = elf_image_offset(&image, 0);
    uint64_t page = offset & ~UINT64_C(0xfff);
    /* The kernel maps whole pages: linked 0x401000 lies at its offset within the first one. */
    uint64_t bias = elf_file_load_bias(moved, 0x7f0000000000, page);
    cr_assert_eq(bias + 0x401000, 0x7f0000000000 + (offset - page));
    elf_file_close(moved);
}
