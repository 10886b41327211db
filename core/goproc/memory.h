/* memory.h - the bytes of a target, wherever they are: a live process or a recorded image.
 *
 * Everything that reads Go structures reads through this, so tests (and core files) hand in bytes
 * of their own.  The target is only ever copied from: never stopped, never written to.  One thread.
 *
 *   parts: [address, length] -> into     copied in order, as few system calls as possible */
#ifndef GOPROFD_GOPROC_MEMORY_H
#define GOPROFD_GOPROC_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/base/error.h"

/* One piece to copy.  Parts of one call are copied in the order given. */
struct memory_part {
    uint64_t address;
    void *into;
    size_t length;
};

/* Copies [parts] in order and returns how many bytes arrived; fewer than asked for only after
 * error_set(). */
typedef size_t (*memory_source)(void *context, const struct memory_part *parts, size_t count,
                                struct error *err);

struct memory {
    memory_source source_;
    void *context_;
    void (*close_)(void *context);
    uint64_t read_bytes; /* copied so far, over the life of this memory */
    uint64_t read_calls;
};

/* The memory of process [pid], by process_vm_readv, or where that is forbidden by /proc/PID/mem.  Reading fails with ERROR_DENIED (the kernel
 * refused), ERROR_GONE (no such process), ERROR_CORRUPT (nothing is mapped there). */
bool memory_open_process(struct memory *memory, pid_t pid, struct error *err) GOPROFD_MUST_CHECK;

/* Any other source; [close] may be NULL. */
void memory_open_source(struct memory *memory, memory_source source, void *context,
                        void (*close)(void *context));

/* An image made of [count] pieces of our own memory, which must outlive [memory]. */
struct memory_segment {
    uint64_t address;
    const void *bytes;
    size_t length;
};
struct memory_image {
    const struct memory_segment *segments;
    size_t count;
};
void memory_open_image(struct memory *memory, const struct memory_image *image);

void memory_close(struct memory *memory); /* harmless if never opened (zeroed) */

/* Copies all of [parts] or fails.  Addresses that wrap around are ERROR_CORRUPT. */
bool memory_read_parts(struct memory *memory, const struct memory_part *parts, size_t count,
                       struct error *err) GOPROFD_MUST_CHECK;
bool memory_read(struct memory *memory, uint64_t address, void *into, size_t length,
                 struct error *err) GOPROFD_MUST_CHECK;

/* Copies as much of the piece as is readable from its start on; 0 if nothing is, with the reason in
 * [err] (which stays untouched if all arrived). */
size_t memory_read_some(struct memory *memory, uint64_t address, void *into, size_t length,
                        struct error *err);

#endif
