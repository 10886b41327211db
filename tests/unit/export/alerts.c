/* alerts.c - what changed between two sets of findings, and how receivers are told. */
#include <criterion/criterion.h>
#include <math.h>

#include "core/base/buffer.h"
#include "core/export/alert_changes.h"
#include "core/export/notify_message.h"
#include "core/export/receiver.h"
#include "core/store/finding.h"

#define T0 UINT64_C(1700000000000000000)
#define S UINT64_C(1000000000)

static struct finding alert(const char *id, enum finding_state state, enum severity severity)
{
    return (struct finding){.kind = FINDING_ALERT,
                            .state = state,
                            .severity = severity,
                            .id = id,
                            .rule = "retention",
                            .target = "shop",
                            .message = "too much",
                            .value = NAN,
                            .created_realtime_ns = T0,
                            .since_realtime_ns = T0,
                            .resolved_realtime_ns = state == FINDING_RESOLVED ? T0 + 5 * S : 0};
}

static const struct finding_set *set_of(const struct finding *findings, size_t count)
{
    const struct finding_set *set = finding_set_new(findings, count, 1);
    cr_assert_not_null(set);
    return set;
}

static void assert_change(const struct alert_changes *changes, size_t index, const char *id,
                          enum severity severity, uint64_t ended)
{
    cr_assert_lt(index, changes->count);
    cr_assert_str_eq(changes->items[index].finding->id, id);
    cr_assert_eq(changes->items[index].finding->severity, severity);
    cr_assert_eq(changes->items[index].ended_realtime_ns, ended);
}

Test(alert_changes, are_what_opened_closed_or_vanished)
{
    const struct finding before[] = {alert("a", FINDING_FIRING, SEVERITY_WARNING),
                                     alert("closes", FINDING_FIRING, SEVERITY_WARNING),
                                     alert("vanishes", FINDING_FIRING, SEVERITY_INFO)};
    const struct finding after[] = {alert("closes", FINDING_RESOLVED, SEVERITY_WARNING),
                                    alert("opens", FINDING_FIRING, SEVERITY_CRITICAL),
                                    alert("pends", FINDING_PENDING, SEVERITY_CRITICAL),
                                    alert("a", FINDING_FIRING, SEVERITY_WARNING)};
    const struct finding_set *old = set_of(before, 3);
    const struct finding_set *new = set_of(after, 4);
    struct alert_changes changes;
    cr_assert(alert_changes_find(&changes, old, new, T0 + 9 * S));
    cr_assert_eq(changes.count, 3);
    assert_change(&changes, 0, "closes", SEVERITY_WARNING, T0 + 5 * S);
    assert_change(&changes, 1, "opens", SEVERITY_CRITICAL, 0);
    assert_change(&changes, 2, "vanishes", SEVERITY_INFO, T0 + 9 * S);
    alert_changes_release(&changes);
    cr_assert(alert_changes_find(&changes, new, new, T0 + 10 * S));
    cr_assert_eq(changes.count, 0, "nothing changed");
    alert_changes_release(&changes);
    cr_assert(alert_changes_firing(&changes, new));
    cr_assert_eq(changes.count, 2);
    alert_changes_release(&changes);
    finding_set_unref(old);
    finding_set_unref(new);
}

Test(alert_changes, of_severity_close_the_old_and_open_the_new)
{
    const struct finding before = alert("a", FINDING_FIRING, SEVERITY_WARNING);
    const struct finding after = alert("a", FINDING_FIRING, SEVERITY_CRITICAL);
    const struct finding_set *old = set_of(&before, 1);
    const struct finding_set *new = set_of(&after, 1);
    struct alert_changes changes;
    cr_assert(alert_changes_find(&changes, old, new, T0 + S));
    cr_assert_eq(changes.count, 2);
    assert_change(&changes, 0, "a", SEVERITY_WARNING, T0 + S);
    assert_change(&changes, 1, "a", SEVERITY_CRITICAL, 0);
    alert_changes_release(&changes);
    finding_set_unref(old);
    finding_set_unref(new);
}

