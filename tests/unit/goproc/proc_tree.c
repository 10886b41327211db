/* proc_tree.c - a small /proc of a test's own. */
#include "tests/unit/goproc/proc_tree.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static void path_of(const struct proc_tree *tree, const char *relative, char out[1024])
{
    const int length = snprintf(out, 1024, "%s/%s", tree->root, relative);
    cr_assert(length > 0 && length < 1024);
}

static void make_folders(const char *path)
{
    char folder[1024];
    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        memcpy(folder, path, (size_t)(slash - path));
        folder[slash - path] = '\0';
        (void)mkdir(folder, 0755);
    }
}

void proc_tree_make(struct proc_tree *tree)
{
    (void)snprintf(tree->root, sizeof(tree->root), "%s/proc-tree-XXXXXX", GOPROFD_BINARY_DIR);
    cr_assert_not_null(mkdtemp(tree->root), "%s", tree->root);
    tree->fs.root = tree->root;
    char path[1024];
    path_of(tree, "proc", path);
    cr_assert_eq(mkdir(path, 0755), 0);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *at)
{
    (void)status;
    (void)kind;
    (void)at;
    return remove(path);
}

void proc_tree_remove(struct proc_tree *tree)
{
    (void)nftw(tree->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void proc_tree_write(const struct proc_tree *tree, const char *relative, const char *text)
{
    char path[1024];
    path_of(tree, relative, path);
    make_folders(path);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file, "%s", path);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

void proc_tree_link(const struct proc_tree *tree, const char *relative, const char *target)
{
    char path[1024];
    path_of(tree, relative, path);
    make_folders(path);
    (void)unlink(path);
    cr_assert_eq(symlink(target, path), 0, "%s", path);
}

void proc_tree_delete(const struct proc_tree *tree, const char *relative)
{
    char path[1024];
    path_of(tree, relative, path);
    cr_assert_eq(nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0, "%s", path);
}

void proc_tree_process(const struct proc_tree *tree, pid_t pid, uint64_t start_ticks,
                       const char *comm, const char *program)
{
    char relative[128];
    char text[512];
    (void)snprintf(relative, sizeof(relative), "proc/%d/stat", (int)pid);
    (void)snprintf(text, sizeof(text), "%d (%s) S 1 4 4 0 -1 4194560 1 0 0 0 3 0 0 0 20 0 1 0 %llu 0\n",
                   (int)pid, comm, (unsigned long long)start_ticks);
    proc_tree_write(tree, relative, text);
    (void)snprintf(relative, sizeof(relative), "files/%s", program);
    proc_tree_write(tree, relative, program);
    (void)snprintf(relative, sizeof(relative), "proc/%d/exe", (int)pid);
    (void)snprintf(text, sizeof(text), "../../files/%s", program);
    proc_tree_link(tree, relative, text);
}
