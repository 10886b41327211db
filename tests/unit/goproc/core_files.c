/* core_files.c - core files whole, cut off and made up: what they hold, and what is said of the others. */
#include <criterion/criterion.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/procfs.h>
#include <unistd.h>

#include "core/goproc/core_file.h"
#include "core/goproc/elf_file.h"
#include "core/goproc/memory.h"
#include "core/goproc/procfs.h"

/* A little core: four notes, a dumped piece, one of which only the first page was, and one that was not.
 *
 *   0      ELF header, 4 program headers
 *   0x200  notes
 *   0x1000 0x400000: first page of /srv/app, with its build ids; 0x401000 is mapped, not dumped
 *   0x2000 0x800000: one page of bytes 0, 1, 2 ... */
enum { PAGE = 4096, NOTES_AT = 0x200, CORE_BYTES = 3 * PAGE };

static unsigned char image[CORE_BYTES];
static char path[512];
static size_t notes_length;

static void put_note(uint32_t type, const char *name, const void *desc, size_t length)
{
    const Elf64_Nhdr head = {
        .n_namesz = (uint32_t)strlen(name) + 1, .n_descsz = (uint32_t)length, .n_type = type};
    unsigned char *at = image + NOTES_AT + notes_length;
    memcpy(at, &head, sizeof(head));
    memcpy(at + sizeof(head), name, head.n_namesz);
    memcpy(at + sizeof(head) + ((head.n_namesz + 3) & ~3U), desc, length);
    notes_length += sizeof(head) + ((head.n_namesz + 3) & ~3U) + ((length + 3) & ~(size_t)3);
}

static void put_first_page(void)
{
    unsigned char *page = image + PAGE;
    Elf64_Ehdr header = {.e_phoff = sizeof(header), .e_phnum = 1};
    const Elf64_Phdr note = {.p_type = PT_NOTE, .p_offset = 256, .p_filesz = 16 + 4 + 16 + 8};
    const Elf64_Nhdr gnu = {.n_namesz = 4, .n_descsz = 4, .n_type = NT_GNU_BUILD_ID};
    const Elf64_Nhdr go = {.n_namesz = 4, .n_descsz = 6, .n_type = 4};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    memcpy(page, &header, sizeof(header));
    memcpy(page + sizeof(header), &note, sizeof(note));
    memcpy(page + 256, &gnu, sizeof(gnu));
    memcpy(page + 268, "GNU\0\xde\xad\xbe\xef", 8);
    memcpy(page + 276, &go, sizeof(go));
    memcpy(page + 288, "Go\0\0id-one", 10);
}

static void put_segment(size_t index, uint32_t type, uint64_t offset, uint64_t address,
                        uint64_t held, uint64_t bytes)
{
    const Elf64_Phdr segment = {.p_type = type,
                                .p_flags = PF_R | PF_X,
                                .p_offset = offset,
                                .p_vaddr = address,
                                .p_filesz = held,
                                .p_memsz = bytes};
    memcpy(image + sizeof(Elf64_Ehdr) + index * sizeof(segment), &segment, sizeof(segment));
}

static void put_header(uint16_t type, uint16_t segments)
{
    Elf64_Ehdr header = {.e_type = type,
                         .e_machine = EM_X86_64,
                         .e_phoff = sizeof(header),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = segments};
    memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_ident[EI_DATA] = ELFDATA2LSB;
    memcpy(image, &header, sizeof(header));
}

static void write_file(size_t length)
{
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fwrite(image, 1, length, file), length);
    (void)fclose(file);
}

static void put_notes(void)
{
    struct elf_prpsinfo info = {.pr_pid = 4711, .pr_psargs = "/srv/app -listen :80 "};
    const uint64_t auxv[] = {AT_PHDR, 0x400040, AT_SYSINFO_EHDR, 0x800000, AT_NULL, 0};
    struct {
        uint64_t words[8];
        char paths[24];
    } files = {.words = {2, PAGE, 0x400000, 0x402000, 0, 0x900000, 0x901000, 7}};
    memcpy(files.paths, "/srv/app\0/srv/library.so", 24);
    put_note(NT_PRPSINFO, "CORE", &info, sizeof(info));
    put_note(NT_AUXV, "CORE", auxv, sizeof(auxv));
    put_note(NT_FILE, "CORE", &files, sizeof(files));
    put_note(NT_FILE, "LINUX", "nonsense", 8); /* somebody else's */
}

