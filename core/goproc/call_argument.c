/* call_argument.c - the amd64 half: from machine code to the steps of call_trace.h.
 *
 * Called by alloc_type.c, once per call site that is met.  The Zydis decoder finds where instructions begin and
 * takes them apart; what they write is told from their opcodes (Intel SDM, volume 2, appendix A).  An opcode
 * that is not listed counts as writing every register: then the value is unknown, never wrong. */
#include "core/goproc/call_trace.h"

#include <Zydis/Zydis.h>
#include <string.h>

enum {
    RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11,
    ALL_REGISTERS = 0xffff,
    NO_INDEX = 4,
    MOD_REGISTER = 3,
    PADDING_BYTE = 0xcc, /* between functions */
};

static const uint8_t argument_registers[CALL_ARGUMENTS_MAX] = {RAX, RBX, RCX, RDI, RSI,
                                                               R8,  R9,  R10, R11};

/* One instruction, taken apart. */
struct parts {
    const ZydisDecodedInstruction *instruction;
    unsigned opcode;
    unsigned reg;
    unsigned rm;
    unsigned extension; /* the register bits that select among operations */
    bool has_modrm;
    bool wide;        /* 64 bits */
    bool in_register; /* rm is a register, not memory */
    bool relative;    /* memory relative to the next instruction */
    bool simple_base; /* memory at [base + displacement] */
    unsigned base;
    int64_t displacement;
};

static struct parts take_apart(const ZydisDecodedInstruction *instruction)
{
    struct parts parts = {.instruction = instruction, .opcode = instruction->opcode};
    const unsigned extend_reg = instruction->raw.rex.R != 0 ? 8U : 0U;
    const unsigned extend_rm = instruction->raw.rex.B != 0 ? 8U : 0U;

