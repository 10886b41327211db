/* Debug information that is missing or broken.  That what it tells is right is shown on programs of
 * every Go version by tests/integration/stripped_symbols.sh. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/layout_dwarf.h"
#include "elf_image.h"

static unsigned char file[ELF_IMAGE_MAX_BYTES];

static bool apply(const struct elf_image *image, struct go_layout *layout, struct error *err)
{
    size_t length = elf_image_build(image, file);
    struct elf_file *elf = elf_file_open(elf_image_fd(file, length), err);
    cr_assert_not_null(elf, "%s", err->message);
    bool applied = layout_dwarf_apply(elf, layout, err);
    elf_file_close(elf);
    return applied;
}

/* One unit named "runtime" with one struct: abbreviation 1 is a unit with a name, 2 a struct with
 * name and size, both with children. */
static const unsigned char abbreviations[] = {1, 0x11, 1,    0x03, 0x08, 0, 0, 2, 0x13,
                                              1, 0x03, 0x08, 0x0b, 0x0f, 0, 0, 0};
static const unsigned char info[] = {
    0x2a, 0,   0,   0,   4,   0,   0,   0,   0,   0,   8, /* length, version 4, abbreviations at 0,
                                                             pointers of 8 */
    1,    'r', 'u', 'n', 't', 'i', 'm', 'e', 0,   2,   'r', 'u', 'n', 't',  'i', 'm',
    'e',  '.', 'm', 'o', 'd', 'u', 'l', 'e', 'd', 'a', 't', 'a', 0,   0x80, 4, /* 512 bytes */
    0,    0,   0,   0};

static struct elf_image with_debug(const unsigned char *bytes, size_t length)
{
    return (struct elf_image){
        .parts = {{.name = ".text", .bytes = "code", .length = 4, .address = 0x1000},
                  {.name = ".debug_info", .bytes = bytes, .length = length},
                  {.name = ".debug_abbrev",
                   .bytes = abbreviations,
                   .length = sizeof(abbreviations)}},
        .part_count = 3};
}

Test(layout_dwarf, leaves_the_layout_alone_without_debug_information)
{
    const struct elf_image image = {
        .parts = {{.name = ".text", .bytes = "code", .length = 4, .address = 0x1000}},
        .part_count = 1};
    const struct go_layout *table = go_layout_find("go1.27.3", NULL);
    struct go_layout layout = *table;
    struct error err = {0};
    cr_assert_not(apply(&image, &layout, &err));
    cr_assert_eq(err.code, ERROR_NOT_FOUND, "%s", err.message);
    cr_assert_eq(memcmp(&layout, table, sizeof(layout)), 0);
}

Test(layout_dwarf, refuses_a_runtime_whose_structs_have_lost_their_members)
{
    const struct elf_image image = with_debug(info, sizeof(info));
    const struct go_layout *table = go_layout_find("go1.27.3", NULL);
    struct go_layout layout = *table;
    struct error err = {0};
    cr_assert_not(apply(&image, &layout, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED, "%s", err.message);
    cr_assert_not_null(strstr(err.message, "runtime.moduledata."), "%s", err.message);
    cr_assert_eq(memcmp(&layout, table, sizeof(layout)), 0);
}

Test(layout_dwarf, survives_every_cut_and_every_changed_byte)
{
    const struct go_layout *table = go_layout_find("go1.27.3", NULL);
    for (size_t i = 0; i < sizeof(info); i++) {
        unsigned char changed[sizeof(info)];
        struct go_layout layout = *table;
        struct error err = {0};
        struct elf_image image = with_debug(info, i);
        cr_assert_not(apply(&image, &layout, &err));
        cr_assert_neq(err.message[0], '\0');
        for (unsigned value = 0; value < 256; value += 51) {
            memcpy(changed, info, sizeof(info));
            changed[i] = (unsigned char)value;
            image = with_debug(changed, sizeof(changed));
            err = (struct error){0};
            cr_assert_not(apply(&image, &layout, &err));
            cr_assert_neq(err.message[0], '\0');
        }
        cr_assert_eq(memcmp(&layout, table, sizeof(layout)), 0);
    }
}
