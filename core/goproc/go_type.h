/* go_type.h - name, size and kind of a Go type, from the type data that the linker laid down.
 *
 *   abi.Type (src/internal/abi/type.go; runtime._type in src/runtime/type.go up to 1.20):
 *   +0 size   +8 pointer bytes   +16 hash   +20 flags   +23 kind   +40 offset of the name from `types`
 *
 *   name:  1 byte of flags | length as uvarint | text
 *
 * Names are those of reflect.Type.String(): `main.Session`, `map[string]*main.Session`.  Read from the
 * executable's file, where they never change; any thread. */
#ifndef GOPROFD_GOPROC_GO_TYPE_H
#define GOPROFD_GOPROC_GO_TYPE_H

#include <stdbool.h>
#include <stdint.h>

#include "core/goproc/moduledata.h"

struct elf_file;

enum {
    GO_TYPE_NAME_MAX_BYTES = 256, /* longer ones are cut and end in "..." */
    /* reflect.Kind, src/reflect/type.go */
    GO_KIND_CHAN = 18,
    GO_KIND_MAP = 21,
    GO_KIND_LAST = 26,
};

struct go_type {
    uint64_t size;
    unsigned kind;
    char name[GO_TYPE_NAME_MAX_BYTES + 1];
};

/* The type at live address [address].  [bias]: live address minus linked address; [types]: where the
 * module keeps its type data.  False if that is no type: every offset, length and character counts as
 * hostile. */
bool go_type_read(const struct elf_file *elf, uint64_t bias, const struct module_range *types,
                  uint64_t address, struct go_type *type) GOPROFD_MUST_CHECK;

#endif
