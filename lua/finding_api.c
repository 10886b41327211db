/* finding_api.c - checks and copies what rules say.
 *
 * Called from Lua within budget_call(), on the rule thread: errors leave by a long jump, so
 * everything kept is in the evaluation's arena. */
#include "lua/finding_api.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>

#include "core/base/arena.h"
#include "core/base/config_near_miss.h"
#include "core/base/log.h"
#include "lua/budget.h"
#include "lua/rule_header.h"
#include "lua/string_library.h"

enum { ARENA_MAX_BYTES = 512 * 1024, ARENA_CHUNK_BYTES = 4096 };

void evaluation_begin(struct evaluation *evaluation, const struct rule_header *header,
                      const char *target)
{
    evaluation_release(evaluation);
    evaluation->rule = header->name;
    evaluation->doc = header->doc;
    evaluation->group = header->group;
    evaluation->target = target;
}

void evaluation_release(struct evaluation *evaluation)
{
    arena_free(evaluation->arena);
    evaluation->arena = NULL;
    evaluation->finding_count = 0;
    evaluation->capture_wanted = false;
    evaluation->capture_reason = NULL;
    evaluation->log_lines = 0;
}

static struct evaluation *evaluation_of(lua_State *L, const char *function)
{
    struct evaluation *evaluation = lua_touserdata(L, lua_upvalueindex(1));
    if (!evaluation->open)
        luaL_error(L, "%s may only be called inside evaluate()", function);
    return evaluation;
}

static void *keep(lua_State *L, struct evaluation *evaluation, size_t count, size_t bytes_each)
{
    if (evaluation->arena == NULL)
        evaluation->arena = arena_new(ARENA_MAX_BYTES, ARENA_CHUNK_BYTES);
    void *memory = evaluation->arena != NULL
                       ? arena_alloc_array(evaluation->arena, count, bytes_each)
                       : NULL;
    if (memory == NULL)
        luaL_error(L, "findings take more than %d KiB", ARENA_MAX_BYTES / 1024);
    return memory;
}

/* The string at the top of the stack, checked and copied. */
static const char *keep_string(lua_State *L, struct evaluation *evaluation, const char *what,
                               size_t max_bytes)
{
    size_t length;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "%s must be a string, not a %s", what, luaL_typename(L, -1));
    const char *text = lua_tolstring(L, -1, &length);
    if (length > max_bytes)
        luaL_error(L, "%s is too long (%I bytes; %I are allowed)", what, (LUAI_UACINT)length,
                   (LUAI_UACINT)max_bytes);
    if (memchr(text, '\0', length) != NULL)
        luaL_error(L, "%s has a zero byte in it", what);
    char *copy = keep(L, evaluation, length + 1, 1);
    memcpy(copy, text, length);
    return copy;
}

static double check_number(lua_State *L, const char *what)
{
    if (lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "%s must be a number, not a %s", what, luaL_typename(L, -1));
    return lua_tonumber(L, -1);
}

/* Numbers may come as floats; what does not fit is an error, not a wrong number. */
static int64_t check_count(lua_State *L, const char *what)
{
    const double number = check_number(L, what);
    if (!(number >= -9.2e18 && number <= 9.2e18))
        luaL_error(L, "%s is not a count", what);
    return lua_isinteger(L, -1) ? lua_tointeger(L, -1) : (int64_t)number;
}

/* ---- members of a finding ---- */

static enum severity check_severity(lua_State *L)
{
    enum severity severity = SEVERITY_INFO;
    const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    if (text == NULL || !severity_parse(text, &severity))
        luaL_error(L, "severity must be \"info\", \"warning\" or \"critical\", not %s",
                   text != NULL ? lua_pushfstring(L, "\"%s\"", text) : luaL_typename(L, -1));
    return severity;
}

static void read_labels(lua_State *L, struct evaluation *evaluation, struct finding *finding)
{
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "labels must be a table, not a %s", luaL_typename(L, -1));
    struct key_value *labels = keep(L, evaluation, FINDING_LABELS_MAX, sizeof(*labels));
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, -2) != 0; lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            luaL_error(L, "labels: a name must be a string, not a %s", luaL_typename(L, -2));
        if (count == FINDING_LABELS_MAX)
            luaL_error(L, "more than %d labels", FINDING_LABELS_MAX);
        lua_pushvalue(L, -2);
        labels[count].key = keep_string(L, evaluation, "a label's name", FINDING_NAME_MAX_BYTES);
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        if (lua_type(L, -1) == LUA_TNUMBER)
            (void)lua_tostring(L, -1); /* a copy: lua_next must not see it change */
        labels[count].value = keep_string(L, evaluation, "a label's value", FINDING_NAME_MAX_BYTES);
        lua_pop(L, 1);
        count++;
    }
    finding->labels = labels;
    finding->label_count = count;
}

