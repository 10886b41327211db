/* call_values.c - what calls pass, each call looked at once.
 *
 * Called by alloc_type.c: decides how much of the code around a call is read from the executable's file and
 * decoded, the little that nearly always suffices first. */
#include "core/goproc/call_values.h"

#include <stdlib.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/pclntab.h"

enum { FROM_ENTRY_MAX_BYTES = 32 << 10, WINDOW_BYTES = 4 << 10 };
enum {
    NEAR_BACK_BYTES = 32,
    WIDER_BACK_BYTES = 256,
    WIDER_AFTER_BYTES = 136, /* as far as short jumps reach back */
    NEAR_MAX_BYTES = 2 << 10,
    NEAR_WHOLE_BYTES = 8 << 10,
    AROUND_BYTES = 4 << 10,
};
enum { AFTER_CALL_BYTES = 16 << 10, CACHE_FIRST_SLOTS = 256, CACHE_MAX = 1 << 18 };

struct known_call {
    uint64_t return_pc; /* 0: free slot */
    unsigned argument;
    struct call_value value;
};

struct call_values {
    const struct elf_file *elf;
    uint64_t bias;
    struct pclntab *functions;
    struct call_tracer *tracer;
    struct known_call *slots;
    size_t slot_count; /* a power of two */
    size_t used;
    unsigned char *code;
};

struct call_values *call_values_new(const struct elf_file *elf, uint64_t bias,
                                    struct pclntab *functions)
{
    struct call_values *values = calloc(1, sizeof(*values));
    if (values == NULL)
        return NULL;
    values->elf = elf;
    values->bias = bias;
    values->functions = functions;
    values->tracer = call_tracer_new();
    values->code = malloc(CALL_CODE_MAX_BYTES);
    values->slots = calloc(CACHE_FIRST_SLOTS, sizeof(*values->slots));
    values->slot_count = CACHE_FIRST_SLOTS;
    if (values->tracer == NULL || values->code == NULL || values->slots == NULL) {
        call_values_free(values);
        return NULL;
    }
    return values;
}

void call_values_free(struct call_values *values)
{
    if (values == NULL)
        return;
    call_tracer_free(values->tracer);
    free(values->code);
    free(values->slots);
    free(values);
}

/* The calls that are known. */

