/* image_copy.c - finds ELF headers in memory that no file can be opened for, and copies what they describe.
 *
 * Called by go_process.c and go_finder.c when neither the executable nor a mapped file is Go.  The header is
 * the target's: sizes are capped and every address is only read through [memory]. */
#include "core/goproc/image_copy.h"

#include <elf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/memory.h"
#include "core/goproc/procfs.h"

enum {
    SEGMENTS_MAX = 64,
    IMAGE_MIN_BYTES = 128 << 10, /* less is no Go runtime */
    COPY_STEP_BYTES = 256 << 10,
    HEADERS_MAX = 4096, /* looked for at the starts of so many mappings */
    NOTES_MAX_BYTES = 1024, /* of one segment */
};
#define IMAGE_MAX_BYTES (UINT64_C(256) << 20)
static const char memfd_prefix[] = "/memfd:";
static const char deleted_suffix[] = " (deleted)";

struct image {
    uint64_t start; /* of its header */
    uint64_t bias;
    Elf64_Ehdr header;
    Elf64_Phdr segments[SEGMENTS_MAX];
};

static bool has_no_file(const struct procfs_mapping *mapping)
{
    return mapping->readable &&
           (mapping->path[0] == '\0' ||
            strncmp(mapping->path, memfd_prefix, sizeof(memfd_prefix) - 1) == 0);
}

/* A library that was replaced or removed: only the kernel's own link still leads to it, which takes more rights
 * (CAP_CHECKPOINT_RESTORE) than reading memory. */
static bool has_lost_its_file(const struct procfs_mapping *mapping)
{
    const size_t length = strlen(mapping->path);
    const size_t suffix = sizeof(deleted_suffix) - 1;
    return mapping->readable && mapping->inode != 0 && length > suffix &&
           strcmp(mapping->path + length - suffix, deleted_suffix) == 0;
}

bool image_copy_may_be_there(const struct procfs_maps *maps)
{
    for (size_t i = 0; i < maps->count; i++)
        if ((has_no_file(&maps->mappings[i]) || has_lost_its_file(&maps->mappings[i])) &&
            maps->mappings[i].executable &&
            maps->mappings[i].end - maps->mappings[i].start >= IMAGE_MIN_BYTES)
            return true;
    return false;
}

/* Whether what lies at [start] describes itself as an executable image of our kind that is mapped
 * there. */
static bool read_header(struct memory *memory, uint64_t start, struct image *image)
{
    uint64_t lowest = UINT64_MAX, bytes = 0;

    if (!memory_read(memory, start, &image->header, sizeof(image->header), NULL) ||
        memcmp(image->header.e_ident, ELFMAG, SELFMAG) != 0 ||
        image->header.e_ident[EI_CLASS] != ELFCLASS64 ||
        image->header.e_phentsize != sizeof(Elf64_Phdr) || image->header.e_phnum == 0 ||
        image->header.e_phnum > SEGMENTS_MAX || image->header.e_phoff > IMAGE_MIN_BYTES ||
        !memory_read(memory, start + image->header.e_phoff, image->segments,
                     image->header.e_phnum * sizeof(Elf64_Phdr), NULL))
        return false;
    for (size_t i = 0; i < image->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        if (segment->p_type != PT_LOAD)
            continue;
        if (segment->p_vaddr < lowest)
            lowest = segment->p_vaddr;
        if (segment->p_offset > IMAGE_MAX_BYTES || segment->p_filesz > IMAGE_MAX_BYTES)
            return false;
        bytes += segment->p_filesz;
    }
    image->start = start;
    image->bias = image->header.e_type == ET_DYN ? start - lowest : 0;
    return bytes >= IMAGE_MIN_BYTES && bytes <= IMAGE_MAX_BYTES && lowest + image->bias == start;
}

/* Whether the image notes Go's build id.  Any library may have lost its file, the C library to begin with after each
 * update: those are not copied. */
static bool notes_go(struct memory *memory, const struct image *image)
{
    static const unsigned char begin[] = {4, 0, 0, 0}; /* the length of the name "Go\0\0" */
    static const unsigned char type_and_name[] = {4, 0, 0, 0, 'G', 'o', 0, 0};
    unsigned char note[sizeof(begin) + 4 + sizeof(type_and_name)];

    for (size_t i = 0; i < image->header.e_phnum; i++) {
        const Elf64_Phdr *segment = &image->segments[i];
        uint64_t at = segment->p_vaddr + image->bias;
        const uint64_t end = at + (segment->p_filesz < NOTES_MAX_BYTES ? segment->p_filesz : NOTES_MAX_BYTES);
        if (segment->p_type != PT_NOTE)
            continue;
        for (; at + sizeof(note) <= end && memory_read(memory, at, note, sizeof(note), NULL); at += 4)
            if (memcmp(note, begin, sizeof(begin)) == 0 &&
                memcmp(note + sizeof(begin) + 4, type_and_name, sizeof(type_and_name)) == 0)
                return true;
    }
    return false;
}

