/* go_process_buildinfo.c - build information and Go versions, right and wrong. */
#include "core/goproc/buildinfo.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/go_program.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/arena.h"
#include "tests/unit/goproc/elf_image.h"

#define MODULES                                                                                    \
    "0123456789abcdef"                                                                             \
    "path\texample.com/cmd/shop\n"                                                                 \
    "mod\texample.com/shop\tv1.4.2\th1:x=\n"                                                       \
    "dep\texample.com/other\tv0.1.0\th1:y=\n"                                                      \
    "dep\texample.com/forked\tv1.0.0\n"                                                            \
    "=>\texample.com/fork\tv1.0.1\th1:z=\n"                                                        \
    "dep\texample.com/local\tv0.0.0\n"                                                             \
    "=>\t../local\t\n"                                                                             \
    "build\t-buildmode=exe\n"                                                                      \
    "build\tCGO_ENABLED=0\n"                                                                       \
    "build\tvcs.revision=cafe01\n"                                                                 \
    "build\tvcs.time=2026-01-02T03:04:05Z\n"                                                        \
    "build\tvcs.modified=true\n"                                                                   \
    "fedcba9876543210"

struct blob {
    char bytes[2048];
    size_t length;
};

static void put_string(struct blob *blob, const char *text, size_t length)
{
    blob->bytes[blob->length++] = (char)(0x80 | (length & 0x7f));
    blob->bytes[blob->length++] = (char)(length >> 7);
    memcpy(blob->bytes + blob->length, text, length);
    blob->length += length;
}

static struct blob make_blob(const char *version)
{
    struct blob blob = {.bytes = "\xff Go buildinf:\x08\x02", .length = 32};
    put_string(&blob, version, strlen(version));
    put_string(&blob, MODULES, strlen(MODULES));
    return blob;
}

static struct arena *arena;

static void set_up(void)
{
    arena = arena_new(1 << 20, 4096);
}

static void tear_down(void)
{
    arena_free(arena);
}

TestSuite(buildinfo, .init = set_up, .fini = tear_down);

Test(buildinfo, takes_version_module_and_settings)
{
    struct blob blob = make_blob("go1.26.8");
    struct buildinfo info;
    struct error err = {0};

    cr_assert(buildinfo_parse(blob.bytes, blob.length, arena, &info, &err), "%s", err.message);
    cr_assert_str_eq(info.go_version, "go1.26.8");
    cr_assert_str_eq(info.path, "example.com/cmd/shop");
    cr_assert_str_eq(info.module_path, "example.com/shop");
    cr_assert_str_eq(info.module_version, "v1.4.2");
    cr_assert_str_eq(info.vcs_revision, "cafe01");
    cr_assert_str_eq(info.vcs_time, "2026-01-02T03:04:05Z");
    cr_assert_str_eq(info.vcs_modified, "true");
    cr_assert_eq(info.setting_count, 5);
    cr_assert_str_eq(info.settings[1].key, "CGO_ENABLED");
    cr_assert_str_eq(info.settings[1].value, "0");
}

Test(buildinfo, takes_dependencies_and_what_stands_in_for_them)
{
    struct blob blob = make_blob("go1.26.8");
    struct buildinfo info;
    struct error err = {0};

    cr_assert(buildinfo_parse(blob.bytes, blob.length, arena, &info, &err), "%s", err.message);
    cr_assert_eq(info.dependency_count, 3);
    cr_assert_str_eq(info.dependencies[0].path, "example.com/other");
    cr_assert_str_eq(info.dependencies[0].version, "v0.1.0");
    cr_assert_str_eq(info.dependencies[0].replacement, "");
    cr_assert_str_eq(info.dependencies[1].replacement, "example.com/fork@v1.0.1");
    cr_assert_str_eq(info.dependencies[2].replacement, "../local");
}

