/* call_trace.h - the machine-independent half of call_argument.h: steps, and the way back through them.
 *
 * A decoder turns code into one step an instruction; call_trace_back() follows a register or a stack slot
 * from the last step towards the first.  Private to call_argument*.c. */
#ifndef GOPROFD_GOPROC_CALL_TRACE_H
#define GOPROFD_GOPROC_CALL_TRACE_H

#include "core/goproc/call_argument.h"

enum { CALL_REGISTERS = 32 };

enum call_step_kind {
    CALL_STEP_OTHER,    /* writes the registers in `writes`, and perhaps the stack around `value` */
    CALL_STEP_MOVE,     /* target = source */
    CALL_STEP_CONSTANT, /* target = value */
    CALL_STEP_LOAD,     /* target = [source + value]; the stack pointer as source: a slot */
    CALL_STEP_STORE,    /* stack slot [value] = source */
    CALL_STEP_CALL,     /* all registers lost, the stack kept */
};

struct call_step {
    uint32_t at; /* offset in the code */
    uint8_t kind;
    uint8_t target;
    uint8_t source;
    bool no_fall;      /* never goes on with the next step */
    bool stack_write;  /* OTHER: may write near stack offset `value` */
    bool moves_stack;  /* changes the stack pointer: slots before it are called differently */
    uint32_t writes;   /* OTHER: one bit a register */
    int64_t value;
};

struct call_jump {
    uint32_t from; /* index of the step */
    uint32_t to;   /* offset in the code */
};

enum { CALL_STEPS_MAX = 65536, CALL_JUMPS_MAX = 8192 };

struct call_tracer {
    struct call_step steps[CALL_STEPS_MAX];
    struct call_jump jumps[CALL_JUMPS_MAX];
    unsigned char is_target[CALL_CODE_MAX_BYTES / 8]; /* one bit an offset: a jump leads there */
    size_t step_count;
    size_t jump_count;
    unsigned stack_register;
    unsigned budget; /* steps that may still be looked at */
    const uint8_t *arguments; /* registers of the ABI, in order */
    unsigned argument_count;
    bool looped;
    bool in_middle;     /* the steps do not begin with their function */
    bool straight_only; /* not all jumps are known: where one leads to, the way ends */
};

void call_trace_begin(struct call_tracer *tracer, size_t length);
/* False when there are too many. */
bool call_trace_step(struct call_tracer *tracer, const struct call_step *step);
bool call_trace_jump(struct call_tracer *tracer, uint64_t to, size_t length);
/* Notes that code which was not decoded may jump to offset [to]. */
void call_trace_target(struct call_tracer *tracer, size_t to);
/* What [reg] holds before the call that ends at offset [call_end]. */
struct call_value call_trace_back(struct call_tracer *tracer, size_t call_end, unsigned reg);

#endif
