/* symbols.h - live addresses of the runtime variables that are read.
 *
 * Filled from .symtab, or for stripped programs by stripped.h.  Immutable after open. */
#ifndef GOPROFD_GOPROC_SYMBOLS_H
#define GOPROFD_GOPROC_SYMBOLS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/error.h"

struct elf_file;

/*  identifier           name in the binary           nothing can be read without it */
#define SYMBOLS(X) \
    X(BUILD_VERSION,       "runtime.buildVersion",      false) \
    X(FIRST_MODULEDATA,    "runtime.firstmoduledata",   false) \
    X(MBUCKETS,            "runtime.mbuckets",          true)  \
    X(MPROF_CYCLE,         "runtime.mProfCycle",        true)  \
    X(MPROF_ACTIVE_LOCK,   "runtime.profMemActiveLock", true)  \
    X(MEM_PROFILE_RATE,    "runtime.MemProfileRate",    true)  \
    X(MEMSTATS,            "runtime.memstats",          true)  \
    X(GC_CONTROLLER,       "runtime.gcController",      true)  \
    X(MHEAP,               "runtime.mheap_",            true)  \
    X(ALLP,                "runtime.allp",              true)  \
    X(SCHED,               "runtime.sched",             true)  \
    X(ALLGLEN,             "runtime.allglen",           true)  \
    X(GOMAXPROCS,          "runtime.gomaxprocs",        true)  \
    X(ALLGPTR,             "runtime.allgptr",           false) \
    X(WAIT_REASON_STRINGS, "runtime.waitReasonStrings", false) \
    X(BBUCKETS,            "runtime.bbuckets",          false) \
    X(XBUCKETS,            "runtime.xbuckets",          false) \
    X(MUTEX_PROFILE_RATE,  "runtime.mutexprofilerate",  false) \
    X(TICKS,               "runtime.ticks",             false) \
    X(ALLM,                "runtime.allm",              false) \
    X(SWEEP,               "runtime.sweep",             false)

/*  identifier           its name up to Go 1.18 */
#define SYMBOLS_OLDER(X) \
    X(MPROF_CYCLE,         "runtime.mProf") \
    X(MPROF_ACTIVE_LOCK,   "runtime.proflock")

enum symbol_id {
#define SYMBOLS_DECLARE(id, name, required) SYMBOL_##id,
    SYMBOLS(SYMBOLS_DECLARE)
#undef SYMBOLS_DECLARE
    SYMBOL_COUNT
};

struct symbols {
    uint64_t address[SYMBOL_COUNT]; /* in the live process; 0: unknown */
};

const char *symbols_name(enum symbol_id id);
const char *symbols_older_name(enum symbol_id id); /* up to Go 1.18; NULL if it was the same */
bool symbols_required(enum symbol_id id); /* nothing can be read without it */

/* From the symbol table of [elf], loaded with [bias].  ERROR_UNSUPPORTED with the cure if it has no
 * symbol table or a required name is missing from it. */
bool symbols_from_symtab(const struct elf_file *elf, uint64_t bias, struct symbols *symbols,
                         struct error *err) GOPROFD_MUST_CHECK;

#endif