Test(alert_changes, leave_suggestions_alone)
{
    struct finding suggestion = alert("s", FINDING_FIRING, SEVERITY_WARNING);
    suggestion.kind = FINDING_SUGGESTION;
    const struct finding_set *set = set_of(&suggestion, 1);
    struct alert_changes changes;
    cr_assert(alert_changes_find(&changes, NULL, set, T0));
    cr_assert_eq(changes.count, 0);
    alert_changes_release(&changes);
    finding_set_unref(set);
}

static const struct notify_origin origin = {.external_url = "http://host:8080", .instance = "host"};

static void assert_text(struct buffer *out, const char *expected)
{
    cr_assert_str_eq(buffer_text(out), expected);
    buffer_release(out);
}

Test(notify_message, for_alertmanager_carries_labels_annotations_and_times)
{
    const struct evidence site = {
        .function = "main.leak", .file = "/src/shop.go", .line = 42, .bytes = 3 << 20};
    const struct key_value labels[] = {{"team", "checkout"}, {"severity", "forged"}, {"1 odd-name", "x"}};
    struct finding finding = alert("shop/retention/x", FINDING_FIRING, SEVERITY_CRITICAL);
    finding.advice = "Bound the \"cache\".";
    finding.type_name = "[]uint8";
    finding.tag = "";
    finding.doc = "docs/rules.md#retention";
    finding.value = 72.5;
    finding.labels = labels;
    finding.label_count = 3;
    finding.evidence = &site;
    finding.evidence_count = 1;
    const struct notify_item items[] = {{&finding, 0}, {&finding, T0 + S}};
    struct buffer out;
    buffer_init(&out, 1 << 20);
    notify_message_alertmanager(&out, items, 2, &origin, T0 + 240 * S);
#define COMMON                                                                                     \
    "{\"labels\":{\"alertname\":\"retention\",\"severity\":\"critical\",\"target\":\"shop\","      \
    "\"instance\":\"host\",\"job\":\"goprofd\",\"id\":\"shop/retention/x\",\"type\":\"[]uint8\","  \
    "\"team\":\"checkout\",\"__odd_name\":\"x\"},"                                                 \
    "\"annotations\":{\"summary\":\"too much\",\"description\":\"Bound the \\\"cache\\\".\","      \
    "\"doc\":\"docs/rules.md#retention\",\"value\":\"72.5\","                                      \
    "\"evidence\":\"main.leak (/src/shop.go:42) 3.0 MiB\"},"                                       \
    "\"startsAt\":\"2023-11-14T22:13:20Z\",\"endsAt\":\""
#define LINK "\",\"generatorURL\":\"http://host:8080/v1/alerts?target=shop\"}"
    assert_text(&out, "[" COMMON "2023-11-14T22:17:20Z" LINK "," COMMON "2023-11-14T22:13:21Z" LINK
                      "]");
}

Test(notify_message, for_a_webhook_is_alertmanagers_own_format)
{
    const struct finding open = alert("shop/retention/x", FINDING_FIRING, SEVERITY_WARNING);
    struct finding over = alert("shop/retention/y", FINDING_RESOLVED, SEVERITY_WARNING);
    over.target = "a b&c";
    const struct notify_item items[] = {{&open, 0}, {&over, T0 + S}};
    struct buffer out;
    buffer_init(&out, 1 << 20);
    notify_message_webhook(&out, items, 2, &origin, "pager");
    const char *text = buffer_text(&out);
    cr_assert_not_null(text);
    cr_assert_eq(strncmp(text, "{\"version\":\"4\",", 15), 0);
    cr_assert_not_null(strstr(text, "\"status\":\"firing\",\"receiver\":\"pager\""));
    cr_assert_not_null(strstr(text, "\"commonLabels\":{\"alertname\":\"retention\",\"severity\":"
                                    "\"warning\",\"instance\":\"host\",\"job\":\"goprofd\"}"));
    cr_assert_not_null(strstr(text, "\"status\":\"resolved\",\"labels\""));
    cr_assert_not_null(strstr(text, "\"endsAt\":\"0001-01-01T00:00:00Z\""));
    cr_assert_not_null(strstr(text, "/v1/alerts?target=a%20b%26c\""));
    buffer_clear(&out);
    notify_message_webhook(&out, &items[1], 1, &origin, "pager");
    cr_assert_not_null(strstr(buffer_text(&out), "\"status\":\"resolved\",\"receiver\""));
    buffer_release(&out);
}

