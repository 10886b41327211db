/* hostile_test.c - tables of what a hostile rule may do with each library function that calls back, loops or copies,
 * and with the state that is carried over a reload.  See escape_test.c and budget_test.c for the classics. */
#include <criterion/criterion.h>

#include "sandbox_support.h"
#include "stage.h"

enum outcome { STOPPED, FAILS, GIVES };

struct attack {
    enum outcome outcome;
    const char *code;
    const char *text; /* of the error, or the result */
};

static void run(const struct attack *attacks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        switch (attacks[i].outcome) {
        case STOPPED:
            sandbox_expect_stopped(attacks[i].code);
            break;
        case FAILS:
            sandbox_expect_error(attacks[i].code, attacks[i].text);
            break;
        case GIVES:
            sandbox_expect_result(attacks[i].code, attacks[i].text);
            break;
        }
        cr_assert_eq(sandbox_leaked_bytes(), 0, "%s", attacks[i].code);
    }
}

#define RUN(attacks) run(attacks, sizeof(attacks) / sizeof((attacks)[0]))

Test(hostile, gsub_with_a_callback_is_counted_bounded_and_left_cleanly)
{
    static const struct attack attacks[] = {
        {STOPPED, "return (('abc'):gsub('.', function() while true do end end))", NULL},
        {STOPPED, "return (('a'):rep(200000):gsub('a', function() return nil end))", NULL},
        {STOPPED, "while true do pcall(string.gsub, 'abc', '.', function() error('x') end) end", NULL},
        {STOPPED, "local s = ('a'):rep(1000) while true do s = s:gsub('a', function() return s end) end", NULL},
        {FAILS, "local function f() return (('a'):gsub('a', f)) end return f()", "C stack overflow"},
        {FAILS, "return (('abc'):gsub('.', function() error('mine') end))", "test.lua:1: mine"},
        {FAILS, "return (('abc'):gsub('.', function() return {} end))", "invalid replacement value (a table)"},
        {FAILS, "return (('abc'):gsub('.', setmetatable({}, { __index = function() error('theirs') end })))", "theirs"},
        {FAILS, "return (('abc'):gsub('(', print_))", "undefined global 'print_'"},
        {GIVES, "return (('abc'):gsub('%w', function(c) return ({ a = 'x', b = false })[c] end))", "xbc"},
        {GIVES, "return (('abc'):gsub('', function() return '-' end))", "-a-b-c-"},
        /* The subject is ours while the callback runs, whatever it does to the name it had. */
        {GIVES, "local s = ('ab'):rep(3) local r = s:gsub('b', function() s = nil return 'c' end) return r", "acacac"},
        {GIVES, "return (('abc'):gsub('%w', function(c) return (c:gsub('.', '%0%0')) end))", "aabbcc"},
    };
    RUN(attacks);
}

Test(hostile, a_for_loop_at_the_ends_of_the_integers_ends_or_is_stopped)
{
    static const struct attack attacks[] = {
        {GIVES, "local n = 0 for i = math.maxinteger - 2, math.maxinteger do n = n + 1 end return tostring(n)", "3"},
        {GIVES, "local n = 0 for i = math.mininteger + 2, math.mininteger, -1 do n = n + 1 end return tostring(n)", "3"},
        {GIVES, "local n = 0 for i = 1, math.maxinteger, math.maxinteger do n = n + 1 end return tostring(n)", "1"},
        {GIVES, "local n = 0 for i = math.mininteger, math.maxinteger, math.maxinteger do n = n + 1 end\n"
                "return tostring(n)", "3"},
        {GIVES, "local n = 0 for i = math.maxinteger, math.mininteger do n = n + 1 end return tostring(n)", "0"},
        {GIVES, "local n = 0 for i = 1, 0/0 do n = n + 1 end return tostring(n)", "0"},
        {GIVES, "return tostring(math.maxinteger + 1 == math.mininteger)", "true"},
        {STOPPED, "for i = math.mininteger, math.maxinteger do end", NULL},
        {STOPPED, "for i = math.maxinteger, math.mininteger, -1 do end", NULL},
        {STOPPED, "for i = 1, math.huge do end", NULL},
        {STOPPED, "for i = 1e308, 1, -1 do end", NULL},
        {FAILS, "for i = 1, 2, 0 do end", "'for' step is zero"},
        {FAILS, "for i = {}, 2 do end", "bad 'for' initial value"},
        {FAILS, "return ('x'):rep(3) .. ('x'):sub(math.mininteger, math.maxinteger):rep(math.maxinteger)", "too large"},
        {GIVES, "return ('xyz'):sub(math.mininteger, math.maxinteger)", "xyz"},
        {FAILS, "return math.maxinteger // 0", "attempt to"},
        {GIVES, "return tostring(math.mininteger // -1 == math.mininteger and math.mininteger % -1 == 0)", "true"},
        {GIVES, "return tostring(1 << 64) .. tostring(1 << -64) .. tostring(1 << math.mininteger)", "000"},
    };
    RUN(attacks);
}

