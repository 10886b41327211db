/* notify_message.c - alerts as their receivers want them. */
#include "core/export/notify_message.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/store/finding.h"

enum { LABELS_MAX = 40, LABEL_NAME_MAX_BYTES = 128, EVIDENCE_LINES_MAX = 5 };

struct label {
    char name[LABEL_NAME_MAX_BYTES];
    const char *value;
};

struct labels {
    struct label list[LABELS_MAX];
    size_t count;
};

/* Alertmanager (before UTF-8 names) takes [a-zA-Z_][a-zA-Z0-9_]*. */
static void clean_name(const char *name, char out[LABEL_NAME_MAX_BYTES])
{
    size_t length = 0;
    for (; name[length] != '\0' && length < LABEL_NAME_MAX_BYTES - 1; length++) {
        const char c = name[length];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        const bool digit = c >= '0' && c <= '9' && length > 0;
        out[length] = letter || digit ? c : '_';
    }
    out[length] = '\0';
}

/* The first of a name stays: a rule's own labels do not override what every alert has.  An empty value
 * is no label at all. */
static void add_label(struct labels *labels, const char *name, const char *value)
{
    char clean[LABEL_NAME_MAX_BYTES];
    clean_name(name, clean);
    if (value == NULL || value[0] == '\0' || clean[0] == '\0' || labels->count == LABELS_MAX)
        return;
    for (size_t i = 0; i < labels->count; i++) {
        if (strcmp(labels->list[i].name, clean) == 0)
            return;
    }
    struct label *label = &labels->list[labels->count++];
    memcpy(label->name, clean, strlen(clean) + 1);
    label->value = value;
}

static void collect_labels(struct labels *labels, const struct finding *finding,
                           const struct notify_origin *origin)
{
    labels->count = 0;
    add_label(labels, "alertname", finding->rule);
    add_label(labels, "severity", severity_name(finding->severity));
    add_label(labels, "target", finding->target);
    add_label(labels, "instance", origin->instance);
    add_label(labels, "job", "goprofd");
    add_label(labels, "id", finding->id);
    add_label(labels, "type", finding->type_name);
    add_label(labels, "tag", finding->tag);
    add_label(labels, "group", finding->group);
    for (size_t i = 0; i < finding->label_count; i++)
        add_label(labels, finding->labels[i].key, finding->labels[i].value);
}

static void write_labels(struct json *json, const struct labels *labels)
{
    json_begin_object(json);
    for (size_t i = 0; i < labels->count; i++)
        json_member_string(json, labels->list[i].name, labels->list[i].value);
    json_end_object(json);
}

/* "main.leak (shop.go:42) 12.3 MiB", a line a site. */
static void write_evidence(struct json *json, const struct finding *finding)
{
    struct buffer lines;
    const size_t count = finding->evidence_count < EVIDENCE_LINES_MAX ? finding->evidence_count
                                                                      : EVIDENCE_LINES_MAX;
    if (count == 0)
        return;
    buffer_init(&lines, 64 << 10);
    for (size_t i = 0; i < count; i++) {
        const struct evidence *site = &finding->evidence[i];
        buffer_printf(&lines, "%s%s (%s:%" PRIu32 ") %.1f MiB", i == 0 ? "" : "\n", site->function,
                      site->file, site->line, (double)site->bytes / (1 << 20));
    }
    const char *text = buffer_text(&lines);
    if (text != NULL)
        json_member_string(json, "evidence", text);
    buffer_release(&lines);
}

static void add_text(struct json *json, const char *key, const char *text)
{
    if (text != NULL && text[0] != '\0')
        json_member_string(json, key, text);
}

static void write_annotations(struct json *json, const struct finding *finding)
{
    json_begin_object(json);
    json_member_string(json, "summary", finding->message);
    add_text(json, "description", finding->advice);
    add_text(json, "doc", finding->doc);
    if (!isnan(finding->value)) {
        char value[32];
        (void)snprintf(value, sizeof(value), "%.6g", finding->value);
        json_member_string(json, "value", value);
    }
    write_evidence(json, finding);
    json_end_object(json);
}

static void write_generator(struct json *json, const struct finding *finding,
                            const struct notify_origin *origin)
{
    struct buffer url;
    buffer_init(&url, 8 << 10);
    buffer_printf(&url, "%s/v1/alerts?target=", origin->external_url);
    for (const char *c = finding->target; *c != '\0'; c++) {
        const bool plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                           (*c >= '0' && *c <= '9') || strchr("-._~", *c) != NULL;
        if (plain)
            buffer_append_byte(&url, *c);
        else
            buffer_printf(&url, "%%%02X", (unsigned)(unsigned char)*c);
    }
    const char *text = buffer_text(&url);
    if (text != NULL)
        json_member_string(json, "generatorURL", text);
    buffer_release(&url);
}