static bool write_all(int fd, const unsigned char *bytes, size_t length, uint64_t offset,
                      struct error *err)
{
    while (length > 0) {
        ssize_t written = pwrite(fd, bytes, length, (off_t)offset);
        if (written == -1 && errno == EINTR)
            continue;
        if (written <= 0)
            return error_set(err, ERROR_SYSTEM, "copying an image: %s", error_errno_text(errno));
        bytes += written;
        length -= (size_t)written;
        offset += (uint64_t)written;
    }
    return true;
}

/* What cannot be read stays a hole: tables and code are checked by those who use them. */
static bool copy_segment(struct memory *memory, const struct image *image,
                         const Elf64_Phdr *segment, int fd, unsigned char *step, struct error *err)
{
    for (uint64_t at = 0; at < segment->p_filesz; at += COPY_STEP_BYTES) {
        uint64_t left = segment->p_filesz - at;
        size_t bytes = left < COPY_STEP_BYTES ? (size_t)left : COPY_STEP_BYTES;
        bytes = memory_read_some(memory, segment->p_vaddr + image->bias + at, step, bytes, NULL);
        if (!write_all(fd, step, bytes, segment->p_offset + at, err))
            return false;
    }
    return true;
}

static bool copy_image(struct memory *memory, struct image *image, int fd, struct error *err)
{
    unsigned char *step = malloc(COPY_STEP_BYTES);
    bool ok = step != NULL || error_set(err, ERROR_NO_MEMORY, "copying an image: no memory");

    for (size_t i = 0; ok && i < image->header.e_phnum; i++)
        if (image->segments[i].p_type == PT_LOAD)
            ok = copy_segment(memory, image, &image->segments[i], fd, step, err);
    free(step);
    /* Section headers are not loaded, so there are none. */
    image->header.e_shoff = 0;
    image->header.e_shnum = image->header.e_shentsize = image->header.e_shstrndx = 0;
    return ok &&
           write_all(fd, (const unsigned char *)&image->header, sizeof(image->header), 0, err);
}

int image_copy_open(struct memory *memory, const struct procfs_maps *maps, uint64_t *start,
                    struct error *err)
{
    struct image image;
    bool found = false;
    size_t looked_at = 0;

    for (size_t i = 0; !found && i < maps->count && looked_at < HEADERS_MAX; i++) {
        const struct procfs_mapping *mapping = &maps->mappings[i];
        const bool is_anonymous = has_no_file(mapping);
        if (!is_anonymous && (mapping->offset != 0 || !has_lost_its_file(mapping)))
            continue;
        looked_at++;
        found = read_header(memory, mapping->start, &image) &&
                (is_anonymous || notes_go(memory, &image));
    }
    if (!found) {
        error_set(err, ERROR_NOT_FOUND, "no program is in its anonymous memory");
        return -1;
    }
    int fd = memfd_create("goprofd-image", MFD_CLOEXEC);
    if (fd == -1) {
        error_set(err, ERROR_SYSTEM, "memfd_create: %s", error_errno_text(errno));
        return -1;
    }
    if (!copy_image(memory, &image, fd, err)) {
        close(fd);
        return -1;
    }
    *start = image.start;
    return fd;
}

/* Up to the first byte that cannot be read now: what could not be read then is zero in the copy. */
static bool is_same(const struct elf_file *copy, uint64_t offset, struct memory *memory,
                    uint64_t address, unsigned char *now, unsigned char *then, size_t length)
{
    const size_t bytes = memory_read_some(memory, address, now, length, NULL);
    return elf_file_read(copy, offset, then, bytes, NULL) && memcmp(now, then, bytes) == 0;
}

bool image_copy_is_whole(const struct elf_file *copy, uint64_t start, struct memory *memory,
                         struct error *err)
{
    const uint64_t bias = elf_file_is_relocatable(copy) ? elf_file_load_bias(copy, start, 0) : 0;
    size_t count;
    const struct elf_segment *segments = elf_file_segments(copy, &count);
    unsigned char *steps = malloc(2 * (size_t)COPY_STEP_BYTES);
    bool same = true;

    if (steps == NULL)
        return error_set(err, ERROR_NO_MEMORY, "comparing an image: no memory");
    for (size_t i = 0; i < count; i++) {
        const struct elf_segment *segment = &segments[i];
        /* The header is not the one in memory: copy_image() takes the sections out. */
        uint64_t at = segment->offset == 0 ? sizeof(Elf64_Ehdr) : 0;
        for (; same && !segment->writable && at < segment->file_bytes; at += COPY_STEP_BYTES) {
            const uint64_t left = segment->file_bytes - at;
            const size_t length = left < COPY_STEP_BYTES ? (size_t)left : COPY_STEP_BYTES;
            same = is_same(copy, segment->offset + at, memory, segment->address + bias + at, steps,
                           steps + COPY_STEP_BYTES, length);
        }
    }
    free(steps);
    return same || error_set(err, ERROR_BUSY, "the program in its memory is being unpacked");
}
