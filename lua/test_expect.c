/* test_expect.c - see test_expect.h.  Pure, but for what it is shown. */
#include "lua/test_expect.h"

#include <math.h>
#include <stdarg.h>

#include "core/base/buffer.h"
#include "core/base/config.h"
#include "core/base/config_near_miss.h"
#include "core/store/finding.h"
#include "lua/quantity.h"

enum { ITEMS_MAX = 64, EVENTS_MAX = 24, LINE_MAX_BYTES = 400 };

enum item_kind { ITEM_ALERT, ITEM_SUGGESTION, ITEM_PENDING, ITEM_QUIET, ITEM_CLOSED, ITEM_CAPTURES };

struct item {
    enum item_kind kind;
    const char *id;
    bool has_severity;
    enum severity severity;
    size_t by;    /* beat; at the latest */
    size_t after; /* not before this one */
    const char *message;
    const char *advice;
    const char *evidence;
    const char *group;
    double value; /* NAN: any */
    size_t captures;
    size_t met_at;     /* beat; 0: not yet */
    size_t early_at;   /* beat at which it was there too soon; 0: not */
    size_t broken_at;  /* QUIET, CLOSED: the first beat with something open; 0: none */
    size_t nearly_at;  /* ITEM_ALERT..: was there, but differed */
    char difference[LINE_MAX_BYTES];
};

struct test_expect {
    size_t beats;
    size_t count;
    struct item items[ITEMS_MAX];
    size_t event_count; /* also of those that found no room */
    char events[EVENTS_MAX][LINE_MAX_BYTES];
    uint64_t open_before; /* a sum of what is open, to see changes */
};

/* ---- reading ---- */

static bool read_text(const struct config_node *node, const char **text, struct error *err)
{
    if (node->kind != NODE_STRING || node->string[0] == '\0')
        return error_set(err, ERROR_USAGE, "expect: `%s` must be a text", node->key);
    *text = node->string;
    return true;
}

static bool read_count(const struct config_node *node, size_t *count, struct error *err)
{
    if (node->kind != NODE_NUMBER || !(node->number >= 0 && node->number <= 1e9))
        return error_set(err, ERROR_USAGE, "expect: `%s` must be a number", node->key);
    *count = (size_t)node->number;
    return true;
}

static bool read_value(const struct config_node *node, double *value, struct error *err)
{
    struct quantity quantity = {.value = node->number};
    if (node->kind != NODE_NUMBER &&
        (node->kind != NODE_STRING || !quantity_parse(node->string, &quantity)))
        return error_set(err, ERROR_USAGE, "expect: `value` must be a number");
    *value = quantity.value;
    return true;
}

static bool read_severity(const struct config_node *node, struct item *item, struct error *err)
{
    if (node->kind != NODE_STRING || !severity_parse(node->string, &item->severity))
        return error_set(err, ERROR_USAGE,
                         "expect: `severity` must be \"info\", \"warning\" or \"critical\"");
    item->has_severity = true;
    return true;
}

static bool read_quiet(const struct config_node *node, struct item *item, struct error *err)
{
    if (node->kind != NODE_BOOL || !node->boolean)
        return error_set(err, ERROR_USAGE, "expect: `quiet` must be true");
    item->kind = ITEM_QUIET;
    return true;
}

