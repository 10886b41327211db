/* procfs_maps.c - memory mappings, well-formed and not. */
#include <criterion/criterion.h>
#include <unistd.h>

#include "core/goproc/procfs.h"

#define FIXTURES GOPROFD_SOURCE_DIR "/tests/fixtures/proc/"

static bool parse(const char *text, struct procfs_maps *maps, struct error *err)
{
    return procfs_maps_parse(text, strlen(text), maps, err);
}

Test(procfs_maps, read_addresses_rights_and_files)
{
    const struct procfs fs = {.root = FIXTURES "cgroup2"};
    struct procfs_maps maps;
    struct error err;
    cr_assert(procfs_maps_read(&fs, 4711, &maps, &err), "%s", err.message);
    cr_assert_eq(maps.count, 7);
    const struct procfs_mapping *text = &maps.mappings[0];
    cr_assert_eq(text->start, 0x400000);
    cr_assert_eq(text->end, 0x60b000);
    cr_assert(text->readable && !text->writable && text->executable);
    cr_assert_eq(text->device, 0xfeU << 20 | 1);
    cr_assert_eq(text->inode, 1837);
    cr_assert_str_eq(text->path, "/srv/api/bin/api");
    cr_assert_eq(maps.mappings[1].offset, 0x20b000);
    cr_assert_eq(maps.mappings[1].path, text->path, "one file's name is kept once");
    cr_assert_str_eq(maps.mappings[3].path, "");
    cr_assert(maps.mappings[3].writable);
    cr_assert_eq(maps.mappings[4].start, UINT64_C(0xc000000000));
    cr_assert_str_eq(maps.mappings[6].path, "[stack]");
    procfs_maps_release(&maps);
}

Test(procfs_maps, keep_a_path_with_blanks_as_the_kernel_wrote_it)
{
    const struct procfs fs = {.root = FIXTURES "hostile"};
    struct procfs_maps maps;
    struct error err;
    cr_assert(procfs_maps_read(&fs, 81, &maps, &err), "%s", err.message);
    cr_assert_str_eq(maps.mappings[7].path, "/a b\\012c (deleted)");
    cr_assert_eq(maps.mappings[7].inode, UINT64_MAX);
    cr_assert_eq(maps.mappings[7].device, 0x103U << 20 | 0x1a);
    procfs_maps_release(&maps);
}

Test(procfs_maps, of_a_kernel_thread_are_empty)
{
    const struct procfs fs = {.root = FIXTURES "cgroup2"};
    struct procfs_maps maps;
    struct error err;
    cr_assert(procfs_maps_read(&fs, 2, &maps, &err), "%s", err.message);
    cr_assert_eq(maps.count, 0);
    procfs_maps_release(&maps);
}

Test(procfs_maps, name_the_line_that_is_no_mapping)
{
    static const char *const bad[] = {
        "nonsense\n",
        "00400000-0060b000 r-xp 00000000 fe:01\n",
        "0060b000-00400000 r-xp 00000000 fe:01 5 /x\n",        /* ends before it starts */
        "10000000000000000-2 r-xp 00000000 fe:01 5 /x\n",      /* 65 bits */
        "00400000-0060b000 r-x\n",
        "00400000-0060b000 r-xp 0g000000 fe:01 5 /x\n",
        "00400000-0060b000 r-xp 00000000 fe01 5 /x\n",
        "00400000-0060b000 r-xp 00000000 fe:01 99999999999999999999 /x\n",
        "00400000-0060b000 r-xp 00000000 fe:01 5x /x\n",
        "-0060b000 r-xp 00000000 fe:01 5 /x\n",
        "\n",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct procfs_maps maps;
        struct error err = {.code = ERROR_NONE};
        char text[200];
        (void)snprintf(text, sizeof(text), "1000-2000 r--p 00000000 00:00 0 \n%s", bad[i]);
        cr_expect_not(parse(text, &maps, &err), "%s", bad[i]);
        cr_expect_eq(err.code, ERROR_CORRUPT);
        cr_expect_not_null(strstr(err.message, "line 2"), "%s", err.message);
    }
}

Test(procfs_maps, accept_a_last_line_without_newline_and_no_path)
{
    struct procfs_maps maps;
    struct error err;
    cr_assert(parse("1000-2000 ---p 00000000 00:00 0", &maps, &err), "%s", err.message);
    cr_assert_eq(maps.count, 1);
    cr_assert_not(maps.mappings[0].readable);
    cr_assert_str_eq(maps.mappings[0].path, "");
    procfs_maps_release(&maps);
    cr_assert(parse("", &maps, &err));
    cr_assert_eq(maps.count, 0);
    procfs_maps_release(&maps);
}

Test(procfs_maps, refuse_a_nul_inside_and_every_cut_of_a_line)
{
    struct procfs_maps maps;
    struct error err;
    static const char nul[] = "1000-2000 r--p 00000000 00:00 0 /a\0b\n";
    cr_assert_not(procfs_maps_parse(nul, sizeof(nul) - 1, &maps, &err));
    static const char line[] = "00400000-0060b000 r-xp 00000000 fe:01 1837 /x";
    for (size_t length = 1; length < sizeof(line) - 8; length++) {
        err.message[0] = '\0';
        char *part = malloc(length); /* exactly, so that a sanitizer sees a read beyond */
        cr_assert_not_null(part);
        memcpy(part, line, length);
        if (!procfs_maps_parse(part, length, &maps, &err))
            cr_expect_neq(err.message[0], '\0');
        else
            procfs_maps_release(&maps);
        free(part);
    }
}

Test(procfs_maps, have_a_limit)
{
    struct buffer text;
    struct procfs_maps maps;
    struct error err;
    buffer_init(&text, 16 << 20);
    for (unsigned i = 0; i <= PROCFS_MAPS_MAX; i++)
        buffer_printf(&text, "%x000-%x000 r--p 00000000 00:00 0 /f%u\n", i, i + 1, i);
    cr_assert_not(text.failed);
    cr_assert_not(procfs_maps_parse(text.data, text.length, &maps, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    /* One less fits, and every name is the right one after all the growing. */
    size_t end = text.length - 1;
    while (text.data[end - 1] != '\n')
        end--;
    cr_assert(procfs_maps_parse(text.data, end, &maps, &err), "%s", err.message);
    cr_assert_eq(maps.count, PROCFS_MAPS_MAX);
    for (unsigned i = 0; i < PROCFS_MAPS_MAX; i += 1111) {
        char name[16];
        (void)snprintf(name, sizeof(name), "/f%u", i);
        cr_assert_str_eq(maps.mappings[i].path, name);
    }
    procfs_maps_release(&maps);
    buffer_release(&text);
}

Test(procfs_maps, of_this_very_process_hold_this_function)
{
    const struct procfs live = {.root = ""};
    struct procfs_maps maps;
    struct error err;
    cr_assert(procfs_maps_read(&live, getpid(), &maps, &err), "%s", err.message);
    const uint64_t here = (uint64_t)(uintptr_t)&parse;
    bool found = false;
    for (size_t i = 0; i < maps.count; i++)
        found = found || (maps.mappings[i].executable && maps.mappings[i].start <= here &&
                          here < maps.mappings[i].end && strstr(maps.mappings[i].path, "unit_"));
    cr_assert(found);
    procfs_maps_release(&maps);
}
