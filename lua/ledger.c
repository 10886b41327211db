/* ledger.c - keeps findings while they hold and a while after.
 *
 * Called by judge.c after each evaluation. */
#include "lua/ledger.h"

#include <math.h>

#include "core/store/finding.h"

struct entry {
    const struct finding_set *content; /* a set of one: the finding as last raised */
    enum finding_state state;
    enum severity severity;
    uint64_t created_ns;
    uint64_t since_ns;
    uint64_t resolved_ns;
    uint64_t raised_ns;          /* last */
    uint64_t severity_raised_ns; /* last time at this severity or above */
    uint64_t clear_ns;
    uint64_t order; /* rises with each creation: ties of created_ns */
};

struct ledger {
    size_t count;
    size_t capacity;
    struct entry *entries;
    uint64_t sequence; /* of published sets */
    uint64_t created;
    bool changed;
};

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

static const struct finding *finding_of(const struct entry *entry)
{
    return &entry->content->findings[0];
}

static bool is_open(const struct entry *entry)
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
           strcmp(a->doc, b->doc) == 0 && same_number(a->value, b->value) && same_labels(a, b) &&
           same_evidence(a, b);
}

/* ---- raising ---- */

static struct entry *find_entry(struct ledger *ledger, const struct finding *finding)
{
    for (size_t i = 0; i < ledger->count; i++) {
        const struct finding *have = finding_of(&ledger->entries[i]);
        if (have->kind == finding->kind && strcmp(have->id, finding->id) == 0)
            return &ledger->entries[i];
    }
    return NULL;
}

static struct entry *add_entry(struct ledger *ledger, struct error *err)
{
    if (ledger->count == LEDGER_ENTRIES_MAX) {
        (void)error_set(err, ERROR_LIMIT, "more than %d findings are open", LEDGER_ENTRIES_MAX);
        return NULL;
    }
    if (ledger->count == ledger->capacity) {
        const size_t capacity = ledger->capacity > 0 ? ledger->capacity * 2 : 16;
        struct entry *entries = realloc(ledger->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            (void)error_set(err, ERROR_NO_MEMORY, "no memory for findings");
            return NULL;
        }
        ledger->entries = entries;
        ledger->capacity = capacity;
    }
    return &ledger->entries[ledger->count];
}

static void enter_state(struct ledger *ledger, struct entry *entry, enum finding_state state,
                        uint64_t now_ns)
{
    entry->state = state;
    entry->since_ns = now_ns;
    entry->resolved_ns = state == FINDING_RESOLVED ? now_ns : 0;
    ledger->changed = true;
}

static void open_entry(struct ledger *ledger, struct entry *entry, const struct finding *finding,
                       uint64_t pending_ns, uint64_t now_ns)
{
    const bool waits = finding->kind == FINDING_ALERT && pending_ns > 0;
    entry->severity = finding->severity;
    entry->created_ns = now_ns;
    entry->order = ++ledger->created;
    enter_state(ledger, entry, waits ? FINDING_PENDING : FINDING_FIRING, now_ns);
}

