/* finding_api.h - alert{}, suggest{}, capture{} and log(): what a rule can say.
 *
 *   rule --alert{...}--> checked, copied --> struct evaluation --> ledger.c
 *
 * Each evaluation may say a bounded number of things of bounded length; what is wrong is an error
 * at the rule's own line. */
#ifndef GOPROFD_LUA_FINDING_API_H
#define GOPROFD_LUA_FINDING_API_H

#include <stdbool.h>
#include <stddef.h>

#include "core/store/finding.h"

struct arena;
struct lua_State;
struct rule_header;

enum {
    EVALUATION_FINDINGS_MAX = 32,
    EVALUATION_LOG_LINES_MAX = 8,
    FINDING_EVIDENCE_MAX = 10,
    FINDING_LABELS_MAX = 16,
    FINDING_NAME_MAX_BYTES = 1024, /* id, source, type_name, tag, labels, doc, functions and files */
    FINDING_TEXT_MAX_BYTES = 4096, /* message and advice */
};

/* What one evaluation of one rule on one target said. */
struct evaluation {
    const char *rule;   /* name, doc, group and target id, for defaults and log lines */
    const char *doc;
    const char *group;
    const char *target;
    bool open;          /* inside evaluate(): elsewhere nothing may be said */
    struct arena *arena; /* of the strings below; NULL until something was said */
    size_t finding_count;
    struct finding findings[EVALUATION_FINDINGS_MAX]; /* `id` is the rule's own */
    bool capture_wanted;
    const char *capture_reason;
    unsigned log_lines;
    bool muted; /* log() writes nothing */
};

/* [header] and [target] must outlive what was said. */
void evaluation_begin(struct evaluation *evaluation, const struct rule_header *header,
                      const char *target);
void evaluation_release(struct evaluation *evaluation); /* forgets what was said */

/* Adds the functions to the table on top of the stack.  They write into [evaluation], which must
 * outlive the state. */
void finding_api_register(struct lua_State *L, struct evaluation *evaluation);

#endif
