/* finding.h - what the rules found: alerts (open and close) and suggestions (advice).
 *
 * The rule thread publishes a sealed set; http and exporters read it.  Strings live in the
 * set's arena.  A rule's run says what holds now; what stopped holding becomes a resolved
 * alert that stays visible for a while. */
#ifndef GOPROFD_STORE_FINDING_H
#define GOPROFD_STORE_FINDING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/target_info.h"

enum severity { SEVERITY_INFO, SEVERITY_WARNING, SEVERITY_CRITICAL };
const char *severity_name(enum severity severity);
bool severity_parse(const char *text, enum severity *severity);

enum finding_kind { FINDING_ALERT, FINDING_SUGGESTION };

enum finding_state { FINDING_PENDING, FINDING_FIRING, FINDING_RESOLVED };
const char *finding_state_name(enum finding_state state); /* "pending", "firing", "resolved" */
bool finding_state_parse(const char *text, enum finding_state *state);

/* One piece of evidence: a site with its numbers. */
struct evidence {
    const char *function;
    const char *file;
    uint32_t line;
    int64_t bytes;
    int64_t objects;
    double percent; /* of the heap or of the growth; NAN if it says nothing here */
};

struct finding {
    enum finding_kind kind;
    enum finding_state state;
    enum severity severity;
    const char *id; /* "TARGET/RULE/...", stable while it holds; with the labels it is unique */
    const char *rule;
    const char *target; /* target id */
    const char *message;
    const char *source; /* alerts: what part of the data; defaults to the rule's name */
    const char *type_name;
    const char *tag;
    const char *advice; /* what to change; "" if none */
    const char *doc;    /* where to read on */
    const char *group;  /* alerts of one group and target have one cause; "" if none */
    double value;       /* NAN: none */
    const struct key_value *labels;
    size_t label_count;
    const struct evidence *evidence;
    size_t evidence_count;
    uint64_t created_realtime_ns;
    uint64_t since_realtime_ns; /* in this state since */
    uint64_t resolved_realtime_ns; /* 0 while open */
    uint64_t fingerprint; /* of kind, rule, target, id and labels: what it is, whatever it says */
    bool silenced;        /* by the config: shown, but nobody is told */
};

struct finding_set {
    _Atomic uint32_t refs_;
    struct arena *arena_;
    uint64_t sequence;
    size_t count;
    const struct finding *findings; /* newest first */
};

/* The finding's fingerprint: the same over restarts of the daemon; labels count in any order. */
uint64_t finding_fingerprint(const struct finding *finding);

/* Deep copy of [findings] into a sealed set.  NULL without memory. */
const struct finding_set *finding_set_new(const struct finding *findings, size_t count,
                                          uint64_t sequence);
const struct finding_set *finding_set_ref(const struct finding_set *set);
void finding_set_unref(const struct finding_set *set); /* NULL is allowed */

/* How each rule is doing, for GET /v1/rules. */
enum rule_state { RULE_OK, RULE_DISABLED, RULE_FAILING, RULE_SUSPENDED };
const char *rule_state_name(enum rule_state state);

struct rule_status {
    const char *name;
    const char *file;
    const char *doc;
    enum rule_state state;
    uint64_t evaluations;
    uint64_t errors;
    uint64_t limit_exceeded; /* of the errors: budget overruns */
    uint64_t evaluate_ns;    /* total */
    uint64_t memory_bytes;
    const char *last_error; /* "FILE:LINE: text", or "" */
    uint64_t last_error_realtime_ns;
    uint64_t open_findings;
};

struct rules_report {
    _Atomic uint32_t refs_;
    struct arena *arena_;
    uint64_t generation; /* counts successful (re)loads */
    uint64_t loaded_realtime_ns;
    uint64_t reloads_failed;
    const char *reload_error; /* of the last attempt: "FILE:LINE: text"; "" if it succeeded */
    size_t count;
    const struct rule_status *rules;
};

/* Deep copy; [report]'s private members and holds are ignored.  NULL without memory. */
const struct rules_report *rules_report_new(const struct rules_report *report);
const struct rules_report *rules_report_ref(const struct rules_report *report);
void rules_report_unref(const struct rules_report *report); /* NULL is allowed */

#endif
