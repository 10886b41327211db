/* call_argument.h - what a call passes in one of its argument registers, read off the code before it.
 *
 *   MOVQ  AX, 0x28(SP)       the caller's own first parameter (a dictionary), kept over calls
 *   ...
 *   MOVQ  0x28(SP), CX       a reload of it
 *   MOVQ  0x18(CX), AX       -> parameter 0, one load at 0x18
 *   CALL  runtime.newobject
 *
 *   LEAQ  0x1234(IP), AX     -> an address
 *   CALL  runtime.newobject
 *
 * Goes back from the call to the last write of the register, through moves, spills and loads, and along
 * all ways on which the call is reached from above; they must agree.  Whatever else writes the register
 * makes it unknown: nothing is guessed.  Pure functions; any thread. */
#ifndef GOPROFD_GOPROC_CALL_ARGUMENT_H
#define GOPROFD_GOPROC_CALL_ARGUMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CALL_VALUE_LOADS_MAX = 3,
    CALL_ARGUMENTS_MAX = 9,           /* integer registers of Go's ABIInternal on amd64 */
    CALL_CODE_MAX_BYTES = 256 << 10,  /* from the function's entry to the call */
};

enum call_value_kind {
    CALL_VALUE_UNKNOWN,
    CALL_VALUE_ADDRESS,   /* a constant */
    CALL_VALUE_PARAMETER, /* what the function itself got in argument register [parameter] */
};

struct call_value {
    enum call_value_kind kind;
    unsigned parameter;
    uint64_t address;
    unsigned load_count; /* the value is what is found by following these, first to last */
    int32_t loads[CALL_VALUE_LOADS_MAX];
};

/* Instructions between a function's entry and a call; overwritten by each trace. */
struct call_tracer;

struct call_tracer *call_tracer_new(void); /* NULL without memory */
void call_tracer_free(struct call_tracer *tracer);

/* What argument register [argument] (0, 1, ... in the order of Go's ABIInternal) holds at the call that ends
 * after [call_end] bytes of [code], whose first byte is the entry of its function, at [entry].  Code after
 * the call (up to [length]) is only needed for loops that lead back to before it. */
struct call_value call_argument_amd64(struct call_tracer *tracer, const unsigned char *code,
                                      size_t call_end, size_t length, uint64_t entry,
                                      unsigned argument);
/* The same from what stands right before the call, decoded from offset [begin] on, where an instruction must
 * begin, to [end]; [code] still is the whole function.  Unknown if the value comes from before [begin], or if
 * any byte outside may belong to a jump to between where the value is set and the call. */
struct call_value call_argument_amd64_near(struct call_tracer *tracer, const unsigned char *code,
                                           size_t call_end, size_t length, size_t begin,
                                           size_t end, uint64_t entry, unsigned argument);
struct call_value call_argument_arm64(struct call_tracer *tracer, const unsigned char *code,
                                      size_t call_end, size_t length, uint64_t entry,
                                      unsigned argument);

#endif
