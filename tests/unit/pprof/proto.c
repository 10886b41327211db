/* proto.c - the wire format, byte for byte as the protobuf documentation describes it. */
#include "core/pprof/proto.h"

#include <criterion/criterion.h>

#include "core/base/buffer.h"

enum { PROTO_MAX_BYTES = 4096 };

static void assert_bytes(struct buffer *out, const char *expected, size_t length)
{
    cr_assert_not(out->failed);
    cr_assert_eq(out->length, length, "%zu bytes, not %zu", out->length, length);
    cr_assert_eq(memcmp(out->data, expected, length), 0);
    buffer_release(out);
}

Test(proto, writes_varints_of_one_to_ten_bytes)
{
    static const struct {
        uint64_t value;
        const char *bytes;
        size_t length;
    } cases[] = {
        {0, "\x00", 1},
        {1, "\x01", 1},
        {127, "\x7f", 1},
        {128, "\x80\x01", 2},
        {300, "\xac\x02", 2},
        {16383, "\xff\x7f", 2},
        {16384, "\x80\x80\x01", 3},
        {UINT64_C(1) << 63, "\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 10},
        {UINT64_MAX, "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;
        buffer_init(&out, PROTO_MAX_BYTES);
        proto_varint(&out, cases[i].value);
        assert_bytes(&out, cases[i].bytes, cases[i].length);
    }
}

Test(proto, leaves_out_a_zero_only_where_asked)
{
    struct buffer out;
    buffer_init(&out, PROTO_MAX_BYTES);
    proto_put_nonzero(&out, 1, 0);
    proto_put_u64(&out, 1, 0);
    proto_put_nonzero(&out, 16, 150);
    assert_bytes(&out, "\x08\x00\x80\x01\x96\x01", 6);
}

Test(proto, packs_numbers_behind_their_length_in_bytes)
{
    const uint64_t values[] = {3, 270, 86942};
    struct buffer out;
    buffer_init(&out, PROTO_MAX_BYTES);
    proto_put_packed(&out, 6, values, 3);
    proto_put_packed(&out, 6, values, 0);
    assert_bytes(&out, "\x32\x06\x03\x8e\x02\x9e\xa7\x05", 8);
}

Test(proto, nests_messages_and_passes_on_their_failure)
{
    struct buffer out;
    struct buffer nested;
    buffer_init(&out, PROTO_MAX_BYTES);
    buffer_init(&nested, 2);
    proto_put_u64(&nested, 1, 1);
    proto_put_message(&out, 3, &nested);
    proto_put_u64(&nested, 1, 1);
    cr_assert(nested.failed);
    cr_assert_not(out.failed);
    proto_put_message(&out, 3, &nested);
    cr_assert(out.failed);
    buffer_release(&nested);
    buffer_release(&out);
}

Test(proto, replaces_each_byte_that_is_not_utf8)
{
    static const struct {
        const char *text;
        const char *written;
    } cases[] = {
        {"plain", "plain"},
        {"caf\xc3\xa9", "caf\xc3\xa9"},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xff\xfe", "a\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc3", "\xef\xbf\xbd"},
        {"\xed\xa0\x80z", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz"}, /* half a surrogate pair */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buffer out;
        struct buffer expected;
        buffer_init(&out, PROTO_MAX_BYTES);
        buffer_init(&expected, PROTO_MAX_BYTES);
        proto_put_text(&out, 6, cases[i].text, strlen(cases[i].text));
        proto_put_bytes(&expected, 6, cases[i].written, strlen(cases[i].written));
        assert_bytes(&out, expected.data, expected.length);
        buffer_release(&expected);
    }
}
