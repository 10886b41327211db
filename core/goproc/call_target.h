/* call_target.h - which function the CALL before a return address calls.
 *
 * Up to Go 1.25 the runtime leaves itself out of allocation stacks: an append, make or new shows
 * only its caller's return address.  The instruction before that address still says which runtime
 * function allocated.  Read from the executable's file; any thread.
 *
 *   amd64  E8 rel32        target = return address + rel32
 *   arm64  BL imm26        target = return address - 4 + imm26 * 4 */
#ifndef GOPROFD_GOPROC_CALL_TARGET_H
#define GOPROFD_GOPROC_CALL_TARGET_H

#include <stdbool.h>
#include <stdint.h>

struct elf_file;

/* False if what stands before [return_pc] is no direct call, or cannot be read.  [bias]: live address
 * minus linked address; both pcs are live ones.  The target may be anything: look it up. */
bool call_target_before(const struct elf_file *elf, uint64_t bias, uint64_t return_pc,
                        uint64_t *target);

#endif