    parts.wide = instruction->raw.rex.W != 0;
    parts.has_modrm = (instruction->attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0;
    if (!parts.has_modrm)
        return parts;
    parts.extension = instruction->raw.modrm.reg;
    parts.reg = instruction->raw.modrm.reg | extend_reg;
    parts.rm = instruction->raw.modrm.rm | extend_rm;
    parts.displacement = instruction->raw.disp.value;
    parts.in_register = instruction->raw.modrm.mod == MOD_REGISTER;
    if (parts.in_register)
        return parts;
    if (instruction->raw.modrm.rm == 4) {
        const bool no_base = instruction->raw.modrm.mod == 0 && instruction->raw.sib.base == 5;
        parts.base = instruction->raw.sib.base | extend_rm;
        parts.simple_base = !no_base && instruction->raw.sib.index == NO_INDEX &&
                            instruction->raw.rex.X == 0;
    } else {
        parts.relative = instruction->raw.modrm.mod == 0 && instruction->raw.modrm.rm == 5;
        parts.base = parts.rm;
        parts.simple_base = !parts.relative;
    }
    return parts;
}

static uint32_t bit(unsigned reg)
{
    return UINT32_C(1) << reg;
}

/* The operand that can be memory is written. */
static void write_rm(const struct parts *parts, struct call_step *step)
{
    if (parts->in_register) {
        step->writes |= bit(parts->rm);
    } else if (parts->simple_base && parts->base == RSP) {
        step->stack_write = true;
        step->value = parts->displacement;
    }
}

static void become(struct call_step *step, enum call_step_kind kind, unsigned target,
                   unsigned source, int64_t value)
{
    step->kind = (uint8_t)kind;
    step->target = (uint8_t)target;
    step->source = (uint8_t)source;
    step->value = value;
    step->writes = bit(target);
}

/* MOV between registers, from and to memory: the ones that matter most. */
static void step_mov(const struct parts *parts, struct call_step *step)
{
    const bool to_register = parts->opcode == 0x8b;

    if (!parts->wide && to_register) {
        step->writes = bit(parts->reg);
    } else if (!parts->wide) {
        write_rm(parts, step);
    } else if (parts->in_register && to_register) {
        become(step, CALL_STEP_MOVE, parts->reg, parts->rm, 0);
    } else if (parts->in_register) {
        become(step, CALL_STEP_MOVE, parts->rm, parts->reg, 0);
    } else if (to_register && parts->simple_base) {
        become(step, CALL_STEP_LOAD, parts->reg, parts->base, parts->displacement);
    } else if (to_register) {
        step->writes = bit(parts->reg);
    } else if (parts->simple_base && parts->base == RSP) {
        become(step, CALL_STEP_STORE, 0, parts->reg, parts->displacement);
        step->writes = 0;
    }
}

/* The eight arithmetic operations at 00 to 3F. */
static void step_arithmetic(const struct parts *parts, struct call_step *step)
{
    const unsigned form = parts->opcode & 7;

    if (parts->opcode >= 0x38)
        return; /* CMP */
    if (parts->opcode >= 0x30 && parts->in_register && parts->reg == parts->rm &&
        (form == 1 || form == 3)) {
        become(step, CALL_STEP_CONSTANT, parts->reg, 0, 0); /* XOR of a register with itself */
    } else if (form <= 1) {
        write_rm(parts, step);
    } else if (form <= 3) {
        step->writes = bit(parts->reg);
    } else if (form <= 5) {
        step->writes = bit(RAX);
    } else {
        step->writes = ALL_REGISTERS;
    }
}

static void step_group(const struct parts *parts, struct call_step *step)
{
    switch (parts->opcode) {
    case 0x80: case 0x81: case 0x83:
        if (parts->extension != 7)
            write_rm(parts, step);
        break;
    case 0xf6: case 0xf7:
        if (parts->extension >= 4)
            step->writes = bit(RAX) | bit(RDX);
        else if (parts->extension >= 2)
            write_rm(parts, step);
        break;
    case 0xfe: case 0xff:
        if (parts->extension <= 1) {
            write_rm(parts, step);
        } else if (parts->extension <= 3) {
            step->kind = CALL_STEP_CALL;
        } else if (parts->extension <= 5) {
            step->no_fall = true;
        } else {
            step->moves_stack = true;
        }
        break;
    default: break;
    }
}

static void step_one_byte(const struct parts *parts, struct call_step *step, uint64_t next)
{
    const unsigned op = parts->opcode;
    const unsigned low = (op & 7) | (parts->instruction->raw.rex.B != 0 ? 8U : 0U);

    if (op < 0x40) {
        step_arithmetic(parts, step);
    } else if (op >= 0x50 && op <= 0x5f) {
        step->moves_stack = true;
        step->writes = op >= 0x58 ? bit(low) : 0;
    } else if (op == 0x89 || op == 0x8b) {
        step_mov(parts, step);
    } else if (op == 0x8d && parts->relative) {
        become(step, CALL_STEP_CONSTANT, parts->reg, 0,
               (int64_t)(next + (uint64_t)parts->displacement));
    } else if (op == 0x8d || op == 0x8a || op == 0x63 || op == 0x69 || op == 0x6b) {
        step->writes = bit(parts->reg);
    } else if (op >= 0xb8 && op <= 0xbf) {
        become(step, CALL_STEP_CONSTANT, low, 0,
               (int64_t)(parts->wide ? parts->instruction->raw.imm[0].value.u
                                     : (uint32_t)parts->instruction->raw.imm[0].value.u));
    } else if (op >= 0xb0 && op <= 0xb7) {
        step->writes = parts->instruction->raw.rex.R == 0 && low >= 4 && low < 8
                           ? bit(low) | bit(low - 4) /* AH, CH, DH, BH without a prefix */
                           : bit(low);
    } else if (op == 0x88 || op == 0xc6 || op == 0xc7 || (op >= 0xc0 && op <= 0xc1) ||
               (op >= 0xd0 && op <= 0xd3)) {
        write_rm(parts, step);
    } else if ((op >= 0x80 && op <= 0x83) || op >= 0xf6) {
        step_group(parts, step);
    } else if (op == 0x86 || op == 0x87) {
        step->writes = bit(parts->reg);
        write_rm(parts, step);
    } else if (op == 0x84 || op == 0x85 || op == 0xa8 || op == 0xa9 ||
               (op == 0x90 && low == 0)) {
        return; /* TEST, NOP */
    } else if (op == 0x98 || op == 0x99) {
        step->writes = bit(RAX) | bit(RDX);
    } else if (op == 0xa4 || op == 0xa5 || op == 0xaa || op == 0xab) {
        step->writes = bit(RSI) | bit(RDI) | bit(RCX);
    } else if (op == 0xc3 || op == 0xc2 || op == 0xcc) {
        step->no_fall = true;
    } else {
        step->writes = ALL_REGISTERS;
        step->moves_stack = true;
    }
}

static void step_two_bytes(const struct parts *parts, struct call_step *step)
{
    const unsigned op = parts->opcode;

    if (op == 0x1f || op == 0x18 || op == 0x0d || op == 0xa3 || op == 0x2a || op == 0xae)
        return;
    if (op == 0x0b) {
        step->no_fall = true;
    } else if (op == 0x11 || op == 0x13 || op == 0x17 || op == 0x29 || op == 0x2b || op == 0x7e ||
               op == 0x7f || op == 0xd6 || op == 0xe7 || (op >= 0x90 && op <= 0x9f) ||
               op == 0xab || op == 0xb3 || op == 0xbb || op == 0xa4 || op == 0xa5 ||
               op == 0xac || op == 0xad || (op == 0xba && parts->extension != 4)) {
        write_rm(parts, step);
    } else if (op == 0xb0 || op == 0xb1) {
        step->writes = bit(RAX);
        write_rm(parts, step);
    } else if (op == 0xc0 || op == 0xc1) {
        step->writes = bit(parts->reg);
        write_rm(parts, step);
    } else if ((op >= 0x40 && op <= 0x4f) || op == 0xaf || (op >= 0xb6 && op <= 0xb8) ||
               (op >= 0xbc && op <= 0xbf) || op == 0x2c || op == 0x2d || op == 0x50 ||
               op == 0xd7 || op == 0xc5) {
        step->writes = bit(parts->reg);
    } else if (op >= 0xc8 && op <= 0xcf) {
        step->writes = bit((op & 7) | (parts->instruction->raw.rex.B != 0 ? 8U : 0U));
    } else if (!((op >= 0x10 && op <= 0x17) || (op >= 0x28 && op <= 0x2f) ||
                 (op >= 0x51 && op <= 0x7f) || (op >= 0xc2 && op <= 0xc6) || op >= 0xd0 ||
                 op == 0xba)) {
        step->writes = ALL_REGISTERS;
    }
}

/* JMP, Jcc and direct CALL.  False if [op] is none of them. */
static bool step_branch(const ZydisDecodedInstruction *instruction, struct call_step *step)
{
    const unsigned op = instruction->opcode;

    if (instruction->opcode_map == ZYDIS_OPCODE_MAP_0F)
        return op >= 0x80 && op <= 0x8f;
    if (op == 0xe8)
        step->kind = CALL_STEP_CALL;
    else if (op == 0xe9 || op == 0xeb)
        step->no_fall = true;
    return (op >= 0x70 && op <= 0x7f) || (op >= 0xe0 && op <= 0xe3) || op == 0xe8 || op == 0xe9 ||
           op == 0xeb;
}

static bool decode_one(struct call_tracer *tracer, const ZydisDecodedInstruction *instruction,
                       size_t at, size_t length, uint64_t entry)
{
    const size_t next = at + instruction->length;
    struct call_step step = {.at = (uint32_t)at};
    const bool known_map = instruction->encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY &&
                           (instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT ||
                            instruction->opcode_map == ZYDIS_OPCODE_MAP_0F);

    if (known_map && step_branch(instruction, &step))
        return call_trace_step(tracer, &step) &&
               (step.kind == CALL_STEP_CALL ||
                call_trace_jump(tracer, next + (uint64_t)instruction->raw.imm[0].value.s, length));
    if (!known_map) {
        step.writes = ALL_REGISTERS;
    } else {
        const struct parts parts = take_apart(instruction);
        if (instruction->opcode_map == ZYDIS_OPCODE_MAP_DEFAULT)
            step_one_byte(&parts, &step, entry + next);
        else
            step_two_bytes(&parts, &step);
    }
    if ((step.writes & bit(RSP)) != 0)
        step.moves_stack = true;
    return call_trace_step(tracer, &step);
}

/* Decodes code[at..end) into [tracer], and stops at padding behind the call.  Returns where it stopped. */
static size_t decode(struct call_tracer *tracer, const unsigned char *code, size_t at, size_t call_end,
                     size_t end, size_t length, uint64_t entry)
{
    ZydisDecoder decoder;
    ZydisDecodedInstruction instruction;

    if (!ZYAN_SUCCESS(
            ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64, ZYDIS_STACK_WIDTH_64)) ||
        !ZYAN_SUCCESS(ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_TRUE)))
        return at;
    for (; at < end && (at < call_end || code[at] != PADDING_BYTE); at += instruction.length)
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(&decoder, NULL, code + at, length - at,
                                                        &instruction)) ||
            !decode_one(tracer, &instruction, at, length, entry))
            break;
    return at;
}

