/* sandbox_support.c - see sandbox_support.h. */
#include "sandbox_support.h"

#include <criterion/criterion.h>
#include <lauxlib.h>
#include <lua.h>

#include "core/base/clock.h"
#include "lua/budget.h"
#include "lua/sandbox.h"

struct run {
    const char *code;
    char *result;
};

static size_t leaked_bytes;

size_t sandbox_leaked_bytes(void)
{
    return leaked_bytes;
}

static int run_protected(lua_State *L)
{
    const struct run *run = lua_touserdata(L, 1);
    sandbox_open(L);
    lua_settop(L, 0);
    sandbox_load(L, run->code, strlen(run->code), "test.lua");
    lua_call(L, 0, 1);
    size_t length = 0;
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : "";
    if (length >= RESULT_MAX_BYTES)
        luaL_error(L, "result too long");
    memcpy(run->result, text, length + 1);
    return 0;
}

bool sandbox_run(const char *code, char result[RESULT_MAX_BYTES], struct error *err)
{
    const struct budget_limits limits = BUDGET_RULE;
    struct budget budget;
    lua_State *L = budget_new_state(&budget, &limits);
    cr_assert_not_null(L);
    struct run run = {.code = code, .result = result};
    result[0] = '\0';
    *err = (struct error){.code = ERROR_NONE};
    const bool ok = budget_call(L, run_protected, &run, err);
    cr_assert_leq(budget.memory_bytes, limits.memory_bytes);
    lua_close(L);
    leaked_bytes = budget.memory_bytes;
    return ok;
}

void sandbox_expect_error(const char *code, const char *wanted)
{
    char result[RESULT_MAX_BYTES];
    struct error err;
    cr_assert_not(sandbox_run(code, result, &err), "this ran without an error: %s", code);
    cr_assert_not_null(strstr(err.message, wanted), "%s\nfailed with: %s\ninstead of: %s", code,
                       err.message, wanted);
}

void sandbox_expect_stopped(const char *code)
{
    char result[RESULT_MAX_BYTES];
    struct error err;
    const uint64_t before_ns = clock_thread_cpu_ns();
    cr_assert_not(sandbox_run(code, result, &err), "this was not stopped: %s", code);
    const uint64_t took_ns = clock_thread_cpu_ns() - before_ns;
    cr_assert_eq(err.code, ERROR_LIMIT, "%s\nfailed with: %s", code, err.message);
    cr_assert_lt(took_ns, CLOCK_NS_PER_S, "%s\ntook %llu ms", code,
                 (unsigned long long)(took_ns / CLOCK_NS_PER_MS));
    cr_assert_eq(leaked_bytes, 0);
}

void sandbox_expect_result(const char *code, const char *wanted)
{
    char result[RESULT_MAX_BYTES];
    struct error err;
    cr_assert(sandbox_run(code, result, &err), "%s\nfailed with: %s", code, err.message);
    cr_assert_str_eq(result, wanted, "%s\ngave: %s\ninstead of: %s", code, result, wanted);
}