Test(hostile, churn_of_tiny_things_is_stopped_within_its_memory)
{
    static const struct attack attacks[] = {
        {STOPPED, "while true do local t = {} end", NULL},
        {STOPPED, "while true do local f = function() return 1 end end", NULL},
        {STOPPED, "local n = 0 while true do n = n + 1 local s = 'x' .. n end", NULL},
        {STOPPED, "local t = {} while true do t[{}] = true end", NULL},
        {STOPPED, "local t = {} while true do t = { t } end", NULL},
        {STOPPED, "local t = {} for i = 1, math.huge do t[i] = i t[i - 100] = nil end", NULL},
        {STOPPED, "local t = {} for i = 1, 15000 do t[i] = i end for i = 1, 15000 do t[i] = nil end\n"
                  "while true do next(t) end", NULL},
        {STOPPED, "local t = {} for i = 1, math.huge do t[i + 0.5] = i t[i - 9.5] = nil end", NULL},
        {STOPPED, "while true do local t = setmetatable({}, { __mode = 'kv' }) t[{}] = {} end", NULL},
        {STOPPED, "while true do pcall(error, {}) end", NULL},
        {STOPPED, "while true do local a <close> = nil local b <const> = {} end", NULL},
        {STOPPED, "while true do for k, v in pairs({ 1, 2, 3 }) do local t = { v } end end", NULL},
        {STOPPED, "while true do for a in ('abc'):gmatch('.') do end end", NULL},
    };
    RUN(attacks);
}

/* The one step of a collection that no hook interrupts takes the longest for a chain through weak tables that lie in
 * no order: each round of it finds two links.  The memory bounds it. */
Test(hostile, a_chain_of_weak_tables_does_not_stall_the_collector)
{
    char result[RESULT_MAX_BYTES];
    struct error err;
    (void)sandbox_run("local m, n, hold, place, x = { __mode = 'k' }, 4500, {}, {}, 12345\n"
                      "for i = 1, n do place[i], hold[i] = i, false end\n"
                      "for i = n, 2, -1 do x = (x * 1103515245 + 12345) & 0x7fffffff\n"
                      "  local j = x % i + 1 place[i], place[j] = place[j], place[i] end\n"
                      "local first = {} local key = first\n"
                      "for i = 1, n do local next_key = {}\n"
                      "  hold[place[i]] = setmetatable({ [key] = next_key }, m) key = next_key end\n"
                      "place, key = nil, nil\n"
                      "while true do local t = {} end",
                      result, &err);
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    cr_assert_eq(sandbox_leaked_bytes(), 0);
}

