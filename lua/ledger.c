/* ledger.c - keeps findings while they hold and a while after.
 *
 * Called by judge.c after each evaluation. */
#include "lua/ledger.h"

#include <fnmatch.h>
#include <math.h>

#include "core/base/config.h"
#include "core/store/finding.h"
#include "lua/ledger_parts.h"
#include "lua/rule_header.h"

struct ledger *ledger_new(void)
{
    return calloc(1, sizeof(struct ledger));
}

void ledger_free(struct ledger *ledger)
{
    if (ledger == NULL)
        return;
    for (size_t i = 0; i < ledger->count; i++)
        finding_set_unref(ledger->entries[i].content);
    free(ledger->entries);
    free(ledger);
}

static const struct finding *finding_of(const struct ledger_entry *entry)
{
    return &entry->content->findings[0];
}

static bool is_open(const struct ledger_entry *entry)
{
    return entry->state != FINDING_RESOLVED;
}

static uint64_t elapsed_ns(uint64_t now_ns, uint64_t then_ns)
{
    return now_ns > then_ns ? now_ns - then_ns : 0; /* the clock may be set back */
}

static void drop_entry(struct ledger *ledger, size_t index)
{
    finding_set_unref(ledger->entries[index].content);
    ledger->entries[index] = ledger->entries[--ledger->count];
    ledger->changed = true;
}

/* ---- comparing ---- */

static bool same_number(double a, double b)
{
    return (isnan(a) && isnan(b)) || (a >= b && a <= b);
}

static bool same_evidence(const struct finding *a, const struct finding *b)
{
    if (a->evidence_count != b->evidence_count)
        return false;
    for (size_t i = 0; i < a->evidence_count; i++) {
        const struct evidence *x = &a->evidence[i];
        const struct evidence *y = &b->evidence[i];
        if (strcmp(x->function, y->function) != 0 || strcmp(x->file, y->file) != 0 ||
            x->line != y->line || x->bytes != y->bytes || x->objects != y->objects ||
            !same_number(x->percent, y->percent))
            return false;
    }
    return true;
}

static bool same_labels(const struct finding *a, const struct finding *b)
{
    if (a->label_count != b->label_count)
        return false;
    for (size_t i = 0; i < a->label_count; i++) {
        if (strcmp(a->labels[i].key, b->labels[i].key) != 0 ||
            strcmp(a->labels[i].value, b->labels[i].value) != 0)
            return false;
    }
    return true;
}

static bool same_content(const struct finding *a, const struct finding *b)
{
    return a->severity == b->severity && strcmp(a->message, b->message) == 0 &&
           strcmp(a->source, b->source) == 0 && strcmp(a->type_name, b->type_name) == 0 &&
           strcmp(a->tag, b->tag) == 0 && strcmp(a->advice, b->advice) == 0 &&
           strcmp(a->doc, b->doc) == 0 && strcmp(a->group, b->group) == 0 && same_number(a->value, b->value) && same_labels(a, b) &&
           same_evidence(a, b);
}

/* ---- raising ---- */

static struct ledger_entry *find_entry(struct ledger *ledger, uint64_t fingerprint)
{
    for (size_t i = 0; i < ledger->count; i++) {
        if (ledger->entries[i].fingerprint == fingerprint)
            return &ledger->entries[i];
    }
    return NULL;
}

uint64_t ledger_pair_key(const char *rule, const char *target)
{
    const struct finding pair = {.rule = rule, .target = target};
    return finding_fingerprint(&pair);
}

struct ledger_entry *ledger_add_entry(struct ledger *ledger, struct error *err)
{
    if (ledger->count == LEDGER_ENTRIES_MAX) {
        (void)error_set(err, ERROR_LIMIT, "more than %d findings are open", LEDGER_ENTRIES_MAX);
        return NULL;
    }
    if (ledger->count == ledger->capacity) {
        const size_t capacity = ledger->capacity > 0 ? ledger->capacity * 2 : 16;
        struct ledger_entry *entries = realloc(ledger->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for findings");
            return NULL;
        }
        ledger->entries = entries;
        ledger->capacity = capacity;
    }
    return &ledger->entries[ledger->count];
}

static void enter_state(struct ledger *ledger, struct ledger_entry *entry, enum finding_state state,
                        uint64_t now_ns)
{
    entry->state = state;
    entry->since_ns = now_ns;
    entry->resolved_ns = state == FINDING_RESOLVED ? now_ns : 0;
    ledger->changed = true;
}

static void open_entry(struct ledger *ledger, struct ledger_entry *entry, const struct finding *finding,
                       uint64_t pending_ns, uint64_t now_ns)
{
    entry->severity = finding->severity;
    entry->created_ns = now_ns;
    entry->order = ++ledger->created;
    enter_state(ledger, entry, pending_ns > 0 ? FINDING_PENDING : FINDING_FIRING, now_ns);
}

/* A higher severity counts at once; a lower one once the higher was not raised for clear_ns. */
static void follow_severity(struct ledger *ledger, struct ledger_entry *entry, enum severity severity,
                            uint64_t now_ns)
{
    if (severity >= entry->severity ||
        elapsed_ns(now_ns, entry->severity_raised_ns) >= entry->clear_ns) {
        if (severity != entry->severity)
            ledger->changed = true;
        entry->severity = severity;
        entry->severity_raised_ns = now_ns;
    }
}

