/* Several Go runtimes in one process: what is counted as one, and what is said. */
#include "core/goproc/other_runtimes.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/goproc/procfs.h"
#include "elf_image.h"
#include "proc_tree.h"

enum { PID = 7 };
#define SECOND_NS UINT64_C(1000000000)

static struct proc_tree tree;

static void set_up(void)
{
    proc_tree_make(&tree);
    proc_tree_process(&tree, PID, 100, "host", "usr/bin/host");
}

static void tear_down(void)
{
    proc_tree_remove(&tree);
}

TestSuite(other_runtimes, .init = set_up, .fini = tear_down);

/* A file at [path] of the target's root: with Go's build information, in which the build mode is noted;
 * or, with NULL, without any. */
static void put_library(const char *path, const char *build_mode)
{
    static const char begin[] = "\x30w\xaf\x0c\x92t\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6";
    static const char end[] = "\xf9\x32\x43\x31\x86\x18\x20\x72\x00\x82\x42\x10\x41\x16\xd8\xf2";
    static unsigned char bytes[ELF_IMAGE_MAX_BYTES];
    char info[256] = {0};
    char text[96];
    char relative[256], file_path[1024];
    struct elf_image image = {
        .type = ET_DYN,
        .parts = {{.name = build_mode == NULL ? ".text" : ".go.buildinfo",
                   .bytes = info,
                   .length = sizeof(info),
                   .address = 0x1000}},
        .part_count = 1};

    if (build_mode != NULL) {
        size_t at = 32;
        memcpy(info, "\xff Go buildinf:\x08\x02", 16);
        memcpy(info + at, "\x08go1.26.8", 9);
        at += 9;
        const int length = snprintf(text, sizeof(text), "path\tlib\nbuild\t-buildmode=%s\n", build_mode);
        info[at++] = (char)(16 + length + 16);
        memcpy(info + at, begin, 16);
        memcpy(info + at + 16, text, (size_t)length);
        memcpy(info + at + 16 + length, end, 16);
    }
    size_t length = elf_image_build(&image, bytes);
    (void)snprintf(relative, sizeof(relative), "proc/%d/root%s", PID, path);
    proc_tree_write(&tree, relative, ""); /* with its folders */
    (void)snprintf(file_path, sizeof(file_path), "%s/%s", tree.root, relative);
    FILE *file = fopen(file_path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static struct other_runtimes look(const char *maps_text)
{
    struct other_runtimes others;
    struct procfs_maps maps = {0};
    struct error err;
    cr_assert(procfs_maps_parse(maps_text, strlen(maps_text), &maps, &err), "%s", err.message);
    other_runtimes_look(&others, &tree.fs, PID, &maps, "/opt/read.so", SECOND_NS);
    procfs_maps_release(&maps);
    return others;
}

#define READ "7f0000000000-7f0000100000 r-xp 00000000 08:01 12 /opt/read.so\n"
#define SECOND "7f1000000000-7f1000100000 r-xp 00000000 08:01 13 /opt/second.so\n"
#define THIRD "7f2000000000-7f2000100000 r-xp 00000000 08:01 14 /opt/third.so\n"

static const char *said(const struct other_runtimes *others)
{
    static struct error note;
    note.message[0] = '\0';
    cr_assert_eq(other_runtimes_tell(others, &note), others->count > 0);
    cr_assert_eq(note.code, ERROR_NONE);
    return note.message;
}

Test(other_runtimes, a_second_go_library_is_named)
{
    put_library("/opt/read.so", "c-shared");
    put_library("/opt/second.so", "c-shared");
    const struct other_runtimes others = look(READ SECOND);
    cr_assert_str_eq(said(&others), "2 Go runtimes in this process; /opt/second.so is not read");
}

Test(other_runtimes, of_more_the_first_is_named_and_the_rest_counted)
{
    put_library("/opt/read.so", "c-shared");
    put_library("/opt/second.so", "c-shared");
    put_library("/opt/third.so", "c-shared");
    const struct other_runtimes others = look(READ SECOND THIRD);
    cr_assert_str_eq(said(&others),
                     "3 Go runtimes in this process; /opt/second.so and 1 more are not read");
}

Test(other_runtimes, the_one_that_is_read_and_libraries_without_go_are_none)
{
    put_library("/opt/read.so", "c-shared");
    put_library("/opt/second.so", NULL);
    const struct other_runtimes others =
        look(READ "7f0000200000-7f0000300000 r-xp 00200000 08:01 12 /opt/read.so\n" SECOND);
    cr_assert_str_eq(said(&others), "");
}

Test(other_runtimes, one_file_mapped_in_pieces_is_one)
{
    put_library("/opt/read.so", "c-shared");
    put_library("/opt/second.so", "c-shared");
    const struct other_runtimes others =
        look(READ SECOND "7f1000200000-7f1000300000 r-xp 00200000 08:01 13 /opt/second.so\n");
    cr_assert_eq(others.count, 1);
}

Test(other_runtimes, a_plugin_shares_the_runtime_of_its_host)
{
    put_library("/opt/read.so", "exe");
    put_library("/opt/second.so", "plugin");
    const struct other_runtimes others = look(READ SECOND);
    cr_assert_eq(others.count, 0);
}

/* Paths that the kernel tells in two ways (exe and maps) are not two programs. */
Test(other_runtimes, nothing_is_said_when_the_one_that_is_read_is_not_among_the_mappings)
{
    put_library("/opt/second.so", "c-shared");
    const struct other_runtimes others = look(SECOND);
    cr_assert_eq(others.count, 0);
}

#define FOLDERS "/folder/folder/folder/folder/folder"
#define LONG_PATH "/opt" FOLDERS FOLDERS FOLDERS FOLDERS "/end.so"

Test(other_runtimes, of_a_long_path_the_end_is_said)
{
    put_library("/opt/read.so", "c-shared");
    put_library(LONG_PATH, "c-shared");
    const struct other_runtimes others =
        look(READ "7f1000000000-7f1000100000 r-xp 00000000 08:01 13 " LONG_PATH "\n");
    const char *text = said(&others);
    cr_assert_not_null(strstr(text, "; ..."), "%s", text);
    cr_assert_not_null(strstr(text, "/folder/end.so is not read"), "%s", text);
}

Test(other_runtimes, libraries_that_come_later_are_seen_at_the_next_look)
{
    char relative[64];
    put_library("/opt/read.so", "c-shared");
    put_library("/opt/second.so", "c-shared");
    put_library("/opt/plain.so", NULL);
    struct other_runtimes others =
        look(READ "7f3000000000-7f3000100000 r-xp 00000000 08:01 15 /opt/plain.so\n");
    cr_assert_eq(others.count, 0);
    (void)snprintf(relative, sizeof(relative), "proc/%d/maps", PID);
    proc_tree_write(&tree, relative, READ SECOND);
    other_runtimes_look_again(&others, &tree.fs, PID, "/opt/read.so", 2 * SECOND_NS);
    cr_assert_eq(others.count, 0, "it is not yet time");
    other_runtimes_look_again(&others, &tree.fs, PID, "/opt/read.so", 20 * SECOND_NS);
    cr_assert_str_eq(said(&others), "2 Go runtimes in this process; /opt/second.so is not read");
}