Test(hostile, text_that_is_no_utf8_is_refused_by_name_and_never_read_past)
{
    static const struct attack attacks[] = {
        {GIVES, "local n, at = utf8.len('a\\xffb') return tostring(n) .. at", "nil2"},
        {GIVES, "local n, at = utf8.len('ab\\xe2\\x82') return tostring(n) .. at", "nil3"},     /* cut off */
        {GIVES, "local n, at = utf8.len('\\xc0\\x80') return tostring(n) .. at", "nil1"},       /* too long a form */
        {GIVES, "local n, at = utf8.len('\\xed\\xa0\\x80') return tostring(n) .. at", "nil1"},  /* a surrogate */
        {GIVES, "local n, at = utf8.len('\\xf4\\x90\\x80\\x80') return tostring(n) .. at", "nil1"}, /* above 10FFFF */
        {GIVES, "local n, at = utf8.len(('\\x80'):rep(1000)) return tostring(n) .. at", "nil1"},
        {FAILS, "for p, c in utf8.codes('ab\\xff') do end", "invalid UTF-8 code"},
        {FAILS, "for p, c in utf8.codes('\\xf0\\x9f') do end", "invalid UTF-8 code"},
        {FAILS, "return utf8.codepoint('\\xff')", "invalid UTF-8 code"},
        {FAILS, "return utf8.codepoint('abc', 1, 4)", "out of bounds"},
        {FAILS, "return utf8.codepoint('abc', math.mininteger)", "out of bounds"},
        {FAILS, "return utf8.offset('abc', 1, 9)", "out of bounds"},
        {FAILS, "return utf8.offset('\\x80\\x80', 1, 2)", "initial position is a continuation byte"},
        {FAILS, "return utf8.char(-1)", "value out of range"},
        {FAILS, "return utf8.char(1 << 31)", "value out of range"},
        {GIVES, "return tostring(#utf8.char(0x7fffffff))", "6"},
        {FAILS, "return utf8.codepoint(('a'):rep(300000), 1, -1)", "stack overflow"},
        {STOPPED, "local s = ('\\x80'):rep(200000) while true do pcall(utf8.offset, s, 1, 1) end", NULL},
        {STOPPED, "local s = ('a'):rep(200000) while true do for p in utf8.codes(s) do end end", NULL},
        {STOPPED, "local s = ('\\xff'):rep(200000) while true do local n = utf8.len(s) end", NULL},
    };
    RUN(attacks);
}

Test(hostile, format_and_rep_and_concat_make_no_text_larger_than_the_memory)
{
    static const struct attack attacks[] = {
        {FAILS, "return ('%100d'):format(1)", "invalid conversion"},
        {FAILS, "return ('%.100f'):format(1)", "invalid conversion"},
        {FAILS, "return ('%-+ #0100d'):format(1)", "invalid"},
        {FAILS, "return ('%'):format(1)", "invalid conversion"},
        {FAILS, "return ('%d'):format()", "no value"},
        {FAILS, "return ('%d'):format(1.5)", "no integer representation"},
        {FAILS, "return ('%10q'):format('x')", "cannot have modifiers"},
        {FAILS, "return ('%s'):rep(1000):format()", "no value"},
        {STOPPED, "return ('%s'):rep(100000):format()", NULL},
        {GIVES, "return tostring(#('%99d'):format(1)) .. #('%99.99f'):format(1e308)", "99409"},
        {STOPPED, "while true do local s = ('%99.99f'):format(1e308) end", NULL},
        {STOPPED, "return #(('%q'):format(('\\0'):rep(400000)))", NULL},
        {STOPPED, "local s = ('x'):rep(300000) while true do local t = ('%s%s%s%s'):format(s, s, s, s) end", NULL},
        {FAILS, "return ('x'):rep(math.maxinteger)", "too large"},
        {FAILS, "return ('ab'):rep(1 << 61, 'c')", "too large"},
        {GIVES, "return ('x'):rep(-1) .. ('x'):rep(math.mininteger)", ""},
        {FAILS, "return ('x'):rep(1.5)", "no integer representation"},
        {FAILS, "return table.concat({}, 'x', 1, math.maxinteger)", "range of elements too large"},
        {FAILS, "return table.concat({}, 'x', math.mininteger, math.maxinteger)", "range of elements too large"},
        {FAILS, "return table.concat({ 1, {}, 3 })", "invalid value (table) at index 2"},
        {FAILS, "return table.concat(setmetatable({}, { __len = function() return 1e9 end }))", "without a metatable"},
        {STOPPED, "local t = {} for i = 1, 9000 do t[i] = '' end return table.concat(t, ('x'):rep(1000))", NULL},
        {STOPPED, "local t = {} for i = 1, 5000 do t[i] = 'x' end\n"
                  "while true do pcall(table.concat, t, ('x'):rep(50000)) end", NULL},
    };
    RUN(attacks);
}

