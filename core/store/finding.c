/* finding.c - sealed sets of what the rules found, and the report on the rules.
 *
 * Made by the rule thread, read by anyone through the board.  Each lives whole in its own
 * arena, the struct included. */
#include "core/store/finding.h"

#include "core/base/arena.h"

enum {
    SET_MAX_BYTES = 64 << 20,
    CHUNK_BYTES = 4 << 10,
};

const char *severity_name(enum severity severity)
{
    switch (severity) {
    case SEVERITY_INFO:
        return "info";
    case SEVERITY_WARNING:
        return "warning";
    case SEVERITY_CRITICAL:
        return "critical";
    }
    return "unknown";
}

bool severity_parse(const char *text, enum severity *severity)
{
    for (int i = SEVERITY_INFO; i <= SEVERITY_CRITICAL; i++) {
        if (strcmp(text, severity_name((enum severity)i)) == 0) {
            *severity = (enum severity)i;
            return true;
        }
    }
    return false;
}

const char *finding_state_name(enum finding_state state)
{
    switch (state) {
    case FINDING_PENDING:
        return "pending";
    case FINDING_FIRING:
        return "firing";
    case FINDING_RESOLVED:
        return "resolved";
    }
    return "unknown";
}

bool finding_state_parse(const char *text, enum finding_state *state)
{
    for (int i = FINDING_PENDING; i <= FINDING_RESOLVED; i++) {
        if (strcmp(text, finding_state_name((enum finding_state)i)) == 0) {
            *state = (enum finding_state)i;
            return true;
        }
    }
    return false;
}

const char *rule_state_name(enum rule_state state)
{
    switch (state) {
    case RULE_OK:
        return "ok";
    case RULE_DISABLED:
        return "disabled";
    case RULE_FAILING:
        return "failing";
    case RULE_SUSPENDED:
        return "suspended";
    }
    return "unknown";
}

/* FNV-1a over the text and the zero that ends it. */
static uint64_t hash_text(uint64_t hash, const char *text)
{
    if (text == NULL)
        text = "";
    do {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    } while (*text++ != '\0');
    return hash;
}

uint64_t finding_fingerprint(const struct finding *finding)
{
    static const uint64_t BASIS = UINT64_C(0xcbf29ce484222325);
    uint64_t hash = hash_text(BASIS, finding->kind == FINDING_ALERT ? "alert" : "suggestion");
    hash = hash_text(hash, finding->rule);
    hash = hash_text(hash, finding->target);
    hash = hash_text(hash, finding->id);
    uint64_t labels = 0; /* a sum, so that their order is nothing */
    for (size_t i = 0; i < finding->label_count; i++)
        labels += hash_text(hash_text(BASIS, finding->labels[i].key), finding->labels[i].value);
    return (hash ^ labels) * UINT64_C(0x100000001b3);
}

/* Replaces [*text] by a copy in [arena]; NULL becomes "".  False if it does not fit. */
static bool copy_text(struct arena *arena, const char **text)
{
    const char *source = *text != NULL ? *text : "";
    *text = arena_copy_string(arena, source, strlen(source));
    return *text != NULL;
}

static bool copy_labels(struct arena *arena, struct finding *finding)
{
    struct key_value *labels = arena_alloc_array(arena, finding->label_count, sizeof(*labels));
    if (labels == NULL)
        return false;
    for (size_t i = 0; i < finding->label_count; i++) {
        labels[i] = finding->labels[i];
        if (!copy_text(arena, &labels[i].key) || !copy_text(arena, &labels[i].value))
            return false;
    }
    finding->labels = labels;
    return true;
}

static bool copy_evidence(struct arena *arena, struct finding *finding)
{
    struct evidence *evidence =
        arena_alloc_array(arena, finding->evidence_count, sizeof(*evidence));
    if (evidence == NULL)
        return false;
    for (size_t i = 0; i < finding->evidence_count; i++) {
        evidence[i] = finding->evidence[i];
        if (!copy_text(arena, &evidence[i].function) || !copy_text(arena, &evidence[i].file))
            return false;
    }
    finding->evidence = evidence;
    return true;
}