static const char *optional_string(lua_State *L, struct evaluation *evaluation, const char *key,
                                   const char *what)
{
    const char *text = "";
    if (lua_getfield(L, -1, key) != LUA_TNIL)
        text = keep_string(L, evaluation, what, FINDING_NAME_MAX_BYTES);
    lua_pop(L, 1);
    return text;
}

/* One item of evidence: the entries of target:sites{} fit as they are, and more members do no harm. */
static void read_evidence_item(lua_State *L, struct evaluation *evaluation, struct evidence *item)
{
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "evidence must be a list of tables, not of a %s", luaL_typename(L, -1));
    item->function = optional_string(L, evaluation, "func", "evidence: func");
    item->file = optional_string(L, evaluation, "file", "evidence: file");
    if (lua_getfield(L, -1, "line") != LUA_TNIL) {
        const int64_t line = check_count(L, "evidence: line");
        item->line = line > 0 && line <= UINT32_MAX ? (uint32_t)line : 0;
    }
    if (lua_getfield(L, -2, "bytes") != LUA_TNIL)
        item->bytes = check_count(L, "evidence: bytes");
    if (lua_getfield(L, -3, "objects") != LUA_TNIL)
        item->objects = check_count(L, "evidence: objects");
    item->percent = NAN;
    if (lua_getfield(L, -4, "percent") != LUA_TNIL)
        item->percent = check_number(L, "evidence: percent");
    lua_pop(L, 4);
}

static void read_evidence(lua_State *L, struct evaluation *evaluation, struct finding *finding)
{
    if (lua_type(L, -1) != LUA_TTABLE)
        luaL_error(L, "evidence must be a list, not a %s", luaL_typename(L, -1));
    const lua_Unsigned given = lua_rawlen(L, -1);
    const size_t count = given < FINDING_EVIDENCE_MAX ? (size_t)given : FINDING_EVIDENCE_MAX;
    struct evidence *evidence = keep(L, evaluation, count + 1, sizeof(*evidence));
    for (size_t i = 0; i < count; i++) {
        (void)lua_rawgeti(L, -1, (lua_Integer)i + 1);
        read_evidence_item(L, evaluation, &evidence[i]);
        lua_pop(L, 1);
    }
    finding->evidence = evidence;
    finding->evidence_count = count;
}

enum member {
    ID,
    SEVERITY,
    MESSAGE,
    VALUE,
    SOURCE,
    TYPE_NAME,
    TAG,
    ADVICE,
    DOC,
    GROUP,
    LABELS,
    EVIDENCE
};
static const char *const member_names[] = {
    [ID] = "id",         [SEVERITY] = "severity",   [MESSAGE] = "message", [VALUE] = "value",
    [SOURCE] = "source", [TYPE_NAME] = "type_name", [TAG] = "tag",         [ADVICE] = "advice",
    [DOC] = "doc",       [GROUP] = "group",         [LABELS] = "labels",       [EVIDENCE] = "evidence",
};
enum { MEMBER_COUNT = sizeof(member_names) / sizeof(member_names[0]) };

static void read_member(lua_State *L, struct evaluation *evaluation, enum member member,
                        struct finding *finding)
{
    const char *name = member_names[member];
    switch (member) {
    case ID:
        finding->id = keep_string(L, evaluation, name, FINDING_NAME_MAX_BYTES);
        if (finding->id[0] == '\0')
            luaL_error(L, "id is empty");
        break;
    case SEVERITY:
        finding->severity = check_severity(L);
        break;
    case MESSAGE:
        finding->message = keep_string(L, evaluation, name, FINDING_TEXT_MAX_BYTES);
        break;
    case VALUE:
        finding->value = check_number(L, name);
        break;
    case SOURCE:
        finding->source = keep_string(L, evaluation, name, FINDING_NAME_MAX_BYTES);
        break;
    case TYPE_NAME:
        finding->type_name = keep_string(L, evaluation, name, FINDING_NAME_MAX_BYTES);
        break;
    case TAG:
        finding->tag = keep_string(L, evaluation, name, FINDING_NAME_MAX_BYTES);
        break;
    case ADVICE:
        finding->advice = keep_string(L, evaluation, name, FINDING_TEXT_MAX_BYTES);
        break;
    case DOC:
        finding->doc = keep_string(L, evaluation, name, FINDING_NAME_MAX_BYTES);
        break;
    case GROUP:
        finding->group = keep_string(L, evaluation, name, FINDING_NAME_MAX_BYTES);
        break;
    case LABELS:
        read_labels(L, evaluation, finding);
        break;
    case EVIDENCE:
        read_evidence(L, evaluation, finding);
        break;
    }
}