static void set_up(void)
{
    (void)snprintf(path, sizeof(path), "%s/core-XXXXXX", GOPROFD_BINARY_DIR);
    const int fd = mkstemp(path);
    cr_assert_neq(fd, -1);
    (void)close(fd);
    put_header(ET_CORE, 4);
    put_notes();
    put_first_page();
    for (size_t i = 0; i < PAGE; i++)
        image[2 * PAGE + i] = (unsigned char)i;
    put_segment(0, PT_NOTE, NOTES_AT, 0, notes_length, 0);
    put_segment(1, PT_LOAD, 2 * PAGE, 0x800000, PAGE, PAGE); /* out of order */
    put_segment(2, PT_LOAD, PAGE, 0x400000, PAGE, 2 * PAGE);
    put_segment(3, PT_LOAD, 3 * PAGE, 0xa00000, 0, PAGE);
    write_file(CORE_BYTES);
}

static void tear_down(void)
{
    (void)unlink(path);
}

TestSuite(core_file, .init = set_up, .fini = tear_down);

static struct core_file *open_core(void)
{
    struct error err;
    struct core_file *core = core_file_open(path, &err);
    cr_assert_not_null(core, "%s", err.message);
    return core;
}

static void assert_refused(enum error_code code, const char *words)
{
    struct error err = {0};
    cr_assert_null(core_file_open(path, &err));
    cr_expect_eq(err.code, code, "%d: %s", (int)err.code, err.message);
    cr_expect_not_null(strstr(err.message, words), "%s", err.message);
}

Test(core_file, says_whose_it_is)
{
    struct core_file *core = open_core();
    cr_assert_eq(core_file_pid(core), 4711);
    cr_assert_str_eq(core_file_command(core), "/srv/app -listen :80");
    cr_assert_str_eq(core_file_exe(core), "/srv/app");
    cr_assert_gt(core_file_written_realtime_ns(core), UINT64_C(1500000000) * 1000000000);
    cr_assert_eq(core_file_missing_bytes(core), 0);
    core_file_close(core);
}

Test(core_file, lists_what_was_mapped)
{
    static const struct {
        uint64_t start;
        uint64_t end;
        uint64_t offset;
        const char *path;
    } wanted[] = {{0x400000, 0x402000, 0, "/srv/app"},
                  {0x800000, 0x801000, 0, "[vdso]"},
                  {0xa00000, 0xa01000, 0, ""},
                  {0x900000, 0x901000, 7 * PAGE, "/srv/library.so"}};
    struct procfs_maps maps = {0};
    struct error err;
    struct core_file *core = open_core();
    cr_assert(core_file_maps(core, &maps, &err), "%s", err.message);
    cr_assert_eq(maps.count, 4);
    for (size_t i = 0; i < 4; i++) {
        cr_expect_eq(maps.mappings[i].start, wanted[i].start);
        cr_expect_eq(maps.mappings[i].end, wanted[i].end);
        cr_expect_eq(maps.mappings[i].offset, wanted[i].offset);
        cr_expect_str_eq(maps.mappings[i].path, wanted[i].path);
    }
    procfs_maps_release(&maps);
    core_file_close(core);
}

Test(core_file, knows_the_build_ids_of_the_program)
{
    char gnu[64];
    char go[64];
    struct core_file *core = open_core();
    core_file_build_ids(core, "/srv/app", gnu, sizeof(gnu), go, sizeof(go));
    cr_assert_str_eq(gnu, "deadbeef");
    cr_assert_str_eq(go, "id-one");
    core_file_build_ids(core, "/srv/library.so", gnu, sizeof(gnu), go, sizeof(go));
    cr_assert_str_eq(gnu, "");
    cr_assert_str_eq(go, "");
    core_file_close(core);
}

Test(core_file, reads_memory_that_was_dumped_in_any_number_of_pieces)
{
    unsigned char bytes[8] = {0};
    unsigned char page[PAGE];
    struct memory memory = {0};
    struct error err;
    struct core_file *core = open_core();
    core_file_memory(core, &memory);
    const struct memory_part parts[] = {{0x800005, bytes, 3}, {0x400000, bytes + 3, 4}};
    cr_assert(memory_read_parts(&memory, parts, 2, &err), "%s", err.message);
    cr_assert_arr_eq(bytes, "\x05\x06\x07\x7f" "ELF", 7);
    cr_assert(memory_read(&memory, 0x800000, page, PAGE, &err), "%s", err.message);
    cr_assert_eq(page[255], 255);
    core_file_close(core);
}

Test(core_file, says_what_it_does_not_hold)
{
    static const uint64_t addresses[] = {0, 0x3fffff, 0x401000, 0x801000, 0x900000, 0xa00000,
                                         UINT64_MAX - 8};
    char byte = 0;
    struct memory memory = {0};
    struct core_file *core = open_core();
    core_file_memory(core, &memory);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
        struct error err = {0};
        cr_expect_not(memory_read(&memory, addresses[i], &byte, 1, &err), "0x%llx",
                      (unsigned long long)addresses[i]);
        cr_expect_eq(err.code, ERROR_CORRUPT);
        cr_expect_not_null(strstr(err.message, "does not hold"), "%s", err.message);
    }
    struct error err = {0};
    char two[2];
    cr_assert_eq(memory_read_some(&memory, 0x800fff, two, 2, &err), 1, "up to the end");
    core_file_close(core);
}

