/* budget.c - the allocator, the hook and the protected call that keep a state within bounds.
 *
 * Used by whoever owns a Lua state (a rule, the config file), on that owner's thread. */
#include "lua/budget.h"

#include <lauxlib.h>
#include <lua.h>

#include "core/base/clock.h"
#include "core/base/log.h"

enum {
    HOOK_INSTRUCTIONS = 200, /* small: one instruction may compare or join long strings */
    REFUSALS_MAX = 16,       /* each refused allocation costs a full collection */
};

struct budget *budget_of(lua_State *L)
{
    struct budget *budget;
    memcpy(&budget, lua_getextraspace(L), sizeof(budget));
    return budget;
}

uint64_t budget_steps_left(const struct budget *budget)
{
    return budget->instructions_left_;
}

static void keep_failing(lua_State *L, lua_Debug *record);

static void arm_to_fail(lua_State *L)
{
    lua_sethook(L, keep_failing, LUA_MASKCOUNT | LUA_MASKLINE | LUA_MASKCALL, 1);
}

/* Runs at every instruction once the budget is spent: whatever catches the error, the next
 * instruction raises it again. */
static void keep_failing(lua_State *L, lua_Debug *record)
{
    (void)record;
    budget_raise(L, budget_of(L)->exceeded);
}

/* Pushes "FILE:LINE: " of the innermost Lua code.  luaL_error looks one level out, which is right for a
 * C function; a hook has no level of its own. */
static void push_where(lua_State *L)
{
    lua_Debug record;
    for (int level = 0; lua_getstack(L, level, &record); level++) {
        (void)lua_getinfo(L, "Sl", &record);
        if (record.currentline > 0) {
            lua_pushfstring(L, "%s:%d: ", record.short_src, record.currentline);
            return;
        }
    }
    lua_pushliteral(L, "");
}

_Noreturn void budget_raise(lua_State *L, enum budget_kind kind)
{
    struct budget *budget = budget_of(L);
    if (budget->exceeded == BUDGET_NONE)
        budget->exceeded = kind;
    arm_to_fail(L);
    push_where(L);
    switch (budget->exceeded) {
    case BUDGET_MEMORY:
        lua_pushfstring(L, "out of memory: more than %I KiB wanted",
                        (LUAI_UACINT)(budget->limits.memory_bytes / 1024));
        break;
    case BUDGET_TIME:
        lua_pushfstring(L, "ran past its time budget of %I ms",
                        (LUAI_UACINT)(budget->limits.cpu_ns / CLOCK_NS_PER_MS));
        break;
    case BUDGET_NONE:
    case BUDGET_INSTRUCTIONS:
        lua_pushfstring(L, "ran past its budget of %I instructions",
                        (LUAI_UACINT)budget->limits.instructions);
        break;
    }
    lua_concat(L, 2);
    lua_error(L);
    abort(); /* not reached: lua_error does not return */
}

/* The wall clock is cheap to read; the CPU clock, which is fair when the machine is busy, is asked only
 * once as much wall time has passed as there was CPU time left. */
static bool is_late(struct budget *budget)
{
    const uint64_t now_ns = clock_monotonic_ns();
    if (now_ns < budget->deadline_ns_)
        return false;
    const uint64_t cpu_ns = clock_thread_cpu_ns();
    if (cpu_ns >= budget->cpu_deadline_ns_)
        return true;
    budget->deadline_ns_ = now_ns + (budget->cpu_deadline_ns_ - cpu_ns);
    return false;
}

void budget_charge(lua_State *L, uint64_t steps)
{
    struct budget *budget = budget_of(L);
    if (budget->exceeded != BUDGET_NONE)
        budget_raise(L, budget->exceeded);
    if (steps > budget->instructions_left_) {
        budget->instructions_left_ = 0;
        budget_raise(L, BUDGET_INSTRUCTIONS);
    }
    budget->instructions_left_ -= steps;
    if (is_late(budget))
        budget_raise(L, BUDGET_TIME);
}

static void count_instructions(lua_State *L, lua_Debug *record)
{
    (void)record;
    budget_charge(L, HOOK_INSTRUCTIONS);
}

