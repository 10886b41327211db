/* code_refs.c - the amd64 walk, by the Zydis decoder, and the list of targets.
 *
 * Called by symbol_rules.c while a process is opened, once per program. */
#include "core/goproc/code_refs.h"

#include <Zydis/Zydis.h>

/* What the linker puts between functions: breakpoints, one byte each. */
enum { PADDING_BYTE = 0xcc };

void code_refs_note(const struct code_refs_walk *walk, uint64_t target, bool address_taken)
{
    struct code_refs *refs = walk->refs;
    bool in_range = false;

    for (size_t i = 0; !in_range && i < walk->range_count; i++)
        in_range = target >= walk->ranges[i].start && target < walk->ranges[i].end;
    if (!in_range)
        return;
    size_t at = 0;
    while (at < refs->count && refs->refs[at].target != target)
        at++;
    if (at == refs->count) {
        if (refs->count == CODE_REFS_MAX) {
            refs->cut = true;
            return;
        }
        refs->refs[refs->count++] = (struct code_ref){.target = target};
    }
    refs->refs[at].count++;
    if (address_taken)
        refs->refs[at].address_taken++;
}

/* Whether the operand of [instruction] is memory relative to the next instruction. */
static bool is_relative(const ZydisDecodedInstruction *instruction)
{
    return (instruction->attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 &&
           instruction->raw.modrm.mod == 0 && instruction->raw.modrm.rm == 5 &&
           instruction->mnemonic != ZYDIS_MNEMONIC_CALL &&
           instruction->mnemonic != ZYDIS_MNEMONIC_JMP;
}

static bool walk_amd64(const struct code_refs_walk *walk, const unsigned char *code, size_t length,
                       uint64_t address, struct error *err)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;

    /* Lengths, displacements and names are all that is needed: the operands are not worked out. */
    if (!ZYAN_SUCCESS(
            ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE)))
        return error_set(err, ERROR_SYSTEM, "the instruction decoder does not start");
    for (size_t at = 0; at < length; at += instruction.length) {
        if (code[at] == PADDING_BYTE) {
            instruction.length = 1;
            continue;
        }
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at, length - at,
                                                        &instruction)))
            return error_set(err, ERROR_CORRUPT, "no instruction at 0x%llx",
                             (unsigned long long)(address + at));
        if (is_relative(&instruction))
            code_refs_note(walk,
                           address + at + instruction.length + (uint64_t)instruction.raw.disp.value,
                           instruction.mnemonic == ZYDIS_MNEMONIC_LEA);
    }
    return true;
}

bool code_refs_collect(enum code_arch arch, const unsigned char *code, size_t length,
                       uint64_t address, const struct code_range *ranges, size_t range_count,
                       struct code_refs *refs, struct error *err)
{
    struct code_refs_walk walk = {.ranges = ranges, .range_count = range_count, .refs = refs};

    refs->count = 0;
    refs->cut = false;
    switch (arch) {
    case CODE_ARCH_AMD64:
        return walk_amd64(&walk, code, length, address, err);
    case CODE_ARCH_ARM64:
        return code_refs_walk_arm64(&walk, code, length, address, err);
    }
    return error_set(err, ERROR_UNSUPPORTED, "no decoder for this processor");
}