static bool is_sane(size_t call_end, size_t length, unsigned argument)
{
    return argument < CALL_ARGUMENTS_MAX && call_end > 0 && call_end <= length &&
           length <= CALL_CODE_MAX_BYTES;
}

static void begin_trace(struct call_tracer *tracer, size_t length)
{
    call_trace_begin(tracer, length);
    tracer->stack_register = RSP;
    tracer->arguments = argument_registers;
    tracer->argument_count = CALL_ARGUMENTS_MAX;
}

struct call_value call_argument_amd64(struct call_tracer *tracer, const unsigned char *code,
                                      size_t call_end, size_t length, uint64_t entry,
                                      unsigned argument)
{
    if (!is_sane(call_end, length, argument))
        return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
    begin_trace(tracer, length);
    if (decode(tracer, code, 0, call_end, length, length, entry) < call_end)
        return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
    return call_trace_back(tracer, call_end, argument_registers[argument]);
}

/* Looking for jumps goes over whole functions: sixteen bytes at a time. */
enum { BLOCK = 16 };
typedef unsigned char block __attribute__((vector_size(BLOCK)));

static block load_block(const unsigned char *from)
{
    block loaded;
    memcpy(&loaded, from, sizeof(loaded));
    return loaded;
}

/* Place of the first byte of [hits] that is not 0, else BLOCK. */
static size_t first_hit(block hits)
{
    uint64_t halves[2];
    memcpy(halves, &hits, sizeof(halves));
    if (halves[0] != 0)
        return (size_t)__builtin_ctzll(halves[0]) / 8;
    return halves[1] != 0 ? BLOCK / 2 + (size_t)__builtin_ctzll(halves[1]) / 8 : BLOCK;
}