static bool read_member(const struct config_node *node, struct item *item, struct error *err)
{
    static const char *const names[] = {"alert",  "suggestion",  "pending",   "quiet",
                                        "by",     "quiet_until", "closed_by", "captures",
                                        "after",  "severity",    "message",   "advice",
                                        "group",  "evidence",    "value"};
    const char *key = node->key != NULL ? node->key : "?";
    if (strcmp(key, "alert") == 0 || strcmp(key, "suggestion") == 0 || strcmp(key, "pending") == 0) {
        item->kind = key[0] == 'a' ? ITEM_ALERT : key[0] == 's' ? ITEM_SUGGESTION : ITEM_PENDING;
        return read_text(node, &item->id, err);
    }
    if (strcmp(key, "severity") == 0)
        return read_severity(node, item, err);
    if (strcmp(key, "by") == 0)
        return read_count(node, &item->by, err);
    if (strcmp(key, "after") == 0)
        return read_count(node, &item->after, err);
    if (strcmp(key, "message") == 0)
        return read_text(node, &item->message, err);
    if (strcmp(key, "advice") == 0)
        return read_text(node, &item->advice, err);
    if (strcmp(key, "evidence") == 0)
        return read_text(node, &item->evidence, err);
    if (strcmp(key, "group") == 0)
        return read_text(node, &item->group, err);
    if (strcmp(key, "value") == 0)
        return read_value(node, &item->value, err);
    if (strcmp(key, "quiet") == 0)
        return read_quiet(node, item, err);
    if (strcmp(key, "quiet_until") == 0 || strcmp(key, "closed_by") == 0) {
        item->kind = key[0] == 'q' ? ITEM_QUIET : ITEM_CLOSED;
        return read_count(node, &item->by, err);
    }
    if (strcmp(key, "captures") == 0) {
        item->kind = ITEM_CAPTURES;
        return read_count(node, &item->captures, err);
    }
    const char *nearest = config_near_miss(key, names, sizeof(names) / sizeof(names[0]));
    return error_set(err, ERROR_USAGE, "expect: there is no `%s`%s%s%s", key,
                     nearest != NULL ? "; did you mean `" : "", nearest != NULL ? nearest : "",
                     nearest != NULL ? "`?" : "");
}

static bool read_item(const struct config_node *node, size_t beats, struct item *item,
                      struct error *err)
{
    *item = (struct item){.kind = ITEM_CAPTURES, .captures = SIZE_MAX, .by = beats, .value = NAN};
    if (node->kind != NODE_TABLE || node->child_count == 0)
        return error_set(err, ERROR_USAGE,
                         "expect: a list of tables such as { alert = \"heap_high\", by = 20 }");
    for (size_t i = 0; i < node->child_count; i++) {
        if (!read_member(&node->children[i], item, err))
            return false;
    }
    if (item->kind == ITEM_CAPTURES && item->captures == SIZE_MAX)
        return error_set(err, ERROR_USAGE, "expect: alert, suggestion, pending, quiet, quiet_until, "
                                           "closed_by or captures is missing");
    if (item->by > beats)
        return error_set(err, ERROR_USAGE, "expect: beat %zu, but the test has %zu", item->by, beats);
    return true;
}

struct test_expect *test_expect_new(const struct config_node *node, size_t beats, struct error *err)
{
    if (node == NULL || node->kind != NODE_TABLE || node->child_count == 0 ||
        node->child_count > ITEMS_MAX) {
        (void)error_set(err, ERROR_USAGE, "`expect` must be a list of 1 to %d tables", ITEMS_MAX);
        return NULL;
    }
    struct test_expect *expect = calloc(1, sizeof(*expect));
    if (expect == NULL) {
        (void)error_set(err, ERROR_NO_MEMORY, "no memory for a test");
        return NULL;
    }
    expect->beats = beats;
    for (size_t i = 0; i < node->child_count; i++) {
        if (!read_item(&node->children[i], beats, &expect->items[expect->count++], err)) {
            test_expect_free(expect);
            return NULL;
        }
    }
    return expect;
}

void test_expect_free(struct test_expect *expect)
{
    free(expect);
}

/* ---- looking ---- */

/* The finding's id as the rule gave it: without the target. */
static const char *bare_id(const struct finding *finding)
{
    const size_t length = strlen(finding->target);
    return strncmp(finding->id, finding->target, length) == 0 && finding->id[length] == '/'
               ? finding->id + length + 1
               : finding->id;
}

