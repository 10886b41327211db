/* call_stacks.h - stacks of return addresses become sites, each pc looked up once.
 *
 * Reproduces what runtime/pprof does with a heap record: leading runtime frames are hidden, goexit
 * is dropped, the last pc is expanded to the callers it was inlined into, and pcs that belong to one
 * physical frame form one Location (src/runtime/pprof/{protomem,proto}.go, Go 1.19 to 1.27).  One
 * thread. */
#ifndef GOPROFD_GOPROC_CALL_STACKS_H
#define GOPROFD_GOPROC_CALL_STACKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct alloc_types_source;
struct call_stacks;
struct elf_file;
struct frame;
struct go_layout;
struct pclntab;
struct site;
struct site_table;
struct stack_place;

enum {
    CALL_STACK_PCS_MAX = 1026,        /* runtime: maxProfStackDepth + 2 */
    CALL_STACKS_CACHE_MAX = 1 << 18,  /* pcs remembered; with more it begins anew */
};

/* Borrows all three. */
struct call_stacks *call_stacks_new(struct pclntab *table, struct site_table *sites,
                                    const struct go_layout *layout);
void call_stacks_free(struct call_stacks *stacks); /* NULL is allowed */

/* From now on a stack that begins outside the runtime gets the runtime function that its leaf called, read
 * from the code in [elf] (borrowed), as one hidden frame with address 0: what pprof shows stays the
 * same, and the site knows its primitive on every Go version. */
void call_stacks_decode_calls(struct call_stacks *stacks, const struct elf_file *elf,
                              uint64_t bias);

/* From now on sites know the type that was allocated, where the code says it (alloc_type.h); needs
 * call_stacks_decode_calls().  [source] is copied; what it points to is borrowed. */
void call_stacks_decode_types(struct call_stacks *stacks, const struct alloc_types_source *source);

/* Gives back what is only needed while stacks are looked up, and what was learned of pcs: a few hundred KiB that
 * two hundred idle processes should not keep each.  The next look-up makes it anew.  Ends the validity of what
 * call_stacks_frames() returned. */
void call_stacks_rest(struct call_stacks *stacks);

/* The site of a bucket with this stack, newly added to the table.  [pcs] are return addresses, leaf
 * first, at most CALL_STACK_PCS_MAX.  NULL with ERROR_LIMIT or ERROR_NO_MEMORY. */
const struct site *call_stacks_add(struct call_stacks *stacks, const uint64_t *pcs, size_t count,
                                   uint64_t object_bytes, struct error *err);

/* The frames of a stack that allocated nothing (goroutine, block, mutex): runtime frames stay, goexit
 * goes.  [*places] says for each frame what debug texts show beside it.  Both are overwritten by
 * the next call; texts live as long as the site table.  Nothing is added to the sites. */
bool call_stacks_frames(struct call_stacks *stacks, const uint64_t *pcs, size_t count,
                        const struct frame **frames, const struct stack_place **places,
                        size_t *frame_count, struct error *err) GOPROFD_MUST_CHECK;

/* One pc, looked up and kept; the texts live as long as the site table. */
bool call_stacks_frame(struct call_stacks *stacks, uint64_t pc, struct frame *frame,
                       struct stack_place *place, struct error *err) GOPROFD_MUST_CHECK;

#endif