Test(buildinfo, leaves_out_dependencies_beyond_its_bounds)
{
    enum { LINES = BUILDINFO_DEPENDENCIES_MAX + 100, LINE_BYTES = 32 };
    char *bytes = calloc(1, LINES * LINE_BYTES + 256);
    memcpy(bytes, "\xff Go buildinf:\x08\x02", 16);
    size_t length = 32;
    bytes[length++] = 8;
    memcpy(bytes + length, "go1.26.8", 8);
    length += 8;
    const size_t text = 32 + LINES * LINE_BYTES;
    for (unsigned shift = 0; shift < 21; shift += 7)
        bytes[length++] = (char)((shift < 14 ? 0x80 : 0) | ((text >> shift) & 0x7f));
    const size_t start = length;
    memset(bytes + length, '0', 16);
    length += 16;
    for (size_t i = 0; i < LINES; i++)
        length += (size_t)snprintf(bytes + length, LINE_BYTES + 1, "dep\texample.com/m%06zu\tv1.00.0\n", i);
    memset(bytes + length, '0', 16);
    cr_assert_eq(length + 16, start + text);
    struct buildinfo info;
    struct error err = {0};
    cr_assert(buildinfo_parse(bytes, length + 16, arena, &info, &err), "%s", err.message);
    cr_assert_eq(info.dependency_count, BUILDINFO_DEPENDENCIES_MAX);
    cr_assert_str_eq(info.dependencies[2047].path, "example.com/m002047");
    free(bytes);
}

Test(buildinfo, survives_being_cut_at_every_byte)
{
    struct blob blob = make_blob("go1.26.8");

    for (size_t cut = 0; cut < blob.length; cut++) {
        struct buildinfo info;
        struct error err = {0};
        char *exact = malloc(cut + 1); /* so that a read past the cut is seen by the sanitizer */
        memcpy(exact, blob.bytes, cut);
        cr_assert_not(buildinfo_parse(exact, cut, arena, &info, &err), "cut at %zu", cut);
        cr_assert_neq(err.message[0], '\0');
        free(exact);
    }
}

Test(buildinfo, refuses_lengths_beyond_the_blob)
{
    struct blob blob = make_blob("go1.26.8");
    struct buildinfo info;
    struct error err = {0};

    memset(blob.bytes + 32, 0xff, 8); /* a uvarint of 2^56 and more */
    cr_assert_not(buildinfo_parse(blob.bytes, blob.length, arena, &info, &err));
    cr_assert_eq(err.code, ERROR_CORRUPT);
}

Test(buildinfo, keeps_the_version_when_the_module_text_lost_its_sentinels)
{
    struct blob blob = {.bytes = "\xff Go buildinf:\x08\x02", .length = 32};
    struct buildinfo info;
    struct error err = {0};

    put_string(&blob, "go1.22.1", 8);
    put_string(&blob, "path\tx\n", 7);
    cr_assert(buildinfo_parse(blob.bytes, blob.length, arena, &info, &err), "%s", err.message);
    cr_assert_str_eq(info.go_version, "go1.22.1");
    cr_assert_str_eq(info.path, "");
    cr_assert_eq(info.setting_count, 0);
}

static void check_program(const struct elf_image *image, const char *version, const char *refusal)
{
    static unsigned char bytes[ELF_IMAGE_MAX_BYTES];
    struct go_program program;
    struct error err = {0};
    size_t length = elf_image_build(image, bytes);
    bool ok = go_program_open_fd(elf_image_fd(bytes, length), &program, &err);

    if (refusal != NULL) {
        cr_assert_not(ok);
        cr_assert_eq(err.code, ERROR_UNSUPPORTED);
        cr_assert_str_eq(err.message, refusal);
        return;
    }
    cr_assert(ok, "%s", err.message);
    cr_assert_str_eq(program.info.go_version, version);
    go_program_close(&program);
}

Test(go_program, finds_build_info_by_section_name_and_without_sections)
{
    struct blob blob = make_blob("go1.19.8");
    struct elf_image image = {.parts = {{.name = ".go.buildinfo",
                                         .bytes = blob.bytes,
                                         .length = blob.length,
                                         .address = 0x601000,
                                         .writable = true}},
                              .part_count = 1};
    check_program(&image, "go1.19.8", NULL);
    image.without_sections = true;
    check_program(&image, "go1.19.8", NULL);
}

Test(go_program, knows_go_by_its_function_table_when_build_info_is_missing)
{
    static const unsigned char table[72] = {0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8};
    struct elf_image image = {
        .parts = {{.name = ".gopclntab", .bytes = table, .length = sizeof(table), .address = 0x500000}},
        .part_count = 1};
    check_program(&image, "", NULL);
    image.without_sections = true;
    check_program(&image, "", NULL);
}