/* A higher severity counts at once; a lower one once the higher was not raised for clear_ns. */
static void follow_severity(struct ledger *ledger, struct entry *entry, enum severity severity,
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

static bool keep_content(struct ledger *ledger, struct entry *entry, const struct finding *finding,
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

bool ledger_raise(struct ledger *ledger, const struct finding *finding, uint64_t pending_ns,
                  uint64_t clear_ns, uint64_t now_ns, bool *risen, struct error *err)
{
    *risen = false;
    struct entry *entry = find_entry(ledger, finding);
    if (entry == NULL) {
        entry = add_entry(ledger, err);
        if (entry == NULL)
            return false;
        *entry = (struct entry){.state = FINDING_RESOLVED};
        if (!keep_content(ledger, entry, finding, err))
            return false;
        ledger->count++;
    } else if (!keep_content(ledger, entry, finding, err)) {
        return false;
    }
    const bool was_firing = entry->state == FINDING_FIRING;
    const enum severity severity_before = entry->severity;
    if (!is_open(entry))
        open_entry(ledger, entry, finding, pending_ns, now_ns);
    entry->clear_ns = clear_ns;
    entry->raised_ns = now_ns;
    follow_severity(ledger, entry, finding->severity, now_ns);
    if (entry->state == FINDING_PENDING && elapsed_ns(now_ns, entry->created_ns) >= pending_ns)
        enter_state(ledger, entry, FINDING_FIRING, now_ns);
    *risen = finding->kind == FINDING_ALERT && entry->state == FINDING_FIRING &&
             (!was_firing || entry->severity > severity_before);
    return true;
}

/* ---- closing ---- */

static bool concerns(const struct entry *entry, const char *rule, const char *target)
{
    const struct finding *finding = finding_of(entry);
    return (rule == NULL || strcmp(finding->rule, rule) == 0) &&
           (target == NULL || strcmp(finding->target, target) == 0);
}

/* An alert that fired stays visible as resolved; anything else just goes.  Returns false if the entry
 * was dropped and another stands in its place. */
static bool close_entry(struct ledger *ledger, size_t index, uint64_t now_ns)
{
    struct entry *entry = &ledger->entries[index];
    if (finding_of(entry)->kind == FINDING_ALERT && entry->state == FINDING_FIRING) {
        enter_state(ledger, entry, FINDING_RESOLVED, now_ns);
        return true;
    }
    drop_entry(ledger, index);
    return false;
}

void ledger_settle(struct ledger *ledger, const char *rule, const char *target, uint64_t now_ns)
{
    for (size_t i = 0; i < ledger->count;) {
        const struct entry *entry = &ledger->entries[i];
        const bool due = is_open(entry) && entry->raised_ns != now_ns &&
                         concerns(entry, rule, target) &&
                         (entry->state == FINDING_PENDING ||
                          elapsed_ns(now_ns, entry->raised_ns) >= entry->clear_ns);
        if (!due || close_entry(ledger, i, now_ns))
            i++;
    }
}

void ledger_close(struct ledger *ledger, const char *rule, const char *target, uint64_t now_ns)
{
    for (size_t i = 0; i < ledger->count;) {
        const struct entry *entry = &ledger->entries[i];
        if (!is_open(entry) || !concerns(entry, rule, target) || close_entry(ledger, i, now_ns))
            i++;
    }
}

static void forget_resolved(struct ledger *ledger, uint64_t now_ns)
{
    size_t resolved = 0;
    for (size_t i = 0; i < ledger->count;) {
        const struct entry *entry = &ledger->entries[i];
        if (!is_open(entry) && elapsed_ns(now_ns, entry->resolved_ns) >= LEDGER_RESOLVED_VISIBLE_NS) {
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

size_t ledger_open_count(const struct ledger *ledger, const char *rule)
{
    size_t count = 0;
    for (size_t i = 0; i < ledger->count; i++)
        count += is_open(&ledger->entries[i]) && concerns(&ledger->entries[i], rule, NULL);
    return count;
}

/* ---- publishing ---- */

static int newest_first(const void *left, const void *right)
{
    const struct entry *a = *(const struct entry *const *)left;
    const struct entry *b = *(const struct entry *const *)right;
    return (a->order < b->order) - (a->order > b->order);
}

bool ledger_publish(struct ledger *ledger, uint64_t now_ns, const struct finding_set **set,
                    struct error *err)
{
    *set = NULL;
    forget_resolved(ledger, now_ns);
    if (!ledger->changed)
        return true;
    const struct entry **order = calloc(ledger->count + 1, sizeof(*order));
    struct finding *findings = calloc(ledger->count + 1, sizeof(*findings));
    if (order != NULL && findings != NULL) {
        for (size_t i = 0; i < ledger->count; i++)
            order[i] = &ledger->entries[i];
        qsort(order, ledger->count, sizeof(*order), newest_first);
        for (size_t i = 0; i < ledger->count; i++) {
            findings[i] = *finding_of(order[i]);
            findings[i].state = order[i]->state;
            findings[i].severity = order[i]->severity;
            findings[i].created_realtime_ns = order[i]->created_ns;
            findings[i].since_realtime_ns = order[i]->since_ns;
            findings[i].resolved_realtime_ns = order[i]->resolved_ns;
        }
        *set = finding_set_new(findings, ledger->count, ledger->sequence + 1);
    }
    free(order);
    free(findings);
    if (*set == NULL)
        return error_set(err, ERROR_NO_MEMORY, "no memory to publish findings");
    ledger->sequence++;
    ledger->changed = false;
    return true;
}