/* Whoever gets them puts them together by target and group: one message tells of all that changed. */
Test(notify_message, for_a_webhook_tells_of_alerts_of_one_group_together_and_says_what_they_share)
{
    const struct key_value pool[] = {{"pool", "a"}, {"team", "checkout"}};
    const struct key_value other[] = {{"pool", "b"}, {"team", "checkout"}};
    struct finding items_of[3];
    struct notify_item items[3];
    struct buffer out;
    for (size_t i = 0; i < 3; i++) {
        items_of[i] = alert(i == 0 ? "shop/near_limit" : i == 1 ? "shop/oom_soon" : "shop/heap", FINDING_FIRING,
                            SEVERITY_CRITICAL);
        items_of[i].group = "memory_limit";
        items_of[i].labels = i == 1 ? other : pool;
        items_of[i].label_count = 2;
        items[i] = (struct notify_item){.finding = &items_of[i]};
    }
    buffer_init(&out, 1 << 20);
    notify_message_webhook(&out, items, 3, &origin, "pager");
    const char *text = buffer_text(&out);
    cr_assert_not_null(strstr(text, "\"commonLabels\":{\"alertname\":\"retention\",\"severity\":\"critical\","
                                    "\"target\":\"shop\",\"instance\":\"host\",\"job\":\"goprofd\","
                                    "\"group\":\"memory_limit\",\"team\":\"checkout\"}"),
                       "%s", text);
    size_t told = 0;
    for (const char *at = text; (at = strstr(at, "\"status\":\"firing\",\"labels\"")) != NULL; at++)
        told++;
    cr_assert_eq(told, 3);

    /* One of another group: what is shared shrinks to what is true of all. */
    items_of[2].group = "leak";
    items_of[2].target = "till";
    buffer_clear(&out);
    notify_message_webhook(&out, items, 3, &origin, "pager");
    text = buffer_text(&out);
    cr_assert_not_null(strstr(text, "\"commonLabels\":{\"alertname\":\"retention\",\"severity\":\"critical\","
                                    "\"instance\":\"host\",\"job\":\"goprofd\",\"team\":\"checkout\"}"),
                       "%s", text);
    buffer_release(&out);
}

Test(notify_message, has_one_fingerprint_for_one_finding)
{
    char a[NOTIFY_FINGERPRINT_BYTES];
    char b[NOTIFY_FINGERPRINT_BYTES];
    const struct finding warning = alert("shop/x", FINDING_FIRING, SEVERITY_WARNING);
    const struct finding critical = alert("shop/x", FINDING_RESOLVED, SEVERITY_CRITICAL);
    const struct finding other = alert("shop/y", FINDING_FIRING, SEVERITY_WARNING);
    notify_fingerprint(&warning, a);
    notify_fingerprint(&critical, b);
    cr_assert_str_eq(a, b);
    notify_fingerprint(&other, b);
    cr_assert_str_neq(a, b);
}

Test(receiver, waits_longer_after_each_failure_up_to_five_minutes)
{
    for (uint64_t random = 0; random < 5; random++) {
        uint64_t before = 0;
        for (unsigned failures = 1; failures <= 9; failures++) {
            const uint64_t pause = receiver_pause_ns(failures, random * 123456789);
            cr_assert_gt(pause, before);
            before = pause;
        }
        cr_assert_leq(receiver_pause_ns(1, random * 123456789), S);
        cr_assert_leq(receiver_pause_ns(4000000000, random * 123456789), 300 * S);
        cr_assert_geq(receiver_pause_ns(4000000000, random * 123456789), 240 * S);
    }
}
