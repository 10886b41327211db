/* go_file.h - a Go executable read as a file: its functions, and the calls in it that allocate.
 *
 * For what must be known of programs that do not run here: other processors, programs with many calls. */
#ifndef GOPROFD_TESTS_GO_FILE_H
#define GOPROFD_TESTS_GO_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/alloc_type.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"

struct elf_file;
struct go_layout;
struct pclntab;

struct go_file {
    struct elf_file *elf;
    struct memory memory; /* the file's bytes at the addresses it is linked for */
    const struct go_layout *layout;
    struct moduledata module;
    struct pclntab *functions;
};

/* A call of a function that allocate_types_knows(). */
struct go_file_call {
    char caller[256]; /* the innermost function, perhaps inlined */
    char callee[64];
    struct alloc_frame frame;
};

/* [path] linked without -buildmode=pie.  False with the reason in [err]. */
bool go_file_open(struct go_file *file, const char *path, struct error *err) GOPROFD_MUST_CHECK;
void go_file_close(struct go_file *file);

/* At most [limit] calls, in the order of the code; the caller frees them.  NULL without memory. */
struct go_file_call *go_file_calls(const struct go_file *file, size_t limit, size_t *count);

/* For alloc_types_new(). */
struct alloc_types_source go_file_types(struct go_file *file);

#endif
