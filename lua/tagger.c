/* tagger.c - runs the config's function over the stack of each new allocation site.
 *
 * On the sampler thread, within site_table_add.  A site is asked for once; what fails gets its default tag, is
 * counted each time and logged the first time.  The sampler reads other targets too, so the function has a
 * budget for each call and an allowance for all of them together. */
#include "lua/tagger.h"

#include <lauxlib.h>
#include <lua.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/store/board.h"
#include "core/store/site.h"
#include "core/store/site_tagger.h"
#include "lua/budget.h"
#include "lua/sandbox.h"
#include "lua/source_file.h"

enum { SOURCE_MAX_BYTES = 1 << 20, FRAMES_SHOWN_MAX = 256 };

/* One call: the state also holds what config.lua made. */
static const struct budget_limits call_limits = {
    .memory_bytes = (size_t)16 << 20, .instructions = 200000, .cpu_ns = 10 * CLOCK_NS_PER_MS};
/* All calls: a process that is met with 10,000 sites at once takes some, then little goes on. */
#define ALLOWANCE_MAX_NS (2 * CLOCK_NS_PER_S)
#define ALLOWANCE_SHARE 20 /* of the time that passes, one part in so many is granted anew */

struct tagger {
    struct site_tagger site_tagger;
    struct budget budget;
    lua_State *L;
    char *path;
    uint64_t allowance_ns;
    uint64_t refilled_at_ns;
    bool logged; /* that it failed, or that the allowance is used up */
};

/* ---- loading ---- */

struct load_call {
    const char *name;
    const char *text;
    size_t length;
};

static const char registry_key = 0; /* its address is the key */

static int load_protected(lua_State *L)
{
    const struct load_call *call = lua_touserdata(L, 1);
    sandbox_open(L);
    lua_settop(L, 0);
    sandbox_load(L, call->text, call->length, call->name);
    lua_call(L, 0, 1);
    if (lua_type(L, 1) != LUA_TTABLE)
        luaL_error(L, "the file must return one table, not a %s", luaL_typename(L, 1));
    lua_pushstring(L, "tags");
    if (lua_rawget(L, 1) != LUA_TFUNCTION)
        luaL_error(L, "tags is no longer a function but a %s", luaL_typename(L, -1));
    lua_rawsetp(L, LUA_REGISTRYINDEX, &registry_key);
    return 0;
}

static bool load(struct tagger *tagger, struct error *err)
{
    const struct budget_limits loading = BUDGET_CONFIG;
    struct load_call call = {.name = source_file_base(tagger->path)};
    char *text = source_file_read(tagger->path, SOURCE_MAX_BYTES, &call.length, err);
    if (text == NULL)
        return false;
    call.text = text;
    tagger->L = budget_new_state(&tagger->budget, &loading);
    bool ok = tagger->L != NULL;
    if (!ok)
        (void)error_set(err, ERROR_NO_MEMORY, "%s: no memory for a Lua state", tagger->path);
    else if (!budget_call(tagger->L, load_protected, &call, err)) {
        source_file_name_error(tagger->path, err);
        ok = false;
    }
    free(text);
    tagger->budget.limits = call_limits;
    return ok;
}

/* ---- a call ---- */

struct tag_call {
    const struct frame *const *frames;
    size_t count;
    char *tag;
    bool has_tag;
};

static void push_frame(lua_State *L, const struct frame *frame)
{
    lua_createtable(L, 0, 4);
    lua_pushstring(L, frame->function);
    lua_setfield(L, -2, "func");
    lua_pushstring(L, frame->file);
    lua_setfield(L, -2, "file");
    lua_pushinteger(L, frame->line);
    lua_setfield(L, -2, "line");
    lua_pushlstring(L, frame->function, go_package_length(frame->function));
    lua_setfield(L, -2, "package");
}

static bool is_tag(const char *text, size_t length)
{
    if (length == 0 || length > TAG_MAX_BYTES)
        return false;
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7F)
            return false;
    }
    return true;
}

