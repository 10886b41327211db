/* json_read.c - JSON that is well formed, and JSON that is not. */
#include "core/base/json_read.h"

#include <criterion/criterion.h>

#include "core/base/arena.h"

static bool read_text(const char *text, struct arena *arena, struct config_node *node, struct error *err)
{
    return json_read(text, strlen(text), arena, node, err);
}

Test(json_read, reads_every_kind_of_value)
{
    struct arena *arena = arena_new(1 << 20, 4096);
    struct config_node node;
    struct error err;
    cr_assert(read_text(" { \"a\": [1, -2.5e3, true, false, null], \"b\" : {\"c\":\"x\\n\\u00e4\\ud83d\\ude00\"}, \"e\":{},\"f\":[] } ",
                        arena, &node, &err),
              "%s", err.message);
    const struct config_node *a = json_read_member(&node, "a");
    cr_assert_eq(a->child_count, 5u);
    cr_assert_float_eq(a->children[1].number, -2500, 0);
    cr_assert(a->children[2].boolean);
    cr_assert_eq(a->children[4].kind, NODE_NIL);
    cr_assert_str_eq(json_read_member(json_read_member(&node, "b"), "c")->string, "x\n\xc3\xa4\xf0\x9f\x98\x80");
    cr_assert_eq(json_read_member(&node, "e")->child_count, 0u);
    cr_assert_null(json_read_member(&node, "z"));
    cr_assert_null(json_read_member(a, "z"));
    arena_free(arena);
}

Test(json_read, refuses_what_is_none_and_says_where)
{
    static const char *const wrong[] = {
        "", "{", "[1,", "[1 2]", "{\"a\" 1}", "{1:2}", "\"x", "\"\\", "\"\\u12", "\"\\ud800\"", "\"\\udc00\"",
        "\"\\u0000\"", "\"\\q\"", "nul", "tru", "1.2.3", "--1", "+1", "1e999", "[1]]", "{\"a\":}", "\"a\nb\"", "]", ","};
    struct error err;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct arena *arena = arena_new(1 << 20, 4096);
        struct config_node node;
        cr_assert_not(read_text(wrong[i], arena, &node, &err), "%s", wrong[i]);
        cr_assert_not_null(strstr(err.message, "not JSON at byte"), "%s: %s", wrong[i], err.message);
        arena_free(arena);
    }
}

Test(json_read, is_bounded_in_depth_and_memory)
{
    char deep[2048];
    struct error err;
    struct config_node node;
    struct arena *arena = arena_new(1 << 20, 4096);
    memset(deep, '[', sizeof(deep));
    cr_assert_not(json_read(deep, sizeof(deep), arena, &node, &err));
    cr_assert_not_null(strstr(err.message, "nested too deep"));
    arena_free(arena);
    arena = arena_new(8192, 4096);
    static char large[100000];
    memset(large, '1', sizeof(large));
    for (size_t i = 1; i < sizeof(large); i += 2)
        large[i] = ',';
    large[0] = '[';
    large[1] = '1';
    cr_assert_not(json_read(large, sizeof(large), arena, &node, &err));
    cr_assert_eq(err.code, ERROR_LIMIT, "%s", err.message);
    arena_free(arena);
}

Test(json_read, survives_every_shortening_and_change_of_a_text)
{
    static const char text[] = "{\"a\":[1,{\"b\":\"c\\u00e4\"},null],\"d\":-1.5e2}";
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        for (int change = -1; change < 256; change += 5) {
            char copy[sizeof(text)];
            memcpy(copy, text, sizeof(text));
            if (change >= 0 && length > 0)
                copy[length - 1] = (char)change;
            char *exact = malloc(length + 1); /* so that reading past the end is seen */
            memcpy(exact, copy, length);
            struct arena *arena = arena_new(1 << 16, 4096);
            struct config_node node;
            struct error err = {.message = ""};
            if (!json_read(exact, length, arena, &node, &err))
                cr_assert_neq(err.message[0], '\0');
            arena_free(arena);
            free(exact);
        }
    }
}