/* Makes everything [finding] points to its own. */
static bool copy_finding(struct arena *arena, struct finding *finding)
{
    const char **const texts[] = {
        &finding->id,        &finding->rule, &finding->target, &finding->message, &finding->source,
        &finding->type_name, &finding->tag,  &finding->advice, &finding->doc,
        &finding->group,
    };
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!copy_text(arena, texts[i]))
            return false;
    }
    return copy_labels(arena, finding) && copy_evidence(arena, finding);
}

const struct finding_set *finding_set_new(const struct finding *findings, size_t count,
                                          uint64_t sequence)
{
    struct arena *arena = arena_new(SET_MAX_BYTES, CHUNK_BYTES);
    if (arena == NULL)
        return NULL;
    struct finding_set *set = arena_alloc(arena, sizeof(*set));
    struct finding *copies = arena_alloc_array(arena, count, sizeof(*copies));
    if (set == NULL || copies == NULL)
        goto fail;
    for (size_t i = 0; i < count; i++) {
        copies[i] = findings[i];
        if (!copy_finding(arena, &copies[i]))
            goto fail;
    }
    atomic_init(&set->refs_, 1);
    set->arena_ = arena;
    set->sequence = sequence;
    set->count = count;
    set->findings = copies;
    return set;

fail:
    arena_free(arena);
    return NULL;
}

/* The count is the one part of a sealed set that changes: hence the casts. */
static struct finding_set *counted_set(const struct finding_set *set)
{
    return (struct finding_set *)(uintptr_t)set;
}

const struct finding_set *finding_set_ref(const struct finding_set *set)
{
    atomic_fetch_add_explicit(&counted_set(set)->refs_, 1, memory_order_relaxed);
    return set;
}

void finding_set_unref(const struct finding_set *set)
{
    if (set == NULL ||
        atomic_fetch_sub_explicit(&counted_set(set)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(counted_set(set)->arena_);
}

/* ---- the report on the rules ---- */

static bool copy_status(struct arena *arena, struct rule_status *status)
{
    return copy_text(arena, &status->name) && copy_text(arena, &status->file) &&
           copy_text(arena, &status->doc) && copy_text(arena, &status->last_error);
}

const struct rules_report *rules_report_new(const struct rules_report *report)
{
    struct arena *arena = arena_new(SET_MAX_BYTES, CHUNK_BYTES);
    if (arena == NULL)
        return NULL;
    struct rules_report *copy = arena_alloc(arena, sizeof(*copy));
    struct rule_status *rules = arena_alloc_array(arena, report->count, sizeof(*rules));
    if (copy == NULL || rules == NULL)
        goto fail;
    for (size_t i = 0; i < report->count; i++) {
        rules[i] = report->rules[i];
        if (!copy_status(arena, &rules[i]))
            goto fail;
    }
    atomic_init(&copy->refs_, 1);
    copy->arena_ = arena;
    copy->generation = report->generation;
    copy->loaded_realtime_ns = report->loaded_realtime_ns;
    copy->reloads_failed = report->reloads_failed;
    copy->reload_error = report->reload_error;
    copy->count = report->count;
    copy->rules = rules;
    if (!copy_text(arena, &copy->reload_error))
        goto fail;
    return copy;

fail:
    arena_free(arena);
    return NULL;
}

static struct rules_report *counted_report(const struct rules_report *report)
{
    return (struct rules_report *)(uintptr_t)report;
}

const struct rules_report *rules_report_ref(const struct rules_report *report)
{
    atomic_fetch_add_explicit(&counted_report(report)->refs_, 1, memory_order_relaxed);
    return report;
}

void rules_report_unref(const struct rules_report *report)
{
    if (report == NULL ||
        atomic_fetch_sub_explicit(&counted_report(report)->refs_, 1, memory_order_acq_rel) != 1)
        return;
    arena_free(counted_report(report)->arena_);
}
