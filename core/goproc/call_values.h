/* call_values.h - what calls pass in their argument registers, each call looked at once.
 *
 *   return pc, argument --> known?  else the code right before the call
 *                                   else more of it
 *                                   else the function from its entry --> call_argument.h
 *
 * One thread. */
#ifndef GOPROFD_GOPROC_CALL_VALUES_H
#define GOPROFD_GOPROC_CALL_VALUES_H

#include <stdint.h>

#include "core/goproc/call_argument.h"

struct call_values;
struct elf_file;
struct pclntab;

/* One frame of machine code (inlined callers have none of their own): live addresses. */
struct alloc_frame {
    uint64_t return_pc;
    uint64_t entry; /* of its function; 0: none */
};

/* Borrows all.  [functions] tell where instructions begin; NULL: all is decoded, which takes longer.  NULL
 * without memory. */
struct call_values *call_values_new(const struct elf_file *elf, uint64_t bias,
                                    struct pclntab *functions);
void call_values_free(struct call_values *values); /* NULL is allowed */

/* What the call before [frame]'s return address passes as [argument]. */
struct call_value call_values_find(struct call_values *values, const struct alloc_frame *frame,
                                   unsigned argument);

#endif
