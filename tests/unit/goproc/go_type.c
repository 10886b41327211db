/* go_type.c - type data is hostile: every offset, length and character of it. */
#include "core/goproc/go_type.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "tests/unit/goproc/elf_image.h"

enum {
    LINKED = 0x400000,
    BIAS = 0x10000000,
    TYPES_BYTES = 1024,
    TYPE_AT = 64,
    NAME_AT = 256,
    KIND_STRUCT = 25,
    EXTRA_STAR = 2,
};

/* What lies in the file at TYPE_AT, and its name. */
struct facts {
    uint64_t size, pointer_bytes;
    unsigned char flags, kind;
    int32_t name_at;
    const char *name; /* with its flags and length */
    size_t name_length;
};

static const struct facts session = {.size = 48,
                                     .pointer_bytes = 8,
                                     .kind = KIND_STRUCT,
                                     .name_at = NAME_AT,
                                     .name = "\1\14main.Session",
                                     .name_length = 14};

static bool read_at(const struct facts *facts, uint64_t address, uint64_t types_bytes,
                    struct go_type *type)
{
    unsigned char bytes[TYPES_BYTES] = {0};
    static unsigned char file[ELF_IMAGE_MAX_BYTES];

    memcpy(bytes + TYPE_AT, &facts->size, 8);
    memcpy(bytes + TYPE_AT + 8, &facts->pointer_bytes, 8);
    bytes[TYPE_AT + 20] = facts->flags;
    bytes[TYPE_AT + 23] = facts->kind;
    memcpy(bytes + TYPE_AT + 40, &facts->name_at, 4);
    memcpy(bytes + NAME_AT, facts->name, facts->name_length);
    const struct elf_image image = {
        .parts = {{.name = ".rodata", .bytes = bytes, .length = sizeof(bytes), .address = LINKED}},
        .part_count = 1};
    const size_t length = elf_image_build(&image, file);
    struct elf_file *elf = elf_file_open(elf_image_fd(file, length), NULL);
    cr_assert_not_null(elf);
    const struct module_range types = {LINKED + BIAS, LINKED + BIAS + types_bytes};
    const bool ok = go_type_read(elf, BIAS, &types, address, type);
    elf_file_close(elf);
    return ok;
}

static bool read_type(const struct facts *facts, struct go_type *type)
{
    return read_at(facts, LINKED + BIAS + TYPE_AT, TYPES_BYTES, type);
}

Test(go_type, has_name_size_and_kind)
{
    struct go_type type;
    cr_assert(read_type(&session, &type));
    cr_assert_str_eq(type.name, "main.Session");
    cr_assert_eq(type.size, 48);
    cr_assert_eq(type.kind, KIND_STRUCT);
}

Test(go_type, loses_the_star_that_is_not_part_of_its_name)
{
    struct facts facts = session;
    struct go_type type;
    facts.flags = EXTRA_STAR;
    cr_assert_not(read_type(&facts, &type), "there is no star");
    facts.name = "\1\15*main.Session";
    facts.name_length = 15;
    cr_assert(read_type(&facts, &type));
    cr_assert_str_eq(type.name, "main.Session");
    facts.name = "\1\1*";
    facts.name_length = 3;
    cr_assert_not(read_type(&facts, &type), "nothing but a star");
}

Test(go_type, is_none_outside_the_type_data)
{
    static const uint64_t elsewhere[] = {0, 8, LINKED + TYPE_AT, LINKED + BIAS - 8,
                                         LINKED + BIAS + TYPE_AT + 4,
                                         LINKED + BIAS + TYPES_BYTES - 40,
                                         LINKED + BIAS + TYPES_BYTES, UINT64_MAX - 7};
    struct go_type type;
    for (size_t i = 0; i < sizeof(elsewhere) / sizeof(elsewhere[0]); i++)
        cr_assert_not(read_at(&session, elsewhere[i], TYPES_BYTES, &type), "0x%llx",
                      (unsigned long long)elsewhere[i]);
    cr_assert_not(read_at(&session, LINKED + BIAS + TYPE_AT, TYPE_AT + 40, &type), "cut");
    cr_assert_not(read_at(&session, LINKED + BIAS + TYPE_AT, NAME_AT, &type), "the name is behind");
    cr_assert_not(read_at(&session, LINKED + BIAS + TYPE_AT, 0, &type), "no types at all");
    /* Claims more than the file holds. */
    cr_assert_not(read_at(&session, LINKED + BIAS + TYPES_BYTES, UINT64_MAX / 2, &type));
}

Test(go_type, is_none_with_offsets_and_kinds_that_no_type_has)
{
    static const int32_t names[] = {0, -1, INT32_MIN, TYPES_BYTES, TYPES_BYTES - 1, INT32_MAX};
    static const unsigned char kinds[] = {0, GO_KIND_LAST + 1, 31};
    struct facts facts = session;
    struct go_type type;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        facts.name_at = names[i];
        cr_assert_not(read_type(&facts, &type), "%d", (int)names[i]);
    }
    facts = session;
    for (size_t i = 0; i < sizeof(kinds); i++) {
        facts.kind = kinds[i];
        cr_assert_not(read_type(&facts, &type), "kind %u", kinds[i]);
    }
    facts = session;
    facts.pointer_bytes = 49;
    cr_assert_not(read_type(&facts, &type), "more pointers than bytes");
}

Test(go_type, is_none_with_a_name_that_is_none)
{
    static const struct {
        const char *name;
        size_t length;
    } names[] = {{"\1\0", 2},
                 {"\1\xff\xff\xff\xff\xff", 6},
                 {"\1\xff\x7f", 3}, /* 16383 bytes, of which there are not so many */
                 {"\1\6main.\n", 8},
                 {"\1\6main.\x7f", 8},
                 {"\1\6ma\0in.", 8}};
    struct facts facts = session;
    struct go_type type;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        facts.name = names[i].name;
        facts.name_length = names[i].length;
        cr_assert_not(read_type(&facts, &type), "name %zu", i);
    }
}

Test(go_type, has_its_long_name_cut_at_a_whole_character)
{
    char name[2 + 600];
    struct facts facts = session;
    struct go_type type;
    for (size_t shift = 0; shift < 2; shift++) {
        name[0] = 1;
        name[1] = (char)(0x80 | (600 & 0x7f));
        name[2] = 600 >> 7;
        memset(name + 3, 'm', shift);
        for (size_t i = 3 + shift; i + 1 < sizeof(name); i += 2)
            memcpy(name + i, "\xc3\xa9", 2);
        facts.name = name;
        facts.name_length = sizeof(name);
        cr_assert(read_type(&facts, &type));
        const size_t length = strlen(type.name);
        cr_assert_leq(length, GO_TYPE_NAME_MAX_BYTES);
        cr_assert_str_eq(type.name + length - 3, "...");
        cr_assert_eq((unsigned char)type.name[length - 4], 0xa9);
    }
}
