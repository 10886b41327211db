/* stripped.c - runs the rules on a program, and looks for its version in its data.
 *
 * Called by go_process.c at open. */
#include "core/goproc/stripped.h"

#include <stdlib.h>
#include <string.h>

#include "core/goproc/elf_file.h"
#include "core/goproc/go_layout.h"
#include "core/goproc/memory.h"
#include "core/goproc/moduledata.h"
#include "core/goproc/pclntab.h"
#include "core/goproc/symbol_rules.h"
#include "core/goproc/symbols.h"

enum {
    FUNCTIONS_MAX = 128, /* that rules name; they are fewer than rules */
    VERSION_MIN_BYTES = 5,
    VERSION_PREFIX_BYTES = 4,
    SCAN_STEP_BYTES = 256 << 10,
    SCAN_MAX_BYTES = 256 << 20,
    SCAN_CANDIDATES_MAX = 1 << 20,
};

/* Symbols. */

static void find_functions(void *context, struct rule_function *functions, size_t count)
{
    const struct stripped_program *program = context;
    struct pclntab_named named[FUNCTIONS_MAX];

    if (count > FUNCTIONS_MAX)
        count = FUNCTIONS_MAX;
    for (size_t i = 0; i < count; i++)
        named[i] = (struct pclntab_named){.name = functions[i].name};
    pclntab_find_functions(program->functions, named, count);
    for (size_t i = 0; i < count; i++) {
        functions[i].address = named[i].start;
        functions[i].length = named[i].end > named[i].start ? named[i].end - named[i].start : 0;
    }
}

/* Code is the same in the file and in memory, and reading it from the file leaves the target's page
 * cache and resident size alone. */
static bool read_code(void *context, uint64_t address, void *into, size_t length, struct error *err)
{
    const struct stripped_program *program = context;
    return elf_file_read_address(program->elf, address - program->bias, into, length, err);
}

static struct code_range code_range(const struct module_range *range)
{
    return (struct code_range){range->start, range->end};
}

static bool make_source(struct stripped_program *program, struct rule_source *source,
                        struct error *err)
{
    const struct moduledata *module = program->module;

    *source = (struct rule_source){
        .context = program,
        .find_functions = find_functions,
        .read_code = read_code,
        .minor = program->minor,
        .ranges = {code_range(&module->noptrdata), code_range(&module->data),
                   code_range(&module->bss), code_range(&module->noptrbss)},
    };
    switch (elf_file_machine(program->elf)) {
    case ELF_MACHINE_X86_64:
        source->arch = CODE_ARCH_AMD64;
        return true;
    case ELF_MACHINE_AARCH64:
        source->arch = CODE_ARCH_ARM64;
        return true;
    case ELF_MACHINE_OTHER:
        break;
    }
    return error_set(err, ERROR_UNSUPPORTED,
                     "built for another machine: amd64 and arm64 can be read");
}

bool stripped_apply_rules(const struct stripped_program *program, struct rule_findings *findings,
                          struct error *err)
{
    struct stripped_program context = *program;
    struct rule_source source;

    return make_source(&context, &source, err) && symbol_rules_resolve(&source, findings, err);
}

bool stripped_apply_rule(const struct stripped_program *program, const struct symbol_rule *rule,
                         uint64_t *address)
{
    struct stripped_program context = *program;
    struct rule_source source;

    return make_source(&context, &source, NULL) && symbol_rule_apply(rule, &source, address);
}

bool stripped_find_symbols(const struct stripped_program *program, struct symbols *symbols,
                           struct error *err)
{
    struct rule_findings findings;

    *symbols = (struct symbols){0};
    if (!stripped_apply_rules(program, &findings, err))
        return false;
    for (size_t i = 0; i < SYMBOL_COUNT; i++) {
        enum rule_symbol rule_symbol;
        const char *name = symbols_name((enum symbol_id)i);
        if (symbol_rules_find(name, &rule_symbol))
            symbols->address[i] = findings.symbols[rule_symbol].address;
        if (symbols->address[i] == 0 && symbols_required((enum symbol_id)i))
            return error_set(
                err, ERROR_UNSUPPORTED,
                "stripped, and %s cannot be worked out from its code (%zu of %zu known "
                "functions found): rebuild without -ldflags=-s, do not strip it",
                name, findings.functions_found, findings.functions_wanted);
    }
    symbols->address[SYMBOL_FIRST_MODULEDATA] = program->module->address;
    return true;
}

/* Version. */

struct version_scan {
    const struct elf_file *elf;
    uint64_t bias;
    size_t candidates;
    char found[STRIPPED_VERSION_MAX_BYTES + 1];
    bool ambiguous;
};

/* One string header: is what it points to a version? */
static void try_string(struct version_scan *scan, uint64_t text, uint64_t length)
{
    char version[STRIPPED_VERSION_MAX_BYTES + 1] = {0};
    struct go_version parsed;

    if (length < VERSION_MIN_BYTES || length > STRIPPED_VERSION_MAX_BYTES || text < scan->bias ||
        scan->candidates >= SCAN_CANDIDATES_MAX)
        return;
    scan->candidates++;
    if (!elf_file_read_address(scan->elf, text - scan->bias, version, VERSION_PREFIX_BYTES, NULL) ||
        (memcmp(version, "go1.", VERSION_PREFIX_BYTES) != 0 &&
         memcmp(version, "deve", VERSION_PREFIX_BYTES) != 0) ||
        !elf_file_read_address(scan->elf, text - scan->bias, version, (size_t)length, NULL) ||
        strlen(version) != length || !go_version_parse(version, &parsed))
        return;
    scan->ambiguous |= scan->found[0] != '\0' && strcmp(scan->found, version) != 0;
    memcpy(scan->found, version, sizeof(version));
}

bool stripped_find_version(const struct elf_file *elf, uint64_t bias, struct memory *memory,
                           const struct moduledata *module,
                           char version[STRIPPED_VERSION_MAX_BYTES + 1], struct error *err)
{
    struct version_scan scan = {.elf = elf, .bias = bias};
    uint64_t start = (module->data.start + 7) & ~UINT64_C(7), end = module->data.end;
    uint64_t *words = malloc(SCAN_STEP_BYTES);

    if (words == NULL)
        return error_set(err, ERROR_NO_MEMORY, "version: no memory");
    if (end > start && end - start > SCAN_MAX_BYTES)
        end = start + SCAN_MAX_BYTES;
    /* Steps overlap by one word: a string is two. */
    for (uint64_t at = start; at + 16 <= end; at += SCAN_STEP_BYTES - 8) {
        size_t bytes = end - at < SCAN_STEP_BYTES ? (size_t)(end - at) : SCAN_STEP_BYTES;
        size_t got = memory_read_some(memory, at, words, bytes, NULL) / 8;
        for (size_t i = 0; i + 1 < got; i++)
            try_string(&scan, words[i], words[i + 1]);
    }
    free(words);
    if (scan.found[0] == '\0' || scan.ambiguous)
        return error_set(err, ERROR_UNSUPPORTED,
                         "a Go program without build information: its Go version is %s",
                         scan.ambiguous ? "ambiguous" : "nowhere to be found");
    memcpy(version, scan.found, sizeof(scan.found));
    return true;
}
