/* replay.h - the rule engine over recorded history: what would have been found, and when.
 *
 *   rows --beat by beat--> board page --> judge --> findings --compared with those before--> events
 *
 * The same judge and ledger as in the daemon; time is that of the recording.  What was not recorded is not there
 * (docs/history.md); nothing is captured, nobody is told.  The same rows give the same events.  One thread. */
#ifndef GOPROFD_LUA_REPLAY_H
#define GOPROFD_LUA_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/error.h"
#include "core/store/finding.h"

struct buffer;
struct config;
struct history_row;
struct replay;
struct rules_report;

enum replay_event_kind {
    REPLAY_PENDING,  /* an alert holds, and waits for its `for_` */
    REPLAY_FIRING,   /* an alert fires, or at another severity */
    REPLAY_RESOLVED, /* an alert that fired is over */
    REPLAY_DROPPED,  /* an alert that waited is over */
    REPLAY_ADVISED,  /* a suggestion opened */
    REPLAY_WITHDRAWN, /* and closed */
    REPLAY_CAPTURE,  /* a rule or an alert asked for a capture that the config would have allowed */
    REPLAY_GAP,      /* nothing was recorded until now */
};
const char *replay_event_name(enum replay_event_kind kind);

struct replay_event {
    enum replay_event_kind kind;
    uint64_t realtime_ns;
    const struct finding *finding; /* NULL for captures and gaps */
    const char *target;            /* of a capture */
    const char *rule;
    const char *reason;
    uint64_t gap_ns;
};

struct replay_options {
    const char *target; /* glob over ids; NULL: all */
    const char *rule;   /* glob over names; NULL: all that the config has */
    /* What is before is judged as well, so that rules know what they would have known; of its findings those are told
     * that are still open then. */
    uint64_t since_realtime_ns;
    uint64_t until_realtime_ns; /* rows behind it are left out */
    /* Lives only during the call. */
    void (*event)(void *context, const struct replay_event *event);
    void *context;
};

struct replay_sums {
    uint64_t rows;   /* from `since` on */
    uint64_t before; /* before that */
    uint64_t beats;  /* in which there were rows, from `since` on */
    uint64_t targets;
    uint64_t first_realtime_ns; /* of those beats */
    uint64_t last_realtime_ns;
    bool has_profiles;
    bool has_tops;
};

/* Loads the rules of [config], which must outlive the replay.  NULL with the reason, and a line for each broken
 * rule in [problems]. */
struct replay *replay_new(const struct config *config, const struct replay_options *options,
                          struct buffer *problems, struct error *err);
void replay_free(struct replay *replay); /* NULL is allowed */

/* The next row, recorded in the boot [boot_id] ("" if unknown).  False without memory. */
bool replay_row(struct replay *replay, const struct history_row *row, const char *boot_id,
                struct error *err) GOPROFD_MUST_CHECK;

/* After the last row. */
bool replay_end(struct replay *replay, struct error *err) GOPROFD_MUST_CHECK;

const struct replay_sums *replay_sums(const struct replay *replay);
/* How the rules fared; one hold for the caller.  NULL without memory. */
const struct rules_report *replay_report(struct replay *replay);

#endif