static bool id_matches(const char *wanted, const char *id)
{
    const char *star = strchr(wanted, '*');
    return star != NULL ? strncmp(wanted, id, (size_t)(star - wanted)) == 0
                        : strcmp(wanted, id) == 0;
}

static bool evidence_matches(const char *wanted, const struct finding *finding)
{
    for (size_t i = 0; i < finding->evidence_count; i++) {
        if (strstr(finding->evidence[i].function, wanted) != NULL)
            return true;
    }
    return false;
}

static bool kind_matches(enum item_kind kind, const struct finding *finding)
{
    switch (kind) {
    case ITEM_ALERT:
        return finding->kind == FINDING_ALERT && finding->state == FINDING_FIRING;
    case ITEM_SUGGESTION:
        return finding->kind == FINDING_SUGGESTION && finding->state != FINDING_RESOLVED;
    case ITEM_PENDING:
        return finding->kind == FINDING_ALERT && finding->state == FINDING_PENDING;
    default:
        return false;
    }
}

/* What differs, in words; false if nothing does. */
static bool differs(const struct item *item, const struct finding *finding,
                    char difference[LINE_MAX_BYTES])
{
    const double tolerance = fabs(item->value) * 0.01 + 1e-9;
    int written = 0;
    if (item->has_severity && finding->severity != item->severity)
        written = snprintf(difference, LINE_MAX_BYTES, "its severity is %s",
                           severity_name(finding->severity));
    else if (item->message != NULL && strstr(finding->message, item->message) == NULL)
        written = snprintf(difference, LINE_MAX_BYTES, "its message is \"%.200s\"", finding->message);
    else if (item->advice != NULL && strstr(finding->advice, item->advice) == NULL)
        written = snprintf(difference, LINE_MAX_BYTES, "its advice is \"%.200s\"", finding->advice);
    else if (item->group != NULL && strcmp(finding->group, item->group) != 0)
        written = snprintf(difference, LINE_MAX_BYTES, "its group is \"%.200s\"", finding->group);
    else if (item->evidence != NULL && !evidence_matches(item->evidence, finding))
        written = snprintf(difference, LINE_MAX_BYTES, "its evidence begins with \"%.200s\"",
                           finding->evidence_count > 0 ? finding->evidence[0].function : "nothing");
    else if (!isnan(item->value) && !(fabs(finding->value - item->value) <= tolerance))
        written = snprintf(difference, LINE_MAX_BYTES, "its value is %.10g", finding->value);
    return written != 0;
}

static void look_at(struct item *item, const struct finding *finding, size_t beat)
{
    if (!kind_matches(item->kind, finding) || !id_matches(item->id, bare_id(finding)))
        return;
    if (beat < item->after && item->early_at == 0)
        item->early_at = beat;
    if (differs(item, finding, item->difference))
        item->nearly_at = beat;
    else if (item->met_at == 0)
        item->met_at = beat;
}

static void note_event(struct test_expect *expect, size_t beat, const struct finding *finding)
{
    if (expect->event_count < EVENTS_MAX) {
        const int written =
            snprintf(expect->events[expect->event_count], LINE_MAX_BYTES, "beat %zu: %s %.120s %s %s: %.180s",
                     beat, finding->kind == FINDING_ALERT ? "alert" : "suggestion", bare_id(finding),
                     severity_name(finding->severity), finding_state_name(finding->state),
                     finding->message);
        if (written < 0)
            expect->events[expect->event_count][0] = '\0';
    }
    expect->event_count++;
}

/* Lists findings when the set of them, their states or severities change. */
static void note_changes(struct test_expect *expect, size_t beat, const struct finding_set *findings)
{
    uint64_t now = 0;
    for (size_t i = 0; i < findings->count; i++) {
        const struct finding *finding = &findings->findings[i];
        now += (finding->fingerprint + finding->state * 7 + finding->severity) *
               UINT64_C(0x9e3779b97f4a7c15);
    }
    if (now == expect->open_before)
        return;
    expect->open_before = now;
    for (size_t i = 0; i < findings->count; i++)
        note_event(expect, beat, &findings->findings[i]);
}

