/* code_refs.h - which variables the instructions of one function refer to, in order.
 *
 * In comes the machine code of a function, out come the distinct addresses of data that it loads,
 * stores, compares or takes the address of.  symbol_rules.c knows what the k-th of them is in known
 * functions of the runtime, and so finds variables that a stripped program has no names for.
 *
 *   amd64  one operand:      MOVL 0x1234(RIP), AX     address of the next instruction + 0x1234
 *   arm64  two instructions: ADRP page, Xn            page
 *                            LDR  [Xn, #offset], R0   page + offset (or ADD, STR, ...)
 *
 * Calls and jumps are no references.  The code is the target's and may be anything: the walk is
 * bounded by its length.  Pure functions; any thread. */
#ifndef GOPROFD_GOPROC_CODE_REFS_H
#define GOPROFD_GOPROC_CODE_REFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

enum { CODE_REFS_MAX = 48 };

enum code_arch { CODE_ARCH_AMD64, CODE_ARCH_ARM64 };

struct code_range {
    uint64_t start;
    uint64_t end;
};

struct code_ref {
    uint64_t target;
    uint32_t count;         /* instructions that refer to it */
    uint32_t address_taken; /* of these, how many only take its address (LEA, ADD) */
};

/* Distinct targets in the order in which they first occur. */
struct code_refs {
    struct code_ref refs[CODE_REFS_MAX];
    size_t count;
    bool cut; /* there were more than CODE_REFS_MAX */
};

/* Walks [length] bytes at [code], which lie at [address] in the program, and lists the targets that
 * lie in one of [ranges].  ERROR_CORRUPT if something in it is no instruction: what follows would
 * be guesswork. */
bool code_refs_collect(enum code_arch arch, const unsigned char *code, size_t length,
                       uint64_t address, const struct code_range *ranges, size_t range_count,
                       struct code_refs *refs, struct error *err) GOPROFD_MUST_CHECK;

/* Notes one reference if its target is in range; for the decoders. */
struct code_refs_walk {
    const struct code_range *ranges;
    size_t range_count;
    struct code_refs *refs;
};
void code_refs_note(const struct code_refs_walk *walk, uint64_t target, bool address_taken);

/* code_refs_arm64.c */
bool code_refs_walk_arm64(const struct code_refs_walk *walk, const unsigned char *code,
                          size_t length, uint64_t address, struct error *err) GOPROFD_MUST_CHECK;

#endif