static int tag_protected(lua_State *L)
{
    struct tag_call *call = lua_touserdata(L, 1);
    const size_t count = call->count < FRAMES_SHOWN_MAX ? call->count : FRAMES_SHOWN_MAX;
    lua_settop(L, 0);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &registry_key);
    lua_createtable(L, (int)count, 0);
    for (size_t i = 0; i < count; i++) {
        push_frame(L, call->frames[i]);
        lua_rawseti(L, -2, (lua_Integer)i + 1);
    }
    lua_call(L, 1, 1);
    if (lua_isnil(L, 1))
        return 0;
    size_t length = 0;
    const char *text = lua_type(L, 1) == LUA_TSTRING ? lua_tolstring(L, 1, &length) : NULL;
    if (text == NULL)
        luaL_error(L, "tags must return a string or nil, not a %s", luaL_typename(L, 1));
    else if (!is_tag(text, length))
        luaL_error(L, "tags must return 1 to %d bytes without control characters", TAG_MAX_BYTES);
    else {
        memcpy(call->tag, text, length);
        call->tag[length] = '\0';
        call->has_tag = true;
    }
    return 0;
}

static void refill(struct tagger *tagger, uint64_t now_ns)
{
    tagger->allowance_ns += (now_ns - tagger->refilled_at_ns) / ALLOWANCE_SHARE;
    tagger->refilled_at_ns = now_ns;
    if (tagger->allowance_ns > ALLOWANCE_MAX_NS)
        tagger->allowance_ns = ALLOWANCE_MAX_NS;
}

static bool fail(struct tagger *tagger, const struct frame *leaf, const char *reason)
{
    atomic_fetch_add_explicit(&tagger->site_tagger.counters->tag_errors, 1, memory_order_relaxed);
    if (!tagger->logged)
        log_warn(log_msg("config's tags function failed; the default tag is used, here and wherever it "
                         "fails again"),
                 log_str("config", tagger->path), log_str("function", leaf->function),
                 log_str("reason", reason));
    tagger->logged = true;
    return false;
}

static bool tag_stack(void *context, const struct frame *const *frames, size_t frame_count,
                      char tag[TAG_ROOM])
{
    struct tagger *tagger = context;
    struct tag_call call = {.frames = frames, .count = frame_count, .tag = tag};
    struct error err;
    refill(tagger, clock_monotonic_ns());
    if (tagger->allowance_ns < call_limits.cpu_ns)
        return fail(tagger, frames[0],
                    "it has used up its time: 2 s at once, then a twentieth of the time that passes");
    const uint64_t before_ns = clock_thread_cpu_ns();
    const bool ok = budget_call(tagger->L, tag_protected, &call, &err);
    const uint64_t used_ns = clock_thread_cpu_ns() - before_ns;
    tagger->allowance_ns -= used_ns < tagger->allowance_ns ? used_ns : tagger->allowance_ns;
    return ok ? call.has_tag : fail(tagger, frames[0], err.message);
}

/* ---- life ---- */

struct tagger *tagger_new(const char *path, struct board_counters *counters, struct error *err)
{
    struct tagger *tagger = calloc(1, sizeof(*tagger));
    if (tagger == NULL || (tagger->path = strdup(path)) == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for the config's tags function");
        free(tagger);
        return NULL;
    }
    tagger->site_tagger =
        (struct site_tagger){.function = tag_stack, .context = tagger, .counters = counters};
    tagger->allowance_ns = ALLOWANCE_MAX_NS;
    tagger->refilled_at_ns = clock_monotonic_ns();
    if (!load(tagger, err)) {
        tagger_free(tagger);
        return NULL;
    }
    return tagger;
}

void tagger_free(struct tagger *tagger)
{
    if (tagger == NULL)
        return;
    if (tagger->L != NULL)
        lua_close(tagger->L);
    free(tagger->path);
    free(tagger);
}

const struct site_tagger *tagger_site_tagger(const struct tagger *tagger)
{
    return &tagger->site_tagger;
}