static struct known_call *slot_of(struct known_call *slots, size_t count, uint64_t pc,
                                  unsigned argument)
{
    size_t at =
        (size_t)(((pc + argument) * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & (count - 1);
    while (slots[at].return_pc != 0 &&
           (slots[at].return_pc != pc || slots[at].argument != argument))
        at = (at + 1) & (count - 1);
    return &slots[at];
}

/* Makes room for one more.  False: nothing further is kept, which costs time and nothing else. */
static bool reserve(struct call_values *values)
{
    if (values->used < values->slot_count / 2)
        return true;
    if (values->used >= CACHE_MAX)
        return false;
    const size_t larger_count = values->slot_count * 2;
    struct known_call *larger = calloc(larger_count, sizeof(*larger));
    if (larger == NULL)
        return false;
    for (size_t i = 0; i < values->slot_count; i++)
        if (values->slots[i].return_pc != 0)
            *slot_of(larger, larger_count, values->slots[i].return_pc, values->slots[i].argument) =
                values->slots[i];
    free(values->slots);
    values->slots = larger;
    values->slot_count = larger_count;
    return true;
}

/* Code. */

static struct call_value decode(struct call_values *values, size_t call_end, size_t length,
                                uint64_t start, unsigned argument)
{
    switch (elf_file_machine(values->elf)) {
    case ELF_MACHINE_X86_64:
        return call_argument_amd64(values->tracer, values->code, call_end, length, start, argument);
    case ELF_MACHINE_AARCH64:
        return call_argument_arm64(values->tracer, values->code, call_end, length, start, argument);
    case ELF_MACHINE_OTHER:
        break;
    }
    return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
}

/* In functions too long to be read from their entry (initialisation of large tables): the last bytes before
 * the call.  Where an instruction begins there is not known, but decoding falls into step after a few of
 * them; begun at two places it must find the same address. */
static struct call_value trace_end(struct call_values *values, const struct alloc_frame *frame,
                                   unsigned argument)
{
    static const size_t windows[] = {WINDOW_BYTES, WINDOW_BYTES - 4, WINDOW_BYTES - 1};
    const bool is_arm64 = elf_file_machine(values->elf) == ELF_MACHINE_AARCH64;
    struct call_value first = {.kind = CALL_VALUE_UNKNOWN};

    for (size_t i = 0; i < (is_arm64 ? 2U : 3U); i++) {
        const uint64_t start = frame->return_pc - windows[i];
        if (!elf_file_read_address(values->elf, start - values->bias, values->code,
                                   windows[i], NULL))
            return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
        const struct call_value value = decode(values, windows[i], windows[i], start, argument);
        if (value.kind != CALL_VALUE_ADDRESS || value.load_count != 0 ||
            (i > 0 && value.address != first.address))
            return (struct call_value){.kind = CALL_VALUE_UNKNOWN};
        first = value;
    }
    return first;
}

/* Reads [after] bytes beyond the call, too. */
static struct call_value trace(struct call_values *values, const struct alloc_frame *frame,
                               unsigned argument, size_t after)
{
    const struct call_value unknown = {.kind = CALL_VALUE_UNKNOWN};
    const uint64_t bias = values->bias;

    if (frame->entry < bias || frame->entry == 0 || frame->return_pc <= frame->entry)
        return unknown;
    if (frame->return_pc - frame->entry > FROM_ENTRY_MAX_BYTES)
        return trace_end(values, frame, argument);
    const size_t call_end = (size_t)(frame->return_pc - frame->entry);
    const uint64_t room = elf_file_room(values->elf, frame->entry - bias);
    size_t length = call_end + after;
    if (length > room)
        length = (size_t)room;
    if (!elf_file_read_address(values->elf, frame->entry - bias, values->code, length, NULL))
        return unknown;
    return decode(values, call_end, length, frame->entry, argument);
}

/* Most values are set a few instructions before the call.  Decoding begins where a line of the source does
 * [back] bytes or more before the call, and ends [after] bytes behind it.  Jumps to in between are looked for
 * in the whole function, or around the call if the function is long. */
static struct call_value trace_near(struct call_values *values, const struct alloc_frame *frame,
                                    unsigned argument, size_t back, size_t after)
{
    const struct call_value unknown = {.kind = CALL_VALUE_UNKNOWN};
    const uint64_t bias = values->bias;
    uint64_t line_start, end;

    if (values->functions == NULL ||
        elf_file_machine(values->elf) != ELF_MACHINE_X86_64 || frame->entry < bias ||
        frame->entry == 0 || frame->return_pc <= frame->entry ||
        !pclntab_code_at(values->functions, frame->return_pc - 1, frame->return_pc - back,
                         &line_start, &end) ||
        line_start < frame->entry || frame->return_pc - line_start > NEAR_MAX_BYTES ||
        end < frame->return_pc)
        return unknown;
    uint64_t start = frame->entry;
    if (end - start > NEAR_WHOLE_BYTES) {
        if (frame->return_pc - start > AROUND_BYTES)
            start = frame->return_pc - AROUND_BYTES;
        if (end - frame->return_pc > AROUND_BYTES)
            end = frame->return_pc + AROUND_BYTES;
        if (line_start <= start)
            return unknown;
    }
    const size_t length = (size_t)(end - start);
    const size_t call_end = (size_t)(frame->return_pc - start);
    const size_t stop = length - call_end < after ? length : call_end + after;
    if (!elf_file_read_address(values->elf, start - bias, values->code, length, NULL))
        return unknown;
    return call_argument_amd64_near(values->tracer, values->code, call_end, length,
                                    (size_t)(line_start - start), stop, start, argument);
}

struct call_value call_values_find(struct call_values *values, const struct alloc_frame *frame,
                                   unsigned argument)
{
    struct known_call *slot =
        slot_of(values->slots, values->slot_count, frame->return_pc, argument);
    if (slot->return_pc == frame->return_pc && frame->return_pc != 0)
        return slot->value;
    struct call_value value = trace_near(values, frame, argument, NEAR_BACK_BYTES, 0);
    if (value.kind == CALL_VALUE_UNKNOWN)
        value = trace_near(values, frame, argument, WIDER_BACK_BYTES, WIDER_AFTER_BYTES);
    /* Only loops need what comes after the call. */
    if (value.kind == CALL_VALUE_UNKNOWN)
        value = trace(values, frame, argument, 0);
    if (value.kind == CALL_VALUE_UNKNOWN)
        value = trace(values, frame, argument, AFTER_CALL_BYTES);
    if (frame->return_pc != 0 && reserve(values)) {
        *slot_of(values->slots, values->slot_count, frame->return_pc, argument) =
            (struct known_call){frame->return_pc, argument, value};
        values->used++;
    }
    return value;
}
