/* buffer.c - growth up to a limit, then a failure that sticks. */
#include "core/base/buffer.h"

#include <criterion/criterion.h>

Test(buffer, grows_to_its_limit_and_not_beyond)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    for (unsigned i = 0; i < 1000; i++)
        buffer_append_byte(&buffer, (char)('a' + i % 26));
    cr_assert_not(buffer.failed);
    cr_assert_eq(buffer.length, 1000);
    cr_assert_eq(strlen(buffer_text(&buffer)), 1000);
    for (unsigned i = 0; i < 1000; i++)
        cr_assert_eq(buffer.data[i], 'a' + i % 26);
    buffer_append_byte(&buffer, 'x');
    cr_assert(buffer.failed);
    cr_assert_null(buffer_text(&buffer));
    buffer_release(&buffer);
}

Test(buffer, stays_failed_until_cleared)
{
    struct buffer buffer;
    buffer_init(&buffer, 10);
    buffer_append_string(&buffer, "this is too long");
    buffer_append_string(&buffer, "ok");
    cr_assert(buffer.failed);
    cr_assert_eq(buffer.length, 0, "a refused append leaves nothing behind");
    buffer_clear(&buffer);
    buffer_append_string(&buffer, "ok");
    cr_assert_str_eq(buffer_text(&buffer), "ok");
    buffer_release(&buffer);
}

Test(buffer, refuses_lengths_that_would_overflow)
{
    struct buffer buffer;
    buffer_init(&buffer, 100);
    buffer_append_string(&buffer, "abc");
    cr_assert_null(buffer_reserve(&buffer, SIZE_MAX));
    cr_assert(buffer.failed);
    buffer_release(&buffer);
}

Test(buffer, writes_every_integer)
{
    struct buffer buffer;
    buffer_init(&buffer, 1000);
    buffer_append_u64(&buffer, 0);
    buffer_append_byte(&buffer, ' ');
    buffer_append_u64(&buffer, UINT64_MAX);
    buffer_append_byte(&buffer, ' ');
    buffer_append_i64(&buffer, INT64_MIN);
    buffer_append_byte(&buffer, ' ');
    buffer_append_i64(&buffer, -1);
    buffer_append_byte(&buffer, ' ');
    buffer_append_i64(&buffer, INT64_MAX);
    cr_assert_str_eq(buffer_text(&buffer), "0 18446744073709551615 -9223372036854775808 -1 "
                                           "9223372036854775807");
    buffer_release(&buffer);
}

Test(buffer, prints_short_and_long_text)
{
    struct buffer buffer;
    char text[700];
    memset(text, 'y', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    buffer_init(&buffer, 2000);
    for (size_t length = 250; length < 262; length++) {
        buffer_clear(&buffer);
        buffer_printf(&buffer, "%.*s|%d", (int)length, text, 7);
        cr_assert_eq(strlen(buffer_text(&buffer)), length + 2);
        cr_assert_str_eq(buffer.data + length, "|7");
    }
    buffer_clear(&buffer);
    buffer_printf(&buffer, "%s", text);
    cr_assert_str_eq(buffer_text(&buffer), text);
    for (unsigned i = 0; i < 2; i++)
        buffer_printf(&buffer, "%s", text);
    cr_assert(buffer.failed, "three times 699 bytes is over the limit");
    buffer_release(&buffer);
}

Test(buffer, hands_its_storage_over_once)
{
    struct buffer buffer;
    size_t length = 0;
    buffer_init(&buffer, 100);
    cr_assert_null(buffer_detach(&buffer, &length));
    cr_assert_str_eq(buffer_text(&buffer), "");
    buffer_append_string(&buffer, "abc");
    char *data = buffer_detach(&buffer, &length);
    cr_assert_eq(length, 3);
    cr_assert_eq(memcmp(data, "abc", 3), 0);
    cr_assert_eq(buffer.length, 0);
    cr_assert_null(buffer.data);
    free(data);
    buffer_release(&buffer);
}
