/* site_query.c - reads and applies what rules ask about sites.
 *
 * Called from Lua within budget_call(), on the rule thread: errors leave by a long jump. */
#include "lua/site_query.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/base/config_near_miss.h"
#include "core/store/profile.h"
#include "lua/budget.h"
#include "lua/history.h"
#include "lua/matcher.h"
#include "lua/site_growth.h"
#include "lua/site_match.h"
#include "lua/snapshot_view.h"

static const double DEFAULT_WINDOW_S = 600;
enum {
    PATTERNS_SLOT = 3,
    SITE_STEPS_EACH = 16, /* steps of the matcher for one instruction: a site is looked at once */
};

/* ---- reading ---- */

static const char *const sort_names[] = {[SITE_SORT_INUSE] = "inuse",
                                         [SITE_SORT_ALLOC] = "alloc",
                                         [SITE_SORT_GROWTH] = "growth",
                                         [SITE_SORT_CHURN] = "churn"};
enum { SORT_COUNT = sizeof(sort_names) / sizeof(sort_names[0]) };

/* The value at [index], a text or a list of texts: the caller's table keeps them. */
static size_t read_list(lua_State *L, int index, const char *name,
                        const char *texts[SITE_QUERY_WORDS_MAX],
                        size_t lengths[SITE_QUERY_WORDS_MAX])
{
    if (lua_type(L, index) == LUA_TSTRING) {
        texts[0] = lua_tolstring(L, index, &lengths[0]);
        return 1;
    }
    if (lua_type(L, index) != LUA_TTABLE)
        luaL_error(L, "%s: a text or a list of texts, not a %s", name, luaL_typename(L, index));
    const lua_Unsigned count = lua_rawlen(L, index);
    if (count > SITE_QUERY_WORDS_MAX)
        luaL_error(L, "%s: more than %d texts", name, SITE_QUERY_WORDS_MAX);
    for (size_t i = 0; i < count; i++) {
        if (lua_rawgeti(L, index, (lua_Integer)i + 1) != LUA_TSTRING)
            luaL_error(L, "%s: a list of texts, not of a %s", name, luaL_typename(L, -1));
        texts[i] = lua_tolstring(L, -1, &lengths[i]);
        lua_pop(L, 1);
    }
    return (size_t)count;
}

static void read_words(lua_State *L, int index, const char *name, struct site_words *words)
{
    size_t lengths[SITE_QUERY_WORDS_MAX];
    words->count = read_list(L, index, name, words->words, lengths);
}

/* Most patterns are plain text once %. is read as a dot: those need no matcher. */
static bool read_literal(struct site_pattern *pattern)
{
    size_t used = 0;
    for (size_t i = 0; i < pattern->length; i++) {
        const char c = pattern->text[i];
        if (c == '%' && i + 1 < pattern->length && ispunct((unsigned char)pattern->text[i + 1]))
            i++;
        else if (c == '\0' || strchr("^$*+?.([%-", c) != NULL)
            return false;
        if (used + 1 >= sizeof(pattern->literal))
            return false;
        pattern->literal[used++] = pattern->text[i];
    }
    pattern->literal[used] = '\0';
    return used > 0;
}

static void compile(lua_State *L, struct site_pattern *pattern, const char *name)
{
    void *memory = lua_newuserdatauv(L, matcher_pattern_bytes(pattern->length), 0);
    struct error err;
    pattern->compiled = matcher_compile(memory, pattern->text, pattern->length, true, &err);
    if (pattern->compiled == NULL)
        luaL_error(L, "%s: %s", name, err.message);
    if (!read_literal(pattern))
        pattern->literal[0] = '\0';
    lua_rawseti(L, PATTERNS_SLOT, (lua_Integer)lua_rawlen(L, PATTERNS_SLOT) + 1);
}

static size_t read_patterns(lua_State *L, int index, const char *name, char kind,
                            const struct observation *seen,
                            struct site_pattern patterns[SITE_QUERY_WORDS_MAX])
{
    const char *texts[SITE_QUERY_WORDS_MAX];
    size_t lengths[SITE_QUERY_WORDS_MAX];
    const size_t count = read_list(L, index, name, texts, lengths);
    for (size_t i = 0; i < count; i++) {
        bool fresh = true;
        patterns[i] = (struct site_pattern){.text = texts[i], .length = lengths[i]};
        if (lengths[i] > MATCHER_PATTERN_MAX_BYTES || seen->profile == NULL) {
            compile(L, &patterns[i], name); /* for its error, before anything is remembered */
        } else {
            patterns[i].remembered =
                site_match_find(history_match(seen->history), seen->profile->sites, kind, texts[i],
                                lengths[i], &fresh);
            if (fresh)
                compile(L, &patterns[i], name);
        }
    }
    return count;
}

