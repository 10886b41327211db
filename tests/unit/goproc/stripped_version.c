/* The Go version of a program whose linker noted none: it is looked for among its string variables.
 */
#include <criterion/criterion.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/stripped.h"
#include "elf_image.h"
#include "pclntab_image.h"

enum { TEXT_ADDRESS = 0x500000, DATA_ADDRESS = 0x600000, DATA_WORDS = 40000, BIAS = 0x7000000 };

static const char text[] = "hello\0go1.26.5 X:nothing\0go1.23.4\0go1.26.5\0devel go1.28-abcdef\0"
                           "go1.nothing\0godown";

static uint64_t words[DATA_WORDS];

/* Where [part] is in the text, live. */
static uint64_t at(const char *part)
{
    const char *found = memmem(text, sizeof(text), part, strlen(part) + 1);
    cr_assert_not_null(found);
    return TEXT_ADDRESS + BIAS + (uint64_t)(found - text);
}

static void put_string(size_t index, const char *string)
{
    words[index] = at(string);
    words[index + 1] = strlen(string);
}

static bool find(char version[STRIPPED_VERSION_MAX_BYTES + 1], struct error *err)
{
    static unsigned char file[ELF_IMAGE_MAX_BYTES];
    const struct elf_image image = {.type = ET_DYN,
                                    .without_sections = true,
                                    .parts = {{.name = ".rodata",
                                               .bytes = text,
                                               .length = sizeof(text),
                                               .address = TEXT_ADDRESS}},
                                    .part_count = 1};
    size_t length = elf_image_build(&image, file);
    struct elf_file *elf = elf_file_open(elf_image_fd(file, length), err);
    cr_assert_not_null(elf, "%s", err->message);

    const struct memory_segment segment = {DATA_ADDRESS + BIAS, words, sizeof(words)};
    const struct memory_image memory_image = {&segment, 1};
    struct memory memory;
    memory_open_image(&memory, &memory_image);
    const struct moduledata module = {
        .data = {DATA_ADDRESS + BIAS, DATA_ADDRESS + BIAS + sizeof(words)}};
    bool found = stripped_find_version(elf, BIAS, &memory, &module, version, err);
    memory_close(&memory);
    elf_file_close(elf);
    return found;
}

Test(stripped_version, is_found_among_other_strings)
{
    char version[STRIPPED_VERSION_MAX_BYTES + 1];
    struct error err = {0};
    put_string(10, "hello");
    put_string(20, "godown");
    put_string(22, "go1.nothing");
    put_string(33, "go1.26.5");
    cr_assert(find(version, &err), "%s", err.message);
    cr_assert_str_eq(version, "go1.26.5");
}

Test(stripped_version, is_found_at_every_place_also_where_two_reads_meet)
{
    for (size_t i = 32760; i < 32775; i++) {
        char version[STRIPPED_VERSION_MAX_BYTES + 1];
        struct error err = {0};
        memset(words, 0, sizeof(words));
        put_string(i, "go1.23.4");
        cr_assert(find(version, &err), "word %zu: %s", i, err.message);
        cr_assert_str_eq(version, "go1.23.4");
    }
}

Test(stripped_version, keeps_experiments_and_development_versions)
{
    char version[STRIPPED_VERSION_MAX_BYTES + 1];
    struct error err = {0};
    put_string(5, "go1.26.5 X:nothing");
    cr_assert(find(version, &err), "%s", err.message);
    cr_assert_str_eq(version, "go1.26.5 X:nothing");
    put_string(5, "devel go1.28-abcdef");
    cr_assert(find(version, &err), "%s", err.message);
    cr_assert_str_eq(version, "devel go1.28-abcdef");
}

Test(stripped_version, is_not_guessed_when_two_disagree)
{
    char version[STRIPPED_VERSION_MAX_BYTES + 1];
    struct error err = {0};
    put_string(5, "go1.26.5");
    put_string(50, "go1.23.4");
    cr_assert_not(find(version, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "ambiguous"), "%s", err.message);
    put_string(50, "go1.26.5"); /* the same twice is no contradiction */
    cr_assert(find(version, &err), "%s", err.message);
}

Test(stripped_version, is_not_invented)
{
    char version[STRIPPED_VERSION_MAX_BYTES + 1];
    struct error err = {0};
    put_string(5, "hello");
    put_string(10, "go1.nothing");
    words[20] = at("go1.23.4");
    words[21] = 4; /* "go1." */
    words[22] = UINT64_MAX - 2;
    words[23] = 8;
    cr_assert_not(find(version, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_not_null(strstr(err.message, "nowhere"), "%s", err.message);
}

Test(stripped_functions, are_found_by_name_all_in_one_pass)
{
    static struct pclntab_image image;
    const struct go_layout *layout = go_layout_find("go1.26.8", NULL);
    struct error err = {0};
    pclntab_image_make(&image, layout);
    struct elf_file *elf = pclntab_image_file(&image);
    struct pclntab *table = pclntab_load(elf, 0, &image.module, layout, &err);
    cr_assert_not_null(table, "%s", err.message);
    struct pclntab_named wanted[] = {{.name = "main.Map[go.shape.int]"},
                                     {.name = "runtime.goexit"},
                                     {.name = "runtime.mallocgc"},
                                     {.name = "runtime.malloc", .end = 1},
                                     {.name = "main.middle"}};
    pclntab_find_functions(table, wanted, sizeof(wanted) / sizeof(wanted[0]));
    cr_assert_eq(wanted[0].start, PC_MAP);
    cr_assert_eq(wanted[0].end, PC_END);
    cr_assert_eq(wanted[1].start, PC_GOEXIT);
    cr_assert_eq(wanted[1].end, PC_MAP);
    cr_assert_eq(wanted[2].start, PC_MALLOCGC);
    cr_assert_eq(wanted[2].end, PC_LEAK);
    cr_assert_eq(wanted[3].end, 0, "only the beginning of a name was found");
    cr_assert_eq(wanted[4].end, 0, "only inlined: no function of its own");
    pclntab_find_functions(table, wanted, 0);
    pclntab_free(table);
    elf_file_close(elf);
}
