/* alloc_type.h - the Go type that a call of an allocating runtime function allocates.
 *
 *   call before a return address --> which register has the *type (per function and Go version)
 *     --> what was put there (call_argument.h) --> its name (go_type.h)
 *
 * Code shared by instances of a generic function gets its types from a dictionary, which its caller passes:
 * then the caller's call is read in the same way.  What the code does not say stays unknown.  One thread. */
#ifndef GOPROFD_GOPROC_ALLOC_TYPE_H
#define GOPROFD_GOPROC_ALLOC_TYPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/goproc/call_values.h"
#include "core/goproc/go_type.h"

struct elf_file;
struct memory;
struct pclntab;

enum {
    ALLOC_TYPE_NAME_BYTES = GO_TYPE_NAME_MAX_BYTES + 3, /* "[]" and the end of the text */
    ALLOC_TYPE_CALLERS_MAX = 8, /* dictionaries may come from this far up */
};

struct alloc_types_source {
    const struct elf_file *elf;
    uint64_t bias;
    struct module_range types;
    unsigned minor;        /* of the Go version */
    struct pclntab *functions; /* where instructions begin; NULL: all is decoded, which takes longer */
    struct memory *memory; /* for dictionaries, which the loader may have relocated; may be NULL */
};

struct alloc_types;

struct alloc_types *alloc_types_new(const struct alloc_types_source *source); /* borrows; NULL: no memory */
void alloc_types_free(struct alloc_types *types); /* NULL is allowed */

/* Whether [function] allocates for its caller and is told the type by it. */
bool alloc_types_knows(const char *function);

/* The type that [function] allocated, called from frames[0] at its return_pc; frames[1] called frames[0]
 * and so on.  [object_bytes] must fit what is found; 0: of any size.  False: unknown.  [*callers_matter] says
 * whether other callers of frames[0] could have given another answer. */
bool alloc_types_find(struct alloc_types *types, const char *function,
                      const struct alloc_frame *frames, size_t count, uint64_t object_bytes,
                      char name[ALLOC_TYPE_NAME_BYTES], bool *callers_matter);

#endif
