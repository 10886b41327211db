/* rule_header.c - reads a rule's declarations and holds them against a target.
 *
 * Read inside budget_call() while a rule is loaded; applied on the rule thread. */
#include "lua/rule_header.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lua.h>

#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"
#include "lua/quantity.h"
#include "lua/snapshot_view.h"

static const double CLEAR_DEFAULT_S = 15;
static const double HOLD_MAX_S = 86400;

/* ---- names ---- */

/* Only names that need no quoting anywhere: they stand in ids, labels and URLs. */
static void read_word(lua_State *L, int table, const char *key, bool required,
                      char word[RULE_NAME_MAX_BYTES + 1])
{
    size_t length = 0;
    const char *text = "";
    const int kind = lua_getfield(L, table, key);
    if (kind == LUA_TSTRING)
        text = lua_tolstring(L, -1, &length);
    bool valid = length > 0 && length <= RULE_NAME_MAX_BYTES && islower((unsigned char)text[0]);
    for (size_t i = 0; valid && i < length; i++)
        valid = islower((unsigned char)text[i]) || isdigit((unsigned char)text[i]) ||
                text[i] == '_';
    if (!valid && (required || kind != LUA_TNIL))
        luaL_error(L, "`%s` must be a text of up to %d characters a-z, 0-9 and _", key,
                   RULE_NAME_MAX_BYTES);
    memcpy(word, text, length + 1);
    lua_pop(L, 1);
}

static void read_doc(lua_State *L, int table, struct rule_header *header)
{
    size_t length = 0;
    const char *doc = "";
    const int kind = lua_getfield(L, table, "doc");
    if (kind == LUA_TSTRING)
        doc = lua_tolstring(L, -1, &length);
    if ((kind != LUA_TNIL && kind != LUA_TSTRING) || length > RULE_DOC_MAX_BYTES)
        luaL_error(L, "`doc` must be a text of at most %d bytes", RULE_DOC_MAX_BYTES);
    memcpy(header->doc, doc, length + 1);
    lua_pop(L, 1);
}

/* ---- timing ---- */

static const struct {
    const char *name;
    size_t offset; /* of a uint64_t in struct rule_timing */
} timing_members[] = {
    {"for_", offsetof(struct rule_timing, pending_ns)},
    {"clear_for", offsetof(struct rule_timing, clear_ns)},
    {"cooldown", offsetof(struct rule_timing, cooldown_ns)},
    {"warmup", offsetof(struct rule_timing, warmup_ns)},
};
enum { TIMING_COUNT = sizeof(timing_members) / sizeof(timing_members[0]) };

static void set_timing(struct rule_timing *timing, size_t member, double seconds)
{
    const uint64_t ns = (uint64_t)(seconds * 1e9);
    memcpy((char *)timing + timing_members[member].offset, &ns, sizeof(ns));
}

static bool is_duration(const struct quantity *quantity)
{
    return (quantity->unit == QUANTITY_SECONDS || quantity->unit == QUANTITY_PLAIN) &&
           !quantity->per_second && quantity->value >= 0 && quantity->value <= HOLD_MAX_S;
}

static void read_timing(lua_State *L, int table, struct rule_timing *timing)
{
    *timing = (struct rule_timing){.clear_ns = (uint64_t)(CLEAR_DEFAULT_S * 1e9)};
    for (size_t i = 0; i < TIMING_COUNT; i++) {
        struct quantity quantity = {.unit = QUANTITY_SECONDS};
        const int kind = lua_getfield(L, table, timing_members[i].name);
        bool valid = kind == LUA_TNUMBER || kind == LUA_TSTRING || kind == LUA_TNIL;
        if (kind == LUA_TNUMBER)
            quantity.value = lua_tonumber(L, -1);
        else if (kind == LUA_TSTRING)
            valid = quantity_parse(lua_tostring(L, -1), &quantity);
        if (!valid || !is_duration(&quantity))
            luaL_error(L, "`%s` must be a duration like \"30s\", at most a day",
                       timing_members[i].name);
        if (kind != LUA_TNIL)
            set_timing(timing, i, quantity.value);
        lua_pop(L, 1);
    }
}

static void read_capture(lua_State *L, int table, struct rule_timing *timing)
{
    const int kind = lua_getfield(L, table, "capture");
    if (kind != LUA_TNIL && kind != LUA_TBOOLEAN)
        luaL_error(L, "`capture` must be true or false, not a %s", luaL_typename(L, -1));
    if (kind == LUA_TBOOLEAN)
        timing->capture = lua_toboolean(L, -1) ? RULE_CAPTURE_ALWAYS : RULE_CAPTURE_NEVER;
    lua_pop(L, 1);
}

static size_t find_timing(const char *name)
{
    size_t i = 0;
    while (i < TIMING_COUNT && strcmp(timing_members[i].name, name) != 0)
        i++;
    return i;
}

bool rule_timing_has(const char *name)
{
    return find_timing(name) < TIMING_COUNT || strcmp(name, "capture") == 0;
}

void rule_timing_override(lua_State *L, const char *label, const struct config_node *node,
                          struct rule_timing *timing)
{
    if (strcmp(node->key, "capture") == 0) {
        if (node->kind != NODE_BOOL)
            luaL_error(L, "config: %s.capture must be true or false", label);
        timing->capture = node->boolean ? RULE_CAPTURE_ALWAYS : RULE_CAPTURE_NEVER;
        return;
    }
    struct quantity quantity = {.value = node->number, .unit = QUANTITY_SECONDS};
    const bool readable = node->kind == NODE_NUMBER ||
                          (node->kind == NODE_STRING && quantity_parse(node->string, &quantity));
    if (!readable || !is_duration(&quantity))
        luaL_error(L, "config: %s.%s must be a duration like \"30s\", at most a day", label,
                   node->key);
    set_timing(timing, find_timing(node->key), quantity.value);
}