void test_expect_beat(struct test_expect *expect, size_t beat, const struct finding_set *findings)
{
    note_changes(expect, beat, findings);
    for (size_t f = 0; f < findings->count; f++) {
        const struct finding *finding = &findings->findings[f];
        for (size_t i = 0; i < expect->count; i++) {
            struct item *item = &expect->items[i];
            const bool wrong = finding->state != FINDING_RESOLVED && item->broken_at == 0 &&
                               ((item->kind == ITEM_QUIET && beat <= item->by) ||
                                (item->kind == ITEM_CLOSED && beat >= item->by));
            if (wrong)
                item->broken_at = beat;
            look_at(item, finding, beat);
        }
    }
}

/* ---- judging ---- */

static void append(struct buffer *report, const char *fmt, ...) GOPROFD_PRINTF(2, 3);
static void append(struct buffer *report, const char *fmt, ...)
{
    char line[2 * LINE_MAX_BYTES];
    va_list args;
    va_start(args, fmt);
    const int written = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (report != NULL && written >= 0)
        buffer_append_string(report, line);
}

static bool judge_finding(const struct item *item, struct buffer *report)
{
    static const char *const words[] = {
        [ITEM_ALERT] = "alert", [ITEM_SUGGESTION] = "suggestion", [ITEM_PENDING] = "pending alert"};
    const char *severity = item->has_severity ? severity_name(item->severity) : "";
    if (item->early_at != 0) {
        append(report, "  expected %s %s not before beat %zu; it was there at beat %zu\n",
               words[item->kind], item->id, item->after, item->early_at);
        return false;
    }
    if (item->met_at != 0 && item->met_at <= item->by)
        return true;
    append(report, "  expected %s %s%s%s by beat %zu; ", words[item->kind], item->id,
           severity[0] != '\0' ? " " : "", severity, item->by);
    if (item->met_at != 0)
        append(report, "it came at beat %zu\n", item->met_at);
    else if (item->nearly_at != 0)
        append(report, "it was there, but %s\n", item->difference);
    else
        append(report, "it never came\n");
    return false;
}

static bool judge_item(const struct item *item, size_t captures, struct buffer *report)
{
    switch (item->kind) {
    case ITEM_ALERT:
    case ITEM_SUGGESTION:
    case ITEM_PENDING:
        return judge_finding(item, report);
    case ITEM_QUIET:
        if (item->broken_at != 0)
            append(report, "  expected nothing up to beat %zu; there was something at beat %zu\n",
                   item->by, item->broken_at);
        return item->broken_at == 0;
    case ITEM_CLOSED:
        if (item->broken_at != 0)
            append(report, "  expected nothing open from beat %zu on; there was at beat %zu\n",
                   item->by, item->broken_at);
        return item->broken_at == 0;
    case ITEM_CAPTURES:
        if (captures != item->captures)
            append(report, "  expected %zu captures; %zu were asked for\n", item->captures, captures);
        return captures == item->captures;
    }
    return false;
}

bool test_expect_judge(const struct test_expect *expect, size_t captures, struct buffer *report)
{
    bool ok = true;
    for (size_t i = 0; i < expect->count; i++)
        ok = judge_item(&expect->items[i], captures, report) && ok;
    if (ok)
        return true;
    append(report, expect->event_count == 0 ? "  nothing was seen at all\n" : "  seen:\n");
    for (size_t i = 0; i < expect->event_count && i < EVENTS_MAX; i++)
        append(report, "    %s\n", expect->events[i]);
    if (expect->event_count > EVENTS_MAX)
        append(report, "    ... and %zu more\n", expect->event_count - EVENTS_MAX);
    return false;
}