Test(hostile, a_comparator_may_lie_fail_or_change_the_table_that_is_sorted)
{
    static const struct attack attacks[] = {
        {GIVES, "local t = {} for i = 1, 1000 do t[i] = i end\n"
                "local ok, e = pcall(table.sort, t, function() return true end)\n"
                "return tostring(ok) .. tostring(e:find('invalid order function', 1, true) ~= nil)", "falsetrue"},
        {GIVES, "local t = { 3, 1, 2 } table.sort(t, function() return false end) return tostring(#t)", "3"},
        {FAILS, "local t = { 3, 1, 2 } table.sort(t, function() error('mine') end)", "test.lua:1: mine"},
        {FAILS, "local t = {} for i = 1, 100 do t[i] = i end\n"
                "table.sort(t, function(a, b) for i = 1, 100 do t[i] = nil end return a < b end)", "nil"},
        {FAILS, "table.sort({ 1, 'a', {} })", "attempt to compare"},
        {FAILS, "local t = {} for i = 1, 9 do t[i] = {} end table.sort(t)", "attempt to compare two table values"},
        {STOPPED, "local t = {} for i = 1, 100 do t[i] = i end\n"
                  "table.sort(t, function(a, b) while true do end end)", NULL},
        {STOPPED, "local t = {} for i = 1, 100 do t[i] = i end\n"
                  "table.sort(t, function(a, b) for i = #t, #t + 1000 do t[i] = i end return a < b end)\n"
                  "while true do table.sort(t, function(a, b) t[#t + 1] = 1 return a < b end) end", NULL},
        {STOPPED, "local function f() local t = { 3, 2, 1 } table.sort(t, function(a, b) pcall(f) return a < b end) end\n"
                  "while true do pcall(f) end", NULL},
        {STOPPED, "local m = { __lt = function() return true end } local t = {}\n"
                  "for i = 1, 500 do t[i] = setmetatable({}, m) end while true do pcall(table.sort, t) end", NULL},
    };
    RUN(attacks);
}

Test(hostile, there_is_no_coroutine_to_hide_in_however_it_is_asked_for)
{
    static const struct attack attacks[] = {
        {FAILS, "while true do pcall(coroutine.wrap(function() while true do end end)) end", "there are no coroutines"},
        {FAILS, "local co = coroutine", "there are no coroutines"},
        {GIVES, "return tostring(pcall(function() return coroutine.create end))", "false"},
        {GIVES, "local ok = pcall(function() return string.coroutine or table.coroutine end) return tostring(ok)", "false"},
        {STOPPED, "while true do pcall(function() return coroutine.wrap(function() end) end) end", NULL},
        {STOPPED, "while true do pcall(pcall, pcall, pcall, error) end", NULL},
        {STOPPED, "local function f(...) return pcall(f, f, ...) end while true do f() end", NULL},
    };
    RUN(attacks);
}

/* ---- state over a reload ---- */

/* A rule that calls [make] on its state when it first sees the target "evil", and counts beats on both. */
static const char rule_head[] = "return { name = 'r', evaluate = function(target)\n"
                                "  local s = target.state\n"
                                "  s.beats = (s.beats or 0) + 1\n"
                                "  alert { message = target.id .. ' ' .. s.beats }\n"
                                "  if target.id == 'evil' and not s.made then s.made = true ";
static const char rule_tail[] = " end end }";

static const char *message_of(struct stage *stage, const char *target)
{
    char id[64];
    (void)snprintf(id, sizeof(id), "%s/", target);
    const struct finding *finding = stage_find(stage, FINDING_ALERT, id);
    cr_assert_not_null(finding, "%s: %s", target, stage_rule(stage, "r")->last_error);
    return finding->message;
}

