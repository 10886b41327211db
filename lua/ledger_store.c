/* ledger_store.c - findings as JSON and back, so that alerts survive a restart of goprofd.
 *
 *   { "version": 1, "findings": [ { "kind":, "state":, "rule":, "target":, "id":, ... }, ... ] }
 *
 * What is read back may have been damaged or written by anyone: every text is checked and bounded, and an
 * entry that makes no sense is left out. */
#include <math.h>

#include "core/base/arena.h"
#include "core/base/buffer.h"
#include "core/base/json.h"
#include "core/base/json_read.h"
#include "lua/finding_api.h"
#include "lua/ledger_parts.h"

enum { TREE_MAX_BYTES = 64 << 20, TREE_CHUNK_BYTES = 64 * 1024, FORMAT_VERSION = 1 };

/* The texts of a finding, by the same names as in the API. */
static const struct {
    const char *name;
    size_t offset;
    size_t max_bytes;
    bool required;
} texts[] = {
    {"rule", offsetof(struct finding, rule), FINDING_NAME_MAX_BYTES, true},
    {"target", offsetof(struct finding, target), FINDING_NAME_MAX_BYTES, true},
    {"id", offsetof(struct finding, id), 2 * FINDING_TEXT_MAX_BYTES, true},
    {"message", offsetof(struct finding, message), FINDING_TEXT_MAX_BYTES, true},
    {"source", offsetof(struct finding, source), FINDING_NAME_MAX_BYTES, false},
    {"type_name", offsetof(struct finding, type_name), FINDING_NAME_MAX_BYTES, false},
    {"tag", offsetof(struct finding, tag), FINDING_NAME_MAX_BYTES, false},
    {"advice", offsetof(struct finding, advice), FINDING_TEXT_MAX_BYTES, false},
    {"doc", offsetof(struct finding, doc), FINDING_NAME_MAX_BYTES, false},
    {"group", offsetof(struct finding, group), FINDING_NAME_MAX_BYTES, false},
};
enum { TEXT_COUNT = sizeof(texts) / sizeof(texts[0]) };

static const struct {
    const char *name;
    size_t offset; /* of a uint64_t in struct ledger_entry */
} times[] = {
    {"created_ns", offsetof(struct ledger_entry, created_ns)},
    {"since_ns", offsetof(struct ledger_entry, since_ns)},
    {"resolved_ns", offsetof(struct ledger_entry, resolved_ns)},
    {"severity_raised_ns", offsetof(struct ledger_entry, severity_raised_ns)},
    {"clear_ns", offsetof(struct ledger_entry, clear_ns)},
    {"cooldown_ns", offsetof(struct ledger_entry, cooldown_ns)},
};
enum { TIME_COUNT = sizeof(times) / sizeof(times[0]) };

/* ---- writing ---- */

static void write_lists(struct json *json, const struct finding *finding)
{
    json_key(json, "labels");
    json_begin_array(json);
    for (size_t i = 0; i < finding->label_count; i++) {
        json_begin_object(json);
        json_member_string(json, "key", finding->labels[i].key);
        json_member_string(json, "value", finding->labels[i].value);
        json_end_object(json);
    }
    json_end_array(json);
    json_key(json, "evidence");
    json_begin_array(json);
    for (size_t i = 0; i < finding->evidence_count; i++) {
        const struct evidence *evidence = &finding->evidence[i];
        json_begin_object(json);
        json_member_string(json, "function", evidence->function);
        json_member_string(json, "file", evidence->file);
        json_member_u64(json, "line", evidence->line);
        json_member_i64(json, "bytes", evidence->bytes);
        json_member_i64(json, "objects", evidence->objects);
        json_member_f64(json, "percent", evidence->percent);
        json_end_object(json);
    }
    json_end_array(json);
}

static void write_entry(struct json *json, const struct ledger_entry *entry)
{
    const struct finding *finding = &entry->content->findings[0];
    json_begin_object(json);
    json_member_string(json, "kind", finding->kind == FINDING_ALERT ? "alert" : "suggestion");
    json_member_string(json, "state", finding_state_name(entry->state));
    json_member_string(json, "severity", severity_name(entry->severity));
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const char *text;
        memcpy(&text, (const char *)finding + texts[i].offset, sizeof(text));
        json_member_string(json, texts[i].name, text);
    }
    json_member_f64(json, "value", finding->value);
    write_lists(json, finding);
    for (size_t i = 0; i < TIME_COUNT; i++) {
        uint64_t time_ns;
        memcpy(&time_ns, (const char *)entry + times[i].offset, sizeof(time_ns));
        json_member_u64(json, times[i].name, time_ns);
    }
    json_end_object(json);
}

void ledger_write(const struct ledger *ledger, struct buffer *out)
{
    struct json json;
    json_init(&json, out);
    json_begin_object(&json);
    json_member_u64(&json, "version", FORMAT_VERSION);
    json_key(&json, "findings");
    json_begin_array(&json);
    for (size_t i = 0; i < ledger->count; i++)
        write_entry(&json, &ledger->entries[i]);
    json_end_array(&json);
    json_end_object(&json);
    buffer_append_byte(out, '\n');
}

/* ---- reading ---- */

static const char *text_of(const struct config_node *node, const char *key, size_t max_bytes)
{
    const struct config_node *member = json_read_member(node, key);
    return member != NULL && member->kind == NODE_STRING && strlen(member->string) <= max_bytes
               ? member->string
               : NULL;
}

static double number_of(const struct config_node *node, const char *key)
{
    const struct config_node *member = json_read_member(node, key);
    return member != NULL && member->kind == NODE_NUMBER ? member->number : (double)NAN;
}

