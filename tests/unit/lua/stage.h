/* stage.h - a small world for the rule engine: a board, a judge, targets whose numbers the test sets,
 * and a clock that moves one second a beat.  No process, no thread, no real time. */
#ifndef GOPROFD_TESTS_LUA_STAGE_H
#define GOPROFD_TESTS_LUA_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/config.h"
#include "core/store/board.h"
#include "core/store/finding.h"
#include "core/store/profile.h"
#include "core/store/snapshot.h"
#include "core/store/target_info.h"

enum { STAGE_TARGETS_MAX = 4, STAGE_SITES_MAX = 64, STAGE_CAPTURES_MAX = 64 };
#define STAGE_START_NS UINT64_C(1800000000000000000) /* realtime of beat 0 */

struct stage_site {
    const struct site *site;
    int64_t inuse_bytes;
    int64_t alloc_bytes;
};

struct stage_target {
    char id[64];
    const char *go_version;
    enum target_state state;
    double age_s; /* at beat 0; negative: not known */
    uint64_t started_ns; /* after beat 0, if it was restarted since */
    uint64_t generation;
    const char *build_id; /* NULL: not known */
    uint64_t build_generation;
    uint64_t sequence;
    bool hidden; /* not on the page */
    bool stalled; /* no new snapshot */
    struct snapshot_values values;
    struct site_table *sites;
    size_t site_count;
    struct stage_site site[STAGE_SITES_MAX];
    uint64_t cycle;
    bool profile_due;
    const struct profile *profile;
    const struct snapshot *snapshot;
};

struct stage {
    struct config *config;
    struct board *board;
    struct judge *judge;
    uint64_t beat;
    uint64_t beat_ns; /* from beat to beat: a second, unless the test says otherwise before the first */
    size_t target_count;
    struct stage_target targets[STAGE_TARGETS_MAX];
    size_t capture_count;
    size_t captures_wanted; /* of them: whatever the severity */
    char captures[STAGE_CAPTURES_MAX][256]; /* "reason target finding" */
    char dir[128];                          /* of rules written by stage_write_rule; removed at the end */
};

void stage_open(struct stage *stage);
/* The same with a judge that leaves idle targets alone, as the daemon's does. */
void stage_open_resting(struct stage *stage);
void stage_close(struct stage *stage);

/* Writes a rule file into the stage's own folder, which becomes rules_dir. */
void stage_write_rule(struct stage *stage, const char *file, const char *text);
/* Loads the rules; asserts that it works. */
void stage_load(struct stage *stage);

struct stage_target *stage_add_target(struct stage *stage, const char *id);
void stage_set(struct stage_target *target, const char *field, double value);
void stage_unset(struct stage_target *target, const char *field);
struct stage_site *stage_add_site(struct stage_target *target, const char *function,
                                  const char *file, uint32_t line, const char *primitive);

/* One beat_ns passes; every target that is not stalled has a new snapshot, and a new profile if
 * profile_due. */
void stage_beat(struct stage *stage);

/* The finding whose id contains [part], of this kind, or NULL.  Valid until the next beat. */
const struct finding *stage_find(struct stage *stage, enum finding_kind kind, const char *part);
size_t stage_open_findings(struct stage *stage); /* pending or firing */
const struct rule_status *stage_rule(struct stage *stage, const char *name);
const struct rules_report *stage_report(struct stage *stage);

#endif
