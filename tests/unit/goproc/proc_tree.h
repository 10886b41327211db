/* proc_tree.h - a small /proc of a test's own, built and changed while it runs. */
#ifndef GOPROFD_TESTS_UNIT_GOPROC_PROC_TREE_H
#define GOPROFD_TESTS_UNIT_GOPROC_PROC_TREE_H

#include <stdint.h>
#include <sys/types.h>

#include "core/goproc/procfs.h"

struct proc_tree {
    char root[512];
    struct procfs fs;
};

/* An empty folder proc in a fresh folder; removed by proc_tree_remove. */
void proc_tree_make(struct proc_tree *tree);
void proc_tree_remove(struct proc_tree *tree);

/* Writes ROOT/RELATIVE, making its folders. */
void proc_tree_write(const struct proc_tree *tree, const char *relative, const char *text);
void proc_tree_link(const struct proc_tree *tree, const char *relative, const char *target);
void proc_tree_delete(const struct proc_tree *tree, const char *relative);

/* proc/PID/stat, and exe pointing at the file [program] of the tree (made if missing). */
void proc_tree_process(const struct proc_tree *tree, pid_t pid, uint64_t start_ticks,
                       const char *comm, const char *program);

#endif