static uint64_t count_of(const struct config_node *node, const char *key)
{
    const double number = number_of(node, key);
    return number >= 0 && number < 1.8e19 ? (uint64_t)number : 0;
}

static int64_t bytes_of(const struct config_node *node, const char *key)
{
    const double number = number_of(node, key);
    return number > -9e18 && number < 9e18 ? (int64_t)number : 0;
}

static bool read_labels(const struct config_node *node, struct finding *finding,
                        struct key_value labels[FINDING_LABELS_MAX])
{
    const struct config_node *list = json_read_member(node, "labels");
    const size_t count = list != NULL && list->kind == NODE_TABLE ? list->child_count : 0;
    if (count > FINDING_LABELS_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        labels[i].key = text_of(&list->children[i], "key", FINDING_NAME_MAX_BYTES);
        labels[i].value = text_of(&list->children[i], "value", FINDING_NAME_MAX_BYTES);
        if (labels[i].key == NULL || labels[i].value == NULL)
            return false;
    }
    finding->labels = labels;
    finding->label_count = count;
    return true;
}

static bool read_evidence(const struct config_node *node, struct finding *finding,
                          struct evidence evidence[FINDING_EVIDENCE_MAX])
{
    const struct config_node *list = json_read_member(node, "evidence");
    const size_t count = list != NULL && list->kind == NODE_TABLE ? list->child_count : 0;
    if (count > FINDING_EVIDENCE_MAX)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct config_node *item = &list->children[i];
        const uint64_t line = count_of(item, "line");
        evidence[i] = (struct evidence){
            .function = text_of(item, "function", FINDING_NAME_MAX_BYTES),
            .file = text_of(item, "file", FINDING_NAME_MAX_BYTES),
            .line = line <= UINT32_MAX ? (uint32_t)line : 0,
            .bytes = bytes_of(item, "bytes"),
            .objects = bytes_of(item, "objects"),
            .percent = number_of(item, "percent"),
        };
        if (evidence[i].function == NULL || evidence[i].file == NULL)
            return false;
    }
    finding->evidence = evidence;
    finding->evidence_count = count;
    return true;
}

static bool read_words(const struct config_node *node, struct finding *finding,
                       struct ledger_entry *entry)
{
    enum { WORD_MAX_BYTES = 16 };
    const char *kind = text_of(node, "kind", WORD_MAX_BYTES);
    const char *state = text_of(node, "state", WORD_MAX_BYTES);
    const char *severity = text_of(node, "severity", WORD_MAX_BYTES);
    if (kind == NULL || state == NULL || severity == NULL ||
        !finding_state_parse(state, &entry->state) || !severity_parse(severity, &entry->severity))
        return false;
    finding->severity = entry->severity;
    finding->kind = strcmp(kind, "alert") == 0 ? FINDING_ALERT : FINDING_SUGGESTION;
    for (size_t i = 0; i < TEXT_COUNT; i++) {
        const char *text = text_of(node, texts[i].name, texts[i].max_bytes);
        if (text == NULL || (texts[i].required && text[0] == '\0'))
            return false;
        memcpy((char *)finding + texts[i].offset, &text, sizeof(text));
    }
    return true;
}

/* Times may not lie in the future: the clock may have been set back since. */
static void read_times(const struct config_node *node, struct ledger_entry *entry, uint64_t now_ns)
{
    for (size_t i = 0; i < TIME_COUNT; i++) {
        uint64_t time_ns = count_of(node, times[i].name);
        if (time_ns > now_ns)
            time_ns = now_ns;
        memcpy((char *)entry + times[i].offset, &time_ns, sizeof(time_ns));
    }
    entry->raised_ns = now_ns;
    entry->restored_ns = now_ns;
}

static bool restore_entry(struct ledger *ledger, const struct config_node *node, uint64_t now_ns)
{
    struct finding finding = {.value = number_of(node, "value")};
    struct key_value labels[FINDING_LABELS_MAX];
    struct evidence evidence[FINDING_EVIDENCE_MAX];
    struct ledger_entry entry = {.order = 0};
    struct error err;
    if (node->kind != NODE_TABLE || !read_words(node, &finding, &entry) ||
        !read_labels(node, &finding, labels) || !read_evidence(node, &finding, evidence))
        return false;
    read_times(node, &entry, now_ns);
    entry.fingerprint = finding_fingerprint(&finding);
    entry.pair_key = ledger_pair_key(finding.rule, finding.target);
    for (size_t i = 0; i < ledger->count; i++) {
        if (ledger->entries[i].fingerprint == entry.fingerprint)
            return false;
    }
    struct ledger_entry *place = ledger_add_entry(ledger, &err);
    if (place == NULL)
        return false;
    entry.content = finding_set_new(&finding, 1, 0);
    if (entry.content == NULL)
        return false;
    entry.order = ++ledger->created;
    *place = entry;
    ledger->count++;
    ledger->changed = true;
    return true;
}

bool ledger_restore(struct ledger *ledger, const char *text, size_t length, uint64_t now_ns,
                    struct error *err)
{
    struct config_node root;
    struct arena *arena = arena_new(TREE_MAX_BYTES, TREE_CHUNK_BYTES);
    if (arena == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for kept alerts");
    bool ok = json_read(text, length, arena, &root, err);
    const struct config_node *list = ok ? json_read_member(&root, "findings") : NULL;
    if (ok && (list == NULL || list->kind != NODE_TABLE ||
               count_of(&root, "version") != FORMAT_VERSION))
        ok = error_set(err, ERROR_CORRUPT, "no list of findings of version %d", FORMAT_VERSION);
    for (size_t i = 0; ok && i < list->child_count; i++)
        (void)restore_entry(ledger, &list->children[i], now_ns);
    arena_free(arena);
    return ok;
}
