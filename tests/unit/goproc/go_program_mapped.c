/* Go in a process whose executable is not Go: a library inside a C program, or started through
 * ld.so. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/goproc/go_program.h"
#include "elf_image.h"
#include "proc_tree.h"

enum { PID = 7 };

static struct proc_tree tree;

/* Writes an ELF file; a Go one notes its version. */
static void put_file(const char *relative, const char *go_version)
{
    static unsigned char bytes[ELF_IMAGE_MAX_BYTES];
    char info[64] = "\xff Go buildinf:\x08\x02", path[1024];
    struct elf_image image = {
        .type = ET_DYN,
        .parts = {{.name = ".data", .bytes = info, .length = sizeof(info), .address = 0x1000}},
        .part_count = 1};

    if (go_version != NULL) {
        info[32] = (char)strlen(go_version);
        memcpy(info + 33, go_version, strlen(go_version));
        image.parts[0].name = ".go.buildinfo";
    } else {
        memset(info, 0, sizeof(info));
        image.parts[0].name = ".text";
    }
    size_t length = elf_image_build(&image, bytes);
    proc_tree_write(&tree, relative, ""); /* with its folders */
    snprintf(path, sizeof(path), "%s/%s", tree.root, relative);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    fclose(file);
}

static void set_up(void)
{
    proc_tree_make(&tree);
    proc_tree_process(&tree, PID, 100, "host", "usr/bin/host");
    put_file("files/usr/bin/host", NULL);
    put_file("proc/7/root/usr/bin/host", NULL);
}

static void tear_down(void)
{
    proc_tree_remove(&tree);
}

TestSuite(go_program_mapped, .init = set_up, .fini = tear_down);

static bool open_with(const char *maps_text, struct go_program *program,
                      char image[PROCFS_PATH_MAX_BYTES], struct error *err)
{
    struct procfs_maps maps = {0};
    cr_assert(procfs_maps_parse(maps_text, strlen(maps_text), &maps, err), "%s", err->message);
    bool opened = go_program_open_mapped(&tree.fs, PID, &maps, program, image, err);
    procfs_maps_release(&maps);
    return opened;
}

#define HOST "00400000-00500000 r-xp 00000000 08:01 11 /usr/bin/host\n"
#define LIBRARY "7f0000000000-7f0000100000 r-xp 00000000 08:01 12 /opt/libgo.so\n"

Test(go_program_mapped, finds_a_go_library_in_a_c_program)
{
    struct go_program program;
    char image[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    put_file("proc/7/root/opt/libgo.so", "go1.26.8");
    cr_assert(open_with(HOST LIBRARY, &program, image, &err), "%s", err.message);
    cr_assert_str_eq(image, "/opt/libgo.so");
    cr_assert_str_eq(program.info.go_version, "go1.26.8");
    go_program_close(&program);
}

Test(go_program_mapped, prefers_the_program_itself)
{
    struct go_program program;
    char image[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    put_file("files/usr/bin/host", "go1.23.4");
    put_file("proc/7/root/opt/libgo.so", "go1.26.8");
    cr_assert(open_with(HOST LIBRARY, &program, image, &err), "%s", err.message);
    cr_assert_str_eq(program.info.go_version, "go1.23.4");
    cr_assert_not_null(strstr(image, "usr/bin/host"), "%s", image);
    go_program_close(&program);
}

Test(go_program_mapped, takes_the_file_that_is_mapped_and_not_one_that_replaced_it)
{
    struct go_program program;
    char image[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    put_file("proc/7/root/opt/libgo.so", "go1.26.8");
    put_file("proc/7/map_files/7f0000000000-7f0000100000", "go1.19.8");
    cr_assert(open_with(HOST LIBRARY, &program, image, &err), "%s", err.message);
    cr_assert_str_eq(program.info.go_version, "go1.19.8");
    go_program_close(&program);
}

Test(go_program_mapped, passes_over_what_holds_no_code_is_too_small_or_is_no_file)
{
    struct go_program program;
    char image[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    put_file("proc/7/root/opt/libgo.so", "go1.26.8");
    proc_tree_write(&tree, "proc/7/root/opt/folder.so/file", "");
    cr_assert_not(open_with(HOST
                            "7f0000000000-7f0000100000 r--p 00000000 08:01 12 /opt/libgo.so\n"
                            "7f0000200000-7f0000201000 r-xp 00000000 08:01 12 /opt/libgo.so\n"
                            "7f0000300000-7f0000400000 r-xp 00000000 00:00 0\n"
                            "7f0000400000-7f0000500000 r-xp 00000000 08:01 13 /opt/gone.so\n"
                            "7f0000500000-7f0000600000 r-xp 00000000 08:01 14 /opt/folder.so\n",
                            &program, image, &err));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_str_eq(err.message, "not a Go program");
}

Test(go_program_mapped, says_that_a_process_is_gone_without_looking_further)
{
    struct go_program program;
    char image[PROCFS_PATH_MAX_BYTES];
    struct error err = {0};
    put_file("proc/7/root/opt/libgo.so", "go1.26.8");
    proc_tree_delete(&tree, "proc/7/exe");
    proc_tree_delete(&tree, "proc/7/stat");
    cr_assert_not(open_with(HOST LIBRARY, &program, image, &err));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
}