/* ---- which targets ---- */

static void read_go_version(lua_State *L, int table, struct go_range *range)
{
    *range = (struct go_range){.count = 0};
    const int kind = lua_getfield(L, table, "go_version");
    if (kind != LUA_TNIL && (kind != LUA_TSTRING || !go_range_parse(lua_tostring(L, -1), range)))
        luaL_error(L, "`go_version` must be versions of Go like \"<1.23\" or \">=1.19 <1.23\"");
    lua_pop(L, 1);
}

/* Calls [add] for each text of the list in member [key], if it is there. */
static void read_texts(lua_State *L, int table, const char *key, struct rule_header *header,
                       void (*add)(lua_State *L, const char *text, struct rule_header *header))
{
    const int kind = lua_getfield(L, table, key);
    if (kind != LUA_TNIL && kind != LUA_TTABLE)
        luaL_error(L, "`%s` must be a list of texts, not a %s", key, luaL_typename(L, -1));
    const lua_Unsigned count = kind == LUA_TTABLE ? lua_rawlen(L, -1) : 0;
    for (lua_Unsigned i = 1; i <= count; i++) {
        if (lua_rawgeti(L, -1, (lua_Integer)i) != LUA_TSTRING)
            luaL_error(L, "`%s` must be a list of texts, not of a %s", key, luaL_typename(L, -1));
        add(L, lua_tostring(L, -1), header);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static void add_need(lua_State *L, const char *text, struct rule_header *header)
{
    if (strcmp(text, "profile") == 0) {
        header->needs_profile = true;
        return;
    }
    const struct field *field = snapshot_field_find(text);
    if (field == NULL) {
        const char *names[SNAPSHOT_FIELD_COUNT];
        for (size_t i = 0; i < SNAPSHOT_FIELD_COUNT; i++)
            names[i] = snapshot_fields[i].name;
        const char *nearest = config_near_miss(text, names, SNAPSHOT_FIELD_COUNT);
        luaL_error(L, "`needs`: there is no field '%s'%s%s%s", text,
                   nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
                   nearest != NULL ? "'?" : "");
    }
    const size_t index = (size_t)(field - snapshot_fields);
    header->needs[index / 64] |= UINT64_C(1) << (index % 64);
}

static void add_source(lua_State *L, const char *text, struct rule_header *header)
{
    for (int i = SOURCE_PROCESS; i <= SOURCE_PUSH; i++) {
        if (strcmp(source_kind_name((enum source_kind)i), text) == 0) {
            header->sources |= 1U << i;
            return;
        }
    }
    luaL_error(L, "`sources`: \"process\", \"pprof\" or \"push\", not \"%s\"", text);
}

/* ---- all of it ---- */

static void check_members(lua_State *L, int table)
{
    static const char *const members[] = {"name",    "doc",   "group",     "params",   "evaluate",
                                          "for_",    "needs", "clear_for", "cooldown", "warmup", "capture",
                                          "sources", "tests", "go_version"};
    enum { COUNT = sizeof(members) / sizeof(members[0]) };
    for (lua_pushnil(L); lua_next(L, table) != 0; lua_pop(L, 1)) {
        const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "?";
        size_t at = 0;
        while (at < COUNT && strcmp(members[at], name) != 0)
            at++;
        if (at < COUNT)
            continue;
        const char *nearest = config_near_miss(name, members, COUNT);
        if (nearest != NULL)
            luaL_error(L, "a rule has no `%s`; did you mean `%s`?", name, nearest);
        luaL_error(L, "a rule has no `%s`", name);
    }
}

void rule_header_read(lua_State *L, int table, struct rule_header *header)
{
    *header = (struct rule_header){.sources = 0};
    check_members(L, table);
    read_word(L, table, "name", true, header->name);
    read_word(L, table, "group", false, header->group);
    read_doc(L, table, header);
    read_timing(L, table, &header->timing);
    read_capture(L, table, &header->timing);
    read_go_version(L, table, &header->go);
    read_texts(L, table, "needs", header, add_need);
    read_texts(L, table, "sources", header, add_source);
}

bool rule_header_applies(const struct rule_header *header, const struct observation *seen,
                         char reason[RULE_REASON_MAX_BYTES])
{
    const struct target_facts *facts = &seen->info->facts;
    struct go_version version;
    if (header->sources != 0 && (header->sources & (1U << facts->source)) == 0) {
        (void)snprintf(reason, RULE_REASON_MAX_BYTES, "not for targets of source %s",
                       source_kind_name(facts->source));
        return false;
    }
    if (header->go.count > 0 && (!go_version_read(facts->go_version, &version) ||
                                 !go_range_allows(&header->go, &version))) {
        (void)snprintf(reason, RULE_REASON_MAX_BYTES, "not for %.60s",
                       facts->go_version[0] != '\0' ? facts->go_version
                                                    : "an unknown version of Go");
        return false;
    }
    if (header->needs_profile && seen->profile == NULL) {
        (void)snprintf(reason, RULE_REASON_MAX_BYTES, "needs a heap profile, and there is none yet");
        return false;
    }
    for (size_t w = 0; w < SNAPSHOT_PRESENT_WORDS; w++) {
        const uint64_t missing = header->needs[w] & ~seen->snapshot->values.present[w];
        if (missing == 0)
            continue;
        const size_t field = w * 64 + (size_t)__builtin_ctzll(missing);
        (void)snprintf(reason, RULE_REASON_MAX_BYTES, "needs %.60s, which this target does not have",
                       snapshot_fields[field].name);
        return false;
    }
    return true;
}
