/* stack_walk.h - from a copy of a goroutine's stack to the pcs that the runtime itself would
 * record.
 *
 *   high  | ... | return address | frame of f | return address | frame of g |  low
 *                                             ^ sp + pcsp(pc) of g          ^ sp, pc
 *
 * Follows src/runtime/traceback.go (gentraceback up to Go 1.20, unwinder and tracebackPCs
 * from 1.21) and Frames.Next of symtab.go.  The stack is input: every address is checked against
 * the copy. Pure, but for the function tables' cache; one thread. */
#ifndef GOPROFD_GOPROC_STACK_WALK_H
#define GOPROFD_GOPROC_STACK_WALK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pclntab;

enum { STACK_WALK_PHYSICAL_MAX = 2048 }; /* frames walked, shown or not */

/* The used part of a stack, from the innermost frame's sp upwards. */
struct stack_copy {
    uint64_t sp;
    uint64_t pc;
    bool in_syscall;            /* pc and sp are those saved by entersyscall */
    const unsigned char *bytes; /* at address [sp] */
    size_t length;
};

enum stack_walk_end {
    STACK_WALK_COMPLETE, /* the top frame was reached */
    STACK_WALK_FULL,     /* there were more pcs than fit */
    STACK_WALK_SHORT,    /* the next frame lies beyond the copy */
    STACK_WALK_BROKEN,   /* what is there is no stack of Go functions */
};

/* Writes one return address for each logical frame, innermost first, wrappers left out. */
enum stack_walk_end stack_walk(struct pclntab *table, const struct stack_copy *stack, uint64_t *pcs,
                               size_t capacity, size_t *count);

/* Stored pcs of a block or mutex record to one pc for each logical frame: from Go 1.23 on a record
 * mixes logical pcs and plain return addresses, and runtime.CallersFrames tells them apart. */
size_t stack_walk_expand(struct pclntab *table, const uint64_t *stored, size_t stored_count,
                         uint64_t *pcs, size_t capacity);

/* Name of the physical function at [pc], with its entry.  False if pc is in no Go function. */
bool stack_walk_function(const struct pclntab *table, uint64_t pc, const char **name,
                         uint64_t *entry);

#endif
