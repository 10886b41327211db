/* rule_header.h - what a rule file declares beside `params` and `evaluate`: its name, when it applies,
 * and how its alerts behave over time.
 *
 *   name, doc, group                         who it is
 *   go_version, needs, sources               which targets it is shown
 *   for_, clear_for, cooldown, warmup, capture   see docs/rules.md; the config may override these
 *   tests                                    read by rule_test.h */
#ifndef GOPROFD_LUA_RULE_HEADER_H
#define GOPROFD_LUA_RULE_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/store/fields.h"
#include "lua/go_version.h"

struct config_node;
struct lua_State;
struct observation;

enum {
    RULE_NAME_MAX_BYTES = 64,
    RULE_DOC_MAX_BYTES = 256,
    RULE_REASON_MAX_BYTES = 128, /* why a target is not shown to a rule */
};

/* Whether an alert of the rule asks for a capture when it fires. */
enum rule_capture { RULE_CAPTURE_BY_SEVERITY, RULE_CAPTURE_ALWAYS, RULE_CAPTURE_NEVER };

/* How the alerts of a rule behave. */
struct rule_timing {
    uint64_t pending_ns;  /* for_: raised so long before it fires */
    uint64_t clear_ns;    /* clear_for: not raised so long before it closes */
    uint64_t cooldown_ns; /* after it closed, so long before it fires again */
    uint64_t warmup_ns;   /* so long after a start of the target nothing is said */
    enum rule_capture capture;
};

struct rule_header {
    char name[RULE_NAME_MAX_BYTES + 1];
    char doc[RULE_DOC_MAX_BYTES + 1];
    char group[RULE_NAME_MAX_BYTES + 1]; /* "" if none */
    struct rule_timing timing;
    struct go_range go;
    unsigned sources; /* 1 << enum source_kind; 0: all */
    uint64_t needs[SNAPSHOT_PRESENT_WORDS]; /* fields */
    bool needs_profile;
};

/* Reads the rule's table at [table]; raises an error that names the member. */
void rule_header_read(struct lua_State *L, int table, struct rule_header *header);

/* Whether [name] is a member of the timing, and its override by [node] (what [label] is in the config);
 * raises an error if the value does not fit. */
bool rule_timing_has(const char *name);
void rule_timing_override(struct lua_State *L, const char *label, const struct config_node *node,
                          struct rule_timing *timing);

/* Whether the rule is for this target as it is now; if not, [reason] says why. */
bool rule_header_applies(const struct rule_header *header, const struct observation *seen,
                         char reason[RULE_REASON_MAX_BYTES]);

#endif
