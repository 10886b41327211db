/* pclntab_image.h - a Go program's function tables made by hand, in an ELF file.
 *
 *   0x401000 runtime.mallocgc     line 10, from +0x80 on line 20
 *   0x401100 main.leak            inlines main.middle, which inlines main.inner:
 *              +0x00 main.leak:100   +0x40 main.middle:200   +0x48 main.inner:300   +0x60 main.leak:101
 *   0x401300 runtime.goexit       line 1
 *   0x401400 main.Map[go.shape.int]  line 5, inlines main.Map[go.shape.string] at +0x10..+0x20
 *   0x401500 (end)
 *
 * Frames take PCSP_... bytes of stack; runtime.goexit is the top of each. */
#ifndef GOPROFD_TESTS_PCLNTAB_IMAGE_H
#define GOPROFD_TESTS_PCLNTAB_IMAGE_H

#include <stddef.h>
#include <stdint.h>

#include "core/goproc/moduledata.h"

struct elf_file;
struct go_layout;

enum { PCLNTAB_IMAGE_MAX_BYTES = 4096, PCSP_MALLOCGC = 0x18, PCSP_LEAK = 0x28, PCSP_MAP = 8 };
#define PCLNTAB_IMAGE_ADDRESS UINT64_C(0x500000)
#define PC_MALLOCGC UINT64_C(0x401000)
#define PC_LEAK UINT64_C(0x401100)
#define PC_GOEXIT UINT64_C(0x401300)
#define PC_MAP UINT64_C(0x401400)
#define PC_END UINT64_C(0x401500)

struct pclntab_image {
    unsigned char bytes[PCLNTAB_IMAGE_MAX_BYTES];
    size_t length;
    struct moduledata module;
};

void pclntab_image_make(struct pclntab_image *image, const struct go_layout *layout);

/* The image as an ELF file; the caller closes it. */
struct elf_file *pclntab_image_file(const struct pclntab_image *image);

#endif
