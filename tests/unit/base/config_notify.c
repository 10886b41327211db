/* config_notify.c - the receivers of alerts in config.lua. */
#include "core/base/config.h"

#include <criterion/criterion.h>

#include "tests/unit/base/config_support.h"

static void assert_refused(const struct config_node *root, const char *reason)
{
    struct outcome outcome = outcome_of_tree(root);
    cr_assert_geq(outcome.count, 1, "expected: %s", reason);
    cr_assert_not_null(strstr(outcome.problems, reason), "expected: %s\nfound: %s", reason,
                       outcome.problems);
    cr_assert_eq(outcome.config->notify_count, 0, "nobody is told");
    outcome_release(&outcome);
}

#define RECEIVER(...) ROOT(TABLE("notify", ITEM_TABLE(1, __VA_ARGS__)))

Test(config_notify, tells_nobody_by_default)
{
    struct outcome outcome = outcome_of_tree(ROOT(NUMBER("sampling_interval_ms", 500)));
    cr_assert_eq(outcome.count, 0);
    cr_assert_eq(outcome.config->notify_count, 0);
    outcome_release(&outcome);
}

Test(config_notify, reads_receivers_in_the_order_of_the_list_with_defaults)
{
    struct outcome outcome = outcome_of_tree(ROOT(TABLE(
        "notify",
        ITEM_TABLE(2, STRING("webhook", "https://example.org/hook"), STRING("name", "pager"),
                   TABLE("severities", ITEM_STRING(1, "critical"), ITEM_STRING(2, "warning")),
                   BOOLEAN("send_resolved", false), STRING("timeout", "2s"),
                   STRING("bearer_token_file", "/run/token")),
        ITEM_TABLE(1, STRING("alertmanager", "http://127.0.0.1:9093")))));
    cr_assert_eq(outcome.count, 0, "%s", outcome.problems);
    cr_assert_eq(outcome.config->notify_count, 2);
    const struct config_notify *alertmanager = &outcome.config->notify[0];
    cr_assert_eq(alertmanager->kind, CONFIG_NOTIFY_ALERTMANAGER);
    cr_assert_str_eq(alertmanager->name, "alertmanager-1");
    cr_assert_str_eq(alertmanager->url, "http://127.0.0.1:9093");
    cr_assert_eq(alertmanager->severities, 7);
    cr_assert(alertmanager->send_resolved);
    cr_assert_eq(alertmanager->resend_ns, UINT64_C(60000000000));
    cr_assert_eq(alertmanager->timeout_ns, UINT64_C(10000000000));
    cr_assert_str_eq(alertmanager->ca_file, "");
    const struct config_notify *webhook = &outcome.config->notify[1];
    cr_assert_eq(webhook->kind, CONFIG_NOTIFY_WEBHOOK);
    cr_assert_str_eq(webhook->name, "pager");
    cr_assert_eq(webhook->severities, 6);
    cr_assert_not(webhook->send_resolved);
    cr_assert_eq(webhook->timeout_ns, UINT64_C(2000000000));
    cr_assert_str_eq(webhook->bearer_token_file, "/run/token");
    outcome_release(&outcome);
}

Test(config_notify, wants_exactly_one_place_to_send_to)
{
    assert_refused(RECEIVER(STRING("name", "x")), "notify[1]: found none of alertmanager, webhook");
    assert_refused(RECEIVER(STRING("alertmanager", "http://a"), STRING("webhook", "http://b")),
                   "notify[1]: found both");
}

Test(config_notify, refuses_urls_that_are_none_or_carry_secrets)
{
    static const char *const wrong[] = {"",          "ftp://x",  "http://",   "127.0.0.1:9093",
                                        "http://u:p@host/", "http://h/?a=b", "http://h/#x", "http://h/ b",
                                        "http:///path", "http://h\n/"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_refused(RECEIVER(STRING("webhook", wrong[i])), "notify[1].webhook: found");
}

Test(config_notify, names_a_wrong_member_and_what_is_allowed)
{
    assert_refused(RECEIVER(STRING("webhook", "http://h"), STRING("severites", "critical")),
                   "notify[1].severites: unknown key; did you mean severities?");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), STRING("severities", "fatal")),
                   "notify[1].severities: found \"fatal\"; allowed: one of info, warning, critical");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), NUMBER("timeout", 0)),
                   "notify[1].timeout: found 0; allowed: 1 to 300 s");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), NUMBER("timeout", 1e300)),
                   "notify[1].timeout: found 1e+300");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), NUMBER("send_resolved", 1)),
                   "notify[1].send_resolved: found 1; allowed: true or false");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), STRING("ca_file", "")),
                   "notify[1].ca_file: found \"\"");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), STRING("cert_file", "/c.pem")),
                   "cert_file and key_file together");
    assert_refused(RECEIVER(STRING("webhook", "http://h"), STRING("bearer_token_file", "/a"),
                            STRING("basic_auth_file", "/b")),
                   "one of bearer_token_file, basic_auth_file");
    assert_refused(ROOT(STRING("notify", "http://h")), "notify: found \"http://h\"; allowed: a list");
    assert_refused(ROOT(TABLE("notify", ITEM_STRING(1, "http://h"))), "notify[1]: found");
}

Test(config_notify, wants_a_name_of_its_own_for_each)
{
    assert_refused(ROOT(TABLE("notify",
                              ITEM_TABLE(1, STRING("webhook", "http://h"), STRING("name", "a")),
                              ITEM_TABLE(2, STRING("webhook", "http://i"), STRING("name", "a")))),
                   "notify: the name 'a' is used twice");
}
