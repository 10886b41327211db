/* table_copies.c - what processes of one program share, and with whom they do not. */
#include "core/goproc/table_copies.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/goproc/elf_file.h"

static char folder[128];
static char path[192];
static char other[192];

/* A copy of this very test program, which is an ELF file with segments like any other. */
static void copy_program(const char *to)
{
    char bytes[65536];
    const int in = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    const int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    cr_assert(in != -1 && out != -1);
    for (ssize_t got = 0; (got = read(in, bytes, sizeof(bytes))) > 0;)
        cr_assert_eq(write(out, bytes, (size_t)got), got);
    close(in);
    close(out);
}

static void set_up(void)
{
    (void)snprintf(folder, sizeof(folder), "%s/copies-XXXXXX", GOPROFD_BINARY_DIR);
    cr_assert_not_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/program", folder);
    (void)snprintf(other, sizeof(other), "%s/other", folder);
    copy_program(path);
    copy_program(other);
}

static void tear_down(void)
{
    (void)unlink(path);
    (void)unlink(other);
    cr_assert_eq(rmdir(folder), 0);
}

TestSuite(table_copies, .init = set_up, .fini = tear_down);

static struct elf_file *open_elf(const char *name)
{
    struct error err = {.message = ""};
    struct elf_file *elf = elf_file_open(open(name, O_RDONLY | O_CLOEXEC), &err);
    cr_assert_not_null(elf, "%s", err.message);
    return elf;
}

/* Some bytes at the beginning of the image. */
static const struct table_copy *take(struct table_copies *copies, const struct elf_file *elf,
                                     size_t length)
{
    struct error err = {.message = ""};
    const struct table_copy *copy = table_copies_take(copies, elf, 0x40, length, &err);
    cr_assert_not_null(copy, "%s", err.message);
    return copy;
}

Test(table_copies, are_one_for_all_processes_of_a_file)
{
    struct table_copies *copies = table_copies_new();
    struct error err;
    struct elf_file *first = open_elf(path);
    struct elf_file *second = open_elf(path);
    const struct table_copy *a = take(copies, first, 100);
    const struct table_copy *b = take(copies, second, 100);
    cr_assert_eq(a, b);
    cr_assert_eq(a->bytes[100], '\0');
    struct tree_pages *trees = tree_pages_take(copies, first, &err);
    cr_assert_eq(tree_pages_take(copies, second, &err), trees);
    const struct table_copy *part = take(copies, first, 60);
    cr_assert_neq(part, a, "another part is another copy");
    table_copy_release(a);
    elf_file_close(first);
    cr_assert_eq(table_copies_count(copies), 2, "lives as long as one needs it");
    table_copy_release(b);
    cr_assert_eq(table_copies_count(copies), 1, "and no longer");
    table_copy_release(part);
    cr_assert_eq(table_copies_count(copies), 0);
    tree_pages_release(trees);
    tree_pages_release(trees);
    elf_file_close(second);
    table_copies_free(copies);
}

Test(table_copies, of_equal_files_share_what_was_compared_and_nothing_else)
{
    struct table_copies *copies = table_copies_new();
    struct error err;
    struct elf_file *first = open_elf(path);
    struct elf_file *second = open_elf(other);
    const struct table_copy *a = take(copies, first, 200);
    const struct table_copy *b = take(copies, second, 200);
    cr_assert_eq(a, b, "the same program in another container");
    struct tree_pages *mine = tree_pages_take(copies, first, &err);
    struct tree_pages *theirs = tree_pages_take(copies, second, &err);
    cr_assert_neq(mine, theirs, "what is read later could be anything there");
    tree_pages_release(mine);
    tree_pages_release(theirs);
    table_copy_release(a);
    table_copy_release(b);
    elf_file_close(first);
    elf_file_close(second);
    table_copies_free(copies);
}

Test(table_copies, of_a_file_that_was_changed_are_read_anew)
{
    struct table_copies *copies = table_copies_new();
    struct elf_file *before = open_elf(path);
    const struct table_copy *a = take(copies, before, 200);
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    cr_assert_eq(pwrite(fd, "XYZ", 3, 0x90), 3);
    close(fd);
    struct elf_file *after = open_elf(path);
    const struct table_copy *b = take(copies, after, 200);
    cr_assert_neq(a, b);
    cr_assert_eq(memcmp(b->bytes + 0x50, "XYZ", 3), 0);
    table_copy_release(a);
    table_copy_release(b);
    elf_file_close(before);
    elf_file_close(after);
    table_copies_free(copies);
}

Test(table_copies, can_do_without_sharing)
{
    struct error err;
    struct elf_file *elf = open_elf(path);
    const struct table_copy *a = take(NULL, elf, 100);
    const struct table_copy *b = take(NULL, elf, 100);
    cr_assert_neq(a, b);
    table_copy_release(a);
    table_copy_release(b);
    struct tree_pages *trees = tree_pages_take(NULL, elf, &err);
    cr_assert_not_null(trees);
    tree_pages_release(trees);
    cr_assert_null(table_copies_take(NULL, elf, UINT64_MAX - 10, 100, &err));
    elf_file_close(elf);
}
