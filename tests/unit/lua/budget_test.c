/* budget_test.c - what a hostile rule may try, and that it is stopped in time and within memory. */
#include <criterion/criterion.h>
#include <lua.h>

#include "core/base/clock.h"
#include "lua/budget.h"
#include "lua/sandbox.h"
#include "sandbox_support.h"

Test(budget, stops_an_endless_loop)
{
    sandbox_expect_stopped("while true do end");
}

Test(budget, stops_an_endless_loop_that_catches_its_errors)
{
    sandbox_expect_stopped("while true do pcall(function() while true do end end) end");
}

Test(budget, stops_nested_protected_calls_that_catch_everything)
{
    sandbox_expect_stopped("local function f() pcall(f) while true do pcall(f) end end f()");
}

Test(budget, reports_an_overrun_that_the_code_caught_and_survived)
{
    sandbox_expect_stopped("pcall(function() while true do end end)");
}

Test(budget, stops_a_loop_in_a_close_metamethod)
{
    sandbox_expect_stopped(
        "local m = setmetatable({}, {__close = function() while true do end end})\n"
        "while true do local x <close> = m end");
}

Test(budget, stops_a_loop_in_a_tostring_metamethod_of_an_error)
{
    sandbox_expect_error("error(setmetatable({}, {__tostring = function() while true do end end}))",
                         "error value is a table");
}

Test(budget, stops_a_recursion_without_end)
{
    char result[RESULT_MAX_BYTES];
    struct error err;
    cr_assert_not(sandbox_run("local function f() return 1 + f() end f()", result, &err));
}

Test(budget, stops_a_table_that_grows_without_end)
{
    sandbox_expect_stopped("local t = {} for i = 1, 1e9 do t[i] = {i} end");
}

Test(budget, stops_memory_errors_that_are_caught_for_ever)
{
    sandbox_expect_stopped("local keep = {}\n"
                           "while true do pcall(function()\n"
                           "  for i = 1, 1e9 do keep[#keep + 1] = ('x'):rep(100000) .. i end\n"
                           "end) end");
}

Test(budget, stops_a_string_that_doubles)
{
    sandbox_expect_stopped("local s = 'x' while true do s = s .. s end");
}

Test(budget, refuses_a_huge_repetition_at_once)
{
    sandbox_expect_error("return ('x'):rep(1e9)", "test.lua:1: resulting string too large");
    sandbox_expect_error("return ('x'):rep(1 << 62)", "resulting string too large");
    sandbox_expect_error("return ('abc'):rep(math.maxinteger, 'd')", "resulting string too large");
}

Test(budget, repeats_nothing_without_counting_to_a_billion)
{
    sandbox_expect_result("return (''):rep(1 << 62)", "");
    sandbox_expect_result("return (''):rep(math.maxinteger, '')", "");
}

Test(budget, stops_a_pattern_that_backtracks_exponentially)
{
    sandbox_expect_stopped(
        "return string.find(('a'):rep(30) .. 'b', ('a*'):rep(25) .. 'c')");
    sandbox_expect_stopped("return (('a'):rep(300)):match(('a-'):rep(20) .. 'b')");
    sandbox_expect_stopped("return (('('):rep(20000)):gsub('%b()', '')");
    sandbox_expect_stopped("for x in ('a'):rep(5000):gmatch('a-a-a-b') do end");
}

Test(budget, stops_pattern_work_that_is_caught)
{
    sandbox_expect_stopped("while true do\n"
                           "  pcall(string.find, ('a'):rep(200), ('a*'):rep(20) .. 'c')\n"
                           "end");
}

Test(budget, stops_table_functions_on_tables_that_lie)
{
    sandbox_expect_error("table.insert(setmetatable({}, {__len = function() return 1 << 50 end}), 1, 2)",
                         "table without a metatable expected");
    sandbox_expect_error("table.move({}, 1, 1 << 50, 2)", "range of elements too large");
    sandbox_expect_error("table.move({}, math.mininteger, -2, 2)", "range of elements too large");
    sandbox_expect_error("return table.concat({}, '', 1, 1 << 50)", "range of elements too large");
    sandbox_expect_error("return table.unpack({}, 1, 1 << 50)", "range of elements too large");
    sandbox_expect_stopped("while true do table.move({}, 1, 500000, 2) end");
    sandbox_expect_stopped("while true do pcall(table.unpack, {}, 1, 200000) end");
}

Test(budget, stops_a_sort_whose_comparison_makes_no_sense)
{
    char result[RESULT_MAX_BYTES];
    struct error err;
    const uint64_t before_ns = clock_thread_cpu_ns();
    (void)sandbox_run("local t = {} for i = 1, 20000 do t[i] = i % 7 end\n"
                      "table.sort(t, function() return true end)",
                      result, &err);
    cr_assert_lt(clock_thread_cpu_ns() - before_ns, CLOCK_NS_PER_S);
}

Test(budget, stops_sorting_long_strings_again_and_again)
{
    sandbox_expect_stopped("local t = {} local s = ('x'):rep(100000)\n"
                           "for i = 1, 500 do t[i] = s end\n"
                           "while true do table.sort(t) end");
}

Test(budget, stops_string_functions_on_long_strings)
{
    sandbox_expect_stopped("local s = ('x'):rep(200000) while true do local u = s:upper() end");
    sandbox_expect_stopped("local s = ('1'):rep(200000) while true do local n = tonumber(s) end");
    sandbox_expect_stopped("local s = ('1'):rep(200000) while true do local n = math.abs(s) end");
    sandbox_expect_stopped("local s = ('x'):rep(200000) while true do local n = utf8.len(s) end");
    sandbox_expect_stopped("local s = ('x'):rep(100000) while true do pcall(s.byte, s, 1, -1) end");
    sandbox_expect_stopped("local s = ('%d'):rep(50000) while true do pcall(s.format, s, 1) end");
}

Test(budget, stops_comparing_and_joining_long_strings)
{
    sandbox_expect_stopped("local a, b = ('x'):rep(200000) .. 'a', ('x'):rep(200000) .. 'b'\n"
                           "while true do local c = a < b end");
    sandbox_expect_stopped("local a = ('x'):rep(200000) while true do local c = a .. 'b' end");
}

static int load_and_work(lua_State *L)
{
    static const char code[] = "local t = {} for i = 1, 50 do t[i] = ('x'):rep(i) .. i end\n"
                               "return (table.concat(t):gsub('x+', '%0%0'))";
    sandbox_open(L);
    lua_settop(L, 0);
    sandbox_load(L, code, sizeof(code) - 1, "test.lua");
    lua_call(L, 0, 1);
    return 0;
}

Test(budget, survives_running_out_of_memory_at_any_point)
{
    bool worked = false;
    size_t limit = 0;
    for (; !worked; limit += 128) {
        struct budget budget;
        struct error err;
        const struct budget_limits limits = {
            .memory_bytes = limit, .instructions = 1000000, .cpu_ns = 10 * CLOCK_NS_PER_S};
        lua_State *L = budget_new_state(&budget, &limits);
        if (L != NULL) {
            worked = budget_call(L, load_and_work, NULL, &err);
            if (!worked) {
                cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
                cr_assert_not_null(strstr(err.message, "out of memory"), "%s", err.message);
            }
            lua_close(L);
        }
        cr_assert_eq(budget.memory_bytes, 0);
    }
    cr_assert_lt(limit, (size_t)128 * 1024);
}

Test(budget, lets_ordinary_work_pass)
{
    sandbox_expect_result("local sum = 0 for i = 1, 10000 do sum = sum + i end return tostring(sum)",
                          "50005000");
}