/* Lua's rules: growth may be refused, shrinking may not.  For a new block [old_bytes] is a type
 * tag, not a size. */
static void *charge_allocation(void *context, void *block, size_t old_bytes, size_t new_bytes)
{
    struct budget *budget = context;
    const size_t held_bytes = block != NULL ? old_bytes : 0;
    if (new_bytes == 0) {
        free(block);
        budget->memory_bytes -= held_bytes;
        return NULL;
    }
    const bool grows = new_bytes > held_bytes;
    void *moved = NULL;
    if (!grows || new_bytes - held_bytes <= budget->limits.memory_bytes - budget->memory_bytes)
        moved = realloc(block, new_bytes);
    if (moved == NULL && !grows)
        moved = block; /* the old block is large enough */
    if (moved != NULL) {
        budget->memory_bytes = budget->memory_bytes - held_bytes + new_bytes;
        return moved;
    }
    /* Code that catches the error and tries again would make us collect garbage for ever. */
    if (++budget->refusals_ > REFUSALS_MAX && budget->state_ != NULL) {
        if (budget->exceeded == BUDGET_NONE)
            budget->exceeded = BUDGET_MEMORY;
        arm_to_fail(budget->state_);
    }
    return NULL;
}

/* Cannot happen: everything runs inside budget_call().  If it does, stop where it can be seen. */
static int panic(lua_State *L)
{
    const char *message = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "not a string";
    log_error(log_msg("Lua error outside a protected call"), log_str("error", message));
    abort();
}

lua_State *budget_new_state(struct budget *budget, const struct budget_limits *limits)
{
    *budget = (struct budget){.limits = *limits};
    lua_State *L = lua_newstate(charge_allocation, budget);
    if (L == NULL)
        return NULL;
    memcpy(lua_getextraspace(L), &budget, sizeof(budget));
    lua_atpanic(L, panic);
    budget->state_ = L;
    return L;
}

static bool report(lua_State *L, int status, struct error *err)
{
    struct budget *budget = budget_of(L);
    if (status == LUA_ERRMEM && budget->exceeded == BUDGET_NONE)
        budget->exceeded = BUDGET_MEMORY;
    const enum error_code code = budget->exceeded != BUDGET_NONE ? ERROR_LIMIT : ERROR_CORRUPT;
    /* Nothing is converted here: __tostring would run outside of protected mode. */
    if (status == LUA_ERRMEM)
        (void)error_set(err, code, "out of memory: more than %zu KiB wanted",
                        budget->limits.memory_bytes / 1024);
    else if (lua_type(L, -1) == LUA_TSTRING)
        (void)error_set(err, code, "%s", lua_tostring(L, -1));
    else
        (void)error_set(err, code, "error value is a %s, not a message", luaL_typename(L, -1));
    return false;
}

bool budget_call(lua_State *L, lua_CFunction function, void *argument, struct error *err)
{
    struct budget *budget = budget_of(L);
    const int top = lua_gettop(L);

    budget->exceeded = BUDGET_NONE;
    budget->refusals_ = 0;
    budget->instructions_left_ = budget->limits.instructions;
    budget->deadline_ns_ = clock_monotonic_ns() + budget->limits.cpu_ns;
    budget->cpu_deadline_ns_ = clock_thread_cpu_ns() + budget->limits.cpu_ns;
    lua_sethook(L, count_instructions, LUA_MASKCOUNT, HOOK_INSTRUCTIONS);

    lua_pushcfunction(L, function); /* neither of these two allocates */
    lua_pushlightuserdata(L, argument);
    const int status = lua_pcall(L, 1, 0, 0);

    lua_sethook(L, NULL, 0, 0);
    /* What was caught on the way is still an overrun. */
    bool ok = status == LUA_OK;
    if (!ok)
        ok = report(L, status, err);
    else if (budget->exceeded != BUDGET_NONE)
        ok = error_set(err, ERROR_LIMIT, "exceeded its budget and caught the error");
    lua_settop(L, top);
    return ok;
}