Test(go_program, says_what_is_not_go)
{
    static const char code[] = "int main(void)";
    struct elf_image image = {
        .parts = {{.name = ".text", .bytes = code, .length = sizeof(code), .address = 0x401000}},
        .part_count = 1};
    check_program(&image, NULL, "not a Go program");
}

Test(go_program, names_the_version_of_a_go_older_than_inline_build_info)
{
    /* Up to Go 1.17: pointers to a string header, which points to the text. */
    struct {
        char header[32];
        uint64_t string[2];
        char text[16];
    } old = {.header = "\xff Go buildinf:\x08",
             .string = {0x601000 + 48, 7},
             .text = "go1.17.13"};
    uint64_t pointer = 0x601000 + 32;
    memcpy(old.header + 16, &pointer, sizeof(pointer));
    old.string[1] = 9;
    struct elf_image image = {.parts = {{.name = ".go.buildinfo",
                                         .bytes = &old,
                                         .length = sizeof(old),
                                         .address = 0x601000,
                                         .writable = true}},
                              .part_count = 1};
    check_program(&image, "go1.17.13", NULL);
}

Test(go_program, names_gccgo_in_place_of_a_version)
{
    static const char code[] = "int main(void)", exports[] = "v3;\npackage main\n";
    struct elf_image image = {
        .parts = {{.name = ".text", .bytes = code, .length = sizeof(code), .address = 0x401000},
                  {.name = ".go_export", .bytes = exports, .length = sizeof(exports)}},
        .part_count = 2};
    check_program(&image, "gccgo", NULL);
}

/* Versions. */

Test(go_version, reads_releases_candidates_vendors_and_experiments)
{
    static const struct {
        const char *text;
        unsigned minor;
        bool experiments, development;
    } cases[] = {{"go1.19", 19, false, false},
                 {"go1.26.8", 26, false, false},
                 {"go1.22rc1", 22, false, false},
                 {"go1.21beta2", 21, false, false},
                 {"go1.20.3-vendor.7", 20, false, false},
                 {"go1.21.5 X:arenas", 21, true, false},
                 {"devel go1.28-3c59bcc1 Tue", 28, false, true}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct go_version version;
        cr_assert(go_version_parse(cases[i].text, &version), "%s", cases[i].text);
        cr_assert_eq(version.major, 1);
        cr_assert_eq(version.minor, cases[i].minor, "%s", cases[i].text);
        cr_assert_eq(version.experiments, cases[i].experiments, "%s", cases[i].text);
        cr_assert_eq(version.development, cases[i].development, "%s", cases[i].text);
    }
}

Test(go_version, refuses_what_is_none)
{
    static const char *const cases[] = {"", "1.26", "go", "go1", "go1.", "go1.x", "go1.26x",
                                        "gox.26", "unknown", "go1.99999", "devel"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct go_version version;
        cr_assert_not(go_version_parse(cases[i], &version), "%s", cases[i]);
    }
}

Test(go_layout, has_a_column_for_each_minor_version_from_19_to_27)
{
    for (unsigned minor = 18; minor <= 27; minor++) {
        char text[32];
        struct error err = {0};
        snprintf(text, sizeof(text), "go1.%u.5", minor);
        const struct go_layout *layout = go_layout_find(text, &err);
        cr_assert_not_null(layout, "%s", err.message);
        cr_assert_eq(layout->minor, minor);
        cr_assert_eq(layout->record_cycle_bytes, minor >= 27 ? 16 : 32);
        cr_assert_eq(layout->size_exact, minor >= 27);
    }
}

Test(go_layout, names_the_version_it_refuses)
{
    static const char *const cases[] = {"go1.17.13", "go1.18", "go1.18.3", "go1.18rc1", "go1.28.0", "go2.0",
                                        "devel go1.27-abc", "unknown",   "gccgo"};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct error err = {0};
        cr_assert_null(go_layout_find(cases[i], &err));
        cr_assert_eq(err.code, ERROR_UNSUPPORTED);
        cr_assert_not_null(strstr(err.message, cases[i]), "%s", err.message);
    }
}