static enum member check_member(lua_State *L, const char *function)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
    if (name == NULL)
        luaL_error(L, "%s{}: members have names; found a %s", function, luaL_typename(L, -2));
    for (size_t i = 0; i < MEMBER_COUNT; i++) {
        if (strcmp(member_names[i], name) == 0)
            return (enum member)i;
    }
    const char *nearest = config_near_miss(name, member_names, MEMBER_COUNT);
    if (nearest != NULL)
        luaL_error(L, "%s{}: unknown member '%s'; did you mean '%s'?", function, name, nearest);
    luaL_error(L, "%s{}: unknown member '%s'", function, name);
    return ID;
}

static int say(lua_State *L, enum finding_kind kind, const char *function)
{
    struct evaluation *evaluation = evaluation_of(L, function);
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    if (evaluation->finding_count == EVALUATION_FINDINGS_MAX)
        luaL_error(L, "more than %d findings in one evaluation", EVALUATION_FINDINGS_MAX);
    budget_charge(L, 50);
    struct finding finding = {
        .kind = kind,
        .state = FINDING_FIRING,
        .severity = kind == FINDING_ALERT ? SEVERITY_WARNING : SEVERITY_INFO,
        .id = evaluation->rule,
        .rule = evaluation->rule,
        .target = evaluation->target,
        .source = evaluation->rule,
        .type_name = "",
        .tag = "",
        .advice = "",
        .doc = evaluation->doc,
        .group = evaluation->group,
        .value = NAN,
    };
    for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1))
        read_member(L, evaluation, check_member(L, function), &finding);
    if (finding.message == NULL || finding.message[0] == '\0')
        luaL_error(L, "%s{}: message is missing", function);
    evaluation->findings[evaluation->finding_count++] = finding;
    return 0;
}

static int api_alert(lua_State *L)
{
    return say(L, FINDING_ALERT, "alert");
}

static int api_suggest(lua_State *L)
{
    return say(L, FINDING_SUGGESTION, "suggest");
}

/* capture{ reason = "..." }: asks for a heap profile of the target to be kept. */
static int api_capture(lua_State *L)
{
    struct evaluation *evaluation = evaluation_of(L, "capture");
    const char *reason = "";
    if (!lua_isnoneornil(L, 1)) {
        luaL_checktype(L, 1, LUA_TTABLE);
        for (lua_pushnil(L); lua_next(L, 1) != 0; lua_pop(L, 1)) {
            if (lua_type(L, -2) != LUA_TSTRING || strcmp(lua_tostring(L, -2), "reason") != 0)
                luaL_error(L, "capture{}: the only member is 'reason'");
            reason = keep_string(L, evaluation, "reason", FINDING_TEXT_MAX_BYTES);
        }
    }
    evaluation->capture_wanted = true;
    evaluation->capture_reason = reason;
    return 0;
}

/* log(text) or log(level, text) */
static int api_log(lua_State *L)
{
    struct evaluation *evaluation = evaluation_of(L, "log");
    enum log_level level = LOG_LEVEL_INFO;
    int text_index = 1;
    if (lua_gettop(L) >= 2) {
        if (!log_level_parse(luaL_checkstring(L, 1), &level))
            return luaL_argerror(L, 1, "a level is \"debug\", \"info\", \"warn\" or \"error\"");
        text_index = 2;
    }
    luaL_checkany(L, text_index);
    const char *text = string_library_text(L, text_index);
    if (lua_rawlen(L, -1) > FINDING_NAME_MAX_BYTES)
        return luaL_error(L, "log: text is too long (%d bytes are allowed)", FINDING_NAME_MAX_BYTES);
    budget_charge(L, 200); /* a line is one write(2) */
    if (evaluation->log_lines++ < EVALUATION_LOG_LINES_MAX && !evaluation->muted &&
        log_enabled(level))
        log_write(level,
                  (const struct log_field[]){log_msg(text), log_str("rule", evaluation->rule),
                                             log_str("target", evaluation->target)},
                  3);
    return 0;
}

void finding_api_register(lua_State *L, struct evaluation *evaluation)
{
    static const luaL_Reg functions[] = {
        {"alert", api_alert}, {"suggest", api_suggest}, {"capture", api_capture}, {"log", api_log}};
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        lua_pushlightuserdata(L, evaluation);
        lua_pushcclosure(L, functions[i].func, 1);
        lua_setfield(L, -2, functions[i].name);
    }
}
