/* escape_test.c - ways out of the sandbox that others have found in other programs; none leads out of ours. */
#include <criterion/criterion.h>

#include "sandbox_support.h"
#include "stage.h"

Test(escape, there_is_no_way_to_the_globals_or_to_code)
{
    sandbox_expect_error("return getmetatable(_G)", "undefined global '_G'");
    sandbox_expect_error("return (''):dump()", "string has no 'dump'");
    sandbox_expect_error("return string.dump(function() end)", "string has no 'dump'");
    sandbox_expect_error("return load('return 1')", "code is not made from text");
    sandbox_expect_error("return coroutine.wrap(function() end)", "there are no coroutines");
    sandbox_expect_error("return debug.getregistry()", "there is no debug library");
    sandbox_expect_error("return os.execute('true')", "undefined global 'os'");
    sandbox_expect_error("return package.loadlib('x', 'y')", "there are no modules");
    sandbox_expect_error("return require 'os'", "undefined global 'require'");
    sandbox_expect_error("return select('#', ...).x", "index a number");
    sandbox_expect_error("rawset(string, 'find', nil)", "undefined global 'rawset'");
}

Test(escape, shared_tables_cannot_be_changed_or_listened_to)
{
    sandbox_expect_error("setmetatable(math, { __index = error })", "protected metatable");
    sandbox_expect_error("getmetatable('').__index.len = nil", "index a boolean");
    sandbox_expect_error("table.insert(math, 1)", "metatable");
    sandbox_expect_error("table.sort(string)", "metatable");
    sandbox_expect_error("math.pi = 4", "math is read-only");
    sandbox_expect_error("math.huge, string.x = 1, 2", "read-only");
    sandbox_expect_error("for k in next, math do k.x = 1 end return math.nothing", "math has no 'nothing'");
    sandbox_expect_error("local mt = getmetatable(table) mt.__index = nil", "index a boolean");
}

Test(escape, no_loop_runs_without_being_counted)
{
    sandbox_expect_stopped("::again:: goto again");
    sandbox_expect_stopped("repeat until false");
    sandbox_expect_stopped("for i = 1, math.huge do end");
    sandbox_expect_error("local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) return t[1]",
                         "C stack overflow");
    sandbox_expect_error("local t = setmetatable({}, { __eq = function(a, b) return a == b end })\n"
                         "return t == setmetatable({}, getmetatable(t))",
                         "C stack overflow");
    sandbox_expect_stopped("local function f(...) return f(1, ...) end f()");
    sandbox_expect_stopped("local function f() return f() end f()");
    sandbox_expect_stopped("local t = {} for i = 1, 5000 do t[i] = i % 7 end\n"
                           "while true do pcall(table.sort, t, function() return true end) end");
    sandbox_expect_stopped("while true do local ok, e = pcall(error, setmetatable({}, {})) end");
    sandbox_expect_stopped("while true do pcall(error) end");
    sandbox_expect_stopped("for k in setmetatable({}, { __call = function() return 1 end }) do end");
    sandbox_expect_stopped("while true do local t <close> = setmetatable({}, { __close = function() end }) end");
}

Test(escape, no_text_grows_beyond_the_memory)
{
    sandbox_expect_error("return ('%99999d'):format(1)", "invalid conversion");
    sandbox_expect_error("return ('%.999f'):format(1)", "invalid conversion");
    sandbox_expect_error("return ('x'):rep(1e15)", "too large");
    sandbox_expect_stopped("local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1000) end\n"
                           "local keep = {} while true do keep[#keep + 1] = table.concat(t) end");
    sandbox_expect_stopped("local s = 'ab' while true do s = s:gsub('.', '%0%0') end");
    sandbox_expect_stopped("local t = {} while true do t[#t + 1] = utf8.char(#t % 50000 + 1):rep(1000) end");
}

/* ---- the target ---- */

static void target_refuses(const char *line, const char *wanted)
{
    struct stage stage;
    char rule[1024];
    stage_open(&stage);
    (void)snprintf(rule, sizeof(rule), "return { name = 'r', evaluate = function(target, params)\n%s\nend }", line);
    stage_write_rule(&stage, "r.lua", rule);
    stage_load(&stage);
    (void)stage_add_target(&stage, "demo");
    stage_beat(&stage);
    const struct rule_status *status = stage_rule(&stage, "r");
    cr_assert_not_null(strstr(status->last_error, wanted), "%s\nnot '%s' but: %s", line, wanted, status->last_error);
    stage_close(&stage);
}

Test(escape, the_target_and_the_params_give_nothing_away)
{
    target_refuses("target.rss_bytes = 1", "a target is read-only");
    target_refuses("getmetatable(target).__index = nil", "index a string");
    target_refuses("setmetatable(target, {})", "table expected");
    target_refuses("params.x = 1", "params is read-only");
    target_refuses("config.retention_window = 1", "config is read-only");
    target_refuses("error(tostring(target))", "userdata");
    target_refuses("return #target", "get length of");
    target_refuses("for k in pairs(target) do end", "table expected");
    target_refuses("rawget(target, 'id')", "table expected");
    target_refuses("target.sites(params, {})", "with a colon");
    target_refuses("return target[{}]", "target has no");
    target_refuses("return target[0/0]", "target has no");
    target_refuses("return target + 1", "arithmetic on a goprofd.target value");
    target_refuses("target:sites { window = -1 }", "a window must be longer than nothing");
    target_refuses("target:sites { limit = 1e9 }", "limit is 1 to");
    target_refuses("target:prev(math.mininteger)", "how many snapshots back");
    target_refuses("alert { message = ('x'):rep(5000) }", "message is too long");
    target_refuses("alert { message = 'a\\0b' }", "zero byte");
    target_refuses("alert(setmetatable({ message = 'x' }, { __index = target })) for i = 1, 99 do alert { message = 'x' } end",
                   "more than 32 findings");
}