static enum site_sort check_sort(lua_State *L, int index)
{
    const char *text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "?";
    for (size_t i = 0; i < SORT_COUNT; i++) {
        if (strcmp(sort_names[i], text) == 0)
            return (enum site_sort)i;
    }
    luaL_error(L, "sort is \"inuse\", \"alloc\", \"growth\" or \"churn\", not \"%s\"", text);
    return SITE_SORT_INUSE;
}

size_t site_query_check_limit(lua_State *L, int index)
{
    const lua_Integer limit = luaL_optinteger(L, index, SITE_QUERY_LIMIT_DEFAULT);
    if (limit < 1 || limit > SITE_QUERY_LIMIT_MAX)
        luaL_error(L, "limit is 1 to %d", SITE_QUERY_LIMIT_MAX);
    return (size_t)limit;
}

enum member { PRIMITIVE, PACKAGE, TYPE, TAG, FUNC, FRAME, SORT, WINDOW, LIMIT, MIN_BYTES };
static const char *const member_names[] = {
    [PRIMITIVE] = "primitive", [PACKAGE] = "package", [TYPE] = "type",
    [TAG] = "tag",             [FUNC] = "func",       [FRAME] = "frame",
    [SORT] = "sort",           [WINDOW] = "window",   [LIMIT] = "limit",
    [MIN_BYTES] = "min_bytes"};
enum { MEMBER_COUNT = sizeof(member_names) / sizeof(member_names[0]) };

static void read_member(lua_State *L, enum member member, const struct observation *seen,
                        struct site_query *query)
{
    const int value = lua_gettop(L);
    const char *name = member_names[member];
    switch (member) {
    case PRIMITIVE:
        read_words(L, value, name, &query->primitives);
        break;
    case PACKAGE:
        read_words(L, value, name, &query->packages);
        break;
    case TYPE:
        read_words(L, value, name, &query->types);
        break;
    case TAG:
        read_words(L, value, name, &query->tags);
        break;
    case FUNC:
        query->function_count = read_patterns(L, value, name, 'b', seen, query->functions);
        break;
    case FRAME:
        query->frame_count = read_patterns(L, value, name, 'f', seen, query->frames);
        break;
    case SORT:
        query->sort = check_sort(L, value);
        break;
    case WINDOW:
        query->window_s = snapshot_view_check_seconds(L, value, DEFAULT_WINDOW_S);
        break;
    case LIMIT:
        query->limit = site_query_check_limit(L, value);
        break;
    case MIN_BYTES:
        query->min_bytes = luaL_checknumber(L, value);
        break;
    }
}

static enum member check_member(lua_State *L, const char *function)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (strcmp(member_names[i], name) == 0)
            return (enum member)i;
    }
    const char *nearest = config_near_miss(name, member_names, MEMBER_COUNT);
    if (nearest != NULL)
        luaL_error(L, "%s{}: unknown member '%s'; did you mean '%s'?", function, name, nearest);
    luaL_error(L, "%s{}: unknown member '%s'", function, name);
    return PRIMITIVE;
}

void site_query_read(lua_State *L, const char *function, const struct snapshot_view *view,
                     struct site_query *query)
{
    *query = (struct site_query){.window_s = DEFAULT_WINDOW_S, .limit = SITE_QUERY_LIMIT_DEFAULT};
    lua_settop(L, 2);
    lua_newtable(L);
    if (!lua_isnil(L, 2)) {
        luaL_checktype(L, 2, LUA_TTABLE);
        for (lua_pushnil(L); lua_next(L, 2) != 0; lua_settop(L, PATTERNS_SLOT + 1))
            read_member(L, check_member(L, function), view->seen, query);
    }
    query->window_s = snapshot_view_window_s(view, query->window_s);
}

/* ---- matching ---- */

static bool word_matches(const struct site_words *words, const char *text)
{
    for (size_t i = 0; i < words->count; i++) {
        const char *wanted = words->words[i];
        const size_t length = strlen(wanted);
        if (length > 0 && wanted[length - 1] == '*' ? strncmp(wanted, text, length - 1) == 0
                                                    : strcmp(wanted, text) == 0)
            return true;
    }
    return words->count == 0;
}

static bool text_matches(lua_State *L, const struct site_pattern *pattern, const char *text)
{
    if (pattern->literal[0] != '\0')
        return strstr(text, pattern->literal) != NULL;
    struct matcher_match match;
    const uint64_t granted = budget_steps_left(budget_of(L));
    uint64_t left = granted;
    const enum matcher_result result =
        matcher_find(pattern->compiled, text, strlen(text), 0, &left, &match);
    if (result == MATCHER_OUT_OF_STEPS)
        budget_raise(L, BUDGET_INSTRUCTIONS);
    budget_charge(L, (granted - left) / SITE_STEPS_EACH);
    return result == MATCHER_MATCH;
}

static bool function_matches(lua_State *L, const struct site_pattern *pattern, const char *function)
{
    if (pattern->remembered == NULL)
        return text_matches(L, pattern, function);
    const enum site_verdict known = site_match_function(pattern->remembered, function);
    if (known != SITE_UNKNOWN)
        return known == SITE_YES;
    const bool matches = text_matches(L, pattern, function);
    site_match_note_function(pattern->remembered, function, matches);
    return matches;
}

