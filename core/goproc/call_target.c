/* call_target.c - which function the CALL before a return address calls. */
#include "core/goproc/call_target.h"

#include "core/goproc/elf_file.h"

enum { AMD64_CALL_BYTES = 5, AMD64_CALL = 0xE8, ARM64_CALL_BYTES = 4 };

static uint32_t little_endian_32(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 |
           (uint32_t)bytes[3] << 24;
}

static bool amd64_target(const unsigned char *code, uint64_t return_pc, uint64_t *target)
{
    if (code[0] != AMD64_CALL)
        return false;
    *target = return_pc + (uint64_t)(int64_t)(int32_t)little_endian_32(code + 1);
    return true;
}

static bool arm64_target(const unsigned char *code, uint64_t return_pc, uint64_t *target)
{
    const uint32_t instruction = little_endian_32(code);
    if ((instruction & 0xFC000000U) != 0x94000000U)
        return false;
    uint32_t words = instruction & 0x03FFFFFFU;
    if ((words & 0x02000000U) != 0)
        words |= 0xFC000000U; /* 26 bits, signed */
    *target = return_pc - ARM64_CALL_BYTES + (uint64_t)((int64_t)(int32_t)words * 4);
    return true;
}

bool call_target_before(const struct elf_file *elf, uint64_t bias, uint64_t return_pc,
                        uint64_t *target)
{
    unsigned char code[AMD64_CALL_BYTES];
    const enum elf_machine machine = elf_file_machine(elf);
    const size_t length = machine == ELF_MACHINE_X86_64 ? AMD64_CALL_BYTES : ARM64_CALL_BYTES;

    if (machine == ELF_MACHINE_OTHER || return_pc < bias || return_pc - bias < length ||
        !elf_file_read_address(elf, return_pc - bias - length, code, length, NULL))
        return false;
    return machine == ELF_MACHINE_X86_64 ? amd64_target(code, return_pc, target)
                                         : arm64_target(code, return_pc, target);
}
