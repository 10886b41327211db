/* code_refs_fuzz.c - libFuzzer harness: any bytes as machine code, and as the functions of a
 * program.
 *
 * Built with -DGOPROFD_FUZZ=ON.  The first byte chooses the processor.  Also judges manners:
 * targets out of range and failures without a message are bugs too. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/base/fuzz_case.h"
#include "core/goproc/code_refs.h"
#include "core/goproc/symbol_rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { CODE_ADDRESS = 0x400000, PIECES = 16 };
static const struct code_range range = {0x300000, 0x600000};

struct input {
    const uint8_t *code;
    size_t size;
};

/* Each function gets one of the pieces, by its name. */
static void find_functions(void *context, struct rule_function *functions, size_t count)
{
    const struct input *input = context;
    size_t piece = input->size / PIECES;

    for (size_t i = 0; i < count; i++) {
        functions[i].address = CODE_ADDRESS + piece * (strlen(functions[i].name) % PIECES);
        functions[i].length = piece;
    }
}

static bool read_code(void *context, uint64_t address, void *into, size_t length, struct error *err)
{
    const struct input *input = context;
    size_t at = (size_t)(address - CODE_ADDRESS);

    if (at > input->size || length > input->size - at)
        return error_set(err, ERROR_CORRUPT, "outside");
    memcpy(into, input->code + at, length);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct code_refs refs;
    struct rule_findings findings;
    struct error err = {0};

    if (size < 1)
        return 0;
    enum code_arch arch = (data[0] & 1) != 0 ? CODE_ARCH_ARM64 : CODE_ARCH_AMD64;
    struct input input = {data + 1, size - 1};
    if (!code_refs_collect(arch, input.code, input.size, CODE_ADDRESS, &range, 1, &refs, &err))
        fuzz_case_refused(&err);
    if (refs.count > CODE_REFS_MAX)
        __builtin_trap();
    for (size_t i = 0; i < refs.count; i++)
        if (refs.refs[i].target < range.start || refs.refs[i].target >= range.end ||
            refs.refs[i].count == 0 || refs.refs[i].address_taken > refs.refs[i].count)
            __builtin_trap();
    const struct rule_source source = {.context = &input,
                                       .find_functions = find_functions,
                                       .read_code = read_code,
                                       .arch = arch,
                                       .minor = data[0] >> 1,
                                       .ranges = {range}};
    err = (struct error){0};
    if (!symbol_rules_resolve(&source, &findings, &err))
        fuzz_case_refused(&err);
    return 0;
}
