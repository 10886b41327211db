/* known_pcs.h - what is known of return addresses, each looked up once.
 *
 * Private to call_stacks.c.  The same pcs recur in thousands of stacks.
 *
 *   pc --slots--> number --> known[number]     numbers stay, pointers into known[] do not */
#ifndef GOPROFD_GOPROC_KNOWN_PCS_H
#define GOPROFD_GOPROC_KNOWN_PCS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;
struct frame;
struct go_layout;
struct pclntab;
struct site_table;

struct known_pc {
    uint64_t pc;
    const char *function; /* texts are the site table's */
    const char *file;
    uint64_t entry; /* 0: in no Go function */
    uint32_t line;
    uint32_t start_line;
    bool inlined;
    bool is_runtime; /* hidden at the top of a stack */
    bool is_goexit;
    bool is_last_alone;    /* as the last of a stack it expands to nothing else */
    bool call_decoded;     /* the call before pc was looked at: known_pcs_allocator() */
    bool allocator_tells;  /* which is told the type by who calls it */
    bool type_known;       /* whoever calls, objects of type_bytes allocated here are of this type: */
    uint64_t type_bytes;
    const char *type_name; /* NULL: it cannot be told */
    const char *allocator;
    const struct frame *called; /* the allocator as a hidden frame; NULL: not made yet */
    const struct frame *frame;  /* in the site table, where it starts a Location; NULL: not made yet */
};

struct pc_slot {
    uint64_t pc;     /* of known[number]: looking for one touches nothing else */
    uint32_t number; /* 0: free slot */
};

/* Zeroed but for the first five, which are borrowed, until it is woken. */
struct known_pcs {
    struct pclntab *table;
    struct site_table *sites;
    const struct go_layout *layout;
    const struct elf_file *code; /* NULL: calls are not decoded */
    uint64_t code_bias;
    struct pc_slot *slots; /* NULL: at rest */
    size_t slot_count;     /* a power of two, twice the room in known[] */
    struct known_pc *known;
    size_t count; /* known[0] is none */
};

bool known_pcs_wake(struct known_pcs *pcs, struct error *err) GOPROFD_MUST_CHECK;
void known_pcs_rest(struct known_pcs *pcs); /* forgets everything, and gives its memory back */

/* Where the number of [pc] is or would be; [slot_count] is a power of two, with free slots. */
static inline struct pc_slot *known_pcs_slot(struct pc_slot *slots, size_t slot_count, uint64_t pc)
{
    size_t at = (size_t)((pc * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (slot_count - 1);
    while (slots[at].number != 0 && slots[at].pc != pc)
        at = (at + 1) & (slot_count - 1);
    return &slots[at];
}

/* The number of [pc], which is new; 0 after an error: ERROR_LIMIT or ERROR_NO_MEMORY. */
uint32_t known_pcs_learn(struct known_pcs *pcs, uint64_t pc, struct error *err);

/* The number of [pc]; 0 after an error.  Called for each pc of each stack: hence inline. */
static inline uint32_t known_pcs_number(struct known_pcs *pcs, uint64_t pc, struct error *err)
{
    const uint32_t number = known_pcs_slot(pcs->slots, pcs->slot_count, pc)->number;
    return number != 0 ? number : known_pcs_learn(pcs, pc, err);
}

/* The function of the runtime that the instruction before the return address calls, or NULL. */
const char *known_pcs_allocator(struct known_pcs *pcs, struct known_pc *known);

#endif
