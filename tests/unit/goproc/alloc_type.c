/* alloc_type.c - the type at a call, in a program made by hand. */
#include "core/goproc/alloc_type.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "tests/unit/goproc/elf_image.h"

enum {
    TEXT = 0x401000,
    TYPES = 0x600000,
    TYPE_AT = 0x40,
    NAME_AT = 0x80,
    TYPES_BYTES = 0x100,
    TYPE_SIZE = 48,
    KIND_STRUCT = 25,
    CODE_MAX_BYTES = 96 << 10,
    CALL_BYTES = 12, /* LEAQ type, AX; CALL */
};

/* A function of NOPs in which [calls] follow each other, the first at [at]. */
static struct elf_file *program(size_t at, size_t calls)
{
    static unsigned char code[CODE_MAX_BYTES], file[ELF_IMAGE_MAX_BYTES];
    unsigned char types[TYPES_BYTES] = {0};
    static const char name[] = "\1\14main.Session";
    const int32_t name_at = NAME_AT;

    memset(code, 0x90, sizeof(code));
    for (size_t i = 0; i < calls; i++) {
        unsigned char *call = code + at + i * CALL_BYTES;
        const uint32_t distance = (uint32_t)(TYPES + TYPE_AT - (TEXT + at + i * CALL_BYTES + 7));
        memcpy(call, "\x48\x8d\x05", 3);
        memcpy(call + 3, &distance, sizeof(distance));
        memcpy(call + 7, "\xe8\1\0\0\0", 5);
    }
    types[TYPE_AT] = TYPE_SIZE;
    types[TYPE_AT + 23] = KIND_STRUCT;
    memcpy(types + TYPE_AT + 40, &name_at, sizeof(name_at));
    memcpy(types + NAME_AT, name, sizeof(name));
    const struct elf_image image = {
        .parts = {{.name = ".text", .bytes = code, .length = sizeof(code), .address = TEXT},
                  {.name = ".rodata", .bytes = types, .length = sizeof(types), .address = TYPES}},
        .part_count = 2};
    const size_t length = elf_image_build(&image, file);
    struct elf_file *elf = elf_file_open(elf_image_fd(file, length), NULL);
    cr_assert_not_null(elf);
    return elf;
}

static bool find(const struct elf_file *elf, const char *function, uint64_t return_at,
                 uint64_t entry_at, uint64_t object_bytes, char name[ALLOC_TYPE_NAME_BYTES])
{
    const struct alloc_types_source source = {
        .elf = elf, .types = {TYPES, TYPES + TYPES_BYTES}, .minor = 26};
    const struct alloc_frame frame = {.return_pc = TEXT + return_at, .entry = TEXT + entry_at};
    struct alloc_types *types = alloc_types_new(&source);
    cr_assert_not_null(types);
    bool callers_matter;
    const bool found =
        alloc_types_find(types, function, &frame, 1, object_bytes, name, &callers_matter);
    alloc_types_free(types);
    return found;
}

Test(alloc_type, is_found_wherever_in_its_function_the_call_is)
{
    static const size_t places[] = {0, 100, 4095, 4096, 20000, 32 << 10, 40000, 80000};
    char name[ALLOC_TYPE_NAME_BYTES];
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        struct elf_file *elf = program(places[i], 1);
        cr_assert(find(elf, "runtime.newobject", places[i] + CALL_BYTES, 0, TYPE_SIZE, name),
                  "at %zu", places[i]);
        cr_assert_str_eq(name, "main.Session");
        elf_file_close(elf);
    }
}

Test(alloc_type, of_slices_is_the_element_s)
{
    char name[ALLOC_TYPE_NAME_BYTES];
    struct elf_file *elf = program(64, 1);
    cr_assert(find(elf, "runtime.makeslice", 64 + CALL_BYTES, 0, 8192, name));
    cr_assert_str_eq(name, "[]main.Session");
    elf_file_close(elf);
}

Test(alloc_type, must_fit_what_was_allocated)
{
    char name[ALLOC_TYPE_NAME_BYTES];
    struct elf_file *elf = program(64, 1);
    cr_assert(find(elf, "runtime.newobject", 64 + CALL_BYTES, 0, 64, name), "its size class");
    cr_assert_not(find(elf, "runtime.newobject", 64 + CALL_BYTES, 0, 32, name), "too small");
    cr_assert_not(find(elf, "runtime.newobject", 64 + CALL_BYTES, 0, 4096, name), "too large");
    cr_assert_not(find(elf, "runtime.makemap", 64 + CALL_BYTES, 0, 48, name), "no map");
    cr_assert_not(find(elf, "runtime.makechan", 64 + CALL_BYTES, 0, 96, name), "no channel");
    cr_assert_not(find(elf, "runtime.mallocgc", 64 + CALL_BYTES, 0, 48, name), "not told");
    cr_assert_not(find(elf, "main.newobject", 64 + CALL_BYTES, 0, 48, name), "another function");
    elf_file_close(elf);
}

Test(alloc_type, is_unknown_of_addresses_that_are_no_call)
{
    char name[ALLOC_TYPE_NAME_BYTES];
    struct elf_file *elf = program(64, 2);
    const uint64_t end = 64 + CALL_BYTES;
    cr_assert_not(find(elf, "runtime.newobject", end - 1, 0, TYPE_SIZE, name));
    cr_assert_not(find(elf, "runtime.newobject", end, end, TYPE_SIZE, name), "before its entry");
    cr_assert_not(find(elf, "runtime.newobject", 20, 0, TYPE_SIZE, name), "among NOPs");
    cr_assert_not(find(elf, "runtime.newobject", (uint64_t)-TEXT, 0, TYPE_SIZE, name));
    cr_assert_not(find(elf, "runtime.newobject", CODE_MAX_BYTES + 99, 0, TYPE_SIZE, name));
    cr_assert_not(find(elf, "runtime.newobject", UINT64_MAX - TEXT, 0, TYPE_SIZE, name));
    cr_assert(find(elf, "runtime.newobject", end + CALL_BYTES, 0, TYPE_SIZE, name), "the second");
    elf_file_close(elf);
}