/* Any file of 64-bit ELF will do: the tests' own program. */
Test(core_file, takes_what_was_not_dumped_from_the_program)
{
    unsigned char expected[16];
    unsigned char bytes[PAGE];
    struct memory memory = {0};
    struct error err;
    const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    cr_assert_eq(pread(fd, expected, sizeof(expected), PAGE), sizeof(expected));
    struct elf_file *elf = elf_file_open(fd, &err);
    cr_assert_not_null(elf, "%s", err.message);
    struct core_file *core = open_core();
    core_file_memory(core, &memory);
    core_file_set_image(core, "/srv/app", elf);
    cr_assert(memory_read(&memory, 0x401000, bytes, 16, &err), "%s", err.message);
    cr_assert_arr_eq(bytes, expected, 16);
    /* Across the border of what was dumped. */
    cr_assert(memory_read(&memory, 0x400ff0, bytes, 32, &err), "%s", err.message);
    cr_assert_arr_eq(bytes + 16, expected, 16);
    cr_assert_not(memory_read(&memory, 0x401fff, bytes, 2, &err), "beyond its end");
    core_file_close(core);
    elf_file_close(elf);
}

Test(core_file, refuses_what_is_no_core)
{
    put_header(ET_EXEC, 4);
    write_file(CORE_BYTES);
    assert_refused(ERROR_UNSUPPORTED, "not a core file but an executable");
    put_header(ET_CORE, 4);
    image[EI_CLASS] = ELFCLASS32;
    write_file(CORE_BYTES);
    assert_refused(ERROR_UNSUPPORTED, "another machine");
    image[0] = 'x';
    write_file(CORE_BYTES);
    assert_refused(ERROR_UNSUPPORTED, "not ELF");
    write_file(10);
    assert_refused(ERROR_UNSUPPORTED, "10 bytes");
    cr_assert_eq(unlink(path), 0);
    assert_refused(ERROR_NOT_FOUND, "No such file");
}

Test(core_file, that_is_cut_off_says_so_where_it_matters)
{
    write_file(100);
    assert_refused(ERROR_CORRUPT, "truncated");
    write_file(NOTES_AT + 20);
    assert_refused(ERROR_CORRUPT, "truncated");
    write_file(2 * PAGE + 10);
    struct core_file *core = open_core();
    struct memory memory = {0};
    struct error err;
    char bytes[16];
    cr_assert_eq(core_file_missing_bytes(core), PAGE - 10);
    core_file_memory(core, &memory);
    cr_assert(memory_read(&memory, 0x800000, bytes, 10, &err), "%s", err.message);
    cr_assert_not(memory_read(&memory, 0x800000, bytes, 11, &err));
    cr_assert_not_null(strstr(err.message, "truncated"), "%s", err.message);
    core_file_close(core);
}

Test(core_file, that_lies_is_refused)
{
    put_segment(3, PT_LOAD, 0, UINT64_MAX - 10, 0, PAGE);
    write_file(CORE_BYTES);
    assert_refused(ERROR_CORRUPT, "wraps around");
    put_segment(3, PT_NOTE, UINT64_MAX - 10, 0, PAGE, 0);
    write_file(CORE_BYTES);
    assert_refused(ERROR_CORRUPT, "truncated");
    put_segment(3, PT_NOTE, 0x1000, 0, PAGE, 0); /* "notes" of other bytes */
    write_file(CORE_BYTES);
    assert_refused(ERROR_CORRUPT, "note");
    put_header(ET_CORE, 0);
    write_file(CORE_BYTES);
    assert_refused(ERROR_CORRUPT, "0 segments");
}

/* Each byte of headers and notes changed: opened or refused, but always to an end. */
Test(core_file, survives_any_changed_byte)
{
    for (size_t at = 0; at < NOTES_AT + notes_length; at++) {
        const unsigned char before = image[at];
        image[at] = (unsigned char)(before ^ 0x81);
        write_file(CORE_BYTES);
        struct error err = {0};
        struct core_file *core = core_file_open(path, &err);
        if (core == NULL) {
            cr_assert_neq(err.message[0], '\0');
        } else {
            struct procfs_maps maps = {0};
            struct memory memory = {0};
            char bytes[64];
            if (core_file_maps(core, &maps, &err))
                procfs_maps_release(&maps);
            core_file_memory(core, &memory);
            (void)memory_read_some(&memory, 0x800000, bytes, sizeof(bytes), &err);
            core_file_close(core);
        }
        image[at] = before;
    }
}
