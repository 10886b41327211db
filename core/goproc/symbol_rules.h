/* symbol_rules.h - runtime variables of a program that has no symbol table.
 *
 * Names of functions survive stripping (tracebacks need them), names of variables do not.  But what
 * a known function of the runtime touches, and in which order, hardly changes between versions:
 *
 *   name table --"runtime.mProf_FlushLocked"--> code --code_refs--> [0] is runtime.mbuckets
 *
 * Several functions vote on each variable; one that disagrees is counted, and a variable without a
 * majority is not known: a wrong address is worse than none.  Called once per program while a
 * process is opened.  What is found is a claim until it was checked on live memory
 * (symbol_checks.h). */
#ifndef GOPROFD_GOPROC_SYMBOL_RULES_H
#define GOPROFD_GOPROC_SYMBOL_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/goproc/code_refs.h"

/* clang-format off */
/*  identifier            name */
#define RULE_SYMBOLS(X) \
    X(MBUCKETS,            "runtime.mbuckets") \
    X(BBUCKETS,            "runtime.bbuckets") \
    X(XBUCKETS,            "runtime.xbuckets") \
    X(BUCKHASH,            "runtime.buckhash") \
    X(MPROF_CYCLE,         "runtime.mProfCycle") \
    X(MPROF_ACTIVE_LOCK,   "runtime.profMemActiveLock") \
    X(PROF_BLOCK_LOCK,     "runtime.profBlockLock") \
    X(MEM_PROFILE_RATE,    "runtime.MemProfileRate") \
    X(BLOCK_PROFILE_RATE,  "runtime.blockprofilerate") \
    X(MUTEX_PROFILE_RATE,  "runtime.mutexprofilerate") \
    X(MEMSTATS,            "runtime.memstats") \
    X(GC_CONTROLLER,       "runtime.gcController") \
    X(MHEAP,               "runtime.mheap_") \
    X(ALLGS,               "runtime.allgs") \
    X(ALLGLEN,             "runtime.allglen") \
    X(ALLGPTR,             "runtime.allgptr") \
    X(ALLP,                "runtime.allp") \
    X(ALLM,                "runtime.allm") \
    X(SCHED,               "runtime.sched") \
    X(GOMAXPROCS,          "runtime.gomaxprocs") \
    X(WORK,                "runtime.work") \
    X(GCPHASE,             "runtime.gcphase") \
    X(WAIT_REASON_STRINGS, "runtime.waitReasonStrings") \
    X(MODULES_SLICE,       "runtime.modulesSlice") \
    X(DEBUG,               "runtime.debug") \
    X(SCAVENGE,            "runtime.scavenge") \
    X(SWEEP,               "runtime.sweep") \
    X(TICKS,               "runtime.ticks")
/* clang-format on */

enum rule_symbol {
#define RULE_SYMBOLS_DECLARE(id, name) RULE_SYMBOL_##id,
    RULE_SYMBOLS(RULE_SYMBOLS_DECLARE)
#undef RULE_SYMBOLS_DECLARE
        RULE_SYMBOL_COUNT
};

struct symbol_rule;

struct rule_finding {
    uint64_t address;               /* 0: not known */
    const struct symbol_rule *rule; /* the first that gave it */
    uint8_t votes;                  /* rules that gave this address */
    uint8_t votes_against;          /* rules that gave another one */
};

struct rule_findings {
    struct rule_finding symbols[RULE_SYMBOL_COUNT];
    size_t functions_found;
    size_t functions_wanted;
};

/* A function of the program, looked up by name. */
struct rule_function {
    const char *name;
    uint64_t address; /* these two are the answer; length 0: no such function */
    uint64_t length;
};

/* Where names and code come from: a file, or memory where there is no file to read. */
struct rule_source {
    void *context;
    /* Answers all of [functions] at once. */
    void (*find_functions)(void *context, struct rule_function *functions, size_t count);
    bool (*read_code)(void *context, uint64_t address, void *into, size_t length,
                      struct error *err);
    enum code_arch arch;
    unsigned minor; /* 26 for Go 1.26; 0 if not known */
    /* Where variables are: noptrdata, data, bss and noptrbss of the module.  In the same terms as
     * the addresses of functions (all live, or all as linked). */
    struct code_range ranges[4];
};

/* Looks for every symbol.  False only if nothing could be looked for: ERROR_UNSUPPORTED if the
 * names are not those of Go's runtime, ERROR_NO_MEMORY. */
bool symbol_rules_resolve(const struct rule_source *source, struct rule_findings *findings,
                          struct error *err) GOPROFD_MUST_CHECK;

const char *symbol_rules_name(enum rule_symbol symbol);
/* Whether there is a rule for the variable called [name]. */
bool symbol_rules_find(const char *name, enum rule_symbol *symbol);

/* For messages and tests: "mProf_FlushLocked, 0" in [text], and the address which the rule alone
 * gives; false from symbol_rule_apply() if it does not apply to this program. */
void symbol_rule_describe(const struct symbol_rule *rule, char *text, size_t capacity);
size_t symbol_rules_count(void);
const struct symbol_rule *symbol_rules_at(size_t index, enum rule_symbol *symbol);
bool symbol_rule_apply(const struct symbol_rule *rule, const struct rule_source *source,
                       uint64_t *address);

#endif
