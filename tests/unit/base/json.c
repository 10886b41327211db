/* json.c - what is written is JSON, whatever goes in. */
#include "core/base/json.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>

#include "core/base/buffer.h"

static struct buffer out;

static struct json begin(void)
{
    struct json json;
    buffer_release(&out);
    buffer_init(&out, 1 << 20);
    json_init(&json, &out);
    return json;
}

static const char *text(void)
{
    const char *written = buffer_text(&out);
    return written != NULL ? written : "(failed)";
}

static void forget(void)
{
    buffer_release(&out);
}

TestSuite(json, .fini = forget);

Test(json, nests_with_commas_where_they_belong)
{
    struct json json = begin();
    json_begin_object(&json);
    json_member_u64(&json, "a", 1);
    json_key(&json, "list");
    json_begin_array(&json);
    json_begin_array(&json);
    json_end_array(&json);
    json_begin_object(&json);
    json_end_object(&json);
    json_null(&json);
    json_bool(&json, false);
    json_end_array(&json);
    json_member_string(&json, "z", NULL);
    json_key(&json, "raw");
    json_raw(&json, "[1]", 3);
    json_member_bool(&json, "last", true);
    json_end_object(&json);
    cr_assert_str_eq(text(),
                     "{\"a\":1,\"list\":[[],{},null,false],\"z\":null,\"raw\":[1],\"last\":true}");
}

Test(json, escapes_what_would_break_out_of_a_string)
{
    struct json json = begin();
    json_string_n(&json, "a\"b\\c\n\t\r\x01\x7F\0d", 12);
    cr_assert_str_eq(text(), "\"a\\\"b\\\\c\\n\\t\\r\\u0001\\u007f\\u0000d\"");
}

Test(json, replaces_each_byte_that_is_no_utf8)
{
    static const struct {
        const char *in;
        const char *expected;
    } cases[] = {
        {"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80", "\"\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80\""},
        {"x\xFFy", "\"x\xEF\xBF\xBDy\""},
        {"\xC0\xAF", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                     /* overlong '/' */
        {"\xED\xA0\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},     /* a surrogate */
        {"\xF4\x90\x80\x80", "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
        {"\xE2\x82", "\"\xEF\xBF\xBD\xEF\xBF\xBD\""},                     /* cut short */
        {"\xE2\x82\"", "\"\xEF\xBF\xBD\xEF\xBF\xBD\\\"\""},
        {"\x80", "\"\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json json = begin();
        json_string(&json, cases[i].in);
        cr_expect_str_eq(text(), cases[i].expected, "case %zu: %s", i, text());
    }
}

Test(json, writes_numbers_that_read_back_the_same)
{
    static const double values[] = {0,       1,       -1,      0.1,        1.0 / 3, 1e300, 5e-324,
                                    DBL_MAX, DBL_MIN, 1e21,    123456789., 0.5,     -0.0,  4294967296.,
                                    1e-7,    2.5e15,  9007199254740993.};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        struct json json = begin();
        json_f64(&json, values[i]);
        char *end = NULL;
        const double back = strtod(text(), &end);
        cr_expect_eq(*end, '\0', "%s", text());
        cr_expect(back >= values[i] && back <= values[i], "%s", text());
    }
    struct json json = begin();
    json_f64(&json, 0.1);
    cr_assert_str_eq(text(), "0.1", "the shortest text");
    json = begin();
    json_begin_array(&json);
    json_f64(&json, (double)NAN);
    json_f64(&json, (double)INFINITY);
    json_u64(&json, UINT64_MAX);
    json_i64(&json, INT64_MIN);
    json_end_array(&json);
    cr_assert_str_eq(text(), "[null,null,18446744073709551615,-9223372036854775808]");
}

Test(json, writes_times_as_rfc3339)
{
    struct json json = begin();
    json_begin_object(&json);
    json_member_time(&json, "timestamp", UINT64_C(1795394852123000000));
    json_end_object(&json);
    cr_assert_str_eq(text(), "{\"timestamp\":\"2026-11-23T00:47:32.123Z\"}");
}

Test(json, fails_the_buffer_when_nested_too_deep)
{
    struct json json = begin();
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
        json_begin_array(&json);
    cr_assert_not(out.failed);
    for (unsigned i = 0; i < JSON_DEPTH_MAX; i++)
        json_end_array(&json);
    cr_assert_eq(strlen(text()), 2 * JSON_DEPTH_MAX);
    json = begin();
    for (unsigned i = 0; i <= JSON_DEPTH_MAX; i++)
        json_begin_object(&json);
    cr_assert(out.failed);
}

/* A reader that only says yes or no: enough to prove that random members always make one value. */
static const char *skip_value(const char *c);

static const char *skip_string(const char *c)
{
    if (c == NULL || *c++ != '"')
        return NULL;
    for (; *c != '"'; c++) {
        if ((unsigned char)*c < 0x20)
            return NULL;
        if (*c == '\\') {
            c++;
            if (*c == 'u') {
                if (strspn(c + 1, "0123456789abcdefABCDEF") < 4)
                    return NULL;
                c += 4;
            } else if (strchr("\"\\/bfnrt", *c) == NULL || *c == '\0') {
                return NULL;
            }
        }
    }
    return c + 1;
}

static const char *skip_list(const char *c, char closing)
{
    if (*++c == closing)
        return c + 1;
    for (;;) {
        if (closing == '}') {
            c = skip_string(c);
            if (c == NULL || *c++ != ':')
                return NULL;
        }
        c = skip_value(c);
        if (c == NULL || (*c != ',' && *c != closing))
            return NULL;
        if (*c++ == closing)
            return c;
    }
}

static const char *skip_value(const char *c)
{
    if (*c == '{' || *c == '[')
        return skip_list(c, *c == '{' ? '}' : ']');
    if (*c == '"')
        return skip_string(c);
    static const char *const words[] = {"true", "false", "null"};
    for (size_t i = 0; i < 3; i++) {
        if (strncmp(c, words[i], strlen(words[i])) == 0)
            return c + strlen(words[i]);
    }
    char *end = NULL;
    (void)strtod(c, &end);
    return end == c ? NULL : end;
}

/* Writes a random value of at most [depth] levels. */
static void write_random(struct json *json, unsigned *seed, unsigned depth)
{
    char bytes[16];
    *seed = *seed * 1103515245U + 12345U;
    const unsigned roll = *seed >> 16 & 0xFF;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(*seed >> (i % 24) ^ i * 37);
    if (depth == 0 || roll < 100) {
        if (roll % 4 == 0)
            json_string_n(json, bytes, roll % sizeof(bytes));
        else if (roll % 4 == 1)
            json_i64(json, (int64_t)*seed - 1000000);
        else if (roll % 4 == 2)
            json_f64(json, (double)*seed / 1e12);
        else
            json_bool(json, roll > 50);
        return;
    }
    const bool object = roll % 2 == 0;
    if (object)
        json_begin_object(json);
    else
        json_begin_array(json);
    for (unsigned i = 0; i < roll % 5; i++) {
        if (object)
            json_key(json, i % 2 == 0 ? "plain" : "od\"d\n");
        write_random(json, seed, depth - 1);
    }
    if (object)
        json_end_object(json);
    else
        json_end_array(json);
}

Test(json, of_random_shape_is_always_one_valid_value)
{
    for (unsigned i = 0; i < 2000; i++) {
        unsigned seed = i;
        struct json json = begin();
        write_random(&json, &seed, 6);
        const char *end = skip_value(text());
        cr_assert_not_null(end, "seed %u: %s", i, text());
        cr_assert_eq(*end, '\0', "seed %u: %s", i, text());
    }
}
