/* call_argument_arm64.c - the arm64 half: from machine code to the steps of call_trace.h.
 *
 * Called by alloc_type.c.  Encodings: Arm Architecture Reference Manual for A-profile, C4.1.  Instructions are
 * four bytes each; what is not told apart counts as writing the register in its lowest bits. */
#include <string.h>

#include "core/goproc/call_trace.h"

enum { REGISTER_ZERO = 31, STACK_POINTER = 31, WORD_BYTES = 4, SPILL_BYTES = 8 };

static const uint8_t argument_registers[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static uint32_t bits(uint32_t word, unsigned low, unsigned count)
{
    return (word >> low) & ((UINT32_C(1) << count) - 1);
}

static int64_t signed_bits(uint32_t word, unsigned low, unsigned count)
{
    const int64_t sign = INT64_C(1) << (count - 1);
    return ((int64_t)bits(word, low, count) ^ sign) - sign;
}

static struct call_step step_of(enum call_step_kind kind, uint32_t target, uint32_t source,
                                int64_t value)
{
    return (struct call_step){.kind = (uint8_t)kind,
                              .target = (uint8_t)target,
                              .source = (uint8_t)source,
                              .value = value};
}

/* One word moved between register [reg] and [base + offset]. */
static struct call_step step_access(bool load, uint32_t reg, uint32_t base, int64_t offset)
{
    if (load)
        return step_of(CALL_STEP_LOAD, reg, base, offset);
    if (base == STACK_POINTER)
        return step_of(CALL_STEP_STORE, 0, reg, offset);
    return step_of(CALL_STEP_OTHER, 0, 0, 0);
}

/* LDP and STP of 64-bit registers; pre- and post-indexed ones move their base. */
static bool add_pair(struct call_tracer *tracer, uint32_t word, uint32_t at)
{
    const bool load = bits(word, 22, 1) != 0, plain = bits(word, 23, 2) == 2;
    const uint32_t first = bits(word, 0, 5), second = bits(word, 10, 5), base = bits(word, 5, 5);
    const int64_t offset = signed_bits(word, 15, 7) * SPILL_BYTES;
    struct call_step steps[2] = {step_access(load, first, base, offset),
                                 step_access(load, second, base, offset + SPILL_BYTES)};

    if (!plain || (load && base != STACK_POINTER)) {
        steps[0] = step_of(CALL_STEP_OTHER, 0, 0, 0);
        steps[0].writes = (load ? UINT32_C(1) << first | UINT32_C(1) << second : 0) |
                          (plain ? 0 : UINT32_C(1) << base);
        steps[0].moves_stack = !plain && base == STACK_POINTER;
        steps[1] = step_of(CALL_STEP_OTHER, 0, 0, 0);
    }
    steps[0].at = steps[1].at = at;
    steps[1].at = at + 1; /* no jump leads into the middle */
    return call_trace_step(tracer, &steps[0]) && call_trace_step(tracer, &steps[1]);
}

/* ADD and SUB of an immediate; after ADRP of the same register the sum is known. */
static struct call_step step_add(const struct call_tracer *tracer, uint32_t word)
{
    const uint32_t target = bits(word, 0, 5), source = bits(word, 5, 5);
    const int64_t value = (int64_t)bits(word, 10, 12) << (bits(word, 22, 1) != 0 ? 12 : 0);
    const struct call_step *before =
        tracer->step_count > 0 ? &tracer->steps[tracer->step_count - 1] : NULL;
    struct call_step step = step_of(CALL_STEP_OTHER, 0, 0, 0);

    if (target == STACK_POINTER) {
        step.moves_stack = true;
    } else if (bits(word, 30, 1) == 0 && before != NULL && before->kind == CALL_STEP_CONSTANT &&
               before->target == source) {
        step = step_of(CALL_STEP_CONSTANT, target, 0, before->value + value);
    } else {
        step.writes = UINT32_C(1) << target;
    }
    return step;
}

static struct call_step step_of_word(const struct call_tracer *tracer, uint32_t word, uint64_t pc)
{
    const uint32_t reg = bits(word, 0, 5), base = bits(word, 5, 5);
    struct call_step step = step_of(CALL_STEP_OTHER, 0, 0, 0);

    if ((word & 0x9f000000) == 0x90000000) { /* ADRP */
        const int64_t pages =
            (int64_t)((uint64_t)signed_bits(word, 5, 19) << 2 | bits(word, 29, 2));
        return step_of(CALL_STEP_CONSTANT, reg, 0,
                       (int64_t)((pc & ~UINT64_C(0xfff)) + ((uint64_t)pages << 12)));
    }
    if ((word & 0xbf800000) == 0x91000000 || (word & 0xff800000) == 0xd1000000)
        return step_add(tracer, word);
    if ((word & 0xffe0ffe0) == 0xaa0003e0) { /* MOV */
        if (bits(word, 16, 5) == REGISTER_ZERO)
            return step_of(CALL_STEP_CONSTANT, reg, 0, 0);
        return step_of(CALL_STEP_MOVE, reg, bits(word, 16, 5), 0);
    }
    if ((word & 0xff800000) == 0xd2800000) /* MOVZ */
        return step_of(CALL_STEP_CONSTANT, reg, 0,
                       (int64_t)((uint64_t)bits(word, 5, 16) << (16 * bits(word, 21, 2))));
    if ((word & 0xff800000) == 0xf9000000) /* LDR, STR with an unsigned offset */
        return step_access(bits(word, 22, 1) != 0, reg, base,
                           (int64_t)bits(word, 10, 12) * SPILL_BYTES);
    if ((word & 0xffa00c00) == 0xf8000000) /* LDUR, STUR */
        return step_access(bits(word, 22, 1) != 0, reg, base, signed_bits(word, 12, 9));
    if ((word & 0xfc000000) == 0x94000000 || (word & 0xfffffc1f) == 0xd63f0000)
        return step_of(CALL_STEP_CALL, 0, 0, 0); /* BL, BLR */
    if ((word & 0xfc000000) == 0x14000000 || (word & 0xff9ffc1f) == 0xd61f0000 ||
        (word & 0xffe0001f) == 0xd4200000) { /* B, BR, RET, BRK */
        step.no_fall = true;
        return step;
    }
    if ((word & 0xff000010) == 0x54000000 || (word & 0x7c000000) == 0x34000000)
        return step; /* B.cond, CBZ, TBZ and the like */
    step.writes = UINT32_C(1) << reg;
    if ((word & 0x0a000000) == 0x08000000) { /* other loads and stores */
        step.writes |= UINT32_C(1) << base | UINT32_C(1) << bits(word, 16, 5) |
                       UINT32_C(1) << bits(word, 10, 5);
        step.stack_write = base == STACK_POINTER;
        step.moves_stack = base == STACK_POINTER && bits(word, 24, 2) == 0;
        step.value = bits(word, 24, 2) == 1 ? (int64_t)bits(word, 10, 12) << bits(word, 30, 2) : 0;
    }
    return step;
}

/* Offset of the jump in [word] from itself; false if it is none. */
static bool jump_offset(uint32_t word, int64_t *offset)
{
    if ((word & 0xfc000000) == 0x14000000)
        *offset = signed_bits(word, 0, 26) * WORD_BYTES;
    else if ((word & 0xff000010) == 0x54000000 || (word & 0x7e000000) == 0x34000000)
        *offset = signed_bits(word, 5, 19) * WORD_BYTES;
    else if ((word & 0x7e000000) == 0x36000000)
        *offset = signed_bits(word, 5, 14) * WORD_BYTES;
    else
        return false;
    return true;
}

struct call_value call_argument_arm64(struct call_tracer *tracer, const unsigned char *code,
                                      size_t call_end, size_t length, uint64_t entry,
                                      unsigned argument)
{
    const struct call_value unknown = {.kind = CALL_VALUE_UNKNOWN};

    if (argument >= sizeof(argument_registers) || call_end > length ||
        call_end < WORD_BYTES || call_end % WORD_BYTES != 0 || length > CALL_CODE_MAX_BYTES)
        return unknown;
    call_trace_begin(tracer, length);
    tracer->stack_register = STACK_POINTER;
    tracer->arguments = argument_registers;
    tracer->argument_count = sizeof(argument_registers);
    for (size_t at = 0; at + WORD_BYTES <= length; at += WORD_BYTES) {
        uint32_t word;
        int64_t offset;
        memcpy(&word, code + at, sizeof(word));
        if (word == 0 && at >= call_end)
            break; /* between functions */
        if ((word & 0xfe000000) == 0xa8000000) {
            if (!add_pair(tracer, word, (uint32_t)at))
                return unknown;
            continue;
        }
        struct call_step step = step_of_word(tracer, word, entry + at);
        step.at = (uint32_t)at;
        if (!call_trace_step(tracer, &step) ||
            (jump_offset(word, &offset) &&
             !call_trace_jump(tracer, (uint64_t)((int64_t)at + offset), length)))
            return unknown;
    }
    return call_trace_back(tracer, call_end, argument_registers[argument]);
}
