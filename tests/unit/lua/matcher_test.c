/* matcher_test.c - our patterns mean what Lua's mean: the same expressions run in both. */
#include <criterion/criterion.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lua/budget.h"
#include "lua/matcher.h"
#include "lua/string_library.h"

enum { OUTCOME_MAX_BYTES = 2048 };

/* Two states: one with Lua's own string library, one with ours. */
struct pair {
    lua_State *standard;
    lua_State *ours;
    struct budget budget;
};

static int open_ours(lua_State *L)
{
    luaL_requiref(L, LUA_GNAME, luaopen_base, 1);
    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 1);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    string_library_push(L, -1);
    lua_setglobal(L, "string");
    return 0;
}

static void pair_open(struct pair *pair)
{
    const struct budget_limits limits = {
        .memory_bytes = 64 << 20, .instructions = 100000000, .cpu_ns = UINT64_C(60000000000)};
    struct error err;
    pair->standard = luaL_newstate();
    luaL_openlibs(pair->standard);
    pair->ours = budget_new_state(&pair->budget, &limits);
    cr_assert(budget_call(pair->ours, open_ours, NULL, &err), "%s", err.message);
}

static void pair_close(struct pair *pair)
{
    lua_close(pair->standard);
    lua_close(pair->ours);
}

/* All ways to use a pattern, with everything they return. */
static const char probe[] =
    "local subject, pattern = ...\n"
    "local function show(...)\n"
    "  local out = {}\n"
    "  for i = 1, select('#', ...) do out[i] = tostring((select(i, ...))) end\n"
    "  return table.concat(out, ',')\n"
    "end\n"
    "local out = {}\n"
    "local function try(name, f, ...)\n"
    "  local r = table.pack(pcall(f, ...))\n"
    "  out[#out + 1] = name .. (r[1] and '=' .. show(table.unpack(r, 2, r.n)) or '!error')\n"
    "end\n"
    "try('find', string.find, subject, pattern)\n"
    "try('find3', string.find, subject, pattern, 3)\n"
    "try('find-2', string.find, subject, pattern, -2)\n"
    "try('match', string.match, subject, pattern)\n"
    "try('gsub', string.gsub, subject, pattern, '<%0>')\n"
    "try('gsub1', string.gsub, subject, pattern, '<%1>', 2)\n"
    "try('gsubf', string.gsub, subject, pattern, function(...) return '{' .. show(...) .. '}' end)\n"
    "try('gsubt', string.gsub, subject, pattern, {a = 'A', b = false, [1] = 'one'})\n"
    "try('gmatch', function()\n"
    "  local all = {}\n"
    "  for a, b in string.gmatch(subject, pattern) do all[#all + 1] = show(a, b) end\n"
    "  return table.concat(all, ';')\n"
    "end)\n"
    "return table.concat(out, '\\n')\n";

static void run_probe(lua_State *L, const char *subject, size_t subject_length, const char *pattern,
                      size_t pattern_length, char out[OUTCOME_MAX_BYTES])
{
    cr_assert_eq(luaL_loadstring(L, probe), LUA_OK);
    lua_pushlstring(L, subject, subject_length);
    lua_pushlstring(L, pattern, pattern_length);
    cr_assert_eq(lua_pcall(L, 2, 1, 0), LUA_OK, "%s", lua_tostring(L, -1));
    size_t length;
    const char *text = lua_tolstring(L, -1, &length);
    cr_assert_lt(length, (size_t)OUTCOME_MAX_BYTES);
    memcpy(out, text, length + 1);
    lua_pop(L, 1);
}

struct probe_call {
    const char *subject;
    size_t subject_length;
    const char *pattern;
    size_t pattern_length;
    char *out;
};

static int probe_ours(lua_State *L)
{
    const struct probe_call *call = lua_touserdata(L, 1);
    run_probe(L, call->subject, call->subject_length, call->pattern, call->pattern_length, call->out);
    return 0;
}

/* Lua finds a malformed part only when it gets there; we always do.  So where we refuse a pattern
 * all lines are errors, and Lua must refuse it for a subject that leads it everywhere. */
static void compare(struct pair *pair, const char *subject, size_t subject_length,
                    const char *pattern, size_t pattern_length, size_t *refused)
{
    char wanted[OUTCOME_MAX_BYTES];
    char got[OUTCOME_MAX_BYTES];
    struct error err;
    struct probe_call call = {subject, subject_length, pattern, pattern_length, got};
    run_probe(pair->standard, subject, subject_length, pattern, pattern_length, wanted);
    cr_assert(budget_call(pair->ours, probe_ours, &call, &err), "%s", err.message);
    if (strcmp(wanted, got) == 0)
        return;
    const bool we_refuse = strstr(got, "match!error") != NULL;
    cr_assert(we_refuse, "subject '%.*s' pattern '%.*s'\nLua:\n%s\nours:\n%s", (int)subject_length,
              subject, (int)pattern_length, pattern, wanted, got);
    (*refused)++;
}