/* The first place of code[at..to) where the code of a jump by one byte may stand (Jcc, LOOP, JMP).
 */
static size_t next_short_jump(const unsigned char *code, size_t at, size_t to)
{
    for (; at < to && to - at >= BLOCK; at += BLOCK) {
        const block op = load_block(code + at);
        const size_t found =
            first_hit((block)(((op & 0xf0) == 0x70) | (op == 0xeb) | ((op & 0xfc) == 0xe0)));
        if (found < BLOCK)
            return at + found;
    }
    for (; at < to; at++)
        if ((code[at] & 0xf0) == 0x70 || code[at] == 0xeb || (code[at] & 0xfc) == 0xe0)
            return at;
    return to;
}

/* The same of one by four bytes: the place of the code's last byte (JMP, 0F Jcc). */
static size_t next_long_jump(const unsigned char *code, size_t at, size_t to)
{
    if (at == 0 && at < to) { /* nothing is before it */
        if (code[at] == 0xe9)
            return at;
        at++;
    }
    for (; at < to && to - at >= BLOCK; at += BLOCK) {
        const block op = load_block(code + at), before = load_block(code + at - 1);
        const size_t found =
            first_hit((block)((op == 0xe9) | ((before == 0x0f) & ((op & 0xf0) == 0x80))));
        if (found < BLOCK)
            return at + found;
    }
    for (; at < to; at++)
        if (code[at] == 0xe9 || (code[at - 1] == 0x0f && (code[at] & 0xf0) == 0x80))
            return at;
    return to;
}

/* Jumps by a byte, wherever in code[from..to) one may begin, to within [low, high). */
static void mark_short_jumps(struct call_tracer *tracer, const unsigned char *code, size_t from,
                             size_t to, size_t low, size_t high)
{
    const size_t end = to > from ? to - 1 : from; /* a distance follows */

    for (size_t at = next_short_jump(code, from, end); at < end;
         at = next_short_jump(code, at + 1, end)) {
        const size_t target = at + 2 + (size_t)(ptrdiff_t)(int8_t)code[at + 1];
        if (target >= low && target < high)
            call_trace_target(tracer, target);
    }
}

/* The same with four bytes. */
static void mark_long_jumps(struct call_tracer *tracer, const unsigned char *code, size_t from,
                            size_t to, size_t low, size_t high)
{
    enum { DISTANCE_BYTES = 4 };
    const size_t end = to > from + DISTANCE_BYTES ? to - DISTANCE_BYTES : from;

    for (size_t at = next_long_jump(code, from, end); at < end;
         at = next_long_jump(code, at + 1, end)) {
        int32_t distance;
        memcpy(&distance, code + at + 1, sizeof(distance));
        const size_t target = at + 1 + DISTANCE_BYTES + (size_t)(ptrdiff_t)distance;
        if (target >= low && target < high)
            call_trace_target(tracer, target);
    }
}

struct call_value call_argument_amd64_near(struct call_tracer *tracer, const unsigned char *code,
                                           size_t call_end, size_t length, size_t begin,
                                           size_t end, uint64_t entry, unsigned argument)
{
    enum { SHORT_JUMP_REACH = 130 };

    if (!is_sane(call_end, length, argument) || begin >= call_end || end < call_end || end > length)
        return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
    begin_trace(tracer, length);
    tracer->in_middle = begin > 0;
    tracer->straight_only = true;
    const size_t decoded = decode(tracer, code, begin, call_end, end, length, entry);
    if (decoded < call_end)
        return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
    const size_t reach = call_end + SHORT_JUMP_REACH;
    mark_short_jumps(tracer, code, begin > SHORT_JUMP_REACH ? begin - SHORT_JUMP_REACH : 0, begin,
                     begin, call_end);
    mark_short_jumps(tracer, code, decoded, reach < length ? reach : length, begin, call_end);
    mark_long_jumps(tracer, code, 0, begin, begin, call_end);
    mark_long_jumps(tracer, code, decoded, length, begin, call_end);
    return call_trace_back(tracer, call_end, argument_registers[argument]);
}
