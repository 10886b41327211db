/* image_copy.h - an executable that exists in memory only, copied into a file of ours.
 *
 * A packed program (UPX and the like) unpacks itself into anonymous memory: no file on disk holds
 * what runs.  Its ELF header lies there with its segments, so they are copied to where the header
 * says that they are in a file, and from then on it is one like any other.  A library whose file was replaced or
 * removed goes the same way where the kernel's link to it may not be followed.  Called at open, and by the finder
 * for processes that look like it. */
#ifndef GOPROFD_GOPROC_IMAGE_COPY_H
#define GOPROFD_GOPROC_IMAGE_COPY_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;
struct memory;
struct procfs_maps;

/* Whether code runs there that no file backs (any more), and enough of it: all that a list of mappings tells. */
bool image_copy_may_be_there(const struct procfs_maps *maps);

/* The first image among the mappings of [maps] that no file backs, or that notes Go's build id and has lost its
 * file, as an anonymous file; the caller closes it.  [*start] gets the address of its header.  -1 with ERROR_NOT_FOUND if there is none,
 * ERROR_LIMIT if it is too large, or what reading fails with. */
int image_copy_open(struct memory *memory, const struct procfs_maps *maps, uint64_t *start,
                    struct error *err);

/* Whether what nobody writes to in [copy], an open image_copy_open(), is what lies in memory now; ERROR_BUSY if not.
 * A copy that was made while the packer was still at work is of no program. */
bool image_copy_is_whole(const struct elf_file *copy, uint64_t start, struct memory *memory,
                         struct error *err) GOPROFD_MUST_CHECK;

#endif