static bool stack_matches(lua_State *L, const struct site_pattern *pattern, const struct site *site,
                          bool all_frames)
{
    if (!all_frames)
        return function_matches(L, pattern, site->blame->function);
    for (uint32_t i = 0; i < site->runtime_frame_count; i++) {
        if (function_matches(L, pattern, site->runtime_frames[i]->function))
            return true;
    }
    for (uint32_t i = 0; i < site->frame_count; i++) {
        if (function_matches(L, pattern, site->frames[i]->function))
            return true;
    }
    return false;
}

static bool any_matches(lua_State *L, struct site_pattern *patterns, size_t count,
                        const struct site *site, bool all_frames)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *verdict = patterns[i].remembered != NULL
                               ? site_match_verdict(patterns[i].remembered, site->id)
                               : NULL;
        if (verdict != NULL && *verdict != SITE_UNKNOWN) {
            if (*verdict == SITE_YES)
                return true;
            continue;
        }
        if (patterns[i].compiled == NULL)
            compile(L, &patterns[i], all_frames ? "frame" : "func");
        budget_charge(L, 1 + site->frame_count / SITE_STEPS_EACH);
        const bool matches = stack_matches(L, &patterns[i], site, all_frames);
        if (verdict != NULL)
            *verdict = matches ? SITE_YES : SITE_NO;
        if (matches)
            return true;
    }
    return count == 0;
}

bool site_query_matches(lua_State *L, struct site_query *query, const struct site *site)
{
    return word_matches(&query->primitives, site->primitive) &&
           word_matches(&query->packages, site->package) &&
           word_matches(&query->types, site->type_name) && word_matches(&query->tags, site->tag) &&
           any_matches(L, query->functions, query->function_count, site, false) &&
           any_matches(L, query->frames, query->frame_count, site, true);
}

/* ---- measuring ---- */

struct site_measured site_query_measure(const struct observation *seen,
                                        const struct site_query *query,
                                        const struct profile_entry *entry)
{
    struct site_measured site = {
        .entry = entry, .growth_bytes = NAN, .churn_bytes = NAN, .seconds = NAN};
    const struct site_growth *growth = history_growth(seen->history);
    const uint64_t since_ns = history_since_ns(seen->history, query->window_s);
    double changes[2];
    if (site_growth_change(growth, entry->site->id, since_ns, changes, &site.seconds)) {
        site.growth_bytes = changes[SITE_INUSE_BYTES];
        site.churn_bytes = changes[SITE_ALLOC_BYTES];
    }
    switch (query->sort) {
    case SITE_SORT_INUSE:
        site.key = (double)entry->inuse_bytes;
        break;
    case SITE_SORT_ALLOC:
        site.key = (double)entry->alloc_bytes;
        break;
    case SITE_SORT_GROWTH:
        site.key = site.growth_bytes;
        break;
    case SITE_SORT_CHURN:
        site.key = site.churn_bytes;
        break;
    }
    return site;
}

double site_query_percent(double part, double whole)
{
    return whole > 0 ? 100 * part / whole : (double)NAN;
}

/* Change of the whole profile over the window, by [measure]; NAN if not known. */
static double total_change(const struct observation *seen, enum site_measure measure,
                           double window_s, double *seconds)
{
    struct trend_point points[SITE_GROWTH_COLUMNS];
    const size_t count =
        site_growth_of_all(history_growth(seen->history), measure,
                           history_since_ns(seen->history, window_s), points);
    *seconds = count >= 2 ? points[count - 1].seconds : (double)NAN;
    return count >= 2 ? points[count - 1].value - points[0].value : (double)NAN;
}

double site_query_total_churn(const struct observation *seen, const struct site_query *query,
                              double *seconds)
{
    return total_change(seen, SITE_ALLOC_BYTES, query->window_s, seconds);
}

double site_query_total(const struct observation *seen, const struct site_query *query)
{
    double seconds;
    switch (query->sort) {
    case SITE_SORT_INUSE:
        return (double)seen->profile->totals.inuse_bytes;
    case SITE_SORT_ALLOC:
        return (double)seen->profile->totals.alloc_bytes;
    case SITE_SORT_GROWTH:
        return total_change(seen, SITE_INUSE_BYTES, query->window_s, &seconds);
    case SITE_SORT_CHURN:
        return total_change(seen, SITE_ALLOC_BYTES, query->window_s, &seconds);
    }
    return NAN;
}

/* ---- as Lua tables ---- */

void site_query_set_number(lua_State *L, const char *name, double value)
{
    if (isnan(value))
        return; /* not known: nil */
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

void site_query_set_integer(lua_State *L, const char *name, long long value)
{
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

void site_query_set_string(lua_State *L, const char *name, const char *value)
{
    lua_pushstring(L, value);
    lua_setfield(L, -2, name);
}