static uint64_t start_of(const struct finding *finding)
{
    /* A resolved alert's `since` is when it was resolved. */
    return finding->state == FINDING_FIRING ? finding->since_realtime_ns
                                            : finding->created_realtime_ns;
}

void notify_fingerprint(const struct finding *finding, char out[NOTIFY_FINGERPRINT_BYTES])
{
    uint64_t hash = UINT64_C(14695981039346656037); /* FNV-1a */
    for (const char *c = finding->id; *c != '\0'; c++)
        hash = (hash ^ (unsigned char)*c) * UINT64_C(1099511628211);
    (void)snprintf(out, NOTIFY_FINGERPRINT_BYTES, "%016" PRIx64, hash);
}

void notify_message_alertmanager(struct buffer *out, const struct notify_item *items, size_t count,
                                 const struct notify_origin *origin, uint64_t expires_realtime_ns)
{
    struct json json;
    json_init(&json, out);
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++) {
        const struct finding *finding = items[i].finding;
        struct labels labels;
        collect_labels(&labels, finding, origin);
        json_begin_object(&json);
        json_key(&json, "labels");
        write_labels(&json, &labels);
        json_key(&json, "annotations");
        write_annotations(&json, finding);
        json_member_time(&json, "startsAt", start_of(finding));
        json_member_time(&json, "endsAt",
                         items[i].ended_realtime_ns != 0 ? items[i].ended_realtime_ns
                                                         : expires_realtime_ns);
        write_generator(&json, finding, origin);
        json_end_object(&json);
    }
    json_end_array(&json);
}

/* ---- webhook ---- */

/* Labels that all of [items] have, with the same value. */
static void collect_common(struct labels *common, const struct notify_item *items, size_t count,
                           const struct notify_origin *origin)
{
    collect_labels(common, items[0].finding, origin);
    for (size_t i = 1; i < count; i++) {
        struct labels labels;
        size_t kept = 0;
        collect_labels(&labels, items[i].finding, origin);
        for (size_t k = 0; k < common->count; k++) {
            for (size_t j = 0; j < labels.count; j++) {
                if (strcmp(labels.list[j].name, common->list[k].name) == 0 &&
                    strcmp(labels.list[j].value, common->list[k].value) == 0) {
                    common->list[kept++] = common->list[k];
                    break;
                }
            }
        }
        common->count = kept;
    }
}

static void write_webhook_alert(struct json *json, const struct notify_item *item,
                                const struct notify_origin *origin)
{
    const struct finding *finding = item->finding;
    struct labels labels;
    char fingerprint[NOTIFY_FINGERPRINT_BYTES];
    collect_labels(&labels, finding, origin);
    notify_fingerprint(finding, fingerprint);
    json_begin_object(json);
    json_member_string(json, "status", item->ended_realtime_ns != 0 ? "resolved" : "firing");
    json_key(json, "labels");
    write_labels(json, &labels);
    json_key(json, "annotations");
    write_annotations(json, finding);
    json_member_time(json, "startsAt", start_of(finding));
    if (item->ended_realtime_ns != 0)
        json_member_time(json, "endsAt", item->ended_realtime_ns);
    else
        json_member_string(json, "endsAt", "0001-01-01T00:00:00Z"); /* as Alertmanager: not yet */
    write_generator(json, finding, origin);
    json_member_string(json, "fingerprint", fingerprint);
    json_end_object(json);
}

void notify_message_webhook(struct buffer *out, const struct notify_item *items, size_t count,
                            const struct notify_origin *origin, const char *receiver)
{
    struct json json;
    struct labels common = {.count = 0};
    bool firing = false;
    for (size_t i = 0; i < count; i++)
        firing = firing || items[i].ended_realtime_ns == 0;
    if (count > 0)
        collect_common(&common, items, count, origin);

    json_init(&json, out);
    json_begin_object(&json);
    json_member_string(&json, "version", "4");
    json_member_string(&json, "groupKey", "{}:{job=\"goprofd\"}");
    json_member_u64(&json, "truncatedAlerts", 0);
    json_member_string(&json, "status", firing ? "firing" : "resolved");
    json_member_string(&json, "receiver", receiver);
    json_key(&json, "groupLabels");
    json_begin_object(&json);
    json_member_string(&json, "job", "goprofd");
    json_end_object(&json);
    json_key(&json, "commonLabels");
    write_labels(&json, &common);
    json_key(&json, "commonAnnotations");
    json_begin_object(&json);
    json_end_object(&json);
    json_member_string(&json, "externalURL", origin->external_url);
    json_key(&json, "alerts");
    json_begin_array(&json);
    for (size_t i = 0; i < count; i++)
        write_webhook_alert(&json, &items[i], origin);
    json_end_array(&json);
    json_end_object(&json);
}