Test(hostile, what_one_target_does_to_its_state_costs_it_that_and_no_other_target_anything)
{
    static const struct {
        const char *make;
        bool kept; /* over the reload */
    } cases[] = {
        {"s.plain = { 1, 2, { deep = 'yes' } }", true},
        {"s.self = s", false},
        {"s.a = {} s.a.b = { s.a }", false},
        {"local t = {} for i = 1, 40 do t = { t } end s.deep = t", false},
        {"s.many = {} for i = 1, 21000 do s.many[i] = true end", false},
        {"s.text = ('x'):rep(70000)", false},
        {"s.zero = 'a\\0b'", true},
        {"s[1.5] = 1", true},
        {"s[true] = 1", true},
        {"s[s.beats - 1] = 1", true}, /* position 0 */
        {"s[{}] = 1", true}, /* left out, as keys too */
        {"s[function() end] = 1", true},
        {"s.f = function() return s end", true}, /* left out */
        {"s.nan = 0/0 s.inf = math.huge s.max = math.maxinteger", true},
        {"setmetatable(s, { __index = function() error('read') end, __newindex = function() error('written') end,\n"
         "  __pairs = function() error('walked') end, __len = function() error('measured') end })", true},
        {"s.meta = setmetatable({}, { __index = s, __metatable = 'mine' })", true},
        {"s.weak = setmetatable({ {} }, { __mode = 'v' })", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct stage stage;
        char rule[1024];
        stage_open(&stage);
        (void)snprintf(rule, sizeof(rule), "%s%s%s", rule_head, cases[i].make, rule_tail);
        stage_write_rule(&stage, "r.lua", rule);
        stage_load(&stage);
        (void)stage_add_target(&stage, "good");
        (void)stage_add_target(&stage, "evil");
        for (int beat = 0; beat < 3; beat++)
            stage_beat(&stage);
        cr_assert_eq(stage_rule(&stage, "r")->errors, 0, "%s: %s", cases[i].make, stage_rule(&stage, "r")->last_error);
        stage_load(&stage);
        stage_beat(&stage);
        cr_assert_str_eq(message_of(&stage, "good"), "good 4", "%s", cases[i].make);
        cr_assert_str_eq(message_of(&stage, "evil"), cases[i].kept ? "evil 4" : "evil 1", "%s", cases[i].make);
        /* And again: what was carried over can be carried on. */
        stage_load(&stage);
        stage_beat(&stage);
        cr_assert_str_eq(message_of(&stage, "good"), "good 5", "%s", cases[i].make);
        cr_assert_eq(stage_rule(&stage, "r")->errors, 0, "%s: %s", cases[i].make, stage_rule(&stage, "r")->last_error);
        stage_close(&stage);
    }
}

/* It fits where it was made, and not beside what the new rule needs for itself. */
Test(hostile, a_state_that_does_not_fit_the_new_rule_is_lost_and_the_rule_runs)
{
    struct stage stage;
    stage_open(&stage);
    stage_write_rule(&stage, "r.lua",
                     "return { name = 'r', evaluate = function(target)\n"
                     "  local s = target.state\n"
                     "  s.beats = (s.beats or 0) + 1\n"
                     "  s.list = s.list or {}\n"
                     "  for i = #s.list + 1, 9000 do s.list[i] = 'x' .. i end\n"
                     "  alert { message = target.id .. ' ' .. s.beats } end }");
    stage_load(&stage);
    (void)stage_add_target(&stage, "demo");
    stage_beat(&stage);
    stage_beat(&stage);
    cr_assert_str_eq(message_of(&stage, "demo"), "demo 2");
    stage_write_rule(&stage, "r.lua",
                     "local ballast = ('x'):rep(450000)\n"
                     "return { name = 'r', evaluate = function(target)\n"
                     "  local s = target.state\n"
                     "  s.beats = (s.beats or 0) + 1\n"
                     "  alert { message = target.id .. ' ' .. s.beats .. ballast:sub(1, 0) } end }");
    stage_load(&stage);
    stage_beat(&stage);
    cr_assert_str_eq(message_of(&stage, "demo"), "demo 1");
    stage_beat(&stage);
    cr_assert_str_eq(message_of(&stage, "demo"), "demo 2");
    stage_close(&stage);
}
