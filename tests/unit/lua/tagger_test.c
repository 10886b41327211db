/* tagger_test.c - the config's tags function: what it gets, what it may return, and what it may cost. */
#include "lua/tagger.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "core/store/board.h"
#include "core/store/site.h"
#include "core/store/site_tagger.h"

static struct board_counters counters;
static char path[256];
static struct tagger *tagger;

static bool try_load(const char *text, struct error *err)
{
    counters = (struct board_counters){0};
    (void)snprintf(path, sizeof(path), "%s/tags-XXXXXX", GOPROFD_BINARY_DIR);
    const int fd = mkstemp(path);
    cr_assert_neq(fd, -1);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
    tagger = tagger_new(path, &counters, err);
    (void)unlink(path);
    return tagger != NULL;
}

static void load(const char *text)
{
    struct error err;
    cr_assert(try_load(text, &err), "%s", err.message);
}

static void release(void)
{
    tagger_free(tagger);
    tagger = NULL;
}

static const struct frame frames[] = {
    {.function = "main.encode", .file = "/src/json.go", .line = 12},
    {.function = "example.com/shop/cart.(*Cart).load[...]", .file = "/src/cart.go", .line = 40},
    {.function = "main.worker", .file = "/src/main.go", .line = 7},
};
static const struct frame *const stack[] = {&frames[0], &frames[1], &frames[2]};

static const char *ask(void)
{
    static char tag[TAG_ROOM];
    const struct site_tagger *ours = tagger_site_tagger(tagger);
    return ours->function(ours->context, stack, 3, tag) ? tag : NULL;
}

TestSuite(tagger, .fini = release);

Test(tagger, gives_the_frames_leaf_first_and_takes_the_string)
{
    load("local prefix = 'job '\n"
         "return { tags = function(frames)\n"
         "  local second = frames[2]\n"
         "  return prefix .. #frames .. ' ' .. frames[1].func .. ' ' .. second.package .. ' ' .. second.file"
         " .. ':' .. second.line\n"
         "end }");
    cr_assert_str_eq(ask(), "job 3 main.encode example.com/shop/cart /src/cart.go:40");
    cr_assert_eq(counters.tag_errors, 0);
}

Test(tagger, has_nothing_to_say_when_it_returns_nil)
{
    load("return { tags = function(frames) if frames[1].func == 'other' then return 'x' end end }");
    cr_assert_null(ask());
    cr_assert_eq(counters.tag_errors, 0);
}

Test(tagger, counts_what_fails_and_goes_on)
{
    load("local n = 0\n"
         "return { tags = function(frames) n = n + 1 if n < 3 then error('not yet') end return 'third' end }");
    cr_assert_null(ask());
    cr_assert_null(ask());
    cr_assert_eq(counters.tag_errors, 2);
    cr_assert_str_eq(ask(), "third");
    cr_assert_eq(counters.tag_errors, 2);
}

Test(tagger, takes_only_short_texts_without_control_characters)
{
    static const char *const wrong[] = {"42", "{}", "true", "''", "'a\\nb'", "('x'):rep(121)"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[128];
        (void)snprintf(text, sizeof(text), "return { tags = function() return %s end }", wrong[i]);
        load(text);
        cr_assert_null(ask(), "%s", wrong[i]);
        cr_assert_eq(counters.tag_errors, 1, "%s", wrong[i]);
        release();
    }
    load("return { tags = function() return ('x'):rep(120) end }");
    cr_assert_eq(strlen(ask()), 120);
}

Test(tagger, is_stopped_when_it_runs_for_ever_and_when_it_eats_memory)
{
    load("return { tags = function() while true do end end }");
    cr_assert_null(ask());
    cr_assert_eq(counters.tag_errors, 1);
    release();
    load("local kept = {} return { tags = function() while true do kept[#kept + 1] = ('x'):rep(1e5) .. #kept end end }");
    cr_assert_null(ask());
    cr_assert_eq(counters.tag_errors, 1);
}

Test(tagger, gives_up_for_a_while_when_all_its_time_is_used_up)
{
    load("return { tags = function(frames) local x = 0 for i = 1, 60000 do x = x + i end return 'slow' end }");
    bool refused = false;
    for (int i = 0; i < 100000 && !refused; i++)
        refused = ask() == NULL;
    cr_assert(refused, "a slow function must not hold up the sampler for ever");
    cr_assert_geq(counters.tag_errors, 1);
}

Test(tagger, reaches_neither_files_nor_globals)
{
    load("return { tags = function() return os.getenv('HOME') end }");
    cr_assert_null(ask());
    release();
    load("return { tags = function() counter = 1 return 'x' end }");
    cr_assert_null(ask());
    cr_assert_eq(counters.tag_errors, 1);
}

Test(tagger, is_refused_with_the_place_when_the_file_cannot_be_run)
{
    struct error err;
    cr_assert_not(try_load("return { tags = function( }", &err));
    cr_assert_not_null(strstr(err.message, path), "%s", err.message);
    cr_assert_not_null(strstr(err.message, ":1:"), "%s", err.message);
    cr_assert_not(try_load("return { tags = { } }", &err));
    cr_assert_not_null(strstr(err.message, "no longer a function"), "%s", err.message);
    cr_assert_not(try_load("return 5", &err));
}
