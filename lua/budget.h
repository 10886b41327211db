/* budget.h - a Lua state with a purse and a clock.
 *
 * The allocator charges every byte to the budget; a count hook charges instructions and looks at
 * the clock; C functions that loop charge their steps with budget_charge().  Once a budget is
 * exceeded every further instruction raises the error again, so pcall() cannot outlive it.
 *
 *   budget_call -> arm -> lua_pcall( code ... hook ... budget_charge ... ) -> disarm -> error
 *
 * What runs no hook and therefore must not be reachable from the code that runs here:
 * finalizers (__gc), xpcall's message handler, coroutines of the standard library. */
#ifndef GOPROFD_LUA_BUDGET_H
#define GOPROFD_LUA_BUDGET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"

struct lua_State;

enum budget_kind { BUDGET_NONE, BUDGET_MEMORY, BUDGET_INSTRUCTIONS, BUDGET_TIME };

struct budget_limits {
    size_t memory_bytes;   /* of the whole state, always */
    uint64_t instructions; /* of one call */
    uint64_t cpu_ns;       /* of one call: CPU time of the calling thread */
};

/* What a rule gets.  A state with our libraries takes about 30 KiB of it. */
#define BUDGET_RULE                                                                                \
    ((struct budget_limits){                                                                       \
        .memory_bytes = (size_t)1 << 20, .instructions = 500000, .cpu_ns = 50000000})
/* The same where nobody waits for it, as in tests: a slow machine is no slow rule. */
#define BUDGET_RULE_UNHURRIED_CPU_NS UINT64_C(2000000000)
/* What config.lua gets. */
#define BUDGET_CONFIG                                                                              \
    ((struct budget_limits){                                                                       \
        .memory_bytes = (size_t)16 << 20, .instructions = 10000000, .cpu_ns = 1000000000})

/* Members are private to budget.c, except that anyone may read the first three. */
struct budget {
    struct budget_limits limits;
    size_t memory_bytes;       /* now charged */
    enum budget_kind exceeded; /* by the last call */
    struct lua_State *state_;
    uint64_t instructions_left_;
    uint64_t deadline_ns_;     /* wall clock: when to look at the CPU clock */
    uint64_t cpu_deadline_ns_;
    uint32_t refusals_;        /* allocations refused during this call */
};

/* A new state without libraries; lua_close() it before [budget] goes.  NULL without memory. */
struct lua_State *budget_new_state(struct budget *budget, const struct budget_limits *limits);

struct budget *budget_of(struct lua_State *L);

/* Calls [function] with [argument] as its light userdata, in protected mode, with a fresh budget.
 * The stack of [L] is as before.  On failure [err] has the message: ERROR_LIMIT if the budget was
 * exceeded, else ERROR_CORRUPT. */
bool budget_call(struct lua_State *L, int (*function)(struct lua_State *), void *argument,
                 struct error *err) GOPROFD_MUST_CHECK;

/* Charges [steps] instructions for work done in C; raises a Lua error if that is too much. */
void budget_charge(struct lua_State *L, uint64_t steps);
uint64_t budget_steps_left(const struct budget *budget);

/* Raises the error of an exceeded budget, from C code that ran out of the steps it was granted. */
_Noreturn void budget_raise(struct lua_State *L, enum budget_kind kind);

#endif
