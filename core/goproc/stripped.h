/* stripped.h - variables and version of a program that has neither names nor notes of them.
 *
 * Joins the tables of functions (pclntab.h), the rules (symbol_rules.h) and the file into what
 * symbols.h holds.  Called once per process at open, when there is no usable symbol table. */
#ifndef GOPROFD_GOPROC_STRIPPED_H
#define GOPROFD_GOPROC_STRIPPED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;
struct memory;
struct moduledata;
struct pclntab;
struct rule_findings;
struct symbol_rule;
struct symbols;

enum { STRIPPED_VERSION_MAX_BYTES = 63 };

/* Where to look.  [minor] is 0 if the version is not known. */
struct stripped_program {
    const struct elf_file *elf;
    uint64_t bias;
    const struct moduledata *module;
    const struct pclntab *functions;
    unsigned minor;
};

/* What the rules say, all of it; addresses are live. */
bool stripped_apply_rules(const struct stripped_program *program, struct rule_findings *findings,
                          struct error *err) GOPROFD_MUST_CHECK;

/* What one rule says alone, for tests; false if it does not apply. */
bool stripped_apply_rule(const struct stripped_program *program, const struct symbol_rule *rule,
                         uint64_t *address);

/* The same as struct symbols.  ERROR_UNSUPPORTED names the first required variable that was not
 * found. To be proven by symbol_checks_run() before use. */
bool stripped_find_symbols(const struct stripped_program *program, struct symbols *symbols,
                           struct error *err) GOPROFD_MUST_CHECK;

/* Looks for runtime.buildVersion among the string variables of the module; ERROR_UNSUPPORTED if
 * there is none, or if several disagree. */
bool stripped_find_version(const struct elf_file *elf, uint64_t bias, struct memory *memory,
                           const struct moduledata *module,
                           char version[STRIPPED_VERSION_MAX_BYTES + 1],
                           struct error *err) GOPROFD_MUST_CHECK;

#endif
