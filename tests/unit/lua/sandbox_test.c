/* sandbox_test.c - there is no way out of the sandbox, and mistakes are named with their line. */
#include <criterion/criterion.h>

#include "sandbox_support.h"

Test(sandbox, has_none_of_the_dangerous_libraries)
{
    static const char *const names[] = {"io",        "os",       "debug",   "package", "coroutine",
                                        "require",   "load",     "dofile",  "xpcall",  "loadstring",
                                        "loadfile",  "_G",       "print",   "rawset",  "collectgarbage",
                                        "getfenv",   "setfenv",  "newproxy"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char code[64];
        char wanted[96];
        (void)snprintf(code, sizeof(code), "local x = %s", names[i]);
        (void)snprintf(wanted, sizeof(wanted), "test.lua:1: undefined global '%s'", names[i]);
        sandbox_expect_error(code, wanted);
    }
}

Test(sandbox, has_no_function_that_makes_code_from_bytes)
{
    sandbox_expect_error("return string.dump", "string has no 'dump'");
    sandbox_expect_error("return ('x').dump", "string has no 'dump'");
    sandbox_expect_error("return string.pack", "string has no 'pack'");
    sandbox_expect_error("return math.random()", "math has no 'random'");
}

Test(sandbox, names_the_line_of_an_undefined_global)
{
    sandbox_expect_error("local a = 1\n\nreturn a + undefind", "test.lua:3: undefined global 'undefind'");
}

Test(sandbox, says_what_to_use_instead)
{
    sandbox_expect_error("print('x')", "use log(text)");
    sandbox_expect_error("return os.time()", "target.now is the time");
}

Test(sandbox, refuses_assignment_to_globals_with_the_line)
{
    sandbox_expect_error("local a = 1\ncount = a",
                         "test.lua:2: assignment to global 'count' (write: local count)");
    sandbox_expect_error("function helper() end", "assignment to global 'helper'");
}

Test(sandbox, refuses_to_replace_what_it_provides)
{
    sandbox_expect_error("string.find = nil", "string is read-only");
    sandbox_expect_error("function math.floor() return 1 end", "math is read-only");
    sandbox_expect_error("pairs = nil", "assignment to global 'pairs'");
}

Test(sandbox, hides_the_metatables_of_strings_and_libraries)
{
    sandbox_expect_result("return tostring(getmetatable(''))", "false");
    sandbox_expect_result("return tostring(getmetatable(string))", "false");
    sandbox_expect_error("setmetatable(string, {})", "protected metatable");
    sandbox_expect_error("setmetatable('', {})", "table expected");
    sandbox_expect_error("getmetatable('').__index = {}", "index a boolean");
}

Test(sandbox, refuses_the_environment_by_name)
{
    sandbox_expect_error("local x = 1\nlocal _ENV <const> = {}", "test.lua:2: _ENV may not be used");
    sandbox_expect_error("return _ENV", "_ENV may not be used");
    sandbox_expect_result("local my_ENVIRONMENT, _ENVY = 'a', 'b' return my_ENVIRONMENT .. _ENVY", "ab");
}

Test(sandbox, refuses_finalizers)
{
    sandbox_expect_error("setmetatable({}, {__gc = function() while true do end end})", "__gc");
    /* Added afterwards it is no finalizer any more: Lua looks once. */
    sandbox_expect_result("local m = {} local t = setmetatable({}, m)\n"
                          "m.__gc = function() error('ran') end t = nil return 'fine'",
                          "fine");
}

Test(sandbox, refuses_bytecode)
{
    sandbox_expect_error("\x1bLua", "bytecode");
}

Test(sandbox, names_the_line_of_a_syntax_error)
{
    sandbox_expect_error("local x = 1\nlocal = 2", "test.lua:2: ");
}

Test(sandbox, shows_no_addresses)
{
    sandbox_expect_result("return tostring({}) .. tostring(pairs) .. string.format('%s', {})",
                          "tablefunctiontable");
    sandbox_expect_error("return string.format('%p', {})", "invalid conversion '%p'");
    sandbox_expect_error("return string.format('%-10p', 'x')", "invalid conversion '%p'");
    sandbox_expect_result("return string.format('%%p %s', 1)", "%p 1");
}

Test(sandbox, gives_asserts_a_line)
{
    sandbox_expect_error("local x = 1\nassert(x == 2, 'x is odd')", "test.lua:2: x is odd");
    sandbox_expect_error("assert(nil)", "test.lua:1: assertion failed");
    sandbox_expect_result("return assert('yes', 'no')", "yes");
}

Test(sandbox, refuses_arithmetic_on_strings)
{
    sandbox_expect_error("return '1' + 1", "arithmetic on a string value");
}

Test(sandbox, keeps_the_useful_parts_of_lua)
{
    sandbox_expect_result("local t = {3, 1, 2} table.sort(t) return table.concat(t, ',')", "1,2,3");
    sandbox_expect_result("local t = {} table.insert(t, 'a') table.insert(t, 1, 'b')\n"
                          "return table.remove(t) .. #t .. select('#', table.unpack(t))",
                          "a11");
    sandbox_expect_result("return string.format('%5.1f|%q|%s|%d', 1.25, 'a', true, 7)", "  1.2|\"a\"|true|7");
    sandbox_expect_result("return ('ab'):rep(3, '-') .. ('x'):upper() .. #'abc'", "ab-ab-abX3");
    sandbox_expect_result("local ok, err = pcall(error, 'boom') return tostring(ok) .. err", "falseboom");
    sandbox_expect_result("return utf8.char(228) .. utf8.len('\xC3\xA4')", "\xC3\xA4" "1");
    sandbox_expect_result("return tostring(math.floor(2.5) + math.tointeger(3.0))", "5");
    sandbox_expect_result("return tostring(setmetatable({}, {__tostring = function() return 'mine' end}))",
                          "mine");
}
