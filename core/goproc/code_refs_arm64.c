/* code_refs_arm64.c - the arm64 walk: pairs of ADRP and an instruction that uses its register.
 *
 * Called through code_refs_collect().  Encodings: Arm Architecture Reference Manual for A-profile,
 * C4.1 "A64 instruction set encoding".  Instructions are four bytes each, so any word can be
 * stepped over and only the few that matter here are told apart:
 *
 *   ADRP, ADR                 1/0 immlo 10000 immhi Rd
 *   ADD  (immediate, 64-bit)  1001000100  imm12  Rn Rd
 *   LDR/STR (unsigned offset) size 111 V 01 opc imm12 Rn Rt
 *
 * The assembler of Go emits the two next to each other (through R27 where the value is not wanted
 * as an address), so forgetting a register once too often loses nothing. */
#include <string.h>

#include "core/goproc/code_refs.h"

enum { REGISTERS = 32, REGISTER_ZERO = 31 };

struct pages {
    uint64_t page[REGISTERS];
    uint32_t known; /* one bit a register */
};

static uint32_t bits(uint32_t word, unsigned low, unsigned count)
{
    return (word >> low) & ((UINT32_C(1) << count) - 1);
}

static void forget(struct pages *pages, uint32_t reg)
{
    pages->known &= ~(UINT32_C(1) << reg);
}

static void remember(struct pages *pages, uint32_t reg, uint64_t page)
{
    if (reg == REGISTER_ZERO)
        return;
    pages->page[reg] = page;
    pages->known |= UINT32_C(1) << reg;
}

static bool is_known(const struct pages *pages, uint32_t reg)
{
    return (pages->known >> reg & 1) != 0;
}

/* The signed 21 bits of ADR and ADRP. */
static uint64_t adr_offset(uint32_t word)
{
    uint64_t value = (uint64_t)bits(word, 5, 19) << 2 | bits(word, 29, 2);
    return (value ^ (UINT64_C(1) << 20)) - (UINT64_C(1) << 20);
}

static bool is_branch(uint32_t word)
{
    return (word & 0x1c000000) == 0x14000000;
}

/* After these the next instruction is reached from elsewhere, or with all registers changed: B, BL,
 * BR, BLR, RET. */
static bool is_jump_or_call(uint32_t word)
{
    return (word & 0x7c000000) == 0x14000000 || (word & 0xfe000000) == 0xd6000000;
}

/* Bytes moved by LDR/STR with an unsigned offset, as a power of two. */
static unsigned access_scale(uint32_t word)
{
    unsigned size = bits(word, 30, 2);
    bool is_vector = bits(word, 26, 1) != 0;

    return is_vector && size == 0 && bits(word, 23, 1) != 0 ? 4 : size;
}

static void step_load_store(const struct code_refs_walk *walk, struct pages *pages, uint32_t word)
{
    uint32_t base = bits(word, 5, 5), reg = bits(word, 0, 5);
    bool is_vector = bits(word, 26, 1) != 0;
    bool is_store = bits(word, 22, 2) == 0 || (is_vector && bits(word, 22, 2) == 2);

    if (is_known(pages, base))
        code_refs_note(
            walk, pages->page[base] + ((uint64_t)bits(word, 10, 12) << access_scale(word)), false);
    if (!is_store && !is_vector)
        forget(pages, reg);
}

static void step_add(const struct code_refs_walk *walk, struct pages *pages, uint32_t word)
{
    uint32_t base = bits(word, 5, 5), reg = bits(word, 0, 5);
    uint64_t offset = (uint64_t)bits(word, 10, 12) << (bits(word, 22, 1) != 0 ? 12 : 0);

    if (is_known(pages, base))
        code_refs_note(walk, pages->page[base] + offset, true);
    forget(pages, reg);
}

static void step(const struct code_refs_walk *walk, struct pages *pages, uint32_t word, uint64_t pc)
{
    uint32_t reg = bits(word, 0, 5);

    if ((word & 0x9f000000) == 0x90000000) {
        remember(pages, reg, (pc & ~UINT64_C(0xfff)) + (adr_offset(word) << 12));
    } else if ((word & 0x9f000000) == 0x10000000) {
        code_refs_note(walk, pc + adr_offset(word), true);
        forget(pages, reg);
    } else if ((word & 0xff800000) == 0x91000000) {
        step_add(walk, pages, word);
    } else if ((word & 0x3b000000) == 0x39000000) {
        step_load_store(walk, pages, word);
    } else if (is_jump_or_call(word)) {
        pages->known = 0;
    } else if (!is_branch(word)) {
        /* Nearly everything else writes the register in its lowest bits; pairs a second one. */
        forget(pages, reg);
        if ((word & 0x3a000000) == 0x28000000)
            forget(pages, bits(word, 10, 5));
    }
}

bool code_refs_walk_arm64(const struct code_refs_walk *walk, const unsigned char *code,
                          size_t length, uint64_t address, struct error *err)
{
    struct pages pages = {.known = 0};

    if (address % 4 != 0 || length % 4 != 0)
        return error_set(err, ERROR_CORRUPT, "arm64 code at 0x%llx, %zu bytes, is not aligned to 4",
                         (unsigned long long)address, length);
    for (size_t at = 0; at < length; at += 4) {
        uint32_t word;
        memcpy(&word, code + at, sizeof(word));
        step(walk, &pages, word, address + at);
    }
    return true;
}
