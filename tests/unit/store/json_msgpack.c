/* json_msgpack.c - a JSON text and its msgpack form say the same. */
#include "core/store/json_msgpack.h"

#include <criterion/criterion.h>
#include <string.h>

#include "core/base/buffer.h"

static void assert_packs(const char *json, const char *bytes, size_t length)
{
    struct buffer out;
    struct error err = {.message = ""};
    buffer_init(&out, 1 << 20);
    cr_assert(json_to_msgpack(json, strlen(json), &out, &err), "%s: %s", json, err.message);
    cr_assert_eq(out.length, length, "%s: %zu bytes", json, out.length);
    cr_assert_eq(memcmp(out.data, bytes, length), 0, "%s", json);
    buffer_release(&out);
}
#define PACKS(json, literal) assert_packs(json, literal, sizeof(literal) - 1)

Test(json_msgpack, packs_words_and_numbers_in_the_smallest_form)
{
    PACKS("null", "\xC0");
    PACKS(" true ", "\xC3");
    PACKS("false\n", "\xC2");
    PACKS("0", "\x00");
    PACKS("-0", "\x00");
    PACKS("127", "\x7F");
    PACKS("128", "\xCC\x80");
    PACKS("-1", "\xFF");
    PACKS("-33", "\xD0\xDF");
    PACKS("65536", "\xCE\x00\x01\x00\x00");
    PACKS("-9223372036854775808", "\xD3\x80\x00\x00\x00\x00\x00\x00\x00");
    PACKS("18446744073709551615", "\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF");
    PACKS("18446744073709551616", "\xCB\x43\xF0\x00\x00\x00\x00\x00\x00"); /* no longer whole */
    PACKS("1.5", "\xCB\x3F\xF8\x00\x00\x00\x00\x00\x00");
    PACKS("-2.5e-1", "\xCB\xBF\xD0\x00\x00\x00\x00\x00\x00");
}

Test(json_msgpack, packs_texts_without_their_escapes)
{
    PACKS("\"\"", "\xA0");
    PACKS("\"a\\n\\\"\\u0041\\/\"", "\xA5" "a\n\"A/");
    PACKS("\"\\u00e9\\u20ac\"", "\xA5\xC3\xA9\xE2\x82\xAC");
    PACKS("\"\\ud83d\\ude00\"", "\xA4\xF0\x9F\x98\x80");
    PACKS("\"\xE2\x82\xAC\"", "\xA3\xE2\x82\xAC");
    PACKS("\"\\u0000\"", "\xA1\x00");
}

Test(json_msgpack, packs_containers_with_their_counts)
{
    PACKS("[]", "\x90");
    PACKS("{ }", "\x80");
    PACKS("{\"a\":[1,[],{\"b\":null}],\"c\":2}", "\x82\xA1" "a\x93\x01\x90\x81\xA1" "b\xC0\xA1" "c\x02");
}

Test(json_msgpack, refuses_what_is_not_json)
{
    static const char *const wrong[] = {
        "",      " ",      "{",         "[1,]",       "[1 2]",      "{\"a\"}",  "{\"a\":}",
        "{1:2}", "nul",    "tru",       "01",         "1.",         ".5",       "+1",
        "-",     "1e",     "0x10",      "NaN",        "\"a",        "\"\\x\"",  "\"\\u12\"",
        "\"\\ud800\"", "\"\\udc00\"", "\"\n\"", "\"\xFF\"", "[] []", "[]x", "}", "'a'",
        "\"\\ud800\\u0041\"",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct buffer out;
        struct error err = {.code = ERROR_NONE};
        buffer_init(&out, 1 << 20);
        cr_expect_not(json_to_msgpack(wrong[i], strlen(wrong[i]), &out, &err), "%s", wrong[i]);
        cr_expect_eq(err.code, ERROR_CORRUPT, "%s", wrong[i]);
        cr_expect_not(json_is_valid(wrong[i], strlen(wrong[i])), "%s", wrong[i]);
        buffer_release(&out);
    }
}

Test(json_msgpack, does_not_follow_nesting_without_end)
{
    char deep[400];
    struct buffer out;
    struct error err;
    memset(deep, '[', sizeof(deep));
    buffer_init(&out, 1 << 20);
    cr_assert_not(json_to_msgpack(deep, sizeof(deep), &out, &err));
    cr_assert_eq(err.code, ERROR_LIMIT);
    memset(deep, '[', JSON_MSGPACK_DEPTH_MAX);
    memset(deep + JSON_MSGPACK_DEPTH_MAX, ']', JSON_MSGPACK_DEPTH_MAX);
    cr_assert(json_is_valid(deep, 2 * JSON_MSGPACK_DEPTH_MAX));
    buffer_release(&out);
}

Test(json_msgpack, reads_no_byte_behind_the_text)
{
    static const char text[] = "[12345]";
    for (size_t length = 0; length < sizeof(text) - 1; length++) {
        char *exact = malloc(length + 1); /* the sanitizer watches its end */
        memcpy(exact, text, length);
        char *cut = realloc(exact, length > 0 ? length : 1);
        cr_assert_not(json_is_valid(cut, length));
        free(cut);
    }
}

Test(json_msgpack, says_when_there_is_no_room)
{
    struct buffer out;
    struct error err;
    buffer_init(&out, 4);
    cr_assert_not(json_to_msgpack("[1,2,3,4,5]", 11, &out, &err));
    cr_assert_eq(err.code, ERROR_NO_MEMORY);
    buffer_release(&out);
}
