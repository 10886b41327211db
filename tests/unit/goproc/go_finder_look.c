/* go_finder_look.c - which processes run Go: by their executable, or by what they map. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "core/goproc/go_finder.h"
#include "elf_image.h"
#include "tests/unit/goproc/proc_tree.h"

enum { PID = 7 };

static struct proc_tree tree;
static struct go_finder *finder;
static struct go_found found;
static struct error err;

/* Writes an ELF file; a Go one notes its version. */
static void put_file(const char *relative, const char *go_version)
{
    static unsigned char bytes[ELF_IMAGE_MAX_BYTES];
    char info[64] = "\xff Go buildinf:\x08\x02";
    char path[1024];
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
    const size_t length = elf_image_build(&image, bytes);
    proc_tree_write(&tree, relative, ""); /* with its folders */
    (void)snprintf(path, sizeof(path), "%s/%s", tree.root, relative);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, length, file), length);
    (void)fclose(file);
}

static void set_up(void)
{
    proc_tree_make(&tree);
    finder = go_finder_new(&tree.fs);
    cr_assert_not_null(finder);
    proc_tree_process(&tree, PID, 100, "host", "usr/bin/host");
    put_file("files/usr/bin/host", NULL);
    proc_tree_write(&tree, "proc/7/maps",
                    "00400000-00500000 r-xp 00000000 08:01 11 /usr/bin/host\n"
                    "7f0000000000-7f0000100000 r-xp 00000000 08:01 12 /opt/inner\n");
}

static void tear_down(void)
{
    go_finder_free(finder);
    proc_tree_remove(&tree);
}

TestSuite(go_finder, .init = set_up, .fini = tear_down);

static bool look(uint64_t now_s)
{
    return go_finder_look(finder, PID, now_s * UINT64_C(1000000000), &found, &err);
}

Test(go_finder, sees_a_go_program)
{
    put_file("files/usr/bin/host", "go1.23.4");
    cr_assert(look(0), "%s", err.message);
    cr_assert_str_eq(found.go_version, "go1.23.4");
    cr_assert_not_null(strstr(found.image, "usr/bin/host"));
    cr_assert_not(found.through_loader);
}

Test(go_finder, sees_a_go_library_in_a_c_program)
{
    put_file("proc/7/root/opt/inner", "go1.26.8");
    cr_assert(look(0), "%s", err.message);
    cr_assert_str_eq(found.go_version, "go1.26.8");
    cr_assert_str_eq(found.image, "/opt/inner");
    cr_assert_not(found.through_loader);
}

Test(go_finder, sees_a_program_that_was_given_to_the_loader)
{
    proc_tree_process(&tree, PID, 100, "ld", "lib64/ld-linux-x86-64.so.2");
    put_file("files/lib64/ld-linux-x86-64.so.2", NULL);
    put_file("proc/7/root/opt/inner", "go1.26.8");
    cr_assert(look(0), "%s", err.message);
    cr_assert_str_eq(found.image, "/opt/inner");
    cr_assert(found.through_loader);
}

Test(go_finder, believes_for_some_minutes_that_a_file_holds_no_go)
{
    put_file("proc/7/root/opt/inner", NULL);
    cr_assert_not(look(0));
    cr_assert_eq(err.code, ERROR_UNSUPPORTED);
    cr_assert_str_eq(err.message, "not a Go program");
    put_file("proc/7/root/opt/inner", "go1.26.8"); /* same inode in maps */
    cr_assert_not(look(599));
    cr_assert(look(600), "%s", err.message);
}

Test(go_finder, looks_again_at_what_could_not_be_opened)
{
    cr_assert_not(look(0));
    put_file("proc/7/root/opt/inner", "go1.26.8");
    cr_assert(look(1), "%s", err.message);
}

Test(go_finder, says_that_a_process_is_gone)
{
    proc_tree_delete(&tree, "proc/7/exe");
    proc_tree_delete(&tree, "proc/7/stat");
    cr_assert_not(look(0));
    cr_assert_eq(err.code, ERROR_GONE, "%s", err.message);
}

Test(go_finder, knows_loaders_by_name)
{
    cr_assert(go_finder_is_loader("/lib64/ld-linux-x86-64.so.2"));
    cr_assert(go_finder_is_loader("/usr/lib/ld-2.31.so"));
    cr_assert(go_finder_is_loader("/lib/ld-musl-x86_64.so.1"));
    cr_assert_not(go_finder_is_loader("/usr/bin/ld"));
    cr_assert_not(go_finder_is_loader("/usr/bin/ld-service"));
    cr_assert_not(go_finder_is_loader("/lib/ld-linux-x86-64.so.2/ls"));
}