static bool keep_content(struct ledger *ledger, struct ledger_entry *entry, const struct finding *finding,
                         struct error *err)
{
    if (entry->content != NULL && same_content(finding_of(entry), finding))
        return true;
    const struct finding_set *content = finding_set_new(finding, 1, 0);
    if (content == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory for findings");
    finding_set_unref(entry->content);
    entry->content = content;
    ledger->changed = true;
    return true;
}

static bool is_silenced(const struct ledger *ledger, const struct finding *finding,
                        enum severity severity, uint64_t now_ns)
{
    const struct config *config = ledger->silences;
    for (size_t i = 0; config != NULL && i < config->silence_count; i++) {
        const struct config_silence *silence = &config->silences[i];
        if (now_ns >= silence->from_realtime_ns && now_ns < silence->until_realtime_ns &&
            (silence->severities & (1U << severity)) != 0 &&
            (silence->rule == NULL || fnmatch(silence->rule, finding->rule, 0) == 0) &&
            (silence->target == NULL || fnmatch(silence->target, finding->target, 0) == 0) &&
            (silence->id == NULL || fnmatch(silence->id, finding->id, 0) == 0))
            return true;
    }
    return false;
}

static void silence_entry(struct ledger *ledger, struct ledger_entry *entry, uint64_t now_ns)
{
    const struct finding *finding = finding_of(entry);
    const bool silenced = finding->kind == FINDING_ALERT &&
                          is_silenced(ledger, finding, entry->severity, now_ns);
    ledger->changed = ledger->changed || silenced != entry->silenced;
    entry->silenced = silenced;
}

void ledger_silence(struct ledger *ledger, const struct config *config, uint64_t now_ns)
{
    const bool matters = config->silence_count > 0 || ledger->silences != NULL;
    ledger->silences = config->silence_count > 0 ? config : NULL;
    for (size_t i = 0; matters && i < ledger->count; i++)
        silence_entry(ledger, &ledger->entries[i], now_ns);
}

bool ledger_raise(struct ledger *ledger, const struct finding *finding,
                  const struct rule_timing *timing, uint64_t now_ns, bool *risen,
                  struct error *err)
{
    *risen = false;
    const uint64_t fingerprint = finding_fingerprint(finding);
    struct ledger_entry *entry = find_entry(ledger, fingerprint);
    if (entry != NULL && !is_open(entry) &&
        elapsed_ns(now_ns, entry->resolved_ns) < timing->cooldown_ns)
        return true; /* it was there just now: nobody wants to hear it again */
    if (entry == NULL) {
        entry = ledger_add_entry(ledger, err);
        if (entry == NULL)
            return false;
        *entry = (struct ledger_entry){.state = FINDING_RESOLVED,
                                       .fingerprint = fingerprint,
                                       .pair_key = ledger_pair_key(finding->rule, finding->target)};
        if (!keep_content(ledger, entry, finding, err))
            return false;
        ledger->count++;
    } else if (!keep_content(ledger, entry, finding, err)) {
        return false;
    }
    const bool was_firing = entry->state == FINDING_FIRING;
    const enum severity severity_before = entry->severity;
    if (!is_open(entry))
        open_entry(ledger, entry, finding, timing->pending_ns, now_ns);
    entry->clear_ns = timing->clear_ns;
    entry->cooldown_ns = timing->cooldown_ns;
    entry->raised_ns = now_ns;
    entry->restored_ns = 0;
    follow_severity(ledger, entry, finding->severity, now_ns);
    if (entry->state == FINDING_PENDING &&
        elapsed_ns(now_ns, entry->created_ns) >= timing->pending_ns)
        enter_state(ledger, entry, FINDING_FIRING, now_ns);
    silence_entry(ledger, entry, now_ns);
    *risen = finding->kind == FINDING_ALERT && entry->state == FINDING_FIRING &&
             !entry->silenced && (!was_firing || entry->severity > severity_before);
    return true;
}

/* ---- closing ---- */

static bool concerns(const struct ledger_entry *entry, const char *rule, const char *target)
{
    const struct finding *finding = finding_of(entry);
    return (rule == NULL || strcmp(finding->rule, rule) == 0) &&
           (target == NULL || strcmp(finding->target, target) == 0);
}

/* An alert that fired stays visible as resolved; anything else just goes.  Returns false if the entry
 * was dropped and another stands in its place. */
static bool close_entry(struct ledger *ledger, size_t index, uint64_t now_ns)
{
    struct ledger_entry *entry = &ledger->entries[index];
    if (finding_of(entry)->kind == FINDING_ALERT && entry->state == FINDING_FIRING) {
        enter_state(ledger, entry, FINDING_RESOLVED, now_ns);
        return true;
    }
    drop_entry(ledger, index);
    return false;
}

void ledger_settle(struct ledger *ledger, const char *rule, const char *target, uint64_t now_ns)
{
    if (ledger->count == 0)
        return;
    const uint64_t pair_key = ledger_pair_key(rule, target);
    for (size_t i = 0; i < ledger->count;) {
        const struct ledger_entry *entry = &ledger->entries[i];
        const bool due = entry->pair_key == pair_key && is_open(entry) &&
                         entry->raised_ns != now_ns &&
                         (entry->state == FINDING_PENDING ||
                          elapsed_ns(now_ns, entry->raised_ns) >= entry->clear_ns);
        if (!due || close_entry(ledger, i, now_ns))
            i++;
    }
}

void ledger_close(struct ledger *ledger, const char *rule, const char *target, uint64_t now_ns)
{
    for (size_t i = 0; i < ledger->count;) {
        const struct ledger_entry *entry = &ledger->entries[i];
        if (!is_open(entry) || !concerns(entry, rule, target) || close_entry(ledger, i, now_ns))
            i++;
    }
}

/* What was restored and never raised again, by a rule or on a target that is there no more. */
static void close_unclaimed(struct ledger *ledger, uint64_t now_ns)
{
    for (size_t i = 0; i < ledger->count;) {
        const struct ledger_entry *entry = &ledger->entries[i];
        if (entry->restored_ns == 0 || !is_open(entry) ||
            elapsed_ns(now_ns, entry->restored_ns) < LEDGER_RESTORED_GRACE_NS ||
            close_entry(ledger, i, now_ns))
            i++;
    }
}

static void forget_resolved(struct ledger *ledger, uint64_t now_ns)
{
    size_t resolved = 0;
    for (size_t i = 0; i < ledger->count;) {
        const struct ledger_entry *entry = &ledger->entries[i];
        const uint64_t kept_ns = entry->cooldown_ns > LEDGER_RESOLVED_VISIBLE_NS
                                     ? entry->cooldown_ns
                                     : LEDGER_RESOLVED_VISIBLE_NS;
        if (!is_open(entry) && elapsed_ns(now_ns, entry->resolved_ns) >= kept_ns) {
            drop_entry(ledger, i);
            continue;
        }
        resolved += !is_open(entry);
        i++;
    }
    for (; resolved > LEDGER_RESOLVED_MAX; resolved--) {
        size_t oldest = ledger->count;
        for (size_t i = 0; i < ledger->count; i++) {
            if (!is_open(&ledger->entries[i]) &&
                (oldest == ledger->count ||
                 ledger->entries[i].resolved_ns < ledger->entries[oldest].resolved_ns))
                oldest = i;
        }
        drop_entry(ledger, oldest);
    }
}

bool ledger_has_open(const struct ledger *ledger, const char *target)
{
    for (size_t i = 0; i < ledger->count; i++) {
        if (is_open(&ledger->entries[i]) && concerns(&ledger->entries[i], NULL, target))
            return true;
    }
    return false;
}

size_t ledger_open_count(const struct ledger *ledger, const char *rule)
{
    size_t count = 0;
    for (size_t i = 0; i < ledger->count; i++)
        count += is_open(&ledger->entries[i]) && concerns(&ledger->entries[i], rule, NULL);
    return count;
}

/* ---- publishing ---- */

/* An alert that waits is worth seeing; advice that waits is not advice yet. */
static bool is_shown(const struct ledger_entry *entry)
{
    return entry->state != FINDING_PENDING || finding_of(entry)->kind == FINDING_ALERT;
}

static int newest_first(const void *left, const void *right)
{
    const struct ledger_entry *a = *(const struct ledger_entry *const *)left;
    const struct ledger_entry *b = *(const struct ledger_entry *const *)right;
    return (a->order < b->order) - (a->order > b->order);
}

bool ledger_publish(struct ledger *ledger, uint64_t now_ns, const struct finding_set **set,
                    struct error *err)
{
    *set = NULL;
    close_unclaimed(ledger, now_ns);
    forget_resolved(ledger, now_ns);
    if (!ledger->changed)
        return true;
    const struct ledger_entry **order = calloc(ledger->count + 1, sizeof(*order));
    struct finding *findings = calloc(ledger->count + 1, sizeof(*findings));
    if (order != NULL && findings != NULL) {
        size_t count = 0;
        for (size_t i = 0; i < ledger->count; i++) {
            if (is_shown(&ledger->entries[i]))
                order[count++] = &ledger->entries[i];
        }
        qsort(order, count, sizeof(*order), newest_first);
        for (size_t i = 0; i < count; i++) {
            findings[i] = *finding_of(order[i]);
            findings[i].state = order[i]->state;
            findings[i].severity = order[i]->severity;
            findings[i].created_realtime_ns = order[i]->created_ns;
            findings[i].since_realtime_ns = order[i]->since_ns;
            findings[i].resolved_realtime_ns = order[i]->resolved_ns;
            findings[i].fingerprint = order[i]->fingerprint;
            findings[i].silenced = order[i]->silenced;
        }
        *set = finding_set_new(findings, count, ledger->sequence + 1);
    }
    free(order);
    free(findings);
    if (*set == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to publish findings");
    ledger->sequence++;
    ledger->changed = false;
    return true;
}
