/* error.c - messages are cut, never overrun, and say so. */
#include "core/base/error.h"

#include <criterion/criterion.h>
#include <errno.h>

static void fill(char *text, size_t length)
{
    memset(text, 'x', length);
    text[length] = '\0';
}

Test(error, keeps_a_message_that_just_fits)
{
    char text[ERROR_MESSAGE_MAX_BYTES];
    struct error err;
    fill(text, ERROR_MESSAGE_MAX_BYTES - 1);
    cr_assert_not(error_set(&err, ERROR_CORRUPT, "%s", text));
    cr_assert_eq(err.code, ERROR_CORRUPT);
    cr_assert_str_eq(err.message, text);
}

Test(error, ends_a_message_that_is_too_long_with_dots)
{
    char text[ERROR_MESSAGE_MAX_BYTES * 3];
    struct error err;
    for (size_t length = ERROR_MESSAGE_MAX_BYTES; length < sizeof(text); length += 100) {
        fill(text, length);
        cr_assert_not(error_set(&err, ERROR_LIMIT, "%s", text));
        cr_assert_eq(strlen(err.message), ERROR_MESSAGE_MAX_BYTES - 1);
        cr_assert_str_eq(err.message + ERROR_MESSAGE_MAX_BYTES - 4, "...");
    }
}

Test(error, puts_context_in_front)
{
    struct error err;
    (void)error_set(&err, ERROR_GONE, "no such process");
    cr_assert_not(error_wrap(&err, "pid %d", 41));
    cr_assert_eq(err.code, ERROR_GONE);
    cr_assert_str_eq(err.message, "pid 41: no such process");
}

Test(error, cuts_the_inner_message_when_context_leaves_no_room)
{
    char text[ERROR_MESSAGE_MAX_BYTES * 2];
    struct error err;
    fill(text, ERROR_MESSAGE_MAX_BYTES - 1);
    (void)error_set(&err, ERROR_GONE, "%s", text);
    (void)error_wrap(&err, "abc");
    cr_assert_eq(strncmp(err.message, "abc: xxx", 8), 0);
    cr_assert_str_eq(err.message + ERROR_MESSAGE_MAX_BYTES - 4, "...");

    fill(text, sizeof(text) - 1);
    (void)error_set(&err, ERROR_GONE, "inner");
    (void)error_wrap(&err, "%s", text);
    cr_assert_eq(strlen(err.message), ERROR_MESSAGE_MAX_BYTES - 1);
    cr_assert_str_eq(err.message + ERROR_MESSAGE_MAX_BYTES - 4, "...");
}

/* A process may be called anything; what it is called is shown on terminals and in logs. */
Test(error, is_one_line_without_commands_for_the_terminal)
{
    struct error err = {0};
    (void)error_set(&err, ERROR_GONE, "%s", "a\nb\tc \x1b[31m \xc2\x9b d\x7f \xc3\xa9");
    cr_expect_str_eq(err.message, "a b c ?[31m ?? d? \xc3\xa9");
    (void)error_wrap(&err, "%s", "x\ry");
    cr_expect_str_eq(err.message, "x?y: a b c ?[31m ?? d? \xc3\xa9");
}

Test(error, may_be_unwanted)
{
    cr_assert_not(error_set(NULL, ERROR_GONE, "x"));
    cr_assert_not(error_wrap(NULL, "x"));
}

Test(error, has_a_word_for_every_code)
{
    for (enum error_code code = ERROR_NONE; code <= ERROR_SYSTEM; code++) {
        const char *name = error_code_name(code);
        cr_expect_str_neq(name, "unknown");
        for (enum error_code other = ERROR_NONE; other < code; other++)
            cr_expect_str_neq(name, error_code_name(other));
    }
    cr_assert_str_eq(error_errno_text(ENOENT), "No such file or directory");
    cr_assert_str_eq(error_errno_text(123456), "unknown error");
}