Test(matcher, agrees_with_lua_on_the_manual_s_features)
{
    static const char *const patterns[] = {
        "",        "a",       ".",        "%a+",      "%d*",     "[abc]+",    "[^abc]",   "[a-c%d]",
        "[]]",     "[^]]",    "[a-]",     "[-a]",     "[%]]",    "[%a-z]",    "^a",       "a$",
        "^a$",     "$",       "^",        "a-b",      "a-",      "a?b",       "(a)(b)",   "((a)b)",
        "()a()",   "(a*(b))", "%1",       "(a)%1",    "(.)%1",   "%b()",      "%bxx",     "%f[%w]%w+",
        "%f[%z]",  "%f[^%w]", "%%",       "%.",       "a**",     "*a",        "+",        "?",
        "-",       "^*",      "a^",       "a$b",      "[[]",     "[^^]",      "%S+",      "%W",
        "(%w+)=(%w*)",        ".-",       ".-a",      ".*a",     ".+b",       "()",       "(()a)",
        "[%",      "%",       "[a",       "(a",       "a)",      "%b",        "%ba",      "%f",
        "%fa",     "(a%1)",   "[a-%z]",   "[z-a]",    "a[b-]c",  "%x%X",      "%u%l",     "%p",
        "%g+",     "%c",      "[%s%p]",   "\xC3[\x80-\xBF]",     "[\xC0-\xFF]",
    };
    static const char *const subjects[] = {
        "",         "a",        "b",     "ab",      "aab",      "abab",         "hello world",
        "(a(b)c)",  "xax",      "a=1, bc=23",       "[a]^$*+?-", "a1b2 c3",      "AbC.dE",
        "aaa",      "  x  ",    "%d",    "a\nb\tc", "\xC3\xA4\xC3\xB6", "----", "abcabcabc",
    };
    struct pair pair;
    size_t refused = 0;
    pair_open(&pair);
    for (size_t p = 0; p < sizeof(patterns) / sizeof(patterns[0]); p++) {
        for (size_t s = 0; s < sizeof(subjects) / sizeof(subjects[0]); s++)
            compare(&pair, subjects[s], strlen(subjects[s]), patterns[p], strlen(patterns[p]),
                    &refused);
    }
    pair_close(&pair);
}

Test(matcher, agrees_with_lua_on_bytes_that_end_c_strings)
{
    struct pair pair;
    size_t refused = 0;
    pair_open(&pair);
    compare(&pair, "a\0b\0c", 5, "%z", 2, &refused);
    compare(&pair, "a\0b\0c", 5, "\0b", 2, &refused);
    compare(&pair, "a\0b\0c", 5, "[\0]", 3, &refused);
    compare(&pair, "a\0b\0c", 5, "[^\0]+", 5, &refused);
    compare(&pair, "a\0b\0c", 5, "b.", 2, &refused);
    pair_close(&pair);
}

/* A fixed generator: the same cases in every run. */
static uint32_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(*state >> 33);
}

/* GCC's ThreadSanitizer does not see the long jumps of Lua's errors unwind its own call stack, which
 * overflows after some 20,000 of them. */
#if defined(__SANITIZE_THREAD__)
enum { RANDOM_CASES = 1500 };
#elif defined(__SANITIZE_ADDRESS__)
enum { RANDOM_CASES = 6000 }; /* each of these jumps makes it clean up the whole stack: the first ones of the same row */
#else
enum { RANDOM_CASES = 20000 };
#endif

Test(matcher, agrees_with_lua_on_random_patterns)
{
    static const char pattern_alphabet[] = "ab.%%%[]^$()*+-?1dsbf";
    static const char subject_alphabet[] = "aabb1 .()%-";
    struct pair pair;
    uint64_t state = 2026;
    size_t refused = 0;
    pair_open(&pair);
    for (size_t i = 0; i < RANDOM_CASES; i++) {
        char pattern[10];
        char subject[10];
        const size_t pattern_length = next_random(&state) % sizeof(pattern);
        const size_t subject_length = next_random(&state) % sizeof(subject);
        for (size_t k = 0; k < pattern_length; k++)
            pattern[k] = pattern_alphabet[next_random(&state) % (sizeof(pattern_alphabet) - 1)];
        for (size_t k = 0; k < subject_length; k++)
            subject[k] = subject_alphabet[next_random(&state) % (sizeof(subject_alphabet) - 1)];
        compare(&pair, subject, subject_length, pattern, pattern_length, &refused);
    }
    /* Most random patterns are malformed somewhere; enough must be comparable. */
    cr_assert_lt(refused, (size_t)RANDOM_CASES / 2);
    pair_close(&pair);
}

Test(matcher, refuses_a_pattern_that_is_too_long)
{
    struct error err;
    char memory[64];
    static char text[600];
    memset(text, 'a', sizeof(text));
    cr_assert_null(matcher_compile(memory, text, sizeof(text), true, &err));
    cr_assert_not_null(strstr(err.message, "pattern too long"));
}
