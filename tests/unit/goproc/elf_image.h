/* elf_image.h - small ELF files made by hand, for tests of the parsers. */
#ifndef GOPROFD_TESTS_ELF_IMAGE_H
#define GOPROFD_TESTS_ELF_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ELF_IMAGE_PARTS_MAX = 8, ELF_IMAGE_MAX_BYTES = 256 << 10 };

/* A section, and a segment of its own if it has an address. */
struct elf_image_part {
    const char *name;
    const void *bytes;
    size_t length;
    uint64_t address;
    uint32_t type; /* SHT_...; 0: SHT_PROGBITS */
    uint32_t link; /* index of a part; only for SHT_SYMTAB */
    bool writable;
};

struct elf_image {
    uint16_t type; /* 0: ET_EXEC */
    uint16_t machine; /* 0: EM_X86_64 */
    bool without_sections;
    struct elf_image_part parts[ELF_IMAGE_PARTS_MAX];
    size_t part_count;
};

/* Lays [image] out in [out]; returns its length. */
size_t elf_image_build(const struct elf_image *image, unsigned char out[ELF_IMAGE_MAX_BYTES]);

/* File offset at which part [index] lies in what elf_image_build made. */
size_t elf_image_offset(const struct elf_image *image, size_t index);

/* An anonymous file with these bytes, positioned anywhere; the caller closes it. */
int elf_image_fd(const void *bytes, size_t length);

#endif
